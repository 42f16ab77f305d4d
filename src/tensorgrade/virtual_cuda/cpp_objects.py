"""The objects of torch's C++ that stand for CUDA, given to virtual devices.

torch asks its registry of device guards which device is current, and its CUDA hooks whether CUDA is built in. Without
CUDA, the first is missing and the second says no; no Python interface changes that. So a few entries of their tables
of virtual functions are replaced, in copies of these tables:

- the guard is the one that torch makes for backends written in Python, registered for CUDA instead. Its current device
  is then this thread's virtual device. It says that there is one device and one stream, which is all that autograd
  needs to know, since it runs in the calling thread (`autograd`).
- the hooks answer that CUDA is built in, without cuDNN, and that pinned memory is memory of the CPU.

The order of the entries is that of ``c10/core/impl/DeviceGuardImplInterface.h`` and
``ATen/detail/AcceleratorHooksInterface.h``; it is read from these headers where torch ships them, and compared.
"""

from __future__ import annotations

import ctypes
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from . import devices
from .errors import UnsupportedTorch

_WORD = 8
_CUDA, _PRIVATE, _LAST_TYPE = 1, 20, 127  # c10::DeviceType; there are about 20, and a byte for them
_RTTI_WORDS = 2  # before the first entry of a table: offset to the top, and type information
_GUARD = {"type": 0, "exchangeDevice": 1, "getDevice": 2, "setDevice": 3, "uncheckedSetDevice": 4}
_GUARD_ENTRIES = 26
_HOOKS = {"isBuilt": 2, "isAvailable": 3, "hasPrimaryContext": 4, "init": 5}
_PINNED = {"getPinnedMemoryAllocator": 12}
_HOOKS_ENTRIES = 64


def _keep(value: Any) -> None:
    """Keep what C++ points at until the process ends, beyond the end of the interpreter."""
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _word(address: int) -> ctypes.c_uint64:
    return ctypes.c_uint64.from_address(address)


def _library(name: str) -> ctypes.CDLL:
    folder = Path(torch.__file__).parent / "lib"
    for suffix in ("so", "dylib"):
        if (file := folder / f"lib{name}.{suffix}").exists():
            return ctypes.CDLL(str(file))
    raise UnsupportedTorch(f"virtual CUDA devices need torch's library {name}, which is not in {folder}")


