"""Registration of the kernel, and the operators that need one of their own.

Registering costs some tens of milliseconds and shows nowhere: kernels for CUDA are asked only for CUDA tensors, and a
torch without a GPU makes none.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from . import kernel, memory, tracing
from .aliasing import on_cpu
from .devices import chosen, device
from .libraries import library
from .recurrent import register_recurrent

_C = torch._C

_METADATA = (
    *("view", "view.dtype", "as_strided", "unfold", "_reshape_alias", "view_as_real", "view_as_complex"),
    *("set_", "set_.source_Storage", "set_.source_Storage_storage_offset", "set_.source_Tensor"),
)
"""Operators that look at metadata alone: the CPU's kernels do them for any device, and storages stay shared."""

_WHOLE = (
    *("convolution", "convolution_backward", "native_dropout", "_native_batch_norm_legit", "addmv", "dot", "vdot"),
    "linalg_vector_norm",
)
"""Operators whose parts would be dispatched one by one, or to a backend of CUDA; here they run in one piece."""

_WHOLE_SINCE_2_14 = ("ldexp.Tensor", "ldexp.out", "ldexp_")
"""The same, for operators that were made of others before."""

_IN_PARTS = ("slice_scatter", "select_scatter", "diagonal_scatter", "as_strided_scatter")
"""Operators whose parts may be on several devices."""


