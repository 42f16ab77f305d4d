"""`diagnose(got, expected)`: what the difference between two values is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from .inputs import diagnose_unchanged, diagnose_with_inputs
from .pair import Diagnosis, paired
from .shapes import diagnose_shapes
from .values import diagnose_values

_NUMBERS = (bool, int, float, complex)
_MAX_DIGITS = 100
_MAX_REORDERED = 20
_GENERIC = {"values", "some"}
# (rtol, atol) of torch.testing.assert_close, https://docs.pytorch.org/docs/stable/testing.html
_TOLERANCES = {torch.float16: (1e-3, 1e-5), torch.bfloat16: (1.6e-2, 1e-5)}
_TOLERANCES |= dict.fromkeys((torch.float32, torch.complex64), (1.3e-6, 1e-5))
_TOLERANCES |= dict.fromkeys((torch.float64, torch.complex128), (1e-7, 1e-7))


@dataclass(frozen=True)
class Opaque:
    """A value of which only the name of its type is known; equal to itself alone."""

    kind: str


@dataclass(frozen=True)
class Check:
    """How values are compared, and what is known of the call.

    Attributes:
        tolerance: (rtol, atol), or None for those of the dtypes.
        growth: a factor of the dtypes' tolerances.
        dtypes: whether another dtype is a difference.
        given: the tensors that were passed in.
    """

    tolerance: tuple[float, float] | None = None
    growth: float = 1.0
    dtypes: bool = True
    given: tuple[torch.Tensor, ...] = ()


def diagnose(got: Any, expected: Any, check: Check | None = None) -> Diagnosis | None:
    """Return what is different in `got`, or None when nothing is.

    Both are tensors, numbers, texts, or lists, tuples and dictionaries of them; anything else as `Opaque`.
    """
    check = check or Check()
    if got is None and expected is not None:
        return Diagnosis("nothing")
    if isinstance(got, torch.Tensor) and isinstance(expected, torch.Tensor):
        dtypes = diagnose_dtype(got.dtype, expected.dtype) if check.dtypes else None
        return _of_tensors(got, expected, check) or dtypes
    return _of_alike(got, expected, check) if type(got) is type(expected) else _of_kinds(got, expected, check)


def _of_alike(got: Any, expected: Any, check: Check) -> Diagnosis | None:
    """The difference of two values of one type."""
    if isinstance(expected, dict):
        return _of_dictionaries(got, expected, check)
    if isinstance(expected, (list, tuple)):
        return _of_sequences(got, expected, check)
    if isinstance(expected, _NUMBERS):
        return _of_numbers(got, expected, check)
    return None if got == expected else _of_texts(got, expected)


# ------------------------------------------------------------------------------------------------- tensors


def _of_tensors(got: torch.Tensor, expected: torch.Tensor, check: Check) -> Diagnosis | None:
    generic = "values" if got.shape == expected.shape else "shape"
    if got.is_sparse or got.is_meta or got.is_quantized:
        return Diagnosis("unread")
    got, expected = got.detach().cpu(), expected.detach().cpu()
    rtol, atol = _tolerance(got.dtype, expected.dtype, check)
    if generic == "values" and _are_close(got, expected, rtol, atol):
        return None
    pair = paired(got, expected, rtol, atol, check.given)
    if pair is None:
        return Diagnosis(generic)
    if generic == "shape":
        return diagnose_shapes(pair) or diagnose_unchanged(pair) or diagnose_with_inputs(pair) or Diagnosis("shape")
    found = diagnose_unchanged(pair) or diagnose_values(pair)
    return diagnose_with_inputs(pair) or found if found.code in _GENERIC and pair.finite else found


def _tolerance(got: torch.dtype, expected: torch.dtype, check: Check) -> tuple[float, float]:
    both = [_TOLERANCES.get(dtype, (0.0, 0.0)) for dtype in (got, expected)]
    rtol, atol = (max(values) * check.growth for values in zip(*both, strict=True))
    return check.tolerance or (rtol, atol)


def _are_close(got: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float) -> bool:
    ours, wanted = (_comparable(tensor) for tensor in (got, expected))
    common = torch.promote_types(ours.dtype, wanted.dtype)
    return torch.allclose(ours.to(common), wanted.to(common), rtol=rtol, atol=atol, equal_nan=True)


def _comparable(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.to(torch.float64 if tensor.is_floating_point() else torch.int64)


def diagnose_dtype(got: torch.dtype, expected: torch.dtype) -> Diagnosis | None:
    """Return what is wrong with a dtype, with its usual cause, or None."""
    if got is expected:
        return None
    fractional = got.is_floating_point or got.is_complex
    wanted = expected.is_floating_point or expected.is_complex
    code = "dtype"
    if got is torch.bool:
        code = "dtype-bool"
    elif fractional and not wanted:
        code = "dtype-float"
    elif wanted and not fractional:
        code = "dtype-integer"
    elif got is torch.float64:
        code = "dtype-float64"
    return Diagnosis(code, {"got": str(got)}, f"expected {expected}")


# ------------------------------------------------------------------------------- numbers, texts, other types


def _of_numbers(got: Any, expected: Any, check: Check) -> Diagnosis | None:
    """Numbers are explained as tensors of one element are."""
    if isinstance(expected, bool) or not _is_plain(got) or not _is_plain(expected):
        return None if got == expected else Diagnosis("unequal")
    dtype = {int: torch.int64, float: torch.float64, complex: torch.complex128}[type(expected)]
    found = _of_tensors(torch.tensor(got, dtype=dtype), torch.tensor(expected, dtype=dtype), check)
    return Diagnosis("unequal", detail=found.detail) if found and found.code in _GENERIC else found


def _is_plain(number: Any) -> bool:
    return not isinstance(number, int) or abs(number) < 2**53


def _of_texts(got: Any, expected: Any) -> Diagnosis:
    if isinstance(got, str) and isinstance(expected, str):
        if "".join(got.split()) == "".join(expected.split()):
            return Diagnosis("white-space")
        if got.casefold() == expected.casefold():
            return Diagnosis("letter-case")
    return Diagnosis("unequal")


def _of_kinds(got: Any, expected: Any, check: Check) -> Diagnosis:
    """The right value as another type of value, or just another type."""
    names = {"got": _kind(got), "expected": _kind(expected)}
    for code, candidate in _conversions(got, expected):
        if _is_same(candidate, expected, check):
            return Diagnosis(code, names)
    if names["got"] == names["expected"]:
        return Diagnosis("unread" if isinstance(expected, torch.Tensor) else "unequal")
    return Diagnosis("type", names)


def _conversions(got: Any, expected: Any) -> Iterable[tuple[str, Any]]:
    """What `got` would be as a value of the type of `expected`."""
    if isinstance(expected, _NUMBERS) and isinstance(got, torch.Tensor) and got.numel() == 1:
        yield "number-as-tensor", _converted(lambda: type(expected)(got.item()))
    elif isinstance(expected, _NUMBERS) and isinstance(got, _NUMBERS) and got == expected:
        yield "other-number", expected
    elif isinstance(expected, (int, float)) and isinstance(got, str) and len(got) < _MAX_DIGITS:
        yield "number-as-text", _converted(lambda: type(expected)(got))
    elif isinstance(expected, torch.Tensor) and isinstance(got, (list, tuple, *_NUMBERS)):
        yield "tensor-as-data", _converted(lambda: torch.tensor(got, dtype=expected.dtype))
    elif isinstance(expected, (list, tuple)) and isinstance(got, (list, tuple)):
        yield "other-container", _converted(lambda: type(expected)(got))
    if isinstance(got, (list, tuple)) and len(got) == 1 and type(got[0]) is type(expected):
        yield "inside-container", got[0]


def _converted(conversion: Callable[[], Any]) -> Any:
    try:
        return conversion()
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None


def _kind(value: Any) -> str:
    if isinstance(value, Opaque):
        return value.kind
    return "torch.Tensor" if isinstance(value, torch.Tensor) else type(value).__name__


# ---------------------------------------------------------------------------------------------- containers


def _is_same(got: Any, expected: Any, check: Check) -> bool:
    """Whether `diagnose` would find nothing, without looking for what it would find."""
    if isinstance(got, torch.Tensor) and isinstance(expected, torch.Tensor):
        return _are_same(got, expected, check)
    if type(got) is not type(expected):
        return False
    if isinstance(expected, dict):
        return list(got) == list(expected) and _is_same(list(got.values()), list(expected.values()), check)
    if isinstance(expected, (list, tuple)):
        same = (_is_same(one, other, check) for one, other in zip(got, expected, strict=False))
        return len(got) == len(expected) and all(same)
    return got == expected if not isinstance(expected, float) else diagnose(got, expected, check) is None


def _are_same(got: torch.Tensor, expected: torch.Tensor, check: Check) -> bool:
    if got.shape != expected.shape or (check.dtypes and got.dtype is not expected.dtype):
        return False
    return _are_close(got, expected, *_tolerance(got.dtype, expected.dtype, check))


def _of_sequences(got: Sequence[Any], expected: Sequence[Any], check: Check) -> Diagnosis | None:
    differences = (diagnose(one, other, check) for one, other in zip(got, expected, strict=False))
    first = next((replace(found, inside=True) for found in differences if found is not None), None)
    if len(got) == len(expected):
        return first if first is None else _reordered(got, expected, check) or first
    extra = len(got) > len(expected)
    if first is None and abs(len(got) - len(expected)) == 1 and got and expected:
        return Diagnosis("item-extra" if extra else "item-missing")
    return Diagnosis("too-many-items" if extra else "too-few-items")


def _reordered(got: Sequence[Any], expected: Sequence[Any], check: Check) -> Diagnosis | None:
    if not 1 < len(got) <= _MAX_REORDERED:
        return None
    if all(_is_same(one, other, check) for one, other in zip(reversed(got), expected, strict=True)):
        return Diagnosis("items-reversed")
    left = list(got)
    for wanted in expected:
        place = next((index for index, item in enumerate(left) if _is_same(item, wanted, check)), None)
        if place is None:
            return None
        del left[place]
    return Diagnosis("items-order")


def _of_dictionaries(got: dict[Any, Any], expected: dict[Any, Any], check: Check) -> Diagnosis | None:
    if got.keys() != expected.keys():
        return _of_keys(got, expected)
    if list(got) != list(expected):
        return Diagnosis("keys-order")
    differences = (diagnose(got[key], wanted, check) for key, wanted in expected.items())
    return next((replace(found, inside=True) for found in differences if found is not None), None)


def _of_keys(got: dict[Any, Any], expected: dict[Any, Any]) -> Diagnosis:
    prefixed = [key for key in got.keys() - expected.keys() if isinstance(key, str) and key.startswith("module.")]
    if prefixed and all(key.removeprefix("module.") in expected for key in prefixed):
        return Diagnosis("module-prefix")
    if got.keys() < expected.keys():
        return Diagnosis("keys-missing")
    return Diagnosis("keys-extra" if got.keys() > expected.keys() else "keys-other")
