"""Replacing names of torch's modules and classes, for good."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def replace(owner: Any, names: Mapping[str, Any]) -> None:
    """Bind names of a module or class anew."""
    for name, value in names.items():
        setattr(owner, name, value)
