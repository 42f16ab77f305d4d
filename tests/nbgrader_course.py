"""A real course in a temporary folder, graded by the real nbgrader: what the tests of the bridge are built from."""

import contextlib
import functools
import json
import os
import shutil
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook
from traitlets.config import Config

from tensorgrade.bridge import configure
from tensorgrade.build import build
from tensorgrade.course import Course
from tensorgrade.verdict import MIME_TYPE
from tests.commands import run_module

REPOSITORY = Path(__file__).parent.parent

EXERCISE = """\
schema: 1
title: {{en: Demo {name}, zh: 演示 {name}}}
prompt: {{en: Write it., zh: 请编写。}}
difficulty: 1
starter: |
  def {name}():
      ...
solution: |
  def {name}():
      return 42
examples: |
  {name}()
clauses:
  values: {{points: 2, text: {{en: the answer, zh: 答案}}}}
"""

ASSIGNMENT = """\
schema: 1
title: {{en: Demo, zh: 演示}}
introduction: {{en: Welcome., zh: 欢迎。}}
exercises: [{exercises}]
"""

GRADER = """\
from tensorgrade import expect


def test_values(submission):
    expect(submission.call("{name}")).equals(42)
"""


@functools.cache
def _empty_gradebook():
    """The bytes of a gradebook as nbgrader begins one, for which it runs alembic for seconds."""
    configure(Config())  # which finds alembic
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "gradebook.db"
        Gradebook(f"sqlite:///{file}", "pytorch-basics").close()
        return file.read_bytes()


@dataclass(frozen=True)
class NbgraderCourse:
    """A course on disk, and nbgrader as a person would run it there."""

    root: Path
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def flagship(cls, root):
        """A copy of this repository's own course."""
        root.mkdir(parents=True)
        for name in ("assignments", "graders", "release"):
            shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        return cls._configured(root)

    @classmethod
    def small(cls, root, graders):
        """A course with the assignment demo, from ``{exercise: text of its grader, or None for a right one}``."""
        root.mkdir(parents=True)
        course = cls._configured(root)
        course.write("assignments/demo/assignment.yaml", ASSIGNMENT.format(exercises=", ".join(graders)))
        for name, grader in graders.items():
            course.write(f"assignments/demo/{name}.yaml", EXERCISE.format(name=name))
            course.write(f"graders/demo/test_{name}.py", grader or GRADER.format(name=name))
        return course

    @classmethod
    def _configured(cls, root):
        shutil.copyfile(REPOSITORY / "nbgrader_config.py", root / "nbgrader_config.py")
        (root / "gradebook.db").write_bytes(_empty_gradebook())
        return cls(root)

    def write(self, name, content):
        """Write a file of the course, text or bytes."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def edit(self, name, old, new):
        """Replace a piece of one of the course's files."""
        path = self.root / name
        text = path.read_text(encoding="utf-8")
        assert old in text
        path.write_text(text.replace(old, new, 1), encoding="utf-8")

    # --------------------------------------------------------------------------------------------- running

    def run(self, *arguments):
        """Run a Python module in the course's folder, away from the settings of whoever runs the tests."""
        kept = {
            key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "PYTEST", "NBGRADER"))
        }
        environment = {**kept, "HOME": str(self.root), "PYTHONWARNINGS": "ignore", **self.settings}
        return run_module(arguments, self.root, environment)

    def nbgrader(self, *arguments):
        """Run ``nbgrader ARGUMENTS``."""
        return self.run("nbgrader", *arguments)

    def tensorgrade(self, *arguments):
        """Run ``tensorgrade ARGUMENTS``."""
        return self.run("tensorgrade.cli", *arguments)

    def build(self, assignment="demo", language="en"):
        """Build an assignment in this process, which is faster than ``tensorgrade build``."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nbgrader 0.9.6 uses what SQLAlchemy 2 calls legacy
            return build(Course(self.root), assignment, language)

    # ------------------------------------------------------------------------------------------ submitting

    def released(self, assignment="create"):
        """The notebook that students get."""
        return nbformat.read(self.root / "release" / assignment / f"{assignment}.ipynb", as_version=4)

    def submit(self, student, notebook, assignment="create", name=None):
        """Hand in a notebook (or the bytes of a file) for a student."""
        content = notebook if isinstance(notebook, bytes) else json.dumps(notebook).encode()
        return self.write(f"submitted/{student}/{assignment}/{name or f'{assignment}.ipynb'}", content)

    def solved(self, solution, assignment="create", exercise="eye"):
        """The released notebook with `solution` in the cell of `exercise`."""
        notebook = self.released(assignment)
        cell_of(notebook, exercise).source = solution
        return notebook

    # --------------------------------------------------------------------------------------------- reading

    @property
    def database(self):
        """Where nbgrader keeps the gradebook."""
        return f"sqlite:///{self.root / 'gradebook.db'}"

    @contextlib.contextmanager
    def gradebook(self):
        """The gradebook, open."""
        with warnings.catch_warnings(), Gradebook(self.database) as gradebook:
            warnings.simplefilter("ignore")  # nbgrader 0.9.6 uses what SQLAlchemy 2 calls legacy
            yield gradebook

    def grades(self, assignment="create"):
        """What the gradebook says of each student's graded cells: ``{student: {cell: facts}}``."""
        with self.gradebook() as gradebook:
            return {
                submission.student.id: {
                    grade.name: {
                        "auto": grade.auto_score,
                        "manual": grade.manual_score,
                        "score": grade.score,
                        "max": grade.max_score,
                        "needs_manual_grade": grade.needs_manual_grade,
                    }
                    for notebook in submission.notebooks
                    for grade in notebook.grades
                }
                for submission in gradebook.find_assignment(assignment).submissions
            }

    def graded(self, student, assignment="create"):
        """The notebook in ``autograded/``."""
        return nbformat.read(self.root / "autograded" / student / assignment / f"{assignment}.ipynb", as_version=4)

    def wait_until_graded(self, assignment, count, seconds=120):
        """Wait, while a run is under way, until it has written so many notebooks."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if len(list(self.root.glob(f"autograded/*/{assignment}/{assignment}.ipynb"))) >= count:
                return
            time.sleep(0.05)
        raise TimeoutError(f"fewer than {count} notebooks of {assignment} were graded in {seconds} s")

    def verdict(self, student, exercise="eye", assignment="create"):
        """The verdict that stands below an exercise of a graded notebook, by MIME type."""
        return cell_of(self.graded(student, assignment), f"test_{exercise}").outputs[0].data

    def facts(self, student, exercise="eye", assignment="create"):
        """The machine-readable verdict."""
        return self.verdict(student, exercise, assignment)[MIME_TYPE]


def grade_id(cell):
    return cell.metadata.get("nbgrader", {}).get("grade_id")


def cell_of(notebook, name):
    """The cell of a notebook with an nbgrader id."""
    return next(cell for cell in notebook.cells if grade_id(cell) == name)
