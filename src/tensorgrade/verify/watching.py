"""Notices that files of a course were saved.

Trusted side.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

from ..course import Course

SECONDS = 0.3
"""Between two looks at the files."""


def stamps(course: Course) -> dict[Path, tuple[int, int]]:
    """The time and size of each file that a proof depends on: YAML, side files and graders."""
    found = {}
    for folder in (course.assignments, course.graders):
        for root, folders, names in os.walk(folder):
            folders[:] = [name for name in folders if name != "__pycache__" and not name.startswith(".")]
            for name in names:
                file = Path(root, name)
                try:
                    facts = file.stat()
                except OSError:  # an editor's file for a moment
                    continue
                found[file] = facts.st_mtime_ns, facts.st_size
    return found


def saves(course: Course) -> Iterator[None]:
    """Yield at once, and then each time that a file of the course was saved since the last time; never ends."""
    while True:
        seen = stamps(course)
        yield
        while stamps(course) == seen:
            time.sleep(SECONDS)
