"""Backward on virtual devices: in the thread that called it.

torch's engine has a thread per CUDA device and hands work to them. A virtual device has none, which keeps processes
free to fork; the engine then works in the calling thread, as it does for the CPU.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch.autograd import graph

from .patching import replace


def patch() -> None:
    """Let the engine work in the calling thread."""
    inline = _inline(graph._engine_run_backward)
    replace(graph, {"_engine_run_backward": inline})
    replace(torch.autograd, {"_engine_run_backward": inline})


def _inline(run_backward: Callable[..., Any]) -> Callable[..., Any]:
    is_enabled, enable = torch._C._is_multithreading_enabled, torch._C._set_multithreading_enabled

    @functools.wraps(run_backward)
    def run(*args: Any, **kwargs: Any) -> Any:
        before = is_enabled()
        enable(False)
        try:
            return run_backward(*args, **kwargs)
        finally:
            enable(before)

    return run
