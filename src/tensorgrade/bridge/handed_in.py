"""Submissions as folders: which there are, which of them nbgrader can grade, and when they were handed in.

Trusted side. nbgrader takes the names of folders for patterns and fails on others, and opens ``timestamp.txt`` whatever
it may be.
"""

from __future__ import annotations

import glob
import re
from datetime import datetime
from pathlib import Path

from nbgrader.coursedir import CourseDirectory
from nbgrader.utils import parse_utc

from .reading import read_bounded

TIMESTAMP_FILE = "timestamp.txt"
_MAX_TIMESTAMP = 1000
_TIME_ZONE = re.compile(r"[\w+-]+(/[\w+-]+){0,2}")


def folders(coursedir: CourseDirectory) -> list[str]:
    """The folders of an assignment's submissions, also those without a notebook."""
    pattern = coursedir.format_path(coursedir.submitted_directory, coursedir.student_id, coursedir.assignment_id)
    return [folder for folder in glob.glob(pattern) if Path(folder).is_dir()]  # noqa: PTH207 - nbgrader's own pattern


def unusable(folder: Path, root: Path) -> str | None:
    """Say why nbgrader cannot grade the submission in `folder`, or None when it can."""
    name = str(folder.relative_to(root) if folder.is_relative_to(root) else folder)
    if not folder.resolve().is_relative_to(folder.parent.resolve()):
        return "it is a link to a folder elsewhere"
    if re.search(r"[*?\[\n]", name):
        return "nbgrader cannot handle *, ?, [ and line breaks in the name of a folder"
    if re.search("[\ud800-\udfff]", name):
        return "the name of its folder is not UTF-8"
    return None


def printable(text: str) -> str:
    """`text` in one line that can be written anywhere: other characters stand as in a Python string."""
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def timestamp(folder: Path) -> datetime | None:
    """When a submission was handed in (UTC), or None when there is no ``timestamp.txt``.

    Raises ``OSError`` or ``ValueError`` with the reason when there is one that says no time.
    """
    try:
        text = read_bounded(folder / TIMESTAMP_FILE, _MAX_TIMESTAMP).decode().strip()
    except FileNotFoundError:
        return None
    words = text.split(" ")
    if len(words) == 3 and not _TIME_ZONE.fullmatch(words[2]):  # it would be opened as a file
        raise ValueError("it names no time zone")
    try:
        time: datetime = parse_utc(text)
    except Exception as error:  # noqa: BLE001 - dateutil raises what a strange text makes it raise
        raise ValueError(f"it is not a date and a time: {error}") from None
    return time
