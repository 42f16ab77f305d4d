"""Comparing what was observed with what is expected, and saying what is different.

Trusted side. Tolerances are those of `torch.testing.assert_close` for the less precise of the two dtypes, widened with
the square root of the number of terms that a result sums up, which is how rounding errors grow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch

from .diagnosis.difference import Check, Opaque, diagnose
from .evidence import Evidence
from .findings import Finding, finding, public_type
from .margin import note_comparison
from .observation import Observed, ObservedModule, ObservedObject, ObservedTensor
from .observer import type_name
from .showing import shape_of, shown, wrong_places

EXACT = (0.0, 0.0)
# (rtol, atol) of torch.testing.assert_close, https://docs.pytorch.org/docs/stable/testing.html
_TOLERANCES: dict[torch.dtype, tuple[float, float]] = {
    torch.float16: (1e-3, 1e-5),
    torch.bfloat16: (1.6e-2, 1e-5),
    torch.float32: (1.3e-6, 1e-5),
    torch.float64: (1e-7, 1e-7),
    torch.complex32: (1e-3, 1e-5),
    torch.complex64: (1.3e-6, 1e-5),
    torch.complex128: (1e-7, 1e-7),
}
_COMMON = frozenset(
    {
        *(torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128),
        *(torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64),
    }
)
"""The dtypes of which equal tensors are told apart from others at once; most right answers are equal to the bit."""
_EXPLAINED = frozenset({"values", "shape", "unequal", "type"})
"""The findings of a comparison in whose place a diagnosis is told."""


@dataclass(frozen=True)
class Comparison:
    """How an observation is compared with what is expected.

    Attributes:
        names: what it is called in findings (``subject`` and ``subject_zh``).
        tolerance: (rtol, atol), or None for those of the dtypes.
        terms: how many terms each value sums up.
        given: gives the tensors that were passed in, which may explain a difference.
    """

    names: Mapping[str, str]
    tolerance: tuple[float, float] | None
    terms: int = 1
    given: Callable[[], tuple[torch.Tensor, ...]] = tuple

    def difference(self, got: Observed, expected: object) -> Finding | None:
        """Return what is different, as the most specific diagnosis says; None if nothing is."""
        found = self._found(got, expected)
        if found is None or found.code not in _EXPLAINED:
            return found
        check = Check(self.tolerance, math.sqrt(max(self.terms, 1)), dtypes=False, given=self.given())
        known = diagnose(_plain(got), expected, check)
        if known is None or known.code == found.code == "type":
            return found
        kind = {"got": kind_of(got)} if known.code == "number-as-tensor" else {}
        facts = {**known.subjects(*self.names.values()), **known.facts, **kind}
        explained = finding(known.code, f"{found.detail} {known.detail}".strip(), **facts)
        return replace(explained, evidence=found.evidence)

    def _found(self, got: Any, expected: Any) -> Finding | None:
        if isinstance(expected, torch.Tensor):
            return self._of_tensors(got, expected)
        if isinstance(expected, (list, tuple, dict)):
            return self._of_containers(got, expected)
        if type(got) is not type(expected):
            return self._finding("type", got, expected, got=kind_of(got), expected=type_name(type(expected)))
        if not self._is_same_number(got, expected):
            return self._finding("unequal", got, expected, f"got {got!r}, expected {expected!r}")
        return None

    def _of_containers(self, got: Any, expected: Any) -> Finding | None:
        if type(got) is not type(expected):
            code = "nothing" if got is None else "type"
            return self._finding(code, got, expected, got=kind_of(got), expected=type_name(type(expected)))
        ours, wanted = got, expected
        if isinstance(got, dict):
            if list(got) != list(expected):
                detail = f"got the keys {list(got)}, expected {list(expected)}"
                return self._finding("unequal", got, expected, detail)
            ours, wanted = list(got.values()), list(expected.values())
        if len(ours) != len(wanted):
            return self._finding("unequal", got, expected, f"got {len(ours)} items, expected {len(wanted)}")
        return next(filter(None, map(self._found, ours, wanted)), None)

    def _of_tensors(self, got: Any, expected: torch.Tensor) -> Finding | None:
        if not isinstance(got, ObservedTensor):
            code = "nothing" if got is None else "type"
            return self._finding(code, got, expected, got=kind_of(got), expected="torch.Tensor")
        if got.shape != tuple(expected.shape):
            return self._finding("shape", got, expected, f"got {got.shape}, expected {tuple(expected.shape)}")
        if got.values is None:
            return self._finding("unread", got, expected, got.unread or "")
        if got.dtype is not expected.dtype and (_exceeds_int64(got.values) or _exceeds_int64(expected)):
            return self._finding("values", got, expected, "a uint64 beyond int64")
        return self._of_values(got, got.values, expected.detach())

    def _of_values(self, got: ObservedTensor, values: torch.Tensor, expected: torch.Tensor) -> Finding | None:
        rtol, atol = self.tolerance or self._tolerance(got.dtype, expected.dtype)
        if got.dtype is expected.dtype and got.dtype in _COMMON and torch.equal(values, expected):
            note_comparison(values, expected, rtol, atol)
            return None
        ours, wanted = _widest(values), _widest(expected)
        common = torch.promote_types(ours.dtype, wanted.dtype)
        # not assert_close, which asks the same and imports distributed tensors and sympy for it
        unequal = ~torch.isclose(ours.to(common), wanted.to(common), rtol=rtol, atol=atol, equal_nan=True)
        note_comparison(ours.to(common), wanted.to(common), rtol, atol)
        if not unequal.any():
            return None
        detail = f"{int(unequal.sum())} of {unequal.numel()} values"
        return self._finding("values", got, expected, detail, wrong=unequal)

    def _tolerance(self, got: torch.dtype, expected: torch.dtype) -> tuple[float, float]:
        """The wider of the two dtypes' tolerances; integers and bools, which do not round, add nothing to them."""
        both = [_TOLERANCES.get(dtype, EXACT) for dtype in (got, expected)]
        growth = math.sqrt(max(self.terms, 1))
        return max(rtol for rtol, _ in both) * growth, max(atol for _, atol in both) * growth

    def _is_same_number(self, got: object, expected: object) -> bool:
        if isinstance(got, float) and isinstance(expected, float):
            rtol, atol = self.tolerance or _TOLERANCES[torch.float64]
            return math.isclose(got, expected, rel_tol=rtol, abs_tol=atol) or (math.isnan(got) and math.isnan(expected))
        return got == expected

    def _finding(
        self,
        code: str,
        observed: Observed,
        wanted: object,
        detail: str = "",
        *,
        wrong: torch.Tensor | None = None,
        **facts: str,
    ) -> Finding:
        evidence = Evidence(
            wrong=None if wrong is None else wrong_places(wrong),
            got=shown(observed),
            expected=shown(wanted),
            got_shape=shape_of(observed),
            expected_shape=shape_of(wanted),
        )
        return replace(finding(code, detail, **self.names, **facts), evidence=evidence)


