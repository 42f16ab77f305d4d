"""`started_early`: what grading needs is started while nbgrader is imported, which takes a second or two.

Trusted side. The run itself (`batch`) makes sure of all that it needs: what could not be started here, or was started
in vain, costs time alone.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from typing import Any

from traitlets.config import Config

from ..course import Course
from ..job import Settings
from ..pool import POOL
from . import configuration


@contextlib.contextmanager
def started_early(course: Course, assignment: str, options: Mapping[str, Any]) -> Iterator[None]:
    """Start the workers of a run on `assignment` in the background, until the end of the ``with`` at most.

    `options` are traits of ``GradeSubmission`` beside those that the course sets. Nothing is started where results
    are stored, which may be all that the run needs.
    """
    traits = {**configuration(course, Config()).GradeSubmission, **options}
    start = threading.Thread(target=_start, args=(course, assignment, traits))
    if assignment in course.assignment_names() and not (traits.get("cache", True) and course.results.exists()):
        start.start()
    try:
        yield
    finally:
        if start.ident is not None:
            start.join()


def _start(course: Course, assignment: str, traits: Mapping[str, Any]) -> None:
    with contextlib.suppress(Exception):  # whatever is wrong, the run will tell
        chosen = {name: traits[name] for name in ("tier", "accelerators") if name in traits}
        settings = Settings(**chosen, devices=tuple(traits.get("devices", ())))
        POOL.prepare(settings, traits.get("workers") or None)
        POOL.warm_up(course.root, assignment)
