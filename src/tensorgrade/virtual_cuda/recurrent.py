"""Recurrent layers: their generic form wants fused cells that only CUDA has, so they run on the CPU in one piece.

The copies there and back are differentiable, so that gradients take the same way.
"""

from __future__ import annotations

import contextlib
import functools
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from .generators import Drawing

_LAYERS = ("lstm", "gru", "rnn_tanh", "rnn_relu")
_CELLS = ("lstm_cell", "gru_cell")


def register_recurrent(aten: Any) -> None:
    """Register layers and cells, for calls with and without autograd."""
    for name in _LAYERS:
        for overload in ("input", "data"):
            _register(aten, getattr(getattr(torch.ops.aten, name), overload), f"{name}.{overload}")
    for name in _CELLS:
        _register(aten, getattr(torch.ops.aten, name).default, name)


def _register(aten: Any, op: OpOverload, name: str) -> None:
    for key in ("AutogradCUDA", "CUDA"):
        aten.impl(name, functools.partial(_through_cpu, op), key, allow_override=True)


def _through_cpu(op: OpOverload, *args: Any, **kwargs: Any) -> Any:
    home = _common_device(op, args)
    with Drawing(None, home.index, takes_generator=False) if _drops(op, args) else contextlib.nullcontext():
        result = op(*map(_to_cpu, args), **{name: _to_cpu(value) for name, value in kwargs.items()})
    return result.to(home) if isinstance(result, Tensor) else tuple(item.to(home) for item in result)


def _drops(op: OpOverload, args: tuple[Any, ...]) -> bool:
    """Whether dropout between layers draws random numbers."""
    named = dict(zip((argument.name for argument in op._schema.arguments), args, strict=False))
    return bool(named.get("dropout") and named.get("train"))


def _common_device(op: OpOverload, args: tuple[Any, ...]) -> torch.device:
    """The device of all tensors; raises RuntimeError. The lengths of a packed sequence are on the CPU."""
    home: torch.device | None = None
    name = op._schema.name.removeprefix("aten::")
    for argument, value in zip(op._schema.arguments, args, strict=False):
        for tensor in value if isinstance(value, list | tuple) else (value,):
            if not isinstance(tensor, Tensor) or argument.name == "batch_sizes":
                continue
            if home is None:
                home = tensor.device
            elif tensor.device != home:
                _refuse(name, argument.name, tensor.device, home)
    assert home is not None
    return home


def _refuse(layer: str, argument: str, found: torch.device, home: torch.device) -> None:
    if argument in ("hx", "params") and layer in _LAYERS:
        part = "hidden" if argument == "hx" else "parameter"
        raise RuntimeError(
            f"Input and {part} tensors are not at the same device, found input tensor at {home} and "
            f"{part} tensor at {found}"
        )
    raise RuntimeError(
        f"Expected all tensors to be on the same device, but got {argument} is on {found}, different from other "
        f"tensors on {home} (when checking argument in method wrapper_CUDA__thnn_fused_{layer})"
    )


def _to_cpu(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.cpu()
    return [_to_cpu(item) for item in value] if isinstance(value, list | tuple) else value
