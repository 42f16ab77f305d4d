import json
import math
import random
import struct

import pytest

from tensorgrade.codec import MAX_DEPTH, MAX_HEADER, MAX_PAYLOAD, FrameReader, encode
from tensorgrade.errors import ProtocolError


def frame(header, payload=b""):
    return struct.pack("<II", len(header), len(payload)) + header + payload


def decode(data):
    reader = FrameReader()
    reader.feed(data)
    return reader.pop()


def nested(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return {"value": value}


MESSAGES = [
    {},
    {
        "none": None,
        "yes": True,
        "no": False,
        "zero": 0,
        "big": -(2**200),
        "float": 0.1,
        "text": "对角线 \N{PILE OF POO}",
    },
    {"bytes": b"\x00\xff", "empty": b"", "more": [b"a", {"deep": b"bcd"}]},
    {"list": [1, [2, [3, []]]], "dict": {"a": {"b": {}}}},
]


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_comes_back_as_it_was_sent(message):
    """What is encoded is what is decoded, with its types."""
    assert repr(decode(encode(message))) == repr(message)


def test_special_floats_come_back():
    """NaN and the infinities pass, since tensors have them."""
    got = decode(encode({"values": [math.nan, math.inf, -math.inf]}))["values"]
    assert math.isnan(got[0])
    assert got[1:] == [math.inf, -math.inf]


def test_frames_are_found_in_a_stream_of_single_bytes():
    """Messages come whole and in order however the stream is cut, and `missing` never asks for too much."""
    stream = b"".join(encode(message) for message in MESSAGES)
    reader, got = FrameReader(), []
    for byte in stream:
        assert reader.missing() > 0
        reader.feed(bytes([byte]))
        if (message := reader.pop()) is not None:
            got.append(message)
    assert got == MESSAGES


def test_too_large_a_message_is_not_sent():
    """A message beyond the limits of a frame raises ProtocolError at the sender already."""
    with pytest.raises(ProtocolError, match="larger than a frame"):
        encode({"value": bytes(MAX_PAYLOAD + 1)})


@pytest.mark.parametrize(("header", "payload"), [(MAX_HEADER + 1, 0), (2, MAX_PAYLOAD + 1), (2**32 - 1, 2**32 - 1)])
def test_announced_lengths_are_bounded(header, payload):
    """A prefix that announces more than a frame may have is refused before any of it is read."""
    reader = FrameReader()
    reader.feed(struct.pack("<II", header, payload))
    with pytest.raises(ProtocolError, match="announces"):
        reader.missing()


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"1",
        b'"text"',
        b"\xff\xfe\xfd",
        b'{"a": 1} {"b": 2}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"a": ' + b'{"a": ' * (MAX_DEPTH + 1) + b"1" + b"}" * (MAX_DEPTH + 2),
        json.dumps(nested(MAX_DEPTH + 1)).encode(),
        b'{"a": {"$buffer": null}}',
        b'{"a": {"$buffer": [0]}}',
        b'{"a": {"$buffer": [0, true]}}',
        b'{"a": {"$buffer": [0, 1.0]}}',
        b'{"a": {"$buffer": [0, 5]}}',
        b'{"a": {"$buffer": [-1, 2]}}',
        b'{"a": {"$buffer": [3, -1]}}',
        b'{"a": {"$buffer": [0, 1], "more": 1}}',
        b'{"$buffer": [0, 1]}',
    ],
)
def test_anything_but_a_message_is_a_protocol_error(header):
    """Headers that are not JSON objects, too deep, or with false references to buffers raise ProtocolError."""
    with pytest.raises(ProtocolError):
        decode(frame(header, b"1234"))


def test_nesting_up_to_the_limit_is_fine():
    """Only what is deeper than the limit is refused."""
    assert decode(encode(nested(MAX_DEPTH - 1))) == nested(MAX_DEPTH - 1)


def test_lone_surrogates_are_replaced():
    """Text that no file could hold is mended, in keys and in values."""
    got = decode(frame(b'{"a\\ud800": ["\\udfff", "\\ud83d\\ude00"]}'))
    assert got == {"a?": ["?", "\N{GRINNING FACE}"]}
    json.dumps(got, ensure_ascii=False).encode("utf-8")


def test_random_bytes_are_messages_or_protocol_errors():
    """Noise, and frames with a few flipped bytes, give a dictionary, nothing yet, or ProtocolError."""
    source = random.Random(20240607)
    whole = [encode(message) for message in MESSAGES]
    for _ in range(3000):
        data = bytearray(source.choice([source.randbytes(source.randrange(64)), source.choice(whole)]))
        for _ in range(source.randrange(4)):
            if data:
                data[source.randrange(len(data))] = source.randrange(256)
        try:
            message = decode(bytes(data))
        except ProtocolError:
            continue
        assert message is None or type(message) is dict


@pytest.mark.parametrize("text", ["[" * 500, "]" * 500, '"[', '\\"[{', "$buffer", "\\"])
def test_what_stands_in_texts_is_no_nesting(text):
    """Brackets, quotes, backslashes and the name of references in a text neither count nor hide levels."""
    message = {"texts": [[text], text, [""]] * 60, text.replace("$", ""): nested(MAX_DEPTH - 2)}
    assert decode(encode(message)) == message
    with pytest.raises(ProtocolError, match="deeper"):
        encode({**message, "too deep": nested(MAX_DEPTH)})


def test_the_key_of_references_is_not_sent():
    """A dictionary that would be taken for a reference to a buffer is refused by the sender."""
    with pytest.raises(ProtocolError, match=r"has the key '\$buffer'"):
        encode({"value": [{"$buffer": [0, 0]}, "$buffer", b"bytes"]})
