"""User ids for submission processes, each taken by one zygote of this machine at a time.

Trusted side, for graders that are root. The ids are those that systemd sets aside for users that exist only while
something runs (systemd.exec(5), DynamicUser=), so that no person and no file has one. A slot is held by an abstract
socket: the kernel gives it free when its holder ends, however that happens.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import socket

from .errors import EngineError

FIRST, LAST = 61184, 65519
_starts = itertools.count(os.getpid())
"""Where to begin to look: not where a slot has just become free, whose processes may still be ending."""


class UserSlot:
    """A user id that is ours until `release`; raises `EngineError` when none is free."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        start = next(_starts)
        for offset in range(LAST - FIRST + 1):
            self.user = FIRST + (start + offset) % (LAST - FIRST + 1)
            with contextlib.suppress(OSError):
                self._socket.bind(f"\0tensorgrade-user-{self.user}")
                return
        self._socket.close()
        raise EngineError(f"no user id from {FIRST} to {LAST} is free for a submission")

    def release(self) -> None:
        """Give the user id free."""
        self._socket.close()
