"""Workers: processes that grade jobs, forked from one that has imported torch and pytest.

Trusted side. ``python -m tensorgrade.worker FD MODULE...`` is the template; for each packet on its socket, which brings
the socket of a new worker and that of its zygote, it forks one. A worker answers each job with a result or an error,
both pickled: its peer is `tensorgrade.pool`, which trusts it. Whoever started the template may end it at any time; it
and its workers end with their sockets.
"""

from __future__ import annotations

import faulthandler
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

WATCHDOG_SECONDS = 900.0
"""How long judging may take beyond twice the notebook's time, before a worker that hangs ends itself."""
GARBAGE = (50_000, 20, 100)
"""Thresholds of the garbage collection: judging makes many objects, and few that only it can find."""


def main(descriptor: int, modules: list[str]) -> None:
    """Import what grading needs and `modules`; fork a worker for each packet until the other side closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever owns us, and ends us in order
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers that end are nobody's to wait for
    gc.disable()  # what is imported stays
    import torch

    torch.set_num_threads(1)  # workers share the processors; and a pool of threads would not survive a fork
    from . import runner  # noqa: F401 - what the workers run
    from .grading import warm_up

    warm_up()
    for module in modules:
        importlib.import_module(module)
    gc.enable()
    gc.set_threshold(*GARBAGE)
    control = socket.socket(fileno=descriptor)
    while packet := _receive(control):
        facts, (jobs, zygote) = packet
        child = os.fork()
        if child == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(Connection(jobs), facts, socket.socket(fileno=zygote))
        os.close(jobs)
        os.close(zygote)
        control.send(json.dumps(child).encode())


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    packet, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 2)
    return (json.loads(packet), descriptors) if packet else None


def _work(jobs: Connection, facts: dict[str, Any], control: socket.socket) -> None:
    """Grade jobs until there are no more; never returns."""
    from .errors import EngineError
    from .runner import grade
    from .supervisor import ZygoteFacts, ZygoteHandle

    status = 1
    try:
        threading.Thread(target=_end_with, args=(facts.pop("owner"),), daemon=True).start()
        with ZygoteHandle(ZygoteFacts(**{**facts, "runtime": tuple(facts["runtime"])}), control) as zygote:
            while True:
                job, journal = jobs.recv()
                faulthandler.dump_traceback_later(2 * job.seconds + WATCHDOG_SECONDS, exit=True)
                try:
                    jobs.send(grade(job, zygote, Path(journal)))
                except EngineError as error:
                    jobs.send(error)
                    break  # the next job gets another worker and another zygote, whatever befell these
                except Exception as error:  # noqa: BLE001 - the pool hands it to whoever waits
                    jobs.send(error)
                finally:
                    faulthandler.cancel_dump_traceback_later()
    except (EOFError, OSError):
        status = 0
    finally:
        os._exit(status)


def _end_with(owner: int) -> None:
    """End this process when `owner` does, also in the middle of a job; the zygote and its forks follow."""
    try:
        handle = os.pidfd_open(owner)
    except ProcessLookupError:
        os._exit(1)
    select.select([handle], [], [])
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
