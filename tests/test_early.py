"""Grading is made ready while nbgrader is imported, unless there may be nothing to execute."""

import subprocess
import sys

import pytest

from tensorgrade.bridge import early
from tensorgrade.pool import WorkerPool

USE = """
import sys
from pathlib import Path
from tensorgrade.bridge.early import started_early
from tensorgrade.course import Course
from tensorgrade.pool import POOL
with started_early(Course(Path(sys.argv[1])), "demo", {"workers": 3}):
    assert "nbgrader" not in sys.modules
assert POOL.workers == 3
assert POOL._origin._template.poll() is None
POOL.close()
"""


@pytest.fixture
def course(make_course, exercise_text):
    """A course with one assignment."""
    return make_course({"task": (exercise_text("values"), "def test_values(submission): ...")})


def test_workers_are_started_before_nbgrader_is_there(course):
    """What workers are forked from is under way, with as many workers as asked for, and nbgrader not yet imported."""
    subprocess.run([sys.executable, "-c", USE, str(course.root)], check=True, timeout=60)


@pytest.mark.parametrize(("assignment", "stored"), [("demo", True), ("other", False)])
def test_nothing_is_started_in_vain(course, monkeypatch, assignment, stored):
    """Stored results may be all that the run needs, and an assignment that there is not needs nothing."""
    pool = WorkerPool()
    monkeypatch.setattr(early, "POOL", pool)
    if stored:
        course.results.mkdir(parents=True)
    with early.started_early(course, assignment, {}):
        pass
    assert pool._origin is None


def test_results_count_for_nothing_where_they_are_not_wanted(course, monkeypatch):
    """With ``cache`` off everything is executed."""
    pool = WorkerPool()
    monkeypatch.setattr(early, "POOL", pool)
    course.results.mkdir(parents=True)
    try:
        with early.started_early(course, "demo", {"cache": False}):
            pass
        assert pool._origin is not None
    finally:
        pool.close()
