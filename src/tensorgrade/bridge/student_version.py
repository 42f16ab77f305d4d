"""`StudentVersion`: clears solutions for the release, by starter where an exercise has one.

Trusted side. Used by ``nbgrader generate_assignment`` in the place of nbgrader's ClearSolutions.
"""

from __future__ import annotations

from typing import Any

from nbformat import NotebookNode
from nbgrader.preprocessors import ClearSolutions

from ..notebook import NAMESPACE


class StudentVersion(ClearSolutions):  # type: ignore[misc]
    """Puts the starter in the place of an exercise's solution; ordinary cells are cleared as nbgrader does."""

    def preprocess_cell(
        self, cell: NotebookNode, resources: dict[str, Any], cell_index: int
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Clear one cell."""
        exercise = cell.metadata.pop(NAMESPACE, None)
        if exercise is None:
            cleared: tuple[NotebookNode, dict[str, Any]] = super().preprocess_cell(cell, resources, cell_index)
            return cleared
        cell.source = exercise["starter"]
        return cell, resources
