"""What judging an exercise has left behind in its process: if nothing, the next exercise may be judged there as well.

Untrusted side. A `Footprint` holds everything that a notebook's functions could find changed at their next call: the
notebook's names and what is in them, the settings and random states of torch, Python and NumPy, and the functions of
torch themselves. Of what it cannot look into it says so (`complete`), and then nobody shares such a process.

A process that lies about it gains nothing: only the same notebook's exercises are judged in it, and with what it hides
from them it could have begun.
"""

from __future__ import annotations

import builtins
import functools
import gc
import hashlib
import itertools
import operator
import os
import random
import re
import signal
import sys
import threading
import types
import warnings
from collections import deque, namedtuple
from collections.abc import Callable, Collection, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .observer import memory

MAX_OBJECTS = 20_000
MAX_BYTES = 1 << 20
"""Of a tensor or array whose content is compared; larger ones are not looked into."""
MAX_BYTES_TOGETHER = 16 << 20

_VALUES = frozenset({int, float, complex, bool, str, bytes, type(None), torch.dtype, torch.device, torch.Size, range})
"""Types of values that are the same when they are equal."""

_FIXED = (
    *(type(...), type(NotImplemented), types.BuiltinFunctionType, types.CodeType, types.GetSetDescriptorType),
    *(types.MemberDescriptorType, types.MethodDescriptorType, types.WrapperDescriptorType, types.MethodWrapperType),
    *(types.GenericAlias, types.ClassMethodDescriptorType, re.Pattern, np.dtype, np.ufunc, np.generic, slice),
    type(vars(namedtuple("Fields", "field"))["field"]),
)
"""Types of what never changes: the same object is the same."""

_LIBRARIES: tuple[Any, ...] = (builtins, torch, torch.nn.functional, torch.Tensor)
"""Whose names a notebook's function might replace."""

_WARNED = "__warningregistry__"
"""Where Python notes which warnings were given; whether one is given again makes no difference to anybody."""

_RUNTIME = tuple(f"{prefix}{os.sep}" for prefix in {sys.prefix, sys.base_prefix, str(Path(__file__).parents[1])})


class Footprint:
    """What there is to be found in this process now.

    Args:
        namespace: the notebook's names.
        hidden: those of them that are the shell's own.

    Attributes:
        complete: whether everything could be looked into.
    """

    def __init__(self, namespace: dict[str, Any], hidden: Collection[str]) -> None:
        self.complete = True
        self._bytes = 0
        self._seen: set[int] = set()
        self._found: list[Any] = [*_settings()]
        self._libraries = [[*vars(library).values()] for library in _LIBRARIES]
        own = {name: value for name, value in namespace.items() if name not in hidden and name != _WARNED}
        self._walk([*_items(own), *_modules_beside()])

    def __eq__(self, other: object) -> bool:
        """Whether nothing has changed between the two."""
        return (
            isinstance(other, Footprint)
            and self.complete
            and other.complete
            and len(self._found) == len(other._found)
            and all(map(_is_same, self._found, other._found))
            and all(map(_are_identical, self._libraries, other._libraries))
        )

    __hash__ = None  # type: ignore[assignment]

    def _walk(self, roots: Iterable[object]) -> None:
        waiting = deque(roots)
        while waiting and self.complete:
            value = waiting.popleft()
            self._found.append(value)  # which also keeps it, so that no other object can get its place
            if type(value) in _VALUES or isinstance(value, _FIXED) or id(value) in self._seen:
                continue
            self._seen.add(id(value))
            self._bytes += value.nbytes if isinstance(value, (torch.Tensor, np.ndarray)) else 0
            parts = _parts(value)
            few = len(self._found) < MAX_OBJECTS and self._bytes <= MAX_BYTES_TOGETHER
            self.complete = parts is not None and few
            waiting.extend(parts or ())


def _is_same(one: object, other: object) -> bool:
    return one is other or (type(one) is type(other) and type(one) in _VALUES and one == other)


def _are_identical(some: list[Any], others: list[Any]) -> bool:
    return len(some) == len(others) and all(map(operator.is_, some, others))


def _settings() -> Iterator[object]:
    """What is set in torch, Python and NumPy, and where their random numbers are."""
    yield from (torch.is_grad_enabled(), torch.is_inference_mode_enabled(), torch.get_default_dtype())
    yield from (torch.get_default_device(), torch.get_num_threads(), torch.is_anomaly_enabled())
    yield from (torch.get_deterministic_debug_mode(), torch.get_float32_matmul_precision())
    yield from (torch.is_autocast_enabled("cpu"), torch.is_warn_always_enabled())
    yield from (torch._C._len_torch_function_stack(), torch._C._len_torch_dispatch_stack())
    yield _content(torch.default_generator.get_state())
    yield hash(random.getstate())
    yield from (part.tobytes() if isinstance(part, np.ndarray) else part for part in np.random.get_state(legacy=True))
    yield from (sys.getrecursionlimit(), sys.gettrace(), sys.getprofile(), sys.stdout, sys.stderr, gc.isenabled())
    yield from (threading.active_count(), signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGALRM))
    yield from (str(Path.cwd()), repr(sorted(os.environ.items())), repr(sys.path))
    yield from warnings.filters


