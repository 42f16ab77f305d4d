"""`Ranks`: what a hidden grader holds of a submission that works in several processes.

Trusted side. Each call and each probe gets processes of its own: copies of the submission's state, one per rank, that
can reach each other and nothing else.

    attempts = submission.ranks(2).call("work", lambda rank: (rank.rank, rank.size, rank.init_method, xs[rank.rank]))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from .codec import Message
from .errors import ProcessEnded, SubmissionFailure, TimeLimitExceeded
from .findings import Mismatch, finding
from .mesh import Rank
from .observation import Observed

RANK_HUNG = "rank-hung"

Result = TypeVar("Result")
Kind = TypeVar("Kind")


@dataclass(frozen=True)
class Question(Generic[Result]):
    """A request to a submission process, how its answer is read, and what gives the text of the call."""

    request: Message
    read: Callable[[Message], Result]
    told: Callable[[], str]


class RankMachine(Protocol):
    """The part of `tensorgrade.submission.Machine` that ranks need."""

    def request_ranks(self, count: int, requests: Callable[[str], list[Message]]) -> list[Message | SubmissionFailure]:
        """See `tensorgrade.submission.Machine`."""


class Ranks(Generic[Result]):
    """Several processes of a submission; made by `tensorgrade.submission.Submission.ranks`.

    A rank that hangs or ends costs the test in which it does, by a `Mismatch`, and nothing else.
    """

    def __init__(
        self,
        machine: RankMachine,
        count: int,
        call: Callable[[str, tuple[object, ...]], Question[Result]],
        probe: Callable[[Callable[..., object], tuple[object, ...]], Question[Observed]],
    ) -> None:
        self._machine = machine
        self._count = count
        self._call = call
        self._probe = probe

    def call(self, name: str, arguments: Callable[[Rank], tuple[object, ...]]) -> list[Result]:
        """Call the student's function `name` in each rank, with the `arguments` for it; what came of each, in order."""
        return self._ask(lambda rank: self._call(name, arguments(rank)))

    def run(self, probe: Callable[..., object], *arguments: object) -> list[Observed]:
        """Run ``probe(student, rank, *arguments)`` in each rank (a `Rank`); return what each returned, observed."""
        return self._ask(lambda rank: self._probe(probe, (rank, *arguments)))

    def _ask(self, question: Callable[[Rank], Question[Kind]]) -> list[Kind]:
        questions: list[Question[Kind]] = []

        def requests(folder: str) -> list[Message]:
            ranks = [Rank(rank, self._count, f"file://{folder}/meeting") for rank in range(self._count)]
            questions.extend(map(question, ranks))
            return [asked.request for asked in questions]

        answers = self._machine.request_ranks(self._count, requests)
        given = [_given(answer) for answer in answers]
        return [asked.read(answer) for asked, answer in zip(questions, given, strict=True)]


def _given(answer: Message | SubmissionFailure) -> Message:
    """The answer of a rank; raises `Mismatch` when it hung or ended without one."""
    if isinstance(answer, TimeLimitExceeded):
        raise Mismatch(finding(RANK_HUNG, str(answer)))
    if isinstance(answer, ProcessEnded):
        raise Mismatch(finding("rank-ended", str(answer)))
    if isinstance(answer, SubmissionFailure):
        raise answer
    return answer
