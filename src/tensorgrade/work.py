"""How much work a call does: Python instructions and torch operations.

Untrusted side. Code whose Python work is the same for small and large inputs is vectorised; a loop, a comprehension
or a recursion over the input shows as more instructions, a `map` over torch functions as more operations.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from .codec import Message, Plain

MAX_OPERATIONS = 10_000


def measure(function: Callable[..., Any], *arguments: object, **keywords: object) -> tuple[Any, Message]:
    """Return the value of ``function(*arguments, **keywords)`` and what it cost.

    The cost has ``instructions`` (Python bytecode instructions executed) and ``operations`` (the names of the torch
    operations below autograd, in order, for example ``"aten.eye.m_out"``, at most ``MAX_OPERATIONS``).
    """
    counter = _InstructionCounter()
    recorder = _OperationRecorder()
    previous = sys.gettrace()
    with recorder:
        sys.settrace(counter.enter)
        try:
            value = function(*arguments, **keywords)
        finally:
            sys.settrace(previous)
    return value, {"instructions": counter.instructions, "operations": recorder.names}


class _InstructionCounter:
    """A trace function that counts instructions, other than those of this module."""

    def __init__(self) -> None:
        self.instructions = 0

    def enter(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        if frame.f_code.co_filename == __file__:
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._step

    def _step(self, frame: FrameType, event: str, _: object) -> Callable[..., Any]:
        if event == "opcode":
            self.instructions += 1
        return self._step


class _OperationRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the name of each torch operation and runs it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[Plain] = []

    def __torch_dispatch__(
        self,
        function: Callable[..., object],
        types: object,
        arguments: tuple[object, ...] = (),
        keywords: dict[str, object] | None = None,
    ) -> object:
        if len(self.names) < MAX_OPERATIONS:
            self.names.append(str(function))
        return function(*arguments, **(keywords or {}))
