"""The verdict on one exercise: clause by clause, as a value, as JSON and as what a student reads.

Trusted side. Everything fails closed: points come from passed clauses alone, and whatever else happened is said.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

from .evidence import Evidence, Grid, TracedLine
from .exercise import Exercise, Language, Level
from .feedback import render

MIME_TYPE = "application/vnd.tensorgrade.verdict+json"
VERSION = 1
_CHANCE = frozenset({"time-limit", "ended", "protocol"})
"""Findings that another run may not give again."""

_REMEMBERED = 256
"""Verdicts whose forms are remembered: many students have the same, and the most is said of those that are wrong."""


class Status(StrEnum):
    """What became of a clause."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class ClauseVerdict:
    """One clause: what it asks for, what became of it, and why if it failed.

    Attributes:
        code, finding: the kind of finding and its sentence, if it failed.
        level: how much of this a student sees.
        hint: the hint that the clause names, if it failed.
        trace: the lines of the student's code that an exception passed, outermost first.
        evidence: what the finding was concluded from.
    """

    name: str
    text: str
    points: float
    status: Status
    code: str | None = None
    finding: str | None = None
    level: Level = Level.CLAUSE
    hint: str | None = None
    trace: tuple[TracedLine, ...] = ()
    evidence: Evidence | None = None

    def disclosed(self) -> ClauseVerdict:
        """Return what a student may see: the same without all that is above the level."""
        if self.level is Level.VERDICT:
            return ClauseVerdict("", "", self.points, self.status, level=self.level)
        return replace(self, evidence=_evidence_at(self.level, self.evidence))

    def without_own_words(self) -> ClauseVerdict:
        """Return the same without what student code made up: it can carry inputs of the exercise's other clauses."""
        made_up: dict[str, None] = {"error": None, "wrong": None, "got": None, "got_shape": None}
        return replace(self, evidence=replace(self.evidence, **made_up)) if self.evidence else self

    @classmethod
    def from_stored(cls, data: dict[str, Any]) -> ClauseVerdict:
        """Return what `asdict` was called on."""
        trace = tuple(TracedLine(**line) for line in data["trace"])
        evidence = _evidence_from(data["evidence"]) if data["evidence"] else None
        kinds = {"status": Status(data["status"]), "level": Level(data["level"])}
        return cls(**{**data, **kinds, "trace": trace, "evidence": evidence})


@dataclass(frozen=True)
class Measurement:
    """What one test of a grader took, and the part of the tolerance that the worst of its comparisons used up."""

    test: str
    seconds: float
    margin: float | None


@dataclass(frozen=True)
class Verdict:
    """The verdict on one exercise of one submission, in the language of its notebook.

    Attributes:
        exercise: the name, without the assignment's.
        language: of all texts below.
        clauses: in the order of the exercise's file.
        reason: what kept clauses from being checked (a time-out, a lost cell, ...), for the student; or None.
        problem: what is wrong with the notebook itself, such as a cell that did not run (see `problems`); or None.
        flagged: why a person has to look at this exercise (a fault of the grader), for the instructor; or None.
        measurements: of each test, where they were asked for; for the author of the grader.
    """

    exercise: str
    title: str
    language: Language
    clauses: tuple[ClauseVerdict, ...]
    reason: str | None = None
    flagged: str | None = None
    problem: str | None = None
    measurements: tuple[Measurement, ...] = field(default=(), compare=False)

    @property
    def max_score(self) -> float:
        """The points of all clauses."""
        return sum(clause.points for clause in self.clauses)

    @property
    def score(self) -> float:
        """The points of the passed clauses."""
        return sum(clause.points for clause in self.clauses if clause.status is Status.PASSED)

    @property
    def repeatable(self) -> bool:
        """Whether judging again would give the same, as far as can be known."""
        codes = {clause.code or "" for clause in self.clauses}
        lost = any(code in _CHANCE or code.startswith("limit-") for code in codes)
        return self.reason is None and self.flagged is None and not lost

    @property
    def names_cells(self) -> bool:
        """Whether cells of the notebook are named by their numbers."""
        return self.problem is not None or any(clause.trace for clause in self.clauses)

    def to_stored(self) -> dict[str, Any]:
        """Return plain data that `from_stored` takes."""
        return asdict(self)

    @classmethod
    def from_stored(cls, data: dict[str, Any]) -> Verdict:
        """Return what `to_stored` was called on."""
        clauses = tuple(map(ClauseVerdict.from_stored, data["clauses"]))
        measurements = tuple(Measurement(**measurement) for measurement in data["measurements"])
        return cls(**{**data, "clauses": clauses, "measurements": measurements})

    def with_levels_of(self, exercise: Exercise) -> Verdict:
        """Return the same with the levels of disclosure that the exercise has now."""
        levels = {name: clause.disclosure for name, clause in exercise.clauses.items()}
        return replace(self, clauses=tuple(replace(clause, level=levels[clause.name]) for clause in self.clauses))

    def disclosed(self) -> Verdict:
        """Return what a student may see: clauses at their levels, and nothing that is for the author or instructor.

        Where one clause tells nothing of its inputs, no other one shows messages or values of student code. A clause
        of which nothing is told has its number as its name, and no problem is told beside it. Why an exercise is
        flagged is an empty text.
        """
        return _disclosed(self)

    def to_json(self) -> dict[str, Any]:
        """Return the machine-readable form; what is for the instructor alone is reduced to a flag."""
        return cast("dict[str, Any]", json.loads(_json_of(self)))

    def to_text(self) -> str:
        """Return what a student reads, as plain text."""
        return _rendered(self, "verdict.txt")

    def to_html(self) -> str:
        """Return what a student reads, as an HTML fragment without scripts."""
        return _rendered(self, "verdict.html")

    def status(self) -> Status:
        """That of the exercise as a whole."""
        statuses = {clause.status for clause in self.clauses}
        unknown = statuses == {Status.NOT_RUN} or (self.flagged is not None and Status.FAILED not in statuses)
        return Status.PASSED if statuses == {Status.PASSED} else Status.NOT_RUN if unknown else Status.FAILED


