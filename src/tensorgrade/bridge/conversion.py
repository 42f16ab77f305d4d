"""`FastExporter`: nbconvert's exporter of notebooks for a class, without what it does again for each notebook.

Trusted side. The preprocessors are nbgrader's and ours, in the configured order, and so is what they make. Left out are
the copies of a notebook that nobody else holds, and the checks between two steps that only compute: a notebook is
checked by the JSON schema before its scores are saved (`steps.SaveAutoGrades`) and before it is written.
"""

from __future__ import annotations

import json
from json.encoder import encode_basestring as _quoted
from operator import itemgetter
from typing import Any

import nbformat
from nbconvert.exporters import NotebookExporter
from nbformat import NotebookNode
from nbformat.v4.rwbase import split_lines, strip_transient
from traitlets import Bool, Dict
from traitlets.utils.importstring import import_item

from .gradebooks import Gradebooks

_FIRST = itemgetter(0)
_CONSTANTS = {id(value): json.dumps(value) for value in (True, False, None)}

_WITHOUT_MEMORY = ("nbgrader.", "nbconvert.", "tensorgrade.")
"""Packages whose preprocessors treat each notebook alike; what others keep in theirs is not known here."""


class FastExporter(NotebookExporter):  # type: ignore[misc]
    """Converts notebooks that are handed over to it, and holds what the steps of a run share.

    Attributes:
        gradebooks: those of this run, for its steps; None when `fast` is off.
    """

    fast = Bool(
        True,
        help="Whether the gradebook is set up once for a run and written once per notebook, and notebooks are checked"
        " when something depends on it (docs/performance.md). The results are the same without, and take longer.",
    ).tag(config=True)

    _ready = Dict(help="The preprocessors of this run, by class.")

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gradebooks = Gradebooks() if self.fast else None

    def register_preprocessor(self, preprocessor: Any, enabled: bool = False) -> Any:
        """Add a preprocessor as nbconvert does; those that keep nothing of a notebook are made once in a run."""
        if isinstance(preprocessor, str):
            preprocessor = import_item(preprocessor)
        if self.fast and isinstance(preprocessor, type) and preprocessor.__module__.startswith(_WITHOUT_MEMORY):
            if preprocessor not in self._ready:
                self._ready[preprocessor] = preprocessor(parent=self)
            preprocessor = self._ready[preprocessor]
        return super().register_preprocessor(preprocessor, enabled)

    def from_notebook_node(
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """Convert `nb`, which is changed in place when `fast` is on."""
        if self.gradebooks is None or self.nbformat_version != nbformat.current_nbformat:
            converted: tuple[str, dict[str, Any]] = super().from_notebook_node(nb, resources=resources, **options)
            return converted
        resources = self._init_resources(resources)
        with self.gradebooks.connected():
            for preprocessor in self._preprocessors:
                nb, resources = preprocessor(nb, resources)
        nbformat.validate(nb, relax_add_props=True)
        resources["output_suffix"] = ".nbconvert"
        return _as_text(nb), resources


def _as_text(nb: NotebookNode) -> str:
    """The file of a checked notebook, which is not needed any more, as nbformat writes it."""
    return _dumped(strip_transient(split_lines(nb)), "\n") + "\n"


def _dumped(value: Any, line: str) -> str:
    """JSON as `json.dumps` writes it, in a third of the time, with ``indent=1`` and sorted keys.

    `line` begins a new line.
    """
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, dict) and value:
        inner = line + " "
        members = [
            f"{_quoted(key)}: {_quoted(item) if type(item) is str else _dumped(item, inner)}"
            for key, item in sorted(value.items(), key=_FIRST)
        ]
        return f"{{{inner}{f',{inner}'.join(members)}{line}}}"
    if isinstance(value, list | tuple) and value:
        inner = line + " "
        items = [_quoted(item) if type(item) is str else _dumped(item, inner) for item in value]
        return f"[{inner}{f',{inner}'.join(items)}{line}]"
    return _CONSTANTS.get(id(value)) or json.dumps(value)
