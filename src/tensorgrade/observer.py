"""Describing values that live in a submission process, for the trusted side to learn of them.

Untrusted side. `Observer` describes a value as plain data, which `tensorgrade.observation` turns into observations.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar, cast

import torch

from .codec import Plain
from .observation import DTYPES, MAX_INT_BITS, MAX_LEVELS, MAX_NAME, MAX_NODES, MAX_TEXT, MAX_TRACE, MAX_VALUES

Kind = TypeVar("Kind")

_TRACEBACK: Any = vars(BaseException)["__traceback__"]
_NAMES = {dtype: name for name, dtype in DTYPES.items()}


def _fact(name: str) -> Callable[[torch.Tensor], Any]:
    """What gives the fact `name` that torch knows of a tensor, whatever a subclass says."""
    return cast("Callable[[torch.Tensor], Any]", getattr(torch.Tensor, name).__get__)


_requires_grad, _is_leaf, _grad, _grad_fn = _fact("requires_grad"), _fact("is_leaf"), _fact("grad"), _fact("grad_fn")


def memory(pointer: int, length: int) -> bytes:
    """The bytes of a tensor's memory; works without NumPy."""
    return ctypes.string_at(pointer, length) if length else b""


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
            return _EXACT.get(type(value), Observer._derived)(self, value)
        finally:
            self._level -= 1

    def _derived(self, value: Any) -> Plain:
        kind = type(value)
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
        """The facts of a tensor, in the order of the fields of `ObservedTensor`."""
        with torch._C.DisableTorchFunctionSubclass():
            bare = torch.Tensor.detach(tensor)  # shares memory and version, is of no subclass and in no graph
            values, unread = self._values(bare)
            strided = bare.layout is torch.strided and not bare.is_nested
            is_leaf, grad_fn = _is_leaf(tensor), _grad_fn(tensor)
            grad = _grad(tensor) if is_leaf else None
            identity = self._identity(tensor)
            return [
                "tensor",
                values,
                unread,
                [] if bare.is_nested else [*bare.shape],
                _dtype_name(bare.dtype),
                [*bare.stride()] if strided else [],
                bare.storage_offset() if strided else 0,
                "cpu" if bare.is_cpu else str(bare.device),
                _requires_grad(tensor),
                is_leaf,
                None if grad_fn is None else type(grad_fn).__name__[:MAX_NAME],
                None if grad is None or self._level >= MAX_LEVELS else self.describe(grad),
                0 if bare.is_inference() else bare._version,
                self._storage(bare) if strided else -1 - identity,
                identity,
                type_name(type(tensor)),
            ]

    def _storage(self, tensor: torch.Tensor) -> int:
        storage = tensor.untyped_storage()
        self._alive.append(storage)
        return self._storages.setdefault(_address(storage), len(self._storages))

    def _values(self, tensor: torch.Tensor) -> tuple[bytes | None, str | None]:
        """The elements in row-major order as bytes, or the reason why they cannot be sent."""
        if tensor.is_nested or tensor.layout is not torch.strided:
            return None, f"{'nested' if tensor.is_nested else str(tensor.layout).removeprefix('torch.')} layout"
        if tensor.is_meta or tensor.dtype not in _NAMES:
            return None, f"no plain values ({'meta' if tensor.is_meta else tensor.dtype})"
        length = tensor.nbytes
        if self._bytes + length > MAX_VALUES:
            return None, f"too large ({length} bytes)"
        self._bytes += length
        flat = tensor.resolve_conj().resolve_neg().cpu().contiguous()
        return memory(flat.data_ptr(), length), None


def _left_out(reason: str) -> Plain:
    return ["object", reason, 0, None]


def _dtype_name(dtype: torch.dtype) -> str:
    return _NAMES.get(dtype) or str(dtype).removeprefix("torch.")


def _address(storage: torch.UntypedStorage) -> int:
    return storage.data_ptr() or storage._cdata


def type_name(kind: type) -> str:
    """The full name of a type, without the module for built-in ones; torch's re-exports by their public name."""
    if kind is torch.Tensor:
        return "torch.Tensor"
    name = f"{kind.__qualname__}" if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    return name[:MAX_NAME]


def trace_of(error: BaseException, cell_of: Callable[[str], int | None]) -> Plain:
    """The cells and lines of the notebook that an exception passed, ``[[cell, line], ...]``, outermost first.

    A place that repeats itself, as in a recursion, counts once, and only the innermost `MAX_TRACE` places are told.
    """
    places: list[Plain] = []
    passed = _TRACEBACK.__get__(error)  # whatever a class of the student's says
    while passed is not None:
        cell = cell_of(passed.tb_frame.f_code.co_filename)
        place: Plain = [cell, passed.tb_lineno]
        if cell and place not in places[-1:]:
            places.append(place)
        passed = passed.tb_next
    return places[-MAX_TRACE:]


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
    torch.dtype: lambda observer, value: ["dtype", _dtype_name(value)],
    torch.device: lambda observer, value: ["device", str(value)],
    torch.Tensor: Observer._tensor,
    torch.nn.Parameter: Observer._tensor,
}
