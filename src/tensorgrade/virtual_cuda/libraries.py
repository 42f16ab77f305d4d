"""Registrations with torch's dispatcher that last as long as the process."""

from __future__ import annotations

from typing import Any

import torch

_made: list[Any] = []
"""The libraries; their registrations end with them."""


def library(namespace: str) -> Any:
    """A `torch.library.Library` to register kernels in, for ``_`` fallbacks."""
    make: Any = torch.library.Library  # it has no types
    _made.append(make(namespace, "IMPL"))
    return _made[-1]
