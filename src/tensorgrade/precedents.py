"""Precedents: what a grader has concluded from the same observations, in an earlier submission.

Trusted side. A grader is loaded anew for each submission and draws its inputs from a fixed seed, so that what it asks
first is always the same, and what it asks next and concludes at last depends on the answers alone. `Precedents` keep
that as a tree: a question, the question that followed each answer, and the verdict at the end. A submission is asked
as its forerunners were; as long as its answers are known, to the byte, the grader itself need not run. With the first
new answer it does, and is given the answers that are there already.

Nothing is spared the submission: it answers every question itself, in its own process. Failures (time-outs, lost
processes) are no precedents, and neither are verdicts that another run might not give again. Workers tell each other
of theirs (`tensorgrade.pool` carries the news), so that a class needs each grader to conclude the same thing once.
"""

from __future__ import annotations

import hashlib
import pickle
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

from .attempt import read_error
from .codec import Message
from .errors import GraderError, ProtocolError, SubmissionFailure
from .limits import Allowance
from .submission import Machine
from .verdict import Verdict

MAX_BYTES = 32 << 20
"""What all precedents of a worker may take; then they are collected anew."""
_OBJECTS = 2 << 10
"""What a question takes beside the parcels of its request, or a verdict: about as much as small objects do."""
MAX_NEWS = 8 << 20
"""Bytes of news that are told at a time; more are not worth the time."""


class AskedMachine(Machine, Protocol):
    """A machine that also tells the digest of its last answer (see `tensorgrade.codec.FrameReader`)."""

    @property
    def digest(self) -> bytes | None:
        """Equal for equal answers; None where there is none."""

    def with_accelerators(self, count: int) -> AskedMachine:
        """See `tensorgrade.submission.Machine`."""


@dataclass
class _Question:
    """A request to the machine with so many accelerators (None: the exercise's own), and what followed each answer."""

    accelerators: int | None
    message: Message
    followed: dict[object, _Question | Verdict] = field(default_factory=dict)


@dataclass(frozen=True)
class _Precedent:
    """What a grader concluded: its questions, each with the digest of the answer, and its verdict."""

    key: str
    heard: tuple[tuple[int | None, Message, bytes], ...]
    verdict: Verdict


class Precedents:
    """The precedents that a worker knows, by the key of what judges: an exercise, its grader, all they depend on."""

    def __init__(self) -> None:
        self._first: dict[object, _Question | Verdict] = {}
        self._bytes = 0
        self._news: list[_Precedent] = []

    def news(self) -> bytes:
        """What is known since the last time that this was asked, for `learn`; empty when there is nothing."""
        news, self._news = self._news, []
        told = pickle.dumps(news) if news else b""
        return told if len(told) <= MAX_NEWS else b""

    def learn(self, news: bytes) -> None:
        """Take over what another worker knows; it is as trusted as this one."""
        for precedent in pickle.loads(news):
            self._keep(precedent)

    def judge(
        self, key: str, machine: AskedMachine, cells: Sequence[str], judge: Callable[[Machine], Verdict]
    ) -> Verdict:
        """Return the verdict that `judge` gives, which depends on `key`, on the answers and on lines of `cells`."""
        hearing = _Hearing(cells)
        known = hearing.follow(self._first.get(key), machine)
        if isinstance(known, Verdict):
            return known
        verdict = judge(_HeardMachine(machine, hearing))
        if hearing.contradicted:  # the grader asks something else each time: nothing can be known beforehand
            machine.discard()
            return judge(machine)
        if verdict.repeatable and (heard := hearing.repeatable()) is not None:
            self._news.append(_Precedent(key, heard, verdict))
            self._keep(self._news[-1])
        return verdict

    def _keep(self, precedent: _Precedent) -> None:
        if self._bytes > MAX_BYTES:
            self._first.clear()
            self._bytes = 0
        branch: dict[object, _Question | Verdict] = self._first
        place: object = precedent.key
        for accelerators, message, digest in precedent.heard:
            question = branch.get(place)
            if not isinstance(question, _Question):
                question = branch[place] = _Question(accelerators, message)
                self._bytes += _OBJECTS + sum(map(len, _parcels(message)))
            branch, place = question.followed, digest
        self._bytes += _OBJECTS
        branch[place] = precedent.verdict


@dataclass(frozen=True)
class _Heard:
    """A question and what was answered; the digest is None when no precedent can be made of it."""

    accelerators: int | None
    message: Message
    answer: Message | SubmissionFailure
    digest: bytes | None

    def answers(self, accelerators: int | None, message: Message) -> bool:
        """Whether this answers a question; what its parcels hold is alike, though they may be packed otherwise."""
        return (accelerators, _kind(message)) == (self.accelerators, _kind(self.message))


