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
import threading
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from .errors import EngineError

if TYPE_CHECKING:
    from .runner import Graded, Job
    from .sandbox import Tier
    from .supervisor import Zygote

ATTEMPTS = 2
_WATCHDOG_SECONDS = 900.0


@dataclass(frozen=True)
class Settings:
    """How the workers of a pool confine submissions.

    Attributes:
        tier: A, B or C; ``"auto"`` is A where that is possible, else B.
        devices: files below /dev that submissions may use.
    """

    tier: Tier | Literal["auto"] = "auto"
    devices: tuple[str, ...] = ()


class WorkerPool:
    """Grades one job at a time in a worker process that is started with the first one."""

    def __init__(self) -> None:
        self._executor: ProcessPoolExecutor | None = None
        self._children: list[BaseProcess] = []
        self._settings = Settings()

    def prepare(self, settings: Settings) -> Tier:
        """Start the worker; returns the tier that it confines submissions in.

        Raises `tensorgrade.errors.ConfinementError` when this machine cannot give what the settings ask for.
        """
        if settings != self._settings:
            self.close()
            self._settings = settings
        return self._started().submit(_tier).result()

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
            self._executor = ProcessPoolExecutor(
                1, mp_context=context, initializer=_start_worker, initargs=(self._settings,)
            )
            self._executor.submit(os.getpid).result()
            self._children = [child for child in multiprocessing.active_children() if child not in others]
            atexit.register(self.close)
        return self._executor


POOL = WorkerPool()
"""One per process: its workers stay warm from one click of formgrader's to the next."""


# ------------------------------------------------------------------------------------- in the worker


class _Worker:
    """What a worker process has one of: a zygote, which is opened anew after it has failed."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._zygote: Zygote | None = None
        atexit.register(self.close)

    def zygote(self) -> Zygote:
        """The zygote; it imports torch while this process does."""
        from .supervisor import open_zygote

        if self._zygote is None:
            self._zygote = open_zygote(self._settings.tier, self._settings.devices)
        return self._zygote

    def close(self) -> None:
        if self._zygote is not None:
            self._zygote.close()
            self._zygote = None


_worker: _Worker | None = None


def _start_worker(settings: Settings) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for nbgrader, which ends the workers
    threading.Thread(target=_end_with_parent, daemon=True).start()
    global _worker  # noqa: PLW0603
    _worker = _Worker(settings)


def _end_with_parent() -> None:
    """End this process when its parent does, however that ends; the zygote and its forks follow."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _tier() -> Tier:
    assert _worker is not None  # the executor's initializer has run
    return _worker.zygote().tier


def _grade(job: Job, journal: Path) -> Graded:
    from .runner import grade

    assert _worker is not None  # the executor's initializer has run
    faulthandler.dump_traceback_later(2 * job.seconds + _WATCHDOG_SECONDS, exit=True)
    try:
        return grade(job, _worker.zygote(), journal)
    except EngineError:
        _worker.close()  # the next job gets a new zygote, whatever befell this one
        raise
    finally:
        faulthandler.cancel_dump_traceback_later()
