"""`Submission`: what a hidden grader holds of a student's notebook.

Trusted side. Arguments and probes go into the submission process, observations come back and are judged here.

    expect(submission.call("identity", 2, 3, torch.int64)).equals(torch.eye(2, 3))
"""

from __future__ import annotations

import copy
import functools
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar

from .codec import MAX_PAYLOAD, Message, Plain
from .errors import GraderError, ProtocolError, SubmissionFailure, TimeLimitExceeded
from .findings import Finding, Mismatch, finding, public_error
from .group import Question, Ranks
from .limits import Allowance, limit_behind
from .observation import MAX_NAME, Observed, read
from .observer import Observer
from .parcel import pack, unpack

Kind = TypeVar("Kind")

WORK_SLACK = 40
MAX_ERROR_TYPES = 100
MAX_ERROR_TEXT = 2000


class Machine(Protocol):
    """Where a submission runs: gives the process that answers, and what it may use."""

    allowance: Allowance

    def request(self, message: Message) -> Message:
        """Send one request to a snapshot; raises a `SubmissionFailure`."""

    def discard(self) -> None:
        """Let the next request go to a fresh snapshot."""

    def request_ranks(self, count: int, requests: Callable[[str], list[Message]]) -> list[Message | SubmissionFailure]:
        """Send requests to `count` new processes that can reach each other; what each answered, or why it did not.

        `requests` makes them from the folder that the processes share. Raises a `SubmissionFailure`.
        """

    def with_accelerators(self, count: int) -> Machine:
        """The same submission on a machine with `count` accelerators; raises `GraderError` if there is none."""


@dataclass(frozen=True)
class RaisedError:
    """An exception of the student's code.

    Attributes:
        types: the names of its types, its own first.
        text: its message.
        limit: what to tell when it comes from a limit that was exceeded, else None.
    """

    types: tuple[str, ...]
    text: str
    limit: Finding | None = None


@dataclass(frozen=True)
class Attempt:
    """One call of a student's function, whatever came of it.

    Attributes:
        name: the function.
        value: what it returned; None when it raised.
        error: what it raised, or None.
        arguments, keywords: the arguments after the call; identities and storages can be compared with those of
            `value`.
        sent: the arguments as they were packed, before the call.
        instructions, operations: what the call cost (see `tensorgrade.work`), if it was measured.
    """

    name: str
    value: Observed
    error: RaisedError | None
    arguments: tuple[Observed, ...]
    keywords: dict[str, Observed]
    sent: bytes
    instructions: int = 0
    operations: tuple[str, ...] = ()

    @property
    def before(self) -> tuple[Observed, ...]:
        """The positional arguments before the call."""
        return self._before[0]

    @property
    def keywords_before(self) -> dict[str, Observed]:
        """The keyword arguments before the call."""
        return self._before[1]

    @functools.cached_property
    def _before(self) -> tuple[tuple[Observed, ...], dict[str, Observed]]:
        observer = Observer()
        arguments, keywords = unpack(self.sent)
        return _tuple(observer.describe(list(arguments))), _dict(observer.describe(keywords))

    def returned(self) -> Observed:
        """The value; raises `Mismatch` when the call raised."""
        if self.error is not None:
            raised = finding("raised", _told(self.error), name=self.name, error=public_error(self.error.types))
            raise Mismatch(self.error.limit or raised)
        return self.value


