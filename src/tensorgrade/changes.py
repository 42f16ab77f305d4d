"""What is different in an argument after a call.

Trusted side.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from .observation import Observed, ObservedModule, ObservedObject, ObservedTensor

ASPECTS_ZH = {
    "values": "数值",
    "shape": "形状",
    "dtype": "dtype",
    "strides": "步长",
    "device": "所在设备",
    "requires_grad": "requires_grad",
    "place in the graph": "在计算图中的位置",
    ".grad": ".grad",
    "training mode": "训练模式",
    "content": "内容",
}
"""What `change` returns, in Chinese."""


def change(before: Observed, after: Observed) -> str | None:
    """Return what is different, or None; identities, storages and versions do not count."""
    if isinstance(before, ObservedTensor) and isinstance(after, ObservedTensor):
        return _tensor_change(before, after)
    if isinstance(before, ObservedModule) and isinstance(after, ObservedModule):
        return _module_change(before, after)
    if isinstance(before, (dict, list, tuple)) and type(before) is type(after):
        return _container_change(before, after)
    if isinstance(before, ObservedObject) and isinstance(after, ObservedObject):
        return change(before.items, after.items) if before.type_name == after.type_name else "content"
    same = type(before) is type(after) and (before == after or before != before)  # noqa: PLR0124 - NaN
    return None if same else "content"


def _module_change(before: ObservedModule, after: ObservedModule) -> str | None:
    if before.training != after.training:
        return "training mode"
    return _container_change(before.parameters, after.parameters) or _container_change(before.buffers, after.buffers)


def _container_change(before: Any, after: Any) -> str | None:
    if len(before) != len(after):
        return "content"
    if isinstance(before, dict):
        before, after = [[*table, *table.values()] for table in (before, after)]
    return _first_change(before, after)


def _first_change(before: Sequence[Observed], after: Sequence[Observed]) -> str | None:
    changes = (change(old, new) for old, new in zip(before, after, strict=True))
    return next((found for found in changes if found), None)


def _tensor_change(before: ObservedTensor, after: ObservedTensor) -> str | None:
    for aspect, attribute in (
        ("shape", "shape"),
        ("dtype", "dtype"),
        ("strides", "stride"),
        ("device", "device"),
        ("requires_grad", "requires_grad"),
        ("place in the graph", "grad_fn"),
    ):
        if getattr(before, attribute) != getattr(after, attribute):
            return aspect
    if not _same_values(before.values, after.values):
        return "values"
    if (before.grad is None) != (after.grad is None):
        return ".grad"
    return ".grad" if before.grad and after.grad and _tensor_change(before.grad, after.grad) else None


def _same_values(before: torch.Tensor | None, after: torch.Tensor | None) -> bool:
    if before is None or after is None:
        return before is after
    return torch.equal(before.reshape(-1).view(torch.uint8), after.reshape(-1).view(torch.uint8))
