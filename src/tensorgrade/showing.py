"""Texts and pictures of values, for the evidence of a finding: bounded, whatever the values are.

Trusted side. Names of types are those of public libraries; nothing of a student's or a grader's own is named.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch

from .evidence import Grid
from .findings import public_type
from .observation import Observed, ObservedModule, ObservedObject, ObservedTensor

MAX_SHOWN = 300
"""The longest text of a value or a call, in characters."""
MAX_WHOLE = 36
"""A tensor with more elements is shown by its shape and its first values."""
MAX_GRID = 16
_FIRST = 6
_FUNCTIONS = frozenset({"function", "method", "builtin_function_or_method"})
_USUAL = frozenset({torch.float32, torch.int64, torch.bool, torch.complex64})  # the same as torch leaves unsaid
_NO_KEYWORDS: Mapping[str, Observed] = MappingProxyType({})


def shown(value: object) -> str:
    """Return a text of an observation, a tensor or plain data, of at most `MAX_SHOWN` characters."""
    return _cut(_text(value, MAX_SHOWN))


def shown_call(name: str | None, arguments: Iterable[Observed], keywords: Mapping[str, Observed] = _NO_KEYWORDS) -> str:
    """Return the text of a call, ``f(tensor([1., 2.]), dim=0)``; of its arguments alone if it has no name."""
    texts = [_text(argument, MAX_SHOWN) for argument in arguments]
    texts += [f"{key}={_text(argument, MAX_SHOWN)}" for key, argument in keywords.items()]
    return _cut(f"{name or ''}({', '.join(texts)})")


def shape_of(value: object) -> tuple[int, ...] | None:
    """Return the shape of a tensor or of the observation of one, else None."""
    return tuple(value.shape) if isinstance(value, (torch.Tensor, ObservedTensor)) else None


def wrong_places(wrong: torch.Tensor) -> Grid | None:
    """Return where the values of a tensor are wrong, from a mask of its shape; None if there is nothing to see."""
    if wrong.dim() == 0 or wrong.numel() < 2:
        return None
    rows = wrong.shape[-2] if wrong.dim() > 1 else 1
    planes = wrong.reshape(-1, rows, wrong.shape[-1]).to(torch.float64).mean(0)
    size = (min(planes.shape[0], MAX_GRID), min(planes.shape[1], MAX_GRID))
    pooled = torch.nn.functional.adaptive_avg_pool2d(planes[None], size)
    return Grid(tuple(tuple(round(share, 4) for share in row) for row in pooled[0].tolist()), tuple(wrong.shape))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 1]}…"


def _text(value: object, room: int) -> str:
    """The text of a value; what is beyond `room` is not looked at."""
    if room <= 0:
        return "…"
    if isinstance(value, (torch.Tensor, ObservedTensor)):
        return _tensor(value)
    if isinstance(value, ObservedObject) and value.items is not None:
        return _text(value.items, room)
    if isinstance(value, (ObservedModule, ObservedObject)):
        return f"<{_public(value.type_name)}>"
    return _container(value, room - 2) if isinstance(value, (dict, list, tuple)) else _plain(value, room)


def _container(value: dict[Any, Any] | Sequence[object], room: int) -> str:
    if isinstance(value, dict):
        return f"{{{_joined((f'{_text(key, room)}: {_text(item, room)}' for key, item in value.items()), room)}}}"
    inside = _joined((_text(item, room) for item in value), room)
    if isinstance(value, list):
        return f"[{inside}]"
    return f"({inside},)" if len(value) == 1 else f"({inside})"


def _plain(value: object, room: int) -> str:
    if isinstance(value, type):
        return _public(f"{value.__module__}.{value.__qualname__}".removeprefix("builtins."))
    if type(value) in (str, bytes):
        return repr(value[:room])  # type: ignore[index]
    if type(value) is int:
        return str(value) if value.bit_length() < 3 * room else "<huge int>"
    known = (bool, float, complex, type(None), torch.dtype, torch.device)
    return str(value) if type(value) in known else f"<{_public(type(value).__name__)}>"


def _joined(texts: Iterable[str], room: int) -> str:
    """The texts with commas between, as far as there is room."""
    taken: list[str] = []
    for text in texts:
        taken.append(text)
        room -= len(text) + 2
        if room < 0:
            taken.append("…")
            break
    return ", ".join(taken)


def _public(name: str) -> str:
    return "function" if name in _FUNCTIONS else public_type(name)


def _tensor(tensor: torch.Tensor | ObservedTensor) -> str:
    """A tensor as torch writes it, a large one by its shape and its first values."""
    said = [] if tensor.dtype in _USUAL else [f"dtype={tensor.dtype}"]
    said += [] if str(tensor.device) == "cpu" else [f"device='{tensor.device}'"]
    said += ["requires_grad=True"] if tensor.requires_grad else []
    facts = "".join(f", {fact}" for fact in said)
    values = tensor.values if isinstance(tensor, ObservedTensor) else tensor.detach()
    if values is None or values.is_meta or values.layout is not torch.strided:
        return f"<tensor of shape {_sizes(tensor.shape)}{facts}>"
    if not values.numel():
        return f"tensor([], size={_sizes(tensor.shape)}{facts})"
    digits = 12 if values.dtype in (torch.float64, torch.complex128) else 7
    if values.numel() > MAX_WHOLE:
        first = ", ".join(_number(value, digits) for value in values.reshape(-1)[:_FIRST].tolist())
        return f"<tensor of shape {_sizes(tensor.shape)}{facts}: {first}, …>"
    return f"tensor({_nested(values.tolist(), digits)}{facts})"


def _sizes(shape: Sequence[int]) -> str:
    return str(tuple(shape)) if len(shape) <= MAX_GRID else f"of {len(shape)} dimensions"


def _nested(values: object, digits: int) -> str:
    if isinstance(values, list):
        return f"[{', '.join(_nested(value, digits) for value in values)}]"
    return _number(values, digits)


def _number(value: object, digits: int) -> str:
    """A number with so many digits, ``1.`` for a whole one with a fractional dtype."""
    if not isinstance(value, (float, complex)):
        return str(value)
    text = f"{value:.{digits}g}"
    return f"{text}." if text.lstrip("-").isdecimal() else text
