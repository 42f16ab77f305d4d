"""Whether an exercise fits the rest of its course.

Its needs exist and end, what it teaches is known, and its grader tests its clauses and no more.

Trusted side. Graders are read as text here, never imported. Every problem comes as a value; ``course`` reports them.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path

from tensorgrade.exercise import COURSE_FILE, Exercise
from tensorgrade.yamlfile import Key, Problem, closest, read

__all__ = ["problem_at", "unknown_concepts", "wrong_grader", "wrong_needs"]


def problem_at(file: Path, key: Key, fault: str, remedy: str) -> Problem:
    """Return a problem at the line of a key of a YAML file."""
    return read(file).problem(key, fault, remedy)


def unknown_concepts(exercise: Exercise, known: Collection[str]) -> Iterator[Problem]:
    """Yield the concepts that an exercise teaches and its course does not list; a course may have no list."""
    for index, concept in enumerate(exercise.teaches if known else ()):
        if concept not in known:
            fault = f'found "{concept}", which is no concept of {COURSE_FILE}'
            near = get_close_matches(concept, known, n=1)
            remedy = f"write `{near[0]}` instead, or add it there" if near else "add it there"
            yield problem_at(exercise.file, ("teaches", index), fault, remedy)


def wrong_needs(exercises: Mapping[str, Exercise], known: Iterable[str], assignment: str) -> Iterator[Problem]:
    """Yield what is wrong with the needs of an assignment's exercises: names that do not exist, and circles.

    Args:
        exercises: all exercises of the course that can be read, by id.
        known: the ids of all exercises of the course.
        assignment: whose exercises to look at.
    """
    for exercise in exercises.values():
        if exercise.assignment == assignment:
            yield from _unknown_needs(exercise, known)
    yield from _cycles(exercises, assignment)


def _unknown_needs(exercise: Exercise, known: Iterable[str]) -> Iterator[Problem]:
    for index, need in enumerate(exercise.needs):
        if need not in known:
            fault = f'found "{need}", which is no exercise of this course'
            yield problem_at(exercise.file, ("needs", index), fault, closest(need, sorted(known)))


def _cycles(exercises: Mapping[str, Exercise], assignment: str) -> Iterator[Problem]:
    """Yield each cycle of needs through ``assignment`` once."""
    seen: set[frozenset[str]] = set()
    for exercise in exercises.values():
        way = _way_back(exercises, exercise.id) if exercise.assignment == assignment else ()
        if way and frozenset(way) not in seen:
            seen.add(frozenset(way))
            circle = " needs ".join((exercise.id, *way))
            yield problem_at(exercise.file, ("needs",), f"a circle: {circle}", "remove one of these needs")


def _way_back(exercises: Mapping[str, Exercise], start: str) -> tuple[str, ...]:
    """Return a shortest way along needs from ``start`` to itself, ``start`` last; empty when there is none."""
    ways: list[tuple[str, ...]] = [()]
    met: set[str] = set()
    for way in ways:
        here = exercises.get(way[-1] if way else start)
        for need in here.needs if here else ():
            if need == start:
                return (*way, need)
            if need not in met:
                met.add(need)
                ways.append((*way, need))
    return ()


def wrong_grader(exercise: Exercise, grader: Path) -> Iterator[Problem]:
    """Yield what is wrong with an exercise's grader: each clause has a test, and each test belongs to a clause."""
    if not grader.is_file():
        names = ", ".join(f"`test_{clause}`" for clause in exercise.clauses)
        fault = f"found no grader {grader}"
        yield problem_at(exercise.file, ("clauses",), fault, f"write it, with the functions {names}")
        return
    tests = _tests(grader)
    if isinstance(tests, Problem):
        yield tests
        return
    yield from _untested_clauses(exercise, grader, tests)
    yield from _tests_of_no_clause(exercise, grader, tests)


def _tests(grader: Path) -> Mapping[str, int] | Problem:
    """Return the line of each test in a grader, or why it cannot be read; the grader is not run."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # style of the author's code, and no reason to refuse it
            module = ast.parse(grader.read_bytes())
    except SyntaxError as error:
        return Problem(
            grader,
            error.lineno or 1,
            f"found code that is not Python ({error.msg})",
            "mend it on this line or just above",
        )
    except (OSError, ValueError) as error:
        return Problem(grader, 1, f"cannot be read ({error})", "save it as a readable text file in UTF-8")
    return {function.name: function.lineno for function in _test_functions(module.body)}


def _test_functions(body: Iterable[ast.stmt]) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Yield what pytest collects by default: ``test*`` at the top level and in classes named ``Test*``."""
    for statement in body:
        if isinstance(statement, ast.ClassDef) and statement.name.startswith("Test"):
            yield from _test_functions(statement.body)
        if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef) and statement.name.startswith("test"):
            yield statement


def _belongs(test: str, clause: str) -> bool:
    return test == f"test_{clause}" or test.startswith(f"test_{clause}__")


def _untested_clauses(exercise: Exercise, grader: Path, tests: Iterable[str]) -> Iterator[Problem]:
    for clause in exercise.clauses:
        if not any(_belongs(test, clause) for test in tests):
            fault = f"found no test of this clause in {grader}"
            yield problem_at(exercise.file, ("clauses", clause), fault, f"write a function `test_{clause}` there")


def _tests_of_no_clause(exercise: Exercise, grader: Path, tests: Mapping[str, int]) -> Iterator[Problem]:
    for test, line in tests.items():
        if not any(_belongs(test, clause) for clause in exercise.clauses):
            names = " or ".join(f"`test_{clause}`" for clause in exercise.clauses)
            remedy = f"name it {names}, with `__` before more words, or add a clause to {exercise.file}"
            yield Problem(grader, line, f"found `{test}`, which belongs to no clause of {exercise.id}", remedy)
