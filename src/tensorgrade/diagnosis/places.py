"""Where a tensor is wrong, when nothing explains how."""

from __future__ import annotations

import torch

from .pair import Diagnosis, Pair

_MATRIX_SIDE = 3


def where_wrong(pair: Pair) -> Diagnosis:
    """Return the narrowest true statement of where the wrong values are."""
    wrong = pair.wrong
    if wrong is None or not bool(wrong.any()):
        return Diagnosis("values")
    count, total = int(wrong.sum()), wrong.numel()
    found = None if count == total else _place(pair, wrong)
    code, facts = found or ("some" if count * 2 <= total else "values", {})
    return Diagnosis(code, facts, f"{count} of {total} values differ, the first at {wrong.nonzero()[0].tolist()}")


def _place(pair: Pair, wrong: torch.Tensor) -> tuple[str, dict[str, str]] | None:
    return _of_matrix(wrong) or one_index(wrong) or _of_sign(pair, wrong) or _constant(pair)


def _of_matrix(wrong: torch.Tensor) -> tuple[str, dict[str, str]] | None:
    """The diagonal of the last two dimensions, all but it, or one side of it."""
    if wrong.dim() < 2 or min(wrong.shape[-2:]) < _MATRIX_SIDE:
        return None
    rows, columns = (torch.arange(size) for size in wrong.shape[-2:])
    distance = columns - rows[:, None]
    for code, inside in (
        ("only-diagonal", distance == 0),
        ("only-above-diagonal", distance > 0),
        ("only-below-diagonal", distance < 0),
        ("only-off-diagonal", distance != 0),
    ):
        if torch.equal(wrong, inside.expand(wrong.shape)):
            return code, {}
    return None


def one_index(wrong: torch.Tensor) -> tuple[str, dict[str, str]] | None:
    """Return a code and facts if all that is wrong is at one index of a dimension of three or more."""
    for dim, size in enumerate(wrong.shape):
        others = [other for other in range(wrong.dim()) if other != dim]
        lines = wrong.sum(others) > 0 if others else wrong
        if size < 3 or int(lines.sum()) != 1:
            continue
        index = int(lines.nonzero()[0])
        code = {0: "only-first", size - 1: "only-last"}.get(index, "only-one-index")
        return code, {"dim": str(dim)}
    return None


def _of_sign(pair: Pair, wrong: torch.Tensor) -> tuple[str, dict[str, str]] | None:
    """Wrong exactly where the right value is negative, or where it is zero."""
    if not pair.ordered or int(wrong.sum()) < 2:
        return None
    for code, inside in (("only-negative", pair.expected < 0), ("only-zero", pair.expected == 0)):
        if torch.equal(wrong, inside):
            return code, {}
    return None


def _constant(pair: Pair) -> tuple[str, dict[str, str]] | None:
    """All the same value, where there should be different ones."""
    same = bool((pair.got == pair.got.reshape(-1)[0]).all())
    return ("constant", {}) if same and pair.varied else None
