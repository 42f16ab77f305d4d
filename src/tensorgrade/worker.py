"""Workers: processes that grade jobs, forked from one that has imported torch and pytest.

Trusted side. ``python -m tensorgrade.worker FD COURSE ASSIGNMENT MODULE...`` is the template; for each packet on its
socket, which brings the socket of a new worker, it forks one. A worker is given zygotes, by the modules that they have
imported, and answers each job, which says which of them it is for, with a result or an error, both pickled: its peer
is `tensorgrade.pool`, which trusts it. With jobs and answers go news of precedents. Whoever started the template may
end it at any time; it and its workers end with their sockets.
"""

from __future__ import annotations

import contextlib
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
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .job import Graded, Job
    from .precedents import Precedents
    from .supervisor import ZygoteHandle

WATCHDOG_SECONDS = 900.0
"""How long judging may take beyond twice the notebook's time, before a worker that hangs ends itself."""
GARBAGE = (50_000, 20, 100)
"""Thresholds of the garbage collection: judging makes many objects, and few that only it can find."""
JOBS = 10
"""After so many a worker collects all garbage: modules of graders refer to themselves, and keep tensors until then."""


def main(descriptor: int, course: str, assignment: str, modules: list[str]) -> None:
    """Make ready to grade an assignment, and fork a worker for each packet until the other side closes the socket.

    Without an assignment the name is empty; `modules` are imported beside what grading needs.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever owns us, and ends us in order
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # workers that end are nobody's to wait for
    gc.disable()  # what is imported stays
    import torch

    torch.set_num_threads(1)  # workers share the processors; and a pool of threads would not survive a fork
    from . import runner
    from .course import Course

    runner.warm_up(Course(Path(course)), assignment or None)
    for module in modules:
        importlib.import_module(module)
    gc.freeze()  # and need not be looked at again by each worker
    gc.enable()
    gc.set_threshold(*GARBAGE)
    control = socket.socket(fileno=descriptor)
    while packet := _receive(control):
        owner, jobs = packet
        child = os.fork()
        if child == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _work(Connection(jobs), owner)
        os.close(jobs)
        control.send(json.dumps(child).encode())


def _receive(control: socket.socket) -> tuple[int, int] | None:
    packet, descriptors, _, _ = socket.recv_fds(control, 1 << 16, 1)
    return (json.loads(packet), descriptors[0]) if packet else None


def _work(jobs: Connection, owner: int) -> None:
    """Grade jobs until there are no more; never returns."""
    from .errors import EngineError
    from .precedents import Precedents
    from .supervisor import ZygoteHandle

    status, graded = 1, 0
    precedents = Precedents()
    zygotes: dict[tuple[str, ...], ZygoteHandle] = {}
    try:
        threading.Thread(target=_end_with, args=(owner,), daemon=True).start()
        with contextlib.ExitStack() as closing:
            while True:
                modules, *told = jobs.recv()
                if modules not in zygotes:
                    handle = ZygoteHandle(told[0], socket.socket(fileno=reduction.recv_handle(jobs)))
                    zygotes[modules] = closing.enter_context(handle)
                    continue
                job, journal, news = told
                for told_by_another in news:
                    precedents.learn(told_by_another)
                try:
                    jobs.send((_graded(zygotes[modules], job, journal, precedents), precedents.news()))
                except EngineError as error:
                    jobs.send((error, b""))
                    break  # the next job gets another worker and other zygotes, whatever befell these
                except Exception as error:  # noqa: BLE001 - the pool hands it to whoever waits
                    jobs.send((error, b""))
                graded += 1
                if graded % JOBS == 0:
                    gc.collect()
    except (EOFError, OSError):
        status = 0
    finally:
        os._exit(status)


def _graded(zygote: ZygoteHandle, job: Job, journal: str, precedents: Precedents) -> Graded:
    """The result of a job; a grader that hangs for long ends this process."""
    from .runner import grade

    faulthandler.dump_traceback_later(2 * job.seconds + WATCHDOG_SECONDS, exit=True)
    try:
        return grade(job, zygote, Path(journal), precedents)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _end_with(owner: int) -> None:
    """End this process when `owner` does, also in the middle of a job; the zygote and its forks follow."""
    try:
        handle = os.pidfd_open(owner)
    except ProcessLookupError:
        os._exit(1)
    select.select([handle], [], [])
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:])
