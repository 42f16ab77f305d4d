"""What `tensorgrade.virtual_cuda` raises on its own behalf; everything else is worded as CUDA words it.

VirtualCudaError (RuntimeError)
├── AlreadyEnabled       `enable` was called before with something else
├── RealGpuPresent       this process has real GPUs, which are never mixed with virtual ones
├── UnsupportedTorch     this torch is older than what was tested, or is built in a way that is not understood
└── NotSimulated         a part of CUDA that virtual devices do not have; the message says what to do instead
"""

from __future__ import annotations


class VirtualCudaError(RuntimeError):
    """Base of the errors above."""


class AlreadyEnabled(VirtualCudaError):
    """`enable` was called before with something else."""


class RealGpuPresent(VirtualCudaError):
    """This process has real GPUs."""


class UnsupportedTorch(VirtualCudaError):
    """This torch cannot be given virtual devices."""


class NotSimulated(VirtualCudaError):
    """A part of CUDA that virtual devices do not have."""

    def __init__(self, what: str, instead: str) -> None:
        super().__init__(f"{what} is not simulated by virtual CUDA devices; {instead}")