def _virtual_functions(header: str) -> list[str]:
    """The virtual functions that a header declares, in order."""
    file = Path(torch.__file__).parent / "include" / header
    if not file.exists():
        return []
    text = re.sub(r"//[^\n]*|/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)
    first = re.search(r"^struct [^;{]*\{(.*?)^\};", text, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\bvirtual\s[^;{(]*?(~?\w+)\s*\(", first[1]) if first else []


def _order(functions: list[str]) -> list[str]:
    """The entries of a table of virtual functions; a destructor has two."""
    return [name for name in functions for _ in range(2 if name.startswith("~") else 1)]


def _check_order(header: str, expected: dict[str, int]) -> None:
    order = _order(_virtual_functions(header))
    wrong = [name for name, position in expected.items() if order and order[position : position + 1] != [name]]
    if wrong:
        raise UnsupportedTorch(
            f"torch {torch.__version__} declares {', '.join(wrong)} elsewhere in {header} than the versions that "
            "virtual CUDA devices were tested with; install one of those"
        )


def check() -> None:
    """Raise UnsupportedTorch unless the C++ objects are as expected; changes nothing."""
    _check_order("c10/core/impl/DeviceGuardImplInterface.h", _GUARD)
    _check_order("ATen/detail/AcceleratorHooksInterface.h", _HOOKS | _PINNED)
    _registry()
    _hooks()


def _registry() -> int:
    symbol = "_ZN3c104impl26device_guard_impl_registryE"
    try:
        return ctypes.addressof(ctypes.c_char.in_dll(_library("c10"), symbol))
    except ValueError:
        raise UnsupportedTorch(f"torch {torch.__version__} has no registry of device guards") from None


def _hooks() -> int:
    try:
        get = _library("torch_cpu")["_ZN2at6detail12getCUDAHooksEv"]
    except AttributeError:
        raise UnsupportedTorch(f"torch {torch.__version__} has no CUDA hooks") from None
    get.restype = ctypes.c_void_p
    address: int = get()
    return address


def install() -> None:
    """Let C++ see virtual devices; runs one small backward, and must be called once."""
    _start_autograd_without_devices()
    _install_guard()
    _install_hooks()


def _start_autograd_without_devices() -> None:
    """The first backward of a process starts a thread for each device, after which forks cannot run backward."""
    leaf = torch.ones((), requires_grad=True)
    torch.autograd.grad(leaf * 2, leaf)


class _Guard(torch._C._acc.DeviceGuard):
    def type_(self) -> Any:
        return torch._C._autograd.DeviceType.CUDA


def _install_guard() -> None:
    registry = _registry()
    guard = _Guard()
    torch._C._acc.register_python_privateuseone_device_guard(guard)
    address = _word(registry + _PRIVATE * _WORD).value
    if not address:
        raise UnsupportedTorch(f"torch {torch.__version__} does not register device guards written in Python")
    _word(registry + _PRIVATE * _WORD).value = 0
    table = _copied_table(address, _GUARD_ENTRIES)
    for name, function in _guard_functions().items():
        table[_RTTI_WORDS + _GUARD[name]] = function
    _point_at(address, table)
    _keep(guard)
    _word(registry + _CUDA * _WORD).value = address


def _guard_functions() -> dict[str, int]:
    """A device is two bytes, its type and its number, and so travels as a number of 16 bits."""
    device = ctypes.c_uint16

    def exchange(_: int, wanted: int) -> int:
        return _CUDA | devices.make_current(_index(wanted)) << 8

    def current(_: int) -> int:
        return _CUDA | devices.current() << 8

    def choose(_: int, wanted: int) -> None:
        devices.make_current(_index(wanted))

    return {
        "type": _callback(lambda _: _CUDA, ctypes.c_int8),
        "exchangeDevice": _callback(exchange, device, device),
        "getDevice": _callback(current, device),
        "setDevice": _callback(choose, None, device),
        "uncheckedSetDevice": _callback(choose, None, device),
    }


def _index(device: int) -> int:
    return ctypes.c_int8(device >> 8).value


def forget_timer() -> None:
    """Let DistributedDataParallel find no timer for CUDA, as in a build without it: its timer asks the driver.

    The registry is a ``std::unordered_map`` (libstdc++: the buckets, their number, the first node, the number of nodes,
    and how full it may be), whose nodes have a pointer to the next, the key, and what makes a timer. The key becomes
    one that nobody asks for.
    """
    try:
        get = _library("torch_cpu")["_ZN4c10d13TimerRegistryEv"]
    except AttributeError:  # built without torch.distributed
        return
    get.restype = ctypes.c_void_p
    registry: int = get()
    if ctypes.c_float.from_address(registry + 4 * _WORD).value != 1.0:
        return  # another library's map; in a build with CUDA, the driver will be asked, and say that it is missing
    node = _word(registry + 2 * _WORD).value
    for _ in range(_word(registry + 3 * _WORD).value):
        key = ctypes.c_int8.from_address(node + _WORD)
        if key.value == _CUDA:
            key.value = _LAST_TYPE
        node = _word(node).value


def _install_hooks() -> None:
    address = _hooks()
    table = _copied_table(address, _HOOKS_ENTRIES)
    yes = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, ctypes.c_void_p).value  # a function of C that returns 1
    assert yes is not None
    for position in _HOOKS.values():
        table[_RTTI_WORDS + position] = yes
    pinned = ctypes.cast(_library("c10")["_ZN3c1015GetCPUAllocatorEv"], ctypes.c_void_p).value
    assert pinned is not None
    table[_RTTI_WORDS + _PINNED["getPinnedMemoryAllocator"]] = pinned
    if (cudnn := _position_of_cudnn()) is not None:
        table[_RTTI_WORDS + cudnn] = _callback(lambda _: False, ctypes.c_bool)
    _point_at(address, table)


def _position_of_cudnn() -> int | None:
    """Where a build with CUDA says that it has cuDNN, whose operators no CPU has."""
    inherited = _order(_virtual_functions("ATen/detail/AcceleratorHooksInterface.h"))
    own = _virtual_functions("ATen/detail/CUDAHooksInterface.h")
    return len(inherited) + own.index("compiledWithCuDNN") if inherited and "compiledWithCuDNN" in own else None


def _copied_table(address: int, entries: int) -> ctypes.Array[ctypes.c_uint64]:
    """A copy of the table of virtual functions of the object at `address`."""
    begin = _word(address).value - _RTTI_WORDS * _WORD
    words = [_word(begin + _WORD * position).value for position in range(entries + _RTTI_WORDS)]
    return (ctypes.c_uint64 * len(words))(*words)


def _point_at(address: int, table: ctypes.Array[ctypes.c_uint64]) -> None:
    _keep(table)
    _word(address).value = ctypes.addressof(table) + _RTTI_WORDS * _WORD


def _callback(function: Callable[..., Any], result: Any, *arguments: Any) -> int:
    made = ctypes.CFUNCTYPE(result, ctypes.c_void_p, *arguments)(function)
    _keep(made)
    address = ctypes.cast(made, ctypes.c_void_p).value
    assert address is not None
    return address
