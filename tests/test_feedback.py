"""What a verdict with evidence looks like, as text and as HTML, at each level."""

import re

import pytest
from bs4 import BeautifulSoup

from tensorgrade.evidence import Evidence, Grid, TracedLine
from tensorgrade.exercise import Level
from tensorgrade.feedback import harmless
from tensorgrade.verdict import ClauseVerdict, Status, Verdict

EVIDENCE = Evidence(
    call="identity(2, 3)",
    error=None,
    wrong=Grid(((0.0, 1.0), (1.0, 0.0), (0.0, 0.0)), (3, 2)),
    got="tensor([[0, 1],\n        [1, 0],\n        [0, 0]])",
    expected="tensor([[1, 0, 0],\n        [0, 1, 0]])",
    got_shape=(3, 2),
    expected_shape=(2, 3),
)
INERT = {"section", "h3", "p", "ul", "li", "div", "span", "strong", "em", "code", "pre", "details", "summary", "figure"}
INERT |= {"img", "figcaption"}
ATTRIBUTES = {"class", "lang", "style", "role", "open", "src", "width", "height", "alt"}


def failed(level, evidence=EVIDENCE, **facts):
    told = {"code": "transposed", "finding": "The result is the transpose.", "hint": "Rows come first.", **facts}
    return ClauseVerdict("values", "ones on `n` places", 2, Status.FAILED, level=level, evidence=evidence, **told)


def verdict(*clauses, **facts):
    return Verdict("eye", "Identity", facts.pop("language", "en"), clauses, **facts)


def test_text_of_a_full_clause():
    """The text holds finding, hint, own lines, input, both values with their shapes, and where it is wrong."""
    trace = (TracedLine(4, 2, "    return helper(n)"), TracedLine(3, 7, "    return torch.eye(n)"))
    assert verdict(failed(Level.FULL, trace=trace)).to_text().splitlines() == [
        "Identity: 0 of 2 points",
        "[failed] ones on `n` places (2)",
        "    The result is the transpose.",
        "    Hint: Rows come first.",
        "    In your code, code cell 4, line 2: return helper(n)",
        "    In your code, code cell 3, line 7: return torch.eye(n)",
        "    For this input: identity(2, 3)",
        "    Your answer, shape (3, 2):",
        "      tensor([[0, 1],",
        "              [1, 0],",
        "              [0, 0]])",
        "    Expected, shape (2, 3):",
        "      tensor([[1, 0, 0],",
        "              [0, 1, 0]])",
        "    2 of 6 values are wrong: in rows 0–1 and columns 0–1 (counted from 0).",
        "      · █",
        "      █ ·",
        "      · ·",
    ]


def test_text_in_chinese():
    """Chinese text has Chinese words and punctuation."""
    evidence = Evidence(call="f(1)", error="坏了", got="1", expected="2")
    assert verdict(failed(Level.FULL, evidence, hint="想一想"), language="zh").to_text().splitlines() == [
        "Identity: 0 / 2 分",
        "[未通过] ones on `n` places (2)",
        "    The result is the transpose.",
        "    提示：想一想",
        "    对于这个输入：f(1)",
        "    错误信息：坏了",
        "    你的结果：1",
        "    正确结果：2",
    ]


@pytest.mark.parametrize(
    ("level", "told"),
    [
        (Level.VERDICT, set()),
        (Level.CLAUSE, {"transpose", "Rows come first"}),
        (Level.CASE, {"transpose", "Rows come first", "identity(2, 3)", "2 of 6"}),
        (Level.FULL, {"transpose", "Rows come first", "identity(2, 3)", "2 of 6", "Expected", "[1, 0, 0]"}),
    ],
)
def test_levels(level, told):
    """Each level shows what it allows, and nothing more, as text and as HTML."""
    everything = {"transpose", "Rows come first", "identity(2, 3)", "2 of 6", "Expected", "[1, 0, 0]"}
    shown = verdict(failed(level))
    for form in (shown.to_text(), shown.to_html()):
        assert {piece for piece in everything if piece in form} == told
        assert ("Requirement 1" in form) == (level is Level.VERDICT)


def test_what_is_said_already_is_not_repeated():
    """The same finding is told once; a reason that a clause gives already says why the rest was not run."""
    rest = ClauseVerdict("rest", "the rest", 1, Status.NOT_RUN)
    shown = verdict(failed(Level.CLAUSE), failed(Level.CLAUSE), rest, reason="The result is the transpose.")
    assert shown.to_text().count("The result is the transpose.") == 1
    assert shown.to_html().count("The result is the transpose.") == 1
    assert "    As above." in shown.to_text().splitlines()
    assert shown.to_text().splitlines()[-1] == "The rest was not run for this reason."


HOSTILE = "<script>alert(1)</script>'\"><img src=x onerror=alert(1)>${{7*7}}`a`\x1b[31m\x00\u202egnp.exe\ud800"


def test_no_text_is_trusted():
    """Whatever stands in a text is shown as text: no tag, no attribute, no colours, nothing that turns it around."""
    evidence = Evidence(HOSTILE, HOSTILE, None, HOSTILE, HOSTILE, (1,), ())
    clause = failed(Level.FULL, evidence, finding=HOSTILE, hint=HOSTILE, trace=(TracedLine(1, 1, HOSTILE),))
    shown = verdict(clause, reason=f"{HOSTILE}!", problem=HOSTILE)
    page = BeautifulSoup(shown.to_html(), "html.parser")
    assert {tag.name for tag in page.find_all(True)} <= INERT
    assert {name for tag in page.find_all(True) for name in tag.attrs} <= ATTRIBUTES
    assert page.get_text().count("<script>") == 9
    for form in (shown.to_text(), shown.to_html()):
        assert not re.search("[\x00\x1b\u202e\ud800]", form)
        form.encode()


def test_students_text_is_out_of_reach_of_tex():
    """What student code made up stands in code or preformatted text, where no front end looks for TeX."""
    evidence = Evidence("$call$", "$error$", None, "$got$", "$expected$")
    page = BeautifulSoup(
        verdict(failed(Level.FULL, evidence, trace=(TracedLine(1, 1, "$line$"),)), problem="It is `$name$`.").to_html(),
        "html.parser",
    )
    for tag in page.find_all(["code", "pre"]):
        tag.decompose()
    assert "$" not in page.get_text()


def test_long_text_is_cut():
    """A text of unknown origin is bounded."""
    assert len(harmless("x" * 1_000_000)) < 3000


def test_picture_and_shapes_have_texts():
    """An image has a text and a caption, and shapes are numbers in the text."""
    page = BeautifulSoup(verdict(failed(Level.FULL)).to_html(), "html.parser")
    assert page.figure.img["alt"] == "A map of the answer."
    assert page.figure.img["src"].startswith("data:image/svg+xml;base64,")
    assert page.figcaption.get_text().startswith("2 of 6 values are wrong")
    text = re.sub(r"\s+", " ", page.get_text())
    assert "Your answer, shape 3 × 2:" in text
    assert "Expected, shape 2 × 3:" in text
