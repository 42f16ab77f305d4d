"""Rules for a tensor of the expected shape with other values, the most specific first."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from .pair import Diagnosis, Pair
from .places import one_index, where_wrong
from .shapes import Rule, permuted, reshaped

_NEARLY = 1e-2
_MAX_CORRECTION = 32


def diagnose_values(pair: Pair) -> Diagnosis:
    """Return the first explanation of the values, or where they are wrong."""
    if (found := _not_finite(pair)) is not None:
        return found
    if pair.finite:
        if pair.is_got(pair.expected):
            return Diagnosis("imprecise")
        for rule in _RULES:
            if (found := rule(pair)) is not None:
                return found
    return where_wrong(pair)


def _not_finite(pair: Pair) -> Diagnosis | None:
    if bool((pair.got.isnan() & ~pair.expected.isnan()).any()):
        return Diagnosis("nan")
    infinite = pair.got.isinf() & pair.expected.isfinite()
    return Diagnosis("infinite") if bool(infinite.any()) else None


def _inverted(pair: Pair) -> Diagnosis | None:
    """Every truth value is the opposite."""
    return Diagnosis("inverted") if pair.truths and pair.is_got(1 - pair.expected) else None


def _zeros(pair: Pair) -> Diagnosis | None:
    return Diagnosis("zeros") if not pair.truths and not pair.got.any() else None


def _sign(pair: Pair) -> Diagnosis | None:
    """All signs wrong, or some of them."""
    if pair.is_got(-pair.expected):
        return Diagnosis("sign")
    if not pair.ordered:
        return Diagnosis("conjugate") if pair.is_got(pair.expected.conj().resolve_conj()) else None
    return Diagnosis("sign-of-some") if pair.same(pair.expected.abs(), pair.got.abs()) else None


def _known_factor(pair: Pair) -> Diagnosis | None:
    """Factors that have a usual cause: 2 and 1/2, a size (sum and mean), n/(n-1) (variance)."""
    factor = _factor(pair)
    if factor is None:
        return None
    for code, known in _causes(pair):
        if abs(factor - known) <= 0.1 * abs(known - 1) and pair.is_got(pair.expected * known):
            return Diagnosis(code, detail=f"factor {known:.6g}")
    return None


def _causes(pair: Pair) -> Iterator[tuple[str, float]]:
    yield from (("doubled", 2.0), ("halved", 0.5))
    for size in sorted(pair.sizes):
        yield from (("factor-size", float(size)), ("factor-size", 1 / size))
    if pair.ordered and not pair.whole and bool((pair.expected >= 0).all()):
        unknown = range(3, _MAX_CORRECTION) if pair.got.numel() > 1 else ()  # a single value would be chance
        for size in sorted({*unknown, *pair.given_sizes}):
            correction = size / (size - 1)
            yield from (("unbiased", correction), ("biased", 1 / correction))
            yield from (("unbiased", correction**0.5), ("biased", correction**-0.5))


def _factor(pair: Pair) -> float | None:
    """The factor by which what was got is nearest to a multiple of what is expected."""
    if not pair.ordered:
        got, expected = torch.view_as_real(pair.got), torch.view_as_real(pair.expected)
    else:
        got, expected = pair.got, pair.expected
    square = float((expected * expected).sum())
    return float((got * expected).sum()) / square if square else None


def _any_factor(pair: Pair) -> Diagnosis | None:
    factor = _factor(pair)
    if factor is None or not pair.varied or not pair.is_got(pair.expected * factor):
        return None
    return Diagnosis("factor", detail=f"factor {factor:.6g}")


def _one_off(pair: Pair) -> Diagnosis | None:
    """Whole numbers that are all one too large or too small."""
    if not pair.ordered or not torch.equal(pair.expected, pair.expected.round()):
        return None
    for step, code in ((1, "one-too-large"), (-1, "one-too-small")):
        if torch.equal(pair.expected + step, pair.got):
            return Diagnosis(code)
    return None


def _offset(pair: Pair) -> Diagnosis | None:
    if not pair.varied:
        return None
    step = (pair.got - pair.expected).mean()
    return Diagnosis("offset", detail=f"offset {step:.6g}") if pair.is_got(pair.expected + step) else None


def _functions(pair: Pair) -> Diagnosis | None:
    """The square, the root, the logarithm, ... of what is expected."""
    if not pair.ordered:
        return None
    for code, function in _FUNCTIONS.items():
        candidate = function(pair.expected)
        if bool(candidate.isfinite().all()) and pair.is_got(candidate):
            return Diagnosis(code)
    return None


_FUNCTIONS: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "squared": torch.square,
    "rooted": torch.sqrt,
    "reciprocal": torch.reciprocal,
    "logarithm": torch.log,
    "exponential": torch.exp,
}


def _fraction(pair: Pair) -> Diagnosis | None:
    """Whole numbers where there should be fractions."""
    if not pair.ordered or not torch.equal(pair.got, pair.got.round()):
        return None
    roundings = (torch.trunc, torch.floor, torch.round, torch.ceil)
    lost = any(torch.equal(rounded(pair.expected), pair.got) for rounded in roundings)
    return Diagnosis("fraction") if lost else None


def _flipped(pair: Pair) -> Diagnosis | None:
    for dim in range(pair.got.dim()) if pair.rearranged else ():
        if pair.is_got(pair.expected.flip(dim)):
            return Diagnosis("flipped", {"dim": str(dim)})
    return None


def _shifted(pair: Pair) -> Diagnosis | None:
    """Each item one place, or half of the dimension, further along it; cyclic or not."""
    for dim, size in enumerate(pair.got.shape):
        for steps in (1, -1):
            if size > 2 and _is_shifted(pair, dim, steps):
                return Diagnosis("shifted", {"dim": str(dim)}, f"by {steps}")
        others = sorted({2, size - 2, size // 2, size - size // 2} & set(range(2, size - 1)))
        if pair.rearranged and any(pair.is_got(pair.expected.roll(steps, dim)) for steps in others):
            return Diagnosis("rolled", {"dim": str(dim)})
    return None


def _is_shifted(pair: Pair, dim: int, steps: int) -> bool:
    """Whether what was got lags (1) or leads (-1); an overlap that is right as it stands shows no shift."""
    length = pair.got.shape[dim] - 1
    begin, end = (1, 0) if steps > 0 else (0, 1)
    ours = pair.got.narrow(dim, begin, length)
    moved, unmoved = pair.expected.narrow(dim, end, length), pair.expected.narrow(dim, begin, length)
    return pair.same(moved, ours) and not pair.same(unmoved, ours)


def _centred(pair: Pair) -> Diagnosis | None:
    """The mean was not subtracted, or over another dimension."""
    if not pair.varied:
        return None
    if pair.is_got(pair.expected + pair.got.mean()) and _vanishes(pair, pair.expected.mean()):
        return Diagnosis("mean-left")
    for dim in _long_dimensions(pair):
        means = pair.got.mean(dim, keepdim=True)
        if _vanishes(pair, pair.expected.mean(dim)) and pair.is_got(pair.expected + means):
            return Diagnosis("mean-left-along", {"dim": str(dim)})
    return None


def _vanishes(pair: Pair, means: torch.Tensor) -> bool:
    return bool((means.abs() <= max(pair.precision, 1e-9) * pair.expected.abs().max()).all())


def _normalised(pair: Pair) -> Diagnosis | None:
    """Adds up to 1 over no dimension or another one, and otherwise is right."""
    if not pair.ordered or not bool((pair.expected > 0).all()):
        return None
    logarithm = pair.expected.log()
    for dim in _long_dimensions(pair):
        if not _adds_to_one(pair.expected, dim) or _adds_to_one(pair.got, dim):
            continue
        if bool((pair.got > 0).all()):
            ratio = pair.got.log() - logarithm
            for other in _long_dimensions(pair):
                if other != dim and _adds_to_one(pair.got, other) and _is_separable(pair, ratio, dim, other):
                    return Diagnosis("normalised-along", {"got": str(other), "dim": str(dim)})
            if _is_constant(pair, ratio, dim):
                return Diagnosis("not-normalised", {"dim": str(dim)}, "by a factor")
        if _is_constant(pair, pair.got - logarithm, dim):
            return Diagnosis("not-normalised", {"dim": str(dim)}, "the logarithms")
    return None


def _adds_to_one(tensor: torch.Tensor, dim: int) -> bool:
    return bool(((tensor.sum(dim) - 1).abs() < 1e-4).all())


def _is_separable(pair: Pair, tensor: torch.Tensor, first: int, second: int) -> bool:
    """Whether `tensor` is a sum of one that is constant along `first` and one that is constant along `second`."""
    one, other = tensor.mean(first, keepdim=True), tensor.mean(second, keepdim=True)
    rest = tensor - one - other + one.mean(second, keepdim=True)
    return bool((rest.abs() <= _slack(pair)).all())


def _is_constant(pair: Pair, tensor: torch.Tensor, dim: int) -> bool:
    return bool(((tensor - tensor.mean(dim, keepdim=True)).abs() <= _slack(pair)).all())


def _slack(pair: Pair) -> float:
    """The error of a logarithm."""
    return max(4 * pair.precision, 1e-9)


def _along_a_dimension(pair: Pair) -> Diagnosis | None:
    """One offset or one factor for all items of a dimension: something broadcast is missing."""
    if pair.got.dim() < 2 or (pair.wrong is not None and one_index(pair.wrong)):
        return None
    for dim, size in enumerate(pair.got.shape):
        if size < 3 or size == pair.got.numel():
            continue
        if pair.is_got(pair.expected + (pair.got - pair.expected).mean(dim, keepdim=True)):
            return Diagnosis("offset-along", {"dim": str(dim)})
        squares = (pair.expected * pair.expected.conj()).sum(dim, keepdim=True)
        factors = (pair.got * pair.expected.conj()).sum(dim, keepdim=True) / squares
        if bool(squares.abs().min() > 0) and pair.is_got(pair.expected * factors):
            return Diagnosis("factor-along", {"dim": str(dim)})
    return None


def _order(pair: Pair) -> Diagnosis | None:
    """The right values in the wrong places; needs three different ones to be more than chance."""
    if not pair.ordered or pair.expected.numel() < 3 or not pair.rearranged:
        return None
    low, high = pair.expected.aminmax()
    apart = 10 * pair.precision * max(float(low.abs()), float(high.abs()))
    between = (pair.expected - low > apart) & (high - pair.expected > apart)
    return Diagnosis("order") if bool(between.any()) else None


def _imprecise(pair: Pair) -> Diagnosis | None:
    """Nearly right everywhere, as after a computation in a less precise dtype."""
    if pair.whole:
        return None
    error, size = (pair.got - pair.expected).abs(), pair.expected.abs()
    near = bool((error <= _NEARLY * size + 1e-4 * size.max()).all())
    return Diagnosis("imprecise") if near else None


def _long_dimensions(pair: Pair) -> list[int]:
    return [dim for dim, size in enumerate(pair.got.shape) if size > 1]


_RULES: tuple[Rule, ...] = (
    _inverted,
    _zeros,
    permuted,
    _sign,
    _known_factor,
    _one_off,
    reshaped,
    _centred,
    _functions,
    _fraction,
    _flipped,
    _shifted,
    _offset,
    _any_factor,
    _normalised,
    _order,
    _along_a_dimension,
    _imprecise,
)
