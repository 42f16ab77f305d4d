"""Grades one notebook: runs its cells, and then judges each exercise on a snapshot of the state at its test cell.

Trusted side. `grade` is a function of its job alone (and of the course's files): the same job gives the same result.
What the course's store knows already is not computed again.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from .containment import compiled
from .course import Course
from .errors import AuthorError
from .exercise import Assignment, Level
from .grading import judge
from .grading import warm_up as warm_up_grading
from .job import CellRun, Graded, Job
from .limits import Allowance, together
from .machines import Machines, NotebookMachine
from .precedents import Precedents
from .problems import problem_of
from .results import Results
from .submission import Machine
from .supervisor import ZygoteHandle
from .timeline import states, words_of
from .usage import private_folder
from .verdict import Verdict, not_run


def warm_up(course: Course, assignment: str | None) -> None:
    """Do once what would make the first job slow, as far as it runs no grader."""
    warm_up_grading()
    with contextlib.suppress(AuthorError, OSError, SyntaxError, ValueError):  # the job that meets it will tell
        for exercise in course.load(assignment).exercises if assignment else ():
            grader = course.grader_file(exercise.assignment, exercise.name)
            compiled(grader.read_bytes(), str(grader))


def grade(job: Job, zygote: ZygoteHandle, journal: Path | None = None, precedents: Precedents | None = None) -> Graded:
    """Return the result of `job`.

    While an exercise is judged, its name stands in the file `journal`: should the grader end this process, its owner
    knows which one did. What graders have concluded from the same answers of others is taken from `precedents`.
    Raises an `AuthorError` for a course that cannot be loaded, or `EngineError`.
    """
    course = Course(job.course)
    assignment = course.load(job.assignment) if job.assignment else None
    results = Results(job, course, assignment)
    with results.computing():
        if (known := results.complete()) is not None:
            return known
        zygote.check_hides(course.root)
        return _Notebook(job, course, assignment, journal, precedents).grade(zygote, results)


@contextlib.contextmanager
def _noted(exercise: str, journal: Path | None) -> Iterator[None]:
    if journal is not None:
        journal.write_text(exercise, encoding="utf-8")
    yield
    if journal is not None:
        journal.write_text("", encoding="utf-8")


def _words_in(file: Path) -> frozenset[str]:
    try:
        return _words(file.read_bytes())
    except OSError:  # a grader that is missing is told when it is needed
        return frozenset()


@functools.lru_cache(maxsize=1000)
def _words(content: bytes) -> frozenset[str]:
    return words_of(content.decode("utf-8", "replace"))


class _Notebook:
    """A job, with what the course says about its exercises."""

    def __init__(
        self,
        job: Job,
        course: Course,
        assignment: Assignment | None,
        journal: Path | None,
        precedents: Precedents | None,
    ) -> None:
        self._job = job
        self._precedents = precedents
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
        repeatable: dict[int, Verdict] = {}
        with private_folder() as folder:
            machines = Machines(
                job=self._job,
                allowance=self._allowance,
                read_only=self._read_only,
                wanted={place: self._allowance_at(place) for place in missing},
                states=self._states(),
                zygote=zygote,
                folder=folder,
                accelerators=[exercise.accelerators for exercise in self._exercises.values()],
            )
            with contextlib.closing(machines):
                end = len(self._job.cells) if runs is None else max(missing, default=-1) + 1
                fresh = tuple(machines.notebook.run_before(end))
                for place in sorted(missing, key=self._hides_inputs):
                    verdict = self._judge(place, machines, results.judging(place))
                    problem = self._problem(place, fresh if runs is None else runs, verdict)
                    verdicts[place] = verdict = replace(verdict, problem=problem)
                    if all(run.repeatable for run in fresh[:place] if run is not None):
                        repeatable[place] = verdict
        results.keep_verdicts(repeatable)
        if runs is None:
            results.keep_runs(fresh)
        judged = {self._exercises[place].name: verdict for place, verdict in verdicts.items() if verdict is not None}
        return Graded(fresh if runs is None else runs, judged)

    def _hides_inputs(self, place: int) -> bool:
        """Whether a clause tells nothing of its inputs: such exercises come last, so that no other one can tell."""
        clauses = self._exercises[place].clauses.values()
        return any(clause.disclosure in (Level.VERDICT, Level.CLAUSE) for clause in clauses)

    def _states(self) -> tuple[int, ...]:
        """The states of the notebook; graders ask for names by words of their own and of modules beside them."""
        graders = {place: self._grader(place) for place in self._exercises}
        folders = {grader.parent for grader in graders.values()}
        beside = [file for folder in folders for file in folder.glob("*.py") if not file.name.startswith("test_")]
        shared = frozenset().union(*map(_words_in, beside))
        return states(self._job.cells, {place: shared | _words_in(grader) for place, grader in graders.items()})

    def _grader(self, place: int) -> Path:
        exercise = self._exercises[place]
        return self._course.grader_file(exercise.assignment, exercise.name)

    def _problem(self, place: int, runs: tuple[CellRun | None, ...], verdict: Verdict) -> str | None:
        return problem_of(self._exercises[place], self._job.cells[:place], runs[:place], verdict)

    def _allowance_at(self, place: int) -> Allowance:
        return replace(self._exercises[place].limits.allowance(), seconds=self._job.cells[place].seconds)

    def _judge(self, place: int, machines: Machines, key: str | None) -> Verdict:
        """The verdict on an exercise; `key` stands for what judges it, None if nobody's verdict may be taken over."""
        exercise, grader = self._exercises[place], self._grader(place)
        if exercise.name in self._job.abandoned:
            flagged = f"{grader}: the grader ended the process that it ran in, or hung"
            return not_run(exercise, self._job.language, None, flagged)
        machine = NotebookMachine(machines, place, self._allowance_at(place), exercise.accelerators)
        job = self._job
        cells = [cell.source for cell in job.cells]

        def judge_on(machine: Machine) -> Verdict:
            return judge(exercise, grader, machine, job.language, cells=cells, seed=job.seed, measured=job.measured)

        try:
            with _noted(exercise.name, self._journal):
                if self._precedents is None or key is None:
                    return judge_on(machine)
                return self._precedents.judge(key, machine, cells, judge_on).with_levels_of(exercise)
        finally:
            machine.close()
