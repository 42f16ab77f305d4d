"""What a verdict says as text, HTML and JSON."""

import json
from dataclasses import replace

import pytest

from tensorgrade.evidence import Evidence, Grid, TracedLine
from tensorgrade.exercise import Level, Text
from tensorgrade.feedback import plain_decimal
from tensorgrade.verdict import ClauseVerdict, Status, Verdict, from_json, not_run


def clause(name, status, points=1.0, finding=None):
    return ClauseVerdict(name, f"text of {name}", points, status, "code" if finding else None, finding)


@pytest.fixture
def verdict():
    clauses = (
        clause("values", Status.PASSED, 1.5),
        clause("dtype", Status.FAILED, 1, "It is <b>float32</b> & wrong."),
        clause("speed", Status.NOT_RUN, 0.5),
    )
    return Verdict("eye", "Identity <matrix>", "en", clauses, reason="It took too long.")


def test_score_is_that_of_passed_clauses(verdict):
    """Only passed clauses earn points; all clauses count for the maximum."""
    assert (verdict.score, verdict.max_score) == (1.5, 3)


def test_text(verdict):
    """The text gives points, each clause with its status and finding, and the reason."""
    assert verdict.to_text().splitlines() == [
        "Identity <matrix>: 1.5 of 3 points",
        "[passed] text of values (1.5)",
        "[failed] text of dtype (1)",
        "    It is <b>float32</b> & wrong.",
        "[not run] text of speed (0.5)",
        "It took too long.",
    ]


def test_html_escapes(verdict):
    """Titles and findings are text in the HTML, never markup."""
    html = verdict.to_html()
    assert "Identity &lt;matrix&gt;" in html
    assert "It is &lt;b&gt;float32&lt;/b&gt; &amp; wrong." in html
    assert "<b>" not in html
    assert "<script" not in html


def test_json_round_trip(verdict):
    """The JSON form survives JSON, and holds points, clauses and the reason."""
    data = from_json(json.loads(json.dumps(verdict.to_json())))
    assert (data["score"], data["max_score"], data["reason"]) == (1.5, 3, "It took too long.")
    assert [entry["status"] for entry in data["clauses"]] == ["passed", "failed", "not run"]


def test_flag_keeps_its_reason_from_students():
    """Why an exercise is flagged is for the instructor; students learn that a person will look at it."""
    verdict = Verdict("eye", "Eye", "en", (clause("values", Status.NOT_RUN),), flagged="secret path /graders/x.py")
    shown = verdict.to_text() + verdict.to_html() + json.dumps(verdict.to_json())
    assert "secret" not in shown
    assert "A person will look at it" in verdict.to_text()
    assert verdict.to_json()["flagged"] is True


def test_chinese():
    """A Chinese verdict is Chinese throughout."""
    verdict = Verdict("eye", "单位矩阵", "zh", (clause("values", Status.PASSED, 2),), flagged="fault")
    assert verdict.to_text().splitlines() == [
        "单位矩阵: 2 / 2 分",
        "[通过] text of values (2)",
        "本题无法自动评分，将由老师人工查看。",
    ]
    assert "通过" in verdict.to_html()


def test_not_run_covers_every_clause(make_course, exercise_text):
    """The verdict on what could not be checked names every clause, without points."""
    course = make_course({"task": (exercise_text("values", "dtype"), "def test_values(): pass\n")})
    verdict = not_run(course.load("demo").exercise("task"), "zh", Text(en="Lost.", zh="丢失。").get("zh"))
    assert [(entry.name, entry.status) for entry in verdict.clauses] == [("values", "not run"), ("dtype", "not run")]
    assert (verdict.score, verdict.max_score, verdict.title, verdict.reason) == (0, 2, "演示", "丢失。")


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0"),
        (0.0, "0"),
        (3.0, "3"),
        (10.0, "10"),
        (100.0, "100"),
        (0.5, "0.5"),
        (1 / 3, "0.333333"),
        (1e-9, "0"),
        (1e6, "1000000"),
    ],
)
def test_plain_decimal(number, text):
    """Points are written with digits and at most one point, without exponent or trailing zeros."""
    assert plain_decimal(number) == text


