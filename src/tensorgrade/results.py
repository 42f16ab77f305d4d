"""The results of a job that are known already, and keeping new ones, in the course's store.

Trusted side. Kept is what another run would give again: no time-outs, no lost processes, nothing that is flagged.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager
from pathlib import Path

from .course import Course
from .exercise import Assignment
from .job import CellRun, Graded, Job
from .keys import Graders, Keys
from .store import Store
from .verdict import Verdict


class Results:
    """The stored results of one job; of a job that does not want the store's, none."""

    def __init__(self, job: Job, course: Course, assignment: Assignment | None) -> None:
        self._job = job
        self._keys = Keys(job, course, assignment)
        self._assignment = assignment
        self._store = store_of(course.root) if job.cache else None
        self._asked_for: dict[int, str] = {}
        self._graders: Graders | None = None

    def computing(self) -> AbstractContextManager[None]:
        """Let one process at a time compute this notebook's results."""
        return contextlib.nullcontext() if self._store is None else self._store.computing(self._keys.run())

    def runs(self) -> tuple[CellRun | None, ...] | None:
        """What running the cells gave, or None when that is not known."""
        data = None if self._store is None else self._store.get(self._keys.run())
        if data is None:
            return None
        cells = iter(data)  # without the places where exercises are judged, which change nothing
        return tuple(CellRun.from_json(next(cells)) if cell.exercise is None else None for cell in self._job.cells)

    def keep_runs(self, runs: tuple[CellRun | None, ...]) -> None:
        """Keep what running all cells gave."""
        cells = [run for run in runs if run is not None]
        if self._store is not None and all(run.repeatable for run in cells):
            self._store.put(self._keys.run(), [run.to_json() for run in cells])

    def verdict(self, place: int) -> Verdict | None:
        """The verdict on the exercise that cell number `place` judges, or None when it is not known."""
        if self._store is None:
            return None
        data = self._store.get(self._key(place))
        exercise, assignment = self._job.cells[place].exercise, self._assignment
        if data is None or exercise is None or assignment is None:
            return None
        verdict = Verdict.from_stored({name: fact for name, fact in data.items() if name != "numbers"})
        if verdict.names_cells and data["numbers"] != self._numbers(place):
            return None
        return verdict.with_levels_of(assignment.exercise(exercise))

    def judging(self, place: int) -> str | None:
        """The key of what judges the exercise at `place`; None when everything is to be computed anew."""
        return None if self._store is None else self._keys.judging(place, self._graders_then())

    def _key(self, place: int) -> str:
        """The key of a verdict with its grader as it was when the first verdict was asked for."""
        if place not in self._asked_for:
            self._asked_for[place] = self._keys.verdict(place, self._graders_then())
        return self._asked_for[place]

    def _graders_then(self) -> Graders:
        if self._graders is None:
            self._graders = self._keys.graders()
        return self._graders

    def _numbers(self, place: int) -> list[int]:
        """Those of the cells before `place`: where a test cell is missing, the same cells have others."""
        return [number for number, cell in enumerate(self._job.cells[:place]) if cell.exercise is None]

    def keep_verdicts(self, verdicts: Mapping[int, Verdict]) -> None:
        """Keep verdicts, by place, that were asked for before they were given; not those whose graders were edited."""
        if self._store is None or not verdicts:
            return
        graders = self._keys.graders()
        for place, verdict in verdicts.items():
            key = self._keys.verdict(place, graders)
            if verdict.repeatable and key == self._asked_for.get(place):
                self._store.put(key, {**verdict.to_stored(), "numbers": self._numbers(place)})

    def complete(self) -> Graded | None:
        """The whole result when all of it is known, else None."""
        runs = self.runs()
        if runs is None:
            return None
        verdicts = {}
        for place, cell in enumerate(self._job.cells):
            if cell.exercise is not None:
                verdict = self.verdict(place)
                if verdict is None:
                    return None
                verdicts[cell.exercise] = verdict
        return Graded(runs, verdicts)


def stored(job: Job) -> Graded | None:
    """The result of `job` when all of it is in the store; raises an `AuthorError` when its course cannot be loaded."""
    course = Course(job.course)
    return Results(job, course, course.load(job.assignment) if job.assignment else None).complete()


@functools.cache  # it counts what is put, and complains once
def store_of(course: Path) -> Store:
    """The store of the course in the folder `course`, the same one for all jobs of a process."""
    return Store(Course(course).results)
