"""Which virtual devices there are, which of them are visible, and which one is current in this thread.

The one place where the state of the machine lives. `CUDA_VISIBLE_DEVICES` is read as CUDA reads it: until the first
use of a device, and never afterwards.
"""

from __future__ import annotations

import os
import re
import threading
from dataclasses import dataclass

import torch

CPU = torch.device("cpu")
NO_GPU = "No CUDA GPUs are available"
_INVALID_ORDINAL = 101  # cudaErrorInvalidDevice
_CUDA_ERROR = (
    "CUDA error: {}\n"
    "{}CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be "
    "incorrect.\n"
    "For debugging consider passing CUDA_LAUNCH_BLOCKING=1\n"
    "Compile with `TORCH_USE_CUDA_DSA` to enable device-side assertions.\n"
)


@dataclass(slots=True)
class Machine:
    """The machine that this process runs on.

    `present` is the number of devices it was enabled with, or None; `memory` is what each has, in bytes. `used` are the
    physical numbers of the devices that the process sees, once it has used one of them.
    """

    present: int | None = None
    memory: int = 16 << 30
    used: tuple[int, ...] | None = None


class _Thread(threading.local):
    current = 0


machine = Machine()
_thread = _Thread()
_devices = tuple(torch.device("cuda", index) for index in range(64))


def device(index: int) -> torch.device:
    """The device ``cuda:index``."""
    return _devices[index] if 0 <= index < 64 else torch.device("cuda", index)


def visible() -> tuple[int, ...]:
    """The physical numbers of the devices that this process sees, in the order of their numbers here."""
    if machine.used is not None:
        return machine.used
    present = machine.present or 0
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return tuple(range(present))
    return _parse(named, present)


def _parse(named: str, present: int) -> tuple[int, ...]:
    """Read a list as CUDA does: the first entry that is no device ends it, and a device named twice hides all."""
    found: list[int] = []
    for entry in named.split(","):
        number = re.match(r"\s*(\d+)", entry)  # as strtoul: "1st" is 1, "-1" is none
        index = int(number[1]) if number else _with_uuid(entry.strip(), present)
        if not 0 <= index < present:
            break
        if index in found:
            return ()
        found.append(index)
    return tuple(found)


def uuid(physical: int) -> str:
    """The identifier of a device, stable over processes."""
    return f"76697274-7561-6c20-6375-{physical:012x}"


def _with_uuid(entry: str, present: int) -> int:
    wanted = entry.removeprefix("GPU-")
    matches = [k for k in range(present) if entry.startswith("GPU-") and wanted and uuid(k).startswith(wanted)]
    return matches[0] if len(matches) == 1 else -1


def count() -> int:
    """How many devices this process sees."""
    return len(visible())


def initialise() -> None:
    """Fix which devices are visible; raises RuntimeError when there are none."""
    if machine.used is None:
        seen = visible()
        if not seen:
            raise RuntimeError(NO_GPU)
        machine.used = seen


def current() -> int:
    """The number of this thread's current device."""
    return _thread.current


def make_current(index: int) -> int:
    """Make a device the current one of this thread, and return which one it was before; -1 changes nothing."""
    before = _thread.current
    if index >= 0:
        _thread.current = index
    return before


def exchange(index: int) -> int:
    """As `make_current`, for numbers that come from users; raises AcceleratorError."""
    if index >= 0:
        require(index)
    return make_current(index)


def require(index: int) -> None:
    """Raise AcceleratorError unless there is a device ``cuda:index``."""
    if machine.used is None:
        initialise()
    if not 0 <= index < len(machine.used or ()):
        hint = "GPU device may be out of range, do you have enough GPUs?\n"
        raise cuda_error("invalid device ordinal", _INVALID_ORDINAL, hint)


def cuda_error(what: str, code: int, hint: str = "") -> torch.AcceleratorError:
    """An error of the CUDA runtime, in its words."""
    error = torch.AcceleratorError(_CUDA_ERROR.format(what, hint))
    error.error_code = code  # type: ignore[attr-defined]  # set from C++ in builds with CUDA
    return error


def chosen(device: torch.device | None) -> int:
    """The number that a device argument of an operator means; raises AcceleratorError."""
    index = _thread.current if device is None or device.index is None else device.index
    require(index)
    return index
