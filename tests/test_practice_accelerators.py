"""Specification of the accelerators of a notebook at home, in a process of its own for each."""

import subprocess
import sys

import pytest

from tensorgrade.course import Course
from tensorgrade.notebook import setup_source

BARE = "import sys; sys.modules['tensorgrade'] = None\n"


@pytest.fixture
def setup_of(make_course, exercise_text):
    """The first code cell of an assignment whose exercise has so many accelerators."""

    def of(count):
        text = exercise_text("values") + f"accelerators: {count}\n"
        course: Course = make_course({"one": (text, "def test_values(submission): ...\n")})
        return setup_source(course.load("demo"))

    return of


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    return done.stdout


def test_it_gives_virtual_ones(setup_of):
    """Where tensorgrade is installed and there are no real GPUs, the cell enables virtual ones and says so."""
    setup = setup_of(2)
    told = "This notebook has 2 virtual GPU(s).\n"
    assert run(f"{setup}\n{setup}\nprint(torch.ones(1, device='cuda:1').device)") == f"{told}{told}cuda:1\n"


def test_it_does_nothing_without_tensorgrade(setup_of):
    """Without tensorgrade the notebook begins as any other."""
    assert run(f"{BARE}{setup_of(2)}\nprint(torch.cuda.device_count())") == "0\n"


def test_it_changes_nothing_where_there_are_some(setup_of):
    """A process that has its accelerators, or was given none on purpose, keeps that."""
    given = "from tensorgrade import virtual_cuda\nvirtual_cuda.enable(devices={})\n"
    assert run(given.format(4) + setup_of(2)) == "This notebook has 4 virtual GPU(s).\n"
    assert run(given.format(0) + setup_of(2)) == "This notebook has 0 GPU(s).\n"


def test_it_stands_only_where_it_is_needed(setup_of):
    """Assignments without accelerators begin as they say."""
    assert "tensorgrade" not in setup_of(0)
