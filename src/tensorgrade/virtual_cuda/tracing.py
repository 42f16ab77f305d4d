"""What happened on the virtual devices, as data.

`trace` collects while its block runs, whichever thread things happen in. Traces may be nested; each gets everything. An
event is a frozen dataclass; events are in the order in which they happened.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch

Kind = TypeVar("Kind", bound="Event")


@dataclass(frozen=True)
class Event:
    """Base of all that is traced."""


@dataclass(frozen=True)
class Operation(Event):
    """An operator that ran on a device: its name without overload (``aten::addmm``), and where."""

    name: str
    device: torch.device


@dataclass(frozen=True)
class Copy(Event):
    """Values that went from one device to another; `nbytes` is how many bytes they have."""

    source: torch.device
    destination: torch.device
    shape: tuple[int, ...]
    dtype: torch.dtype
    nbytes: int


@dataclass(frozen=True)
class Scatter(Event):
    """A tensor that was split over devices: the shape and device of each part."""

    source: torch.device
    shapes: tuple[tuple[int, ...], ...]
    devices: tuple[torch.device, ...]


@dataclass(frozen=True)
class Replicate(Event):
    """Tensors that were copied to each of several devices: their shapes, and the devices."""

    source: torch.device
    shapes: tuple[tuple[int, ...], ...]
    devices: tuple[torch.device, ...]


@dataclass(frozen=True)
class Gather(Event):
    """Parts that were joined on one device: the shape and device of each part."""

    shapes: tuple[tuple[int, ...], ...]
    devices: tuple[torch.device, ...]
    destination: torch.device


@dataclass(frozen=True)
class Synchronize(Event):
    """The host waited for a device, a stream or an event (`what`) of it."""

    device: torch.device
    what: str = "device"


@dataclass(frozen=True)
class StreamEvent(Event):
    """What was done with a stream: ``wait`` for another stream or event, or ``record`` of an event."""

    action: str
    device: torch.device
    stream: int


@dataclass(frozen=True)
class Collective(Event):
    """A collective operation of ``torch.distributed``: its name (``allreduce_``), and the device of its tensors."""

    name: str
    device: torch.device


@dataclass
class Trace:
    """What happened since the trace began."""

    events: list[Event] = field(default_factory=list)

    def of(self, kind: type[Kind]) -> list[Kind]:
        """The events of one class, in order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def operations(self) -> list[Operation]:
        """The operators that ran on devices."""
        return self.of(Operation)

    @property
    def copies(self) -> list[Copy]:
        """What was copied between devices."""
        return self.of(Copy)

    def __iter__(self) -> Iterator[Event]:
        return iter(tuple(self.events))

    def __len__(self) -> int:
        return len(self.events)


traces: list[Trace] = []
"""The traces that are being made; code that records looks here first, since there is usually none."""


def record(event: Event) -> None:
    """Add an event to all traces that are being made."""
    for each in tuple(traces):
        each.events.append(event)


@contextmanager
def trace() -> Iterator[Trace]:
    """Collect what happens on the devices while the block runs."""
    made = Trace()
    traces.append(made)
    try:
        yield made
    finally:
        traces[:] = [each for each in traces if each is not made]  # not remove(): equal traces are different ones
