"""nbgrader's own steps with a cheaper gradebook and a cheaper check: the same code, the same result.

Trusted side. Each class runs what its base class of nbgrader runs, with another gradebook or validator: the gradebook
of the run, which is set up already (`gradebooks`), and a validator that remembers which metadata is valid. Under an
exporter without a gradebook, that is any other than `conversion.FastExporter`, a step opens its own as ever.
"""

from __future__ import annotations

from typing import Any

import nbformat
from jsonschema.exceptions import best_match  # type: ignore[import-untyped]
from jsonschema.validators import validator_for  # type: ignore[import-untyped]
from nbformat import NotebookNode
from nbgrader import preprocessors
from nbgrader.nbgraderformat import MetadataValidator
from nbgrader.nbgraderformat.common import BaseMetadataValidator
from nbgrader.preprocessors import NbGraderPreprocessor

from .gradebooks import Gradebooks
from .rebinding import rebound

Converted = tuple[NotebookNode, dict[str, Any]]


class _WithGradebookOfRun(NbGraderPreprocessor):  # type: ignore[misc]
    """Lends a step of nbgrader the gradebook of the run."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> Converted:
        """Do what nbgrader does."""
        gradebooks: Gradebooks | None = getattr(self.parent, "gradebooks", None)
        step = super().preprocess
        if gradebooks is not None:
            step = rebound(step, Gradebook=gradebooks.open)
        converted: Converted = step(nb, resources)
        return converted


class OverwriteKernelspec(_WithGradebookOfRun, preprocessors.OverwriteKernelspec):  # type: ignore[misc]
    """nbgrader's OverwriteKernelspec."""


class OverwriteCells(_WithGradebookOfRun, preprocessors.OverwriteCells):  # type: ignore[misc]
    """nbgrader's OverwriteCells, which looks up the cells of a notebook at once."""


class SaveAutoGrades(_WithGradebookOfRun, preprocessors.SaveAutoGrades):  # type: ignore[misc]
    """nbgrader's SaveAutoGrades, which saves the scores of a notebook together or not at all."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> Converted:
        """Save the scores of a notebook, unless it is none that could be written."""
        nbformat.validate(nb, relax_add_props=True)  # nbconvert itself may not look before the last step
        return super().preprocess(nb, resources)


class AssignLatePenalties(_WithGradebookOfRun, preprocessors.AssignLatePenalties):  # type: ignore[misc]
    """nbgrader's AssignLatePenalties."""


class CheckCellMetadata(preprocessors.CheckCellMetadata):  # type: ignore[misc]
    """nbgrader's CheckCellMetadata, which is not asked again about metadata that it found valid."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._validator = _RememberingValidator()

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> Converted:
        """Do what nbgrader does."""
        checked: Converted = rebound(super().preprocess, MetadataValidator=lambda: self._validator)(nb, resources)
        return checked


class _WithSchemaCheckedOnce(BaseMetadataValidator):  # type: ignore[misc]
    """nbgrader's check of a cell, without the check of the schema itself, which takes ten times as long."""

    def __init__(self) -> None:
        super().__init__()
        self._validators: dict[int, Any] = {}

    def validate_cell(self, cell: NotebookNode) -> None:
        """Raise what nbgrader raises for a cell with invalid metadata."""
        rebound(super().validate_cell, jsonschema=self)(cell)

    def validate(self, metadata: dict[str, Any], schema: dict[str, Any]) -> None:
        """Stands for ``jsonschema.validate``, with a schema that stays the same."""
        if id(schema) not in self._validators:
            kind = validator_for(schema)
            kind.check_schema(schema)
            self._validators[id(schema)] = kind(schema)
        error = best_match(self._validators[id(schema)].iter_errors(metadata))
        if error is not None:
            raise error


class _RememberingValidator(MetadataValidator, _WithSchemaCheckedOnce):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self._valid: set[str] = set()

    def validate_cell(self, cell: NotebookNode) -> None:
        """Raise what nbgrader raises for a cell with invalid metadata."""
        metadata = cell.metadata.get("nbgrader")
        if metadata is None:
            return
        # all that nbgrader's check looks at, as text: 1, 1.0 and True are equal, but they do not look alike
        checked = repr((cell.cell_type, sorted(metadata.items())))
        if checked not in self._valid:
            super().validate_cell(cell)
            self._valid.add(checked)
