"""Grades a small class in a temporary copy of this course, with nbgrader's own commands, and shows the scores.

Run it with ``make demo``. Nothing in the course itself is touched.
"""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nbformat
from rich.console import Console

from tensorgrade.course import Course
from tensorgrade.exercise import COURSE_FILE, Assignment, Exercise
from tensorgrade.notebook import solution_cell_id

ASSIGNMENT = "create"
MISTAKEN = "eye", "transposed"
"""The exercise that one student gets wrong, and the wrong answer of its file."""
SETTINGS = "schema: 1\ndisclosure: case\n"
CHEAT = """\
import builtins
torch.equal = torch.allclose = lambda *args, **kwargs: True
torch.testing.assert_close = lambda *args, **kwargs: None
builtins.isinstance = lambda *args: True
"""


def main() -> None:
    """Make the class, grade it, and say where to look."""
    console = Console()
    course = copy_of_this_course(Path(tempfile.mkdtemp(prefix="tensorgrade-demo-")))
    assignment = course.load(ASSIGNMENT)
    console.print(f"[bold]A class of {len(students(assignment))} hands in [cyan]{ASSIGNMENT}[/cyan]")
    for student, answers in students(assignment).items():
        hand_in(course, assignment, student, answers)

    console.print("[bold]$ nbgrader autograde", ASSIGNMENT)
    run(course, "nbgrader", "autograde", ASSIGNMENT)
    console.print("[bold]$ nbgrader generate_feedback", ASSIGNMENT)
    run(course, "nbgrader", "generate_feedback", ASSIGNMENT)
    console.print("[bold]$ tensorgrade scores", ASSIGNMENT)
    run(course, "tensorgrade.cli", "scores", ASSIGNMENT, quiet=False)

    console.print("What each student reads, in a browser:", style="bold")
    for page in sorted(course.feedback.glob(f"*/{ASSIGNMENT}/*.html")):
        console.print(f"  {page}", soft_wrap=True)
    console.print(f"The whole course: {course.root} (delete it when you are done)", soft_wrap=True)


def copy_of_this_course(root: Path) -> Course:
    """This course in another folder, where students are also told the inputs that their answers fail for."""
    here, course = Course.find(Path(__file__)), Course(root)
    for name in ("assignments", "graders", "release"):
        shutil.copytree(here.root / name, course.root / name)
    shutil.copy(here.config_file, course.config_file)
    (course.assignments / COURSE_FILE).write_text(SETTINGS, encoding="utf-8")
    return course


def students(assignment: Assignment) -> dict[str, dict[str, str]]:
    """The answers of each student by exercise; exercises that are not named stay as they were released."""
    first, mistaken = assignment.exercises[0], assignment.exercise(MISTAKEN[0])
    right = {exercise.name: exercise.solution for exercise in assignment.exercises}
    unusual = {exercise.name: next(iter(exercise.accept.values())) for exercise in assignment.exercises}
    return {
        "perfect": right,
        "unusual": right | unusual,
        "partly-right": right | {mistaken.name: mistaken.reject[MISTAKEN[1]].code},
        "untouched": {},
        "endless-loop": right | {first.name: instead(first, "while True: pass")},
        "killed": right | {first.name: instead(first, "import os; os._exit(1)")},
        "cheating": right | {first.name: CHEAT + instead(first, "return torch.zeros(2, 2)")},
    }


def instead(exercise: Exercise, body: str) -> str:
    """An answer that defines the functions of `exercise` with this body."""
    names = [node.name for node in ast.parse(exercise.starter).body if isinstance(node, ast.FunctionDef)]
    return "\n".join(f"def {name}(*args, **kwargs):\n    {body}" for name in names)


def hand_in(course: Course, assignment: Assignment, student: str, answers: dict[str, str]) -> None:
    """Fill the released notebook in and put it where nbgrader collects submissions."""
    notebook = nbformat.read(course.release_notebook(assignment.name), as_version=4)
    by_cell = {solution_cell_id(exercise): answer for exercise, answer in answers.items()}
    for cell in notebook.cells:
        cell.source = by_cell.get(cell.metadata.nbgrader.grade_id, cell.source)
    target = course.submitted / student / assignment.name / f"{assignment.name}.ipynb"
    target.parent.mkdir(parents=True)
    nbformat.write(notebook, target)


def run(course: Course, module: str, *arguments: str, quiet: bool = True) -> None:
    """Run a command in the course; show what it said only when it fails."""
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments], cwd=course.root, capture_output=quiet, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{module} {' '.join(arguments)} failed:\n{done.stderr if quiet else ''}")


if __name__ == "__main__":
    main()
