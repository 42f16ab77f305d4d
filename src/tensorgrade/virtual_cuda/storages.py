"""Storages and pinned memory: what torch's C++ does with CUDA's allocators, done with tensors."""

from __future__ import annotations

import weakref
from typing import Any

import torch
from torch import Tensor

from . import devices
from .errors import NotSimulated
from .patching import replace

_resize_on_cpu = torch.UntypedStorage.resize_
_make: Any = torch.UntypedStorage.__new__
_pinned: set[int] = set()
"""Where pinned memory begins."""


def patch() -> None:
    """Replace the methods that ask for one of CUDA's allocators."""
    replace(
        torch.UntypedStorage,
        {
            "__new__": _new,
            "to": _to,
            "clone": _clone,
            "resize_": _resize,
            "pin_memory": _pin_storage,
            "is_pinned": _is_pinned,
        },
    )
    replace(Tensor, {"pin_memory": _pin, "is_pinned": lambda self, device=None: _is_pinned(self.untyped_storage())})


def _bytes(storage: torch.UntypedStorage) -> Tensor:
    """The bytes of a storage, as a tensor in its memory."""
    return torch.empty(0, dtype=torch.uint8, device=storage.device).set_(storage)


def _new(cls: type[torch.UntypedStorage], *given: Any, device: Any = None, **options: Any) -> torch.UntypedStorage:
    """Make a storage of a number of bytes, or of values for them; `device` may be a virtual one."""
    if device is None or torch.device(device).type != "cuda":
        made: torch.UntypedStorage = _make(cls, *given, device=device, **options)
        return made
    content = _make(cls, *given, **options)
    return _to(content, device=device)


def _to(self: torch.UntypedStorage, *, device: Any, non_blocking: bool = False) -> torch.UntypedStorage:
    wanted = torch.device(device)
    if wanted.type == "cuda":
        wanted = devices.device(devices.chosen(wanted))
    if wanted == self.device:
        return self
    return _bytes(self).to(wanted).untyped_storage()


def _clone(self: torch.UntypedStorage) -> torch.UntypedStorage:
    return _bytes(self).clone().untyped_storage()


def _resize(self: torch.UntypedStorage, size: int) -> torch.UntypedStorage:
    if self.is_cuda:
        raise NotSimulated("resizing a storage in place", "resize its tensor")
    _resize_on_cpu(self, size)
    return self


def _pin(self: Tensor, device: Any = None) -> Tensor:
    if not self.is_cpu:
        raise RuntimeError(f"cannot pin '{self.type()}' only dense CPU tensors can be pinned")
    if _is_pinned(self.untyped_storage()):
        return self
    pinned = self.clone()
    _remember(pinned.untyped_storage())
    return pinned


def _pin_storage(self: torch.UntypedStorage, device: Any = None) -> torch.UntypedStorage:
    return _bytes(self).pin_memory().untyped_storage()


def _is_pinned(self: torch.UntypedStorage, device: Any = None) -> bool:
    return self.data_ptr() in _pinned if _pinned else False


def _remember(storage: torch.UntypedStorage) -> None:
    address = storage.data_ptr()
    if address:
        _pinned.add(address)
        weakref.finalize(storage, _pinned.discard, address).atexit = False
