"""The wire format between the two sides: JSON header and raw buffers, no code.

Both sides import this module and it imports neither. A frame is ``u32 header length, u32 payload length, header,
payload`` (little endian). The header is one JSON object in ASCII; ``bytes`` values in it travel in the payload, one
behind the other, and stand in the header as ``{"$buffer": [offset, length]}``.

Promise: `FrameReader` treats its peer as hostile. Whatever bytes come, it yields plain data (``None``, ``bool``,
``int``, ``float``, ``str``, ``bytes``, ``list``, ``dict`` with ``str`` keys, at most ``MAX_DEPTH`` levels and
``MAX_CONTAINERS`` lists and dictionaries) or raises `ProtocolError`. A reader that is fed no more than it misses holds
one frame of at most ``MAX_HEADER + MAX_PAYLOAD`` bytes, and to read it takes no more than 256 MiB beside that.
"""

from __future__ import annotations

import json
import struct
from typing import TypeAlias, cast

from .errors import LimitExceeded, ProtocolError

Plain: TypeAlias = "bool | int | float | str | bytes | list[Plain] | dict[str, Plain] | None"
Message: TypeAlias = dict[str, Plain]

MAX_HEADER = 8 << 20
MAX_PAYLOAD = 64 << 20
MAX_DEPTH = 100
MAX_CONTAINERS = 400_000
"""Brackets in text count as well; a cell's outputs have fewer, as they are cut at 1 MiB."""

_PREFIX = struct.Struct("<II")
_BUFFER = "$buffer"
_SCALARS = {bool, int, float, type(None)}


def encode(message: Message) -> bytes:
    """Return the frame of `message`; raises `ProtocolError` when it is not plain data or larger than a frame may be."""
    writer = _Writer()
    try:
        header = json.dumps(writer.without_buffers(message, 0)).encode("ascii")
    except (TypeError, ValueError) as error:
        raise ProtocolError(f"a message is not plain data ({error})") from None
    payload = b"".join(writer.buffers)
    if len(header) > MAX_HEADER or len(payload) > MAX_PAYLOAD or _containers(header) > MAX_CONTAINERS:
        raise ProtocolError(f"a message of {len(header)} + {len(payload)} bytes is larger than a frame may be")
    return _PREFIX.pack(len(header), len(payload)) + header + payload


class _Writer:
    """Collects the buffers of a message in the order in which they are met."""

    def __init__(self) -> None:
        self.buffers: list[bytes] = []
        self._length = 0

    def without_buffers(self, value: Plain, depth: int) -> Plain:
        """Return `value` with references for its bytes."""
        if isinstance(value, bytes):
            self.buffers.append(value)
            self._length += len(value)
            return {_BUFFER: [self._length - len(value), len(value)]}
        if isinstance(value, list):
            _check_depth(depth)
            return [self.without_buffers(item, depth + 1) for item in value]
        if isinstance(value, dict):
            if _BUFFER in value:
                raise ProtocolError(f"a message has the key {_BUFFER!r}")
            _check_depth(depth)
            return {key: self.without_buffers(item, depth + 1) for key, item in value.items()}
        return value


def _check_depth(depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ProtocolError(f"a message is nested deeper than {MAX_DEPTH} levels")


def _containers(header: bytes) -> int:
    """At least as many as there are lists and dictionaries in `header`; each takes a hundred bytes and more."""
    return header.count(b"[") + header.count(b"{")


class FrameReader:
    """Collects the bytes of a stream and gives back whole messages, of at most `most` bytes if that is given."""

    def __init__(self, most: int | None = None) -> None:
        self._received = bytearray()
        self._most = MAX_HEADER + MAX_PAYLOAD if most is None else most

    def feed(self, data: bytes) -> None:
        """Add what was read from the stream."""
        self._received += data

    def missing(self) -> int:
        """How many bytes the frame under way still lacks, as far as that is known; 0 when it is whole."""
        if len(self._received) < _PREFIX.size:
            return _PREFIX.size - len(self._received)
        return max(0, sum(self._lengths()) + _PREFIX.size - len(self._received))

    def pop(self) -> Message | None:
        """Return the next whole message, or None; raises `ProtocolError` for anything that is not a frame."""
        if self.missing():
            return None
        header_length, payload_length = self._lengths()
        start = _PREFIX.size + header_length
        with memoryview(self._received) as received:
            header = bytes(received[_PREFIX.size : start])
            payload = bytes(received[start : start + payload_length])
        del self._received[: start + payload_length]
        return _decode(header, payload)

    def _lengths(self) -> tuple[int, int]:
        header, payload = _PREFIX.unpack_from(self._received)
        if header > MAX_HEADER or payload > MAX_PAYLOAD:
            raise ProtocolError(f"a frame announces {header} + {payload} bytes, more than a frame may have")
        if header + payload > self._most:
            raise LimitExceeded("result")
        return header, payload


def _decode(header: bytes, payload: bytes) -> Message:
    if _containers(header) > MAX_CONTAINERS:
        raise ProtocolError(f"a message has more than {MAX_CONTAINERS} lists and dictionaries")
    try:
        message = json.loads(header.decode("ascii"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame's header is not JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise ProtocolError("a frame's header is not an object")
    plain = _Reader(payload).with_buffers(message, 0)
    if not isinstance(plain, dict):
        raise ProtocolError("a frame's header is a buffer")
    return plain


class _Reader:
    """Puts buffers in the place of their references, each byte of the payload at most once."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._taken = 0

    def with_buffers(self, value: object, depth: int) -> Plain:
        """Return the plain data that `value`, which came out of the JSON, stands for."""
        if isinstance(value, list):
            _check_depth(depth)
            return [item if type(item) in _SCALARS else self.with_buffers(item, depth + 1) for item in value]
        if isinstance(value, dict):
            if _BUFFER in value:
                return self._buffer(value)
            _check_depth(depth)
            return {_text(key): self.with_buffers(item, depth + 1) for key, item in value.items()}
        return _text(value) if isinstance(value, str) else cast("Plain", value)

    def _buffer(self, reference: dict[str, object]) -> bytes:
        place = reference[_BUFFER]
        if len(reference) != 1 or not isinstance(place, list) or [type(item) for item in place] != [int, int]:
            raise ProtocolError("a buffer's reference is malformed")
        offset, length = place
        if offset != self._taken or length < 0 or offset + length > len(self._payload):
            raise ProtocolError("a buffer does not begin where the last one ends, or lies outside of its payload")
        self._taken += length
        return self._payload[offset : offset + length]


def _text(value: str) -> str:
    """Replace lone surrogates, which JSON can carry and no file can."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
