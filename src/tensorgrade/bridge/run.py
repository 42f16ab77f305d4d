"""`autograde`: one run of nbgrader's autograde, for whoever wants to watch it.

Trusted side. The run is the one that ``nbgrader autograde`` does with the course's configuration; `Watcher` hears what
becomes of it.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Collection, Mapping

from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from ..course import Course
from ..errors import GradebookError
from ..pool import POOL
from . import configuration
from .batch import Summary, Watcher


def autograde(
    course: Course,
    assignment: str,
    watcher: Watcher,
    *,
    students: Collection[str] = (),
    force: bool = False,
    options: Mapping[str, object] | None = None,
) -> Summary:
    """Grade what was handed in for an assignment.

    Args:
        course: the course.
        assignment: its name.
        watcher: is told how it goes on.
        students: whom to grade; all when empty.
        force: whether to grade again what is graded already.
        options: traits of ``GradeSubmission`` to set.

    Raises `GradebookError` when the course has no such assignment, or nothing was handed in by one of the students.
    """
    if assignment not in course.assignment_names():
        known = ", ".join(course.assignment_names())
        raise GradebookError(f"there is no assignment {assignment!r}; there are: {known}")
    overrides = Config({"GradeSubmission": dict(options or {}), "Autograde": {"force": force}})
    overrides.CourseDirectory.assignment_id = assignment
    config = configuration(course, overrides)
    converter = Autograde(coursedir=CourseDirectory(config=config), config=config)
    converter.watcher, converter.students = watcher, frozenset(students)
    converter.summary = summary = Summary()
    converter.log.setLevel(logging.CRITICAL)  # what it has to say is in the summary
    with contextlib.chdir(course.root):
        try:
            converter.start()
        except NbGraderException as error:
            summary.failure = str(error)
        except KeyboardInterrupt:
            POOL.close()
            raise
    return summary
