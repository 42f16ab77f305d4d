"""Diagnoses of gradients, memory, devices and replicas, from facts that were observed.

Each function returns the first that is true, or None when everything is as it should be.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from .pair import Diagnosis

_KNOWN_DEVICES = {"cpu", "cuda", "mps", "xpu", "meta"}
_MAX_INDEX = 16


@dataclass(frozen=True)
class Graph:
    """The place of a tensor in the autograd graph, as torch reports it."""

    dtype: torch.dtype
    requires_grad: bool
    is_leaf: bool


def diagnose_graph(got: Graph, *, argument_requires_grad: bool = False) -> Diagnosis | None:
    """Why no gradient flows through a tensor; `argument_requires_grad` tells of the arguments that it came from."""
    if got.requires_grad:
        return None
    if not (got.dtype.is_floating_point or got.dtype.is_complex):
        return Diagnosis("no-graph-integer", {"got": str(got.dtype)})
    return Diagnosis("graph-cut" if argument_requires_grad else "no-graph")


def diagnose_missing_gradient(got: Graph) -> Diagnosis:
    """Why the ``.grad`` of a tensor is None."""
    if (found := diagnose_graph(got)) is not None:
        return found
    return Diagnosis("grad-missing" if got.is_leaf else "grad-of-non-leaf")


def diagnose_gradient(
    got: torch.Tensor, expected: torch.Tensor, before: torch.Tensor | None = None, rtol: float = 1e-4
) -> Diagnosis | None:
    """What went wrong when a gradient was added to what was in ``.grad`` before; None if neither explains it."""
    if got.shape != expected.shape or torch.allclose(got, expected, rtol=rtol, atol=0.0):
        return None
    known = before is not None and before.shape == got.shape and bool(before.any())
    if before is not None and known and torch.allclose(got, expected + before, rtol=rtol, atol=0.0):
        return Diagnosis("grad-accumulated")
    return Diagnosis("grad-doubled") if torch.allclose(got, 2 * expected, rtol=rtol, atol=0.0) else None


def diagnose_sharing(*, shares: bool, wanted: bool) -> Diagnosis | None:
    """A copy where a view is asked for, or a view where a copy is."""
    return None if shares is wanted else Diagnosis("not-shared" if wanted else "shared")


def diagnose_random_state(before: bytes, after: bytes) -> Diagnosis | None:
    """Whether the global random state, as bytes, was touched."""
    return None if before == after else Diagnosis("random-state")


def diagnose_device(got: str, expected: str) -> Diagnosis | None:
    """On which device a tensor is that should be on another; both as ``"cpu"`` or ``"cuda:1"``."""
    if got == expected:
        return None
    ours, wanted = got.partition(":")[0], expected.partition(":")[0]
    code = "other-index" if ours == wanted else "device"
    if "cpu" in {ours, wanted} and ours != wanted:
        code = "on-cpu" if ours == "cpu" else "on-accelerator"
    return Diagnosis(code, {"got": known_device(got)}, f"expected {expected}")


def known_device(name: str) -> str:
    """The name of a device as a student may see it: a name that could carry a message is "another device"."""
    kind, _, index = name.partition(":")
    small = index == "" or (index.isascii() and index.isdecimal() and len(index) <= 2 and int(index) < _MAX_INDEX)
    return name if kind in _KNOWN_DEVICES and small else "another device"


def diagnose_wrapping(got: Sequence[int] | None, expected: Sequence[int] | None) -> Diagnosis | None:
    """For which devices a model is wrapped (None: it is not), and for which it should be."""
    if got is None or expected is None:
        code = "not-wrapped" if got is None else "wrapped-for-one"
        return None if got is expected else Diagnosis(code)
    if list(got) == list(expected):
        return None
    if sorted(got) == sorted(expected):
        return Diagnosis("device-ids-order")
    return Diagnosis("device-ids-missing" if set(got) < set(expected) else "device-ids")


def diagnose_replicas(got: Sequence[int], expected: Sequence[int]) -> Diagnosis | None:
    """How many items each replica gets, and how many it should."""
    if list(got) == list(expected):
        return None
    return Diagnosis("replica-sizes" if sum(got) == sum(expected) else "replica-sum")