def kind_of(observed: Observed) -> str:
    """Return the type of an observation as a student may see it."""
    if isinstance(observed, (ObservedTensor, ObservedModule, ObservedObject)):
        return public_type(observed.type_name)
    return type_name(type(observed))


def _plain(observed: Observed) -> Any:
    """An observation as `diagnose` takes it: tensors and plain data."""
    if isinstance(observed, ObservedTensor) and observed.values is not None:
        return observed.values
    if isinstance(observed, (ObservedTensor, ObservedModule, ObservedObject)):
        return Opaque(kind_of(observed))
    if isinstance(observed, (list, tuple)):
        return type(observed)(map(_plain, observed))
    return {key: _plain(item) for key, item in observed.items()} if isinstance(observed, dict) else observed


def _widest(tensor: torch.Tensor) -> torch.Tensor:
    """The same values in a dtype that holds them all exactly, but for `_exceeds_int64`, whose bits are kept."""
    if tensor.dtype.is_complex:
        return tensor.to(torch.complex128)
    if tensor.dtype.is_floating_point:
        return tensor.to(torch.float64)
    return tensor.to(torch.int64)


def _exceeds_int64(tensor: torch.Tensor) -> bool:
    return tensor.dtype is torch.uint64 and bool(tensor.to(torch.int64).lt(0).any())
