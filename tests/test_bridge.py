"""The bridge, end to end: real courses, real submissions, the real nbgrader in a process of its own."""

import json
import re
import shutil
from pathlib import Path

import nbformat
import pytest
import yaml

from tests.nbgrader_course import MIME_TYPE, NbgraderCourse, cell_of, grade_id

RIGHT = "def identity(n, m, dtype):\n    return torch.eye(n, m, dtype=dtype)"
PARTLY = "def identity(n, m, dtype):\n    return torch.eye(n, m)"
WRONG = "def identity(n, m, dtype):\n    return torch.ones(n, m, dtype=dtype)"

UNUSUAL = """\
def identity(n, m, dtype):
    rows = torch.arange(n).reshape(n, 1)
    columns = torch.arange(m)
    return (rows == columns).to(dtype)"""

ENDLESS = """\
def identity(n, m, dtype):
    while True:
        pass"""

KILLED = """\
import os, signal
def identity(n, m, dtype):
    os.kill(os.getpid(), signal.SIGKILL)"""

PATCHES = """\
import builtins
real_isinstance = isinstance
builtins.isinstance = lambda thing, kind: True if real_isinstance(kind, type) and kind is bool else real_isinstance(thing, kind)
torch.equal = torch.allclose = lambda *args, **options: True
torch.testing.assert_close = lambda *args, **options: None
torch.Tensor.__eq__ = lambda self, other: True
def identity(n, m, dtype):
    return torch.full((n + 1, m + 1), 7.0)"""

WARNS = """\
import sys, warnings
def identity(n, m, dtype):
    warnings.warn("careful")
    print("on stderr", file=sys.stderr)
    return torch.eye(n, m, dtype=dtype)
print("on stderr", file=sys.stderr)"""

FLOODS = """\
flooded = False
def identity(n, m, dtype):
    global flooded
    if not flooded:
        flooded = True
        for _ in range(100):
            print("x" * 1_000_000)
    return torch.eye(n, m, dtype=dtype)
identity(1, 1, torch.int64)
flooded = False"""

INVENTS_SCORE = """\
class Forged(float):
    def __repr__(self):
        return "<script>3</script>"
def identity(n, m, dtype):
    return Forged(3)"""

IDS = ("notebook_about", "notebook_setup", "about_eye", "eye", "test_eye")


def without(notebook, name):
    notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != name]
    return notebook


def with_extra_cell(notebook, source):
    notebook.cells.insert(2, nbformat.v4.new_code_cell(source))
    return notebook


def duplicated(notebook):
    notebook.cells.append(nbformat.from_dict(json.loads(json.dumps(notebook.cells[-1]))))
    return notebook


def with_tampered_metadata(notebook, **changes):
    cell_of(notebook, "test_eye").metadata.nbgrader.update(changes)
    return notebook


def with_other_type(notebook):
    cell = cell_of(notebook, "test_eye")
    cell.cell_type = "markdown"
    del cell["outputs"], cell["execution_count"]
    return notebook


def with_skip_tags(notebook):
    for cell in notebook.cells:
        cell.metadata["tags"] = ["skip-execution", "raises-exception"]
    return notebook


def with_forged_outputs(notebook):
    forged = {"text/plain": "3", "text/html": "<b>student-made</b>"}
    cell_of(notebook, "test_eye").outputs = [
        nbformat.v4.new_output("display_data", data=forged),
        nbformat.v4.new_output("execute_result", data=forged, execution_count=1),
    ]
    return notebook


def with_forged_notes(notebook):
    notebook.metadata["tensorgrade"] = {
        "unreadable": "missing",
        "lost": ["eye", "test_eye"],
        "flagged": ["eye", "test_eye"],
        "language": ["en"],
    }
    return notebook


