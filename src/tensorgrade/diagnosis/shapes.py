"""Rules for a tensor of another shape than the expected one: each explains the shape and the values, or is silent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from .pair import Diagnosis, Pair, permutations

Rule = Callable[[Pair], Diagnosis | None]


def diagnose_shapes(pair: Pair) -> Diagnosis | None:
    """Return the first explanation of the two shapes and the values, or None."""
    if not pair.got.numel() or not pair.expected.numel():
        return None
    return next((found for rule in _RULES if (found := rule(pair)) is not None), None)


def permuted(pair: Pair) -> Diagnosis | None:
    """The dimensions in another order."""
    if pair.got.dim() != pair.expected.dim() or not pair.rearranged:
        return None
    for order in permutations(pair.expected.dim()):
        if pair.is_got(pair.expected.permute(order)):
            return Diagnosis("transposed" if len(order) == 2 else "permuted", detail=f"expected.permute{order}")
    return None


def reshaped(pair: Pair) -> Diagnosis | None:
    """The values in the order of other dimensions: `reshape` where `permute` is asked for."""
    if not pair.rearranged:
        return None
    for order in permutations(pair.expected.dim()):
        if pair.is_got(pair.expected.permute(order).reshape(pair.got.shape)):
            return Diagnosis("reshaped", detail=f"expected.permute{order}.reshape(...)")
    return None


def _sizes_of_one(pair: Pair) -> Diagnosis | None:
    """The right values in the right order: only the shape is another."""
    got, expected = pair.got, pair.expected
    if got.numel() != expected.numel() or not pair.same(expected.reshape(-1), got.reshape(-1)):
        return None
    if _long(got) != _long(expected):
        return Diagnosis("flattened" if got.dim() == 1 else "reshape", detail=_shapes(pair))
    if got.dim() == expected.dim():
        return Diagnosis("size-one-moved", detail=_shapes(pair))
    return Diagnosis("unsqueezed" if got.dim() > expected.dim() else "squeezed", detail=_shapes(pair))


def _broadcast(pair: Pair) -> Diagnosis | None:
    """A table of n rows and n columns whose diagonal is the vector that is asked for."""
    got, vector = pair.got, pair.expected.reshape(-1)
    size = vector.numel()
    if size < 2 or size not in pair.expected.shape or got.shape != (size, size):
        return None
    return Diagnosis("broadcast") if pair.same(vector, got.diagonal()) else None


def _ends(pair: Pair) -> Diagnosis | None:
    """One item or more too many or too few at an end of one dimension."""
    differing = _differing(pair)
    if differing is None:
        return None
    ours, wanted = pair.got.shape[differing], pair.expected.shape[differing]
    extra, common = ours > wanted, min(ours, wanted)
    longer, shorter = (pair.got, pair.expected) if extra else (pair.expected, pair.got)
    for end, start in (("last", 0), ("first", abs(ours - wanted))):
        if pair.same(longer.narrow(differing, start, common), shorter):
            kind = f"{'extra' if extra else 'missing'}-{end}"
            code = kind if abs(ours - wanted) == 1 else f"{kind}-items"
            return Diagnosis(code, {"dim": str(differing)}, _shapes(pair))
    return None


def _repeated(pair: Pair) -> Diagnosis | None:
    """The right values, once for each index of a dimension too many."""
    for dim in _dimensions_too_many(pair):
        if pair.is_got(pair.expected.unsqueeze(dim).expand(pair.got.shape)):
            return Diagnosis("repeated", {"dim": str(dim)})
    return None


def _not_selected(pair: Pair) -> Diagnosis | None:
    """All items of a dimension where the first or the last is asked for."""
    for dim in _dimensions_too_many(pair):
        for end, code in ((-1, "last-not-selected"), (0, "first-not-selected")):
            if pair.same(pair.expected, pair.got.select(dim, end)):
                return Diagnosis(code, {"dim": str(dim)})
    return None


def _not_reduced(pair: Pair) -> Diagnosis | None:
    """A dimension is left over which to sum, to average, ..."""
    if not pair.ordered or pair.got.numel() < pair.expected.numel():
        return None
    for name, dim, reduced in reductions(pair.got):
        if _same_but_for_ones(pair, pair.expected, reduced):
            return Diagnosis("not-reduced" if dim is None else "dim-not-reduced", {"dim": str(dim)}, name)
    return None


def _reduced_too_far(pair: Pair) -> Diagnosis | None:
    """Summed or averaged over more than is asked for."""
    if not pair.ordered or pair.got.numel() > pair.expected.numel():
        return None
    for name, _, reduced in reductions(pair.expected):
        if _same_but_for_ones(pair, reduced, pair.got):
            return Diagnosis("reduced-too-far", detail=name)
    return None


def reductions(tensor: torch.Tensor) -> Iterator[tuple[str, int | None, torch.Tensor]]:
    """What common reductions give for each dimension, and (dim None) for all together."""
    for name, reduce in _REDUCTIONS.items():
        for dim in range(tensor.dim()) if tensor.dim() > 1 else ():
            yield name, dim, reduce(tensor, dim)
        yield name, None, reduce(tensor.reshape(-1), 0)


_REDUCTIONS: dict[str, Callable[[torch.Tensor, int], torch.Tensor]] = {
    "sum": torch.sum,
    "mean": torch.mean,
    "amax": torch.amax,
    "amin": torch.amin,
    "argmax": lambda tensor, dim: tensor.argmax(dim).to(tensor.dtype),
    "argmin": lambda tensor, dim: tensor.argmin(dim).to(tensor.dtype),
    "prod": torch.prod,
}


def _same_but_for_ones(pair: Pair, candidate: torch.Tensor, other: torch.Tensor) -> bool:
    fits = candidate.numel() == other.numel() and _long(candidate) == _long(other)
    return fits and pair.same(candidate.reshape(-1), other.reshape(-1))


def _differing(pair: Pair) -> int | None:
    """The dimension in which alone the two shapes differ."""
    if pair.got.dim() != pair.expected.dim():
        return None
    sizes = zip(pair.got.shape, pair.expected.shape, strict=True)
    dims = [dim for dim, (ours, wanted) in enumerate(sizes) if ours != wanted]
    return dims[0] if len(dims) == 1 else None


def _dimensions_too_many(pair: Pair) -> list[int]:
    """The dimensions of what was got without which it would have the expected shape."""
    shape = list(pair.got.shape)
    wanted = list(pair.expected.shape)
    return [dim for dim in range(len(shape)) if shape[:dim] + shape[dim + 1 :] == wanted]


def _long(tensor: torch.Tensor) -> list[int]:
    """The sizes that are not 1."""
    return [size for size in tensor.shape if size != 1]


def _shapes(pair: Pair) -> str:
    return f"got {tuple(pair.got.shape)}, expected {tuple(pair.expected.shape)}"


_RULES: tuple[Rule, ...] = (
    permuted,
    _sizes_of_one,
    reshaped,
    _repeated,
    _broadcast,
    _ends,
    _not_selected,
    _not_reduced,
    _reduced_too_far,
)
