"""How much work a call does: Python instructions and torch operations.

Untrusted side. Code whose Python work is the same for small and large inputs is vectorised; a loop, a comprehension
or a recursion over the input shows as more instructions, a `map` over torch functions as more operations.
"""

from __future__ import annotations

import builtins
import contextlib
import functools
import sys
from collections.abc import Callable, Iterator
from types import CodeType, FrameType
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from .codec import Message, Plain

MAX_OPERATIONS = 10_000
_TOOL = 4  # one of the ids of sys.monitoring that no standard tool uses


def measure(function: Callable[..., Any], *arguments: object, **keywords: object) -> tuple[Any, Message]:
    """Return the value of ``function(*arguments, **keywords)`` and what it cost.

    The cost has ``instructions`` (Python bytecode instructions executed) and ``operations`` (the names of the torch
    operations below autograd, in order, for example ``"aten.eye.m_out"``, at most ``MAX_OPERATIONS``). To print
    something and to write a tensor as text cost nothing, however large it is.
    """
    showing = _Showing()
    counter = _InstructionCounter(showing)
    recorder = _OperationRecorder(showing)
    with showing.noticed(), recorder, counter.counting():
        value = function(*arguments, **keywords)
    return value, {"instructions": counter.instructions, "operations": recorder.names}


class _Showing:
    """Whether something is being shown: a tensor's text alone takes more instructions the larger it is."""

    def __init__(self) -> None:
        self._depth = 0

    def __bool__(self) -> bool:
        return self._depth > 0

    @contextlib.contextmanager
    def noticed(self) -> Iterator[None]:
        """Notice when something is printed, or a tensor is written as text."""
        places: list[tuple[Any, str]] = [(builtins, "print"), (torch._tensor_str, "_str")]
        originals = [vars(module)[name] for module, name in places]
        for (module, name), original in zip(places, originals, strict=True):
            setattr(module, name, self._noticing(original))
        try:
            yield
        finally:
            for (module, name), original in zip(places, originals, strict=True):
                setattr(module, name, original)

    def _noticing(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def shown(*arguments: Any, **keywords: Any) -> Any:
            self._depth += 1
            try:
                return function(*arguments, **keywords)
            finally:
                self._depth -= 1

        return shown


class _InstructionCounter:
    """Counts the Python instructions that run, other than those of this module and those that show something."""

    def __init__(self, showing: _Showing) -> None:
        self._showing = showing
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
            self.instructions += code.co_filename != __file__ and not self._showing

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
            self.instructions += event == "opcode" and not self._showing
            return self._step


class _OperationRecorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Notes the name of each torch operation and runs it."""

    def __init__(self, showing: _Showing) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._showing = showing
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
        if len(self.names) < MAX_OPERATIONS and not self._showing:
            self.names.append(str(function))
        return function(*arguments, **(keywords or {}))
