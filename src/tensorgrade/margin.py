"""How much of a tolerance answers use up: what graders' tolerances are calibrated by.

Trusted side. `expectation` notes each comparison that allows for rounding; nobody listens unless a test is `measured`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass

import torch


@dataclass
class Margin:
    """The largest error of all comparisons so far, as a fraction of what was allowed; None without a comparison."""

    used: float | None = None

    def note(self, used: float) -> None:
        """Note the error of one more comparison, a fraction of the tolerance."""
        if not math.isnan(used):
            self.used = max(used, self.used or 0.0)


_listening: ContextVar[Margin | None] = ContextVar("_listening", default=None)


@contextlib.contextmanager
def measured() -> Iterator[Margin]:
    """Measure the comparisons that are made meanwhile."""
    token = _listening.set(margin := Margin())
    try:
        yield margin
    finally:
        _listening.reset(token)


def note_comparison(got: torch.Tensor, expected: torch.Tensor, rtol: float, atol: float) -> None:
    """Note the errors of two tensors of equal shape and dtype; exact comparisons have no tolerance to use up."""
    margin = _listening.get()
    if margin is None or not (rtol or atol) or not got.numel():
        return
    error = (got - expected).abs()
    used = torch.where(got == expected, 0.0, error / (atol + rtol * expected.abs()))
    margin.note(float(used.nan_to_num(nan=0.0).max()))
