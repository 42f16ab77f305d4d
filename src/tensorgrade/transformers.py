"""What IPython makes of a cell before Python sees it: magics, help and shell commands become calls.

Untrusted side. Most cells are Python as they stand, and IPython takes as long to find that out as to run them.
"""

from __future__ import annotations

import ast

from IPython.core.inputtransformer2 import TransformerManager


class Transformers(TransformerManager):  # type: ignore[misc]
    """IPython's transformations, of which those that look for magics in tokens are left out for Python."""

    def __init__(self) -> None:
        super().__init__()
        self._own = [*self.token_transformers]

    def do_token_transforms(self, lines: list[str]) -> list[str]:
        """Return the lines of a cell, without indents and prompts, with calls in the place of what is no Python."""
        if self.token_transformers == self._own and _is_python("".join(lines)):
            return lines
        transformed: list[str] = super().do_token_transforms(lines)
        return transformed


def _is_python(cell: str) -> bool:
    """Whether Python can read a cell; with backslashes that is not asked, since it may warn of them each time."""
    if "\\" in cell:
        return False
    try:
        ast.parse(cell)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True
