"""What students read, as text and as HTML: the templates of verdicts and of checks, which look alike.

Trusted side and student's side; it knows no verdict, only how to show one. No text is trusted: everything is escaped,
what could reorder or hide text is made visible, and what a student's code made up stands in ``<pre>`` or ``<code>``
alone, where no front end looks for TeX. The HTML has no scripts, no style sheets and nothing that is loaded: its styles
are inline and need no theme (text has the colour of its surroundings, badges bring both of theirs), since front ends
remove everything else from notebooks that are not trusted.
"""

from __future__ import annotations

import re

import jinja2
from markupsafe import Markup, escape

from .exercise import Language
from .pictures import heat_map

_LONGEST = 2_000
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ud800-\udfff\ufeff]")
"""Control characters, those that change the direction of text, those without width, and what no file can hold."""

_CODE = re.compile(r"`([^`\n]+)`")
_INLINE = "background-color:rgba(128,128,128,0.15);color:inherit;padding:0 0.25em"

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "passed": "passed",
        "failed": "failed",
        "not run": "not run",
        "of": "of",
        "points": "points",
        "clause": "Requirement {number}",
        "again": "As above.",
        "rest": "The rest was not run for this reason.",
        "hint": "Hint",
        "trace": "In your code",
        "line": "code cell {cell}, line {line}",
        "case": "For this input",
        "details": "See this case",
        "error": "Message",
        "got": "Your answer",
        "expected": "Expected",
        "shape": "shape",
        "map": "A map of the answer.",
        "legend": "Dark squares are wrong.",
        "comma": ", ",
        "colon": ": ",
        "review": "This exercise could not be graded automatically. A person will look at it.",
    },
    "zh": {
        "passed": "通过",
        "failed": "未通过",
        "not run": "未检查",
        "of": "/",
        "points": "分",
        "clause": "第 {number} 条要求",
        "again": "同上。",
        "rest": "其余各条因此没有检查。",
        "hint": "提示",
        "trace": "在你的代码中",
        "line": "第 {cell} 个代码单元格第 {line} 行",
        "case": "对于这个输入",
        "details": "查看这个例子",
        "error": "错误信息",
        "got": "你的结果",
        "expected": "正确结果",
        "shape": "形状",
        "map": "结果的示意图。",
        "legend": "深色的格子不对。",
        "comma": "，",
        "colon": "：",
        "review": "本题无法自动评分，将由老师人工查看。",
    },
}


def render(template: str, language: Language, **facts: object) -> str:
    """Return what a template of this package shows; one whose name ends with ``.html`` is escaped."""
    return _TEMPLATES.get_template(template).render(say=_WORDS[language], language=language, **facts).rstrip("\n")


def plain_decimal(number: float) -> str:
    """A number of points as nbgrader reads it: digits and at most one point, no exponent."""
    return f"{number:.6f}".rstrip("0").rstrip(".")


def harmless(text: str) -> str:
    """Return text of unknown origin, bounded, with marks for what a reader would not see or see elsewhere."""
    shown = text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"
    return _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", shown)


def _marked(text: str) -> Markup:
    """A sentence as HTML, with what stands between backticks as code."""
    return Markup(_CODE.sub(rf'<code style="{_INLINE}">\1</code>', str(escape(harmless(text)))))


_TEMPLATES = jinja2.Environment(
    loader=jinja2.PackageLoader("tensorgrade"),
    autoescape=lambda name: name is not None and name.endswith(".html"),
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,
)
_TEMPLATES.filters.update(marked=_marked, harmless=harmless, decimal=plain_decimal)
_TEMPLATES.globals.update(heat_map=heat_map)
