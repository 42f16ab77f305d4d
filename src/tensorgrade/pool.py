"""A pool of workers that grade jobs ahead of whoever collects the results.

Trusted side, in nbgrader's process. A zygote and a template of workers are started once, side by side; each worker is
a fork of the template and has a fork of the zygote, and another one for notebooks that use what torch imports late. A
grader that hangs or crashes takes its worker along, never nbgrader: the job is tried again in a new worker, at last
without that grader.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from collections import Counter, deque
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from dataclasses import replace
from multiprocessing import reduction
from multiprocessing.connection import Connection
from pathlib import Path

from .course import Course
from .errors import EngineError
from .job import Graded, Job, Settings
from .late import LateImports, needed_by
from .sandbox import Tier
from .slots import UserSlot
from .supervisor import Zygote, ZygoteFacts, ZygoteHandle, open_zygote

ATTEMPTS = 2
MAX_UNTOLD = 32
"""News that wait for a worker; of what it misses it finds out itself."""


class WorkerPool:
    """Workers that are started with the first job; one per processor if no other number is given."""

    def __init__(self, workers: int | None = None) -> None:
        self._count = workers or _processors()
        self._settings = self._given = Settings()
        self._lock = threading.Lock()
        self._origin: _Origin | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._of_thread = threading.local()
        self._workers: list[_Worker] = []
        self._numbered = 0

    def prepare(self, settings: Settings, workers: int | None = None) -> Tier:
        """Make ready for jobs; returns the tier that submissions are confined in.

        Raises `tensorgrade.errors.ConfinementError` when this machine cannot give what the settings ask for.
        """
        count = workers or _processors()
        if settings not in (self._settings, self._given) or count != self._count:
            self.close()
            self._settings, self._count = settings, count
        tier = self._started().zygote.tier
        self._given = replace(self._settings, tier=tier)
        return tier

    def warm_up(self, course: Path, assignment: str | None) -> None:
        """Let what workers are forked from import what an assignment needs; the first job does it at the latest.

        It takes seconds, beside whatever the caller does, and would be in vain if all results were stored.
        """
        self._started().warm_up(course, assignment)

    @property
    def workers(self) -> int:
        """How many jobs are graded at a time."""
        return self._count

    def submit(self, job: Job) -> Future[Graded]:
        """Grade `job` as soon as a worker is free.

        A grader that ends its worker `ATTEMPTS` times is abandoned: its exercise is flagged and the others are judged.
        The future raises `EngineError` when workers die for no grader's sake, and whatever `tensorgrade.runner.grade`
        raises.
        """
        self.warm_up(job.course, job.assignment)
        assert self._threads is not None  # it was started
        return self._threads.submit(self._grade, job)

    def grade(self, job: Job) -> Graded:
        """Return the result of `job`; see `submit`."""
        try:
            return self.submit(job).result()
        except KeyboardInterrupt:
            self.close()
            raise

    def close(self) -> None:
        """End the workers at once, and with them their zygotes and submission processes."""
        with self._lock:
            threads, origin, workers = self._threads, self._origin, self._workers
            self._threads, self._origin, self._workers = None, None, []
            self._of_thread = threading.local()
        for worker in workers:
            worker.kill()
        if threads is not None:
            threads.shutdown(wait=True, cancel_futures=True)
        if origin is not None:
            origin.close()

    def _started(self) -> _Origin:
        origin = self._origin
        if origin is not None and origin.has_ended():
            self.close()
        with self._lock:
            if self._origin is None:
                self._origin = _Origin(open_zygote(self._settings.tier, self._settings.devices))
                self._threads = ThreadPoolExecutor(self._count, thread_name_prefix="tensorgrade")
                atexit.register(self.close)
                atexit.register(gc.freeze)  # else Python, about to end, looks through all of nbgrader for garbage
            return self._origin

    def _grade(self, job: Job) -> Graded:
        deaths: Counter[str] = Counter()
        with tempfile.TemporaryDirectory() as folder:
            journal = Path(folder) / "judging"
            while deaths[""] < ATTEMPTS:
                journal.write_text("", encoding="utf-8")
                worker = self._worker()
                answer, news = worker.ask(job, journal)
                self._tell(news, worker)
                if isinstance(answer, Graded):
                    return answer
                if isinstance(answer, EngineError) or answer is None:
                    self._discard(worker)
                if isinstance(answer, Exception):
                    raise answer
                judging = journal.read_text(encoding="utf-8")
                deaths[judging] += 1
                if judging and deaths[judging] == ATTEMPTS:
                    job = replace(job, abandoned=job.abandoned | {judging})
        raise EngineError(f"the worker process died {ATTEMPTS} times while running this notebook")

    def _tell(self, news: bytes, teller: _Worker) -> None:
        """Let the other workers know, each with its next job, what one has learned about answers."""
        with self._lock:
            for worker in self._workers if news else ():
                if worker is not teller:
                    worker.news.append(news)

    def _worker(self) -> _Worker:
        """The worker of this thread."""
        worker: _Worker | None = getattr(self._of_thread, "worker", None)
        if worker is not None:
            return worker
        with self._lock:
            origin = self._origin
            if not hasattr(self._of_thread, "number"):
                self._of_thread.number = self._numbered
                self._numbered += 1
        if origin is None:
            raise CancelledError
        worker = origin.worker(
            self._of_thread.number
        )  # takes seconds the first time, and nobody else is to wait for it
        with self._lock:
            if self._origin is origin:
                self._workers.append(worker)
                self._of_thread.worker = worker
                return worker
        worker.kill()
        raise CancelledError

    def _discard(self, worker: _Worker) -> None:
        worker.kill()
        with self._lock:
            if worker not in self._workers:  # the pool was closed, which is why the worker is gone
                raise CancelledError
            self._workers.remove(worker)
        self._of_thread.worker = None


def _processors() -> int:
    return len(os.sched_getaffinity(0))


class _Origin:
    """What workers and their zygotes are forked from: zygotes, and a template that has imported what grading needs."""

    def __init__(self, zygote: Zygote) -> None:
        self.zygote = zygote
        self._template: subprocess.Popen[bytes] | None = None
        self._forking = threading.Lock()
        self._late = _LateZygotes(self)
        self._imported: tuple[str, ...] = ()
        self._answers: tuple[str, ...] = ()

    def warm_up(self, course: Path, assignment: str | None) -> None:
        """Let both import what they need, side by side."""
        if self._template is not None:
            return
        late = LateImports.of(Course(course), assignment)
        self._imported, self._answers = late.submissions, late.answers
        self.zygote.preload(late.submissions)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._template = subprocess.Popen(
                [
                    *(sys.executable, "-m", "tensorgrade.worker", str(theirs.fileno())),
                    *(str(course), assignment or "", *late.graders),
                ],
                pass_fds=[theirs.fileno()],
                # it must stay single-threaded, and workers share the processors
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"},
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )

    def needed(self, job: Job) -> tuple[str, ...]:
        """The modules beside what each zygote has of a zygote for this job's notebook.

        One that needs some gets all that the course's answers use, so that few zygotes do for a class.
        """
        modules = needed_by(cell.source for cell in job.cells if cell.exercise is None)
        asked_for = dict.fromkeys((*modules, *self._answers)) if modules else ()
        return tuple(sorted(module for module in asked_for if module not in self._imported))

    def worker(self, number: int) -> _Worker:
        """Fork worker number `number`; `warm_up` comes first.

        It and its zygotes stay on one processor: they wait for each other in turn, hundreds of times for a notebook,
        and to wake somebody up on another processor takes longer than many an answer.
        """
        processors = sorted(os.sched_getaffinity(0))
        processor = processors[number % len(processors)]
        jobs, theirs = socket.socketpair()
        with self._forking, theirs:
            try:
                socket.send_fds(self._control, [json.dumps(os.getpid()).encode()], [theirs.fileno()])
                pid = json.loads(self._control.recv(1 << 10) or "null")
            except OSError:
                pid = None
        if pid is None:
            raise EngineError("the process that workers are forked from has ended; its messages are above")
        _stay_on(processor, pid)
        return _Worker(pid, Connection(jobs.detach()), self, processor)

    def fork_zygote(self, modules: tuple[str, ...], user: int | None) -> tuple[ZygoteFacts, socket.socket]:
        """Fork a zygote that has imported `modules`, or does so now."""
        return self._late.fork(modules, user) if modules else self.fork_first(user)

    def fork_first(self, user: int | None, modules: tuple[str, ...] = ()) -> tuple[ZygoteFacts, socket.socket]:
        """Fork the first zygote, and let the fork import `modules`."""
        with self._forking:
            return self.zygote.fork(user, modules)

    def has_ended(self) -> bool:
        """Whether one of the two is gone, so that there will be no more workers."""
        return self.zygote.has_ended() or (self._template is not None and self._template.poll() is not None)

    def close(self) -> None:
        """End the template and the zygotes, when no worker is being forked from them."""
        self._late.close()
        with self._forking:
            self.zygote.close()
            if self._template is not None:
                self._control.close()
                self._template.kill()
                self._template.wait()


class _LateZygotes:
    """Zygotes with modules that take seconds to import: each made once, when a notebook needs it, beside the others."""

    def __init__(self, origin: _Origin) -> None:
        self._origin = origin
        self._zygotes: dict[tuple[str, ...], ZygoteHandle] = {}
        self._forking = threading.Lock()

    def fork(self, modules: tuple[str, ...], user: int | None) -> tuple[ZygoteFacts, socket.socket]:
        """Fork the one with these modules, when it has imported them."""
        with self._forking:
            if modules not in self._zygotes:
                self._zygotes[modules] = ZygoteHandle(*self._origin.fork_first(None, modules))
            return self._zygotes[modules].fork(user)

    def close(self) -> None:
        """End them."""
        with self._forking:
            for zygote in self._zygotes.values():
                zygote.close()
            self._zygotes.clear()


class _Worker:
    """The pool's end of a worker.

    Attributes:
        news: from the other workers, which it is not told yet: the last that there were, see `tensorgrade.precedents`.
    """

    def __init__(self, pid: int, jobs: Connection, origin: _Origin, processor: int) -> None:
        self._handle: int | None = None  # once it has ended, its id may be that of another process
        with contextlib.suppress(ProcessLookupError):
            self._handle = os.pidfd_open(pid)
        self._pid = pid
        self._jobs = jobs
        self._origin = origin
        self._processor = processor
        self._slots: list[UserSlot] = []
        self._zygotes: set[tuple[str, ...]] = set()
        self.news: deque[bytes] = deque(maxlen=MAX_UNTOLD)

    def ask(self, job: Job, journal: Path) -> tuple[Graded | Exception | None, bytes]:
        """The result of a job, the error it ended with, or None when the worker is gone; and its news for others."""
        modules = self._origin.needed(job)
        news = [self.news.popleft() for _ in range(len(self.news))]
        try:
            if modules not in self._zygotes:
                self._bring_zygote(modules)
            self._jobs.send((modules, job, str(journal), news))
            answer: tuple[Graded | Exception, bytes] = self._jobs.recv()
        except (EOFError, OSError):
            return None, b""
        except EngineError as error:  # there is no zygote any more
            return error, b""
        return answer

    def _bring_zygote(self, modules: tuple[str, ...]) -> None:
        slot = UserSlot() if self._origin.zygote.facts.user is not None else None
        if slot is not None:
            self._slots.append(slot)
        facts, zygote = self._origin.fork_zygote(modules, slot.user if slot else None)
        _stay_on(self._processor, facts.pid)
        with zygote:
            self._jobs.send((modules, facts))
            reduction.send_handle(self._jobs, zygote.fileno(), self._pid)
        self._zygotes.add(modules)

    def kill(self) -> None:
        """End it at once; whoever waits for its answer gets none."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(handle, signal.SIGKILL)
            os.close(handle)
        for slot in self._slots:
            slot.release()


def _stay_on(processor: int, process: int) -> None:
    with contextlib.suppress(OSError):  # it has ended, which is found out when it is asked
        os.sched_setaffinity(process, {processor})


POOL = WorkerPool()
"""One per process: its workers stay warm from one click of formgrader's to the next."""
