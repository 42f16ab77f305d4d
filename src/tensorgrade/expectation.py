"""`expect(observed)`: the checks of a hidden grader, each of which passes or raises `Mismatch` with a finding.

Trusted side. A check judges what was observed; it runs none of the student's code. Checks chain:

    expect(submission.call("identity", 2, 3, torch.int64)).has_dtype(torch.int64).equals(torch.eye(2, 3))

Tolerances are those of `torch.testing.assert_close` for the less precise of the two dtypes, widened with the square
root of the number of terms that a result sums up (``terms``), which is how rounding errors grow.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NoReturn, Self

import torch

from .diagnosis.difference import Check, Opaque, diagnose, diagnose_dtype
from .diagnosis.states import Graph, diagnose_device, diagnose_graph
from .errors import GraderError
from .findings import Finding, Mismatch, finding, public_error, public_type
from .margin import note_comparison
from .observation import Observed, ObservedModule, ObservedObject, ObservedTensor
from .observer import type_name
from .submission import Attempt

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
_EXACT = (0.0, 0.0)
_EXPLAINED = frozenset({"values", "shape", "unequal", "type"})
"""The findings of a comparison in whose place a diagnosis is told."""


def expect(observed: Observed | Attempt, subject: str = "result", subject_zh: str = "结果") -> Expectation:
    """Return the checks of `observed`; `subject` names it in findings ("the second result")."""
    return Expectation(observed, subject, subject_zh)


class Expectation:
    """The checks of one observation."""

    def __init__(self, observed: Observed | Attempt, subject: str, subject_zh: str) -> None:
        self._observed = observed
        self._subject = subject
        self._names = {"subject": subject, "subject_zh": subject_zh}

    # ---------------------------------------------------------------------------------------------- values

    def equals(self, expected: object) -> Self:
        """Same values exactly, and same shape; the dtype is a check of its own (`has_dtype`).

        Containers are compared item by item and must be of the same type; numbers must be of the same type.
        """
        return self._compare(expected, _EXACT)

    def close_to(self, expected: object, *, terms: int = 1) -> Self:
        """Same shape, and values equal up to rounding; `terms` is how many terms each value sums up."""
        return self._compare(expected, None, terms)

    def _compare(self, expected: object, tolerance: tuple[float, float] | None, terms: int = 1) -> Self:
        try:
            return self._compare_plainly(expected, tolerance, terms)
        except Mismatch as mismatch:
            if mismatch.finding.code not in _EXPLAINED:
                raise
            explained = self._explained(mismatch, expected, tolerance, terms)
        raise Mismatch(explained)

    def _compare_plainly(self, expected: object, tolerance: tuple[float, float] | None, terms: int) -> Self:
        got = self._value()
        if isinstance(expected, torch.Tensor):
            _compare_tensors(self._tensor(), expected, tolerance, terms, self._names)
        elif isinstance(expected, (list, tuple, dict)):
            self._compare_containers(got, expected, tolerance, terms)
        elif type(got) is not type(expected):
            self._fail("type", got=_kind(got), expected=type_name(type(expected)))
        elif not _same_number(got, expected, tolerance):
            self._fail("unequal", f"got {got!r}, expected {expected!r}")
        return self

    def _compare_containers(
        self,
        got: Any,
        expected: Any,
        tolerance: tuple[float, float] | None,
        terms: int,
    ) -> None:
        if type(got) is not type(expected):
            self._fail("nothing" if got is None else "type", got=_kind(got), expected=type_name(type(expected)))
        if isinstance(got, dict):
            if list(got) != list(expected):
                self._fail("unequal", f"got the keys {list(got)}, expected {list(expected)}")
            got, expected = list(got.values()), list(expected.values())
        if len(got) != len(expected):
            self._fail("unequal", f"got {len(got)} items, expected {len(expected)}")
        for item, wanted in zip(got, expected, strict=True):
            Expectation(item, **self._names)._compare_plainly(wanted, tolerance, terms)

    def _explained(
        self, mismatch: Mismatch, expected: object, tolerance: tuple[float, float] | None, terms: int
    ) -> Finding:
        """What is different, as the most specific diagnosis says; what the comparison found if it says nothing."""
        check = Check(tolerance, math.sqrt(max(terms, 1)), dtypes=False, given=self._given())
        found = diagnose(_plain(self._value()), expected, check)
        if found is None or found.code == mismatch.finding.code == "type":
            return mismatch.finding
        detail = f"{mismatch.finding.detail} {found.detail}".strip()
        kind = {"got": _kind(self._value())} if found.code == "number-as-tensor" else {}
        return finding(found.code, detail, **{**found.subjects(*self._names.values()), **found.facts, **kind})

    def _given(self) -> tuple[torch.Tensor, ...]:
        """The tensors among the arguments, as they were passed in."""
        return tuple(observed.values for observed in self._arguments() if observed.values is not None)

    def _arguments(self) -> list[ObservedTensor]:
        if not isinstance(self._observed, Attempt):
            return []
        passed = [*self._observed.before, *self._observed.keywords_before.values()]
        return [observed for observed in passed if isinstance(observed, ObservedTensor)]

    # ------------------------------------------------------------------------------------------ properties

    def is_tensor(self) -> Self:
        """A tensor with ordinary values."""
        if self._tensor().values is None:
            self._fail("unread", self._tensor().unread or "")
        return self

    def has_type(self, *kinds: type) -> Self:
        """A value of exactly one of these types of plain data (``int``, ``str``, ``dict``, ...)."""
        got = self._value()
        if type(got) not in kinds:
            self._fail("nothing" if got is None else "type", got=_kind(got), expected=" | ".join(map(type_name, kinds)))
        return self

    def has_shape(self, *shape: int) -> Self:
        """A tensor of exactly this shape."""
        if self._tensor().shape != shape:
            self._fail("shape", f"got {self._tensor().shape}, expected {shape}")
        return self

    def has_dtype(self, dtype: torch.dtype) -> Self:
        """A tensor of exactly this dtype."""
        if (found := diagnose_dtype(self._tensor().dtype, dtype)) is not None:
            self._fail(found.code, found.detail, **found.facts)
        return self

    def on_device(self, device: str | torch.device) -> Self:
        """A tensor on this device, or a module with all parameters and buffers on it."""
        observed = self._value()
        if isinstance(observed, ObservedModule):
            tensors = [*observed.parameters.values(), *observed.buffers.values()]
        else:
            tensors = [self._tensor()]
        for tensor in tensors:
            if (found := diagnose_device(tensor.device, str(device))) is not None:
                self._fail(found.code, found.detail, **found.facts)
        return self

    def requires_grad(self, wanted: bool = True) -> Self:
        """A tensor that requires grad, or with False one that does not."""
        got = self._tensor()
        if got.requires_grad and not wanted:
            self._fail("in-graph")
        given = any(argument.requires_grad for argument in self._arguments())
        found = diagnose_graph(Graph(got.dtype, got.requires_grad, got.is_leaf), argument_requires_grad=given)
        if wanted and found is not None:
            self._fail(found.code, **found.facts)
        return self

    def is_leaf(self) -> Self:
        """A leaf of the autograd graph."""
        if not self._tensor().is_leaf:
            self._fail("not-leaf", f"grad_fn is {self._tensor().grad_fn}")
        return self

    def shares_storage_with(self, other: Observed, wanted: bool = True) -> Self:
        """A tensor that shares memory with `other`, an observation of the same reply; with False, one that does not."""
        if not isinstance(other, ObservedTensor):
            raise GraderError("shares_storage_with() takes the observation of a tensor from the same reply")
        if (self._tensor().storage == other.storage) is not wanted:
            self._fail("not-shared" if wanted else "shared")
        return self

    def is_same_object_as(self, other: Observed) -> Self:
        """The very object `other`, an observation of the same reply."""
        if not isinstance(other, (ObservedTensor, ObservedModule, ObservedObject)):
            raise GraderError("is_same_object_as() takes the observation of an object from the same reply")
        got = self._value()
        if got is None:
            self._fail("nothing")
        if getattr(got, "identity", None) != other.identity:
            self._fail("not-same", f"got {_kind(got)}")
        return self

    # --------------------------------------------------------------------------------------------- attempts

    def raises(self, error: type[Exception]) -> Self:
        """An attempt that raised `error` or a subclass of it."""
        attempt = self._attempt()
        if attempt.error is None:
            self._fail("not-raised", name=attempt.name, error=error.__name__)
        elif type_name(error) not in attempt.error.types:
            got = public_error(attempt.error.types)
            self._fail("wrong-error", attempt.error.text, name=attempt.name, got=got, error=error.__name__)
        return self

    def leaves_arguments(self) -> Self:
        """An attempt that returned and left its arguments as they were.

        Compared are values, shape, dtype, strides, device, ``requires_grad``, place in the graph and ``.grad`` of
        tensors; the same of a module's parameters and buffers, and its modes; and the content of containers.
        """
        attempt = self._attempt()
        attempt.returned()
        before = [*attempt.before, *attempt.keywords_before.values()]
        after = [*attempt.arguments, *(attempt.keywords[name] for name in attempt.keywords_before)]
        for old, new in zip(before, after, strict=True):
            if (aspect := _change(old, new)) is not None:
                self._fail("argument", aspect=aspect, aspect_zh=_ASPECTS_ZH.get(aspect, aspect))
        return self

    def _attempt(self) -> Attempt:
        if not isinstance(self._observed, Attempt):
            raise GraderError("this check is for an attempt: expect(submission.attempt(...))")
        return self._observed

    def _value(self) -> Observed:
        return self._observed.returned() if isinstance(self._observed, Attempt) else self._observed

    def _tensor(self) -> ObservedTensor:
        got = self._value()
        if got is None:
            self._fail("nothing")
        if not isinstance(got, ObservedTensor):
            self._fail("type", got=_kind(got), expected="torch.Tensor")
        return got

    def _fail(self, code: str, detail: str = "", **facts: str) -> NoReturn:
        raise Mismatch(finding(code, detail, **self._names, **facts))


def _compare_tensors(
    got: ObservedTensor,
    expected: torch.Tensor,
    tolerance: tuple[float, float] | None,
    terms: int,
    names: dict[str, str],
) -> None:
    if got.shape != tuple(expected.shape):
        raise Mismatch(finding("shape", f"got {got.shape}, expected {tuple(expected.shape)}", **names))
    if got.values is None:
        raise Mismatch(finding("unread", got.unread or "", **names))
    if got.dtype is not expected.dtype and (_exceeds_int64(got.values) or _exceeds_int64(expected)):
        raise Mismatch(finding("values", "a uint64 beyond int64", **names))
    rtol, atol = tolerance or _tolerance(got.dtype, expected.dtype, terms)
    ours, wanted = _widest(got.values), _widest(expected.detach())
    common = torch.promote_types(ours.dtype, wanted.dtype)
    # not assert_close, which asks the same and imports distributed tensors and sympy for it
    unequal = ~torch.isclose(ours.to(common), wanted.to(common), rtol=rtol, atol=atol, equal_nan=True)
    note_comparison(ours.to(common), wanted.to(common), rtol, atol)
    if unequal.any():
        raise Mismatch(finding("values", f"{int(unequal.sum())} of {unequal.numel()} values", **names))


def _tolerance(got: torch.dtype, expected: torch.dtype, terms: int) -> tuple[float, float]:
    """The wider of the two dtypes' tolerances; integers and bools, which do not round, add nothing to them."""
    both = [_TOLERANCES.get(dtype, _EXACT) for dtype in (got, expected)]
    growth = math.sqrt(max(terms, 1))
    return max(rtol for rtol, _ in both) * growth, max(atol for _, atol in both) * growth


