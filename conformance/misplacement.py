"""Does an entry raise when one tensor of its arguments is on another device than the rest, as it does with CUDA?

Tried are each tensor in turn, also those in lists, on the CPU and on the other device. Tensors without dimensions or
without elements are left where they are: CUDA takes many of them from anywhere.
"""

from __future__ import annotations

import re

import torch
from torch import Tensor
from torch.testing._internal.opinfo.core import OpInfo

from .accepted import DESTINATIONS, reason_for
from .agreement import Outcome, first_line
from .entries import Arguments, arguments_of, dtype_of, placed, samples_of

HOME, ELSEWHERE = "cuda:0", ("cpu", "cuda:1")
SAMPLES, TENSORS = 4, 6
"""So many samples with two tensors or more are tried, and so many tensors of each."""
DEVICES_NAMED = re.compile(r"device|cuda|cpu", re.IGNORECASE)
LEAK = re.compile(r"private\s*use|vcuda|virtual_cuda|tensorgrade", re.IGNORECASE)


def misplacement(name: str, entry: OpInfo) -> Outcome:
    """Try the samples of an entry; what is silent for one argument is silent."""
    dtype = dtype_of(entry)
    if dtype is None:
        return Outcome("skipped", "the database names no dtype for the CPU")
    if name in DESTINATIONS:
        return Outcome("skipped", DESTINATIONS[name])
    counts = {"cases": 0, "raised": 0}
    odd, silent, accepted, leaks = set[str](), set[str](), set[str](), set[str]()
    for arguments in suitable(entry, dtype):
        for at, place in cases(arguments):
            counts["cases"] += 1
            text = raised(entry, placed(entry, arguments, HOME, other={at: place}))
            where = f"{arguments.names[at]} on {place}"
            if text is None:
                reason = reason_for(name, arguments.names[at], place)
                (silent if reason is None else accepted).add(where if reason is None else f"{where}: {reason}")
                continue
            counts["raised"] += 1
            if not DEVICES_NAMED.search(text):
                odd.add(text)
            if LEAK.search(text):
                leaks.add(text)
    return verdict(counts, odd, silent, accepted, leaks)


def verdict(counts: dict[str, int], odd: set[str], silent: set[str], accepted: set[str], leaks: set[str]) -> Outcome:
    """What the tries amount to, the worst first."""
    if not counts["cases"]:
        return Outcome("skipped", "no sample has two tensors with elements", counts)
    for name, texts in (("leaks", leaks), ("silent", silent), ("accepted", accepted), ("raises otherwise", odd)):
        if texts:
            return Outcome(name, "; ".join(sorted(texts)), counts)
    return Outcome("raises", "", counts)


def suitable(entry: OpInfo, dtype: torch.dtype) -> list[Arguments]:
    """Samples with several tensors that run when all of them are at home."""
    found: list[Arguments] = []
    for sample in samples_of(entry, dtype, count=20):
        arguments = arguments_of(sample)
        if len(movable(arguments)) > 1 and runs_at_home(entry, arguments):
            found.append(arguments)
        if len(found) == SAMPLES:
            break
    return found


def movable(arguments: Arguments) -> list[int]:
    """Positions of the tensors whose device CUDA has to look at."""
    return [
        at
        for at, leaf in enumerate(arguments.leaves)
        if isinstance(leaf, Tensor) and leaf.layout is torch.strided and leaf.dim() and leaf.numel()
    ]


def runs_at_home(entry: OpInfo, arguments: Arguments) -> bool:
    """Whether a sample runs when nothing is in the wrong place."""
    return raised(entry, placed(entry, arguments, HOME)) is None


def cases(arguments: Arguments) -> list[tuple[int, str]]:
    """Which tensor goes where."""
    positions = movable(arguments)
    chosen = positions if len(positions) <= TENSORS else [*positions[: TENSORS - 1], positions[-1]]
    return [(at, place) for at in chosen for place in ELSEWHERE]


def raised(entry: OpInfo, arguments: Arguments) -> str | None:
    """What a call raises, or None."""
    first, rest, named = arguments.call
    try:
        entry.op(first, *rest, **named)
    except Exception as error:  # noqa: BLE001  (which error it is gets judged from its text)
        return f"{type(error).__name__}: {first_line(error)}"
    return None
