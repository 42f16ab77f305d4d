"""What students see of a check, as text and as HTML without scripts; `Progress` is the same for all exercises.

Student's side.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from ..exercise import Language
from ..feedback import render
from .examples import Result
from .handout import Task

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "passed": "all {count} examples pass",
        "failed": "{failed} of {count} examples fail",
        "none": "there are no examples",
        "more": "Examples show a part of what is graded.",
        "hint": "`%hint {name}` gives a hint.",
        "hint-number": "Hint {number} of {count}: {hint}",
        "no-hint": "There is no hint for this exercise.",
        "last": "That was the last one.",
        "done": "{done} of {count} exercises pass their examples.",
    },
    "zh": {
        "passed": "{count} 个示例全部通过",
        "failed": "{count} 个示例中有 {failed} 个未通过",
        "none": "没有示例",
        "more": "示例只是评分内容的一部分。",
        "hint": "`%hint {name}` 会给出提示。",
        "hint-number": "提示 {number}/{count}：{hint}",
        "no-hint": "本题没有提示。",
        "last": "这是最后一条提示。",
        "done": "{count} 道题中有 {done} 道通过了示例。",
    },
}


class _Shown(ABC):
    """Something that a notebook shows as HTML and a terminal as text."""

    def to_text(self) -> str:
        """Return it as plain text."""
        return self._render("txt")

    def to_html(self) -> str:
        """Return it as an HTML fragment without scripts."""
        return self._render("html")

    @abstractmethod
    def _render(self, form: str) -> str: ...

    def __repr__(self) -> str:
        return self.to_text()

    def _repr_html_(self) -> str:
        return self.to_html()


@dataclass(frozen=True, repr=False)
class Report(_Shown):
    """The check of one exercise."""

    task: Task
    language: Language
    results: tuple[Result, ...]

    @property
    def failures(self) -> tuple[Result, ...]:
        """The statements that did not pass."""
        return tuple(result for result in self.results if result.problem is not None)

    @property
    def passed(self) -> bool:
        """Whether there are examples, and all pass."""
        return bool(self.results) and not self.failures

    @property
    def status(self) -> str:
        """The same as the status of a clause."""
        return "passed" if self.passed else "failed" if self.failures else "not run"

    @property
    def mark(self) -> str:
        """One sign for it."""
        return "✓" if self.passed else "✗"

    @property
    def headline(self) -> str:
        """What came of it, in a few words."""
        key = "failed" if self.failures else "passed" if self.results else "none"
        return say(self.language, key, failed=len(self.failures), count=len(self.results))

    @property
    def advice(self) -> str:
        """What to know or to do next; empty when there is nothing."""
        if not self.failures:
            return say(self.language, "more")
        return say(self.language, "hint", name=self.task.name) if self.task.hints else ""

    def _render(self, form: str) -> str:
        return render(f"check.{form}", self.language, report=self)


@dataclass(frozen=True, repr=False)
class Progress(_Shown):
    """The checks of all exercises of a notebook."""

    language: Language
    reports: tuple[Report, ...]

    @property
    def headline(self) -> str:
        """How many pass."""
        done = sum(report.passed for report in self.reports)
        return say(self.language, "done", done=done, count=len(self.reports))

    @property
    def status(self) -> str:
        """The same as the status of a clause: passed when all exercises are."""
        return "passed" if all(report.passed for report in self.reports) else "failed"

    def _render(self, form: str) -> str:
        return render(f"progress.{form}", self.language, progress=self)


def say(language: Language, key: str, **facts: object) -> str:
    """A sentence for students."""
    return _WORDS[language][key].format(**facts)
