"""`tensorgrade scores`: who got what, from the gradebook and the verdicts in ``autograded/``.

Trusted side. The gradebook has the last word on points, manual ones included; the graded notebooks say which clauses
earned them and why others did not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbgrader.api import Grade, Gradebook, MissingEntry, SubmittedAssignment
from nbgrader.coursedir import CourseDirectory
from rich.table import Table
from traitlets.config import Config

from .bridge import configuration
from .course import Course
from .errors import GradebookError
from .feedback import plain_decimal
from .notebook import test_cell_id
from .verdict import MIME_TYPE, Status, from_json


def scores(course: Course, assignment: str) -> dict[str, Any]:
    """Return the scores of an assignment as plain data, by student and exercise.

    Points are those of the gradebook. Raises `GradebookError` when the gradebook does not know the assignment.
    """
    directory = CourseDirectory(config=configuration(course, Config()))
    with Gradebook(directory.db_url, directory.course_id) as gradebook:
        try:
            submissions = gradebook.find_assignment(assignment).submissions
        except MissingEntry:
            raise GradebookError(
                f"the gradebook {directory.db_url} has no assignment {assignment!r}; build it with"
                f" `tensorgrade build {assignment}` and grade it with `nbgrader autograde {assignment}`"
            ) from None
        names = {test_cell_id(name): name for name in _exercise_names(course, assignment)}
        entries = {entry.student.id: _student(entry, directory, names) for entry in submissions}
    return {"assignment": assignment, "students": dict(sorted(entries.items()))}


def table(data: dict[str, Any]) -> Table:
    """Return the scores as a table: each student with the score, and each exercise that lost points, and why."""
    result = Table(title=f"Scores: {data['assignment']}", header_style="bold")
    result.add_column("student", overflow="fold")
    result.add_column("score", justify="right")
    result.add_column("points lost", overflow="fold")
    for student, entry in data["students"].items():
        lost = [f"{name} {_told(exercise)}" for name, exercise in entry["exercises"].items() if _is_to_tell(exercise)]
        result.add_row(student, _points(entry), "\n".join(lost))
    return result


def _exercise_names(course: Course, assignment: str) -> list[str]:
    return [file.stem for file in course.assignment_folder(assignment).glob("*.yaml")]


def _student(entry: SubmittedAssignment, directory: CourseDirectory, names: dict[str, str]) -> dict[str, Any]:
    exercises: dict[str, Any] = {}
    for notebook in entry.notebooks:
        folder = directory.format_path(directory.autograded_directory, entry.student.id, entry.assignment.name)
        verdicts = _verdicts(Path(folder) / f"{notebook.name}.ipynb")
        for grade in notebook.grades:
            exercises[names.get(grade.name, grade.name)] = _exercise(grade, verdicts.get(grade.name))
    score = max(0.0, float(entry.score) - float(entry.late_submission_penalty or 0))
    return {"score": score, "max": float(entry.max_score), "exercises": exercises}


def _exercise(grade: Grade, verdict: dict[str, Any] | None) -> dict[str, Any]:
    return {
        "score": float(grade.score),
        "max": float(grade.max_score),
        "manual": grade.manual_score is not None,
        "clauses": {clause["name"]: clause["status"] for clause in verdict["clauses"]} if verdict else {},
        "reason": verdict["reason"] if verdict else None,
        "needs_manual_grade": bool(grade.needs_manual_grade) and grade.manual_score is None,
    }


def _verdicts(notebook: Path) -> dict[str, dict[str, Any]]:
    """The verdicts in a graded notebook by the id of their cell; none when the notebook is gone."""
    if not notebook.is_file():
        return {}
    found = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", ()):
            verdict = from_json(output.get("data", {}).get(MIME_TYPE))
            if verdict is not None:
                found[cell.metadata.nbgrader.grade_id] = verdict
    return found


def _is_to_tell(exercise: dict[str, Any]) -> bool:
    return bool(exercise["score"] < exercise["max"] or exercise["reason"] or exercise["needs_manual_grade"])


def _told(exercise: dict[str, Any]) -> str:
    """The points of an exercise, and why they are not all of them."""
    parts = []
    for status in (Status.FAILED, Status.NOT_RUN):
        names = [name for name, value in exercise["clauses"].items() if value == status]
        if names:
            parts.append(f"{status}: {', '.join(names)}")
    if exercise["reason"]:
        parts.append(exercise["reason"])
    if exercise["needs_manual_grade"]:
        parts.append("needs manual grading")
    return f"{_points(exercise)}  {'; '.join(parts)}".rstrip()


def _points(entry: dict[str, Any]) -> str:
    return f"{plain_decimal(entry['score'])} / {plain_decimal(entry['max'])}"
