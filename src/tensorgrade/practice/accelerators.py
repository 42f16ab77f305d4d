"""Accelerators for a notebook at home: virtual ones, where there are no real ones.

On the student's side. What the first cell of a released notebook calls; in grading, where a process has its
accelerators before its first cell, this changes nothing.
"""

from __future__ import annotations

import torch


def provide(count: int) -> str:
    """See to it that this process has accelerators; returns a sentence that says which.

    Real GPUs are left as they are. A process that has virtual ones, or was given none on purpose, keeps that.
    """
    from tensorgrade import virtual_cuda

    if virtual_cuda.enabled_devices() is None and not torch.cuda.is_available():
        try:
            virtual_cuda.enable(devices=count)
        except virtual_cuda.VirtualCudaError as error:
            return f"There are no virtual GPUs: {error}"
    kind = "virtual " if virtual_cuda.enabled_devices() else ""
    return f"This notebook has {torch.cuda.device_count()} {kind}GPU(s)."
