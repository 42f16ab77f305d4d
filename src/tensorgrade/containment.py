"""Lets graders run in this process as if nothing had run before, and undoes what they change in it.

Trusted side. Against accidents, not against hostile code: graders are the instructor's.
"""

from __future__ import annotations

import contextlib
import functools
import os
import random
import sys
import warnings
from collections.abc import Iterator, Sequence
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from itertools import islice, takewhile
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any, TypeGuard

import numpy as np
import pytest
import torch

_ENVIRONMENT = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "PYTEST_ADDOPTS": "",
    "PYTEST_PLUGINS": "",
    "PYTEST_VERSION": pytest.__version__,
}
"""Keeps the user's settings and third-party plugins out of a verdict."""


@contextlib.contextmanager
def contained(folder: Path, seed: int) -> Iterator[None]:
    """Undo what the graders in `folder` change in this process, and let everything random begin with `seed`."""
    _forget(folder)
    with _process_restored(), _torch_restored(), _randomness_restored(seed), warnings.catch_warnings():
        sys.meta_path.insert(0, _GraderFinder(folder))
        try:
            yield
        finally:
            _forget(folder)


@contextlib.contextmanager
def _process_restored() -> Iterator[None]:
    environment, place = dict(os.environ), Path.cwd()
    paths, finders = list(sys.path), list(sys.meta_path)
    os.environ.update(_ENVIRONMENT)
    try:
        yield
    finally:
        sys.path[:], sys.meta_path[:] = paths, finders
        os.chdir(place)
        for name in os.environ.keys() - environment.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in environment.items() if os.environ.get(name) != value})


@contextlib.contextmanager
def _torch_restored() -> Iterator[None]:
    settings = [(set_again, get, get()) for get, set_again in _TORCH_SETTINGS]
    try:
        yield
    finally:
        for set_again, get, value in settings:
            if get() != value:
                set_again(value)


_TORCH_SETTINGS: tuple[tuple[Any, Any], ...] = (
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_default_device, lambda device: torch.set_default_device(None if device.type == "cpu" else device)),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
)


@contextlib.contextmanager
def _randomness_restored(seed: int) -> Iterator[None]:
    """Seed what a grader may draw from beside its `generator`."""
    of_python, of_torch, of_numpy = random.getstate(), torch.default_generator.get_state(), np.random.get_state()
    random.seed(seed)
    torch.default_generator.manual_seed(seed)
    np.random.seed(seed % 2**32)
    try:
        yield
    finally:
        random.setstate(of_python)
        torch.default_generator.set_state(of_torch)
        np.random.set_state(of_numpy)


_elsewhere: dict[str, tuple[int, str | None]] = {}
"""How many of the first modules lie outside of a folder, and the last of them: thousands, to be looked at once."""


def modules_in(folder: Path) -> dict[str, ModuleType]:
    """The modules that have been imported from `folder`, by name."""
    inside = f"{folder}{os.sep}"
    count, last = _elsewhere.get(inside, (0, None))
    later = reversed(sys.modules)  # what is new stands at the end
    names = [*islice(later, max(0, len(sys.modules) - count))][::-1]
    if next(later, None) != last:  # some of the first have been removed
        count, names = 0, [*sys.modules]
    found = {name: module for name in names if _is_in(inside, module := sys.modules[name])}
    outside = [*takewhile(lambda name: name not in found, names)]
    if outside:
        _elsewhere[inside] = count + len(outside), outside[-1]
    return found


def _is_in(inside: str, module: object) -> TypeGuard[ModuleType]:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and file.startswith(inside) and isinstance(module, ModuleType)


def _forget(folder: Path) -> None:
    """Drop the modules of `folder`: graders are loaded anew for each submission, and others may have their names."""
    for name in modules_in(folder):
        del sys.modules[name]


class _GraderFinder:
    """Finds the modules of a folder of graders, whose code is compiled when it has changed, whatever its date."""

    def __init__(self, folder: Path) -> None:
        self._inside = f"{folder}{os.sep}"

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        spec = PathFinder.find_spec(name, path, target)
        if spec is not None and isinstance(spec.loader, SourceFileLoader) and spec.loader.path.startswith(self._inside):
            spec.loader = _GraderLoader(name, spec.loader.path)
            return spec
        return None


class _GraderLoader(SourceFileLoader):
    def get_code(self, fullname: str) -> CodeType:
        return compiled(self.get_data(self.path), self.path)


@functools.lru_cache(maxsize=1000)
def compiled(source: bytes, path: str) -> CodeType:
    """The code of a module of a grader's, which is loaded anew for each submission."""
    return compile(source, path, "exec", dont_inherit=True)
