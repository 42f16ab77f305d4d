"""Memory that nobody has written to, made visible: it is often zero by chance."""

import contextlib

import torch


@contextlib.contextmanager
def filled_with_noise():
    """Let torch fill new memory with NaN, or with the largest integer; for probes."""
    before = torch.get_deterministic_debug_mode()
    torch.set_deterministic_debug_mode("warn")  # use_deterministic_algorithms() imports the compiler: half a second
    try:
        yield
    finally:
        torch.set_deterministic_debug_mode(before)
