"""The collectives of ``torch._C`` behind ``nn.DataParallel``: scatter, broadcast, gather.

`torch.nn.parallel`, `torch.nn.DataParallel` and `torch.cuda.comm` themselves stay as torch wrote them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from . import devices, tracing


def _shapes(tensors: Sequence[Tensor]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(tensor.shape) for tensor in tensors)


def _to(tensor: Tensor, index: int) -> Tensor:
    """The tensor on a device, or on the CPU for -1; itself when it is there."""
    return tensor.to(devices.CPU if index < 0 else devices.device(index))


def _require_devices(indices: Sequence[int], what: str) -> None:
    if not indices:
        raise RuntimeError(f"Expected at least one device to {what}")
    for index in indices:
        devices.require(index)


def scatter(
    tensor: Tensor, indices: Sequence[int], chunk_sizes: Sequence[int] | None, dim: int, streams: Any = None
) -> tuple[Tensor, ...]:
    """Split a tensor and put each part on its device; fewer parts than devices when it is too short."""
    _require_devices(indices, "scatter to")
    if chunk_sizes is None:
        parts = tensor.chunk(len(indices), dim)
    else:
        _require_sizes(tensor, indices, chunk_sizes, dim)
        parts = torch.split(tensor, list(chunk_sizes), dim)
    if tracing.traces:
        places = tuple(devices.device(index) for index in indices[: len(parts)])
        tracing.record(tracing.Scatter(tensor.device, _shapes(parts), places))
    return tuple(_to(part, index) for part, index in zip(parts, indices, strict=False))


def _require_sizes(tensor: Tensor, indices: Sequence[int], sizes: Sequence[int], dim: int) -> None:
    if len(sizes) != len(indices):
        raise RuntimeError(
            f"Expected devices and chunk_sizes to be of same length, but got len(devices) = {len(indices)} and "
            f"len(chunk_sizes) = {len(sizes)}"
        )
    if sum(sizes) != tensor.shape[dim]:
        raise RuntimeError(
            f"given chunk sizes don't sum up to the tensor's size (sum(chunk_sizes) == {sum(sizes)}, but expected "
            f"{tensor.shape[dim]})"
        )


def scatter_out(tensor: Tensor, out: Sequence[Tensor], dim: int, streams: Any = None) -> Sequence[Tensor]:
    """Split a tensor into tensors that are there."""
    parts = torch.split(tensor, [each.shape[dim] for each in out], dim)
    if tracing.traces:
        tracing.record(tracing.Scatter(tensor.device, _shapes(parts), tuple(each.device for each in out)))
    for each, part in zip(out, parts, strict=True):
        each.copy_(part)
    return out


def gather(tensors: Sequence[Tensor], dim: int, destination: int | None) -> Tensor:
    """Join tensors of devices on one of them, or on the CPU for -1."""
    _require_parts(tensors)
    index = devices.current() if destination is None else destination
    if index >= 0:
        devices.require(index)
    _trace_gather(tensors, devices.CPU if index < 0 else devices.device(index))
    return torch.cat([_to(tensor, index) for tensor in tensors], dim)


def gather_out(tensors: Sequence[Tensor], out: Tensor, dim: int) -> Tensor:
    """Join tensors of devices in one that is there."""
    _require_parts(tensors)
    _trace_gather(tensors, out.device)
    return out.copy_(torch.cat([tensor.to(out.device) for tensor in tensors], dim))


def _require_parts(tensors: Sequence[Tensor]) -> None:
    if not tensors:
        raise RuntimeError("Expected at least one tensor to gather from")
    for position, tensor in enumerate(tensors):
        if not tensor.is_cuda:
            raise RuntimeError(f"Expected all input tensors to be CUDA tensors, but tensor at index {position} is not")


def _trace_gather(tensors: Sequence[Tensor], destination: torch.device) -> None:
    if tracing.traces:
        places = tuple(tensor.device for tensor in tensors)
        tracing.record(tracing.Gather(_shapes(tensors), places, destination))


def broadcast(tensor: Tensor, indices: Sequence[int]) -> list[Tensor]:
    """A copy of a tensor on each device; itself on its own."""
    return [group[0] for group in broadcast_coalesced([tensor], indices, 0)]


def broadcast_out(tensor: Tensor, out: Sequence[Tensor]) -> Sequence[Tensor]:
    """Copy a tensor into others."""
    for each in out:
        each.copy_(tensor)
    return out


def broadcast_coalesced(tensors: Sequence[Tensor], indices: Sequence[int], buffer_size: int) -> list[list[Tensor]]:
    """For each device its copies of the tensors; themselves on their own."""
    _require_devices(indices, "broadcast to")
    first = devices.device(indices[0])
    for tensor in tensors:
        if tensor.is_cuda and tensor.device != first:
            raise RuntimeError(f"all tensors must be on devices[0]: {indices[0]}")
    if tracing.traces and tensors:
        places = tuple(map(devices.device, indices))
        tracing.record(tracing.Replicate(tensors[0].device, _shapes(tensors), places))
    return [[_to(tensor, index) for tensor in tensors] for index in indices]


FUNCTIONS = {
    "_scatter": scatter,
    "_scatter_out": scatter_out,
    "_gather": gather,
    "_gather_out": gather_out,
    "_broadcast": broadcast,
    "_broadcast_out": broadcast_out,
    "_broadcast_coalesced": broadcast_coalesced,
}
"""The functions by their names in ``torch._C``."""
