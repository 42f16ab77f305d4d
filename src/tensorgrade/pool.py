"""Workers that grade jobs in processes of their own, each with a zygote.

Trusted side. A grader that hangs or crashes takes its worker with it, never nbgrader: the job is tried again in a new
worker, at last without that grader. The pool is a `ProcessPoolExecutor` that is replaced when it breaks.
"""

from __future__ import annotations

import atexit
import faulthandler
import multiprocessing
import os
import signal
import tempfile
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING

from .errors import EngineError

if TYPE_CHECKING:
    from .runner import Graded, Job
    from .supervisor import Zygote

ATTEMPTS = 2
_WATCHDOG_SECONDS = 900.0
_zygote: Zygote | None = None


class WorkerPool:
    """Grades one job at a time in a worker process that is started with the first one."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._children: list[BaseProcess] = []

    def grade(self, job: Job) -> Graded:
        """Return the result of `job`.

        A grader that ends its worker `ATTEMPTS` times is abandoned: its exercise is flagged and the others are judged.
        Raises `EngineError` when workers die for no grader's sake, and whatever `tensorgrade.runner.grade` raises.
        """
        deaths: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            journal = Path(folder) / "judging"
            while deaths[""] < ATTEMPTS:
                journal.write_text("", encoding="utf-8")
                try:
                    return self._started().submit(_grade, job, journal).result()
                except BrokenProcessPool:
                    self.close()
                except KeyboardInterrupt:
                    self.close()
                    raise
                judging = journal.read_text(encoding="utf-8")
                deaths[judging] += 1
                if judging and deaths[judging] == ATTEMPTS:
                    job = replace(job, abandoned=job.abandoned | {judging})
        raise EngineError(f"the worker process died {ATTEMPTS} times while running this notebook")

    def close(self) -> None:
        """End the workers at once, and with them their zygotes and submission processes."""
        if self._executor is None:
            return
        for child in self._children:
            child.kill()
        self._executor.shutdown(wait=True, cancel_futures=True)
        self._executor, self._children = None, []

    def _started(self) -> ProcessPoolExecutor:
        if self._executor is None:
            others = set(multiprocessing.active_children())
            context = multiprocessing.get_context("spawn")
            self._executor = ProcessPoolExecutor(1, mp_context=context, initializer=_start_worker)
            self._executor.submit(os.getpid).result()
            self._children = [child for child in multiprocessing.active_children() if child not in others]
            atexit.register(self.close)
        return self._executor


def _start_worker() -> None:
    from .supervisor import Zygote

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for nbgrader, which ends the workers
    global _zygote  # noqa: PLW0603 - what a worker process has one of
    _zygote = Zygote()  # it imports torch while this process does
    atexit.register(_zygote.close)


def _grade(job: Job, journal: Path) -> Graded:
    from .runner import grade

    if _zygote is None:
        raise EngineError("a worker was used before it was started; report this as a bug")
    faulthandler.dump_traceback_later(2 * job.seconds + _WATCHDOG_SECONDS, exit=True)
    try:
        return grade(job, _zygote, journal)
    except EngineError:
        _zygote.close()  # the next job gets a new one, whatever befell this
        _start_worker()
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()
