"""Scores from a real gradebook and real verdicts."""

import io
import json

import pytest
from rich.console import Console

from tensorgrade.course import Course
from tensorgrade.errors import GradebookError
from tensorgrade.scores import scores, table
from tests.nbgrader_course import NbgraderCourse, cell_of

# nbgrader 0.9.6 relies on what SQLAlchemy warns about
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A small course of two exercises with three graded students, one of them with a manual score."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("scores") / "course", {"one": None, "two": None})
    course.build()
    for student, answer in (("anna", "42"), ("ben", "41")):
        notebook = course.released("demo")
        cell_of(notebook, "one").source = "def one():\n    return 42"
        cell_of(notebook, "two").source = f"def two():\n    return {answer}"
        course.submit(student, notebook, "demo")
    course.submit("zoe", b"damaged", "demo")
    run = course.nbgrader("autograde", "demo", "--create")
    assert run.returncode == 0, run.stderr[-3000:]
    with course.gradebook() as gradebook:
        gradebook.find_grade("test_two", "demo", "demo", "ben").manual_score = 0.5
        gradebook.db.commit()
    return course


@pytest.fixture
def data(course):
    return scores(Course(course.root), "demo")


def test_shape(data):
    """Scores are plain data: students by id, each with points and exercises, these with clauses and a reason."""
    assert list(data["students"]) == ["anna", "ben", "zoe"]
    assert data["students"]["anna"] == {
        "score": 4,
        "max": 4,
        "exercises": {
            name: {
                "score": 2,
                "max": 2,
                "manual": False,
                "clauses": {"values": "passed"},
                "reason": None,
                "needs_manual_grade": False,
            }
            for name in ("one", "two")
        },
    }
    assert json.loads(json.dumps(data)) == data


def test_manual_score_has_the_last_word(data):
    """A manual score counts instead of the verdict's, which stays visible."""
    two = data["students"]["ben"]["exercises"]["two"]
    assert (two["score"], two["manual"], two["clauses"]) == (0.5, True, {"values": "failed"})
    assert data["students"]["ben"]["score"] == 2.5


def test_reason_is_told(data):
    """A submission that could not be read has its reason at every exercise."""
    entry = data["students"]["zoe"]
    assert entry["score"] == 0
    assert all("cannot be read" in exercise["reason"] for exercise in entry["exercises"].values())
    assert all(exercise["clauses"] == {"values": "not run"} for exercise in entry["exercises"].values())


def test_table(data):
    """The table names students, their points, and of each exercise that lost some the failed clauses and reasons."""
    console = Console(file=io.StringIO(), width=200)
    console.print(table(data))
    text = console.file.getvalue()
    for said in ("anna", "4 / 4", "2.5 / 4", "two 0.5 / 2  failed: values", "not run: values; ", "cannot be read"):
        assert said in text
    assert "2 / 2" not in text


def test_unknown_assignment(course):
    """An assignment that the gradebook does not know is an error with the remedy."""
    with pytest.raises(GradebookError, match=r"no assignment 'other'; build it with `tensorgrade build other`"):
        scores(Course(course.root), "other")


def test_lost_notebooks_leave_the_points(course, data):
    """Without ``autograded/`` the points are those of the gradebook; clauses are not known."""
    (course.root / "autograded").rename(course.root / "elsewhere")
    try:
        without = scores(Course(course.root), "demo")
    finally:
        (course.root / "elsewhere").rename(course.root / "autograded")
    assert {name: entry["score"] for name, entry in without["students"].items()} == {"anna": 4, "ben": 2.5, "zoe": 0}
    assert {name: set(entry["exercises"]) for name, entry in without["students"].items()} == {
        name: set(entry["exercises"]) for name, entry in data["students"].items()
    }
