"""`SubmissionExporter` and `Batch`: what holds for all submissions of one ``nbgrader autograde``.

Trusted side. nbgrader makes its exporter once per run, after it has found the submissions and before it converts the
first: the one point of its configuration where a run as a whole can be prepared and summed up. A run is over well
when every submission was processed and no exercise needs a person; otherwise it ends as nbgrader ends a failed one.
What one student handed in costs that student at most, and stands in the run's summary.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.api import Gradebook, MissingEntry
from nbgrader.converters import BaseConverter
from nbgrader.converters.base import NbGraderException

from ..course import Course
from ..errors import GradebookError, TensorgradeError
from ..notebook import GRADED, NAMESPACE, language_of
from ..pool import POOL
from ..sandbox import Tier
from . import handed_in
from .ahead import Ahead
from .conversion import FastExporter
from .gradebooks import Gradebooks
from .handed_in import TIMESTAMP_FILE
from .reading import MAX_BYTES, TooLarge, read_bounded, readable
from .rebinding import rebound
from .repair import UNREADABLE
from .replacing import replaced
from .sidefiles import Allowed, copy_ordinary_files

if TYPE_CHECKING:
    from .grade import GradeSubmission


class Watcher(Protocol):
    """Who wants to know how a run goes on."""

    def begin(self, submissions: int) -> None:
        """So many submissions are there."""

    def advance(self, failures: int) -> None:
        """One more is done; `failures` need a person so far."""


@dataclass
class Summary:
    """What a run came to.

    Attributes:
        tier: that submissions are confined in; None when nothing had to be run.
        graded: students whose notebooks were graded in this run; the others had been before.
        reused: how many of the notebooks had a result that was known already.
        flagged: exercises that a person has to grade, with the reason; they make the run fail.
        noted: other things to know (what is missing, renamed, additional, damaged or left out).
        failure: what nbgrader says when it did not end well, or None.
    """

    tier: Tier | None = None
    graded: list[str] = field(default_factory=list)
    reused: int = 0
    flagged: list[str] = field(default_factory=list)
    noted: list[str] = field(default_factory=list)
    failure: str | None = None


class Batch:
    """One run of nbgrader's autograde: what it needs before it begins, and what a person should know at its end.

    Attributes:
        language: of the released notebook, for submissions that do not say theirs.
        summary: what the run comes to; that of whoever started it, if it wants one (`run.autograde`).
        ahead: what is graded ahead.
    """

    def __init__(self, converter: BaseConverter) -> None:
        self._converter = converter
        self._course = _course(Path(converter.coursedir.root))
        released = self._course and self._course.release_notebook(converter.coursedir.assignment_id)
        self.language = language_of(released or Path())
        self.summary: Summary = getattr(converter, "summary", None) or Summary()
        self._watcher: Watcher | None = getattr(converter, "watcher", None)
        self.ahead = Ahead(converter, self._begin_submission)

    def wrap(self, convert: Callable[[], None]) -> Callable[[], None]:
        """Return nbgrader's loop over the submissions with our beginning and end around it."""

        def convert_notebooks() -> None:
            self._prepare()
            try:
                with self._careful(), self.ahead.running():
                    convert()
                    self._end_submission()
            except KeyboardInterrupt:
                POOL.close()  # else Python waits for what is under way
                raise
            finally:
                self._report()
            if self.summary.flagged:
                raise NbGraderException(f"{len(self.summary.flagged)} exercises need manual grading")

        return convert_notebooks

    def target(self, assignment: str, student: str) -> Path:
        """Where the graded notebooks of a student go."""
        return Path(self._converter._format_dest(assignment, student))

    def note(self, folder: str, text: str) -> None:
        """Put a line about the submission in `folder` into the run's summary, once."""
        line = handed_in.printable(f"{folder}: {text}")
        if line not in self.summary.noted:
            self.summary.noted.append(line)

    # ------------------------------------------------------------------------------------- before the first

    def _prepare(self) -> None:
        coursedir, assignments = self._converter.coursedir, self._converter.assignments
        name: str = coursedir.assignment_id
        ours = self._course is not None and name in self._course.assignment_names()
        if ours:
            self._register(name)
        asked_for = ours and fnmatch(name, coursedir.notebook_id)
        if asked_for:
            for folder in handed_in.folders(coursedir):
                assignments.setdefault(folder, [])
        for folder in list(assignments):
            if problem := handed_in.unusable(Path(folder), Path(coursedir.root)):
                self.note(folder, f"{problem}; it was left out")
                del assignments[folder]
            elif asked_for:
                assignments[folder] = [self._notebook(folder, f"{name}.ipynb", assignments[folder])]
        wanted: frozenset[str] = getattr(self._converter, "students", frozenset())
        for folder in list(assignments) if wanted else ():
            if self.ahead.place(folder)[1] not in wanted:
                del assignments[folder]
        if missing := wanted - {self.ahead.place(folder)[1] for folder in assignments}:
            raise GradebookError(f"nothing was handed in for {name} by {', '.join(sorted(missing))}")
        from .grade import GradeSubmission  # here, because it imports this module

        options = GradeSubmission(parent=self._converter)
        if assignments and options.enabled:
            self._start_workers(options)
        if self._watcher is not None:
            self._watcher.begin(len(assignments))

    def _begin_submission(self, student: str, *, first: bool, wanted: bool) -> None:
        if not first:
            self._end_submission()
        if wanted:
            self.summary.graded.append(student)

    def _end_submission(self) -> None:
        if self._watcher is not None and self._converter.assignments:
            self._watcher.advance(len(self.summary.flagged))

    def _start_workers(self, options: GradeSubmission) -> None:
        """Make sure that submissions can be confined as configured, before the first one is touched."""
        try:
            tier = POOL.prepare(options.settings(), options.workers or None)
            if self._course is not None and not (options.cache and self._course.results.exists()):
                POOL.warm_up(self._course.root, self._converter.coursedir.assignment_id)
        except TensorgradeError as error:
            remedy = "`tensorgrade doctor` says how to mend that; a weaker tier is c.GradeSubmission.tier"
            raise NbGraderException(f"{error}. Nothing was graded. {remedy}") from error
        told = self._converter.log.warning if tier == "C" else self._converter.log.info
        told("Submissions are confined in tier %s", tier)
        self.summary.tier = tier
        self.ahead.reach = options.ahead * POOL.workers

    def _notebook(self, folder: str, expected: str, found: list[str]) -> str:
        """The one notebook of the assignment, which is graded without points when it is missing."""
        by_name = {Path(notebook).name: notebook for notebook in sorted(found)}
        for name in by_name:
            if name != expected:
                self.note(folder, f"{name} is not a notebook of this assignment and was left out")
        if expected not in by_name:
            self.note(folder, f"{expected} is missing; its exercises get 0 points")
        return by_name.get(expected, f"{folder}/{expected}")

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

    # ----------------------------------------------------------------------------------- for each submission

    @contextmanager
    def _careful(self) -> Iterator[None]:
        """Let nbgrader copy ordinary files alone, and go on when a time of submission cannot be read."""
        converter = self._converter
        copying = self._copying_ordinary_files(self._with_gradebook_of_run(converter.init_assignment))
        with (
            replaced(converter, "init_destination", self._grading_again(converter.init_destination)),
            replaced(converter, "init_assignment", copying),
            replaced(converter.coursedir, "get_existing_timestamp", self._timestamp),
        ):
            yield

    def _with_gradebook_of_run(self, step: Callable[[str, str], None]) -> Callable[[str, str], None]:
        gradebooks: Gradebooks | None = getattr(self._converter.exporter, "gradebooks", None)
        if gradebooks is None:
            return step
        with_gradebook = rebound(step, Gradebook=gradebooks.open)

        def connected(assignment: str, student: str) -> None:
            with gradebooks.connected():
                with_gradebook(assignment, student)

        return connected

    def _grading_again(self, init_destination: Callable[[str, str], bool]) -> Callable[[str, str], bool]:
        """Return nbgrader's function that skips what is graded already, made to see what a killed run left."""

        def init(assignment: str, student: str) -> bool:
            converter = self._converter
            target = Path(converter._format_dest(assignment, student))
            excluded = student in (converter.coursedir.student_id_exclude or "").split(",")
            if not excluded and any(_is_half_done(target / Path(name).name) for name in converter.notebooks):
                converter.log.warning("The last run did not finish %s: grading it again", target)
                shutil.rmtree(target)
            return init_destination(assignment, student)

        return init

    def _copying_ordinary_files(self, init_assignment: Callable[[str, str], None]) -> Callable[[str, str], None]:
        """Return nbgrader's function that copies what lies beside a notebook, made to see ordinary files alone."""

        def init(assignment: str, student: str) -> None:
            folder = self._converter._format_source(assignment, student)
            with tempfile.TemporaryDirectory() as copy:
                for problem in copy_ordinary_files(Path(folder), Path(copy), self._allowed(assignment)):
                    self.note(folder, f"a file was left out: {problem}")
                if self._timestamp(folder) is None:
                    (Path(copy) / TIMESTAMP_FILE).unlink(missing_ok=True)
                with replaced(self._converter, "_format_source", lambda *_, **__: copy):
                    init_assignment(assignment, student)

        return init

    def _allowed(self, assignment: str) -> Allowed:
        coursedir = self._converter.coursedir
        source = Path(coursedir.format_path(coursedir.source_directory, ".", assignment))
        return Allowed(
            ignore=(*coursedir.ignore, "*.ipynb"),
            file_bytes=coursedir.max_file_size * 1000,
            total_bytes=coursedir.max_dir_size * 1000,
            reserved=frozenset(file.relative_to(source) for file in source.rglob("*") if file.is_file()),
        )

    def _timestamp(self, folder: str) -> datetime | None:
        """When a submission was handed in, as nbgrader's own function, but without failing."""
        try:
            return handed_in.timestamp(Path(folder))
        except (OSError, ValueError) as error:
            self.note(folder, f"{TIMESTAMP_FILE} says no time ({error}); the submission counts as in time")
            return None

    # ------------------------------------------------------------------------------------------ after the last

    def _report(self) -> None:
        log = self._converter.log
        for line in self.summary.noted:
            log.warning("%s", line)
        for line in self.summary.flagged:
            log.error("Flagged for manual grading: %s", line)
        if self.summary.flagged:
            log.error(
                "%d exercises need manual grading, for the reasons above; all scores are saved",
                len(self.summary.flagged),
            )


