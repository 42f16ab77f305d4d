"""Specification of grading ahead: whatever is graded in advance, and by how many, a class has the same results.

The classes are graded by the real nbgrader. Most runs are in this process, where the workers stay warm.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest

from tensorgrade.bridge.run import autograde
from tensorgrade.course import Course
from tensorgrade.errors import GradebookError
from tensorgrade.pool import POOL
from tensorgrade.usage import descendants_of
from tests.nbgrader_course import NbgraderCourse, cell_of, grade_id

# nbgrader 0.9.6 relies on what SQLAlchemy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore::sqlalchemy.exc.SAWarning", "ignore::DeprecationWarning", "ignore::nbformat.warnings.MissingIDFieldWarning"
)

LIMITS = "schema: 1\nlimits: {seconds: 1}\n"
FAULTY = "def test_values(submission):\n    if submission.call('two') == 13:\n        raise KeyError('a fault')\n"
ANSWERS = {
    "right": "def {name}():\n    return 42",
    "wrong": "def {name}():\n    return 41",
    "raises": "1 / 0",
    "time-out": "while True: pass",
    "slow when judged": "def {name}():\n    while True: pass",
    "crash": "import os\nos._exit(0)",
    "crash when judged": "def {name}():\n    import os\n    os._exit(0)",
    "fault of the grader": "def {name}():\n    return 13",
}
DAMAGES = {
    "none": lambda notebook: notebook,
    "no test cell": lambda notebook: without(notebook, "test_one"),
    "no answer cell": lambda notebook: without(notebook, "two"),
    "broken": lambda notebook: b'{"cells": [',
    "missing": lambda notebook: None,
}


def without(notebook, name):
    notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != name]
    return notebook


def submit_class(course, seed):
    """Hand in for a class with each kind of answer and damage, in an order that the seed gives."""
    choice = random.Random(seed)
    kinds = [(answer, "none") for answer in ANSWERS] + [("right", damage) for damage in DAMAGES]
    choice.shuffle(kinds)
    for number, (answer, damage) in enumerate(kinds):
        notebook = course.released("demo")
        cell_of(notebook, "two").source = ANSWERS[answer].format(name="two")
        cell_of(notebook, "one").source = ANSWERS[choice.choice(("right", "wrong"))].format(name="one")
        handed_in = DAMAGES[damage](notebook)
        student = f"s{number:02}-{answer}-{damage}".replace(" ", "_")
        course.write(f"submitted/{student}/demo/notes.txt", student)
        if handed_in is not None:
            course.submit(student, handed_in, "demo")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A course with the exercises one and two; the grader of two has a fault for one answer."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("built") / "course", {"one": None, "two": None})
    course.write("assignments/course.yaml", LIMITS)
    course.edit("graders/demo/test_two.py", "def test_values(submission):\n", FAULTY)
    course.build()
    return course


@pytest.fixture
def small(built, tmp_path):
    """A copy of that course, which nobody has handed in anything for."""
    shutil.copytree(built.root, tmp_path / "course")
    return NbgraderCourse(tmp_path / "course")


def simple_class(course, students=("anna", "ben", "carl", "dora")):
    """Students with right answers to both exercises, all but the last."""
    for student in students:
        notebook = course.released("demo")
        for name in ("one", "two"):
            answer = "wrong" if student == students[-1] and name == "two" else "right"
            cell_of(notebook, name).source = ANSWERS[answer].format(name=name) + f"\n# {student}"
        course.submit(student, notebook, "demo")


class Watcher:
    """Counts, and does something when a submission is done."""

    def __init__(self, on_advance=lambda count: None):
        self.submissions = self.done = 0
        self._on_advance = on_advance

    def begin(self, submissions):
        """Take note of how many there are."""
        self.submissions = submissions

    def advance(self, failures):
        """Count one more."""
        self.done += 1
        self._on_advance(self.done)


def graded(course, watcher=None, **options):
    """Grade in this process: the summary of the run."""
    arguments = {name: options.pop(name) for name in ("students", "force") if name in options}
    return autograde(Course(course.root), "demo", watcher or Watcher(), **arguments, options=options)


def results(course):
    """Scores and verdicts of all students."""
    grades = course.grades("demo")
    verdicts = {
        (student, cell): [output.data for output in cell_of(course.graded(student, "demo"), cell).outputs]
        for student, cells in grades.items()
        for cell in cells
    }
    return grades, verdicts


@contextmanager
def configured(course, lines):
    """The course with more lines in its configuration."""
    file = course.root / "nbgrader_config.py"
    before = file.read_text()
    file.write_text(before + lines)
    try:
        yield
    finally:
        file.write_text(before)


@pytest.fixture(scope="module", autouse=True)
def workers_end():
    """Let no worker of these tests live longer than they do."""
    yield
    POOL.close()


def test_a_class_has_the_same_results_however_it_is_graded(small):
    """Workers, notebooks ahead, the store and ``force`` change no score, no verdict and not what is flagged."""
    submit_class(small, seed=1)
    first = graded(small, workers=1, ahead=0, cache=True)
    expected = results(small)
    scores = {student.partition("-")[2]: cells["test_two"]["auto"] for student, cells in expected[0].items()}
    assert {name for name, score in scores.items() if score == 2} == {"right-none", "right-no_test_cell"}
    assert len(first.flagged) == 1
    assert "fault" in first.flagged[0]
    assert len(first.graded) == len(expected[0]) == len(ANSWERS) + len(DAMAGES)
    ways = (
        {"workers": 4, "ahead": 3, "cache": False},
        {"workers": 2, "ahead": 3, "cache": True},
    )
    for way in ways:
        again = graded(small, force=True, **way)
        assert results(small) == expected, way
        assert (again.flagged, again.noted, again.graded, again.failure) == (
            first.flagged,
            first.noted,
            first.graded,
            first.failure,
        )
    assert again.reused >= 4


def test_what_is_graded_already_is_not_graded_again(small):
    """A second run has nothing to do and changes nothing; each submission is counted once."""
    simple_class(small)
    watcher = Watcher()
    assert graded(small, watcher).graded == ["anna", "ben", "carl", "dora"]
    assert (watcher.submissions, watcher.done) == (4, 4)
    stamps = {file: file.stat().st_mtime_ns for file in small.root.glob("autograded/*/demo/demo.ipynb")}
    watcher = Watcher()
    assert graded(small, watcher).graded == []
    assert (watcher.submissions, watcher.done) == (4, 4)
    assert {file: file.stat().st_mtime_ns for file in stamps} == stamps


def test_only_the_students_asked_for_are_graded(small):
    """The others stay as they are; one who handed in nothing is an error, and nobody is graded then."""
    simple_class(small)
    with pytest.raises(GradebookError, match=r"nothing was handed in for demo by nobody$"):
        graded(small, students=["ben", "nobody"])
    assert not (small.root / "autograded").exists()
    assert graded(small, students=["ben"]).graded == ["ben"]
    assert set(small.grades("demo")) == {"ben"}


def test_excluded_students_are_left_out(small):
    """``student_id_exclude`` holds, also for those whose turn comes between others."""
    simple_class(small)
    with configured(small, 'c.CourseDirectory.student_id_exclude = "anna,carl"\n'):
        assert graded(small).graded == ["ben", "dora"]
    assert set(small.grades("demo")) == {"ben", "dora"}


def test_a_student_that_nbgrader_refuses_costs_nobody_else_anything(small):
    """Of a student whom the gradebook must not create, nothing is graded and the run fails; the others are graded."""
    simple_class(small)
    with small.gradebook() as gradebook:
        for student in ("anna", "carl", "dora"):
            gradebook.add_student(student)
    with configured(small, "c.Autograde.create_student = False\n"):
        summary = graded(small)
    assert summary.graded == ["anna", "carl", "dora"]
    assert summary.failure
    scores = {student: cells["test_two"]["score"] for student, cells in small.grades("demo").items()}
    assert scores == {"anna": 2, "carl": 2, "dora": 0}
    assert not (small.root / "autograded" / "ben").exists()


def test_workers_that_are_killed_cost_no_result(small):
    """All workers are killed while a class is graded: others take their place, and no score or flag is different."""
    simple_class(small, [f"student-{number}" for number in range(8)])
    killed = []

    def kill(count):
        if count == 2:
            for worker in POOL._workers:
                signal.pidfd_send_signal(worker._handle, signal.SIGKILL)
                killed.append(worker)

    summary = graded(small, Watcher(kill), workers=2, ahead=1, cache=False)
    assert (summary.flagged, summary.failure) == ([], None)
    scores = [cells["test_two"]["score"] for _, cells in sorted(small.grades("demo").items())]
    assert scores == [2] * 7 + [0]
    assert set(killed) - set(POOL._workers)


def test_an_interrupted_run_is_completed_by_the_next(small, is_gone):
    """Ctrl-C ends ``tensorgrade grade`` with 130 and a sentence, and leaves no process; the next grades the rest."""
    simple_class(small, [f"student-{number:02}" for number in range(12)])
    for file in small.root.glob("submitted/*/demo/demo.ipynb"):
        file.write_text(file.read_text().replace("def one", "import time\\ntime.sleep(0.5)\\ndef one", 1))
    with subprocess.Popen(
        [sys.executable, "-m", "tensorgrade.cli", "grade", "demo"],
        cwd=small.root,
        env={**os.environ, "HOME": str(small.root), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
    ) as run:
        small.wait_until_graded("demo", 2)
        family = descendants_of(run.pid)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert said.strip() == "Stopped. What was graded is saved; run it again to go on."
    assert len(family) >= 3
    assert [pid for pid in family if not is_gone(pid)] == []
    before = len(list(small.root.glob("autograded/*/demo/demo.ipynb")))
    assert before < 12
    assert graded(small).failure is None
    scores = [cells["test_two"]["score"] for _, cells in sorted(small.grades("demo").items())]
    assert scores == [2] * 11 + [0]
