"""Verdicts that change: with the inputs, from one time to the next, or with the number of threads.

Trusted side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from ..exercise import Exercise
from ..job import Job
from .answers import Answer, Desk, Kind, Outcome

_TWO_THREADS = "import torch\ntorch.set_num_threads(2)"


@dataclass(frozen=True)
class Trial:
    """One more time that an answer is graded, and what is different about it."""

    told: str
    job: Job


def trials(desk: Desk, exercise: Exercise, answer: Answer, seeds: int) -> Iterator[Trial]:
    """Yield the trials of an answer: other inputs, a repetition, and for a right one also two threads."""
    if answer.kind is Kind.STARTER:
        return
    job = desk.job(exercise, answer.code)
    for seed in range(1, seeds):
        yield Trial(f"with seed {seed}", replace(job, seed=seed))
    yield Trial("when it is graded again", replace(job, cache=False))
    if answer.right:
        yield Trial("with two threads", desk.job(exercise, answer.code, first=_TWO_THREADS))


def changed(answer: Answer, found: Outcome) -> str | None:
    """How a verdict differs from what it was at first, or None."""
    if found.verdict.flagged is not None:
        return f"the grader is at fault: {found.verdict.flagged}"
    more, fewer = sorted(found.lost - answer.lost), sorted(answer.lost - found.lost)
    told = {clause.name: clause.finding or str(clause.status) for clause in found.verdict.clauses}
    if more:
        return f"it loses the clause {more[0]}: {told[more[0]]}"
    return f"it keeps the clause {fewer[0]}" if fewer else None


@dataclass(frozen=True)
class Margin:
    """How close a right answer came to the tolerance: the part of it that its largest error used up."""

    used: float
    test: str
    answer: str


def margins(answer: Answer, found: Outcome) -> Iterator[Margin]:
    """Yield the margin of each test that compares with a tolerance."""
    for measured in found.verdict.measurements:
        if measured.margin is not None:
            yield Margin(measured.margin, measured.test, answer.name)
