"""`Gradebooks`: nbgrader's gradebook, set up once for a run instead of once for each step of each submission.

Trusted side. nbgrader opens the gradebook ten times for a submission; each time it makes a database engine, looks at
the schema and asks for every cell on its own, and each score is a transaction. What a run gets here is nbgrader's own
`Gradebook`, with three differences: it stays set up, it looks up all cells of a notebook at once, and it commits once,
at the end of the step that opened it. So the scores of a notebook appear together or not at all.

Nothing is held between two steps, as with nbgrader: no transaction, no lock, and nothing that one step read is kept for
the next. Other processes get their turn. The steps of one conversion, which follow each other at once, share a
connection to the file; between conversions there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from nbgrader.api import (
    Assignment,
    Comment,
    Grade,
    Gradebook,
    GradeCell,
    Notebook,
    SolutionCell,
    SourceCell,
    Student,
    SubmittedAssignment,
    SubmittedNotebook,
)
from sqlalchemy import Select, bindparam, create_engine, select
from sqlalchemy.orm import Session, defer, scoped_session, sessionmaker


class Gradebooks:
    """The gradebooks of one run of nbgrader, by database and course."""

    def __init__(self) -> None:
        self._ready: dict[tuple[str, str], StepGradebook] = {}
        self._connected = False

    def open(self, db_url: str, course_id: str = "default_course") -> StepGradebook:
        """Return a gradebook for a ``with`` statement, in the place of nbgrader's ``Gradebook(db_url, course_id)``."""
        place = (db_url, course_id)
        if place not in self._ready:
            self._ready[place] = StepGradebook(db_url, course_id)
        self._ready[place].stays_connected = self._connected
        return self._ready[place]

    @contextmanager
    def connected(self) -> Iterator[None]:
        """Let the steps in this context use one connection, which is idle between them: no transaction, no lock."""
        self._connected = True
        try:
            yield
        finally:
            self._connected = False
            for gradebook in self._ready.values():
                gradebook.stays_connected = False
                gradebook.close()


class StepGradebook(Gradebook):  # type: ignore[misc]
    """nbgrader's gradebook for one ``with`` statement after the other.

    Attributes:
        stays_connected: whether the connection is for the next ``with`` statement as well.
    """

    def __init__(self, db_url: str, course_id: str) -> None:
        super().__init__(db_url, course_id)
        super().close()
        self.stays_connected = False
        self.engine = create_engine(db_url)
        self.db = scoped_session(sessionmaker(bind=self.engine, class_=_StepSession, expire_on_commit=False))
        self._found: dict[tuple[object, ...], dict[str, Any]] = {}

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Commit what the step has committed, unless it failed, and close."""
        try:
            if kind is None:
                self.db().commit_step()
        finally:
            self.close()

    def close(self) -> None:
        """End the transaction and mostly the connection, and forget what was found over it."""
        self._found = {}
        self.db.remove()
        if not self.stays_connected:
            self.engine.dispose()

    # ------------------------------------------- nbgrader's lookups: asked as it asks, notebook by notebook

    def find_student(self, student_id: str) -> Student:
        """Find a student, as nbgrader does."""
        return self._one(_STUDENT, student=student_id) or super().find_student(student_id)

    def find_assignment(self, name: str) -> Assignment:
        """Find an assignment, as nbgrader does."""
        return self._one(_ASSIGNMENT, assignment=name) or super().find_assignment(name)

    def find_notebook(self, name: str, assignment: str) -> Notebook:
        """Find a notebook, as nbgrader does."""
        return self._one(_NOTEBOOK, notebook=name, assignment=assignment) or super().find_notebook(name, assignment)

    def find_submission(self, assignment: str, student: str) -> SubmittedAssignment:
        """Find a submission, as nbgrader does."""
        found = self._one(_SUBMISSION, assignment=assignment, student=student)
        return found or super().find_submission(assignment, student)

    def find_source_cell(self, name: str, notebook: str, assignment: str) -> SourceCell:
        """Find a source cell, as nbgrader does."""
        found = self._all(_SOURCE_CELLS, notebook, assignment).get(name)
        return found or super().find_source_cell(name, notebook, assignment)

    def find_graded_cell(self, name: str, notebook: str, assignment: str) -> Any:
        """Find a graded cell, as nbgrader does."""
        found = self._all(_GRADE_CELLS, notebook, assignment).get(name)
        return found or super().find_graded_cell(name, notebook, assignment)

    def find_grade(self, grade_cell: str, notebook: str, assignment: str, student: str) -> Grade:
        """Find the grade of a cell in a student's notebook, as nbgrader does."""
        found = self._all(_GRADES, notebook, assignment, student).get(grade_cell)
        return found or super().find_grade(grade_cell, notebook, assignment, student)

    def find_comment(self, solution_cell: str, notebook: str, assignment: str, student: str) -> Comment:
        """Find the comment on a cell in a student's notebook, as nbgrader does."""
        found = self._all(_COMMENTS, notebook, assignment, student).get(solution_cell)
        return found or super().find_comment(solution_cell, notebook, assignment, student)

    def _one(self, query: Select[Any], **place: str) -> Any:
        """What `query` finds in a place, or None; the name of each entry is unique there."""
        return self.db.execute(query, place).scalar_one_or_none()

    def _all(self, query: Select[Any], notebook: str, assignment: str, student: str = "") -> dict[str, Any]:
        """What `query` finds in a place, by the names of the cells; asked once in a step."""
        key = (query, notebook, assignment, student)
        if key not in self._found:
            place = {"notebook": notebook, "assignment": assignment, "student": student}
            self._found[key] = {row[0]: row[1] for row in self.db.execute(query, place)}
        return self._found[key]


