"""The zygote: a process that has imported torch and IPython once and forks submission processes.

Untrusted side, but it runs no student code itself: ``python -I -m tensorgrade.zygote FD`` is started by
`tensorgrade.supervisor` with a clean environment and one socket, and never sees graders, solutions, expected values or
the gradebook. It stays single-threaded and runs no torch operation that starts threads, so that its forks are sound.

Requests on the socket (one JSON packet each): ``fork`` with the descriptors of a submission process's socket, stdout
and stderr; ``end`` kills that process's whole group, collects its status, and only then frees its process id.
"""

from __future__ import annotations

import gc
import json
import os
import random
import signal
import socket
import sys
import warnings
from typing import Any

from . import sandbox
from .process import serve
from .shell import Shell

_PACKET = 1 << 16


def main(descriptor: int) -> None:
    """Preload, report ``ready``, and answer requests until the other side closes the socket."""
    sandbox.adopt_orphans()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trusted side, which ends us in order
    control = socket.socket(fileno=descriptor)
    shell = _preload()
    gc.collect()
    gc.freeze()
    control.send(json.dumps({"ready": len(os.listdir("/proc/self/task"))}).encode())
    children: set[int] = set()
    while request := _receive(control):
        message, descriptors = request
        if "fork" in message:
            children.add(_fork(control, shell, message["fork"], descriptors))
        else:
            children.discard(message["end"])
            control.send(json.dumps(_end(message["end"], children)).encode())
    while children:
        _end(children.pop(), children)


def _preload() -> Shell:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

        torch.set_num_threads(1)  # before the first operation: a pool of threads would not survive the fork
        # building an optimizer imports torch._dynamo, and assert_close imports sympy: seconds that each child would pay
        torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        torch.testing.assert_close(torch.zeros(1), torch.zeros(1))
        import torch.func
        import torch.utils.data
    return Shell()


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    packet, descriptors, _, _ = socket.recv_fds(control, _PACKET, 3)
    return (json.loads(packet), descriptors) if packet else None


def _fork(control: socket.socket, shell: Shell, job: dict[str, Any], descriptors: list[int]) -> int:
    child = os.fork()
    if child == 0:
        _become_submission(shell, job, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    handle = os.pidfd_open(child)
    socket.send_fds(control, [json.dumps({"forked": child}).encode()], [handle])
    os.close(handle)
    return child


def _become_submission(shell: Shell, job: dict[str, Any], descriptors: list[int]) -> None:
    """Turn this fork into a submission process; never returns."""
    status = 70
    try:
        protocol, stdout, stderr = descriptors
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, target)
        sandbox.confine(sandbox.Confinement(**job["confinement"]), keep=frozenset({protocol}))
        signal.signal(signal.SIGINT, signal.default_int_handler)
        random.seed(job["seed"])
        shell.after_fork()
        serve(socket.socket(fileno=protocol), shell)
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is must not run the zygote's loop
        os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(status)


def _end(child: int, others: set[int]) -> dict[str, Any]:
    """Kill a submission process and all that it left, also what left its process group."""
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:  # it died before it had a group of its own
        os.kill(child, signal.SIGKILL)
    _, status, usage = os.wait4(child, 0)
    while orphans := sandbox.children() - others:
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)
    return {"ended": child, "status": status, "cpu_seconds": usage.ru_utime + usage.ru_stime}


if __name__ == "__main__":
    main(int(sys.argv[1]))
