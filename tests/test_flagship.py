"""The flagship course: what each of its exercises says of its own answers is true."""

import html
from pathlib import Path

import pytest

from examples.course_page import MAP, PAGE, drawn_map, page
from tensorgrade.course import Course
from tensorgrade.exercise import COURSE_FILE, read_course_settings
from tensorgrade.job import CellJob, Job
from tensorgrade.runner import grade

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


@pytest.mark.parametrize(("assignment", "exercise", "code", "lost"), CASES)
def test_an_answer_loses_what_it_must(zygote, assignment, exercise, code, lost):
    """The starter earns nothing, right answers everything, a wrong answer all but the clauses it names.

    Whatever is said of it, no line of a grader is.
    """
    seconds = exercise.limits.seconds
    cells = (CellJob(assignment.settings.setup, seconds), CellJob(code, seconds), CellJob("", seconds, exercise.name))
    job = Job(cells, COURSE.root, assignment.name, "en", None, 120.0, cache=False)
    verdict = grade(job, zygote).verdicts[exercise.name]
    assert verdict.flagged is None
    assert {clause.name for clause in verdict.clauses if clause.status != "passed"} == lost, verdict.to_text()
    received = verdict.to_text() + html.unescape(verdict.to_html())
    assert [line for line in lines_of_graders(exercise, code) if line in received] == []


def lines_of_graders(exercise, code):
    """The lines of the assignment's graders that are long enough to be known, but for those that a student has."""
    sources = "\n".join(
        file.read_text(encoding="utf-8") for file in (COURSE.graders / exercise.assignment).rglob("*.py")
    )
    public = f"{exercise.model_dump(include={'prompt', 'starter', 'examples', 'clauses', 'hints'})!r}{code}"
    return {line for line in map(str.strip, sources.splitlines()) if len(line) > 25 and line not in public}


@pytest.mark.parametrize("assignment", COURSE.assignment_names())
def test_the_files_fit_together(assignment):
    """Every exercise has its grader, every clause its test."""
    assert COURSE.problems(assignment) == ()


def test_every_concept_is_taught():
    """The concepts of ``course.yaml`` are those that exercises teach, and no others."""
    known = read_course_settings(COURSE.assignments / COURSE_FILE).concepts
    exercises = [exercise for assignment in ASSIGNMENTS for exercise in assignment.exercises]
    assert set(known) == {concept for exercise in exercises for concept in exercise.teaches}


def test_the_course_page_is_current():
    """docs/course.md is what examples/course_page.py makes of the course."""
    assert PAGE.read_text(encoding="utf-8") == page(COURSE), "run python -m examples.course_page"


def test_the_concept_map_is_current():
    """Its picture is drawn from what the exercises teach and need, and each of them has a box in it."""
    drawn = drawn_map(COURSE)
    assert MAP.read_text(encoding="utf-8") == drawn, "run python -m examples.course_page"
    for assignment in ASSIGNMENTS:
        for exercise in assignment.exercises:
            assert f">{exercise.name}</text>" in drawn
