"""What stands behind a finding: the call, the values, and the lines of the student's code that an exception passed.

Trusted side; plain data. Evidence holds inputs and expected values: how much of it a student sees is for the
`Level` of a clause to say, and for `ClauseVerdict.disclosed` to do.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TracedLine:
    """One line of the student's own code that an exception passed through.

    Attributes:
        cell: the number of the cell among the notebook's code cells, from 1.
        line: the number of the line in the cell, from 1.
        source: the line, from the cell as it was handed in.
    """

    cell: int
    line: int
    source: str


@dataclass(frozen=True)
class Grid:
    """Where the values of a tensor are wrong.

    Attributes:
        shares: of wrong values, from 0 to 1: rows of at most 16, at most 16 of them, over the last two dimensions; one
            row for a tensor of one dimension. A large tensor has many values in each, and dimensions before the last
            two are taken together.
        shape: of the student's tensor.
    """

    shares: tuple[tuple[float, ...], ...]
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Evidence:
    """What a finding was concluded from; texts are bounded.

    Attributes:
        call: the call with its inputs, ``f(tensor([[1., 2.]]), 3)``; or None.
        error: the message of the student's exception, or None.
        wrong: where the values are wrong, or None.
        got, expected: the values, or None.
        got_shape, expected_shape: of tensors, or None.
    """

    call: str | None = None
    error: str | None = None
    wrong: Grid | None = None
    got: str | None = None
    expected: str | None = None
    got_shape: tuple[int, ...] | None = None
    expected_shape: tuple[int, ...] | None = None
