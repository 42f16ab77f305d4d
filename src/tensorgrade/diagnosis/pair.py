"""What is compared: two tensors in one wide dtype, and how near values must be for a rule to explain them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch

from .sentences import SENTENCES

MAX_VALUES = 1 << 17
"""Tensors with more elements are not searched for explanations: that keeps the time of a diagnosis bounded."""

_MAX_EXACT = 2.0**53
_PRECISION = {torch.float16: 4e-3, torch.bfloat16: 3e-2, torch.float32: 1e-5, torch.float64: 1e-9}
_PRECISION |= {torch.complex64: 1e-5, torch.complex128: 1e-9}
_MAX_PERMUTED = 4
_ODD = 0x1E3779B97F4A7C15
"""A large odd number without a pattern, by which products mix the bits of a value."""


@dataclass(frozen=True)
class Diagnosis:
    """What is different.

    Attributes:
        code: of `sentences.SENTENCES`.
        facts: what the sentence names.
        detail: for the author alone.
        inside: whether it is about the first wrong item of a container instead of the whole.
    """

    code: str
    facts: dict[str, str] = field(default_factory=dict)
    detail: str = ""
    inside: bool = False

    def subjects(self, english: str = "result", chinese: str = "结果") -> dict[str, str]:
        """What the sentence is about, when the whole is called `english` and `chinese`."""
        if not self.inside:
            return {"subject": english, "subject_zh": chinese}
        return {"subject": f"first wrong item of the {english}", "subject_zh": f"{chinese}中第一个错误的项"}

    def sentences(self, english: str = "result", chinese: str = "结果") -> tuple[str, str]:
        """The sentence in English and Chinese."""
        facts = {**self.subjects(english, chinese), **self.facts}
        told, told_zh = (text.format(**facts) for text in SENTENCES[self.code])
        return told, told_zh


@dataclass(frozen=True)
class Pair:
    """Two tensors of dtype float64 or complex128.

    Attributes:
        got, expected: the values.
        wrong: where they differ by the tolerance of the check; None if the shapes differ.
        precision: the relative error up to which two values count as the same in an explanation.
        given: the tensors among the arguments of the call, in the same dtypes.
        whole: whether the values got are integers or bools by dtype.
        truths: whether both are bools.
    """

    got: torch.Tensor
    expected: torch.Tensor
    wrong: torch.Tensor | None
    precision: float
    given: tuple[torch.Tensor, ...] = ()
    whole: bool = False
    truths: bool = False

    def is_got(self, candidate: torch.Tensor) -> bool:
        """Whether `candidate` is what was got, up to rounding."""
        return self.same(candidate, self.got)

    def same(self, candidate: torch.Tensor, other: torch.Tensor) -> bool:
        """Whether two tensors are equal in shape and, up to rounding, in values."""
        if candidate.shape != other.shape:
            return False
        if not candidate.numel():
            return True
        if not self.precision:
            return torch.equal(candidate, other)
        error, sizes = (candidate - other).abs(), candidate.abs()
        scale = float(sizes.max())
        if math.isfinite(scale) and float(error.max()) > 1.1 * self.precision * scale:  # quick, as most rules fail
            return False
        if not math.isfinite(scale):
            scale = float(sizes.nan_to_num(posinf=0.0).max())
        near = error <= sizes * self.precision + scale * (self.precision / 10)
        return bool(torch.where(candidate.isfinite(), near, _alike(candidate, other)).all())

    @cached_property
    def rearranged(self) -> bool:
        """Whether what was got may be what is expected in another order; True if that cannot be known cheaply."""
        if not self.ordered or not self.finite or self.got.numel() != self.expected.numel():
            return self.got.numel() == self.expected.numel()
        scale = max(float(self.expected.abs().max()), float(self.got.abs().max()))
        extremes = torch.stack([*self.expected.aminmax()]) - torch.stack([*self.got.aminmax()])
        if bool((extremes.abs() > 1.1 * self.precision * scale).any()):
            return False
        if _fingerprint(self.expected) == _fingerprint(self.got):
            return True
        if not self._has_like_sums(scale):
            return False
        return self.same(*(tensor.reshape(-1).sort().values for tensor in (self.expected, self.got)))

    def _has_like_sums(self, scale: float) -> bool:
        """Whether sums of the values and of their squares differ by no more than rounding of each value could explain.

        That is cheap to know, and rules out nearly all that is no rearrangement before anything is sorted.
        """
        got, expected = self.got.reshape(-1), self.expected.reshape(-1)  # the shapes may be different
        error = expected.abs() * self.precision + scale * self.precision / 10
        first = (got - expected).sum().abs() <= 1.1 * error.sum()
        squares = (got.square() - expected.square()).sum().abs()
        second = squares <= 1.1 * (error * (2 * expected.abs() + error)).sum()
        return bool(first & second)

    @cached_property
    def ordered(self) -> bool:
        """Whether the values are real, so that they have an order and a sign."""
        return not self.expected.is_complex() and not self.got.is_complex()

    @cached_property
    def finite(self) -> bool:
        """Whether there is neither NaN nor infinity in what was got and expected."""
        return bool(self.got.isfinite().all()) and bool(self.expected.isfinite().all())

    @cached_property
    def varied(self) -> bool:
        """Whether at least two of the expected values differ clearly, and there are at least three."""
        if self.expected.numel() < 3:
            return False
        spread = (self.expected - self.expected.reshape(-1)[0]).abs().max()
        return bool(spread > 10 * self.precision * self.expected.abs().max())

    @cached_property
    def sizes(self) -> set[int]:
        """The sizes that a sum or a mean may run over: of the dimensions, and of products of all of them."""
        return _sizes(self.got, self.expected) | self.given_sizes

    @cached_property
    def given_sizes(self) -> set[int]:
        """Those of the arguments alone."""
        return _sizes(*self.given)


def _fingerprint(tensor: torch.Tensor) -> int:
    """A number that depends on which values there are, to the last bit, and not on their order."""
    mixed = (tensor.reshape(-1) + 0.0).view(torch.int64) * _ODD  # the sum makes -0.0 and 0.0 one; products wrap around
    mixed = (mixed ^ (mixed >> 29)) * _ODD
    return int((mixed ^ (mixed >> 32)).sum())


def _sizes(*tensors: torch.Tensor) -> set[int]:
    return {size for tensor in tensors for size in (*tensor.shape, tensor.numel()) if size > 1}


def _alike(candidate: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (candidate == other) | (candidate.isnan() & other.isnan())


def paired(
    got: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float, given: Sequence[torch.Tensor]
) -> Pair | None:
    """Return the pair, or None when its values cannot be searched: too many, too large or of unusual dtypes."""
    precisions = [_precision(tensor.dtype) for tensor in (got, expected)]
    if any(tensor.numel() > MAX_VALUES for tensor in (got, expected)) or None in precisions:
        return None
    ours, wanted = _wide(got), _wide(expected)
    if ours is None or wanted is None:
        return None
    inputs = [wide for tensor in given if tensor.numel() <= MAX_VALUES and (wide := _wide(tensor)) is not None]
    if ours.is_complex() or wanted.is_complex():
        ours, wanted = ours.to(torch.complex128), wanted.to(torch.complex128)
        inputs = [tensor.to(torch.complex128) for tensor in inputs]
    return Pair(
        got=ours,
        expected=wanted,
        wrong=_wrong(ours, wanted, rtol, atol),
        precision=max(*(precision or 0.0 for precision in precisions), 4 * rtol),
        given=tuple(tensor for tensor in inputs if tensor.is_complex() == ours.is_complex()),
        whole=not (got.is_floating_point() or got.is_complex()),
        truths=got.dtype is torch.bool and expected.dtype is torch.bool,
    )


def permutations(dimensions: int) -> Iterator[tuple[int, ...]]:
    """All orders of the dimensions but the usual one; those that swap two come first."""
    if not 2 <= dimensions <= _MAX_PERMUTED:
        return
    orders = [order for order in itertools.permutations(range(dimensions)) if order != tuple(range(dimensions))]
    yield from sorted(orders, key=lambda order: sum(place != index for index, place in enumerate(order)))


def _precision(dtype: torch.dtype) -> float | None:
    """The relative error of rounding that a dtype explains; None for dtypes that are not searched."""
    whole = not (dtype.is_floating_point or dtype.is_complex)
    return 0.0 if whole else _PRECISION.get(dtype)


def _wide(tensor: torch.Tensor) -> torch.Tensor | None:
    """The same values, exactly; None when float64 does not hold them."""
    plain = tensor.detach()
    if plain.is_complex():
        return plain.to(torch.complex128)
    wide = plain.to(torch.float64)
    if not plain.is_floating_point() and wide.numel() and bool(wide.abs().max() >= _MAX_EXACT):
        return None
    return wide


def _wrong(got: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float) -> torch.Tensor | None:
    if got.shape != expected.shape:
        return None
    return ~torch.isclose(got, expected, rtol=rtol, atol=atol, equal_nan=True)