def register() -> None:
    """Register the kernels; once per process."""
    everything = library("_")
    everything.fallback(_fallback, "CUDA")
    aten = library("aten")
    put = functools.partial(aten.impl, dispatch_key="CUDA", allow_override=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a build with CUDA says which of its kernels are overridden
        own = _register_own(put)
        for name in _names_to_run_whole(own):
            put(name, functools.partial(_run, _overload(name)))
        register_recurrent(aten)
        _register_attention(aten)
        if not _C._dispatch_has_kernel_for_dispatch_key("aten::_fused_rms_norm_backward", "CPU"):
            for key in ("AutogradCUDA", "CUDA"):
                aten.impl("rms_norm", _rms_norm, key, allow_override=True)


def _fallback(op: OpOverload, *args: Any, **kwargs: Any) -> Any:
    return kernel.run(op, args, kwargs)


def _run(op: OpOverload, *args: Any, **kwargs: Any) -> Any:
    return kernel.run(op, args, kwargs)


def _overload(name: str) -> OpOverload:
    base, _, overload = name.partition(".")
    found: OpOverload = getattr(getattr(torch.ops.aten, base), overload or "default")
    return found


def _register_own(put: Callable[..., None]) -> set[str]:
    own: dict[str, Callable[..., Any]] = {name: functools.partial(_metadata, _overload(name)) for name in _METADATA}
    own |= {
        "copy_": _copy,
        "_copy_from": _copy_from,
        "_copy_from_and_resize": _copy_from_and_resize,
        "resize_": _resize,
        "addbmm_": _addbmm,
        "empty.memory_format": _empty,
        "empty_strided": _empty_strided,
        "record_stream": _record_stream,
        "_efficientzerotensor": _zeros,
        "_use_cudnn_ctc_loss": _no,
        "_use_cudnn_ctc_loss.Tensor": _no,
        "_use_miopen_ctc_loss": _no,
        "_use_miopen_ctc_loss.Tensor": _no,
        "_nested_tensor_from_mask_left_aligned": _no,  # padded batches stay padded in transformers
    }
    for name in ("_softmax", "_log_softmax"):
        own[name] = functools.partial(_softmax, _overload(name))
        own[f"{name}_backward_data"] = functools.partial(_softmax_backward, _overload(f"{name}_backward_data"))
    for name, function in own.items():
        if torch._C._dispatch_has_kernel(f"aten::{name}"):  # some are of later versions
            put(name, function)
    return set(own)


def _names_to_run_whole(own: set[str]) -> Iterator[str]:
    """Operators that have a default made of other operators, which must not be taken."""
    registered = _C._dispatch_get_registrations_for_dispatch_key
    has_kernel = _C._dispatch_has_kernel_for_dispatch_key
    names = set(registered("CompositeExplicitAutogradNonFunctional"))
    names |= {name for name in registered("CompositeExplicitAutograd") if name.startswith("aten::_foreach_")}
    names |= {name for name in registered("CompositeExplicitAutograd") if has_kernel(name, "CPU")}
    names |= {f"aten::{name}" for name in (*_WHOLE, *(_WHOLE_SINCE_2_14 if torch.__version__ >= "2.14" else ()))}
    names -= {f"aten::{name}" for name in _IN_PARTS}
    names |= set(registered("CUDA"))  # empty in builds without CUDA
    for name in sorted(names):
        short = name.removeprefix("aten::")
        if not name.startswith("aten::") or short in own:
            continue
        try:
            op = _overload(short)
        except AttributeError:  # registered for a schema that is not there
            continue
        if not _is_view(op):
            yield short


def _is_view(op: OpOverload) -> bool:
    """Whether the result shares memory with an argument; torch's own kernels do that for any device."""
    shares = any(result.alias_info and not result.alias_info.is_write for result in op._schema.returns)
    return shares or torch.Tag.inplace_view in op.tags


_CPU_KEYS = _C.DispatchKeySet(_C.DispatchKey.CPU)


def _metadata(op: OpOverload, *args: Any, **kwargs: Any) -> Any:
    return op.redispatch(_CPU_KEYS, *args, **kwargs)


def _copy(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    source_values = on_cpu(source) if source.is_cuda else source
    (on_cpu(target) if target.is_cuda else target).copy_(source_values)
    if tracing.traces:
        _trace_copy(target, source)
    return target


def _trace_copy(target: Tensor, source: Tensor) -> None:
    if target.device == source.device:
        tracing.record(tracing.Operation("aten::copy_", target.device))
        return
    size = source.numel() * source.element_size()
    shape = tuple(source.shape)
    tracing.record(tracing.Copy(source.device, target.device, shape, source.dtype, size))


def _copy_from(source: Tensor, target: Tensor, non_blocking: bool = False) -> Tensor:
    return _copy(target, source)


def _copy_from_and_resize(source: Tensor, target: Tensor) -> Tensor:
    return _copy(target.resize_(source.shape), source)


def _resize(tensor: Tensor, size: Sequence[int], memory_format: torch.memory_format | None = None) -> Tensor:
    layout = torch.empty(size, dtype=tensor.dtype, memory_format=memory_format or torch.contiguous_format)
    needed = (tensor.storage_offset() + layout.numel()) * tensor.element_size()
    if needed > tensor.untyped_storage().nbytes():
        return _grow(tensor, layout)
    return kernel.point(tensor, tensor.untyped_storage(), int(tensor.storage_offset()), layout.shape, layout.stride())


def _grow(tensor: Tensor, layout: Tensor) -> Tensor:
    kept = on_cpu(tensor).as_strided((min(layout.numel(), _elements(tensor)),), (1,))
    layout.as_strided((layout.numel(),), (1,))[: kept.numel()].copy_(kept)
    return kernel.replace(tensor, layout, tensor.get_device())


def _addbmm(tensor: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The one operator in place that gives its tensor the shape of the result."""
    result = torch.ops.aten.addbmm.default(tensor, *args, **kwargs)
    return tensor.resize_(result.shape).copy_(result)


def _elements(tensor: Tensor) -> int:
    """How many elements its storage has from its offset on."""
    return tensor.untyped_storage().nbytes() // tensor.element_size() - int(tensor.storage_offset())


def _empty(
    size: Sequence[int],
    *,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
    device: torch.device | None = None,
    pin_memory: bool | None = None,
    memory_format: torch.memory_format | None = None,
) -> Tensor:
    if pin_memory:
        raise RuntimeError("Only dense CPU tensors can be pinned")
    index = chosen(device)
    length = 1
    for extent in size:
        length *= extent
    memory.require_room(length * (dtype or torch.get_default_dtype()).itemsize, index)
    made = torch.empty(size, dtype=dtype, device="cpu", memory_format=memory_format or torch.contiguous_format)
    _trace("aten::empty", index)
    return memory.adopt(made, index)


def _empty_strided(
    size: Sequence[int],
    stride: Sequence[int],
    *,
    dtype: torch.dtype | None = None,
    layout: torch.layout | None = None,
    device: torch.device | None = None,
    pin_memory: bool | None = None,
) -> Tensor:
    if pin_memory:
        raise RuntimeError("Only dense CPU tensors can be pinned")
    index = chosen(device)
    length = 1 + sum((extent - 1) * step for extent, step in zip(size, stride, strict=True))
    memory.require_room(max(length, 0) * (dtype or torch.get_default_dtype()).itemsize, index)
    _trace("aten::empty_strided", index)
    return memory.adopt(torch.empty_strided(size, stride, dtype=dtype, device="cpu"), index)


def _zeros(size: Sequence[int], *, device: torch.device | None = None, **options: Any) -> Tensor:
    """Zeros that forward-mode differentiation would leave without memory."""
    return memory.adopt(torch.zeros(size, dtype=options.get("dtype"), device="cpu"), chosen(device))


def _no(*_: Any) -> bool:
    return False


def _softmax(op: OpOverload, tensor: Tensor, dim: int, half_to_float: bool) -> Any:
    """CUDA's takes half precision and gives single, which autocast asks for; the CPU's does not."""
    return kernel.run(op, (tensor.float() if half_to_float else tensor, dim, False), {})


def _softmax_backward(op: OpOverload, grad: Tensor, output: Tensor, dim: int, input_dtype: torch.dtype) -> Any:
    return kernel.run(op, (grad, output, dim, grad.dtype), {}).to(input_dtype)


def _trace(name: str, index: int) -> None:
    if tracing.traces:
        tracing.record(tracing.Operation(name, device(index)))


def _record_stream(tensor: Tensor, stream: Any) -> None:
    """Nothing to do: memory is freed when nobody has it any more, whatever the streams."""


def _rms_norm(
    tensor: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """As its parts, where only CUDA has it in one piece (torch 2.10); half precision is computed in single."""
    wide = tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
    eps = torch.finfo(wide.dtype).eps if eps is None else eps
    mean = wide.pow(2).mean(dim=[-1 - place for place in range(len(normalized_shape))], keepdim=True)
    normal = (wide * torch.rsqrt(mean + eps)).to(tensor.dtype)
    return normal if weight is None else normal * weight


def _register_attention(aten: Any) -> None:
    """Attention asks which of CUDA's kernels to take; the answer is the one that is made of plain operators."""
    for key in ("AutogradCUDA", "CUDA"):
        aten.impl("scaled_dot_product_attention", _attention, key, allow_override=True)


def _attention(  # noqa: PLR0917 - the operator's own arguments
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    result: Tensor = torch.ops.aten._scaled_dot_product_attention_math(
        query, key, value, attn_mask, dropout_p, is_causal, scale=scale, enable_gqa=enable_gqa
    )[0]
    return result