@pytest.mark.parametrize(
    "garbage",
    [None, 3, "text", [], {}, {"version": 1}, {"version": 99, "clauses": []}, {"version": 1, "clauses": "values"}],
)
def test_garbage_is_no_verdict(garbage):
    """What is not a verdict of this version reads as none."""
    assert from_json(garbage) is None


# ------------------------------------------------------------------------------------------------------- levels

EVIDENCE = Evidence("f(1)", "message", Grid(((0.5, 1.0),), (2,)), "got", "expected", (2,), (3,))
LINE = TracedLine(2, 5, "return x")


def told(level, **changes):
    """A failed clause with everything, at a level."""
    facts = {"code": "some", "finding": "sentence", "hint": "hint", "trace": (LINE,), "evidence": EVIDENCE, **changes}
    return ClauseVerdict("values", "text", 1.0, Status.FAILED, level=level, **facts)


def test_each_level_tells_more_than_the_one_before():
    """Of a clause: points; the finding, the hint and the own lines; the input and where it is wrong; both values."""
    verdict, clause, case, full = (told(level).disclosed() for level in Level)
    assert verdict == ClauseVerdict("", "", 1.0, Status.FAILED, level=Level.VERDICT)
    assert clause == told(Level.CLAUSE, evidence=None)
    assert case == told(Level.CASE, evidence=replace(EVIDENCE, got=None, expected=None, expected_shape=None))
    assert full == told(Level.FULL)


def test_a_clause_that_tells_no_input_keeps_others_from_saying_it():
    """What student code made up in another clause of the exercise is left out; the call and what is right stay."""
    clauses = tuple(replace(told(level), name=level) for level in (Level.CLAUSE, Level.FULL))
    _, full = Verdict("eye", "Eye", "en", clauses).disclosed().clauses
    assert full.evidence == Evidence(call="f(1)", expected="expected", expected_shape=(3,))


def test_a_verdict_is_stored_whole():
    """What is read from the store is what was put there, in JSON, whatever the levels."""
    verdict = Verdict("eye", "Eye", "en", (told(Level.VERDICT), told(Level.FULL)), problem="Cell 2 is odd.")
    assert Verdict.from_stored(json.loads(json.dumps(verdict.to_stored()))) == verdict


def test_points_alone_are_told_beside_no_problem():
    """What is wrong with the notebook may tell why a clause failed that tells nothing."""
    verdict = Verdict("eye", "Eye", "en", (told(Level.VERDICT),), problem="Cell 2 is odd.", flagged="why")
    assert verdict.disclosed().problem is None
    assert verdict.disclosed().flagged == ""
    assert verdict.disclosed().clauses[0].name == "1"


def test_the_shape_of_a_scalar_comes_back_from_the_store():
    """It is empty, and stays what it was: a stored verdict equals the one that was kept, and reads the same."""
    evidence = Evidence(call="f(1)", got="tensor(1.)", got_shape=(), expected="2", expected_shape=())
    failed = ClauseVerdict("values", "right", 1.0, Status.FAILED, "value", "Wrong.", Level.FULL, evidence=evidence)
    kept = Verdict("eye", "Eye", "en", (failed,))
    known = Verdict.from_stored(json.loads(json.dumps(kept.to_stored())))
    assert known == kept
    assert (known.to_text(), known.to_html()) == (kept.to_text(), kept.to_html())


def test_forms_are_those_of_the_verdict_and_are_not_shared(verdict):
    """What was rendered for one verdict is not shown for another, and whoever changes the JSON changes their own."""
    verdict.to_json()["clauses"].clear()
    assert len(verdict.to_json()["clauses"]) == 3
    other = replace(verdict, reason="Something else.")
    assert "It took too long." in verdict.to_text()
    assert "Something else." in other.to_text()
    assert other.to_html() != verdict.to_html()
    assert other.to_json()["reason"] == "Something else."
