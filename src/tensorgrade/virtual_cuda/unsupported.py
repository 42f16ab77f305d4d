"""Parts of CUDA that virtual devices do not have: each says so, instead of failing unclearly or doing another thing."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch._ops import OpOverload

from .errors import NotSimulated
from .libraries import library
from .patching import replace

_LAYOUTS = ("SparseCUDA", "SparseCsrCUDA", "QuantizedCUDA", "NestedTensorCUDA")
_MAKERS = {
    "aten::sparse_compressed_tensor.comp_plain_value": "SparseCsrCUDA",
    "aten::sparse_compressed_tensor.comp_plain_value_size": "SparseCsrCUDA",
    "aten::_nested_tensor_from_tensor_list": "NestedTensorCUDA",
}
"""Operators that make such tensors of plain ones."""
_DENSE = "use a dense one, or keep it on the CPU"
_GRAPHS = "run the operations one by one"
_TUNING = "virtual devices have no kernels to choose from"
_READINGS = ("utilization", "temperature", "power_draw", "clock_rate", "memory_usage", "device_memory_used")
_POOLS = ("beginAllocateCurrentThreadToPool", "beginAllocateCurrentStreamToPool", "endAllocateToPool", "releasePool")


def register() -> None:
    """Register kernels that refuse for layouts that are not simulated; once per process."""
    everything = library("_")
    for key in _LAYOUTS:
        everything.fallback(functools.partial(_refuse_operator_of, key), key)
        for name in _operators_of(key):
            _refuse_at(name, key, functools.partial(_refuse_layout, key, name))
    for name, key in _MAKERS.items():
        for place in ("CUDA", "AutogradCUDA"):
            if torch._C._dispatch_has_kernel(name):
                _refuse_at(name, place, functools.partial(_refuse_layout, key, name))


def _operators_of(key: str) -> set[str]:
    """Operators with kernels for a layout: in builds with CUDA its own, in others those that the CPU has."""
    registered = torch._C._dispatch_get_registrations_for_dispatch_key
    return {*registered(key), *registered(key.replace("CUDA", "CPU"))}


def _refuse_at(name: str, key: str, refuse: Callable[..., Any]) -> None:
    namespace, _, short = name.partition("::")
    library(namespace).impl(short, refuse, key, allow_override=True)


def _refuse_operator_of(key: str, op: OpOverload, *_: Any, **__: Any) -> None:
    _refuse_layout(key, op._schema.name)


def _refuse_layout(key: str, name: str, *_: Any, **__: Any) -> None:
    layout = key.removesuffix("CUDA").removesuffix("Tensor").lower().replace("sparsecsr", "sparse CSR")
    raise NotSimulated(f"a {layout} tensor ({name.partition('.')[0]})", _DENSE)


def refuse_layout_of(tensor: Tensor, operator: str) -> None:
    """Raise NotSimulated for a result that is not a plain tensor."""
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_nested:
        layout = (
            "quantized" if tensor.is_quantized else str(tensor.layout).removeprefix("torch.").replace("_", " ").strip()
        )
        raise NotSimulated(f"a {layout.replace('_', ' ')} tensor ({operator})", _DENSE)


_LEFT_OUT = (
    "aten::quantize_per",
    "aten::_empty_affine_quant",
    "aten::_nested_tensor_from",
    "aten::_nested_from_padded",
)
"""How the operators begin whose results are no plain tensors, without showing it."""


def refuse_operator(name: str) -> None:
    """Raise NotSimulated for an operator whose result would be wrong."""
    if name.startswith(_LEFT_OUT):
        layout = "nested" if "nested" in name else "quantized"
        raise NotSimulated(f"a {layout} tensor ({name})", _DENSE)


def refusal(what: str, instead: str) -> Callable[..., Any]:
    """A function that raises NotSimulated."""

    def refuse(*_: Any, **__: Any) -> None:
        raise NotSimulated(what, instead)

    return refuse


def functions() -> dict[str, Any]:
    """Functions of ``torch._C`` that refuse."""
    graphs = refusal("a CUDA graph", _GRAPHS)
    handles = refusal("a handle of cuBLAS or cuSOLVER", "use torch's operators")
    allocators = refusal("an allocator of your own", "leave memory to torch")
    pools = {f"_cuda_{name}": refusal("a memory pool", "leave memory to torch") for name in _POOLS}
    return pools | {
        "_cuda_getCurrentBlasHandle": handles,
        "_cuda_getCurrentSolverHandle": handles,
        "_cuda_cudaHostAllocator": allocators,
        "_cuda_cudaCachingAllocator_raw_alloc": allocators,
        "_cuda_cudaCachingAllocator_raw_delete": allocators,
        "_cuda_customAllocator": allocators,
        "_cuda_changeCurrentAllocator": allocators,
        "_cuda_getAllocator": allocators,
        "_cuda_jiterator_compile_and_launch_kernel": refusal("a kernel compiled at run time", "use torch's operators"),
        "_graph_pool_handle": graphs,
        "_cuda_getCheckpointState": graphs,
        "_cuda_setCheckpointPoolState": graphs,
        "_cuda_tunableop_is_enabled": lambda: False,
        "_cuda_tunableop_tuning_is_enabled": lambda: False,
    }


def patch() -> None:
    """Replace what would fail in an unclear way, or wait for a GPU."""
    replace(torch._C, functions())
    readings = {name: refusal("a reading of the hardware", "there is no hardware") for name in _READINGS}
    graph = _class("CUDAGraph", "a CUDA graph", _GRAPHS)
    pool = _class("MemPool", "a memory pool", "leave memory to torch")
    replace(torch.cuda, {"CUDAGraph": graph, "MemPool": pool, **readings})
    handle = refusal("a CUDA graph", _GRAPHS)
    replace(torch.cuda.graphs, {"CUDAGraph": graph, "_graph_pool_handle": handle})
    replace(torch.cuda.graphs, {"_cuda_isCurrentStreamCapturing": lambda: False})
    answered = ("is_enabled", "tuning_is_enabled")
    tuning = [name for name in torch.cuda.tunable.__all__ if name not in answered]
    replace(torch.cuda.tunable, dict.fromkeys(tuning, refusal("tuning of kernels", _TUNING)))
    library_of_gpus = refusal("NCCL itself", 'torch.distributed takes "nccl" as a name for gloo')
    replace(torch.cuda.nccl, {"version": library_of_gpus, "unique_id": library_of_gpus})
    sharing = refusal("sharing a tensor with another process", "send tensor.cpu()")
    replace(torch.UntypedStorage, {"_share_cuda_": sharing, "_new_shared_cuda": sharing})
    replace(torch.cuda.nvtx, {"_nvtx": _Ranges()})
    compile_ = torch._TorchCompileInductorWrapper.__call__
    replace(torch._TorchCompileInductorWrapper, {"__call__": functools.partialmethod(_compile, compile_)})


def _class(name: str, what: str, instead: str) -> type:
    """A class that cannot be instantiated."""
    return type(name, (), {"__module__": "torch.cuda", "__new__": refusal(what, instead)})


def _compile(self: Any, compile_: Callable[..., Any], model: Any, inputs: Any) -> Any:
    if any(isinstance(each, Tensor) and each.is_cuda for each in inputs):
        raise NotSimulated("torch.compile with inductor", 'use torch.compile(..., backend="aot_eager"), or the CPU')
    return compile_(self, model, inputs)


class _Ranges:
    """Marks for NVIDIA's profiler, which nobody reads."""

    def __init__(self) -> None:
        self.depth = 0

    def rangePushA(self, _: str) -> int:  # noqa: N802 - the library's name
        """Begin a range; returns how many were open."""
        self.depth += 1
        return self.depth - 1

    def rangePop(self) -> int:  # noqa: N802 - the library's name
        """End a range; returns how many are open."""
        self.depth -= 1
        return self.depth

    def rangeStartA(self, _: str) -> int:  # noqa: N802 - the library's name
        """Begin a range that another thread may end."""
        return 0

    def rangeEnd(self, _: int) -> None:  # noqa: N802 - the library's name
        """End it."""

    def markA(self, _: str) -> None:  # noqa: N802 - the library's name
        """Mark a moment."""

    deviceRangeStart = rangeStartA  # noqa: N815 - the library's name
    deviceRangeEnd = rangeEnd  # noqa: N815 - the library's name
