"""`prepare` and `enable`: giving this process virtual devices."""

from __future__ import annotations

import re
import sys
import types
from collections.abc import Iterable, Iterator

import torch

from . import (
    autograd,
    c_functions,
    collectives,
    cpp_objects,
    devices,
    distributed,
    generators,
    legacy_types,
    operators,
    rules,
    storages,
    unsupported,
)
from .errors import AlreadyEnabled, RealGpuPresent, UnsupportedTorch
from .patching import replace

OLDEST = (2, 10)
_prepared: list[bool] = []


def prepare() -> None:
    """Do what takes time, once per process; nothing that a user could see changes.

    Runs no operator that starts threads, so that a fork server may call it before it forks. Raises UnsupportedTorch.
    """
    if _prepared:
        return
    _require_torch()
    cpp_objects.check()
    generators.device_offset()
    rules.preload()
    operators.register()
    distributed.register()
    unsupported.register()
    _hide_from_compiler()
    _prepared.append(True)


def enable(devices: int = 1, memory: int = 16 << 30) -> None:
    """Give this process virtual CUDA devices, for good; call it right after importing torch.

    `memory` is what each device has, in bytes. With 0 devices torch stays as it is on a machine without a GPU. A second
    call with the same arguments does nothing. Raises AlreadyEnabled when they differ, RealGpuPresent, UnsupportedTorch.
    """
    if devices < 0 or memory <= 0:
        raise ValueError(f"virtual_cuda.enable() needs devices >= 0 and memory > 0, got {devices} and {memory}")
    if _is_enabled_as(devices, memory):
        return
    prepare()
    if devices:
        _require_no_gpu()
        _install()
    _set(devices, memory)


def _set(present: int, memory: int) -> None:
    devices.machine.present, devices.machine.memory = present, memory


def _is_enabled_as(wanted: int, memory: int) -> bool:
    machine = devices.machine
    if machine.present is None:
        return False
    if (machine.present, machine.memory) == (wanted, memory) or machine.present == wanted == 0:
        return True
    raise AlreadyEnabled(
        f"this process already has {machine.present} virtual CUDA devices with {machine.memory} bytes each; it cannot "
        f"get {wanted} with {memory}. Start a new process, or restart the kernel"
    )


def enabled_devices() -> int | None:
    """How many virtual devices this process was given, whatever it sees of them; None before `enable`."""
    return devices.machine.present


def _require_torch() -> None:
    if sys.platform != "linux":  # objects of C++ lie elsewhere in other systems' libraries
        raise UnsupportedTorch(f"virtual CUDA devices need Linux; on {sys.platform}, notebooks run on the CPU")
    numbers = re.match(r"(\d+)\.(\d+)", torch.__version__)
    version = (int(numbers[1]), int(numbers[2])) if numbers else (0, 0)
    if version < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        raise UnsupportedTorch(f"virtual CUDA devices need torch {wanted} or newer; this is torch {torch.__version__}")


def _require_no_gpu() -> None:
    if torch.cuda.is_available():
        raise RealGpuPresent(
            "this process has real CUDA devices, which are never mixed with virtual ones; hide them with "
            "CUDA_VISIBLE_DEVICES='' in its environment, or use them instead"
        )


def _hide_from_compiler() -> None:
    """torch.compile follows calls into Python; what is below torch is not part of a program."""
    frames = torch._C._dynamo.eval_frame
    skip = frames._FrameExecStrategy(frames._FrameAction.SKIP, frames._FrameAction.SKIP)
    package = __name__.rpartition(".")[0]
    for name, module in list(sys.modules.items()):
        if name.startswith(package):
            for code in _codes(vars(module).values(), name):
                frames.set_code_exec_strategy(code, skip)


def _codes(values: Iterable[object], module: str) -> Iterator[types.CodeType]:
    for value in values:
        if isinstance(value, types.FunctionType) and value.__module__ == module:
            yield from _nested(value.__code__)
        elif isinstance(value, type) and value.__module__ == module:
            yield from _codes(vars(value).values(), module)
        elif isinstance(value, staticmethod | classmethod):
            yield from _codes([value.__func__], module)
        elif isinstance(value, property):
            yield from _codes([value.fget], module)


def _nested(code: types.CodeType) -> Iterator[types.CodeType]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _nested(constant)


def _install() -> None:
    cpp_objects.install()
    replace(torch._C, c_functions.functions() | collectives.FUNCTIONS)
    replace(torch.cuda, c_functions.patch_torch_cuda())
    replace(torch.cuda.streams, {name: getattr(torch.cuda, name) for name in ("Stream", "Event", "ExternalStream")})
    replace(torch.cuda.nccl, {"is_available": lambda tensors: False})
    replace(torch, {"Generator": generators.Generator})
    replace(torch.backends.cuda, {"is_built": lambda: True})
    replace(torch.backends.cudnn, {"is_acceptable": lambda tensor: False})
    autograd.patch()
    distributed.patch()
    storages.patch()
    legacy_types.patch()
    unsupported.patch()
