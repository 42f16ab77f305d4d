"""Does an entry give on a virtual device what it gives on the CPU, forward and backward?

Compared are values, shapes, dtypes, strides and devices of results and gradients, and which results share memory with
which arguments; of the function, the method, the in-place method and with ``out=``. Random operators are found out
by running them twice on the CPU; of these the metadata, the distribution of means, and that a seed repeats them.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.testing._internal.opinfo.core import OpInfo

from tensorgrade.virtual_cuda import NotSimulated

from .entries import Arguments, arguments_of, dtype_of, placed, samples_of, seed, tensors_in

DEVICE = "cuda:1"
UNINITIALISED = ("empty", "new_empty", "resize_")
"""Operators whose names begin so give memory as it is found: their values mean nothing."""
FORWARD, BACKWARD = {"rtol": 1e-4, "atol": 1e-5}, {"rtol": 1e-3, "atol": 1e-4}
DRAWS, DEVIATIONS = 24, 6.0
"""Random operators are drawn so often, and the means of two devices differ by at most so many standard errors."""

Call = Callable[..., Any]


@dataclass
class Outcome:
    """What became of an entry: a verdict, why, and what of it ran."""

    verdict: str
    reason: str = ""
    counts: dict[str, int] = field(default_factory=dict)


class Mismatch(Exception):
    """A result on the device is not what the CPU gave."""


def agreement(entry: OpInfo) -> Outcome:
    """Run the samples of an entry on both devices; the first difference ends it."""
    dtype = dtype_of(entry)
    if dtype is None:
        return Outcome("skipped", "the database names no dtype for the CPU")
    counts = {"forward": 0, "backward": 0, "variants": 0}
    failures = []
    for at, sample in enumerate(samples_of(entry, dtype)):
        arguments = arguments_of(sample)
        try:
            expected_of(entry.op, placed(entry, arguments, "cpu"))
        except Exception as error:  # noqa: BLE001  (whatever the CPU raises, there is nothing to compare with)
            failures.append(f"{type(error).__name__}: {first_line(error)}")
            continue
        try:
            compare(entry, arguments, counts)
        except NotSimulated as error:
            return Outcome("refused", first_line(error), counts)
        except Exception as error:  # noqa: BLE001  (an error on the device alone is a difference)
            return Outcome("disagrees", f"sample {at}: {type(error).__name__}: {first_line(error)}", counts)
    if not counts["forward"]:
        return Outcome("skipped", failures[0] if failures else "the database has no sample", counts)
    return Outcome("agrees", "", counts)


def first_line(error: BaseException) -> str:
    """The text of an error, on one line."""
    return " ".join(str(error).split())[:300]


def expected_of(call: Call, arguments: Arguments) -> Any:
    """The result of a call, with the seed that every first call has."""
    seed(1)
    first, rest, named = arguments.call
    return call(first, *rest, **named)


def compare(entry: OpInfo, arguments: Arguments, counts: dict[str, int]) -> None:
    """Compare one sample: the function with its gradients, then the other ways to call it."""
    uninitialised = entry.name.rpartition(".")[2].startswith(UNINITIALISED)
    random = is_random(entry.op, entry, arguments)
    ours, theirs = placed(entry, arguments, DEVICE), placed(entry, arguments, "cpu")
    got, expected = expected_of(entry.op, ours), expected_of(entry.op, theirs)
    same_metadata(got, expected)
    same_sharing((got, ours), (expected, theirs))
    counts["forward"] += 1
    if random and not uninitialised:
        repeats(entry, arguments)
        same_distribution(entry, arguments)
    if random or uninitialised:
        return
    same_values(tensors_in(got), tensors_in(expected), **FORWARD)
    if entry.supports_autograd:
        counts["backward"] += same_gradients((got, ours), (expected, theirs))
    for call in variants(entry, expected):
        counts["variants"] += same_variant(call, entry, arguments, expected)


def is_random(call: Call, entry: OpInfo, arguments: Arguments) -> bool:
    """Whether two seeds give two results."""
    results = []
    for number in (2, 3, 4):
        seed(number)
        first, rest, named = placed(entry, arguments, "cpu").call
        results.append([one.detach() for one in tensors_in(call(first, *rest, **named))])
    return not all(equal(results[0], other) for other in results[1:])


def equal(some: list[Tensor], others: list[Tensor]) -> bool:
    """Whether two lists of tensors have the same values, but for rounding."""
    try:
        same_values(some, others, **FORWARD)
    except AssertionError:
        return False
    return True


def same_values(got: list[Tensor], expected: list[Tensor], *, rtol: float, atol: float) -> None:
    """Values, shapes and dtypes are those of the CPU."""
    for one, other in zip(got, expected, strict=True):
        torch.testing.assert_close(one.detach().cpu(), other.detach().cpu(), equal_nan=True, rtol=rtol, atol=atol)


def same_metadata(got: Any, expected: Any) -> None:
    """As many tensors, on the device, with the shapes, dtypes, strides and types of the CPU; equal plain values."""
    ours, theirs = tensors_in(got), tensors_in(expected)
    if len(ours) != len(theirs):
        raise Mismatch(f"{len(ours)} tensors, not {len(theirs)}")
    for one, other in zip(ours, theirs, strict=True):
        if str(one.device) != (DEVICE if other.device.type == "cpu" else str(other.device)):
            raise Mismatch(f"a result on {one.device}")
        about = [(t.shape, t.dtype, t.requires_grad, type(t), t.layout) for t in (one, other)]
        if about[0] != about[1]:
            raise Mismatch(f"{about[0]}, not {about[1]}")
        if one.layout is torch.strided and not one.is_nested and one.stride() != other.stride():
            raise Mismatch(f"strides {one.stride()}, not {other.stride()}")
    if type(got) is not type(expected):
        raise Mismatch(f"a {type(got)}, not a {type(expected)}")


def same_sharing(ours: tuple[Any, Arguments], theirs: tuple[Any, Arguments]) -> None:
    """Results share memory with the same arguments as on the CPU."""
    here, there = (shared(tensors_in(result), arguments.tensors()) for result, arguments in (ours, theirs))
    if here != there:
        raise Mismatch(f"results share memory with arguments {sorted(here)}, not {sorted(there)}")


def shared(results: list[Tensor], arguments: list[Tensor]) -> set[tuple[int, int]]:
    """Which results lie in the memory of which arguments."""
    places = [[address(tensor) for tensor in tensors] for tensors in (results, arguments)]
    return {(r, a) for r, one in enumerate(places[0]) for a, other in enumerate(places[1]) if one and one == other}


def address(tensor: Tensor) -> int:
    """Where the memory of a tensor begins; 0 if it has none."""
    if tensor.layout is not torch.strided or tensor.is_nested or not tensor.numel():
        return 0
    return tensor.untyped_storage().data_ptr()


def same_gradients(ours: tuple[Any, Arguments], theirs: tuple[Any, Arguments]) -> int:
    """Gradients of all arguments for one random cotangent; 0 when the CPU has none."""
    try:
        expected = gradients(*theirs)
    except Exception:  # noqa: BLE001  (no gradient on the CPU: nothing to compare)
        return 0
    if expected is None:
        return 0
    got = gradients(*ours)
    if got is None or [g is None for g in got] != [g is None for g in expected]:
        raise Mismatch("other arguments have gradients")
    pairs = [(g, e) for g, e in zip(got, expected, strict=True) if g is not None and e is not None]
    for one, _ in pairs:
        if str(one.device) != DEVICE:
            raise Mismatch(f"a gradient on {one.device}")
    same_values([one for one, _ in pairs], [other for _, other in pairs], **BACKWARD)
    return 1


def gradients(result: Any, arguments: Arguments) -> tuple[Tensor | None, ...] | None:
    """The gradients of all arguments that want one, for cotangents that a seed determines."""
    inputs = [tensor for tensor in arguments.tensors() if tensor.requires_grad]
    outputs = [tensor for tensor in tensors_in(result) if tensor.requires_grad]
    if not inputs or not outputs:
        return None
    generator = torch.Generator().manual_seed(5)
    cotangents = [torch.randn(t.shape, dtype=t.dtype, generator=generator).to(t.device) for t in outputs]
    return torch.autograd.grad(outputs, inputs, cotangents, allow_unused=True)


def variants(entry: OpInfo, expected: Any) -> list[Call]:
    """The other ways to call an operator: as a method, in place, and into a tensor of the caller's."""
    calls: list[Call] = [call for call in (entry.method_variant, entry.inplace_variant) if call is not None]
    plain = isinstance(expected, Tensor) and expected.layout is torch.strided
    if entry.supports_out and plain:
        calls += [lambda *a, size=size, **k: into(entry.op, expected, size, a, k) for size in ((0,), expected.shape)]
    return calls


