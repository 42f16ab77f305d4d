"""The feedback page of notebooks of all kinds, without a browser: what is on it, and that it is escaped."""

import pytest
from bs4 import BeautifulSoup
from nbformat import v4
from traitlets.config import Config

from tensorgrade.bridge import configure
from tensorgrade.bridge.page import FeedbackPage
from tensorgrade.verdict import MIME_TYPE, ClauseVerdict, Status, Verdict


def cell(kind, source, grade_id=None, outputs=(), **flags):
    made = v4.new_markdown_cell(source) if kind == "markdown" else v4.new_code_cell(source, outputs=list(outputs))
    if grade_id is not None:
        made.metadata["nbgrader"] = {"grade_id": grade_id, "grade": False, "solution": False, "task": False, **flags}
    return made


def verdict_output(title):
    verdict = Verdict("eye", title, "en", (ClauseVerdict("values", "ones", 2, Status.PASSED),))
    data = {"text/plain": verdict.to_text(), "text/html": verdict.to_html(), MIME_TYPE: verdict.to_json()}
    score = v4.new_output("execute_result", data={"text/plain": "1234.5"})
    return [v4.new_output("display_data", data=data), score]


@pytest.fixture
def page():
    """The page of some cells, as parsed HTML: ``page(cells, language="zh", lost=["test_eye"])``."""
    config = Config()
    configure(config)

    def of(*cells, penalty=0, **notes):
        notebook = v4.new_notebook(cells=list(cells), metadata={"tensorgrade": notes})
        place = {"notebook": "<create>", "score": 2.5, "max_score": 10.0, "late_penalty": penalty}
        html, _ = FeedbackPage(config=config).from_notebook_node(notebook, {"nbgrader": place})
        return BeautifulSoup(html, "html.parser")

    return of


def test_everything_of_nbgraders_page_is_there(page):
    """Total, points of each graded cell, comments of graders, and the penalty."""
    shown = page(
        cell("code", "x = 1", "written", grade=True, solution=True, score=1.5, points=4, comment="Look *here*"),
        cell("markdown", "Essay", "essay", grade=True, solution=True, score=0, points=3, comment=None),
        cell("markdown", "Do it", "task", task=True, score=1, points=3.25, comment=""),
        penalty=1.25,
    )
    head = " ".join(shown.header.get_text().split())
    assert head.startswith("<create>: 2.5 of 10 points Late submission: 1.25 points less")
    assert [entry.get_text() for entry in shown.nav("li")] == [
        "written:\n1.5 of 4 points",
        "essay:\n0 of 3 points",
        "task:\n1 of 3.25 points",
    ]
    labels = [label.get_text(" ", strip=True) for label in shown.find_all(class_="label")]
    assert labels[0] == "Code cell 1 · your answer · 1.5 of 4 points · To the top"
    assert "task · 1 of 3.25 points" in labels[2]
    (comment,) = shown.find_all(class_="comment")
    assert comment.em.get_text() == "here"


def test_exercises_have_their_titles(page):
    """The index names an exercise by the title in its verdict, whose score for nbgrader is not shown a second time."""
    outputs = verdict_output("Identity <b>matrix</b>")
    shown = page(cell("code", "assert True", "test_eye", outputs, grade=True, score=2, points=2))
    assert shown.nav.a.get_text() == "Identity <b>matrix</b>"
    assert shown.find(id=shown.nav.a["href"][1:]).h3.get_text() == "Identity <b>matrix</b>: 2 of 2 points"
    assert "1234.5" not in shown.get_text()


def test_cells_have_the_numbers_that_feedback_names(page):
    """Code cells are counted as they were handed in: one that was put back has no number."""
    shown = page(
        cell("code", "1"), cell("markdown", "text"), cell("code", "2", "lost"), cell("code", "3", "kept"), lost=["lost"]
    )
    labels = [label.get_text(strip=True) for label in shown.find_all(class_="label")]
    assert labels == ["Code cell 1", "This cell was missing", "Code cell 2"]


def test_in_chinese(page):
    """A Chinese notebook has a Chinese page; an unknown language is none."""
    shown = page(cell("code", "1", "x", grade=True, score=1, points=2), penalty=1, language="zh")
    assert shown.html["lang"] == "zh"
    assert "2.5 / 10 分" in shown.header.get_text()
    assert "第 1 个代码单元格" in shown.main.get_text()
    assert page(cell("code", "1"), language="<script>").html["lang"] == "en"


@pytest.mark.parametrize(("source", "scripts"), [("no formula", False), ("$x^2$", True), (r"\(x\)", True)])
def test_only_tex_loads_something(page, source, scripts):
    """MathJax is there for notebooks with TeX, and nothing is loaded otherwise."""
    shown = page(cell("markdown", source), cell("code", "cost = '$5'"))
    assert bool(shown("script")) is scripts
    assert not shown("link")


def test_names_are_escaped(page):
    """Ids that somebody made up are text on the page."""
    shown = page(cell("code", "1", '"><script>alert(1)</script>', grade=True, score=1, points=1))
    assert not shown("script")


@pytest.mark.parametrize("notes", [{"lost": [[], {}, 3]}, {"lost": 3}, {"language": ["en"]}, {"language": {}}])
def test_forged_notes(page, notes):
    """Notes of a notebook that tensorgrade did not write do no harm."""
    assert page(cell("code", "1"), **notes).main.p.get_text(strip=True) == "Code cell 1"