class _Hearing:
    """What one submission was asked for an exercise, and answered.

    Attributes:
        contradicted: whether the grader asked something else than it had before, after the same answers.
        is_repeatable: whether the grader has learned nothing but answers, which another run might give again.
    """

    def __init__(self, cells: Sequence[str]) -> None:
        self._cells = cells
        self._waiting: deque[_Heard] = deque()
        self._heard: list[_Heard] = []
        self.contradicted = False
        self.is_repeatable = True

    def repeatable(self) -> tuple[tuple[int | None, Message, bytes], ...] | None:
        """All that was heard, each with the digest of the answer; None when another run might hear something else."""
        heard = tuple((one.accelerators, one.message, one.digest) for one in self._heard if one.digest is not None)
        return heard if self.is_repeatable and len(heard) == len(self._heard) else None

    def follow(self, known: _Question | Verdict | None, machine: AskedMachine) -> Verdict | None:
        """Ask what forerunners were asked, as long as their answers are given; return the verdict that they got."""
        while isinstance(known, _Question):
            try:
                at = machine if known.accelerators is None else machine.with_accelerators(known.accelerators)
                heard = self._hear(at, known.accelerators, known.message)
            except GraderError:  # which the grader has to meet itself
                return None
            self._waiting.append(heard)
            known = known.followed.get(heard.digest) if heard.digest is not None else None
        return known

    def answer(self, machine: AskedMachine, accelerators: int | None, message: Message) -> Message:
        """The answer to a question of the grader's, which may be there already; raises a `SubmissionFailure`."""
        heard = self._waiting.popleft() if self._waiting else self._hear(machine, accelerators, message)
        if not heard.answers(accelerators, message):
            self.contradicted = True
            self._waiting.clear()
            heard = self._hear(machine, accelerators, message)
        if isinstance(heard.answer, SubmissionFailure):
            raise heard.answer
        return heard.answer

    def _hear(self, machine: AskedMachine, accelerators: int | None, message: Message) -> _Heard:
        answer: Message | SubmissionFailure
        digest = None
        try:
            answer = machine.request(message)
            digest = self._digest(machine.digest, answer)
        except SubmissionFailure as failure:
            answer = failure
        self._heard.append(_Heard(accelerators, message, answer, digest))
        return self._heard[-1]

    def _digest(self, of_answer: bytes | None, answer: Message) -> bytes | None:
        """That of the answer and the lines of cells that it names, which findings quote."""
        if of_answer is None or "interrupted" in answer:
            return None
        answers = [answer, *cast("list[object]", answer.get("answers") or ())]
        errors = [one["error"] for one in answers if isinstance(one, dict) and one.get("error") is not None]
        try:
            lines = [read_error(error, self._cells)[2] for error in errors]
        except ProtocolError:
            return None
        return hashlib.sha256(of_answer + repr(lines).encode("utf-8", "backslashreplace")).digest()


class _HeardMachine:
    """A machine for a grader, whose questions and answers are noted; see `tensorgrade.submission.Machine`."""

    def __init__(self, machine: AskedMachine, hearing: _Hearing, accelerators: int | None = None) -> None:
        self._machine = machine
        self._hearing = hearing
        self._accelerators = accelerators

    @property
    def allowance(self) -> Allowance:
        return self._machine.allowance

    def request(self, message: Message) -> Message:
        return self._hearing.answer(self._machine, self._accelerators, message)

    def discard(self) -> None:
        self._hearing.is_repeatable = False
        self._machine.discard()

    def request_ranks(self, count: int, requests: Callable[[str], list[Message]]) -> list[Message | SubmissionFailure]:
        self._hearing.is_repeatable = False  # each time in another folder
        return self._machine.request_ranks(count, requests)

    def with_accelerators(self, count: int) -> _HeardMachine:
        return _HeardMachine(self._machine.with_accelerators(count), self._hearing, count)


def _kind(message: Message) -> tuple[object, ...]:
    """What a request asks: to call which function, with how many cases; or a probe."""
    return message["do"], message.get("name"), message.get("measure"), len(_parcels(message))


def _parcels(message: Message) -> list[bytes]:
    parcels = [message.get("parcel"), *cast("list[object]", message.get("parcels") or ())]
    return [parcel for parcel in parcels if isinstance(parcel, bytes)]
