"""`expect(observed)`: the checks of a hidden grader, each of which passes or raises `Mismatch` with a finding.

Trusted side. A check judges what was observed; it runs none of the student's code. Checks chain:

    expect(submission.call("identity", 2, 3, torch.int64)).has_dtype(torch.int64).equals(torch.eye(2, 3))

`tensorgrade.comparison` says how values are compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NoReturn, Self

import torch

from .attempt import Attempt
from .changes import ASPECTS_ZH, change
from .comparison import EXACT, Comparison, kind_of
from .diagnosis.difference import diagnose_dtype
from .diagnosis.pair import Diagnosis
from .diagnosis.states import (
    Graph,
    diagnose_device,
    diagnose_gradient,
    diagnose_graph,
    diagnose_missing_gradient,
    diagnose_random_state,
    diagnose_replicas,
    diagnose_sharing,
    diagnose_wrapping,
)
from .errors import GraderError
from .evidence import Evidence
from .findings import Mismatch, finding, public_error
from .observation import Observed, ObservedModule, ObservedObject, ObservedTensor
from .observer import type_name
from .showing import shape_of, shown


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
        return self._compare(expected, EXACT)

    def close_to(self, expected: object, *, terms: int = 1) -> Self:
        """Same shape, and values equal up to rounding; `terms` is how many terms each value sums up."""
        return self._compare(expected, None, terms)

    def _compare(self, expected: object, tolerance: tuple[float, float] | None, terms: int = 1) -> Self:
        comparison = Comparison(self._names, tolerance, terms, self._given)
        if (found := comparison.difference(self._value(), expected)) is not None:
            raise Mismatch(found, self._observed)
        return self

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
            wanted = " | ".join(map(type_name, kinds))
            self._fail("nothing" if got is None else "type", got=kind_of(got), expected=wanted)
        return self

    def has_shape(self, *shape: int) -> Self:
        """A tensor of exactly this shape."""
        if self._tensor().shape != shape:
            detail = f"got {self._tensor().shape}, expected {shape}"
            self._fail("shape", detail, Evidence(expected_shape=shape))
        return self

    def has_dtype(self, dtype: torch.dtype) -> Self:
        """A tensor of exactly this dtype."""
        return self._unless(diagnose_dtype(self._tensor().dtype, dtype), dtype)

    def on_device(self, device: str | torch.device) -> Self:
        """A tensor on this device, or a module with all parameters and buffers on it."""
        observed = self._value()
        if isinstance(observed, ObservedModule):
            tensors = [*observed.parameters.values(), *observed.buffers.values()]
        else:
            tensors = [self._tensor()]
        for tensor in tensors:
            self._unless(diagnose_device(tensor.device, str(device)), str(device))
        return self

    def requires_grad(self, wanted: bool = True) -> Self:
        """A tensor that requires grad, or with False one that does not."""
        got = self._tensor()
        if got.requires_grad and not wanted:
            self._fail("in-graph")
        given = any(argument.requires_grad for argument in self._arguments())
        return self._unless(diagnose_graph(_graph(got), argument_requires_grad=given) if wanted else None)

    def is_leaf(self) -> Self:
        """A leaf of the autograd graph."""
        if not self._tensor().is_leaf:
            self._fail("not-leaf", f"grad_fn is {self._tensor().grad_fn}")
        return self

    def shares_storage_with(self, other: Observed, wanted: bool = True) -> Self:
        """A tensor that shares memory with `other`, an observation of the same reply; with False, one that does not."""
        if not isinstance(other, ObservedTensor):
            raise GraderError("shares_storage_with() takes the observation of a tensor from the same reply")
        return self._unless(diagnose_sharing(shares=self._tensor().storage == other.storage, wanted=wanted))

    def is_same_object_as(self, other: Observed) -> Self:
        """The very object `other`, an observation of the same reply."""
        if not isinstance(other, (ObservedTensor, ObservedModule, ObservedObject)):
            raise GraderError("is_same_object_as() takes the observation of an object from the same reply")
        got = self._value()
        if got is None:
            self._fail("nothing")
        if getattr(got, "identity", None) != other.identity:
            self._fail("not-same", f"got {kind_of(got)}")
        return self

    # ------------------------------------------------------------------------------ gradients and other states

    def has_gradient(self, expected: torch.Tensor, *, before: torch.Tensor | None = None, terms: int = 1) -> Self:
        """A tensor whose ``.grad`` has the shape and values of `expected`, up to rounding.

        With what was in ``.grad`` `before`, a gradient that was added to it is told as such.
        """
        got = self._tensor()
        if got.grad is None:
            return self._unless(diagnose_missing_gradient(_graph(got)), expected)
        found = Comparison(self._names, None, terms).difference(got.grad, expected)
        if found is None:
            return self
        if (values := got.grad.values) is not None:
            earlier = None if before is None else before.to(values.dtype)
            self._unless(diagnose_gradient(values, expected.to(values.dtype), earlier), expected, got.grad)
        raise Mismatch(found, self._observed)

    def leaves_random_state(self, before: Observed) -> Self:
        """What ``torch.get_rng_state()`` gave after something that may not touch it; `before`, what it gave earlier."""
        if not isinstance(before, ObservedTensor):
            raise GraderError("leaves_random_state() takes the observation of a state from the same reply")
        got = self._tensor().values
        if got is None or before.values is None:
            self._fail("unread")
        states = (bytes(state.to(torch.uint8).flatten().tolist()) for state in (before.values, got))
        return self._unless(diagnose_random_state(*states))

    def is_wrapped_for(self, devices: Sequence[int] | None) -> Self:
        """The ``device_ids`` of a wrapped model, a list, or None for a model that is not wrapped."""
        got = self._value()
        return self._unless(diagnose_wrapping(got if got is None else self._integers(), devices), devices)

    def has_replica_sizes(self, sizes: Sequence[int]) -> Self:
        """A list of how many items of a batch each replica got."""
        return self._unless(diagnose_replicas(self._integers(), sizes), list(sizes))

    def _integers(self) -> list[int]:
        got = self.has_type(list)._value()
        numbers = [item for item in got if type(item) is int] if isinstance(got, list) else []
        if not isinstance(got, list) or len(numbers) != len(got):
            self._fail("unequal", f"got {got!r}")
        return numbers

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
            if (aspect := change(old, new)) is not None:
                self._fail("argument", aspect=aspect, aspect_zh=ASPECTS_ZH.get(aspect, aspect))
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
            self._fail("type", got=kind_of(got), expected="torch.Tensor")
        return got

    def _unless(self, found: Diagnosis | None, wanted: object = None, got: Observed = None) -> Self:
        """Fail with a diagnosis if there is one; `got` is what it is about, if not the whole."""
        if found is None:
            return self
        evidence = Evidence(expected=None if wanted is None else shown(wanted), expected_shape=shape_of(wanted))
        if got is not None:
            evidence = replace(evidence, got=shown(got), got_shape=shape_of(got))
        return self._fail(found.code, found.detail, evidence, **found.facts)

    def _fail(self, code: str, detail: str = "", evidence: Evidence | None = None, **facts: str) -> NoReturn:
        evidence = evidence or Evidence()
        got = self._observed.value if isinstance(self._observed, Attempt) else self._observed
        if evidence.got is None:
            evidence = replace(evidence, got=shown(got), got_shape=shape_of(got))
        told = finding(code, detail, **self._names, **facts)
        raise Mismatch(replace(told, evidence=evidence), self._observed)


def _graph(tensor: ObservedTensor) -> Graph:
    return Graph(tensor.dtype, tensor.requires_grad, tensor.is_leaf)
