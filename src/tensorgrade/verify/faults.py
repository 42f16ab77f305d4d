"""Whether an answer came to what its kind asks for.

Trusted side.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ..verdict import Status
from .answers import Answer, Kind, Outcome


def faults(answer: Answer, found: Outcome, grader: Path) -> Iterator[tuple[str, str]]:
    """Yield what is not as the answer's kind asks for, each with a remedy."""
    if found.verdict.flagged is not None:
        yield f"the grader is at fault: {found.verdict.flagged}", f"mend {grader}"
        return
    if answer.kind is not Kind.REJECT and found.cells is not None:
        yield f"its cell raises {found.cells}", "mend the code"
    yield from _wrong_clauses(answer, found, grader)
    yield from _wrong_diagnosis(answer, found)
    if answer.right and found.examples is not None:
        yield f"fails the visible examples: {found.examples}", "mend the examples or the answer"
    if answer.kind is Kind.STARTER and found.examples is None:
        yield "passes the visible examples", "write an example that an empty answer fails"


def _wrong_clauses(answer: Answer, found: Outcome, grader: Path) -> Iterator[tuple[str, str]]:
    told = {clause.name: clause.finding or clause.status for clause in found.verdict.clauses}
    why = f" ({found.verdict.reason})" if found.verdict.reason else ""
    for clause in found.verdict.clauses:
        if clause.name in found.lost - answer.lost:
            remedy = f"mend the answer or {grader}"
            remedy += ", or add it to `because`" if answer.kind is Kind.REJECT else ""
            yield f"loses the clause {clause.name}: {told[clause.name]}{why}", remedy
        elif clause.name in answer.lost - found.lost:
            remedy = f"test more in {grader}" + (", or remove it from `because`" if answer.kind is Kind.REJECT else "")
            yield f"keeps the clause {clause.name}", remedy
        elif clause.status is Status.FAILED and not clause.finding:
            yield f"fails the clause {clause.name} without feedback", f"let {grader} use `expect`"


def _wrong_diagnosis(answer: Answer, found: Outcome) -> Iterator[tuple[str, str]]:
    if answer.diagnosis is not None and answer.diagnosis not in found.codes:
        codes = ", ".join(dict.fromkeys(found.codes)) or "none"
        yield (
            f"found the diagnosis {codes}, expected {answer.diagnosis}",
            "mend the grader, or name another `diagnosis`",
        )