def _is_half_done(notebook: Path) -> bool:
    """Whether a run ended between the two steps of grading a notebook: repaired, and not yet graded."""
    if not notebook.parent.is_dir():
        return False
    try:
        metadata = json.loads(notebook.read_text(encoding="utf-8"))["metadata"]
        return NAMESPACE in metadata and GRADED not in metadata[NAMESPACE]
    except (OSError, ValueError, KeyError, TypeError):  # it ended while a file was written
        return True


def _course(root: Path) -> Course | None:
    try:
        return Course.find(root)
    except TensorgradeError:
        return None


class SubmissionExporter(FastExporter):
    """Reads submissions, however broken: what cannot be read becomes an empty notebook with the reason."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.batch = Batch(self.parent)
        self.parent.convert_notebooks = self.batch.wrap(self.parent.convert_notebooks)

    def from_filename(
        self, filename: str, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """Convert the notebook in `filename`."""
        file = Path(filename)
        resources = ResourcesDict() if resources is None else resources
        resources["metadata"] = ResourcesDict(name=file.stem, path=str(file.parent))
        resources[NAMESPACE] = {"language": self.batch.language}
        try:
            notebook = readable(read_bounded(file, MAX_BYTES))
        except Exception as error:  # noqa: BLE001 - nothing that was handed in may end the student's grading
            notebook = NotebookNode(nbformat=4, nbformat_minor=5, metadata=NotebookNode(), cells=[])
            resources[NAMESPACE][UNREADABLE] = _kind(error)
            if not isinstance(error, FileNotFoundError):  # noted before the run
                self.batch.note(str(file.parent), f"{file.name} cannot be read ({error}); its exercises get 0 points")
        converted: tuple[str, dict[str, Any]] = self.from_notebook_node(notebook, resources=resources, **options)
        return converted


def _kind(error: Exception) -> str:
    """The name under which `grade.GradeSubmission` finds the sentence for the student."""
    if isinstance(error, FileNotFoundError):
        return "missing"
    return "too-large" if isinstance(error, TooLarge) else "unreadable"
