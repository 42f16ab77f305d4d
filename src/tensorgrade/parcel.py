"""Parcels: what the trusted side sends into a submission process (arguments, and functions of a grader).

Trusted to untrusted only, so pickling is fine; nothing pickled ever comes back. Functions and classes of a grader
travel by value (cloudpickle), since the submission process cannot import the grader. Tensors keep what pickle loses:
aliasing between them, strides, ``requires_grad``, ``.grad`` and being a Parameter.
"""

from __future__ import annotations

import io
import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from types import CodeType, FunctionType, ModuleType
from typing import Any

import cloudpickle
import cloudpickle.cloudpickle
import torch

from .errors import GraderError
from .observer import memory

_FOUND_BY_NAME = {__name__, cloudpickle.cloudpickle.__name__}
"""Modules whose functions stand in most parcels: cloudpickle would look for each of them in its module first."""


def pack(value: object, by_value: Sequence[ModuleType] = ()) -> bytes:
    """Return `value` as bytes; what the modules `by_value` define is packed by value.

    Raises `GraderError` for a tensor that is not a leaf (its graph cannot travel: build it in a probe) and for
    objects that cannot be pickled.
    """
    for module in by_value:
        cloudpickle.register_pickle_by_value(module)
    try:
        return _dump(value)
    finally:
        for module in by_value:
            cloudpickle.unregister_pickle_by_value(module)


def unpack(parcel: bytes) -> Any:
    """Return the value of a parcel; for the untrusted side, which trusts the trusted one."""
    return pickle.loads(parcel)


def _dump(value: object) -> bytes:
    file = io.BytesIO()
    try:
        _Packer(file).dump(value)
    except (pickle.PicklingError, TypeError, AttributeError) as error:
        raise GraderError(f"this cannot be sent to the submission: {error}") from error
    return file.getvalue()


class _Packer(cloudpickle.Pickler):  # type: ignore[misc]
    """A pickler that sends each storage once, so that tensors which share one still do on the other side."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=pickle.HIGHEST_PROTOCOL)
        self._storages: dict[int, torch.UntypedStorage] = {}

    def reducer_override(self, value: Any) -> Any:
        kind = type(value)
        if issubclass(kind, torch.Tensor):
            return self._reduce_tensor(value)
        if kind is torch.UntypedStorage:
            return _storage_from, (memory(value.data_ptr(), value.nbytes()),)
        if kind is torch.Generator:
            return _generator_from, (value.get_state(),)
        if (
            kind is OrderedDict or kind is torch.dtype
        ):  # a module has eleven; pickle would search for a way to pack them
            return value.__reduce__()
        if (kind is FunctionType and value.__module__ not in _FOUND_BY_NAME) or issubclass(kind, type):
            return super().reducer_override(value)
        return NotImplemented

    def _reduce_tensor(self, tensor: torch.Tensor) -> tuple[Callable[..., torch.Tensor], tuple[Any, ...]]:
        kind = type(tensor)
        if not tensor.is_leaf:
            raise GraderError("a tensor with a graph cannot be sent to the submission; build it in a probe")
        if kind not in (torch.Tensor, torch.nn.Parameter):
            raise GraderError(f"a tensor of type {kind.__name__} cannot be sent; build it in a probe")
        if tensor.layout is not torch.strided or not tensor.is_cpu:
            raise GraderError(f"a {tensor.layout} tensor on {tensor.device} cannot be sent; build it in a probe")
        storage = tensor.untyped_storage()
        storage = self._storages.setdefault(storage.data_ptr() or id(storage), storage)
        layout = (tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
        flags = (tensor.requires_grad, kind is torch.nn.Parameter, tensor.is_conj(), tensor.is_neg())
        return _tensor_from, (storage, tensor.dtype, layout, flags, tensor.grad)


def _storage_from(content: bytes) -> torch.UntypedStorage:
    if not content:
        return torch.empty(0, dtype=torch.uint8).untyped_storage()
    return torch.frombuffer(bytearray(content), dtype=torch.uint8).untyped_storage()


def _generator_from(state: torch.Tensor) -> torch.Generator:
    return torch.Generator().set_state(state)


def _tensor_from(
    storage: torch.UntypedStorage,
    dtype: torch.dtype,
    layout: tuple[int, tuple[int, ...], tuple[int, ...]],
    flags: tuple[bool, bool, bool, bool],
    grad: torch.Tensor | None,
) -> torch.Tensor:
    requires_grad, is_parameter, is_conj, is_neg = flags
    tensor = torch.empty(0, dtype=dtype).set_(storage, *layout)
    if is_conj:
        tensor = torch._conj(tensor)
    if is_neg:
        tensor = torch._neg_view(tensor)
    if is_parameter:
        tensor = torch.nn.Parameter(tensor, requires_grad=requires_grad)
    elif requires_grad:
        tensor.requires_grad_()
    if grad is not None:
        tensor.grad = grad
    return tensor


def imported_submodules(code: CodeType, modules: Iterable[object]) -> list[ModuleType]:
    """The imported modules below `modules` that a function with this code may address, such as ``torch.nn.functional``.

    What cloudpickle finds as well, by a look at each name in ``sys.modules`` for each of `modules` and each function:
    with torch imported that takes longer than all else about a parcel.
    """
    names = set(code.co_names)
    found = []
    waiting = [f"{module.__name__}." for module in modules if isinstance(module, ModuleType) and module.__package__]
    while waiting:
        prefix = waiting.pop()
        below = [prefix + name for name in names if prefix + name in sys.modules]
        found += [sys.modules[name] for name in below]
        waiting += [f"{name}." for name in below]
    return found


cloudpickle.cloudpickle._find_imported_submodules = imported_submodules
