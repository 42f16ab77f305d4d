"""Observations: what the trusted side learns of values that live in a submission process.

`tensorgrade.observer` (untrusted side) describes a value as plain data; `read` (trusted side) turns the description
into real tensors and frozen values. Nothing of the student's is ever rebuilt: an object comes back as its type's name.

Promise of `read`: for any plain data it returns an `Observed` or raises `ProtocolError`; tensors have only dtypes of
``DTYPES`` and exactly the bytes that their shape asks for. Time and memory are in proportion to the description.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import torch

from .codec import MAX_PAYLOAD, Plain
from .errors import ProtocolError

Kind = TypeVar("Kind")

MAX_NODES = 100_000
MAX_LEVELS = 30
MAX_TEXT = 1_000_000
MAX_NAME = 200
MAX_INT_BITS = 4096
MAX_TRACE = 4
"""How many lines of a notebook are told of an exception: code that fails at chosen lines says something by them."""
MAX_COLLISIONS = 100
"""How many keys of a dictionary may have the same hash: a liar could choose them all alike."""
MAX_VALUES = MAX_PAYLOAD // 2
_NAMES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64"
    " complex32 complex64 complex128 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu"
)
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in _NAMES.split() if hasattr(torch, name)}
_READABLE = frozenset(DTYPES.values())


@dataclass(frozen=True, eq=False)
class ObservedTensor:
    """A tensor as it was in the submission process; equal to itself alone, as are the classes below.

    Attributes:
        values: the elements as a contiguous CPU tensor of the grader's own, or None when they could not be read.
        unread: why `values` is None ("too large", "sparse layout", ...).
        shape, dtype, stride, offset: as in the submission process; strides and offset in elements.
        device: for example ``"cpu"`` or ``"cuda:1"``.
        requires_grad, is_leaf: as torch reports them.
        grad_fn: the name of the graph's node, for example ``"MulBackward0"``, or None.
        grad: the observation of ``.grad`` of a leaf.
        version: the version counter, which counts changes in place.
        storage: equal for two tensors of one reply exactly when they share memory.
        identity: equal for two values of one reply exactly when they are the same object.
        type_name: ``"torch.Tensor"``, ``"torch.nn.parameter.Parameter"`` or a subclass.
    """

    values: torch.Tensor | None
    unread: str | None
    shape: tuple[int, ...]
    dtype: torch.dtype
    stride: tuple[int, ...]
    offset: int
    device: str
    requires_grad: bool
    is_leaf: bool
    grad_fn: str | None
    grad: ObservedTensor | None
    version: int
    storage: int
    identity: int
    type_name: str


@dataclass(frozen=True, eq=False)
class ObservedModule:
    """A module: its type, its mode, and everything it registers, by name."""

    type_name: str
    identity: int
    training: dict[str, bool]
    parameters: dict[str, ObservedTensor]
    buffers: dict[str, ObservedTensor]


@dataclass(frozen=True, eq=False)
class ObservedObject:
    """Any other object; `items` holds the content of a subclass of tuple, list or dict."""

    type_name: str
    identity: int
    items: Observed = None


Observed: TypeAlias = (
    "bool | int | float | complex | str | bytes | torch.dtype | torch.device | list[Observed] | tuple[Observed, ...] |"
    " dict[Any, Observed] | ObservedTensor | ObservedModule | ObservedObject | None"
)


def read(plain: Plain) -> Observed:
    """Return the observation that `plain` describes; raises `ProtocolError` when it describes none."""
    if plain is None:
        return None
    if not isinstance(plain, list) or not plain or not isinstance(plain[0], str):
        raise ProtocolError("a value is not described as [kind, ...]")
    reader = _READERS.get(plain[0])
    if reader is None:
        raise ProtocolError("a value is of no known kind")
    try:
        return reader(*plain[1:])
    except ProtocolError:
        raise
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError, OverflowError) as error:
        raise ProtocolError(f"a description of kind {plain[0]!r} is malformed ({type(error).__name__})") from None


def _exactly(kind: type) -> Callable[[Any], Any]:
    def check(value: object) -> object:
        if type(value) is not kind:
            raise ProtocolError(f"a value is not of type {kind.__name__}")
        return value

    return check


_bool, _float, _str, _list = _exactly(bool), _exactly(float), _exactly(str), _exactly(list)


def _int(value: object) -> int:
    if type(value) is not int or value.bit_length() > MAX_INT_BITS:
        raise ProtocolError("a value is not an int of ordinary size")
    return value


def _read_tensor(*facts: Any) -> ObservedTensor:
    values, unread, shape, dtype, stride, offset, device, *others = facts
    requires_grad, is_leaf, grad_fn, grad, version, storage, identity, name = others
    kind, sizes = _dtype(dtype), _sizes(shape)
    tensor = object.__new__(ObservedTensor)
    vars(tensor).update(  # as its own __init__ does, one field after the other, which takes longer than all else here
        values=None if values is None else _read_values(values, kind, sizes),
        unread=None if values is not None else _str(unread),
        shape=sizes,
        dtype=kind,
        stride=tuple(map(_int, _list(stride))),
        offset=_int(offset),
        device="cpu" if device == "cpu" else str(torch.device(_str(device))),
        requires_grad=_bool(requires_grad),
        is_leaf=_bool(is_leaf),
        grad_fn=None if grad_fn is None else _str(grad_fn),
        grad=None if grad is None else _tensor_only(grad),
        version=_int(version),
        storage=_int(storage),
        identity=_int(identity),
        type_name=_str(name),
    )
    return tensor


def _sizes(sizes: Any) -> tuple[int, ...]:
    if len(_list(sizes)) > 64 or not all(type(size) is int and 0 <= size < 1 << 62 for size in sizes):
        raise ProtocolError("a tensor's shape is malformed")
    return tuple(sizes)


def _read_values(data: object, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    if dtype not in _READABLE or not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        raise ProtocolError("a tensor's bytes do not fit its shape and dtype")
    if not data:
        return torch.empty(shape, dtype=dtype)
    # a bool byte other than 0 or 1 is undefined behaviour in torch
    flat = torch.frombuffer(bytearray(data), dtype=torch.uint8 if dtype is torch.bool else dtype)
    flat = flat.ne(0) if dtype is torch.bool else flat
    return flat if len(shape) == 1 else flat.reshape(shape)


def _tensor_only(plain: Plain) -> ObservedTensor:
    tensor = read(plain)
    if not isinstance(tensor, ObservedTensor):
        raise ProtocolError("a tensor was expected")
    return tensor


def _read_module(name: Any, identity: Any, training: Any, parameters: Any, buffers: Any) -> ObservedModule:
    return ObservedModule(
        type_name=_str(name),
        identity=_int(identity),
        training={key: _bool(flag) for key, flag in training.items()},
        parameters={key: _tensor_only(item) for key, item in parameters.items()},
        buffers={key: _tensor_only(item) for key, item in buffers.items()},
    )


def _dtype(name: object) -> torch.dtype:
    dtype = vars(torch).get(_str(name))
    if not isinstance(dtype, torch.dtype):
        raise ProtocolError("a dtype is unknown")
    return dtype


def _read_device(name: str) -> Observed:
    try:
        return torch.device(_str(name))
    except RuntimeError:
        return ObservedObject("torch.device", -1)


def _read_pairs(pairs: Any) -> dict[Any, Observed]:
    items = [(read(key), read(item)) for key, item in _list(pairs)]
    hashes = sorted(hash(key) for key, _ in items)
    if any(map(operator.eq, hashes, hashes[MAX_COLLISIONS:])):
        raise ProtocolError("too many keys of a dictionary have the same hash")
    return dict(items)


_READERS: dict[str, Callable[..., Observed]] = {
    "bool": _bool,
    "int": _int,
    "float": _float,
    "complex": lambda real, imag: complex(_float(real), _float(imag)),
    "str": _str,
    "bytes": _exactly(bytes),
    "list": lambda items: [read(item) for item in _list(items)],
    "tuple": lambda items: tuple([read(item) for item in _list(items)]),
    "dict": _read_pairs,
    "dtype": _dtype,
    "device": _read_device,
    "tensor": _read_tensor,
    "module": _read_module,
    "object": lambda name, identity, items: ObservedObject(_str(name), _int(identity), read(items)),
}
