"""`SubmissionExporter` and `Batch`: what holds for all submissions of one ``nbgrader autograde``.

Trusted side. nbgrader makes its exporter once per run, after it has found the submissions and before it converts the
first: the one point of its configuration where a run as a whole can be prepared and summed up. A run is over well
when every submission was processed and no exercise needs a person; otherwise it ends as nbgrader ends a failed one.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from nbconvert.exporters import NotebookExporter
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import BaseConverter
from nbgrader.converters.base import NbGraderException

from ..course import Course
from ..errors import TensorgradeError
from ..notebook import NAMESPACE, language_of
from .repair import UNREADABLE, readable


class Batch:
    """One run of nbgrader's autograde: what it needs before it begins, and what a person should know at its end.

    Attributes:
        language: of the released notebook, for submissions that do not say theirs.
        flagged: exercises that a person has to grade, with the reason; they make the run fail.
        noted: other things to know (missing, renamed and additional notebooks).
    """

    def __init__(self, converter: BaseConverter) -> None:
        self._converter = converter
        self._course = _course(Path(converter.coursedir.root))
        released = self._course and self._course.release_notebook(converter.coursedir.assignment_id)
        self.language = language_of(released or Path())
        self.flagged: list[str] = []
        self.noted: list[str] = []

    def wrap(self, convert: Callable[[], None]) -> Callable[[], None]:
        """Return nbgrader's loop over the submissions with our beginning and end around it."""

        def convert_notebooks() -> None:
            self._prepare()
            try:
                convert()
            finally:
                self._report()
            if self.flagged:
                raise NbGraderException(f"{len(self.flagged)} exercises need manual grading")

        return convert_notebooks

    def _prepare(self) -> None:
        assignment = self._converter.coursedir.assignment_id
        if self._course is None or assignment not in self._course.assignment_names():
            return
        self._register(assignment)
        expected = f"{assignment}.ipynb"
        for folder, notebooks in self._converter.assignments.items():
            for name in sorted(Path(notebook).name for notebook in notebooks):
                if name != expected:
                    self.noted.append(f"{folder}: {name} is not a notebook of this assignment and was left out")
            missing = str(Path(folder) / expected)
            if missing not in notebooks and self._converter.coursedir.notebook_id in ("*", assignment):
                self.noted.append(f"{folder}: {expected} is missing; its exercises get 0 points")
                notebooks.append(missing)

    def _register(self, assignment: str) -> None:
        """Register an assignment that the gradebook does not know yet, as in a fresh clone of the course."""
        from ..build import register

        database = self._converter.coursedir.db_url
        try:
            with Gradebook(database, self._converter.coursedir.course_id) as gradebook:
                gradebook.find_notebook(assignment, assignment)
        except MissingEntry:
            assert self._course is not None  # the caller looked
            self._converter.log.info("The gradebook does not know %s yet: registering it from its YAML", assignment)
            try:
                register(self._course, assignment, self.language, database)
            except TensorgradeError as error:
                raise NbGraderException(str(error)) from error

    def _report(self) -> None:
        log = self._converter.log
        for line in self.noted:
            log.warning("%s", line)
        for line in self.flagged:
            log.error("Flagged for manual grading: %s", line)
        if self.flagged:
            log.error(
                "%d exercises need manual grading, for the reasons above; all scores are saved", len(self.flagged)
            )


def _course(root: Path) -> Course | None:
    try:
        return Course.find(root)
    except TensorgradeError:
        return None


class SubmissionExporter(NotebookExporter):  # type: ignore[misc]
    """Reads submissions, however broken: what cannot be read becomes an empty notebook with the reason."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.batch = Batch(self.parent)
        self.parent.convert_notebooks = self.batch.wrap(self.parent.convert_notebooks)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """Convert the notebook in `filename`."""
        resources = ResourcesDict() if resources is None else resources
        resources["metadata"] = ResourcesDict(name=Path(filename).stem, path=str(Path(filename).parent))
        notebook = NotebookNode(nbformat=4, nbformat_minor=5, metadata=NotebookNode(), cells=[])
        problem = None
        try:
            notebook = readable(Path(filename).read_text(encoding="utf-8-sig"))
        except FileNotFoundError:
            problem = "missing"
        except (OSError, ValueError) as error:
            problem = f"{error}"
        resources[NAMESPACE] = {"language": self.batch.language}
        if problem is not None:
            resources[NAMESPACE][UNREADABLE] = problem
            self.log.warning("%s cannot be read: %s", filename, problem)
        converted: tuple[str, dict[str, Any]] = self.from_notebook_node(notebook, resources=resources, **options)
        return converted