def _widest(tensor: torch.Tensor) -> torch.Tensor:
    """The same values in a dtype that holds them all exactly, but for `_exceeds_int64`, whose bits are kept."""
    if tensor.dtype.is_complex:
        return tensor.to(torch.complex128)
    if tensor.dtype.is_floating_point:
        return tensor.to(torch.float64)
    return tensor.to(torch.int64)


def _exceeds_int64(tensor: torch.Tensor) -> bool:
    return tensor.dtype is torch.uint64 and bool(tensor.to(torch.int64).lt(0).any())


def _same_number(got: object, expected: object, tolerance: tuple[float, float] | None) -> bool:
    if isinstance(got, float) and isinstance(expected, float):
        rtol, atol = tolerance or _TOLERANCES[torch.float64]
        return math.isclose(got, expected, rel_tol=rtol, abs_tol=atol) or (math.isnan(got) and math.isnan(expected))
    return got == expected


def _plain(observed: Observed) -> Any:
    """An observation as `diagnose` takes it: tensors and plain data."""
    if isinstance(observed, ObservedTensor) and observed.values is not None:
        return observed.values
    if isinstance(observed, (ObservedTensor, ObservedModule, ObservedObject)):
        return Opaque(_kind(observed))
    if isinstance(observed, (list, tuple)):
        return type(observed)(map(_plain, observed))
    return {key: _plain(item) for key, item in observed.items()} if isinstance(observed, dict) else observed


