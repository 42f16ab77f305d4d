"""Keys of results: digests of everything that a result depends on.

Trusted side. `Keys` gives the key of a notebook's run and the keys of its verdicts. Two jobs with the same key have
the same result, and a change to a grader changes the keys of its exercise alone.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import json
import os
import platform
import site
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from time import time_ns
from typing import TYPE_CHECKING, Any

from .course import Course
from .exercise import Assignment
from .sandbox import NOT_BESIDE_NOTEBOOKS

if TYPE_CHECKING:
    from .job import CellJob, Job


_NOT_JUDGED: Any = {"file": True, "disclosure": True, "clauses": {"__all__": {"disclosure"}}}
"""The parts of an exercise that its verdicts do not depend on: how much is told is decided when it is told."""

_RACY_NANOSECONDS = 2 * 10**9
"""Within this time after a change, another one may leave a file with the same time and size."""


class Keys:
    """The keys of the results of one job."""

    def __init__(self, job: Job, course: Course, assignment: Assignment | None) -> None:
        self._job = job
        self._course = course
        self._assignment = assignment
        read_only = sorted(assignment.settings.files) if assignment else ()
        limits = [asdict(exercise.limits.allowance()) for exercise in assignment.exercises] if assignment else []
        name = job.assignment or (job.files.name if job.files else None)  # that of the working folder
        accelerators = [exercise.accelerators for exercise in assignment.exercises] if assignment else []
        settings = [asdict(job.settings), job.language, job.seconds, job.seed, job.measured]
        facts = [settings, name, read_only, limits, accelerators, _files(job.files)]
        self._surroundings = _digest([_software(), *facts])

    def run(self) -> str:
        """The key of the outputs of all cells."""
        return _digest(["run", self._surroundings, self._cells_before(len(self._job.cells))])

    def verdict(self, place: int) -> str:
        """The key of the verdict on the exercise that is judged in the place of cell number `place`."""
        assert self._assignment is not None  # only exercises of an assignment are judged
        exercise = self._assignment.exercise(self._job.cells[place].exercise or "")
        grader = self._course.grader_file(self._assignment.name, exercise.name)
        content = exercise.model_dump_json(exclude=_NOT_JUDGED)
        about = [content, self._job.cells[place].seconds, _grader(grader, self._course.graders)]
        return _digest(["verdict", self._surroundings, self._cells_before(place), about])

    def judging(self, place: int) -> str:
        """The key of what judges the exercise in the place of cell number `place`, whatever the cells are."""
        assert self._assignment is not None
        exercise = self._assignment.exercise(self._job.cells[place].exercise or "")
        grader = self._course.grader_file(self._assignment.name, exercise.name)
        content = exercise.model_dump_json(exclude=_NOT_JUDGED)
        about = [content, self._job.cells[place].seconds, _grader(grader, self._course.graders)]
        return _digest(["judging", self._surroundings, about])

    def _cells_before(self, place: int) -> list[tuple[str, float]]:
        cells: Iterable[CellJob] = self._job.cells[:place]
        return [(cell.source, cell.seconds) for cell in cells if cell.exercise is None]


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


@functools.cache
def _software() -> str:
    """A digest of the software and the kernel that compute results."""
    own = sorted(Path(__file__).parent.rglob("*.py"))
    system = os.uname()
    machine = [platform.python_version(), system.sysname, system.release, system.machine, os.geteuid() == 0]
    return _digest([machine, sorted(_packages()), [_content(file) for file in own]])


def _packages() -> Iterator[str]:
    """The names and versions of all installed packages: a submission may import any of them."""
    for folder in filter(os.path.isdir, site.getsitepackages()):
        yield from (name for name in os.listdir(folder) if name.endswith((".dist-info", ".egg-info")))


def _files(folder: Path | None) -> list[tuple[str, str]]:
    """The names and digests of the files that a submission gets beside its notebook."""
    if folder is None:
        return []
    found = []
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            if not name.endswith(NOT_BESIDE_NOTEBOOKS) and path.is_file() and not path.is_symlink():
                found.append((path.relative_to(folder).as_posix(), _content(path)))
    return sorted(found)


def _content(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""


def _grader(grader: Path, graders: Path) -> list[tuple[str, str]]:
    """The names and digests of a grader, of the modules of the course that it imports, and of data beside it."""
    stamps = tuple(_stamps(str(graders)))
    if time_ns() - max((time for _, time, _ in stamps), default=0) < _RACY_NANOSECONDS:
        return _read_grader(grader, graders)
    return _known_grader(grader, graders, stamps)


def _stamps(folder: str) -> Iterator[tuple[str, int, int]]:
    """The path, the time of the last change and the size of everything below a folder.

    What a link leads to may change at any time, and counts as changed now.
    """
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError:
        return
    for entry in entries:
        if entry.name != "__pycache__":
            facts = entry.stat(follow_symlinks=False)
            yield entry.path, time_ns() if entry.is_symlink() else facts.st_ctime_ns, facts.st_size
            if entry.is_dir(follow_symlinks=False):
                yield from _stamps(entry.path)


@functools.lru_cache(maxsize=1000)
def _known_grader(grader: Path, graders: Path, stamps: tuple[tuple[str, int, int], ...]) -> list[tuple[str, str]]:
    return _read_grader(grader, graders)


def _read_grader(grader: Path, graders: Path) -> list[tuple[str, str]]:
    modules, waiting = {grader}, [grader]
    surrounding = ("conftest.py", "__init__.py")  # pytest and Python run them before the grader
    waiting += [folder / name for folder in (graders, grader.parent) for name in surrounding]
    while waiting:
        file = waiting.pop()
        modules.add(file)
        waiting += [found for found in _imported(file, graders) if found not in modules]
    data = [
        file
        for file in grader.parent.rglob("*")
        if file.is_file() and file.suffix not in (".py", ".pyc") and "__pycache__" not in file.parts
    ]
    return sorted((file.relative_to(graders).as_posix(), _content(file)) for file in (*modules, *data))


def _imported(module: Path, graders: Path) -> Iterator[Path]:
    """The files below `graders` that a module may mean by what it imports."""
    try:
        source = module.read_bytes()
    except OSError:
        return
    for name in _names_imported(source):
        for folder in (module.parent, graders):
            yield from _modules(folder, name.split("."))


@functools.lru_cache(maxsize=1000)
def _names_imported(source: bytes) -> tuple[str, ...]:
    """The names of modules, and of what may be modules, that a source imports."""
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError):
        return ()
    found: list[str] = []
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name}" if node.module else name for name in names)]
        found += filter(None, names)
    return tuple(found)


def _modules(folder: Path, name: list[str]) -> Iterator[Path]:
    """The files below `folder` that are run for the import of a module: its own and those of its packages."""
    for depth in range(len(name)):
        place = folder.joinpath(*name[: depth + 1])
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())
