"""The wire format between the two sides: JSON header and raw buffers, no code.

Both sides import this module and it imports neither. A frame is ``u32 header length, u32 payload length, header,
payload`` (little endian). The header is one JSON object; ``bytes`` values in it travel in the payload and stand in
the header as ``{"$buffer": [offset, length]}``.

Promise: `FrameReader` treats its peer as hostile. Whatever bytes come, it yields plain data (``None``, ``bool``,
``int``, ``float``, ``str``, ``bytes``, ``list``, ``dict`` with ``str`` keys) or raises `ProtocolError`, and it
never holds more than one frame of at most ``MAX_HEADER + MAX_PAYLOAD`` bytes.
"""

from __future__ import annotations

import json
import struct
from typing import TypeAlias, cast

from .errors import ProtocolError

Plain: TypeAlias = "bool | int | float | str | bytes | list[Plain] | dict[str, Plain] | None"
Message: TypeAlias = dict[str, Plain]

MAX_HEADER = 16 << 20
MAX_PAYLOAD = 64 << 20
MAX_DEPTH = 100
_PREFIX = struct.Struct("<II")
_BUFFER = "$buffer"


def encode(message: Message) -> bytes:
    """Return the frame of `message`; raises `ProtocolError` when it is larger than a frame may be."""
    buffers: list[bytes] = []
    header = json.dumps(_without_buffers(message, buffers, [0])).encode("ascii")
    payload = b"".join(buffers)
    if len(header) > MAX_HEADER or len(payload) > MAX_PAYLOAD:
        raise ProtocolError(f"a message of {len(header)} + {len(payload)} bytes is larger than a frame may be")
    return _PREFIX.pack(len(header), len(payload)) + header + payload


def _without_buffers(value: Plain, buffers: list[bytes], offset: list[int]) -> Plain:
    """Return `value` with references for its bytes, which go to `buffers`; `offset` holds where the next one begins."""
    if isinstance(value, bytes):
        buffers.append(value)
        offset[0] += len(value)
        return {_BUFFER: [offset[0] - len(value), len(value)]}
    if isinstance(value, list):
        return [_without_buffers(item, buffers, offset) for item in value]
    if isinstance(value, dict):
        return {key: _without_buffers(item, buffers, offset) for key, item in value.items()}
    return value


class FrameReader:
    """Collects the bytes of a stream and gives back whole messages."""

    def __init__(self) -> None:
        self._received = bytearray()

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
        header = bytes(self._received[_PREFIX.size : start])
        payload = bytes(self._received[start : start + payload_length])
        del self._received[: start + payload_length]
        return _decode(header, payload)

    def _lengths(self) -> tuple[int, int]:
        header, payload = _PREFIX.unpack_from(self._received)
        if header > MAX_HEADER or payload > MAX_PAYLOAD:
            raise ProtocolError(f"a frame announces {header} + {payload} bytes, more than a frame may have")
        return header, payload


def _decode(header: bytes, payload: bytes) -> Message:
    try:
        message = json.loads(header)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"a frame's header is not JSON ({type(error).__name__})") from None
    if not isinstance(message, dict):
        raise ProtocolError("a frame's header is not an object")
    plain = _with_buffers(message, payload, 0)
    if not isinstance(plain, dict):
        raise ProtocolError("a frame's header is a buffer")
    return plain


def _with_buffers(value: object, payload: bytes, depth: int) -> Plain:
    if depth > MAX_DEPTH:
        raise ProtocolError(f"a message is nested deeper than {MAX_DEPTH} levels")
    if isinstance(value, list):
        return [_with_buffers(item, payload, depth + 1) for item in value]
    if isinstance(value, dict):
        if _BUFFER in value:
            return _buffer(value, payload)
        return {_text(key): _with_buffers(item, payload, depth + 1) for key, item in value.items()}
    return _text(value) if isinstance(value, str) else cast("Plain", value)


def _buffer(reference: dict[str, object], payload: bytes) -> bytes:
    place = reference[_BUFFER]
    if len(reference) != 1 or not isinstance(place, list) or [type(item) for item in place] != [int, int]:
        raise ProtocolError("a buffer's reference is malformed")
    offset, length = place
    if offset < 0 or length < 0 or offset + length > len(payload):
        raise ProtocolError("a buffer lies outside of its payload")
    return payload[offset : offset + length]


def _text(value: str) -> str:
    """Replace lone surrogates, which JSON can carry and no file can."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
