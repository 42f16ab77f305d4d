"""``torch.cuda.FloatTensor`` and its like: old names of tensor classes that old programs make tensors with."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .patching import replace

_DTYPES = {
    "FloatTensor": torch.float32,
    "DoubleTensor": torch.float64,
    "HalfTensor": torch.float16,
    "BFloat16Tensor": torch.bfloat16,
    "LongTensor": torch.int64,
    "IntTensor": torch.int32,
    "ShortTensor": torch.int16,
    "CharTensor": torch.int8,
    "ByteTensor": torch.uint8,
    "BoolTensor": torch.bool,
}


class _TensorType(type):
    """Calling makes a tensor on the current device: of the sizes, or of the values, that are given."""

    dtype: torch.dtype
    is_cuda = True

    def __call__(cls, *given: Any) -> Tensor:
        if len(given) == 1 and not isinstance(given[0], int | torch.Size):
            return torch.as_tensor(given[0], dtype=cls.dtype, device="cuda")
        size = given[0] if given and isinstance(given[0], torch.Size) else given
        return torch.empty(size or (0,), dtype=cls.dtype, device="cuda")

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.is_cuda and instance.dtype is cls.dtype


def patch() -> None:
    """Replace the names, which a build without CUDA has but refuses to use."""
    # torch reads the name of a class where it expects the name of a type, so this one has its module in it
    made = {name: _TensorType(f"torch.cuda.{name}", (), {"dtype": dtype}) for name, dtype in _DTYPES.items()}
    replace(torch.cuda, made)
    choose = torch._C._set_default_tensor_type

    def set_default(kind: Any) -> None:
        if isinstance(kind, _TensorType):
            torch.set_default_dtype(kind.dtype)
            torch.set_default_device("cuda")
        else:
            torch.set_default_device(None)
            choose(kind)

    replace(torch._C, {"_set_default_tensor_type": set_default})
