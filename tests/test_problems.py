"""What is said of a notebook whose cells are what is wrong, in real runs."""

import json

import pytest

from tensorgrade.job import CellJob, CellRun
from tensorgrade.problems import LONGEST, problem_of
from tensorgrade.verdict import ClauseVerdict, Status, Verdict

TASK = """\
schema: 1
title: {en: Demo, zh: 演示}
prompt: {en: Write it., zh: 请编写。}
difficulty: 1
starter: |
  def double(x):
      ...
solution: |
  def double(x):
      return 2 * x
examples: assert double(1) == 2
clauses:
  values: {points: 1, text: {en: twice the number, zh: 数的两倍}}
"""
GRADER = "def test_values(submission): expect(submission.call('double', 2)).equals(4)"
RIGHT = "def double(x):\n    return 2 * x\n"


@pytest.fixture
def course(make_course):
    return make_course({"task": (TASK, GRADER)})


@pytest.fixture
def problem(course, run_notebook):
    """The problem of a notebook that has these cells above the place where its exercise is judged."""

    def of(*cells, **options):
        return run_notebook(course, *cells, "judge:task", **options).verdicts["task"].problem

    return of


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (
            ["x = 1", "def double(x:\n    return 2 * x"],
            "Code cell 3, which is to define `double`, did not run: line 1 is not Python (`'(' was never closed`).",
        ),
        (
            ["def double(x):\nreturn 2 * x"],
            "Code cell 2, which is to define `double`, did not run: line 2 is not Python"
            " (`expected an indented block after function definition on line 1`).",
        ),
        (
            ["y = 1\nnp.zeros(3)\ndef double(x):\n    return 2 * x"],
            "Code cell 2, which is to define `double`, stopped in line 2: `NameError: name 'np' is not defined`.",
        ),
        (
            ["def help():\n\n\n    raise ValueError('`no`')", "help()\ndouble = 3"],
            "Code cell 3, which is to define `double`, stopped in line 1: `ValueError: 'no'`.",
        ),
        (
            ["doubel = lambda x: 2 * x"],
            "`double` is not defined; code cell 2 defines `doubel`: is that what you mean?",
        ),
        (
            ["def outer():\n    def double(x):\n        return 2 * x"],
            "`double` is defined inside something else in code cell 2: it has to begin at the start of a line.",
        ),
        (["something = 1"], "No cell above this one defines `double`."),
        (["def double(x):\n    ..."], "`double` is still as it was handed out: its code has not been written yet."),
        (
            ["def double(x):\n    y = 2 * x\n    if y:\n        return"],
            "`double` has no `return` with a value, so that it gives None (code cell 2, line 1).",
        ),
        (
            ["factor = 1 + missing", "def double(x):\n    return factor * x"],
            "Code cell 2, which is to define `factor`, stopped in line 1: `NameError: name 'missing' is not defined`.",
        ),
        (
            ["import os\nos._exit(0)\n" + RIGHT],
            "Code cell 2, which is to define `double`, did not finish. The Python process ended in this cell (a crash,"
            " an exit, or too much memory). The other cells were run in a new one.",
        ),
    ],
    ids=lambda value: None if isinstance(value, str) else value[-1].split("\n")[0][:20],
)
def test_problem_is_told(problem, cells, said):
    """What kept the answer from being there is said in one sentence, with the cell and the line."""
    assert problem(*cells) == said


@pytest.mark.parametrize(
    "cell",
    [
        RIGHT + "raise ValueError",
        RIGHT + "double.__doc__ = 'changed'",
    ],
)
def test_right_answer_has_no_problem(problem, cell):
    """An answer that earns all points is not bothered with what its cells do."""
    assert problem(cell) is None


@pytest.mark.parametrize(
    "cell",
    [
        "def double(x):\n    return x",
        "def double(x):\n    yield x",
        "double = lambda x: None",
        "%time 1\nnames = %who_ls\nlen?\ndef double(x):\n    return x",
        "%%capture\ndef double(x):\n    return x",
        "@property\ndef double(x):\n    pass",
    ],
)
def test_what_is_not_the_notebooks_fault(problem, cell):
    """A wrong answer in cells that ran is for the clauses to explain; magics are not mistaken for errors."""
    assert problem(cell) is None


def test_time_limit_of_a_cell(problem):
    """A cell that ran too long is told with its limit."""
    said = problem("while True:\n    pass\ndef double(x):\n    return 2 * x", seconds=0.5)
    assert said == (
        "Code cell 2, which is to define `double`, did not finish. This cell ran longer than the limit of 0.5 s and was"
        " stopped."
    )


def test_chinese(problem):
    """The sentence is in the notebook's language."""
    said = problem("def double(x:\n    pass", language="zh")
    assert (
        said
        == "应当定义 `double` 的第 2 个代码单元格没有运行：第 1 行不是合法的 Python 代码（`'(' was never closed`）。"
    )


def test_text_and_html(course, run_notebook):
    """The problem stands above the clauses, and what the student wrote in it is text."""
    cell = "raise ValueError('<script>alert(1)</script>')\ndouble = 1"
    verdict = run_notebook(course, cell, "judge:task").verdicts["task"]
    assert "ValueError: <script>alert(1)</script>" in verdict.to_text().splitlines()[1]
    assert "&lt;script&gt;" in verdict.to_html()
    assert "<script" not in verdict.to_html()
    assert "stopped in line 1" in json.dumps(verdict.to_json())


HOSTILE = {
    "parentheses": "(" * (LONGEST - 1),
    "minus": "-" * (LONGEST - 1) + "1",
    "not": "not " * (LONGEST // 4 - 1) + "1",
    "attributes": "a" + ".b" * (LONGEST // 2 - 1),
    "calls": "f" + "()" * (LONGEST // 2 - 1),
    "lambdas": "lambda:" * (LONGEST // 7 - 1) + "1",
    "sums": "1" + "+1" * (LONGEST // 2 - 1),
    "powers": "1" + "**1" * (LONGEST // 3 - 1),
    "blocks": "".join(" " * depth + "if 1:\n" for depth in range(99)) + " " * 99 + "pass",
    "elif": "if 1: pass\n" + "elif 1: pass\n" * (LONGEST // 14),
    "strings": "f'{" * 3000,
    "awaits": "await " * (LONGEST // 6 - 1) + "x",
    "too long": "x = 1\n" * LONGEST,
    "nul": "x = \0",
    "surrogate": "x = '\ud800'",
    "lines": "?\n" * (LONGEST // 2),
    "magics": "%x" * (LONGEST // 2),
    "spaces": " " * (LONGEST - 1) + "?",
    "lines of spaces": (" " * 99 + "\n") * (LONGEST // 100 - 1) + "?",
    "cell magic": "\n" * (LONGEST - 3) + "%%x",
    "commas": "a," * (LONGEST // 2 - 1) + "!",
}


@pytest.mark.parametrize("source", HOSTILE.values(), ids=HOSTILE)
def test_hostile_cells(course, source):
    """Whatever a cell holds, reading it takes little time and raises nothing."""
    failed = ClauseVerdict("values", "", 1, Status.FAILED)
    verdict = Verdict("task", "", "en", (failed,))
    error = {"output_type": "error", "ename": "SyntaxError\x00`", "evalue": "x" * 100_000, "traceback": ["x"] * 9999}
    cells = [CellJob(source, 1), CellJob(f"def double(x):\n    return {source}", 1)]
    said = problem_of(course.load("demo").exercise("task"), cells, [CellRun((error,))] * 2, verdict)
    assert said is None or len(said) < 1000
