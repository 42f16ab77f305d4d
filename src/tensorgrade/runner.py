"""Grades one notebook: runs its cells in a submission process and judges each exercise on a snapshot of it.

Trusted side. `grade` is a function of its job alone (and of the course's files): the same job gives the same result.
A cell that ends the process costs itself only: the cells before it are run again in a new process, without their
outputs, and the run goes on behind it.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from .codec import Message
from .course import Course
from .errors import GraderError, ProcessEnded, SubmissionFailure, TimeLimitExceeded
from .exercise import Assignment, Exercise, Language
from .findings import finding
from .grading import judge
from .sandbox import Confinement
from .supervisor import Process, SubmissionProcess, Zygote
from .verdict import Verdict, not_run

OUTPUT_LIMIT = 1 << 20
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
        memory: bytes that the submission may allocate.
        seconds: wall-clock limit of the whole notebook.
        abandoned: exercises whose grader has ended workers; they are flagged and not judged.
    """

    cells: tuple[CellJob, ...]
    course: Path
    assignment: str | None
    language: Language
    files: Path | None
    memory: int
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
    with tempfile.TemporaryDirectory(prefix="job-") as folder:
        _copy_files(job.files, Path(folder))
        run = _NotebookRun(job, zygote, folder)
        try:
            return run.grade(course, assignment, journal)
        finally:
            run.close()


def _copy_files(source: Path | None, target: Path) -> None:
    if source is None or not source.is_dir():
        return
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("*.ipynb"), dirs_exist_ok=True, symlinks=True)


@contextlib.contextmanager
def _noted(exercise: str, journal: Path | None) -> Iterator[None]:
    if journal is not None:
        journal.write_text(exercise, encoding="utf-8")
    yield
    if journal is not None:
        journal.write_text("", encoding="utf-8")


class _NotebookRun:
    """A notebook under way: the process that runs it, and the cells that made its state."""

    def __init__(self, job: Job, zygote: Zygote, folder: str) -> None:
        self._job = job
        self._zygote = zygote
        self._confinement = Confinement(folder, job.memory, cpu_seconds=int(job.seconds) + 1)
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
        machine = _Snapshots(self, seconds)
        try:
            return judge(exercise, grader, machine, self._job.language)
        finally:
            machine.close()

    def close(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def snapshot(self) -> Process:
        """A process in the state of this notebook that nothing else depends on."""
        process = self._ready()
        if not process.can_fork():
            return self._start()
        try:
            return process.snapshot()
        except SubmissionFailure:
            # an earlier snapshot may have taken its parent along; that must not cost this exercise
            if process.alive:
                raise
            return self.snapshot()

    def _run_cell(self, cell: CellJob) -> CellRun:
        try:
            answer = self._ready().run_cell(cell.source, self._seconds(cell), OUTPUT_LIMIT)
        except TimeLimitExceeded:
            self.close()
            return _stopped("CellTimeoutError", "cell-time-limit", self._job.language, seconds=f"{cell.seconds:g}")
        except SubmissionFailure:
            self.close()
            exhausted = self._starts > MAX_RESTARTS or self._deadline <= time.monotonic()
            return _stopped("DeadKernelError", "cell-not-run" if exhausted else "cell-ended", self._job.language)
        self._done.append(cell)
        return self._cell_run(cell, answer)

    def _cell_run(self, cell: CellJob, answer: Message) -> CellRun:
        outputs = tuple(cast("dict[str, Any]", output) for output in cast("list[object]", answer["outputs"]))
        if answer.get("interrupted"):
            told = _stopped("CellTimeoutError", "cell-time-limit", self._job.language, seconds=f"{cell.seconds:g}")
            outputs = (*outputs, *told.outputs)
        count = answer.get("execution_count")
        return CellRun(outputs, count if isinstance(count, int) else None)

    def _seconds(self, cell: CellJob) -> float:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise ProcessEnded("the notebook used up its time")
        return min(cell.seconds, left)

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
        process = self._zygote.start(self._confinement, SEED)
        try:
            for cell in self._done:
                process.run_cell(cell.source, self._seconds(cell), OUTPUT_LIMIT)
        except SubmissionFailure:
            process.close()
            raise
        return process


class _Snapshots:
    """The machine of one exercise: a snapshot that is replaced when it is lost."""

    def __init__(self, run: _NotebookRun, seconds: float) -> None:
        self._run = run
        self._snapshot: Process | None = None
        self.seconds = seconds

    def request(self, message: Message) -> Message:
        if self._snapshot is None or not self._snapshot.alive:
            self.close()
            self._snapshot = self._run.snapshot()
        return self._snapshot.request(message, self.seconds)

    def with_accelerators(self, count: int) -> _Snapshots:
        if count:
            raise GraderError(f"this version has no virtual accelerators; it cannot run a machine with {count}")
        return self

    def close(self) -> None:
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None


def _stopped(name: str, code: str, language: Language, **facts: str) -> CellRun:
    """What stands in a notebook for a cell that gave no outputs."""
    sentence = finding(code, **facts).text.get(language)
    return CellRun(({"output_type": "error", "ename": name, "evalue": sentence, "traceback": [f"{name}: {sentence}"]},))
