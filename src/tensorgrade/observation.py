"""Observations: what the trusted side learns of values that live in a submission process.

`Observer` (untrusted side) describes a value as plain data; `read` (trusted side) turns the description into real
tensors and frozen values. Nothing of the student's is ever rebuilt: an object comes back as its type's name.

Promise of `read`: for any plain data it returns an `Observed` or raises `ProtocolError`; tensors have only dtypes of
``DTYPES`` and exactly the bytes that their shape asks for. Time and memory are in proportion to the description.
"""

from __future__ import annotations

import ctypes
import math
import operator
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
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
MAX_COLLISIONS = 100
"""How many keys of a dictionary may have the same hash: a liar could choose them all alike."""
MAX_VALUES = MAX_PAYLOAD // 2
_NAMES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64"
    " complex32 complex64 complex128 float8_e4m3fn float8_e4m3fnuz float8_e5m2 float8_e5m2fnuz float8_e8m0fnu"
)
DTYPES: dict[str, torch.dtype] = {name: getattr(torch, name) for name in _NAMES.split() if hasattr(torch, name)}


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


def memory(pointer: int, length: int) -> bytes:
    """The bytes of a tensor's memory; works without NumPy."""
    return ctypes.string_at(pointer, length) if length else b""


# ------------------------------------------------------------------------------------------- the untrusted side


@dataclass
class Observer:
    """Describes the values of one reply; identities and storages are numbered in the order of their appearance.

    What a subclass of the student's says of itself is not asked for: types are taken from `type`, contents and facts
    by the methods of the base class. What cannot be sent whole is replaced by an object that says why.
    """

    _objects: dict[int, int] = field(default_factory=dict)
    _storages: dict[int, int] = field(default_factory=dict)
    _alive: list[object] = field(default_factory=list)
    _bytes: int = 0
    _nodes: int = 0
    _level: int = 0

    def describe(self, value: object) -> Plain:
        """Return `value` as plain data: ``[kind, ...]`` for everything that JSON does not have."""
        if self._level == 0:  # what one value takes is not taken from the others of the reply
            self._nodes = self._bytes = 0
        self._nodes += 1
        if self._nodes > MAX_NODES or self._level >= MAX_LEVELS:
            return _left_out("more than can be sent")
        self._level += 1
        try:
            return self._described(value)
        finally:
            self._level -= 1

    def _described(self, value: Any) -> Plain:
        kind = type(value)
        describe = _EXACT.get(kind)
        if describe is not None:
            return describe(self, value)
        # a subclass that dispatches on its own need not have values, and asks the student's code for its facts
        if issubclass(kind, torch.Tensor) and kind.__torch_dispatch__ is torch.Tensor.__torch_dispatch__:
            return self._tensor(value)
        if issubclass(kind, torch.nn.Module):
            return self._module(value)
        return self._object(value)

    def _identity(self, value: object) -> int:
        self._alive.append(value)  # an id is unique only among living objects
        return self._objects.setdefault(id(value), len(self._objects))

    def _integer(self, value: Any) -> Plain:
        return ["int", value] if value.bit_length() <= MAX_INT_BITS else _left_out("huge int")

    def _text(self, kind: str, value: Any) -> Plain:
        return [kind, value] if len(value) <= MAX_TEXT else _left_out("more text than can be sent")

    def _pairs(self, value: Any) -> Plain:
        return ["dict", [[self.describe(key), self.describe(item)] for key, item in self._first(dict.items(value))]]

    def _items(self, kind: str, value: Iterable[object]) -> Plain:
        return [kind, [self.describe(item) for item in self._first(value)]]

    def _first(self, items: Iterable[Kind]) -> Iterator[Kind]:
        """The items that can still be sent, and one more, so that what is cut off never looks whole."""
        for item in items:
            is_left_out = self._nodes >= MAX_NODES
            yield item
            if is_left_out:
                return

    def _object(self, value: Any) -> Plain:
        items: Plain = None
        if issubclass(type(value), tuple):
            items = self._items("tuple", tuple.__iter__(value))
        elif issubclass(type(value), list):
            items = self._items("list", list.__iter__(value))
        elif issubclass(type(value), dict):
            items = self._pairs(value)
        return ["object", type_name(type(value)), self._identity(value), items]

    def _module(self, module: torch.nn.Module) -> Plain:
        training: Plain = {name: bool(child.training) for name, child in module.named_modules()}
        parameters = {name: self.describe(item) for name, item in module.named_parameters(remove_duplicate=False)}
        buffers = {name: self.describe(item) for name, item in module.named_buffers(remove_duplicate=False)}
        return ["module", type_name(type(module)), self._identity(module), training, parameters, buffers]

    def _tensor(self, tensor: torch.Tensor) -> Plain:
        with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
            bare = torch.Tensor.detach(tensor)  # shares memory and version, and is of no subclass
            values, unread = self._values(bare)
            strided = bare.layout is torch.strided and not bare.is_nested
            grad, grad_fn = _fact(tensor, "grad") if _fact(tensor, "is_leaf") else None, _fact(tensor, "grad_fn")
            return [
                "tensor",
                {
                    "values": values,
                    "unread": unread,
                    "shape": [] if bare.is_nested else list(map(int, bare.shape)),
                    "dtype": str(bare.dtype).removeprefix("torch."),
                    "stride": list(map(int, bare.stride())) if strided else [],
                    "offset": int(bare.storage_offset()) if strided else 0,
                    "device": str(bare.device),
                    "requires_grad": _fact(tensor, "requires_grad"),
                    "is_leaf": _fact(tensor, "is_leaf"),
                    "grad_fn": None if grad_fn is None else type(grad_fn).__name__[:MAX_NAME],
                    "grad": None if grad is None or self._level >= MAX_LEVELS else self.describe(grad),
                    "version": 0 if bare.is_inference() else bare._version,
                    "storage": self._storage(bare) if strided else -1 - self._identity(tensor),
                    "identity": self._identity(tensor),
                    "type_name": type_name(type(tensor)),
                },
            ]

    def _storage(self, tensor: torch.Tensor) -> int:
        storage = tensor.untyped_storage()
        self._alive.append(storage)
        return self._storages.setdefault(_address(storage), len(self._storages))

    def _values(self, tensor: torch.Tensor) -> tuple[bytes | None, str | None]:
        """The elements in row-major order as bytes, or the reason why they cannot be sent."""
        if tensor.is_nested or tensor.layout is not torch.strided:
            return None, f"{'nested' if tensor.is_nested else str(tensor.layout).removeprefix('torch.')} layout"
        if tensor.is_meta or str(tensor.dtype).removeprefix("torch.") not in DTYPES:
            return None, f"no plain values ({'meta' if tensor.is_meta else tensor.dtype})"
        length = tensor.numel() * tensor.element_size()
        if self._bytes + length > MAX_VALUES:
            return None, f"too large ({length} bytes)"
        self._bytes += length
        flat = tensor.resolve_conj().resolve_neg().to("cpu").contiguous()
        return memory(flat.data_ptr(), length), None


