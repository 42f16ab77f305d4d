"""The flagship course: what each of its exercises says of its own answers is true."""

from pathlib import Path

import pytest

from examples.course_page import PAGE, page
from tensorgrade.course import Course
from tensorgrade.job import CellJob, Job
from tensorgrade.late import LateImports
from tensorgrade.runner import grade
from tensorgrade.supervisor import open_zygote
from tensorgrade.zygote import ACCELERATORS

COURSE = Course(Path(__file__).parents[1])


def answers(exercise):
    """Each answer of an exercise by name, with the clauses that it must lose."""
    yield "starter", exercise.starter, set(exercise.clauses)
    yield "solution", exercise.solution, set()
    for name, code in exercise.accept.items():
        yield f"accept-{name}", code, set()
    for name, rejected in exercise.reject.items():
        yield f"reject-{name}", rejected.code, set(rejected.because)


ASSIGNMENTS = [COURSE.load(name) for name in COURSE.assignment_names()]
CASES = [
    pytest.param(assignment, exercise, code, lost, id=f"{exercise.id}-{name}")
    for assignment in ASSIGNMENTS
    for exercise in assignment.exercises
    for name, code, lost in answers(exercise)
]


@pytest.fixture(scope="module")
def zygote():
    """A zygote with all that some answer or probe of the course imports late."""
    with open_zygote("auto") as zygote:
        zygote.preload((*LateImports().submissions, ACCELERATORS))
        yield zygote


@pytest.mark.parametrize(("assignment", "exercise", "code", "lost"), CASES)
def test_an_answer_loses_what_it_must(zygote, assignment, exercise, code, lost):
    """The starter earns nothing, right answers everything, a wrong answer all but the clauses it names."""
    seconds = exercise.limits.seconds
    cells = (CellJob(assignment.settings.setup, seconds), CellJob(code, seconds), CellJob("", seconds, exercise.name))
    job = Job(cells, COURSE.root, assignment.name, "en", None, 120.0, cache=False)
    verdict = grade(job, zygote).verdicts[exercise.name]
    assert verdict.flagged is None
    assert {clause.name for clause in verdict.clauses if clause.status != "passed"} == lost, verdict.to_text()


@pytest.mark.parametrize("assignment", COURSE.assignment_names())
def test_the_files_fit_together(assignment):
    """Every exercise has its grader, every clause its test."""
    assert COURSE.problems(assignment) == ()


def test_the_course_page_is_current():
    """docs/course.md is what examples/course_page.py makes of the course."""
    assert PAGE.read_text(encoding="utf-8") == page(COURSE), "run python examples/course_page.py"
