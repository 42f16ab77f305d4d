"""What students see of a check, as text and as HTML without scripts; `Progress` is the same for all exercises.

Student's side.
"""

from __future__ import annotations

from dataclasses import dataclass

import jinja2

from ..exercise import Language
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

_TEXT = """\
{{ mark(report) }} {{ report.task.title }}: {{ report.headline }}
{%- for result in report.failures %}

    {{ result.source | indent }}
  {{ result.problem.get(report.language) }}
{%- if result.where %}
  -> {{ result.where }}
{%- endif %}
{%- endfor %}
{%- if report.failures and report.task.hints %}
{{ report.say("hint", name=report.task.name) }}
{%- elif not report.failures %}
{{ report.say("more") }}
{%- endif %}"""

_HTML = """\
<div class="tensorgrade-check">
<p><strong>{{ mark(report) }} {{ report.task.title }}</strong>: {{ report.headline }}</p>
{%- if report.failures %}
<ul>
{%- for result in report.failures %}
<li><pre style="margin: 0">{{ result.source }}</pre>{{ result.problem.get(report.language) }}
{%- if result.where %}<br><code>{{ result.where }}</code>{% endif %}</li>
{%- endfor %}
</ul>
{%- endif %}
<p>{% if report.failures and report.task.hints %}{{ report.say("hint", name=report.task.name) }}
{%- elif not report.failures %}{{ report.say("more") }}{% endif %}</p>
</div>"""

_PROGRESS_TEXT = """\
{% for report in progress.reports %}{{ mark(report) }} {{ report.task.title }} ({{ report.task.name }}): \
{{ report.headline }}
{% endfor %}{{ progress.headline }}"""

_PROGRESS_HTML = """\
<table class="tensorgrade-progress"><caption>{{ progress.headline }}</caption>
{%- for report in progress.reports %}
<tr><td>{{ mark(report) }}</td><th scope="row" style="text-align: left">{{ report.task.title }}</th>\
<td><code>{{ report.task.name }}</code></td><td style="text-align: left">{{ report.headline }}</td></tr>
{%- endfor %}
</table>"""


class _Shown:
    """Something that a notebook shows as HTML and a terminal as text."""

    _template = ""

    def to_text(self) -> str:
        """Return it as plain text."""
        return self._render("text")

    def to_html(self) -> str:
        """Return it as an HTML fragment without scripts."""
        return self._render("html")

    def _render(self, form: str) -> str:
        return _TEMPLATES.get_template(f"{self._template}.{form}").render({self._template: self})

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

    _template = "report"

    @property
    def failures(self) -> tuple[Result, ...]:
        """The statements that did not pass."""
        return tuple(result for result in self.results if result.problem is not None)

    @property
    def passed(self) -> bool:
        """Whether there are examples, and all pass."""
        return bool(self.results) and not self.failures

    @property
    def headline(self) -> str:
        """What came of it, in a few words."""
        key = "failed" if self.failures else "passed" if self.results else "none"
        return self.say(key, failed=len(self.failures), count=len(self.results))

    def say(self, key: str, **facts: object) -> str:
        """A sentence in the notebook's language."""
        return say(self.language, key, **facts)


@dataclass(frozen=True, repr=False)
class Progress(_Shown):
    """The checks of all exercises of a notebook."""

    language: Language
    reports: tuple[Report, ...]

    _template = "progress"

    @property
    def headline(self) -> str:
        """How many pass."""
        done = sum(report.passed for report in self.reports)
        return say(self.language, "done", done=done, count=len(self.reports))


def say(language: Language, key: str, **facts: object) -> str:
    """A sentence for students."""
    return _WORDS[language][key].format(**facts)


def _mark(report: Report) -> str:
    return "✓" if report.passed else "✗"


_TEMPLATES = jinja2.Environment(
    loader=jinja2.DictLoader(
        {
            "report.text": _TEXT,
            "report.html": _HTML,
            "progress.text": _PROGRESS_TEXT,
            "progress.html": _PROGRESS_HTML,
        }
    ),
    autoescape=lambda name: name is not None and name.endswith(".html"),
    undefined=jinja2.StrictUndefined,
)
_TEMPLATES.globals["mark"] = _mark
