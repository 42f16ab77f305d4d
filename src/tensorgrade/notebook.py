"""The notebooks of an assignment: from exercises to the cells that nbgrader and students see.

Trusted side. One notebook per assignment; per exercise three cells with stable ids: ``about_<exercise>`` (locked
text), ``<exercise>`` (the solution) and ``test_<exercise>`` (locked and graded; it shows the examples alone). Exercise
names have no ``_``, so that no other id can meet these. The solution stands in the instructor's notebook only:
`StudentVersion` puts the starter in its place.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode, v4

from .exercise import LANGUAGES, Assignment, Exercise, Language
from .figures import with_figures

NAMESPACE = "tensorgrade"
GRADED = "flagged"
"""The key below `NAMESPACE` that a notebook has once it is graded: the cells that a person has to grade."""

_ACCELERATORS = """\
try:  # virtual GPUs, where tensorgrade is installed and there are no real ones
    from tensorgrade.practice.accelerators import provide
except ImportError:
    pass
else:
    print(provide({count}))"""

SCHEMA_VERSION = 3  # of nbgrader's cell metadata


def source_notebook(assignment: Assignment, language: Language, folder: Path) -> NotebookNode:
    """Return the instructor's notebook of `assignment`, solutions included; `folder` holds the files of its figures."""
    settings = assignment.settings
    introduction = f"# {settings.title.get(language)}\n\n{settings.introduction.get(language).strip()}"
    cells = [
        _cell(assignment, "notebook_about", v4.new_markdown_cell(introduction), locked=True),
        _cell(assignment, "notebook_setup", v4.new_code_cell(setup_source(assignment)), locked=True),
    ]
    for exercise in assignment.exercises:
        cells += _exercise_cells(assignment, exercise, language)
    for cell in cells:
        if cell.cell_type == "markdown":
            cell.source = with_figures(cell.source, folder)
    notebook = v4.new_notebook(cells=cells)
    notebook.nbformat_minor = 5
    notebook.metadata = NotebookNode(
        kernelspec={"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"},
        language_info={"name": "python"},
        **{NAMESPACE: _handout(assignment, language)},
    )
    return notebook


def setup_source(assignment: Assignment) -> str:
    """The code of the first code cell: what the assignment sets up, after virtual accelerators where it needs some."""
    setup = assignment.settings.setup.strip()
    count = max((exercise.accelerators for exercise in assignment.exercises), default=0)
    return f"{_ACCELERATORS.format(count=count)}\n\n{setup}" if count else setup


def _handout(assignment: Assignment, language: Language) -> dict[str, Any]:
    """What `tensorgrade.practice` reads of a released notebook."""
    exercises = {
        exercise.name: {
            "title": exercise.title.get(language),
            "hints": [hint.get(language) for hint in exercise.hints],
        }
        for exercise in assignment.exercises
    }
    return {"assignment": assignment.name, "language": language, "exercises": exercises}


def language_of(notebook: Path) -> Language:
    """The language that a released notebook was built in; the first of `LANGUAGES` when there is no such file."""
    if not notebook.is_file():
        return LANGUAGES[0]
    metadata = nbformat.read(notebook, as_version=4).metadata.get(NAMESPACE, {})
    return next((language for language in LANGUAGES if language == metadata.get("language")), LANGUAGES[0])


def solution_cell_id(exercise: str) -> str:
    """The nbgrader id of the cell in which a student solves `exercise`."""
    return exercise


def test_cell_id(exercise: str) -> str:
    """The nbgrader id of the graded cell of `exercise`."""
    return f"test_{exercise}"


def _exercise_cells(assignment: Assignment, exercise: Exercise, language: Language) -> list[NotebookNode]:
    about = v4.new_markdown_cell(_about(exercise, language))
    solution = v4.new_code_cell(exercise.solution.strip())
    solution.metadata[NAMESPACE] = {"starter": exercise.starter.strip()}
    test = v4.new_code_cell(exercise.examples.strip())
    return [
        _cell(assignment, f"about_{exercise.name}", about, locked=True),
        _cell(assignment, solution_cell_id(exercise.name), solution, solution=True),
        _cell(assignment, test_cell_id(exercise.name), test, locked=True, grade=True, points=float(exercise.points)),
    ]


def _about(exercise: Exercise, language: Language) -> str:
    points = "\n".join(f"- {clause.text.get(language)} ({clause.points:g})" for clause in exercise.clauses.values())
    graded = {"en": "What is graded, with points:", "zh": "评分项及分值："}[language]
    return f"## {exercise.title.get(language)}\n\n{exercise.prompt.get(language).strip()}\n\n{graded}\n\n{points}"


def _cell(assignment: Assignment, grade_id: str, cell: NotebookNode, **flags: Any) -> NotebookNode:
    defaults: dict[str, Any] = {"grade": False, "locked": False, "solution": False, "task": False}
    cell.id = hashlib.sha256(f"{assignment.name}/{grade_id}".encode()).hexdigest()[:12]
    cell.metadata.nbgrader = NotebookNode({**defaults, **flags, "grade_id": grade_id, "schema_version": SCHEMA_VERSION})
    return cell