class _StepSession(Session):
    """A session that commits at the end of a step what was committed during it."""

    _asked_for = False

    def commit(self) -> None:
        """See to it that `commit_step` commits; rows that the database may refuse are sent to it at once."""
        self._asked_for = True
        if self.new or self.deleted:
            self.flush()

    def commit_step(self) -> None:
        """Commit, if anything was committed."""
        if self._asked_for:
            super().commit()


def _of_notebook(cells: Select[Any]) -> Select[Any]:
    """`cells` of one notebook, from a query that has joined it."""
    place = (Notebook.name == bindparam("notebook"), Assignment.name == bindparam("assignment"))
    return cells.join(Assignment, Assignment.id == Notebook.assignment_id).where(*place)


def _of_student(entry: Any, cell: Any) -> Select[Any]:
    """The entries of a student's notebook, each with the name of its cell; as in ``Gradebook.find_grade``."""
    return _of_notebook(
        select(cell.name, entry)
        .join(cell, cell.id == entry.cell_id)
        .join(SubmittedNotebook, SubmittedNotebook.id == entry.notebook_id)
        .join(Notebook, Notebook.id == SubmittedNotebook.notebook_id)
        .join(SubmittedAssignment, SubmittedAssignment.id == SubmittedNotebook.assignment_id)
        .join(Student, Student.id == SubmittedAssignment.student_id)
        .where(Student.id == bindparam("student"))
    )


# queries that are made once: to put one together takes as long as to ask it
_STUDENT = select(Student).where(Student.id == bindparam("student"))
_ASSIGNMENT = select(Assignment).where(Assignment.name == bindparam("assignment"))
_NOTEBOOK = _of_notebook(select(Notebook))
_SUBMISSION = (
    select(SubmittedAssignment)
    .join(Assignment, Assignment.id == SubmittedAssignment.assignment_id)
    .join(Student, Student.id == SubmittedAssignment.student_id)
    .where(Assignment.name == bindparam("assignment"), Student.id == bindparam("student"))
)
_SOURCE_CELLS, _GRADE_CELLS = (
    _of_notebook(select(cell.name, cell).join(Notebook, Notebook.id == cell.notebook_id))
    for cell in (SourceCell, GradeCell)
)
# what the database would compute for each grade is computed when it is asked for
_GRADES = _of_student(Grade, GradeCell).options(defer(Grade.score), defer(Grade.cell_type), defer(Grade.failed_tests))
_COMMENTS = _of_student(Comment, SolutionCell).options(defer(Comment.comment))
