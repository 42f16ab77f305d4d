"""`Submission`: what a hidden grader holds of a student's notebook.

Trusted side. Arguments and probes go into the submission process, observations come back and are judged here.

    expect(submission.call("identity", 2, 3, torch.int64)).equals(torch.eye(2, 3))
"""

from __future__ import annotations

import copy
import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Protocol, TypeVar

from .attempt import (
    Asked,
    Attempt,
    Journal,
    RaisedError,
    of_type,
    read_dict,
    read_error,
    read_tuple,
    read_value,
    told_call,
    told_probe,
)
from .codec import MAX_PAYLOAD, Message, Plain
from .containment import modules_in
from .errors import GraderError, ProtocolError, SubmissionFailure, TimeLimitExceeded
from .findings import Mismatch, finding
from .group import Question, Ranks
from .limits import Allowance, limit_behind
from .observation import Observed
from .parcel import pack

__all__ = ["Attempt", "Machine", "RaisedError", "Submission"]

WORK_SLACK = 40

Result = TypeVar("Result")


class Machine(Protocol):
    """Where a submission runs: gives the process that answers, and what it may use."""

    @property
    def allowance(self) -> Allowance:
        """What may be used for a request."""

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


class Submission:
    """A student's notebook, run up to the test cell of one exercise."""

    def __init__(
        self,
        machine: Machine,
        graders: Path,
        pause: Callable[[], AbstractContextManager[None]] = nullcontext,
        cells: Sequence[str] = (),
        journal: Journal | None = None,
    ) -> None:
        self._machine = machine
        self._pause = pause
        self._cells = cells
        self._journal = journal or Journal()
        self._graders = graders
        self._imported: tuple[int, str | None] = (0, None)
        self._modules: list[ModuleType] = []

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
        return self._answered(self._probing(probe, arguments, keywords))

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
                raise Mismatch(finding("grows", detail), larger)
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
        return self._answered(self._question(call, measure=measure))

    def _answered(self, question: Question[Result]) -> Result:
        try:
            return question.read(self._request(question.request))
        except SubmissionFailure:
            self._journal.unanswered = Asked((), question.told)
            raise

    def _calling(self, name: str, arguments: tuple[object, ...]) -> Question[Attempt]:
        return self._question(self._packed(name, arguments, {}))

    def _question(self, call: _Call, *, measure: bool = False) -> Question[Attempt]:
        request: Message = {"do": "call", "name": call.name, "measure": measure, "parcel": call.parcel}
        told = functools.partial(told_call, call.name, call.parcel)
        return Question(request, functools.partial(self._outcome, call), told)

    def _probing(
        self, probe: Callable[..., object], arguments: tuple[object, ...], keywords: Mapping[str, object] | None = None
    ) -> Question[Observed]:
        parcel = self._pack((probe, arguments, dict(keywords or {})))
        told = functools.partial(told_probe, parcel)
        return Question({"do": "probe", "parcel": parcel}, functools.partial(self._probed, probe, told), told)

    def _probed(self, probe: Callable[..., object], told: Callable[[], str], answer: Message) -> Observed:
        if (name := _undefined(answer, probe)) is not None:
            raise Mismatch(finding("undefined", name=name))
        if (error := self._error(answer)) is not None:
            own = error if error.trace else None  # else it is the probe that raised, with words of the grader's
            raise Mismatch(Asked((), told, own).explain(error.told("probe-raised")))
        value = read_value(answer)
        self._journal.asked.append(Asked((value,), told))
        return value

    def _together(self, name: str, calls: list[_Call]) -> list[Attempt]:
        parcels: list[Plain] = [call.parcel for call in calls]
        answer = self._request({"do": "calls", "name": name, "measure": False, "parcels": parcels})
        if _asked_in_vain(answer) == name:
            raise Mismatch(finding("undefined", name=name))
        answers = of_type(list, answer.get("answers"))
        if len(answers) != len(calls):
            raise ProtocolError("there are more or fewer answers than calls")
        return [self._outcome(call, of_type(dict, one)) for call, one in zip(calls, answers, strict=True)]

    def _outcome(self, call: _Call, answer: Message) -> Attempt:
        if "arguments" not in answer and _asked_in_vain(answer) == call.name:
            raise Mismatch(finding("undefined", name=call.name))
        arguments, keywords = read_tuple(answer.get("arguments")), read_dict(answer.get("keywords"))
        if len(arguments) != call.arguments or set(keywords) != call.keywords:
            raise ProtocolError("a call's answer has other arguments than the call")
        error = self._error(answer)
        attempt = Attempt(
            name=call.name,
            value=read_value(answer) if error is None else None,
            error=error,
            arguments=arguments,
            keywords=keywords,
            sent=call.parcel,
            instructions=of_type(int, answer.get("instructions", 0)),
            operations=tuple(of_type(str, name) for name in of_type(list, answer.get("operations", []))),
        )
        self._journal.asked.append(Asked.of(attempt))
        return attempt

    def _pack(self, value: object) -> bytes:
        imported = len(sys.modules), next(reversed(sys.modules), None)  # what is new stands at the end
        if imported != self._imported:
            self._imported, self._modules = imported, [*modules_in(self._graders).values()]
        parcel = pack(value, self._modules)
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
        types, text, trace = read_error(answer["error"], self._cells)
        key = limit_behind(f"{' '.join(types)}: {text}")
        limit = finding(f"limit-{key}", text, limit=self._machine.allowance.told(key)) if key else None
        return RaisedError(types, text, limit, trace)


@dataclass(frozen=True)
class _Call:
    """A call to make: how many arguments it has, the names of its keywords, and all of them packed."""

    name: str
    arguments: int
    keywords: set[str]
    parcel: bytes


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
