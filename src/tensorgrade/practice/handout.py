"""`Handout`: what a released notebook tells of its exercises, read from the file that the student works on.

Student's side. The examples and hints are the author's, so it does not matter whether the file holds the student's
latest keystrokes.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
from nbformat import NotebookNode

from ..errors import HandoutError
from ..exercise import LANGUAGES, Language
from ..notebook import NAMESPACE, test_cell_id

_NAMED_BY_KERNEL = ("JPY_SESSION_NAME",)  # set by Jupyter servers, https://jupyter-server.readthedocs.io
_NAMED_IN_NAMESPACE = "__vsc_ipynb_file__"  # set by VS Code


@dataclass(frozen=True)
class Task:
    """An exercise as students have it: its name, title, hints and the source of its examples."""

    name: str
    title: str
    hints: tuple[str, ...]
    examples: str


@dataclass(frozen=True)
class Handout:
    """The exercises of a released notebook, in its order."""

    path: Path
    language: Language
    tasks: Mapping[str, Task]

    def task(self, name: str) -> Task:
        """The exercise of that name; raises `HandoutError` with the names there are."""
        if name not in self.tasks:
            raise HandoutError(f"there is no exercise {name!r} in {self.path.name}; it has {', '.join(self.tasks)}")
        return self.tasks[name]


def read(path: Path) -> Handout:
    """The handout in the notebook `path`; raises `HandoutError` when there is none in it."""
    try:
        notebook = nbformat.read(path, as_version=4)
    except (OSError, ValueError, AttributeError, KeyError, TypeError, nbformat.ValidationError) as error:
        raise HandoutError(f"{path} cannot be read as a notebook: {error}") from error
    facts = notebook.metadata.get(NAMESPACE)
    if not isinstance(facts, dict) or not isinstance(facts.get("exercises"), dict):
        raise HandoutError(f"{path} was not made by tensorgrade, or by a version without hints: take the released one")
    language = next((language for language in LANGUAGES if language == facts.get("language")), LANGUAGES[0])
    examples = {_grade_id(cell): cell.source for cell in notebook.cells if cell.cell_type == "code"}
    order = {name: number for number, name in enumerate(examples)}  # the file has the metadata by the alphabet
    names = sorted(facts["exercises"], key=lambda name: order.get(test_cell_id(name), len(order)))
    told = {name: facts["exercises"][name] for name in names}
    tasks = {
        name: Task(name, facts["title"], tuple(facts["hints"]), examples.get(test_cell_id(name), ""))
        for name, facts in told.items()
    }
    return Handout(path, language, tasks)


def find(namespace: Mapping[str, Any], folder: Path) -> Handout:
    """The handout of a kernel's notebook: the one that the front end names, else the only one in `folder`.

    Raises `HandoutError` with what to do when that is not clear.
    """
    named = [os.environ.get(name, "") for name in _NAMED_BY_KERNEL] + [str(namespace.get(_NAMED_IN_NAMESPACE, ""))]
    for name in filter(None, named):
        path = folder / Path(name).name
        if path.suffix == ".ipynb" and path.is_file():
            return read(path)
    found = [path for path in sorted(folder.glob("*.ipynb")) if _is_handout(path)]
    if len(found) == 1:
        return read(found[0])
    seen = "several notebooks" if found else "no notebook"
    raise HandoutError(f"{seen} with exercises in {folder}: say which, for example `%exercises create.ipynb`")


def _is_handout(path: Path) -> bool:
    try:
        read(path)
    except HandoutError:
        return False
    return True


def _grade_id(cell: NotebookNode) -> str:
    return str(cell.metadata.get("nbgrader", {}).get("grade_id", ""))
