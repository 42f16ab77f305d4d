"""Tests in processes of their own, each with virtual devices: `on_machine` marks a test as one.

Devices are enabled once per process and for good, so each test runs in a fork of a server which has imported torch and
called `prepare`. The server is started by the first such test. A test's failure comes back with its traceback.

As a program this is the server: ``python -m tests.virtual_machine FD`` answers requests on a socket.
"""

import atexit
import contextlib
import functools
import importlib
import importlib.util
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]
SECONDS = 120


def on_machine(devices=2, memory=16 << 30, environment=None):
    """Run the decorated test in a fresh process with virtual devices (None: `enable` is not called).

    `environment` is added to the process's before anything else. The test's arguments must be picklable.
    """

    def decorate(body):
        @functools.wraps(body)
        def test(**arguments):
            machine = {"devices": devices, "memory": memory, "environment": environment or {}}
            _run(Path(body.__code__.co_filename), body.__name__, arguments, machine)

        test.body = body
        return test

    return decorate


def _run(file, name, arguments, machine):
    connection = _server()
    connection.send((str(file), name, pickle.dumps(arguments), machine))
    if not connection.poll(SECONDS + 10):
        _server.cache_clear()
        raise AssertionError(f"{name} did not end within {SECONDS} s, and its server does not answer")
    failure = connection.recv()
    if failure:
        raise AssertionError(f"in a process with virtual devices:\n{failure}")


@functools.cache
def _server():
    ours, theirs = socket.socketpair()
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    environment.pop("CUDA_VISIBLE_DEVICES", None)
    command = [sys.executable, "-m", "tests.virtual_machine", str(theirs.fileno())]
    server = subprocess.Popen(command, cwd=REPOSITORY, env=environment, pass_fds=(theirs.fileno(),))
    theirs.close()
    connection = Connection(ours.detach())
    atexit.register(_close, connection, server)
    return connection


def _close(connection, server):
    connection.close()
    server.wait(10)


def serve(descriptor):
    """Import and prepare, then fork for each request until the other side closes the socket."""
    import pytest  # noqa: F401 - what tests import, once
    import torch

    from tensorgrade import virtual_cuda
    from tensorgrade.late import LateImports

    torch.set_num_threads(1)
    for module in LateImports().submissions:
        importlib.import_module(module)
    virtual_cuda.prepare()
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError):
        while True:
            request = connection.recv()
            connection.send(_in_a_fork(request))


def _in_a_fork(request):
    """What went wrong in a process that ran the test, or None."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with os.fdopen(writing, "w") as out:
            out.write(_outcome(*request))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, errors="replace") as said:
        failure = said.read()
    _, status = os.waitpid(child, 0)
    return failure or (f"the process ended with status {status}" if status else None)


def _outcome(file, name, arguments, machine):
    signal.signal(signal.SIGALRM, _too_slow)
    signal.alarm(SECONDS)
    os.environ.update(machine["environment"])
    try:
        if machine["devices"] is not None:
            from tensorgrade import virtual_cuda

            virtual_cuda.enable(devices=machine["devices"], memory=machine["memory"])
        body = getattr(_module(file), name).body
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            body(**pickle.loads(arguments))
    except BaseException:  # noqa: BLE001 - whatever it was is told to the test's process
        return traceback.format_exc()
    return ""


def _too_slow(*_):
    raise TimeoutError(f"the test ran for more than {SECONDS} s")


def _module(file):
    """The test module, by the name that pickles of its classes and functions have."""
    name = f"tests.{Path(file).stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    serve(int(sys.argv[1]))
