"""Streams and events: work is done when a call returns, so they order nothing; what is done with them is traced."""

from __future__ import annotations

import itertools
import threading
import time
from typing import Any

import torch

from . import devices, tracing

_CUDA_TYPE = 1  # c10::DeviceType::CUDA
_numbers = itertools.count(1)
_TIMING = "Both events must be created with argument 'enable_timing=True'."
_RECORDED = "Both events must be recorded before calculating elapsed time."


class _Current(threading.local):
    def __init__(self) -> None:
        self.streams: dict[int, int] = {}


_current = _Current()


class Stream(torch.Stream):
    """`torch.cuda.Stream` of a virtual device."""

    def __new__(cls, device: Any = None, priority: int = 0, **kwargs: Any) -> Any:
        """Make a stream; `stream_id`, `device_index` and `device_type` together name one that exists."""
        if "stream_id" not in kwargs:
            index = torch.cuda._utils._get_device_index(device, optional=True)
            devices.require(index)
            kwargs = {"stream_id": next(_numbers), "device_index": index, "device_type": _CUDA_TYPE}
        stream: Any = super().__new__(cls, **kwargs)
        stream.priority = priority
        return stream

    def __init__(self, device: Any = None, priority: int = 0, **kwargs: Any) -> None: ...

    @property
    def cuda_stream(self) -> int:
        """The address that CUDA would know the stream by; 0 is the default stream."""
        return int(self.stream_id)

    @property
    def _as_parameter_(self) -> Any:
        import ctypes

        return ctypes.c_void_p(self.cuda_stream)

    def query(self) -> bool:
        """Whether all work is done, which it is."""
        return True

    def is_capturing(self) -> bool:
        """Whether a graph is being captured, which is not simulated."""
        return False

    def synchronize(self) -> None:
        """Wait for the stream."""
        if tracing.traces:
            tracing.record(tracing.Synchronize(self.device, "stream"))

    def wait_event(self, event: Any) -> None:
        """Let what follows wait for an event."""
        self._trace("wait")

    def wait_stream(self, stream: Any) -> None:
        """Let what follows wait for another stream."""
        self._trace("wait")

    def record_event(self, event: Any = None) -> Any:
        """Record an event, or a new one."""
        event = Event() if event is None else event
        event.record(self)
        return event

    def _trace(self, action: str) -> None:
        if tracing.traces:
            tracing.record(tracing.StreamEvent(action, self.device, self.stream_id))

    def __enter__(self) -> Any:
        self._before = torch.cuda.current_device(), dict(_current.streams)
        torch.cuda.set_stream(self)  # type: ignore[arg-type]  # it stands for torch.cuda.Stream
        return self

    def __exit__(self, *_: object) -> None:
        index, streams = self._before
        devices.make_current(index)
        _current.streams = streams

    def __repr__(self) -> str:
        return f"<torch.cuda.Stream device={self.device} cuda_stream={self.cuda_stream:#x}>"


class ExternalStream(Stream):
    """`torch.cuda.ExternalStream` of a virtual device."""

    def __new__(cls, stream_ptr: int, device: Any = None, **kwargs: Any) -> Any:
        """Name a stream by its address."""
        index = torch.cuda._utils._get_device_index(device, optional=True)
        return super().__new__(cls, stream_id=stream_ptr, device_index=index, device_type=_CUDA_TYPE)


class Event(torch.Event):
    """`torch.cuda.Event` of a virtual device: a point of the host's time."""

    enable_timing: bool
    _device: torch.device | None
    _recorded: float | None

    def __new__(
        cls, enable_timing: bool = False, blocking: bool = False, interprocess: bool = False, external: bool = False
    ) -> Any:
        """Make an event that is not recorded yet."""
        event: Any = super().__new__(cls, "cuda", enable_timing=enable_timing)
        event.enable_timing, event._device, event._recorded = enable_timing, None, None
        return event

    def __init__(self, *args: Any, **kwargs: Any) -> None: ...

    @property
    def device(self) -> torch.device | None:  # type: ignore[override]  # None before it is recorded, as CUDA's
        """Where it was recorded."""
        return self._device

    @property
    def cuda_event(self) -> int:
        """The address that CUDA would know the event by; 0 before it is recorded."""
        return 0 if self._recorded is None else id(self)

    def record(self, stream: Any = None) -> None:
        """Take the time."""
        stream = torch.cuda.current_stream() if stream is None else stream
        self._device, self._recorded = stream.device, time.perf_counter()
        stream._trace("record")

    def wait(self, stream: Any = None) -> None:
        """Let a stream wait for it."""
        (torch.cuda.current_stream() if stream is None else stream).wait_event(self)

    def query(self) -> bool:
        """Whether all work before it is done, which it is."""
        return True

    def synchronize(self) -> None:
        """Wait for it."""
        if tracing.traces:
            tracing.record(tracing.Synchronize(self.device or devices.device(devices.current()), "event"))

    def elapsed_time(self, end_event: Any) -> float:
        """Milliseconds of the host's time to another event; raises RuntimeError."""
        if not (self.enable_timing and end_event.enable_timing):
            raise ValueError(_TIMING)
        if self._recorded is None or end_event._recorded is None:
            raise ValueError(_RECORDED)
        return float(end_event._recorded - self._recorded) * 1e3

    @classmethod
    def from_ipc_handle(cls, device: Any, handle: Any) -> Event:
        """Not simulated."""
        from .errors import NotSimulated

        raise NotSimulated("sharing events between processes", "give each process its own")

    def __repr__(self) -> str:
        return f"<torch.cuda.Event {self.cuda_event:#x}>" if self._recorded else "<torch.cuda.Event uninitialized>"


def current(index: int) -> tuple[int, int, int]:
    """The current stream of a device, as ``torch._C`` names it."""
    return _current.streams.get(index, 0), index, _CUDA_TYPE


def choose(stream_id: int, device_index: int, device_type: int) -> None:
    """Make a stream the current one of its device, and its device the current one."""
    _current.streams[device_index] = stream_id
    devices.make_current(device_index)


for _class in (Stream, ExternalStream, Event):  # as the classes that they stand for
    _class.__module__ = "torch.cuda.streams"