def into(call: Call, like: Tensor, size: Any, args: tuple[Any, ...], named: dict[str, Any]) -> Tensor:
    """Call an operator with ``out=`` of that size; it has to give back the same tensor."""
    device = next(leaf.device for leaf in tensors_in((args, named)))
    out = torch.empty(size, dtype=like.dtype, device=device)
    result: Any = call(*args, out=out, **named)
    if result is not out:
        raise Mismatch("what comes back is not `out`")
    return out


def same_variant(call: Call, entry: OpInfo, arguments: Arguments, plain: Any) -> int:
    """Compare another way to call an operator, without gradients; 0 when it does not give `plain` on the CPU either."""
    with torch.no_grad():
        theirs = placed(entry, arguments, "cpu")
        try:
            expected = expected_of(call, theirs)
        except Exception:  # noqa: BLE001  (not to be had on the CPU either)
            return 0
        if not equal(tensors_in(expected), tensors_in(plain)):
            return 0
        ours = placed(entry, arguments, DEVICE)
        got = expected_of(call, ours)
        same_metadata(got, expected)
        same_values(tensors_in((got, ours.leaves)), tensors_in((expected, theirs.leaves)), **FORWARD)
    return 1


def repeats(entry: OpInfo, arguments: Arguments) -> None:
    """The same seed gives the same result again on the device."""
    results = [tensors_in(expected_of(entry.op, placed(entry, arguments, DEVICE))) for _ in range(2)]
    if not equal(*results):
        raise Mismatch("the same seed gives another result")


