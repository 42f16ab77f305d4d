"""Commands in processes of their own that need not import nbgrader first: forks of a Python that has imported it.

A third of what ``nbgrader autograde`` takes on a small course is importing nbgrader. What is run is what ``python -m``
runs, from its arguments to the end of the interpreter, with an environment, a folder and descriptors of its own.
"""

import atexit
import functools
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SECONDS = 300.0
"""How long a command may take."""
_STARTING = threading.Lock()


def run_module(arguments, folder, environment):
    """Run ``python -m ARGUMENTS`` in a folder; returns what `subprocess.run` returns, with text."""
    request = json.dumps({"arguments": arguments, "folder": str(folder), "environment": environment})
    told, telling = socket.socketpair()
    with told, tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        with telling, _STARTING:
            socket.send_fds(_server(), [request.encode()], [file.fileno() for file in (output, errors, telling)])
        told.settimeout(SECONDS)
        status = told.recv(64)
        texts = []
        for file in (output, errors):
            file.seek(0)
            texts.append(file.read().decode())
    return subprocess.CompletedProcess(arguments, int(status), *texts)


@functools.cache
def _server():
    """The connection to the process that forks; it is started with the first command, and ends with this one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "PYTEST", "NBGRADER"))}
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.commands", str(theirs.fileno())],
        cwd=REPOSITORY,
        env={**kept, "PYTHONWARNINGS": "ignore"},
        pass_fds=[theirs.fileno()],
        stdin=subprocess.DEVNULL,
    )
    theirs.close()
    atexit.register(process.wait)
    atexit.register(ours.close)
    return ours


def _serve(connection):
    """Fork for each request, until the other end is closed; returns in the fork, with what it is to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        packet, descriptors, _, _ = socket.recv_fds(connection, 1 << 20, 3)
        if not packet:
            sys.exit()
        if os.fork() == 0:
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            return json.loads(packet), descriptors
        for descriptor in descriptors:
            os.close(descriptor)


def _run(request, descriptors):
    """Run a request in a fork, and tell its exit status."""
    output, errors, telling = descriptors
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        os.write(telling, str(os.waitstatus_to_exitcode(status)).encode())
        os._exit(0)
    os.close(telling)
    os.dup2(output, 1)
    os.dup2(errors, 2)
    os.close(output)
    os.close(errors)
    os.environ.clear()
    os.environ.update(request["environment"])
    os.chdir(request["folder"])
    module, *arguments = request["arguments"]
    sys.argv[1:] = arguments
    sys.path[0] = request["folder"]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    import nbgrader.apps.nbgraderapp
    import nbgrader.converters.autograde  # noqa: F401

    import tensorgrade.bridge.run
    import tensorgrade.cli  # noqa: F401

    _run(*_serve(socket.socket(fileno=int(sys.argv[1]))))