def as_version_3(notebook):
    """The notebook as nbformat 3 has it, in which many students' old tools still write."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cells.append({"cell_type": "code", "language": "python", "input": cell.source, "outputs": [],
                          "metadata": cell.metadata, "collapsed": False})  # fmt: skip
        else:
            cells.append({"cell_type": "markdown", "source": cell.source, "metadata": cell.metadata})
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    return json.dumps(old).encode()


def hand_in(course):
    """One submission of each kind; returns the score that each student must get."""
    solutions = {
        "perfect": (RIGHT, 3), "unusual": (UNUSUAL, 3), "partly": (PARTLY, 2), "wrong": (WRONG, 1),
        "endless-function": (ENDLESS, 0), "killed": (KILLED, 0), "patches": (PATCHES, 0),
        "warns": (WARNS, 3), "floods": (FLOODS, 3), "empty-cell": ("", 0), "syntax-error": ("def identity(n, m", 0),
        "endless-cell": (RIGHT + "\nwhile True:\n    pass", 3), "ends": (RIGHT + "\nimport os\nos._exit(0)", 0),
        "invents-score": (INVENTS_SCORE, 0), "undefined": ("other = 1", 0),
    }  # fmt: skip
    scores = {student: score for student, (_, score) in solutions.items()}
    for student, (solution, _) in solutions.items():
        course.submit(student, course.solved(solution))
    notebooks = {
        "untouched": (course.released(), 0),
        "deleted-test": (without(course.solved(RIGHT), "test_eye"), 0),
        "deleted-solution": (without(course.solved(RIGHT), "eye"), 0),
        "duplicated-test": (duplicated(course.solved(RIGHT)), 3),
        "schema-version": (with_tampered_metadata(course.solved(PARTLY), schema_version=0), 2),
        "schema-newer": (with_tampered_metadata(course.solved(PARTLY), schema_version=99), 2),
        "points": (with_tampered_metadata(course.solved(PARTLY), points=300), 2),
        "not-graded": (with_tampered_metadata(course.solved(PARTLY), grade=False, locked=False, solution=True), 2),
        "cell-type": (with_other_type(course.solved(PARTLY)), 2),
        "tags": (with_skip_tags(course.solved(PARTLY)), 2),
        "forged-outputs": (with_forged_outputs(course.solved(WRONG)), 1),
        "forged-notes": (with_forged_notes(course.solved(PARTLY)), 2),
        "endless-extra": (with_extra_cell(course.solved(RIGHT), "while True:\n    pass"), 3),
        "edited-test": (course.solved(RIGHT), 3),
    }
    cell_of(notebooks["edited-test"][0], "test_eye").source = "3.0"
    for student, (notebook, score) in notebooks.items():
        course.submit(student, notebook)
        scores[student] = score
    files = {
        "not-json": b"this is not a notebook",
        "binary": bytes(range(256)) * 40,
        "nothing": b"",
        "json-only": b'{"nbformat": 4, "cells": 7}',
        "deep": b"[" * 100_000,
    }
    for student, content in files.items():
        course.submit(student, content)
        scores[student] = 0
    course.submit("version-3", as_version_3(course.solved(RIGHT)))
    course.submit("renamed", course.solved(RIGHT), name="my solution.ipynb")
    course.submit("additional", course.solved(RIGHT))
    course.submit("additional", course.solved(WRONG), name="Untitled.ipynb")
    reads = "from pathlib import Path\nassert Path('data/numbers.csv').read_text() == '1,2'\n"
    writes = "Path('data/numbers.csv').write_text('changed')\n"
    course.submit("side-files", course.solved(reads + writes + RIGHT))
    course.write("submitted/side-files/create/data/numbers.csv", "1,2")
    course.submit("late", course.solved(RIGHT))
    course.write("submitted/late/create/timestamp.txt", "2026-01-02 03:00:00 UTC")
    return {**scores, "version-3": 3, "renamed": 0, "additional": 3, "side-files": 3, "late": 3}


LATE = """
from nbgrader.plugins import LateSubmissionPlugin


class HalfPointPerHour(LateSubmissionPlugin):
    def late_submission_penalty(self, student_id, score, total_seconds_late):
        return 0.5 * (total_seconds_late // 3600)


c.AssignLatePenalties.plugin_class = HalfPointPerHour
c.CourseDirectory.db_assignments = []
"""


class Batch:
    """The course after one run of ``nbgrader autograde`` over all submissions."""

    def __init__(self, course, scores, run):
        self.course, self.scores, self.run = course, scores, run
        self.grades = course.grades()


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    course = NbgraderCourse.flagship(tmp_path_factory.mktemp("batch") / "course")
    course.edit("assignments/create/eye.yaml", "accept:\n", "limits: {seconds: 2}\naccept:\n")
    course.edit("graders/create/test_eye.py", "import pytest\n", 'import pytest\n\nSECRET = "canary-grader-51"\n')
    course.edit("assignments/create/eye.yaml", "  def identity(n, m, dtype):\n      return",
                "  def identity(n, m, dtype):\n      canary_solution_52 = 1\n      return")  # fmt: skip
    scores = hand_in(course)
    run = course.nbgrader("autograde", "create", "--create")
    return Batch(course, scores, run)


def test_whole_batch_succeeds(batch):
    """Whatever was handed in, nbgrader ends with exit code 0, and every student is in the gradebook."""
    assert batch.run.returncode == 0, batch.run.stderr[-3000:]
    assert set(batch.grades) == set(batch.scores)


def test_scores(batch):
    """Every student gets exactly the points of the clauses that hold, and nothing needs a person."""
    assert {student: facts["test_eye"]["score"] for student, facts in batch.grades.items()} == batch.scores
    assert not [name for name, facts in batch.grades.items() if facts["test_eye"]["needs_manual_grade"]]
