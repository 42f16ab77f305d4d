"""The page that ``nbgrader generate_feedback`` writes, in a real browser: what it shows, and to whom it is of use."""

import re

import nbformat
import pytest

from tests.nbgrader_course import NbgraderCourse, cell_of

TASKS = {
    "turn": """\
schema: 1
title: {en: Turned, zh: 转置}
prompt: {en: "Write `turn(x)`.", zh: "请编写 `turn(x)`。"}
difficulty: 1
starter: |
  def turn(x):
      ...
solution: |
  def turn(x):
      return x.t().contiguous()
examples: assert turn(torch.zeros(1, 2)).shape == (2, 1)
hints: [{en: "Look for `t`.", zh: "可以看看 `t`。"}]
disclosure: full
clauses:
  values: {points: 2, hint: 1, text: {en: "rows become columns", zh: "行变成列"}}
  copy: {points: 1, text: {en: "a contiguous tensor", zh: "连续的张量"}}
""",
    "double": """\
schema: 1
title: {en: Doubled, zh: 两倍}
prompt: {en: "Write `double(x)`.", zh: "请编写 `double(x)`。"}
difficulty: 1
starter: |
  def double(x):
      ...
solution: |
  def double(x):
      return 2 * x
examples: assert double(1) == 2
clauses:
  values: {points: 1.5, text: {en: "twice the value of `x`", zh: "`x` 的两倍"}}
  hidden: {points: 1, disclosure: verdict, text: {en: "for numbers less than zero", zh: "对小于零的数也成立"}}
""",
}
GRADERS = {
    "turn": """\
import torch
from tensorgrade import expect


def test_values(submission):
    expect(submission.call("turn", torch.tensor([[1, 7, 1], [1, 1, 1]]))).equals(torch.tensor([[1, 1], [7, 1], [1, 1]]))


def test_copy(submission):
    assert submission.call("turn", torch.zeros(2, 3)).stride == (2, 1)
""",
    "double": """\
from tensorgrade import expect


def test_values(submission):
    expect(submission.call("double", 2)).equals(4)


def test_hidden(submission):
    expect(submission.call("double", -2)).equals(-4)
""",
}
ASSIGNMENT = """\
schema: 1
title: {en: Demo, zh: 演示}
introduction: {en: Welcome., zh: 欢迎。}
exercises: [turn, double]
"""
RIGHT = {"turn": "def turn(x):\n    return x.t().contiguous()", "double": "def double(x):\n    return 2 * x"}
ANSWERS = {
    "perfect": RIGHT,
    "wrong": {
        "turn": "def turn(x):\n    y = x.t().contiguous()\n    y[1] = 0\n    return y",
        "double": "def double(x):\n    print('<script>alert(1)</script> $x$')\n    raise ValueError('<img src=x> $y$')",
    },
    "broken": {
        "turn": "def turn(x:\n    return x",
        "double": "def doubel(x):\n    return 2 * x\n\nprint('a long line ' * 40)\ndoubel('x' * 500)",
    },
    "misspelt": {**RIGHT, "turn": "def trun(x):\n    return x.t().contiguous()"},
}
CONTRAST = """() => {
  const channel = value => (value /= 255) <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  const light = ([red, green, blue]) => 0.2126 * channel(red) + 0.7152 * channel(green) + 0.0722 * channel(blue);
  const parse = text => { const parts = text.match(/[\\d.]+/g).map(Number); return [...parts, 1].slice(0, 4); };
  const over = (top, below) => [0, 1, 2].map(i => top[i] * top[3] + below[i] * (1 - top[3]));
  const ground = node => {
    const layers = [];
    for (let at = node; at; at = at.parentElement) layers.push(parse(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const poor = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
    const below = ground(node);
    const [one, other] = [light(over(parse(getComputedStyle(node).color), below)), light(below)].sort((a, b) => b - a);
    if ((one + 0.05) / (other + 0.05) < 4.5) poor.push(texts.currentNode.data.trim());
  }
  return poor;
}"""


def in_language(notebook, language):
    """The notebook as one that was built in that language."""
    notebook.metadata["tensorgrade"]["language"] = language
    return notebook


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A class whose students hand in each answer in each language, graded and with its pages written by nbgrader."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("pages") / "course", dict.fromkeys(TASKS))
    course.write("assignments/demo/assignment.yaml", ASSIGNMENT)
    for name, task in TASKS.items():
        course.write(f"assignments/demo/{name}.yaml", task)
        course.write(f"graders/demo/test_{name}.py", GRADERS[name])
    course.build()
    for student, answers in ANSWERS.items():
        for language in ("en", "zh"):
            notebook = in_language(course.released("demo"), language)
            for exercise, answer in answers.items():
                cell_of(notebook, exercise).source = answer
            notebook.cells.insert(2, nbformat.v4.new_markdown_cell("<b onclick='alert(1)'>My</b> notes"))
            course.submit(f"{student}-{language}", notebook, "demo")
    for command in (("autograde", "demo", "--create"), ("generate_feedback", "demo")):
        done = course.nbgrader(*command)
        assert done.returncode == 0, done.stderr
    return course


@pytest.fixture
def opened(course, browser):
    """A student's page: ``opened("wrong-en", width=400, dark=True)``; nothing may be loaded or complained about."""
    contexts = []

    def page_of(student, width=1000, dark=False):
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme="dark" if dark else "light", locale="en"
        )
        contexts.append(context)
        page = context.new_page()
        unwanted = []
        page.on("console", lambda message: unwanted.append(message.text))
        page.on("pageerror", lambda error: unwanted.append(str(error)))
        address = (course.root / "feedback" / student / "demo" / "demo.html").as_uri()
        page.on("request", lambda request: None if request.url == address else unwanted.append(request.url))
        page.goto(address)
        assert unwanted == []
        return page

    yield page_of
    for context in contexts:
        context.close()


