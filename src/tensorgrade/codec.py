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

import hashlib
import json
import re
import struct
from itertools import accumulate
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
_QUOTED_BUFFER = b'"$buffer"'
_ID = b', "id": '
_ID_AT_END = re.compile(rb', "id": [0-9]+\}')
_TEXT = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
"""What a bracket adds to the level, as a signed byte."""
_NO_BRACKETS = bytes(set(range(256)) - set(b"[{]}"))
_NO_MARKS = bytes(set(_NO_BRACKETS) - set(b'"\\'))


def encode(message: Message) -> bytes:
    """Return the frame of `message`; raises `ProtocolError` when it is not plain data or larger than a frame may be."""
    buffers: list[bytes] = []
    try:
        header = json.dumps(message, default=_Writer(buffers).reference, check_circular=False).encode("ascii")
    except (TypeError, ValueError, RecursionError) as error:
        raise ProtocolError(f"a message is not plain data ({type(error).__name__}: {error})") from None
    payload = b"".join(buffers)
    if len(header) > MAX_HEADER or len(payload) > MAX_PAYLOAD or _containers(header) > MAX_CONTAINERS:
        raise ProtocolError(f"a message of {len(header)} + {len(payload)} bytes is larger than a frame may be")
    _check_depth(header)
    # the name may also be a text, which takes a closer look
    if header.count(_QUOTED_BUFFER) != len(buffers) and _has_buffer_key(message):
        raise ProtocolError(f"a message has the key {_BUFFER!r}")
    return _PREFIX.pack(len(header), len(payload)) + header + payload


class _Writer:
    """Collects the buffers of a message in the order in which they are met."""

    def __init__(self, buffers: list[bytes]) -> None:
        self._buffers = buffers
        self._length = 0

    def reference(self, value: object) -> dict[str, list[int]]:
        """What stands in the header for `value`, which JSON does not have."""
        if not isinstance(value, bytes):
            raise TypeError(f"{type(value).__name__} is no type of plain data")
        self._buffers.append(value)
        self._length += len(value)
        return {_BUFFER: [self._length - len(value), len(value)]}


def _has_buffer_key(value: Plain) -> bool:
    if isinstance(value, dict):
        return _BUFFER in value or any(map(_has_buffer_key, value.values()))
    return isinstance(value, list) and any(map(_has_buffer_key, value))


def _check_depth(header: bytes) -> None:
    """Raise `ProtocolError` for valid JSON that is too deep."""
    if _containers(header) > MAX_DEPTH:
        steps = _without_texts(header).translate(_STEPS, delete=_NO_BRACKETS)
        if max(accumulate(memoryview(steps).cast("b"))) > MAX_DEPTH + 1:  # the message itself is no level
            raise ProtocolError(f"a message is nested deeper than {MAX_DEPTH} levels")


def _without_texts(header: bytes) -> bytes:
    """Valid JSON with its brackets, but without those in texts."""
    marks = header.translate(None, delete=_NO_MARKS).replace(b'""', b"")
    is_plain = b'"' not in marks and b"\\" not in marks  # else some text has brackets, or quotes that do not end it
    return marks if is_plain else _TEXT.sub(b"", header)


def _containers(header: bytes) -> int:
    """At least as many as there are lists and dictionaries in `header`; each takes a hundred bytes and more."""
    return header.count(b"[") + header.count(b"{")


class FrameReader:
    """Collects the bytes of a stream and gives back whole messages, of at most `most` bytes if that is given.

    Attributes:
        digest: of the last message without the ``id`` at its end: messages with the same one are equal but for that.
            None when it ended otherwise.
    """

    def __init__(self, most: int | None = None) -> None:
        self.digest: bytes | None = None
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
        self.digest = _digest(header, payload)
        return _decode(header, payload)

    def _lengths(self) -> tuple[int, int]:
        header, payload = _PREFIX.unpack_from(self._received)
        if header > MAX_HEADER or payload > MAX_PAYLOAD:
            raise ProtocolError(f"a frame announces {header} + {payload} bytes, more than a frame may have")
        if header + payload > self._most:
            raise LimitExceeded("result")
        return header, payload


def _digest(header: bytes, payload: bytes) -> bytes | None:
    end = header.rfind(_ID)
    if not _ID_AT_END.fullmatch(header, max(end, 0)):
        return None
    return hashlib.sha256(_PREFIX.pack(end, len(payload)) + header[:end] + payload).digest()


def _decode(header: bytes, payload: bytes) -> Message:
    if _containers(header) > MAX_CONTAINERS:
        raise ProtocolError(f"a message has more than {MAX_CONTAINERS} lists and dictionaries")
    try:
        message = json.loads(header.decode("ascii"), object_hook=_Reader(payload).resolved)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame's header is not JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise ProtocolError("a frame's header is not an object")
    _check_depth(header)
    return cast("Message", _without_surrogates(message) if _SURROGATE.search(header) else message)


class _Reader:
    """Puts buffers in the place of their references, each byte of the payload at most once."""

    def __init__(self, payload: bytes) -> None:
        self._payload = payload
        self._taken = 0

    def resolved(self, value: dict[str, Plain]) -> Plain:
        """`value`, an object of the header, or the buffer that it refers to; they come in the order of their ends."""
        if _BUFFER not in value:
            return value
        place = value[_BUFFER]
        if len(value) != 1 or not isinstance(place, list) or [*map(type, place)] != [int, int]:
            raise ProtocolError("a buffer's reference is malformed")
        offset, length = cast("list[int]", place)
        if offset != self._taken or length < 0 or offset + length > len(self._payload):
            raise ProtocolError("a buffer does not begin where the last one ends, or lies outside of its payload")
        self._taken += length
        return self._payload[offset : offset + length]


def _without_surrogates(value: Plain) -> Plain:
    """Replace lone surrogates, which JSON can carry and no file can."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, list):
        return [_without_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {cast("str", _without_surrogates(key)): _without_surrogates(item) for key, item in value.items()}
    return value
