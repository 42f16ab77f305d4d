"""The files that were handed in beside a notebook: which of them nbgrader may copy.

Trusted side. nbgrader copies whatever lies in a submission's folder: it follows links, to a hidden grader as well, and
fails or waits for ever on what is no ordinary file. So it is given a copy that holds ordinary files alone.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePath

from .reading import resolved

MAX_FILES = 1000  # nbgrader compares each file of a folder with every other one
MAX_FOLDERS_DEEP = 20
ACTIVE = frozenset({".htm", ".html", ".js", ".mjs", ".shtml", ".svg", ".xht", ".xhtml", ".xml", ".xsl", ".xslt"})
"""Endings of files that act when a browser opens them; formgrader's server would hand them to the instructor's."""


@dataclass(frozen=True)
class Allowed:
    """What may be copied from a submission.

    Attributes:
        ignore: patterns of names that are left out silently, as nbgrader does.
        file_bytes: size of one file.
        total_bytes: size of all files.
        reserved: files of the assignment itself, relative to its folder; nothing may stand in their way.
    """

    ignore: tuple[str, ...]
    file_bytes: int
    total_bytes: int
    reserved: frozenset[PurePath] = frozenset()


def copy_ordinary_files(folder: Path, target: Path, allowed: Allowed) -> list[str]:
    """Copy the ordinary files of a submission; returns for each thing left out its name and the reason."""
    left_out: list[str] = []
    count = size = 0
    for path in _files(folder, allowed.ignore, left_out):
        name = path.relative_to(folder)
        try:
            real = _ordinary(path, folder, allowed.file_bytes)
            _refuse_in_the_way(name, allowed.reserved)
            count, size = count + 1, size + real.stat().st_size
            if count > MAX_FILES or size > allowed.total_bytes:
                left_out.append(f"{name} and the files after it: there are too many, or they are too large")
                break
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(real, target / name)
        except OSError as error:
            left_out.append(f"{name}: {error.strerror or error}")
    return left_out


def _files(folder: Path, ignore: Iterable[str], left_out: list[str]) -> Iterator[Path]:
    """Everything below `folder` that is no folder, in order; nbgrader does not follow links to folders either."""
    waiting = [folder]
    while waiting:
        below = waiting.pop()
        if len(below.relative_to(folder).parts) > MAX_FOLDERS_DEEP:
            left_out.append(f"{Path(*below.relative_to(folder).parts[:3])}: its folders are nested too deeply")
            continue
        try:
            entries = sorted(os.scandir(below), key=lambda entry: entry.name)
        except OSError as error:
            left_out.append(f"{below.relative_to(folder)}: {error.strerror}")
            continue
        for entry in entries:
            if any(fnmatch(entry.name, pattern) for pattern in ignore):
                continue
            if entry.is_dir(follow_symlinks=False):
                waiting.append(Path(entry))
            elif not _is_folder(entry):
                yield Path(entry)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # links in a circle
        return False


def _ordinary(path: Path, folder: Path, largest: int) -> Path:
    real = resolved(path, folder)
    if not real.is_file():
        raise OSError("it is not an ordinary file")
    if path.suffix.lower() in ACTIVE:
        raise OSError("a browser would run what is in it")
    if real.stat().st_size > largest:
        raise OSError(f"it is larger than {largest / 1e6:g} MB")
    return real


def _refuse_in_the_way(name: PurePath, reserved: Collection[PurePath]) -> None:
    if any(own in name.parents or name in own.parents for own in reserved):
        raise OSError("the assignment has a file of its own in this place")
