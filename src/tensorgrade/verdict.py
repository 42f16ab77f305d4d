"""The verdict on one exercise: clause by clause, as a value, as JSON and as what a student reads.

Trusted side. Everything fails closed: points come from passed clauses alone, and whatever else happened is said.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, cast

import jinja2

from .exercise import Exercise, Language

MIME_TYPE = "application/vnd.tensorgrade.verdict+json"
VERSION = 1
_CHANCE = frozenset({"time-limit", "ended", "protocol"})
"""Findings that another run may not give again."""


class Status(StrEnum):
    """What became of a clause."""

    PASSED = "passed"
    FAILED = "failed"
    NOT_RUN = "not run"


@dataclass(frozen=True)
class ClauseVerdict:
    """One clause: what it asks for, what became of it, and the finding if it failed."""

    name: str
    text: str
    points: float
    status: Status
    code: str | None = None
    finding: str | None = None


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
        flagged: why a person has to look at this exercise (a fault of the grader), for the instructor; or None.
        measurements: of each test, where they were asked for; for the author of the grader.
    """

    exercise: str
    title: str
    language: Language
    clauses: tuple[ClauseVerdict, ...]
    reason: str | None = None
    flagged: str | None = None
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

    def to_stored(self) -> dict[str, Any]:
        """Return plain data that `from_stored` takes."""
        return asdict(self)

    @classmethod
    def from_stored(cls, data: dict[str, Any]) -> Verdict:
        """Return what `to_stored` was called on."""
        clauses = (ClauseVerdict(**{**clause, "status": Status(clause["status"])}) for clause in data["clauses"])
        measurements = (Measurement(**measurement) for measurement in data["measurements"])
        return cls(**{**data, "clauses": tuple(clauses), "measurements": tuple(measurements)})

    def to_json(self) -> dict[str, Any]:
        """Return the machine-readable form; what is for the instructor alone is reduced to a flag."""
        facts = {**asdict(replace(self, measurements=())), "flagged": self.flagged is not None}
        del facts["measurements"]
        return {"version": VERSION, "score": self.score, "max_score": self.max_score, **facts}

    def to_text(self) -> str:
        """Return what a student reads, as plain text."""
        return _TEMPLATES.get_template("text").render(**self._words())

    def to_html(self) -> str:
        """Return what a student reads, as an HTML fragment without scripts."""
        return _TEMPLATES.get_template("html").render(**self._words())

    def _words(self) -> dict[str, object]:
        return {"verdict": self, "say": _WORDS[self.language], "number": plain_decimal}


def not_run(exercise: Exercise, language: Language, reason: str | None, flagged: str | None = None) -> Verdict:
    """Return the verdict on an exercise of which no clause could be checked."""
    clauses = tuple(
        ClauseVerdict(name, clause.text.get(language), float(clause.points), Status.NOT_RUN)
        for name, clause in exercise.clauses.items()
    )
    return Verdict(exercise.name, exercise.title.get(language), language, clauses, reason, flagged)


def plain_decimal(number: float) -> str:
    """A number of points as nbgrader reads it: digits and at most one point, no exponent."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def from_json(data: object) -> dict[str, Any] | None:
    """Return the verdict of a notebook's output as checked plain data, or None when it is not one."""
    if not isinstance(data, dict) or data.get("version") != VERSION or not isinstance(data.get("clauses"), list):
        return None
    return cast("dict[str, Any]", data)


_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "passed": "passed",
        "failed": "failed",
        "not run": "not run",
        "of": "of",
        "points": "points",
        "review": "This exercise could not be graded automatically. A person will look at it.",
    },
    "zh": {
        "passed": "通过",
        "failed": "未通过",
        "not run": "未检查",
        "of": "/",
        "points": "分",
        "review": "本题无法自动评分，将由老师人工查看。",
    },
}

_TEXT = """\
{{ verdict.title }}: {{ number(verdict.score) }} {{ say.of }} {{ number(verdict.max_score) }} {{ say.points }}
{%- for clause in verdict.clauses %}
[{{ say[clause.status] }}] {{ clause.text }} ({{ number(clause.points) }})
{%- if clause.finding %}
    {{ clause.finding }}
{%- endif %}{% endfor %}
{%- if verdict.reason %}
{{ verdict.reason }}
{%- endif %}
{%- if verdict.flagged %}
{{ say.review }}
{%- endif %}
"""

_HTML = """\
<div class="tensorgrade-verdict">
<p><strong>{{ verdict.title }}</strong>: {{ number(verdict.score) }} {{ say.of }} {{ number(verdict.max_score) }} \
{{ say.points }}</p>
<ul style="list-style: none; padding-left: 0">
{%- for clause in verdict.clauses %}
<li>{{ {"passed": "✓", "failed": "✗", "not run": "–"}[clause.status] }} <strong>{{ say[clause.status] }}</strong>: \
{{ clause.text }} ({{ number(clause.points) }})
{%- if clause.finding %}<br>{{ clause.finding }}{% endif %}</li>
{%- endfor %}
</ul>
{%- if verdict.reason %}
<p>{{ verdict.reason }}</p>
{%- endif %}
{%- if verdict.flagged %}
<p>{{ say.review }}</p>
{%- endif %}
</div>
"""

_TEMPLATES = jinja2.Environment(
    loader=jinja2.DictLoader({"text": _TEXT, "html": _HTML}),
    autoescape=lambda name: name == "html",
    undefined=jinja2.StrictUndefined,
)
