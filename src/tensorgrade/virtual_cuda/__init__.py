"""Virtual CUDA devices for PyTorch, on a machine without a GPU.

    from tensorgrade import virtual_cuda
    virtual_cuda.enable(devices=2)

After this `torch.cuda` and `torch.accelerator` tell of two devices. Their tensors are real ones, with real values that
the CPU computes; devices are checked as CUDA checks them, with the same errors. autograd, modules, optimizers,
``nn.DataParallel`` and ``DistributedDataParallel`` are torch's own. `trace` tells what happened. Imports torch alone.
"""

from __future__ import annotations

from .aliasing import cpu_view
from .enabling import enable, enabled_devices, prepare
from .errors import AlreadyEnabled, NotSimulated, RealGpuPresent, UnsupportedTorch, VirtualCudaError
from .tracing import (
    Collective,
    Copy,
    Event,
    Gather,
    Operation,
    Replicate,
    Scatter,
    StreamEvent,
    Synchronize,
    Trace,
    trace,
)

__all__ = [
    "AlreadyEnabled",
    "Collective",
    "Copy",
    "Event",
    "Gather",
    "NotSimulated",
    "Operation",
    "RealGpuPresent",
    "Replicate",
    "Scatter",
    "StreamEvent",
    "Synchronize",
    "Trace",
    "UnsupportedTorch",
    "VirtualCudaError",
    "cpu_view",
    "enable",
    "enabled_devices",
    "prepare",
    "trace",
]
