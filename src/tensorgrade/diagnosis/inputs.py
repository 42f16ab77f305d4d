"""Rules that need the arguments of the call: an argument unchanged or added, or a computation along another dim."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from .pair import Diagnosis, Pair
from .shapes import reductions

_MAX_SEARCHED = 1 << 14


def diagnose_unchanged(pair: Pair) -> Diagnosis | None:
    """The result is an argument as it was passed."""
    same = any(torch.equal(tensor, pair.got) for tensor in pair.given)
    return Diagnosis("unchanged") if same and pair.got.numel() else None


def diagnose_with_inputs(pair: Pair) -> Diagnosis | None:
    """The right operation along another dimension, or the right values added to those of an argument."""
    if not pair.got.numel() or not pair.ordered:
        return None
    for tensor in pair.given:
        if tensor.numel() <= _MAX_SEARCHED and (found := _other_dimension(pair, tensor)):
            return found
        same_shape = tensor.shape == pair.got.shape == pair.expected.shape
        if same_shape and bool(tensor.any()) and pair.is_got(pair.expected + tensor):
            return Diagnosis("added")
    return None


def _other_dimension(pair: Pair, tensor: torch.Tensor) -> Diagnosis | None:
    """An operation that gives what is expected for one dimension and what was got for another."""
    if tensor.dim() < 2 or not tensor.numel():
        return None
    ours: dict[str, int | None] = {}
    wanted: dict[str, int | None] = {}
    for name, dim, result in _results(tensor):
        if name not in wanted and _matches(pair, result, pair.expected):
            wanted[name] = dim
        elif name not in ours and _matches(pair, result, pair.got):
            ours[name] = dim
    for name, dim in wanted.items():
        if name not in ours or dim is None:
            continue
        code = "reduced-all" if ours[name] is None else "along-another"
        return Diagnosis(code, {"got": str(ours[name])}, f"{name} over {dim}")
    return None


def _matches(pair: Pair, result: torch.Tensor, other: torch.Tensor) -> bool:
    """Equal but for dimensions of size 1."""
    if [size for size in result.shape if size != 1] != [size for size in other.shape if size != 1]:
        return False
    return pair.same(result.reshape(-1), other.reshape(-1))


def _results(tensor: torch.Tensor) -> Iterator[tuple[str, int | None, torch.Tensor]]:
    yield from reductions(tensor)
    for name, operation in _OPERATIONS.items():
        for dim, size in enumerate(tensor.shape):
            if size > 1:
                yield name, dim, operation(tensor, dim)


_OPERATIONS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "softmax": torch.softmax,
    "log_softmax": torch.log_softmax,
    "logsumexp": torch.logsumexp,
    "cumsum": torch.cumsum,
    "cumprod": torch.cumprod,
    "var": torch.var,
    "std": torch.std,
    "norm": lambda tensor, dim: torch.linalg.vector_norm(tensor, dim=dim),
    "sort": lambda tensor, dim: tensor.sort(dim).values,
    "flip": lambda tensor, dim: tensor.flip(dim),
    "centre": lambda tensor, dim: tensor - tensor.mean(dim, keepdim=True),
    "normalise": lambda tensor, dim: tensor / tensor.sum(dim, keepdim=True),
}
