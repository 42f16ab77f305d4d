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
import re
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

_IMPORT = re.compile(rb"(from [\w.]+ )?import [\w., ]+")

_RACY_NANOSECONDS = 2 * 10**9
"""Within this time after a change, another one may leave a file with the same time and size."""


class Keys:
    """The keys of the results of one job."""

    def __init__(self, job: Job, course: Course, assignment: Assignment | None) -> None:
        self._job = job
        self._course = course
        self._assignment = assignment
        name = job.assignment or (job.files.name if job.files else None)  # that of the working folder
        settings = [asdict(job.settings), job.language, job.seconds, job.seed, job.measured]
        rules = _described(assignment).rules if assignment else None
        self._surroundings = _digest([_software(), settings, name, rules, _files(job.files)])
        self._cells = tuple(_chained(job.cells))

    def run(self) -> str:
        """The key of the outputs of all cells."""
        return _digest(["run", self._surroundings, self._cells[-1]])

    def verdict(self, place: int, graders: Graders | None = None) -> str:
        """The key of the verdict on the exercise that is judged in the place of cell number `place`.

        Its grader is looked at now, or was when `graders` was made.
        """
        return _digest(["verdict", self.judging(place, graders or self.graders()), self._cells[place]])

    def judging(self, place: int, graders: Graders) -> str:
        """The key of what judges there: all that a verdict depends on but the cells."""
        assert self._assignment is not None  # only exercises of an assignment are judged
        exercise = self._job.cells[place].exercise or ""
        grader = self._course.grader_file(self._assignment.name, exercise)
        content = _described(self._assignment).exercise(exercise)
        return _digest([self._surroundings, content, self._job.cells[place].seconds, graders.digest(grader)])

    def graders(self) -> Graders:
        """The graders of the course as they are now."""
        return Graders(self._course.graders)


def _chained(cells: Iterable[CellJob]) -> Iterator[str]:
    """A digest of the cells that run before each place, from the first place to the one behind the last cell."""
    before = hashlib.sha256()
    yield before.hexdigest()
    for cell in cells:
        if cell.exercise is None:
            before.update(hashlib.sha256(json.dumps([cell.source, cell.seconds]).encode()).digest())
        yield before.hexdigest()


def _digest(facts: object) -> str:
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


class _Described:
    """What keys say of an assignment, which is the same for all its submissions."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._exercises: dict[str, str] = {}
        read_only = sorted(assignment.settings.files)
        limits = [asdict(exercise.limits.allowance()) for exercise in assignment.exercises]
        self.rules = _digest([read_only, limits, [exercise.accelerators for exercise in assignment.exercises]])

    def describes(self, assignment: Assignment) -> bool:
        """Whether it is this one; another one of the same name may be read from files that have changed."""
        return self._assignment is assignment

    def exercise(self, name: str) -> str:
        """A digest of what the verdicts on an exercise depend on."""
        if name not in self._exercises:
            content = self._assignment.exercise(name).model_dump_json(exclude=_NOT_JUDGED)
            self._exercises[name] = hashlib.sha256(content.encode()).hexdigest()
        return self._exercises[name]


_last_described: list[_Described] = []
"""Of the assignment that the last job was of: a run grades one after the other."""


def _described(assignment: Assignment) -> _Described:
    if not _last_described or not _last_described[0].describes(assignment):
        _last_described[:] = [_Described(assignment)]
    return _last_described[0]


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


class Graders:
    """The graders of a course as they are at one time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._stamps = tuple(_stamps(str(folder)))
        self._racy = time_ns() - max((time for _, time, _ in self._stamps), default=0) < _RACY_NANOSECONDS

    def digest(self, grader: Path) -> str:
        """A digest of a grader, of the modules of the course that it imports, and of data beside it."""
        if self._racy:
            return _read_grader(grader, self._folder)
        return _known_grader(grader, self._folder, self._stamps)


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
def _known_grader(grader: Path, graders: Path, stamps: tuple[tuple[str, int, int], ...]) -> str:
    return _read_grader(grader, graders)


def _read_grader(grader: Path, graders: Path) -> str:
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
    return _digest(sorted((file.relative_to(graders).as_posix(), _content(file)) for file in (*modules, *data)))


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
    tree = _imports_alone(source)
    if tree is None:
        try:
            tree = ast.parse(source)
        except (SyntaxError, ValueError):
            return ()
    found: list[str] = []
    for node in _statements(tree):
        names = [alias.name for alias in node.names] if isinstance(node, (ast.Import, ast.ImportFrom)) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or "", *(f"{node.module}.{name}" if node.module else name for name in names)]
        found += filter(None, names)
    return tuple(found)


def _imports_alone(source: bytes) -> ast.Module | None:
    """The lines that hold the word, when each is a statement of its own, which is read much sooner than all of them."""
    lines = [line.strip() for line in source.splitlines() if b"import" in line]
    try:
        return ast.parse(b"\n".join(lines)) if all(map(_IMPORT.fullmatch, lines)) else None
    except SyntaxError:  # a sentence in a docstring
        return None


def _statements(tree: ast.Module) -> Iterator[ast.stmt]:
    """All statements, without a look at the expressions in them, which are the most of a tree."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.stmt):
            yield node
        for part in ("body", "orelse", "finalbody", "handlers", "cases"):
            inner = getattr(node, part, ())
            waiting += inner if isinstance(inner, list) else ()  # the body of a lambda is an expression


def _modules(folder: Path, name: list[str]) -> Iterator[Path]:
    """The files below `folder` that are run for the import of a module: its own and those of its packages."""
    for depth in range(len(name)):
        place = folder.joinpath(*name[: depth + 1])
        yield from (file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file())
