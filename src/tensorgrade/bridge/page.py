"""`FeedbackPage`: the page that ``nbgrader generate_feedback`` writes for a student.

Trusted side, inside nbgrader's process, behind `inert.InertNotebook`. It shows what nbgrader's own page shows (cells,
scores, comments, the penalty), in the notebook's language, light or dark as the reader's system is, for narrow windows,
keyboards and screen readers. It loads nothing, but MathJax where there is TeX.
"""

from __future__ import annotations

import copy
from typing import Any

from nbconvert.exporters import HTMLExporter
from nbformat import NotebookNode

from ..exercise import LANGUAGES, Language
from ..notebook import NAMESPACE
from ..verdict import MIME_TYPE, from_json

_WORDS: dict[Language, dict[str, str]] = {
    "en": {
        "exercises": "Exercises",
        "points": "{score} of {points} points",
        "penalty": "Late submission: {penalty} points less",
        "cell": "Code cell {number}",
        "put-back": "This cell was missing",
        "answer": "your answer",
        "graded": "graded",
        "task": "task",
        "comment": "Comment",
        "top": "To the top",
    },
    "zh": {
        "exercises": "练习",
        "points": "{score} / {points} 分",
        "penalty": "迟交：扣 {penalty} 分",
        "cell": "第 {number} 个代码单元格",
        "put-back": "此单元格曾经缺失",
        "answer": "你的答案",
        "graded": "评分",
        "task": "任务",
        "comment": "评语",
        "top": "回到顶部",
    },
}


class FeedbackPage(HTMLExporter):  # type: ignore[misc]
    """Writes a graded notebook as a page."""

    def from_notebook_node(
        self, nb: NotebookNode, resources: dict[str, Any] | None = None, **options: Any
    ) -> tuple[str, dict[str, Any]]:
        """Return the page and what nbconvert knows of it."""
        notes = nb.metadata.get(NAMESPACE)
        notes = notes if isinstance(notes, dict) else {}
        language = next((known for known in LANGUAGES if known == notes.get("language")), LANGUAGES[0])
        numbered = _with_notes(nb, notes.get("lost"))
        facts = {"language": language, "say": _WORDS[language]}
        page: tuple[str, dict[str, Any]] = super().from_notebook_node(
            numbered, {**(resources or {}), NAMESPACE: facts}, **options
        )
        return page


def _with_notes(nb: NotebookNode, lost: object) -> NotebookNode:
    """A copy whose code cells have their numbers, as feedback tells them, and whose graded cells have titles."""
    numbered = copy.deepcopy(nb)
    number = 0
    for cell in numbered.cells:
        grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
        title = _title_of(cell)
        notes = {"number": 0, "title": title or grade_id or "", "verdict": title is not None}
        put_back = isinstance(lost, list) and grade_id in lost
        if cell.cell_type == "code" and not put_back:
            number += 1
            notes["number"] = number
        cell.metadata[NAMESPACE] = notes
    return numbered


def _title_of(cell: NotebookNode) -> str | None:
    """The title of the exercise whose verdict stands below a cell."""
    outputs = [output.get("data", {}).get(MIME_TYPE) for output in cell.get("outputs", ())]
    verdict = next(filter(None, map(from_json, outputs)), None)
    title = verdict and verdict.get("title")
    return title if isinstance(title, str) else None
