"""Auto-graded PyTorch exercises on top of nbgrader."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .expectation import expect
    from .findings import Misconception

__all__ = ["Misconception", "__version__", "expect"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # late: it imports torch, which nbgrader's configuration, the command line and the zygote need not wait for
    if name == "expect":
        from .expectation import expect

        return expect
    if name == "Misconception":
        from .findings import Misconception

        return Misconception
    if name == "load_ipython_extension":
        from .practice.magics import load

        return load
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