def same_distribution(entry: OpInfo, arguments: Arguments) -> None:
    """The means of many draws differ by no more than chance allows."""
    ours, theirs = ([mean(entry, arguments, device, at) for at in range(DRAWS)] for device in (DEVICE, "cpu"))
    pairs = [(one, other) for one, other in zip(ours, theirs, strict=True) if one is not None and other is not None]
    if len(pairs) < DRAWS:
        return
    some, others = zip(*pairs, strict=True)
    error = math.sqrt((statistics.variance(some) + statistics.variance(others)) / DRAWS)
    if abs(statistics.fmean(some) - statistics.fmean(others)) > DEVIATIONS * error + 1e-5:
        raise Mismatch(f"means of {statistics.fmean(some):.4g} and {statistics.fmean(others):.4g} on the CPU")


def mean(entry: OpInfo, arguments: Arguments, device: str, draw: int) -> float | None:
    """The mean of all finite elements of the results of one draw; None without any."""
    seed(100 + draw)
    first, rest, named = placed(entry, arguments, device).call
    results = [one.detach().cpu() for one in tensors_in(entry.op(first, *rest, **named))]
    values = [(one.abs() if one.is_complex() else one).to(torch.float64).flatten() for one in results]
    finite = torch.cat([value[value.isfinite()] for value in values])
    return finite.mean().item() if finite.numel() else None