@functools.lru_cache(_REMEMBERED)
def _disclosed(verdict: Verdict) -> Verdict:
    told = [clause.disclosed() for clause in verdict.clauses]
    if any(clause.level in (Level.VERDICT, Level.CLAUSE) for clause in told):
        told = [clause.without_own_words() for clause in told]
    clauses = tuple(replace(clause, name=clause.name or str(number)) for number, clause in enumerate(told, 1))
    problem = None if any(clause.level is Level.VERDICT for clause in clauses) else verdict.problem
    flagged = None if verdict.flagged is None else ""
    return replace(verdict, clauses=clauses, flagged=flagged, problem=problem, measurements=())


@functools.lru_cache(_REMEMBERED)
def _json_of(verdict: Verdict) -> str:
    facts = {**asdict(verdict.disclosed()), "flagged": verdict.flagged is not None}
    del facts["measurements"]
    return json.dumps({"version": VERSION, "score": verdict.score, "max_score": verdict.max_score, **facts})


@functools.lru_cache(2 * _REMEMBERED)
def _rendered(verdict: Verdict, template: str) -> str:
    shown = verdict.disclosed()
    findings = [clause.finding for clause in shown.clauses]
    told = [set(findings[:place]) - {None} for place in range(len(findings))]
    return render(template, shown.language, verdict=shown, status=verdict.status(), findings=findings, told=told)


def not_run(exercise: Exercise, language: Language, reason: str | None, flagged: str | None = None) -> Verdict:
    """Return the verdict on an exercise of which no clause could be checked."""
    clauses = tuple(
        ClauseVerdict(name, clause.text.get(language), float(clause.points), Status.NOT_RUN, level=clause.disclosure)
        for name, clause in exercise.clauses.items()
    )
    return Verdict(exercise.name, exercise.title.get(language), language, clauses, reason, flagged)


def _evidence_at(level: Level, evidence: Evidence | None) -> Evidence | None:
    """What a student may see of evidence: the input from `case` on, the values with `full` alone."""
    if evidence is None or level is Level.FULL:
        return evidence
    return replace(evidence, got=None, expected=None, expected_shape=None) if level is Level.CASE else None


def _evidence_from(data: dict[str, Any]) -> Evidence:
    wrong = data["wrong"]
    grid = Grid(tuple(map(tuple, wrong["shares"])), tuple(wrong["shape"])) if wrong else None
    given = {name: data[name] for name in ("got_shape", "expected_shape")}
    shapes = {name: None if shape is None else tuple(shape) for name, shape in given.items()}  # a scalar's is empty
    return Evidence(**{**data, **shapes, "wrong": grid})


def from_json(data: object) -> dict[str, Any] | None:
    """Return the verdict of a notebook's output as checked plain data, or None when it is not one."""
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("clauses"), list):
        return None
    return cast("dict[str, Any]", data)
