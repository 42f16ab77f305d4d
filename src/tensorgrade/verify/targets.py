"""What the words on the command line mean: assignments, and exercises of assignments.

Trusted side.
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from ..course import Course
from ..errors import CourseError
from ..exercise import ASSIGNMENT_FILE
from ..yamlfile import closest

Targets = dict[str, tuple[str, ...] | None]
"""Assignments, and the exercises of each that are to be proven; None for all."""


def changed(course: Course, commit: str) -> list[str]:
    """Return the names of what is to be proven again since `commit`, for `targets`; all assignments when need be.

    An exercise depends on its file and its grader; all of an assignment on other files in its folders; everything on
    what lies elsewhere in them, and on the framework, if the course lies in its repository.

    Raises:
        CourseError: git does not know the commit.
    """
    names: dict[str, None] = {}
    for path in _paths_since(course, commit):
        folder, _, rest = path.partition("/")
        assignment, _, file = rest.partition("/")
        if folder == "src" or (folder in ("assignments", "graders") and not file):
            return list(course.assignment_names())
        if folder in ("assignments", "graders") and assignment in course.assignment_names():
            stem = Path(file).stem
            own = (f"{stem}.yaml", f"test_{stem.removeprefix('test_')}.py")
            exercise = stem if folder == "assignments" else stem.removeprefix("test_").replace("_", "-")
            known = file in own and course.exercise_file(assignment, exercise).is_file() and file != ASSIGNMENT_FILE
            names[f"{assignment}/{exercise}" if known else assignment] = None
    return list(names)


def _paths_since(course: Course, commit: str) -> list[str]:
    """The files that are not as they were in a commit, relative to the course."""
    git = ["git", "-C", str(course.root)]
    asked = [*git, "diff", "--name-only", "--relative", "-z", "--end-of-options", commit, "--"]
    new = [*git, "ls-files", "--others", "--exclude-standard", "-z"]
    paths: list[str] = []
    for command in (asked, new):
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        if told.returncode != 0:
            raise CourseError(f"git cannot say what changed since {commit}: {told.stderr.strip()}")
        paths += filter(None, told.stdout.split("\0"))
    return paths


def targets(course: Course, names: Sequence[str]) -> Targets:
    """Return what ``ASSIGNMENT`` or ``ASSIGNMENT/EXERCISE`` name; without names the whole course.

    Raises:
        CourseError: there is no such assignment or exercise.
    """
    known = course.assignment_names()
    chosen: Targets = dict.fromkeys(known) if not names else {}
    for name in names:
        assignment, _, exercise = name.strip("/").partition("/")
        if assignment not in known:
            raise CourseError(f'found no assignment "{assignment}"; {closest(assignment, known)}.')
        if not exercise:
            chosen[assignment] = None
            continue
        if not course.exercise_file(assignment, exercise).is_file():
            folder = course.assignment_folder(assignment).glob("*.yaml")
            files = sorted(file.stem for file in folder if file.name != ASSIGNMENT_FILE)
            remedy = closest(exercise, files)
            raise CourseError(f'{course.assignment_folder(assignment)}: found no exercise "{exercise}"; {remedy}.')
        if (already := chosen.get(assignment, ())) is not None:
            chosen[assignment] = (*already, exercise)
    return chosen