class Submission:
    """A student's notebook, run up to the test cell of one exercise."""

    def __init__(
        self, machine: Machine, graders: Path, pause: Callable[[], AbstractContextManager[None]] = nullcontext
    ) -> None:
        self._machine = machine
        self._pause = pause
        self._modules = _ModulesUnder(graders)

    def call(self, name: str, *arguments: object, **keywords: object) -> Observed:
        """Call the student's function `name` and return the observation of its value.

        Arguments may be tensors (``requires_grad``, ``.grad``, strides and aliasing are kept), modules, functions of
        the grader and plain data. Raises `Mismatch` when the name is undefined or the function raises, and
        `GraderError` for arguments that cannot be sent.
        """
        return self.attempt(name, *arguments, **keywords).returned()

    def attempt(self, name: str, *arguments: object, **keywords: object) -> Attempt:
        """Call the student's function `name` and return what came of it, also when it raised."""
        return self._attempt(self._packed(name, arguments, keywords))

    def calls(self, name: str, cases: Iterable[tuple[object, ...]]) -> list[Attempt]:
        """Attempt the student's function `name` with each tuple of arguments; return what came of each, in order.

        The same as one `attempt` after the other, in a fraction of the time: the cases travel together. Should that
        fail, because the process ends or the time that one call has is over, they are attempted one by one.
        """
        calls = [self._packed(name, arguments, {}) for arguments in cases]
        try:
            return self._together(name, calls)
        except SubmissionFailure:
            self._machine.discard()  # what is attempted again finds the notebook's state as it was
            return [self._attempt(call) for call in calls]

    def run(self, probe: Callable[..., object], *arguments: object, **keywords: object) -> Observed:
        """Run ``probe(student, *arguments, **keywords)`` in the submission process; return what it returns, observed.

        ``student.identity`` is what the notebook calls ``identity``. The probe travels with what it refers to of its
        module: keep expected values out of it and judge the observation instead. Raises `Mismatch` when it raises.
        """
        question = self._probing(probe, arguments, keywords)
        return question.read(self._request(question.request))

    def vectorised(self, name: str, *sizes: tuple[object, ...]) -> Observed:
        """Check that the Python work of `name` is the same for all of `sizes`, tuples of arguments that grow.

        The first tuple only warms up (lazy imports, caches); the others should differ from each other. Returns the
        value for the last of them. Raises `Mismatch` when a call raises, or when more Python instructions or torch
        operations run for a larger input.
        """
        warm, *measured = sizes
        self.call(name, *warm)
        calls = [self._packed(name, arguments, {}) for arguments in measured]
        attempts = [self._attempt(call, measure=True) for call in calls]
        values = [attempt.returned() for attempt in attempts]
        for smaller, larger in pairwise(attempts):
            grown = larger.instructions - smaller.instructions
            if grown > WORK_SLACK or len(larger.operations) > len(smaller.operations):
                detail = f"{grown} more instructions, {len(smaller.operations)} -> {len(larger.operations)} operations"
                raise Mismatch(finding("grows", detail))
        return values[-1]

    def machine(self, accelerators: int) -> Submission:
        """The submission as if run on a machine with so many accelerators, from its first cell on.

        They are virtual, or real ones where that is configured. Raises `GraderError` when there cannot be so many.
        """
        other = copy.copy(self)
        other._machine = self._machine.with_accelerators(accelerators)
        return other

    def ranks(self, count: int, accelerators: int | None = None) -> Ranks[Attempt]:
        """`count` processes of this submission for distributed work, on a machine with so many accelerators.

        They reach each other, and nothing else. Each call or probe gets new ones.
        """
        at = self if accelerators is None else self.machine(accelerators)
        return Ranks(at._machine, count, at._calling, at._probing)

    def _packed(self, name: str, arguments: tuple[object, ...], keywords: dict[str, object]) -> _Call:
        return _Call(name, len(arguments), set(keywords), self._pack((arguments, keywords)))

    def _attempt(self, call: _Call, *, measure: bool = False) -> Attempt:
        question = self._question(call, measure=measure)
        return question.read(self._request(question.request))

    def _calling(self, name: str, arguments: tuple[object, ...]) -> Question[Attempt]:
        return self._question(self._packed(name, arguments, {}))

    def _question(self, call: _Call, *, measure: bool = False) -> Question[Attempt]:
        request: Message = {"do": "call", "name": call.name, "measure": measure, "parcel": call.parcel}
        return Question(request, functools.partial(self._outcome, call))

    def _probing(
        self, probe: Callable[..., object], arguments: tuple[object, ...], keywords: Mapping[str, object] | None = None
    ) -> Question[Observed]:
        parcel = self._pack((probe, arguments, dict(keywords or {})))
        return Question({"do": "probe", "parcel": parcel}, functools.partial(self._probed, probe))

    def _probed(self, probe: Callable[..., object], answer: Message) -> Observed:
        if (name := _undefined(answer, probe)) is not None:
            raise Mismatch(finding("undefined", name=name))
        if (error := self._error(answer)) is not None:
            raise Mismatch(error.limit or finding("probe-raised", _told(error), error=public_error(error.types)))
        return _value(answer)

    def _together(self, name: str, calls: list[_Call]) -> list[Attempt]:
        parcels: list[Plain] = [call.parcel for call in calls]
        answer = self._request({"do": "calls", "name": name, "measure": False, "parcels": parcels})
        if _asked_in_vain(answer) == name:
            raise Mismatch(finding("undefined", name=name))
        answers = _of_type(list, answer.get("answers"))
        if len(answers) != len(calls):
            raise ProtocolError("there are more or fewer answers than calls")
        return [self._outcome(call, _of_type(dict, one)) for call, one in zip(calls, answers, strict=True)]

    def _outcome(self, call: _Call, answer: Message) -> Attempt:
        if "arguments" not in answer and _asked_in_vain(answer) == call.name:
            raise Mismatch(finding("undefined", name=call.name))
        arguments, keywords = _tuple(answer.get("arguments")), _dict(answer.get("keywords"))
        if len(arguments) != call.arguments or set(keywords) != call.keywords:
            raise ProtocolError("a call's answer has other arguments than the call")
        error = self._error(answer)
        return Attempt(
            name=call.name,
            value=_value(answer) if error is None else None,
            error=error,
            arguments=arguments,
            keywords=keywords,
            sent=call.parcel,
            instructions=_of_type(int, answer.get("instructions", 0)),
            operations=tuple(_of_type(str, name) for name in _of_type(list, answer.get("operations", []))),
        )

    def _pack(self, value: object) -> bytes:
        parcel = pack(value, self._modules.loaded())
        if len(parcel) > MAX_PAYLOAD:
            raise GraderError(f"{len(parcel)} bytes of arguments are more than the {MAX_PAYLOAD} that can be sent")
        return parcel

    def _request(self, message: Message) -> Message:
        with self._pause():
            answer = self._machine.request(message)
        if answer.get("interrupted"):
            raise TimeLimitExceeded(f"a call ran longer than {self._machine.allowance.seconds:g} s")
        return answer

    def _error(self, answer: Message) -> RaisedError | None:
        if answer.get("error") is None:
            return None
        error = _of_type(dict, answer["error"])
        types = [_of_type(str, name)[:MAX_NAME] for name in _of_type(list, error.get("types"))[:MAX_ERROR_TYPES]]
        text = _of_type(str, error.get("text"))[:MAX_ERROR_TEXT]
        key = limit_behind(f"{' '.join(types)}: {text}")
        limit = finding(f"limit-{key}", text, limit=self._machine.allowance.told(key)) if key else None
        return RaisedError(tuple(types), text, limit)


