"""Messages between the ranks of one submission, over connections that only they have.

Untrusted side. Each rank is connected with each other by a pair of sockets that was made before it was forked, and has
no other way out. While a rank waits for anything it reads whatever arrives, so that two that send to each other at the
same time never wait for each other.
"""

from __future__ import annotations

import select
import socket
import struct
import time
from collections import defaultdict, deque
from collections.abc import Mapping
from dataclasses import dataclass

_HEAD = struct.Struct("<IQ")
_CHUNK = 1 << 20


@dataclass(frozen=True)
class Rank:
    """One of several processes that work together.

    Attributes:
        rank: its number, from 0.
        size: how many there are.
        init_method: where they meet, for `torch.distributed.init_process_group`.
    """

    rank: int
    size: int
    init_method: str


class Mesh:
    """The connections of this rank: to each other one by its number.

    Messages with the same tag arrive in the order in which they were sent. Waiting for one that cannot come any more
    raises ``RuntimeError``, as does waiting beyond a deadline (on the clock of `time.monotonic`).
    """

    def __init__(self, rank: int = 0, peers: Mapping[int, socket.socket] | None = None) -> None:
        self.rank = rank
        self._peers = dict(peers or {})
        self._unread = {peer: bytearray() for peer in self._peers}
        self._inbox: dict[tuple[int, bytes], deque[bytes]] = defaultdict(deque)
        for connection in self._peers.values():
            connection.setblocking(False)

    def send(self, peer: int, tag: bytes, content: bytes, deadline: float) -> None:
        """Send a message; to itself as well."""
        if peer == self.rank:
            self._inbox[peer, tag].append(content)
            return
        view = memoryview(_HEAD.pack(len(tag), len(content)) + tag + content)
        while view:
            connection = self._peers.get(peer)
            if connection is None:
                raise _closed()
            if self._wait(deadline, connection):
                try:
                    view = view[connection.send(view[:_CHUNK]) :]
                except BlockingIOError:
                    continue
                except OSError:
                    raise _closed() from None

    def receive(self, peer: int, tag: bytes, deadline: float, unless: bytes = b"") -> bytes:
        """The next message from a rank with a tag, unless one with another tag says that there will be none."""
        while not self._inbox[peer, tag]:
            if peer not in self._peers or self._inbox[peer, unless]:
                raise _closed()
            self._wait(deadline)
        return self._inbox[peer, tag].popleft()

    def receive_any(self, tag: bytes, deadline: float) -> tuple[int, bytes]:
        """The next message from whichever rank with a tag, and that rank."""
        while True:
            for peer in (self.rank, *self._unread):
                if self._inbox[peer, tag]:
                    return peer, self._inbox[peer, tag].popleft()
            if not self._peers:
                raise _closed()
            self._wait(deadline)

    def close(self) -> None:
        """Hang up: what was sent still arrives."""
        for connection in self._peers.values():
            connection.close()
        self._peers.clear()

    def _wait(self, deadline: float, writing: socket.socket | None = None) -> bool:
        """Wait until something has arrived or can be sent; returns whether `writing` is ready."""
        left = deadline - time.monotonic()
        if left <= 0:
            raise RuntimeError("Timed out waiting for the other ranks")
        reading = {connection: peer for peer, connection in self._peers.items()}
        ready, writable, _ = select.select(list(reading), [writing] if writing else [], [], left)
        for connection in ready:
            self._read(reading[connection], connection)
        return bool(writable)

    def _read(self, peer: int, connection: socket.socket) -> None:
        try:
            data = connection.recv(_CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            connection.close()
            del self._peers[peer]
            return
        unread = self._unread[peer]
        unread += data
        while len(unread) >= _HEAD.size:
            tag, content = _HEAD.unpack_from(unread)
            begin, end = _HEAD.size + tag, _HEAD.size + tag + content
            if len(unread) < end:
                return
            self._inbox[peer, bytes(unread[_HEAD.size : begin])].append(bytes(unread[begin:end]))
            del unread[:end]


def _closed() -> RuntimeError:
    return RuntimeError("Connection closed by peer: another rank has ended, or has left the process group")
