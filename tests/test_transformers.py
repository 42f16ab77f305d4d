"""Specification of the transformation of cells: IPython's, whatever the cell."""

import pytest
from IPython.core.inputtransformer2 import TokenTransformBase, TransformerManager

from tensorgrade.transformers import Transformers

CELLS = [
    *(
        "x = 1",
        "x = 1\n",
        "",
        "\n",
        "\n\nx = 1",
        "   x = 1\n   y = 2",
        "# only words?",
        "x = 1  # why?",
        "def f():\n  pass",
    ),
    *("%time 1", "%%time\nx = 1", "x = %time 1", "!ls", "files = !ls", "len?", "?len", "x = 1;", ";f a", "/f a", "x?"),
    *(">>> x = 1", ">>> def f():\n...     return 1", "... x", "In [1]: x = 1", "In [1]: x", "x = 1\n... y"),
    *("x\n>>> y", "def f():\n  pass"),
    *("x = (1\n% 2)", "'''\n%time 1\n'''", "def f():\n    '''\n    >>> f()\n    '''\n    return 1", "await g()"),
    *("x = '\\d'", "x = 1 \\\n+ 2", "def f(:", "x = '\0'", "if x:\n\ty = 1", "\tx = 1", "print 1", "a, b = 1, 2\n\n\n"),
    *("x = f'{y!r}'", "@f\nclass C: ...", "é = 1", "x = 1\r\ny = 2", "x = 1\n  # comment", "  # comment\nx = 1", "%"),
]


@pytest.mark.parametrize("cell", CELLS)
def test_a_cell_becomes_what_ipython_makes_of_it(cell):
    """Python stays as it is, and everything else is transformed."""
    assert Transformers().transform_cell(cell) == TransformerManager().transform_cell(cell)


def test_transformations_of_the_notebook_are_done():
    """A notebook may add its own, which then see every cell."""
    cleaning, tokens = Transformers(), Transformers()
    cleaning.cleanup_transforms.append(lambda lines: [line.replace("1", "2") for line in lines])
    assert cleaning.transform_cell("x = 1") == "x = 2\n"
    tokens.token_transformers.append(Renaming)
    assert tokens.transform_cell("x = 1") == "x = 2\n"


class Renaming(TokenTransformBase):
    """Replaces each 1 by a 2."""

    @classmethod
    def find(cls, tokens_by_line):
        """The first token that is a 1."""
        ones = (token for line in tokens_by_line for token in line if token.string == "1")
        return next((cls(token.start) for token in ones), None)

    def transform(self, lines):
        """Replace it."""
        lines[self.start_line] = lines[self.start_line].replace("1", "2")
        return lines
