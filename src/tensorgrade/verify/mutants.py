"""Mutants of the right answers of an exercise, which of them the grader notices, and which need not be noticed.

Trusted side.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from dataclasses import dataclass

from ..exercise import Exercise
from ..yamlfile import Key
from .answers import Answer, Kind, Outcome, answers
from .imposters import imposters
from .mutation import ARROW, Mutant, mutants

QUICK_SECONDS = 0.25
SHORT_SECONDS = 1.0
"""What a call of a mutant may take, when no test of the right answer takes longer than `QUICK_SECONDS`."""


@dataclass(frozen=True)
class MutantResult:
    """What became of a mutant.

    Attributes:
        answer: the name of the answer that was changed.
        kind: of the change.
        change: the statement before and after.
        code: of the mutant.
        diff: to the answer.
        lost: the clauses that noticed; a mutant that lost some is killed.
        reason: why it is right as well, if the exercise's file says so.
        fault: what is wrong with the grader, which did not expect such an answer.
    """

    answer: str
    kind: str
    change: str
    code: str
    diff: str
    lost: tuple[str, ...]
    reason: str | None = None
    fault: str | None = None

    @property
    def name(self) -> str:
        """What the exercise's file calls it."""
        return f"{self.answer}: {self.change}"

    @property
    def before(self) -> str:
        """The statement as it was."""
        return self.change.partition(ARROW)[0]

    @property
    def after(self) -> str:
        """The statement as it is."""
        return self.change.partition(ARROW)[2]

    @property
    def killed(self) -> bool:
        """Whether a clause noticed."""
        return bool(self.lost)

    @property
    def survived(self) -> bool:
        """Whether nobody noticed, and nobody says that it is right."""
        return not self.killed and self.reason is None


def mutants_of(exercise: Exercise) -> Iterator[tuple[Answer, Mutant]]:
    """Yield the mutants of each right answer; the same code comes once."""
    right = [answer for answer in answers(exercise) if answer.right]
    codes = [answer.code for answer in right]
    seen: set[str] = set()
    for answer in right:
        functions_only = answer.kind is Kind.ACCEPT  # a script that finds out the answer may do so in many ways
        changed = mutants(answer.code, codes, functions_only=functions_only)
        for mutant in (*changed, *imposters(answer.code, exercise)):
            if mutant.code not in seen:
                seen.add(mutant.code)
                yield answer, mutant


def result(exercise: Exercise, answer: Answer, mutant: Mutant, found: Outcome) -> MutantResult:
    """Return what a graded mutant came to."""
    lost = tuple(name for name in exercise.clauses if name in found.lost)
    name = f"{answer.name}: {mutant.change}"
    reasons = (one.reason for one in exercise.equivalent if name in one.mutants or mutant.kind == one.kind)
    return MutantResult(
        answer.name,
        mutant.kind,
        mutant.change,
        mutant.code,
        _diff(answer.code, mutant.code),
        lost,
        None if lost else next(reasons, None),
        found.verdict.flagged,
    )


def unneeded(exercise: Exercise, results: list[MutantResult]) -> Iterator[tuple[Key, str, str]]:
    """Yield the key of each declaration that no survivor needs, what is wrong with it, and what to do."""
    named = {one.name: one for one in results}
    for number, declared in enumerate(exercise.equivalent):
        for place, name in enumerate(declared.mutants):
            key: Key = ("equivalent", number, "mutants", place)
            if name not in named:
                near = difflib.get_close_matches(name, named, 1, 0.3)
                yield key, "found no such mutant", f"write `{near[0]}`, or remove it" if near else "remove it"
            elif named[name].killed:
                yield key, f"the clause {', '.join(named[name].lost)} notices this mutant", "remove it"
        if declared.kind and all(one.killed for one in results if one.kind == declared.kind):
            yield ("equivalent", number, "kind"), "no mutant of this kind survives", "remove the declaration"


def _diff(before: str, after: str) -> str:
    lines = difflib.unified_diff(_tidy(before), _tidy(after), lineterm="", n=2)
    return "\n".join(line for line in lines if not line.startswith(("---", "+++")))


def _tidy(code: str) -> list[str]:
    """The lines of code in the layout that mutants have."""
    return ast.unparse(ast.parse(code)).splitlines()
