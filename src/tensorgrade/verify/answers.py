"""The answers that an exercise's file gives, what each must earn, and the jobs that find out what it does earn.

Trusted side.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from ..course import Course
from ..exercise import Assignment, Exercise
from ..job import CellJob, CellRun, Graded, Job
from ..verdict import Status, Verdict

SECONDS = 120.0
"""Wall-clock limit of one answer with all that its grader asks it."""


class Kind(StrEnum):
    """What an answer is to its exercise."""

    STARTER = "starter"
    SOLUTION = "solution"
    ACCEPT = "accept"
    REJECT = "reject"


@dataclass(frozen=True)
class Answer:
    """An answer, and what it must come to.

    Attributes:
        name: of an accepted or rejected answer; else that of its kind.
        lost: exactly the clauses that it must lose.
        diagnosis: the code of a finding that it must get, if the file names one.
    """

    kind: Kind
    name: str
    code: str
    lost: frozenset[str] = frozenset()
    diagnosis: str | None = None

    @property
    def right(self) -> bool:
        """Whether it must earn everything."""
        return self.kind in (Kind.SOLUTION, Kind.ACCEPT)

    @property
    def key(self) -> tuple[str, ...]:
        """Where it stands in the exercise's file."""
        return (self.kind,) if self.kind in (Kind.STARTER, Kind.SOLUTION) else (self.kind, self.name)


def answers(exercise: Exercise) -> Iterator[Answer]:
    """Yield all answers of an exercise, the starter first."""
    yield Answer(Kind.STARTER, "starter", exercise.starter, frozenset(exercise.clauses))
    yield Answer(Kind.SOLUTION, "solution", exercise.solution)
    for name, code in exercise.accept.items():
        yield Answer(Kind.ACCEPT, name, code)
    for name, rejected in exercise.reject.items():
        yield Answer(Kind.REJECT, name, rejected.code, frozenset(rejected.because), rejected.diagnosis)


@dataclass(frozen=True)
class Desk:
    """Where the answers of one assignment are made: its course, its setup and the side files that students get."""

    course: Course
    assignment: Assignment
    files: Path | None

    def job(self, exercise: Exercise, code: str, *, examples: bool = False, first: str = "") -> Job:
        """Return the job that grades `code` as the answer to an exercise.

        Args:
            exercise: to grade.
            code: of the answer.
            examples: whether the visible examples run behind the place where the exercise is judged.
            first: code that runs before the assignment's setup.
        """
        seconds = exercise.limits.allowance().seconds
        sources = (*([first] if first else ()), self.assignment.settings.setup, code)
        cells = [CellJob(source, seconds) for source in sources]
        cells.append(CellJob("", seconds, exercise.name))
        cells += [CellJob(exercise.examples, seconds)] if examples else []
        return Job(tuple(cells), self.course.root, self.assignment.name, "en", self.files, SECONDS, measured=True)


@contextlib.contextmanager
def desk(course: Course, assignment: Assignment) -> Iterator[Desk]:
    """Lay out the side files of an assignment, and none of the other files in its folder, which hold the solutions."""
    with tempfile.TemporaryDirectory() as folder:
        for name in assignment.settings.files:
            copy = Path(folder, name)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(course.assignment_folder(assignment.name) / name, copy)
        yield Desk(course, assignment, Path(folder) if assignment.settings.files else None)


def with_call_limit(job: Job, seconds: float) -> Job:
    """Return the same job, with at most `seconds` for each cell and each call."""
    return replace(job, cells=tuple(replace(cell, seconds=min(cell.seconds, seconds)) for cell in job.cells))


@dataclass(frozen=True)
class Outcome:
    """What became of an answer.

    Attributes:
        verdict: of the grader.
        examples: what the examples raised, or None when they passed or were not run.
        cells: what the cells before raised, or None.
    """

    verdict: Verdict
    examples: str | None = None
    cells: str | None = None

    @property
    def lost(self) -> frozenset[str]:
        """The clauses that earned nothing."""
        return frozenset(clause.name for clause in self.verdict.clauses if clause.status is not Status.PASSED)

    @property
    def codes(self) -> tuple[str, ...]:
        """The codes of all findings."""
        return tuple(clause.code for clause in self.verdict.clauses if clause.code is not None)


def outcome(job: Job, graded: Graded, exercise: str) -> Outcome:
    """Return what a graded job says of its answer."""
    place = next(number for number, cell in enumerate(job.cells) if cell.exercise is not None)
    before = (_error(run) for run in graded.runs[:place] if run is not None)
    after = (_error(run) for run in graded.runs[place + 1 :] if run is not None)
    return Outcome(graded.verdicts[exercise], next(filter(None, after), None), next(filter(None, before), None))


def _error(run: CellRun) -> str | None:
    """The name and message of the error that a cell ended with, or None."""
    for output in run.outputs:
        if output.get("output_type") == "error":
            return f"{output.get('ename')}: {output.get('evalue')}".strip(": ")
    return None