def _kind(observed: Observed) -> str:
    """The type of an observation as a student may see it."""
    if isinstance(observed, (ObservedTensor, ObservedModule, ObservedObject)):
        return public_type(observed.type_name)
    return type_name(type(observed))


# ---------------------------------------------------------------------------------- what changed in an argument

_ASPECTS_ZH = {
    "values": "数值",
    "shape": "形状",
    "dtype": "dtype",
    "strides": "步长",
    "device": "所在设备",
    "requires_grad": "requires_grad",
    "place in the graph": "在计算图中的位置",
    ".grad": ".grad",
    "training mode": "训练模式",
    "content": "内容",
}


def _change(before: Observed, after: Observed) -> str | None:
    """What is different, or None; identities, storages and versions do not count."""
    if isinstance(before, ObservedTensor) and isinstance(after, ObservedTensor):
        return _tensor_change(before, after)
    if isinstance(before, ObservedModule) and isinstance(after, ObservedModule):
        return _module_change(before, after)
    if isinstance(before, (dict, list, tuple)) and type(before) is type(after):
        return _container_change(before, after)
    if isinstance(before, ObservedObject) and isinstance(after, ObservedObject):
        return _change(before.items, after.items) if before.type_name == after.type_name else "content"
    same = type(before) is type(after) and (before == after or before != before)  # noqa: PLR0124 - NaN
    return None if same else "content"


