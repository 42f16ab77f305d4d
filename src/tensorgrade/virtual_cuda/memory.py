"""What each device has allocated, and what happens when it has no more.

A storage is counted from when it is made until it is freed, in blocks of 512 bytes as CUDA's caching allocator does
(https://docs.pytorch.org/docs/stable/notes/cuda.html#memory-management). Nothing is reserved beyond what is allocated.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .aliasing import on_device
from .devices import machine

_BLOCK = 512


@dataclass(slots=True)
class Account:
    """Bytes and blocks of one device: now, the most there were, and all there ever were."""

    bytes: int = 0
    peak: int = 0
    allocated: int = 0
    blocks: int = 0
    peak_blocks: int = 0
    allocated_blocks: int = 0

    def open(self, size: int) -> None:
        """Add a block of `size` bytes."""
        self.bytes += size
        self.allocated += size
        self.blocks += 1
        self.allocated_blocks += 1
        self.peak = max(self.peak, self.bytes)
        self.peak_blocks = max(self.peak_blocks, self.blocks)

    def reset_peak(self) -> None:
        """Let the most be what there is now."""
        self.peak, self.peak_blocks = self.bytes, self.blocks


accounts: list[Account] = []


class _Block(weakref.ref[Any]):
    """A live storage; its death closes it in its account."""

    __slots__ = ("account", "size")
    account: Account
    size: int


_blocks: set[_Block] = set()


def _close(block: _Block, blocks: Callable[[_Block], None] = _blocks.discard) -> None:
    block.account.bytes -= block.size
    block.account.blocks -= 1
    blocks(block)


def adopt(tensor: Tensor, index: int) -> Tensor:
    """Turn a CPU tensor that nobody else has into one of device `index`; raises OutOfMemoryError."""
    adopted = on_device(tensor, index)
    storage = adopted.untyped_storage()
    size = storage.nbytes()
    if size:
        size = -(-size // _BLOCK) * _BLOCK
        account = accounts[index]
        if account.bytes + size > machine.memory:
            raise out_of_memory(size, index)
        account.open(size)
        block = _Block(storage, _close)
        block.account, block.size = account, size
        _blocks.add(block)
    return adopted


def require_room(size: int, index: int) -> None:
    """Raise OutOfMemoryError unless device `index` has room for `size` bytes more."""
    if accounts[index].bytes + size > machine.memory:
        raise out_of_memory(size, index)


def out_of_memory(size: int, index: int) -> torch.OutOfMemoryError:
    """The error of a device that has no room for `size` bytes more, in CUDA's words."""
    used = accounts[index].bytes
    return torch.OutOfMemoryError(
        f"CUDA out of memory. Tried to allocate {_size(size)}. GPU {index} has a total capacity of "
        f"{_size(machine.memory)} of which {_size(machine.memory - used)} is free. Including non-PyTorch memory, this "
        f"process has {_size(used)} memory in use. Of the allocated memory {_size(used)} is allocated by PyTorch, and "
        "0 bytes is reserved by PyTorch but unallocated. If reserved but unallocated memory is large try setting "
        "PYTORCH_ALLOC_CONF=expandable_segments:True to avoid fragmentation.  See documentation for Memory Management  "
        "(https://pytorch.org/docs/stable/notes/cuda.html#environment-variables)"
    )


def _size(size: int) -> str:
    """A number of bytes as CUDA's allocator writes it."""
    if size <= 1024:
        return f"{size} bytes"
    if size <= 1 << 20:
        return f"{size / 1024:.2f} KiB"
    if size <= 1 << 30:
        return f"{size / (1 << 20):.2f} MiB"
    return f"{size / (1 << 30):.2f} GiB"


def statistics(index: int) -> dict[str, Any]:
    """What ``torch.cuda.memory_stats`` is made of."""
    account = accounts[index]
    sizes = _figures(account.bytes, account.peak, account.allocated)
    blocks = _figures(account.blocks, account.peak_blocks, account.allocated_blocks)
    none = _figures(0, 0, 0)
    by_size = ("allocated_bytes", "reserved_bytes", "active_bytes", "requested_bytes")
    by_block = ("allocation", "segment", "active")
    unused = ("inactive_split", "inactive_split_bytes")
    return {
        **{name: _pools(sizes, none) for name in by_size},
        **{name: _pools(blocks, none) for name in by_block},
        **{name: _pools(none, none) for name in unused},
        "num_alloc_retries": 0,
        "num_ooms": 0,
        "num_sync_all_streams": 0,
        "num_device_alloc": account.allocated_blocks,
        "num_device_free": account.allocated_blocks - account.blocks,
        "oversize_allocations": none,
        "oversize_segments": none,
        "max_split_size": -1,
    }


def _figures(now: int, most: int, ever: int) -> dict[str, int]:
    return {"current": now, "peak": most, "allocated": ever, "freed": ever - now}


def _pools(all_of_them: dict[str, int], none: dict[str, int]) -> dict[str, dict[str, int]]:
    return {"all": dict(all_of_them), "small_pool": dict(all_of_them), "large_pool": dict(none)}
