"""`tensorgrade build`: from the YAML of a course to the notebooks that are released.

Trusted side. Source notebooks are written below ``source/`` and handed to nbgrader's own generate_assignment, which
clears the solutions, writes ``release/`` and registers the cells in the gradebook. The same YAML gives the same bytes.
"""

from __future__ import annotations

import filecmp
import logging
import re
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbformat
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from .bridge import configuration
from .course import Course
from .errors import GradebookError
from .exercise import Assignment, Language
from .notebook import source_notebook


def build(course: Course, assignment: str, language: Language) -> Path:
    """Build one assignment; returns the released notebook.

    Raises `AuthorError` for problems of the course and `GradebookError` when nbgrader refuses, for example because
    cells would be added or removed although there are submissions.
    """
    database = CourseDirectory(config=configuration(course, Config())).db_url
    with tempfile.TemporaryDirectory() as folder:
        # elsewhere first: nbgrader removes the old release before it knows whether there will be a new one
        fresh = build_elsewhere(course, assignment, language, Path(folder), database)
        _replace(course.release / assignment, fresh)
        _replace(course.source / assignment, Path(folder) / "source" / assignment)
    return course.release_notebook(assignment)


def stale_files(course: Course, assignment: str, language: Language) -> list[str]:
    """Return the files of the release that differ from what `build` would write; touches nothing."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = build_elsewhere(course, assignment, language, Path(folder))
        return sorted(_differences(fresh, course.release / assignment))


def register(course: Course, assignment: str, language: Language, database: str) -> None:
    """Put an assignment's cells into the gradebook at `database` without touching ``source/`` and ``release/``."""
    with tempfile.TemporaryDirectory() as folder:
        build_elsewhere(course, assignment, language, Path(folder), database)


def build_elsewhere(
    course: Course, assignment: str, language: Language, folder: Path, database: str | None = None
) -> Path:
    """Build an assignment below `folder`; returns its release folder. The course stays as it is."""
    course.check(assignment)
    _write_source(course, folder / "source", course.load(assignment), language)
    config = Config()
    config.CourseDirectory.root = str(folder)
    config.CourseDirectory.source_directory = "source"
    config.CourseDirectory.release_directory = "release"
    if database is None:
        config.GenerateAssignment.no_database = True
        config.SaveCells.enabled = False
    else:
        config.CourseDirectory.db_url = database
    _generate_assignment(course, assignment, config)
    return folder / "release" / assignment


def _replace(folder: Path, fresh: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    shutil.copytree(fresh, folder)


def _write_source(course: Course, source: Path, assignment: Assignment, language: Language) -> None:
    folder = source / assignment.name
    folder.mkdir(parents=True)
    beside = course.assignment_folder(assignment.name)
    nbformat.write(source_notebook(assignment, language, beside), folder / f"{assignment.name}.ipynb")
    for name in assignment.settings.files:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(beside / name, target)


def _generate_assignment(course: Course, assignment: str, overrides: Config) -> None:
    config = configuration(course, overrides)
    directory = CourseDirectory(config=config)
    logging.getLogger("traitlets").setLevel(logging.CRITICAL)  # what went wrong is in the result
    result: dict[str, Any] = NbGraderAPI(directory, config=config).generate_assignment(assignment, force=True)
    if not result["success"]:
        raise GradebookError(f"nbgrader could not generate {assignment}: {_cause(result)}")


def _cause(result: dict[str, Any]) -> str:
    """The exception in what nbgrader said; its last words before that only say that there was one."""
    lines = [line.strip() for line in f"{result.get('log', '')}\n{result.get('error', '')}".splitlines()]
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    return next(iter(raised or filter(None, lines)), "no message")


def _differences(fresh: Path, released: Path) -> Iterable[str]:
    names = {path.relative_to(root) for root in (fresh, released) for path in root.rglob("*") if path.is_file()}
    for name in names:
        both = (fresh / name).is_file() and (released / name).is_file()
        if not both or not filecmp.cmp(fresh / name, released / name, shallow=False):
            yield str(released / name)