@dataclass(frozen=True)
class _Call:
    """A call to make: how many arguments it has, the names of its keywords, and all of them packed."""

    name: str
    arguments: int
    keywords: set[str]
    parcel: bytes


class _ModulesUnder:
    """The modules that were imported from a folder: a grader and its helpers."""

    def __init__(self, folder: Path) -> None:
        self._inside = f"{folder}{os.sep}"
        self._seen: tuple[int, str | None] = (0, None)
        self._loaded: list[ModuleType] = []

    def loaded(self) -> list[ModuleType]:
        """Those there are now; looks for them when something has been imported since the last time."""
        last = next(reversed(sys.modules), None)  # what is new stands at the end
        if self._seen != (len(sys.modules), last):
            self._seen = len(sys.modules), last
            self._loaded = [module for module in list(sys.modules.values()) if self._contains(module)]
        return self._loaded

    def _contains(self, module: object) -> bool:
        file = getattr(module, "__file__", None)
        return isinstance(file, str) and file.startswith(self._inside) and isinstance(module, ModuleType)


def _asked_in_vain(answer: Message) -> str | None:
    """The name that the notebook does not define, as the submission process says."""
    error = answer.get("error")
    name = error.get("undefined") if isinstance(error, dict) else None
    return name if isinstance(name, str) else None


def _undefined(answer: Message, probe: Callable[..., object]) -> str | None:
    """The name that `probe` asked for in vain; only names that stand in the probe are believed."""
    name = _asked_in_vain(answer)
    code = getattr(probe, "__code__", None)
    return name if code is not None and name in code.co_names else None


def _of_type(kind: type[Kind], value: object) -> Kind:
    if type(value) is not kind:
        raise ProtocolError(f"an answer has something else where it should have a {kind.__name__}")
    return value


def _value(answer: Message) -> Observed:
    if "value" not in answer:
        raise ProtocolError("an answer has neither a value nor an error")
    return read(answer["value"])


def _told(error: RaisedError) -> str:
    return f"({error.types[0] if error.types else 'error'}: {error.text})"


def _tuple(plain: Plain) -> tuple[Observed, ...]:
    items = read(plain)
    if not isinstance(items, list):
        raise ProtocolError("arguments are not described as a list")
    return tuple(items)


def _dict(plain: Plain) -> dict[str, Observed]:
    items = read(plain)
    if not isinstance(items, dict):
        raise ProtocolError("keywords are not described as a dict")
    return items
