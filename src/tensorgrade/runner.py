"""Grades one notebook: runs its cells in a submission process and judges each exercise on a snapshot of it.

Trusted side. `grade` is a function of its job alone (and of the course's files): the same job gives the same result.
A cell that ends the process costs itself only: the cells before it are run again in a new process, without their
outputs, and the run goes on behind it.
"""

from __future__ import annotations

import contextlib
import math
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from .codec import Message
from .course import Course
from .errors import GraderError, LimitExceeded, ProcessEnded, SubmissionFailure, TimeLimitExceeded
from .exercise import Assignment, Exercise, Language
from .findings import finding
from .grading import judge
from .limits import Allowance, limit_behind, together
from .processes import Process, SubmissionProcess
from .sandbox import Confinement, Narrowed
from .supervisor import Zygote
from .verdict import Verdict, not_run

MAX_RESTARTS = 5
SEED = 0


@dataclass(frozen=True)
class CellJob:
    """A code cell to run, or, when `exercise` is given, the place where that exercise is judged."""

    source: str
    seconds: float
    exercise: str | None = None


@dataclass(frozen=True)
class Job:
    """Everything a notebook's result depends on, besides the files of its course.

    Attributes:
        cells: in the order of the notebook.
        course: the course's folder.
        assignment: the assignment that the exercises of `cells` belong to, or None for an ordinary notebook.
        language: of the verdicts.
        files: the folder whose files (other than notebooks) lie beside the notebook; a private copy is made.
        seconds: wall-clock limit of the whole notebook.
        abandoned: exercises whose grader has ended workers; they are flagged and not judged.
    """

    cells: tuple[CellJob, ...]
    course: Path
    assignment: str | None
    language: Language
    files: Path | None
    seconds: float
    abandoned: frozenset[str] = frozenset()


@dataclass(frozen=True)
class CellRun:
    """What running a cell gave: nbformat outputs, as ipykernel would have written them."""

    outputs: tuple[dict[str, Any], ...]
    execution_count: int | None = None


@dataclass(frozen=True)
class Graded:
    """The result of a job: one entry per cell of the job, None where an exercise is judged; verdicts by exercise."""

    runs: tuple[CellRun | None, ...]
    verdicts: dict[str, Verdict] = field(default_factory=dict)


def grade(job: Job, zygote: Zygote, journal: Path | None = None) -> Graded:
    """Return the result of `job`.

    While an exercise is judged, its name stands in the file `journal`: should the grader end this process, its owner
    knows which one did. Raises an `AuthorError` for a course that cannot be loaded, or `EngineError`.
    """
    course = Course(job.course)
    assignment = course.load(job.assignment) if job.assignment else None
    zygote.check_hides(course.root)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o711)  # a submission with a user id of its own must get to its folder in there
        run = _NotebookRun(job, assignment, zygote, Path(folder))
        try:
            return run.grade(course, assignment, journal)
        finally:
            run.close()


@contextlib.contextmanager
def _noted(exercise: str, journal: Path | None) -> Iterator[None]:
    if journal is not None:
        journal.write_text(exercise, encoding="utf-8")
    yield
    if journal is not None:
        journal.write_text("", encoding="utf-8")