def verdict_of(page, exercise):
    return page.locator(f"#test_{exercise} section")


@pytest.mark.parametrize("student", ANSWERS)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_every_page_can_be_read(opened, student, language, dark):
    """In both languages, light and dark, wide and narrow: enough contrast, no sideways scrolling, and no scripts."""
    page = opened(f"{student}-{language}", width=360 if dark else 1200, dark=dark)
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.scrollingElement.scrollWidth <= window.innerWidth")
    assert page.locator("script, iframe, object, link, [onclick], [src^=http]").count() == 0
    assert page.locator("html").get_attribute("lang") == language
    shade = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert shade == ("rgb(22, 25, 29)" if dark else "rgb(255, 255, 255)")


def test_accessibility_tree(opened):
    """A screen reader hears a heading with the points, and a list with the status, text and points of each clause."""
    tree = verdict_of(opened("wrong-en"), "turn").aria_snapshot()
    assert 'heading "Turned: 1 of 3 points" [level=3]' in tree.splitlines()[0]
    items = re.findall(r"^  - listitem: ?(.*)", tree, re.MULTILINE)
    assert len(items) == 2
    assert "✗ failed rows become columns (0 of 2)" in tree
    assert "✓ passed a contiguous tensor (1 of 1)" in tree
    assert '- img "A map of the answer."' in tree
    assert "2 of 6 values are wrong: in row 1 and columns 0–1 (counted from 0). Dark squares are wrong." in tree


def test_accessibility_tree_in_chinese(opened):
    """The same in Chinese."""
    tree = verdict_of(opened("wrong-zh"), "turn").aria_snapshot()
    assert 'heading "转置: 1 / 3 分" [level=3]' in tree.splitlines()[0]
    assert "✗ 未通过 行变成列 (0 / 2)" in tree
    assert "✓ 通过 连续的张量 (1 / 1)" in tree
    assert '- img "结果的示意图。"' in tree


def test_page_has_landmarks_and_an_index(opened):
    """The page begins with the score and links to each exercise, which a keyboard reaches and follows."""
    page = opened("wrong-en")
    assert page.get_by_role("main").count() == page.get_by_role("banner").count() == 1
    entries = page.get_by_role("navigation", name="Exercises").get_by_role("listitem").all_inner_texts()
    assert entries == ["Turned: 1 of 3 points", "Doubled: 0 of 2.5 points"]
    assert "demo: 1 of 5.5 points" in page.get_by_role("banner").inner_text()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.url.endswith("#test_double")


def test_evidence_is_shown_where_the_level_allows_it(opened):
    """With `full`: hint, input, answer, what is right, shapes, and a map with its text; it folds away by keyboard."""
    verdict = verdict_of(opened("wrong-en"), "turn")
    text = verdict.inner_text()
    assert "Hint: Look for t." in text
    assert "turn(tensor([[1, 7, 1]" in text
    assert "Your answer, shape 3 × 2" in re.sub(r"\s+", " ", text)
    assert "Expected, shape 3 × 2" in re.sub(r"\s+", " ", text)
    summary = verdict.locator("summary")
    summary.focus()
    summary.press("Enter")
    assert "turn(tensor" not in verdict.inner_text()


@pytest.mark.parametrize(("language", "number"), [("en", "Requirement 2"), ("zh", "第 2 条要求")])
def test_no_evidence_above_the_level(opened, language, number):
    """With `clause` the input stays hidden, and with `verdict` even what the clause asks for."""
    verdict = verdict_of(opened(f"wrong-{language}"), "double")
    assert number in verdict.inner_text()
    assert not re.search(r"double\(-?2\)|less than zero|小于零", verdict.inner_html())


def test_own_lines_of_an_error(opened):
    """An error in the student's code is told with the line of their own that raised it."""
    text = verdict_of(opened("wrong-en"), "double").inner_text()
    assert "double raised ValueError" in text
    assert "code cell 4, line 3:" in text
    assert "raise ValueError('<img src=x> $y$')" in text


@pytest.mark.parametrize(
    ("answers", "language", "sentence"),
    [
        (
            "broken",
            "en",
            "Code cell 2, which is to define turn, did not run: line 1 is not Python ('(' was never closed).",
        ),
        ("misspelt", "en", "turn is not defined; code cell 2 defines trun: is that what you mean?"),
        (
            "broken",
            "zh",
            "应当定义 turn 的第 2 个代码单元格没有运行：第 1 行不是合法的 Python 代码（'(' was never closed）。",
        ),
        ("misspelt", "zh", "没有定义 turn；第 2 个代码单元格定义了 trun：是不是写错了名称？"),
    ],
)
def test_problem_of_the_notebook(opened, answers, language, sentence):
    """What is wrong with the notebook itself stands first, in one sentence; cells have the numbers that it names."""
    page = opened(f"{answers}-{language}")
    assert verdict_of(page, "turn").get_by_role("paragraph").first.inner_text() == sentence
    number = re.search(r"ode cell (\d)|第 (\d) 个代码单元格", sentence)
    label = page.locator("#turn .label").inner_text()
    assert label.startswith(number[0] if language == "zh" else f"C{number[0]}")
