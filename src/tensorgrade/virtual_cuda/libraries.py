"""Registrations with torch's dispatcher that last as long as the process."""

from __future__ import annotations

import functools
from typing import Any

import torch


@functools.cache  # registrations end with their library
def library(namespace: str) -> Any:
    """The `torch.library.Library` to register kernels of a namespace in, for ``_`` fallbacks."""
    make: Any = torch.library.Library  # it has no types
    return make(namespace, "IMPL")
