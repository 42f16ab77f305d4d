"""What IPython makes of a cell before Python sees it: magics, help and shell commands become calls.

Untrusted side. Most cells are Python as they stand, and IPython takes as long to find that out as to run them.
"""

from __future__ import annotations

import ast
from typing import Any

from IPython.core.inputtransformer2 import TransformerManager

_PROMPTS = (">>>", "...", "In [")


class Transformers(TransformerManager):  # type: ignore[misc]
    """IPython's transformations, which are left out where there is nothing to transform."""

    def __init__(self) -> None:
        super().__init__()
        self._own = self._all()

    def transform_cell(self, cell: str) -> str:
        """Return the Python that a cell stands for."""
        if self._all() == self._own and _is_python(cell):
            return cell if cell.endswith("\n") else f"{cell}\n"
        return str(super().transform_cell(cell))

    def _all(self) -> list[Any]:
        return [*self.cleanup_transforms, *self.line_transforms, *self.token_transformers]


def _is_python(cell: str) -> bool:
    """Whether a cell is Python, and nothing that IPython takes off: indents, empty lines and prompts at its top.

    Of code with backslashes that is not asked, since Python may warn of it each time it reads it.
    """
    if (
        cell[:1].isspace()
        or "\\" in cell
        or any(line.lstrip().startswith(_PROMPTS) for line in cell.split("\n", 2)[:2])
    ):
        return False
    try:
        ast.parse(cell)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
