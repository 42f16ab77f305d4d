"""Random numbers of the virtual devices: a generator for each, and generators that users make.

A generator of a device is a generator of the CPU in whose C++ object the device is rewritten, so that torch itself
tells the two apart; it is one of the CPU only while a kernel draws from it. So a device draws from a seed what the CPU
draws from it, which a real one does not.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from typing import Any

import torch

from . import devices
from .errors import UnsupportedTorch

_CpuGenerator = torch._C.Generator
_FIRST_SEED = 67280421310721  # c10::detail's default_rng_seed_val, which CUDA's generators begin with
_lock = threading.RLock()
_CPU_WORD = 0xFF00  # a c10::Device without a number: type 0, number -1


@functools.cache
def device_offset() -> int:
    """Where a generator's C++ object (c10::GeneratorImpl) has its device."""
    probe = _CpuGenerator()
    content = ctypes.string_at(_address(probe), 96)
    # what lies between the fields is left over from other objects, and may look the same by chance
    alike = [place for place in range(16, 96, 2) if int.from_bytes(content[place : place + 2], "little") == _CPU_WORD]
    found = [place for place in alike if _is_device(probe, place)]
    if len(found) == 1:
        return found[0]
    raise UnsupportedTorch(f"torch {torch.__version__} makes random generators that cannot be given a virtual device")


def _is_device(probe: Any, place: int) -> bool:
    _write(probe, place, 1)
    is_device = probe.device == torch.device("cuda", 0)
    _write(probe, place, _CPU_WORD)
    return bool(is_device)


def _write(generator: Any, offset: int, word: int) -> None:
    ctypes.c_uint16.from_address(_address(generator) + offset).value = word


def _address(generator: Any) -> int:
    address: int = generator._cdata
    return address


class _Kind(type(_CpuGenerator)):  # type: ignore[misc]
    """Lets every generator be an instance of `Generator`, as there is one class with real devices."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _CpuGenerator)

    def __subclasscheck__(cls, other: type) -> bool:
        return issubclass(other, _CpuGenerator)


class Generator(_CpuGenerator, metaclass=_Kind):
    """`torch.Generator`, on the CPU or on a virtual device."""

    def __new__(cls, device: Any = "cpu") -> Any:
        """Make a generator for a device; others than virtual ones get torch's own. Raises AcceleratorError."""
        wanted = torch.device(device)
        if wanted.type != "cuda":
            return _CpuGenerator(wanted)
        if not devices.machine.used:
            torch.cuda.init()  # type: ignore[no-untyped-call]
        index = devices.chosen(wanted)
        generator = super().__new__(cls)
        _write(generator, device_offset(), 1 | index << 8)
        generator.manual_seed(_FIRST_SEED)
        return generator

    def __init__(self, device: Any = "cpu") -> None: ...

    def clone_state(self) -> Generator:
        """A generator that will draw the same."""
        return _restore(self.device, self.get_state())

    def graphsafe_set_state(self, state: torch._C.Generator) -> Generator:
        """Take over the state of another generator."""
        self.set_state(state.get_state())
        return self

    def graphsafe_get_state(self) -> Generator:
        """A generator with this one's state."""
        return self.clone_state()

    def __reduce__(self) -> Any:
        return _restore, (self.device, self.get_state())


Generator.__module__, Generator.__qualname__ = _CpuGenerator.__module__, _CpuGenerator.__qualname__


def _restore(device: torch.device, state: torch.Tensor) -> Generator:
    generator: Generator = Generator(device)
    generator.set_state(state)
    return generator


def default(index: int) -> Generator:
    """The generator of a device that is used unless one is given."""
    generators: tuple[Generator, ...] = torch.cuda.default_generators  # type: ignore[assignment]
    return generators[index]


def make_defaults(count: int) -> tuple[Generator, ...]:
    """A generator for each device, seeded by chance as CUDA's are."""
    made: tuple[Generator, ...] = tuple(Generator(devices.device(index)) for index in range(count))
    for generator in made:
        generator.seed()
    return made


class Drawing:
    """While it lasts, device `index` draws from the generator that it gives, or from its own.

    Operators that cannot be given a generator draw from the CPU's, which then has the state of the device's.
    """

    __slots__ = ("given", "index", "is_lent", "saved", "source")

    def __init__(self, given: Any, index: int, takes_generator: bool) -> None:
        self.given, self.index, self.is_lent = given, index, not takes_generator
        self.source = default(index) if given is None else given

    def __enter__(self) -> Any:
        if self.given is not None:
            self._require()
        _lock.acquire()
        if self.is_lent:
            self.saved = torch.default_generator.get_state()
            torch.default_generator.set_state(self.source.get_state())
        else:
            _write(self.source, device_offset(), _CPU_WORD)
        return self.source

    def _require(self) -> None:
        found = self.source.device
        if found.type != "cuda":
            raise RuntimeError(f"Expected a 'cuda' device type for generator but found '{found.type}'")
        if found.index != self.index:
            raise RuntimeError(f"Expected a '{devices.device(self.index)}' generator device but found '{found}'")

    def __exit__(self, *_: object) -> None:
        if self.is_lent:
            self.source.set_state(torch.default_generator.get_state())
            torch.default_generator.set_state(self.saved)
        else:
            _write(self.source, device_offset(), 1 | self.index << 8)
        _lock.release()
