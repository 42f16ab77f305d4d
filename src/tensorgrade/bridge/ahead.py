"""`Ahead`: submissions are graded ahead by the workers, while nbgrader's loop takes one after the other.

Trusted side. nbgrader's loop repairs a submission, runs it and saves its scores before it looks at the next one. Here
the first part is done for some submissions in advance, and each is handed to the workers as soon as it is repaired; the
loop then finds the first part done and collects the result. What happens to a submission is what nbgrader would
have done with it, errors included, which are raised when its turn comes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nbgrader.converters import BaseConverter
from nbgrader.utils import setenv

from ..job import Graded, Job
from .replacing import replaced


class Begin(Protocol):
    """Hears of a submission whose turn it is."""

    def __call__(self, student: str, *, first: bool, wanted: bool) -> None:
        """Take note."""


@dataclass
class _Prepared:
    """A submission whose first part is done.

    Attributes:
        wanted: whether it is to be graded at all, as nbgrader decided.
        notebooks: those of it that nbgrader will grade.
        error: what ended the first part, or None.
    """

    wanted: bool = False
    notebooks: list[str] = field(default_factory=list)
    error: Exception | None = None


class Ahead:
    """One run of nbgrader's loop.

    Args:
        converter: nbgrader's.
        begin: is told of each submission whose turn it is: the student, whether it is the first, and whether it is
            graded at all.

    Attributes:
        reach: how many submissions may be under way besides the one whose turn it is.
    """

    def __init__(self, converter: BaseConverter, begin: Begin) -> None:
        self._converter = converter
        self._tell = begin
        self._count = 0
        self.reach = 0
        self._waiting: Iterator[str] = iter(())
        self._prepared: list[_Prepared] = []
        self._jobs: dict[tuple[str, str], tuple[Job, Future[Graded]]] = {}

    @contextmanager
    def running(self) -> Iterator[None]:
        """Let nbgrader's loop over its submissions find its first part done."""
        converter = self._converter
        self._waiting = iter(sorted(converter.assignments))
        steps: dict[str, Callable[..., Any]] = {
            "init_destination": self._begin,
            "init_assignment": lambda assignment, student: None,
            "convert_single_notebook": self._grade,
        }
        self._init_destination: Callable[[str, str], bool] = converter.init_destination
        self._init_assignment: Callable[[str, str], None] = converter.init_assignment
        with ExitStack() as replacements:
            for name, step in steps.items():
                replacements.enter_context(replaced(converter, name, step))
            try:
                yield
            finally:
                for _, future in self._jobs.values():
                    future.cancel()

    def hand_over(self, student: str, notebook: str, job: Job, future: Future[Graded]) -> None:
        """Note that `job` is being computed for a student's notebook."""
        self._jobs[student, notebook] = (job, future)

    def collect(self, student: str, notebook: str, job: Job) -> Future[Graded] | None:
        """What was handed over for a student's notebook, if it was this job."""
        handed_over, future = self._jobs.pop((student, notebook), (None, None))
        return future if handed_over == job else None

    # ------------------------------------------------------------------------- in the place of nbgrader's steps

    def _begin(self, assignment: str, student: str) -> bool:
        """Stands for ``init_destination``, the first that nbgrader does for a submission."""
        while len(self._prepared) <= self.reach and (folder := next(self._waiting, None)) is not None:
            self._prepared.append(self._prepare(folder))
        prepared = self._prepared.pop(0)
        self._target = self._converter._format_dest(assignment, student)
        self._tell(student, first=self._count == 0, wanted=prepared.wanted and prepared.error is None)
        self._count += 1
        self._converter.log.info("Submission %d of %d", self._count, len(self._converter.assignments))
        self._converter.notebooks = prepared.notebooks
        if prepared.error is not None:
            raise prepared.error
        return prepared.wanted

    def _prepare(self, folder: str) -> _Prepared:
        converter = self._converter
        converter.notebooks = sorted(converter.assignments[folder])
        prepared = _Prepared()
        try:
            place = self.place(folder)
            prepared.wanted = self._init_destination(*place)
            if prepared.wanted:
                self._init_assignment(*place)
                prepared.notebooks = converter.notebooks
                for notebook in prepared.notebooks:
                    self._sanitise(notebook)
        except Exception as error:  # noqa: BLE001 - it is raised where nbgrader expects it
            prepared.error = error
        return prepared

    def place(self, folder: str) -> tuple[str, str]:
        """The assignment and the student of a submission's folder, as nbgrader's loop finds them."""
        pattern = self._converter._format_source("(?P<assignment_id>.*)", "(?P<student_id>.*)", escape=True)
        found = re.match(pattern, folder)
        if found is None:
            raise ValueError(f"{folder} is not the folder of a submission")  # the loop has a better message
        return found["assignment_id"], found["student_id"]

    def _sanitise(self, notebook: str) -> None:
        """The first half of ``Autograde.convert_single_notebook``."""
        self._converter.log.info("Sanitizing %s", notebook)
        self._converter._sanitizing = True
        self._converter._init_preprocessors()
        self._convert(notebook)

    def _grade(self, notebook: str) -> None:
        """The second half of ``Autograde.convert_single_notebook``."""
        converter = self._converter
        written = str(Path(self._target, Path(notebook).name))
        converter.log.info("Autograding %s", written)
        converter._sanitizing = False
        converter._init_preprocessors()
        try:
            with setenv(NBGRADER_EXECUTION="autograde"):
                self._convert(written)
        finally:
            converter._sanitizing = True

    def _convert(self, notebook: str) -> None:
        BaseConverter.convert_single_notebook(self._converter, notebook)