def _module_change(before: ObservedModule, after: ObservedModule) -> str | None:
    if before.training != after.training:
        return "training mode"
    return _container_change(before.parameters, after.parameters) or _container_change(before.buffers, after.buffers)


def _container_change(before: Any, after: Any) -> str | None:
    if len(before) != len(after):
        return "content"
    if isinstance(before, dict):
        before, after = [[*table, *table.values()] for table in (before, after)]
    return _first_change(before, after)


def _first_change(before: Sequence[Observed], after: Sequence[Observed]) -> str | None:
    changes = (_change(old, new) for old, new in zip(before, after, strict=True))
    return next((change for change in changes if change), None)


def _tensor_change(before: ObservedTensor, after: ObservedTensor) -> str | None:
    for aspect, attribute in (
        ("shape", "shape"),
        ("dtype", "dtype"),
        ("strides", "stride"),
        ("device", "device"),
        ("requires_grad", "requires_grad"),
        ("place in the graph", "grad_fn"),
    ):
        if getattr(before, attribute) != getattr(after, attribute):
            return aspect
    if not _same_values(before.values, after.values):
        return "values"
    if (before.grad is None) != (after.grad is None):
        return ".grad"
    return ".grad" if before.grad and after.grad and _tensor_change(before.grad, after.grad) else None


def _same_values(before: torch.Tensor | None, after: torch.Tensor | None) -> bool:
    if before is None or after is None:
        return before is after
    return torch.equal(before.reshape(-1).view(torch.uint8), after.reshape(-1).view(torch.uint8))
