"""Tensors of a virtual device and of the CPU that are one piece of memory.

A tensor of a virtual device is an ordinary `torch.Tensor` whose C++ device is ``cuda:k`` and whose storage is memory
of the process. It is made by exporting a CPU tensor through DLPack, rewriting the device in the exported
structure and importing it again: nothing is copied, and the memory lives as long as either of them. The structure,
``DLManagedTensor``, begins with ``void* data; int32 device_type, id`` (https://dmlc.github.io/dlpack/latest/c_api.html).
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor

_DL_CPU, _DL_CUDA = 1, 2
_TYPE_OFFSET, _INDEX_OFFSET = 8, 12

_pointer = ctypes.pythonapi.PyCapsule_GetPointer
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_int32 = ctypes.c_int32.from_address
_export = torch._C._to_dlpack
_import = torch._C._from_dlpack
_conj = torch.ops.aten._conj.default
_negative = torch.ops.aten._neg_view.default
_CARRIERS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""What travels for a dtype that DLPack has no name for, by its size."""


def _retarget(tensor: Tensor, device_type: int, index: int) -> Tensor:
    try:
        capsule = _export(tensor)
    except (BufferError, RuntimeError):
        carrier = _CARRIERS.get(tensor.element_size())
        if carrier is None or tensor.dtype is carrier:
            raise
        return _retarget(tensor.view(carrier), device_type, index).view(tensor.dtype)
    address = _pointer(capsule, b"dltensor")
    _int32(address + _TYPE_OFFSET).value = device_type
    _int32(address + _INDEX_OFFSET).value = index
    moved: Tensor = _import(capsule)
    return moved


def on_cpu(tensor: Tensor) -> Tensor:
    """The CPU tensor in the memory of a device tensor: same values, shape, strides and offset."""
    alias = _retarget(tensor, _DL_CPU, 0)
    if tensor.is_complex() and tensor.is_conj():  # lazy conjugation and negation do not travel through DLPack
        alias = _conj(alias)
    return _negative(alias) if tensor.is_neg() else alias


def on_device(tensor: Tensor, index: int) -> Tensor:
    """The tensor of device `index` in the memory of a CPU tensor."""
    if tensor.is_conj() or tensor.is_neg():
        moved = _retarget(tensor.resolve_conj().resolve_neg(), _DL_CUDA, index)
    else:
        moved = _retarget(tensor, _DL_CUDA, index)
    return moved


def cpu_view(tensor: Tensor) -> Tensor:
    """A CPU tensor in the memory of `tensor`, detached, without a copy and without being traced."""
    bare = tensor.detach()
    return on_cpu(bare) if bare.is_cuda else bare
