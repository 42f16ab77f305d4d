"""Specification of a run of autograde that is killed: nothing of it stays, and the next one completes it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tensorgrade.usage import descendants_of
from tests.nbgrader_course import NbgraderCourse, cell_of

STUDENTS = 12
SLOW = "import os, time\ntime.sleep(1)\nif os.fork() == 0:\n    time.sleep(600)\ndef task():\n    return 42"


@pytest.fixture
def course(tmp_path):
    """A course with a class whose notebooks take their time and leave processes behind."""
    course = NbgraderCourse.small(tmp_path / "course", {"task": None})
    course.build()
    for number in range(STUDENTS):
        notebook = course.released("demo")
        cell_of(notebook, "task").source = SLOW.replace("42", "42" if number % 2 else "41")
        course.submit(f"student-{number}", notebook, "demo")
    return course


def test_a_killed_run_leaves_nothing_and_is_completed_by_the_next(course, is_gone):
    """After SIGKILL in the middle of a batch no process and no mount is left; a rerun gives every score."""
    mounts = Path("/proc/self/mounts").read_text()
    with subprocess.Popen(
        [sys.executable, "-m", "nbgrader", "autograde", "demo"],
        cwd=course.root,
        env={**os.environ, "HOME": str(course.root), "PYTHONWARNINGS": "ignore"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as run:
        course.wait_until_graded("demo", 2)
        time.sleep(0.3)  # until the next notebook runs
        family = descendants_of(run.pid)
        run.send_signal(signal.SIGKILL)
    assert len(family) >= 3
    assert len(list(course.root.glob("autograded/*/demo/demo.ipynb"))) < STUDENTS
    assert [pid for pid in family if not is_gone(pid)] == []
    assert Path("/proc/self/mounts").read_text() == mounts
    again = course.nbgrader("autograde", "demo")
    assert again.returncode == 0, again.stderr[-2000:]
    scores = {student: cells["test_task"]["score"] for student, cells in course.grades("demo").items()}
    assert scores == {f"student-{number}": 2.0 if number % 2 else 0.0 for number in range(STUDENTS)}