_of_runtime = 0
"""How many modules no notebook brought along; they were imported before any other."""


def know_runtime() -> None:
    """Take all modules that are there for the runtime's; the zygote does, before there is anything of a student's."""
    global _of_runtime  # noqa: PLW0603 - a fact of the whole process
    Footprint({}, ())  # which imports something itself
    _of_runtime = len(sys.modules)


def _modules_beside() -> list[dict[str, Any]]:
    """The names of modules that lie beside the notebook: what the student handed in, or the course gave.

    Only the last ones are looked at: in a fork, to look at something is to copy its page.
    """
    new = itertools.islice(reversed(sys.modules), max(0, len(sys.modules) - _of_runtime))
    return [vars(sys.modules[name]) for name in [*new][::-1] if _lies_beside(name)]


def _lies_beside(module: str) -> bool:
    file = getattr(sys.modules.get(module), "__file__", None)
    return isinstance(file, str) and not str(Path(file).absolute()).startswith(_RUNTIME)


def _content(tensor: torch.Tensor) -> bytes | None:
    """A digest of the values of a tensor that has some, and is not too large to be looked into."""
    plain = type(tensor) in (torch.Tensor, torch.nn.Parameter) and tensor.layout is torch.strided
    if not plain or tensor.device.type != "cpu" or tensor.nbytes > MAX_BYTES or tensor.is_inference():
        return None
    flat = tensor.detach().resolve_conj().resolve_neg().contiguous()
    return _digest(memory(flat.data_ptr(), flat.nbytes))


def _digest(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def _parts(value: Any) -> Iterable[Any] | None:
    """What an object has that can change; None for one that cannot be looked into."""
    if _is_of_runtime(value):
        return ()
    for kinds, parts in _PARTS:
        if isinstance(value, kinds):
            found = parts(value)
            return None if found is None else [*found, *_attributes(value)]
    return [*_attributes(value)] if _has_only_attributes(type(value)) else None


def _has_only_attributes(kind: type) -> bool:
    """Whether instances have nothing that cannot be seen: no slots, and nothing that is written in C."""
    slots = any(vars(base).get("__slots__") for base in kind.__mro__)
    return bool(kind.__flags__ & _HEAP_TYPE and kind.__dictoffset__ and kind.__basicsize__ <= _PLAIN and not slots)


def _is_of_runtime(value: Any) -> bool:
    """Whether this is a module, a class or a function of a library; `_LIBRARIES` are those that are looked at."""
    if isinstance(value, types.ModuleType):
        return value.__name__ != "__main__"
    if isinstance(value, types.FunctionType):
        return value.__code__.co_filename.startswith(_RUNTIME)
    return isinstance(value, type) and value.__module__ != "__main__" and not _lies_beside(value.__module__)


_HEAP_TYPE = 1 << 9
"""Of classes that were made while Python runs."""
_PLAIN = type("Plain", (), {}).__basicsize__
"""What an instance takes that has attributes and nothing else."""


def _attributes(value: Any) -> Iterator[Any]:
    kind = type(value)
    if kind.__flags__ & _HEAP_TYPE:
        yield kind
    attributes = getattr(value, "__dict__", None)
    if isinstance(attributes, dict):
        yield from _items(attributes)


def _items(mapping: dict[Any, Any]) -> Iterator[Any]:
    yield from dict.keys(mapping)
    yield from dict.values(mapping)


def _of_function(function: types.FunctionType) -> Iterator[Any]:
    yield from (function.__code__, function.__defaults__, function.__kwdefaults__)
    for cell in function.__closure__ or ():
        try:
            yield cell.cell_contents
        except ValueError:  # it is empty
            yield None


def _of_tensor(tensor: torch.Tensor) -> list[Any] | None:
    content = _content(tensor)
    if content is None:
        return None
    grad = tensor.grad if tensor.is_leaf else None
    return [content, tensor._version, tensor.requires_grad, grad, tensor.grad_fn]


def _of_array(array: np.ndarray[Any, Any]) -> list[Any] | None:
    return [_digest(array.tobytes())] if array.nbytes <= MAX_BYTES and not array.dtype.hasobject else None


_PARTS: tuple[tuple[type | tuple[type, ...], Callable[[Any], Iterable[Any] | None]], ...] = (
    (torch.Tensor, _of_tensor),
    (torch.Generator, lambda generator: [_content(generator.get_state())]),
    (types.FunctionType, _of_function),
    (type, lambda kind: vars(kind).values()),
    (dict, _items),
    ((list, deque), iter),
    ((tuple, set, frozenset), iter),
    (types.MethodType, lambda method: [method.__func__, method.__self__]),
    ((staticmethod, classmethod), lambda method: [method.__func__]),
    (property, lambda method: [method.fget, method.fset, method.fdel]),
    (functools.partial, lambda partial: [partial.func, partial.args, partial.keywords]),
    (random.Random, lambda numbers: [repr(numbers.getstate())]),
    (np.ndarray, _of_array),
    (torch.autograd.graph.Node, lambda node: ()),
)