class _NotebookRun:
    """A notebook under way: the process that runs it, and the cells that made its state."""

    def __init__(self, job: Job, assignment: Assignment | None, zygote: Zygote, folder: Path) -> None:
        self._job = job
        self._zygote = zygote
        self._folder = folder
        self._read_only = frozenset(assignment.settings.files) if assignment else frozenset()
        exercises = assignment.exercises if assignment else ()
        self._allowance = together(exercise.limits.allowance() for exercise in exercises)
        self._process: SubmissionProcess | None = None
        self._done: list[CellJob] = []
        self._starts = 0
        self._deadline = time.monotonic() + job.seconds

    def grade(self, course: Course, assignment: Assignment | None, journal: Path | None) -> Graded:
        runs: list[CellRun | None] = []
        verdicts: dict[str, Verdict] = {}
        for cell in self._job.cells:
            if cell.exercise is None or assignment is None:
                runs.append(self._run_cell(cell))
                continue
            runs.append(None)
            exercise = assignment.exercise(cell.exercise)
            grader = course.grader_file(assignment.name, exercise.name)
            with _noted(exercise.name, journal):
                verdicts[exercise.name] = self._judge(exercise, grader, cell.seconds)
        return Graded(tuple(runs), verdicts)

    def _judge(self, exercise: Exercise, grader: Path, seconds: float) -> Verdict:
        if exercise.name in self._job.abandoned:
            flagged = f"{grader}: the grader ended the process that it ran in, or hung"
            return not_run(exercise, self._job.language, None, flagged)
        machine = _Snapshots(self, replace(exercise.limits.allowance(), seconds=seconds))
        try:
            return judge(exercise, grader, machine, self._job.language)
        finally:
            machine.discard()

    def close(self) -> float:
        """End the notebook's process; returns the processor seconds that it used."""
        process, self._process = self._process, None
        if process is None:
            return 0.0
        process.close()
        return process.cpu_seconds

    def seconds_left(self) -> float:
        """How long the notebook may still take."""
        return self._deadline - time.monotonic()

    def snapshot(self, allowance: Allowance) -> Process:
        """A process in the state of this notebook that nothing else depends on."""
        process = self._ready()
        if not process.can_fork():
            return self._start()
        try:
            return process.snapshot(_narrowed(allowance))
        except SubmissionFailure:
            # an earlier snapshot may have taken its parent along; that must not cost this exercise
            if process.alive:
                raise
            return self.snapshot(allowance)

    def _run_cell(self, cell: CellJob) -> CellRun:
        try:
            answer = self._ready().run_cell(cell.source, self._seconds(cell), self._allowance.output)
        except TimeLimitExceeded:
            self.close()
            return self._stopped("CellTimeoutError", "cell-time-limit", seconds=f"{cell.seconds:g}")
        except LimitExceeded as failure:
            self.close()
            return self._over(failure.limit)
        except SubmissionFailure:
            if self.close() >= self._allowance.cpu_seconds:
                return self._over("cpu_seconds")
            exhausted = self._starts > MAX_RESTARTS or self._deadline <= time.monotonic()
            return self._stopped("DeadKernelError", "cell-not-run" if exhausted else "cell-ended")
        self._done.append(cell)
        return self._cell_run(cell, answer)

    def _cell_run(self, cell: CellJob, answer: Message) -> CellRun:
        outputs = tuple(cast("dict[str, Any]", output) for output in cast("list[object]", answer["outputs"]))
        if answer.get("interrupted"):
            outputs += self._stopped("CellTimeoutError", "cell-time-limit", seconds=f"{cell.seconds:g}").outputs
        elif outputs and outputs[-1]["output_type"] == "error":
            limit = limit_behind(f"{outputs[-1].get('ename')}: {outputs[-1].get('evalue')}")
            outputs += self._over(limit).outputs if limit else ()
        count = answer.get("execution_count")
        return CellRun(outputs, count if type(count) is int and count >= 0 else None)

    def _over(self, limit: str) -> CellRun:
        """What stands for a cell that went over a limit."""
        return self._stopped("ResourceLimitError", f"limit-{limit}", limit=self._allowance.told(limit))

    def _stopped(self, name: str, code: str, **facts: str) -> CellRun:
        """What stands for a cell that gave no outputs."""
        sentence = finding(code, **facts).text.get(self._job.language)
        error = {"output_type": "error", "ename": name, "evalue": sentence, "traceback": [f"{name}: {sentence}"]}
        return CellRun((error,))

    def _seconds(self, cell: CellJob) -> float:
        if self.seconds_left() <= 0:
            raise ProcessEnded("the notebook used up its time")
        return min(cell.seconds, self.seconds_left())

    def _ready(self) -> SubmissionProcess:
        """The process of this notebook, in the state that its cells so far have made."""
        if self._process is None or not self._process.alive:
            self.close()
            self._starts += 1
            if self._starts > MAX_RESTARTS:
                raise ProcessEnded("the process ended too often")
            self._process = self._start()
        return self._process

    def _start(self) -> SubmissionProcess:
        """Start a process and run the cells so far in it."""
        name = self._job.assignment or (self._job.files.name if self._job.files else "notebook")
        folder = tempfile.mkdtemp(dir=self._folder)
        confinement = _confinement(name, folder, self._allowance)
        process = self._zygote.start(confinement, SEED, self._job.files, self._read_only)
        try:
            for cell in self._done:
                process.run_cell(cell.source, self._seconds(cell), self._allowance.output)
        except SubmissionFailure:
            process.close()
            raise
        return process


def _confinement(name: str, folder: str, allowance: Allowance) -> Confinement:
    """What the process of a notebook may use."""
    return Confinement(
        name=name,
        folder=folder,
        memory=allowance.memory,
        cpu_seconds=math.ceil(allowance.cpu_seconds),
        processes=allowance.processes,
        disk=allowance.disk,
        files=allowance.files,
        programs=allowance.subprocesses,
    )


def _narrowed(allowance: Allowance) -> Narrowed:
    """What a snapshot may use that answers for one exercise."""
    return Narrowed(allowance.memory, math.ceil(allowance.cpu_seconds), allowance.subprocesses)


class _Snapshots:
    """The machine of one exercise: a snapshot that is replaced when it is lost."""

    def __init__(self, run: _NotebookRun, allowance: Allowance) -> None:
        self._run = run
        self._snapshot: Process | None = None
        self.allowance = allowance

    def request(self, message: Message) -> Message:
        if self._run.seconds_left() <= 0:
            raise TimeLimitExceeded("the notebook used up its time")
        if self._snapshot is None or not self._snapshot.alive:
            self.discard()
            self._snapshot = self._run.snapshot(self.allowance)
        seconds = min(self.allowance.seconds, self._run.seconds_left())
        return self._snapshot.request(message, seconds, self.allowance.result)

    def with_accelerators(self, count: int) -> _Snapshots:
        if count:
            raise GraderError(f"this version has no virtual accelerators; it cannot run a machine with {count}")
        return self

    def discard(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None
