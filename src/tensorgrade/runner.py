"""Grades one notebook: runs its cells, and then judges each exercise on a snapshot of the state at its test cell.

Trusted side. `grade` is a function of its job alone (and of the course's files): the same job gives the same result.
What the course's store knows already is not computed again.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .codec import Message
from .course import Course
from .errors import GraderError, LimitExceeded, ProcessEnded, TimeLimitExceeded
from .execution import Execution
from .exercise import Assignment, Exercise
from .grading import judge
from .job import Graded, Job
from .limits import Allowance, together
from .processes import Process
from .results import Results
from .supervisor import ZygoteHandle
from .usage import private_folder
from .verdict import Verdict, not_run

CLOCK_ERROR = 0.1
"""Seconds that the kernel's count of processor time may be short of a limit that it has enforced."""


def grade(job: Job, zygote: ZygoteHandle, journal: Path | None = None) -> Graded:
    """Return the result of `job`.

    While an exercise is judged, its name stands in the file `journal`: should the grader end this process, its owner
    knows which one did. Raises an `AuthorError` for a course that cannot be loaded, or `EngineError`.
    """
    course = Course(job.course)
    assignment = course.load(job.assignment) if job.assignment else None
    results = Results(job, course, assignment)
    with results.computing():
        if (known := results.complete()) is not None:
            return known
        zygote.check_hides(course.root)
        return _Notebook(job, course, assignment, journal).grade(zygote, results)


@contextlib.contextmanager
def _noted(exercise: str, journal: Path | None) -> Iterator[None]:
    if journal is not None:
        journal.write_text(exercise, encoding="utf-8")
    yield
    if journal is not None:
        journal.write_text("", encoding="utf-8")


class _Notebook:
    """A job, with what the course says about its exercises."""

    def __init__(self, job: Job, course: Course, assignment: Assignment | None, journal: Path | None) -> None:
        self._job = job
        self._course = course
        self._journal = journal
        self._read_only = frozenset(assignment.settings.files) if assignment else frozenset()
        exercises = assignment.exercises if assignment else ()
        self._allowance = together(exercise.limits.allowance() for exercise in exercises)
        self._exercises = {
            place: assignment.exercise(cell.exercise)
            for place, cell in enumerate(job.cells)
            if assignment is not None and cell.exercise is not None
        }

    def grade(self, zygote: ZygoteHandle, results: Results) -> Graded:
        """Run and judge what is not known; the cells before an exercise that is judged have to run in any case."""
        verdicts = {place: results.verdict(place) for place in self._exercises}
        missing = [place for place, verdict in verdicts.items() if verdict is None]
        runs = results.runs()
        with private_folder() as folder:
            execution = Execution(
                job=self._job,
                allowance=self._allowance,
                read_only=self._read_only,
                wanted={place: self._allowance_at(place) for place in missing},
                zygote=zygote,
                folder=folder,
            )
            with contextlib.closing(execution):
                places = range(len(self._job.cells) if runs is None else max(missing, default=-1) + 1)
                fresh = tuple(execution.run(places))
                for place in missing:
                    verdicts[place] = verdict = self._judge(place, execution)
                    if all(run.repeatable for run in fresh[:place] if run is not None):
                        results.keep_verdict(place, verdict)
        if runs is None:
            results.keep_runs(fresh)
        judged = {self._exercises[place].name: verdict for place, verdict in verdicts.items() if verdict is not None}
        return Graded(fresh if runs is None else runs, judged)

    def _allowance_at(self, place: int) -> Allowance:
        return replace(self._exercises[place].limits.allowance(), seconds=self._job.cells[place].seconds)

    def _judge(self, place: int, execution: Execution) -> Verdict:
        exercise: Exercise = self._exercises[place]
        grader = self._course.grader_file(exercise.assignment, exercise.name)
        if exercise.name in self._job.abandoned:
            flagged = f"{grader}: the grader ended the process that it ran in, or hung"
            return not_run(exercise, self._job.language, None, flagged)
        machine = _Machine(execution, place, self._allowance_at(place))
        try:
            with _noted(exercise.name, self._journal):
                return judge(exercise, grader, machine, self._job.language)
        finally:
            machine.discard()


class _Machine:
    """The machine of one exercise: a process in the state at its test cell, which is replaced when it is lost."""

    def __init__(self, execution: Execution, place: int, allowance: Allowance) -> None:
        self._execution = execution
        self._place = place
        self._process: Process | None = None
        self._answered = False
        self.allowance = allowance

    def request(self, message: Message) -> Message:
        try:
            return self._request(message)
        except ProcessEnded:
            if self._answered:
                raise
        # the snapshot may have been killed while it waited, by an exercise that was judged before
        self._answered = True
        return self._request(message)

    def _request(self, message: Message) -> Message:
        left = self._execution.seconds_left()
        if left <= 0:
            raise TimeLimitExceeded("the notebook used up its time")
        if self._process is None or not self._process.alive:
            self.discard()
            self._process = self._execution.process_at(self._place)
        try:
            answer = self._process.request(message, min(self.allowance.seconds, left), self.allowance.result)
        except ProcessEnded as failure:
            if self._process.processor_seconds() >= self.allowance.cpu_seconds - CLOCK_ERROR:
                raise LimitExceeded("cpu_seconds") from failure
            raise
        self._answered = True
        return answer

    def with_accelerators(self, count: int) -> _Machine:
        if count:
            raise GraderError(f"this version has no virtual accelerators; it cannot run a machine with {count}")
        return self

    def discard(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None
