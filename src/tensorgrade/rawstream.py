"""`RawStream`: what a submission process writes to its descriptors 1 and 2 behind Python's back.

Trusted side. However much comes, no more is kept than a limit, and reading it never waits.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field

STREAM_LIMIT = 1 << 20


@dataclass
class RawStream:
    """What a process writes to a descriptor behind Python's back; kept up to a limit, read on beyond it."""

    descriptor: int
    _kept: bytearray = field(default_factory=bytearray)
    open: bool = True

    def __post_init__(self) -> None:
        os.set_blocking(self.descriptor, False)

    def drain(self) -> None:
        """Read what is there."""
        try:
            data = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return
        self.open = bool(data)
        self._kept += data[: STREAM_LIMIT - len(self._kept)]

    def take(self) -> str:
        """Return what has come since the last time."""
        for _ in range(STREAM_LIMIT >> 12):  # a pipe holds 64 KiB; a flood must not keep us here
            before = len(self._kept)
            self.drain()
            if not self.open or len(self._kept) == before:
                break
        text = self._kept.decode("utf-8", "replace")
        self._kept.clear()
        return text