def _left_out(reason: str) -> Plain:
    return ["object", reason, 0, None]


def _fact(tensor: torch.Tensor, name: str) -> Any:
    """What torch knows of `tensor`, whatever a subclass says."""
    return getattr(torch.Tensor, name).__get__(tensor)


def _address(storage: torch.UntypedStorage) -> int:
    return storage.data_ptr() or storage._cdata


def type_name(kind: type) -> str:
    """The full name of a type, without the module for built-in ones; torch's re-exports by their public name."""
    if kind is torch.Tensor:
        return "torch.Tensor"
    name = f"{kind.__qualname__}" if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return name[:MAX_NAME]


_EXACT: dict[type, Callable[[Observer, Any], Plain]] = {
    type(None): lambda observer, value: None,
    bool: lambda observer, value: ["bool", value],
    int: Observer._integer,
    float: lambda observer, value: ["float", value],
    complex: lambda observer, value: ["complex", value.real, value.imag],
    str: lambda observer, value: observer._text("str", value),
    bytes: lambda observer, value: observer._text("bytes", value),
    list: lambda observer, value: observer._items("list", value),
    tuple: lambda observer, value: observer._items("tuple", value),
    dict: Observer._pairs,
    torch.dtype: lambda observer, value: ["dtype", str(value).removeprefix("torch.")],
    torch.device: lambda observer, value: ["device", str(value)],
}


# --------------------------------------------------------------------------------------------- the trusted side


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


def _read_tensor(facts: Any) -> ObservedTensor:
    dtype = _dtype(facts["dtype"])
    shape = _sizes(facts["shape"])
    values = facts["values"]
    return ObservedTensor(
        values=None if values is None else _read_values(values, dtype, shape),
        unread=None if values is not None else _str(facts["unread"]),
        shape=shape,
        dtype=dtype,
        stride=tuple(_int(step) for step in _list(facts["stride"])),
        offset=_int(facts["offset"]),
        device=str(torch.device(_str(facts["device"]))),
        requires_grad=_bool(facts["requires_grad"]),
        is_leaf=_bool(facts["is_leaf"]),
        grad_fn=None if facts["grad_fn"] is None else _str(facts["grad_fn"]),
        grad=None if facts["grad"] is None else _tensor_only(facts["grad"]),
        version=_int(facts["version"]),
        storage=_int(facts["storage"]),
        identity=_int(facts["identity"]),
        type_name=_str(facts["type_name"]),
    )


def _sizes(sizes: Any) -> tuple[int, ...]:
    if len(_list(sizes)) > 64 or not all(type(size) is int and 0 <= size < 1 << 62 for size in sizes):
        raise ProtocolError("a tensor's shape is malformed")
    return tuple(sizes)


def _read_values(data: object, dtype: torch.dtype, shape: tuple[int, ...]) -> torch.Tensor:
    if dtype not in DTYPES.values() or not isinstance(data, bytes) or len(data) != math.prod(shape) * dtype.itemsize:
        raise ProtocolError("a tensor's bytes do not fit its shape and dtype")
    if not data:
        return torch.empty(shape, dtype=dtype)
    raw = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    # a bool byte other than 0 or 1 is undefined behaviour in torch
    return (raw.ne(0) if dtype is torch.bool else raw.view(dtype)).reshape(shape)


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
