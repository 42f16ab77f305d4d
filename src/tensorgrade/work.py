"""How much work a call does: Python instructions and torch operations.

Untrusted side. Code whose Python work is the same for small and large inputs is vectorised; a loop, a comprehension
or a recursion over the input shows as more instructions, a `map` over torch functions as more operations.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from .codec import Message, Plain

MAX_OPERATIONS = 10_000
_TOOL = 4  # one of the ids of sys.monitoring that no standard tool uses


def measure(function: Callable[..., Any], *arguments: object, **keywords: object) -> tuple[Any, Message]:
    """Return the value of ``function(*arguments, **keywords)`` and what it cost.

    The cost has ``instructions`` (Python bytecode instructions executed) and ``operations`` (the names of the torch
    operations below autograd, in order, for example ``"aten.eye.m_out"``, at most ``MAX_OPERATIONS``).
    """
    counter = _InstructionCounter()
    recorder = _OperationRecorder()
    with recorder, counter.counting():
        value = function(*arguments, **keywords)
    return value, {"instructions": counter.instructions, "operations": recorder.names}


class _InstructionCounter:
    """Counts the Python instructions that run, other than those of this module."""

    def __init__(self) -> None:
        self.instructions = 0

    if sys.version_info >= (3, 12):
        # a trace function misses the instructions of code that it meets for the first time there

        @contextlib.contextmanager
        def counting(self) -> Iterator[None]:
            monitoring, event = sys.monitoring, sys.monitoring.events.INSTRUCTION
            monitoring.use_tool_id(_TOOL, "tensorgrade")
            monitoring.register_callback(_TOOL, event, self._executed)
            monitoring.set_events(_TOOL, event)
            try:
                yield
            finally:
                monitoring.set_events(_TOOL, 0)
                monitoring.register_callback(_TOOL, event, None)
                monitoring.free_tool_id(_TOOL)

        def _executed(self, code: CodeType, _: int) -> None:
            self.instructions += code.co_filename != __file__

    else:

        @contextlib.contextmanager
        def counting(self) -> Iterator[None]:
            previous = sys.gettrace()
            sys.settrace(self._enter)
            try:
                yield
            finally:
                sys.settrace(previous)

        def _enter(self, frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
            if frame.f_code.co_filename == __file__:
                return None
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
            return self._step

        def _step(self, frame: FrameType, event: str, _: object) -> Callable[..., Any]:
            self.instructions += event == "opcode"
            return self._step


class _OperationRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the name of each torch operation and runs it."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.names: list[Plain] = []

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here, and to make sure of that would import the compiler: a second

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
