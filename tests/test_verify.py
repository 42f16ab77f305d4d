"""``tensorgrade verify``: what it finds wrong with exercises, and what it says of good ones."""

import json
import re
import shutil
import subprocess
import textwrap

import pytest
from click.testing import CliRunner

from tensorgrade.cli import cli
from tensorgrade.course import Course
from tensorgrade.errors import CourseError
from tensorgrade.pool import POOL
from tensorgrade.verify.command import watch
from tensorgrade.verify.prover import Options, prove
from tensorgrade.verify.report import survivors, to_json
from tensorgrade.verify.skeleton import begin
from tensorgrade.verify.targets import changed, targets
from tensorgrade.verify.watching import saves

EXERCISE = """\
schema: 1
title: {en: Doubling, zh: 加倍}
prompt: {en: Write all of these functions., zh: 请编写以下函数。}
difficulty: 1
starter: |
  def doubled(x):
      ...
solution: |
  def doubled(x):
      return x * 2

  def double_(x):
      x.mul_(2)
      return x

  def flat(x):
      return x.view(-1)

  def leaf(x):
      if x.numel() == 0:
          raise ValueError("nothing there")
      return x.detach().clone().requires_grad_()

  def zeros(n, dtype):
      return torch.zeros(n, n + 1, dtype=dtype)
examples: |
  assert doubled(torch.tensor([1.0])).item() == 2
  assert zeros(1, torch.int64).tolist() == [[0, 0]]
clauses:
  values: {points: 1, text: {en: twice the values, zh: 两倍的值}}
  close: {points: 1, text: {en: twice the values up to rounding, zh: 两倍的值（舍入误差内）}}
  dtype: {points: 1, text: {en: the dtype, zh: 类型}}
  shape: {points: 1, text: {en: the shape, zh: 形状}}
  same: {points: 1, text: {en: the same object, zh: 同一对象}}
  view: {points: 1, text: {en: a view, zh: 视图}}
  copy: {points: 1, text: {en: a copy, zh: 副本}}
  leaf: {points: 1, text: {en: a leaf, zh: 叶子}}
  graph: {points: 1, text: {en: in the graph, zh: 在图中}}
  empty: {points: 1, text: {en: refuses what is empty, zh: 拒绝空张量}}
  untouched: {points: 1, text: {en: x stays as it was, zh: x 保持不变}}
  vectorised: {points: 1, text: {en: without a loop, zh: 无循环}}
  tensor: {points: 1, text: {en: a tensor, zh: 张量}}
  device: {points: 1, text: {en: on the CPU, zh: 在 CPU 上}}
accept:
  plus: |
    def doubled(x):
        return x + x

    def double_(x):
        return x.add_(x)

    def flat(x):
        return x.reshape(x.numel())

    def leaf(x):
        if not x.numel():
            raise ValueError
        return torch.empty_like(x).copy_(x.detach()).requires_grad_()

    def zeros(n, dtype):
        return torch.full((n, n + 1), 0, dtype=dtype)
reject:
"""

REJECTED = {
    "values": "def doubled(x): return x * 3",
    "close": "def doubled(x): return x * 2 if x.dtype == torch.float32 else x * 2.001",
    "dtype": "def zeros(n, dtype): return torch.zeros(n, n + 1)",
    "shape": "def zeros(n, dtype): return torch.zeros(n + 1, n, dtype=dtype)",
    "same": "def double_(x): return x.mul_(2).view_as(x)",
    "view": "def flat(x): return x.flatten().clone()",
    "copy": "def leaf(x):\n    if x.numel() == 0: raise ValueError\n    return x.detach().requires_grad_()",
    "leaf": "def leaf(x):\n    if x.numel() == 0: raise ValueError\n    return x.detach().clone().requires_grad_() * 1",
    "graph": "def leaf(x):\n    if x.numel() == 0: raise ValueError\n    return x.detach().clone()",
    "empty": "def leaf(x): return x.detach().clone().requires_grad_()",
    "untouched": "def doubled(x):\n    y = x * 2\n    with torch.no_grad(): x.zero_()\n    return y",
    "vectorised": "def doubled(x):\n    for row in x.reshape(-1): row + 1\n    return x * 2",
    "tensor": "def flat(x): return None if x.numel() == 6 else x.view(-1)",
    "device": "def zeros(n, dtype): return torch.zeros(n, n + 1, dtype=dtype, device='meta' if n == 9 else 'cpu')",
}

GRADER = """\
import torch
from tensorgrade import expect

def inputs(generator, dtype=torch.float32):
    return [torch.randn(shape, generator=generator, dtype=dtype) for shape in ((), (3,), (2, 3))]

def test_values(submission, generator):
    for x in inputs(generator):
        expect(submission.call("doubled", x)).equals(x * 2)

def test_close(submission, generator):
    for x in inputs(generator, torch.float64):
        expect(submission.call("doubled", x)).close_to(x * 2)

def test_dtype(submission):
    for dtype in (torch.int64, torch.float64):
        expect(submission.call("zeros", 2, dtype)).has_dtype(dtype)
        expect(submission.call("zeros", 2, dtype).values.count_nonzero().item()).equals(0)

def test_shape(submission):
    expect(submission.call("zeros", 2, torch.int64)).has_shape(2, 3)

def test_same(submission, generator):
    for x in inputs(generator):
        attempt = submission.attempt("double_", x)
        expect(attempt).is_same_object_as(attempt.arguments[0])
        expect(attempt.arguments[0].values.tolist()).equals((x * 2).tolist())

def test_view(submission, generator):
    x = torch.randn(2, 3, generator=generator)
    attempt = submission.attempt("flat", x)
    expect(attempt).shares_storage_with(attempt.arguments[0])

def test_copy(submission, generator):
    attempt = submission.attempt("leaf", torch.randn(2, 3, generator=generator))
    expect(attempt).shares_storage_with(attempt.arguments[0], False)

def test_leaf(submission, generator):
    for requires_grad in (False, True):
        x = torch.randn(2, 3, generator=generator, requires_grad=requires_grad)
        attempt = submission.attempt("leaf", x)
        expect(attempt).is_leaf()

def test_graph(submission, generator):
    expect(submission.call("leaf", torch.randn(2, 3, generator=generator))).requires_grad()

def test_empty(submission):
    expect(submission.attempt("leaf", torch.zeros(0))).raises(ValueError)

def test_untouched(submission, generator):
    for x in inputs(generator):
        expect(submission.attempt("doubled", x)).is_tensor().leaves_arguments()

def test_vectorised(submission):
    expect(submission.vectorised("doubled", *((torch.ones(n),) for n in (3, 5, 50)))).is_tensor()

def test_tensor(submission, generator):
    expect(submission.attempt("flat", torch.randn(2, 3, generator=generator))).is_tensor()

def test_device(submission):
    expect(submission.call("zeros", 9, torch.int64)).on_device("cpu")
"""


def exercise_text():
    """The YAML of an exercise that asks for everything a grader can check, each in a clause of its own."""
    lines = EXERCISE
    for clause, code in REJECTED.items():
        functions = "\n\n".join([SOLUTION, code])  # the later definition counts
        lines += f"  no_{clause}:\n    because: [{', '.join(LOST.get(clause, [clause]))}]\n    code: |\n"
        lines += textwrap.indent(functions, "      ") + "\n"
    return lines


SOLUTION = textwrap.dedent(EXERCISE.partition("solution: |\n")[2].partition("examples:")[0])
LOST = {
    "values": ["values", "close"],
    "view": ["view"],
    "tensor": ["view", "tensor"],
}

ASSIGNMENT = """\
schema: 1
title: {en: Demo, zh: 演示}
introduction: {en: Welcome., zh: 欢迎。}
exercises: [task]
"""


@pytest.fixture(scope="module", autouse=True)
def workers():
    """The workers stay for all tests of this module."""
    yield
    POOL.close()


@pytest.fixture
def course(tmp_path):
    """A course with one exercise that asks for everything a grader can check."""
    made = Course(tmp_path / "course")
    for file, text in {
        made.config_file: "",
        made.settings_file("demo"): ASSIGNMENT,
        made.exercise_file("demo", "task"): exercise_text(),
        made.grader_file("demo", "task"): GRADER,
    }.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return made


def edit(file, before, after):
    text = file.read_text(encoding="utf-8")
    assert before in text
    file.write_text(text.replace(before, after), encoding="utf-8")


def proven(course, *names, **options):
    """The proof of a course, without mutants and repetitions if they are not asked for."""
    chosen = Options(**{"mutants": False, "seeds": 1, **options})
    return prove(course, targets(course, names), chosen, lambda done, asked: None)


def problems(course, **options):
    proof = proven(course, **options)
    assert proof.holds == (not proof.problems and not any(one.problems for one in proof.exercises))
    return "\n".join([*proof.problems, *(problem for one in proof.exercises for problem in one.problems)])


def test_a_good_exercise_holds(course):
    """An exercise whose grader notices everything holds; the proof tells what was graded."""
    proof = proven(course, seeds=2)
    assert problems(course, seeds=2) == ""
    (one,) = proof.exercises
    assert {answer.kind for answer in one.answers} == {"starter", "solution", "accept", "reject"}
    assert one.trials == 2 * 3 + 14 * 2  # right answers: a seed, again and two threads; wrong ones: a seed and again
    assert one.margin is not None
    assert 0 <= one.margin.used < 1
    assert set(one.tests) == {f"test_{clause}" for clause in one.clauses}


KINDS = ["equals", "close_to", "has_dtype", "has_shape", "is_same_object_as", "shares_storage_with", "is_leaf"]
KINDS += ["requires_grad", "raises", "leaves_arguments", "is_tensor", "on_device", "vectorised"]


def without(check, grader):
    """A grader with one kind of check removed wherever it stands."""
    if check == "vectorised":
        return re.sub(r"submission\.vectorised\(.*\)\)\.", 'submission.call("doubled", torch.ones(3))).', grader)
    return re.sub(rf"\.{check}\([^()]*(\([^()]*\)[^()]*)*\)", "", grader)


@pytest.mark.parametrize("check", KINDS)
def test_a_grader_without_a_kind_of_check_is_caught(course, check):
    """Whichever kind of check is removed from a grader: the answers of the exercise's file show it."""
    weakened = without(check, GRADER)
    assert weakened != GRADER
    course.grader_file("demo", "task").write_text(weakened, encoding="utf-8")
    assert "keeps the clause" in problems(course)


SMALL = """\
schema: 1
title: {en: Sums, zh: 求和}
prompt: {en: Sum up each row. Vectorised., zh: 求每行之和。}
difficulty: 1
starter: |
  def rows(x):
      ...
solution: |
  def rows(x):
      return x.sum(dim=1)
examples: |
  x = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
  assert rows(x).tolist() == [3, 7]
  assert rows(x.long()).tolist() == [3, 7]
clauses:
  values: {points: 1, text: {en: sums, zh: 和}}
reject:
  columns:
    because: [values]
    code: |
      def rows(x):
          return x.sum(dim=0)
"""

SMALL_GRADER = """\
import torch
from tensorgrade import expect

def test_values(submission, generator):
    for dtype in (torch.float32, torch.int64):
        for shape in ((2, 3), (3, 3), (0, 2)):
            x = torch.randint(9, shape, generator=generator).to(dtype)
            expect(submission.call("rows", x)).equals(x.sum(dim=1)).has_dtype(dtype)

def test_values__vectorised(submission):
    submission.vectorised("rows", *((torch.ones(n, n),) for n in (3, 5, 50)))
"""

VISIBLE = "torch.tensor([[1.0, 2.0], [3.0, 4.0]])"

DETACH = """\
equivalent:
  - {kind: result-detach, reason: gradients are not asked for}
"""


@pytest.fixture
def small(course):
    """A course with a small exercise, all of whose mutants but one are noticed."""
    course.exercise_file("demo", "task").write_text(SMALL + DETACH, encoding="utf-8")
    course.grader_file("demo", "task").write_text(SMALL_GRADER, encoding="utf-8")
    return course


def test_mutants_are_killed_or_declared(small):
    """An exercise holds when each mutant is noticed or declared equivalent; a second proof is known."""
    proof = proven(small, mutants=True)
    (one,) = proof.exercises
    assert one.problems == []
    kinds = {mutant.kind: mutant for mutant in one.mutants}
    assert {"constant", "dropped-argument", "other-function", "examples-by-heart", "looped"} <= set(kinds)
    assert all(mutant.killed != (mutant.reason is not None) for mutant in one.mutants)
    assert kinds["result-detach"].reason == "gradients are not asked for"
    (mean,) = (mutant for mutant in one.mutants if mutant.change == "return x.sum(dim=1) -> return x.mean(dim=1)")
    assert mean.diff.endswith("-    return x.sum(dim=1)\n+    return x.mean(dim=1)")
    assert mean.lost == ("values",)
    again = proven(small, mutants=True)
    assert (again.computed, again.known) == (0, 1)
    assert to_json(again)["exercises"] == to_json(proof)["exercises"]


SHAPES = "((2, 3), (3, 3), (0, 2))"
DTYPES = "(torch.float32, torch.int64)"
DRAWN = "x = torch.randint(9, shape, generator=generator)"
VECTORISED = 'submission.vectorised("rows", *((torch.ones(n, n),) for n in (3, 5, 50)))'


@pytest.mark.parametrize(
    ("changes", "survivor"),
    [
        ({SHAPES: "((2, 3),)"}, None),
        ({SHAPES: "((0, 2), (1, 2))"}, "return x.sum(dim=1).flip(0)"),
        ({DTYPES: "(torch.float32,)"}, None),
        ({".has_dtype(dtype)": ""}, "return x.sum(dim=1).double()"),
        ({VECTORISED: "pass"}, "runs a loop"),
        ({VECTORISED: "pass", DRAWN: f"x = {VISIBLE}"}, "by heart"),
    ],
)
def test_a_weakened_grader_lets_mutants_survive(small, changes, survivor):
    """What a grader does not try, a mutant shows, if there is one that it would have noticed."""
    for before, after in changes.items():
        edit(small.grader_file("demo", "task"), before, after)
    proof = proven(small, mutants=True)
    assert proof.holds == (survivor is None)
    if survivor is not None:
        assert any(survivor in line for line in survivors(proof.exercises[0]))
        assert "mutants earn everything" in proof.exercises[0].problems[-1]


@pytest.mark.parametrize(
    ("declared", "complaint"),
    [
        ("{mutants: ['solution: return x.sum(dim=1) -> return None'], reason: none}", "notices this mutant"),
        ("{mutants: ['solution: return x.sum(dim=1) -> return nothing'], reason: none}", "found no such mutant"),
        ("{kind: result-clone, reason: none}", "no mutant of this kind survives"),
    ],
)
def test_a_declaration_that_is_not_needed(small, declared, complaint):
    """A mutant that is noticed, or does not exist, must not be declared equivalent."""
    file = small.exercise_file("demo", "task")
    file.write_text(file.read_text(encoding="utf-8") + f"  - {declared}\n", encoding="utf-8")
    assert complaint in problems(small, mutants=True)


# ------------------------------------------------------------------------------------------ answers and files


@pytest.mark.parametrize(
    ("before", "after", "complaint"),
    [
        ("      return x.sum(dim=1)\n", "      return x.mean(dim=1)\n", "solution: loses the clause values"),
        ("x).tolist() == [3, 7]", "x).tolist() == [4, 7]", "solution: fails the visible examples: AssertionError"),
        (
            "  assert rows(x).tolist() == [3, 7]\n  assert rows(x.long()).tolist() == [3, 7]",
            "  assert True",
            "starter: passes the visible examples",
        ),
        (
            "          return x.sum(dim=0)",
            "          return x.sum(dim=1) * 1",
            "reject.columns: keeps the clause values",
        ),
        ("code: |\n      def rows", "diagnosis: transposed\n    code: |\n      def rows", "expected transposed"),
        ("  def rows(x):\n      ...", "  rows = nothing", "starter: its cell raises NameError"),
        ("  def rows(x):\n      ...", "  def rows(x):\n      return x.sum(dim=1)", "starter: keeps the clause values"),
        ("{en: sums, zh: 和}", "{en: the sums of all rows, zh: sums}", "found no Chinese in the Chinese text"),
        ("{en: Sums, zh: 求和}", "{en: TODO, zh: 求和}", "title.en: found TODO"),
        ("because: [values]", "because: [other]", "which is no clause"),
        ("kind: result-detach, ", "", "found neither of `mutants` and `kind`; write one of them"),
        ("kind: result-detach, ", "kind: result-detach, mutants: ['a: b'], ", "found both of `mutants` and `kind`"),
        ("kind: result-detach, ", "mutants: [no answer], ", "equivalent[0].mutants[0]: found"),
        ("difficulty: 1", "difficulty: 1\nneeds: [demo/none]", "no exercise of this course"),
    ],
)
def test_what_is_wrong_with_an_exercise_is_said(small, before, after, complaint):
    """Each mistake of an author is told with file, line and key."""
    edit(small.exercise_file("demo", "task"), before, after)
    told = problems(small)
    assert complaint in told
    assert re.search(r"task\.yaml:\d+: ", told)


def test_a_clause_that_no_answer_loses(small):
    """Each clause has a wrong answer that fails it."""
    clause = "  shape: {points: 1, text: {en: shape, zh: 形状}}\nreject:"
    edit(small.exercise_file("demo", "task"), "reject:", clause)
    test = "\ndef test_shape(submission):\n    expect(submission.call('rows', torch.ones(2, 1))).has_shape(2)\n"
    grader = small.grader_file("demo", "task")
    grader.write_text(grader.read_text(encoding="utf-8") + test, encoding="utf-8")
    assert "clauses.shape: found no `reject` answer that loses this clause" in problems(small)


def test_a_grader_at_fault_is_no_verdict(small):
    """A grader that raises is at fault, whatever the answer, and nothing more is graded with it."""
    edit(small.grader_file("demo", "task"), "for dtype in", "1 / 0\n    for dtype in")
    told = problems(small, mutants=True)
    assert "solution: the grader is at fault" in told
    assert "ZeroDivisionError" in told
    assert "mutants" not in told


def test_a_stray_file_and_an_exercise_that_is_not_listed(small):
    """Files that belong to nothing are told, also an exercise that is asked for and not listed."""
    (small.assignment_folder("demo") / "notes.txt").write_text("", encoding="utf-8")
    shutil.copy(small.exercise_file("demo", "task"), small.exercise_file("demo", "other"))
    assert "found a stray file" in problems(small)
    unlisted = proven(small, "demo/other")
    assert "found no mention under `exercises`" in unlisted.problems[0]
    assert not unlisted.holds


@pytest.mark.parametrize("name", ["nothing", "demo/nothing"])
def test_what_is_not_there_cannot_be_proven(small, name):
    """A name that is no assignment or exercise is refused, with what there is."""
    with pytest.raises(CourseError, match=r'found no .* "nothing"; write one of: (demo|task)'):
        targets(small, [name])


# ---------------------------------------------------------------------------------------------------- flakes


def test_a_verdict_that_depends_on_the_inputs(small):
    """A right answer that some inputs refuse, and a wrong one that some accept, are told with the seed."""
    grader = small.grader_file("demo", "task")
    edit(
        grader,
        "    for dtype in",
        "    if int(torch.randint(2, (), generator=generator)):\n        return\n    for dtype in",
    )
    told = problems(small, seeds=8)
    assert re.search(r"keeps the clause values|the verdict changes with seed \d: it keeps the clause values", told)


def test_a_verdict_that_depends_on_chance(small):
    """An answer that is right now and then is told as one whose verdict changes."""
    code = "          import os\n          return x.sum(dim=0) if os.urandom(1)[0] % 2 else x.sum(dim=1)"
    edit(small.exercise_file("demo", "task"), "          return x.sum(dim=0)", code)
    grader = small.grader_file("demo", "task")
    edit(grader, "((2, 3), (3, 3), (0, 2))", "((2, 3),)")
    edit(grader, "(torch.float32, torch.int64)", "(torch.float32,)")
    assert "the verdict changes" in problems(small, seeds=12) or "keeps the clause" in problems(small, seeds=12)


# ------------------------------------------------------------------------------------------ report, new, watch


def test_the_report(small, tmp_path):
    """The same is told on screen, as JSON, and as a page without scripts that escapes what comes from files."""
    edit(
        small.exercise_file("demo", "task"), "reason: gradients are not asked for", "reason: <script>alert(1)</script>"
    )
    page = tmp_path / "pages" / "proof.html"
    result = CliRunner().invoke(
        cli,
        [
            "--course",
            str(small.root),
            "verify",
            "demo/task",
            "--mutants",
            "--seeds",
            "1",
            "--json",
            "--html",
            str(page),
        ],
    )
    assert result.exit_code == 0, result.output
    facts = json.loads(result.stdout)
    assert facts["holds"]
    assert facts["exercises"][0]["exercise"] == "demo/task"
    html = page.read_text(encoding="utf-8")
    assert "&lt;script&gt;" in html
    assert "<script" not in html
    assert "test_values__vectorised" in html
    shown = CliRunner().invoke(cli, ["--course", str(small.root), "verify", "--seeds", "1"])
    assert shown.exit_code == 0
    assert "1 of 1 exercises hold" in shown.output


def test_exit_code_and_survivors_on_screen(small):
    """What has to be mended is said with exit code 1, survivors in the form that declares them."""
    edit(small.exercise_file("demo", "task"), DETACH, "")
    result = CliRunner().invoke(cli, ["--course", str(small.root), "verify", "demo", "--mutants", "--seeds", "1"])
    assert result.exit_code == 1
    assert "    - 'solution: return x.sum(dim=1) -> return x.sum(dim=1).detach()'" in result.output


def test_new_begins_an_exercise(small):
    """``new`` writes files that fit, lists the exercise, and holds only when everything is filled in."""
    files = begin(small, "demo/row-sums")
    assert files == [small.exercise_file("demo", "row-sums"), small.grader_file("demo", "row-sums")]
    assert small.problems("demo") == ()
    told = proven(small, "demo/row-sums").exercises[0].problems
    assert len([line for line in told if "found TODO" in line]) > 10
    assert any("solution: loses the clause values" in line for line in told)


@pytest.mark.parametrize(
    ("written", "listed"),
    [
        ("exercises: [task]", "exercises: [task, more]"),
        ("exercises:\n  - task", "exercises:\n  - task\n  - more"),
        ("exercises: [\n  task,\n]", "exercises: [\n  task, more]"),
    ],
)
def test_new_lists_the_exercise(small, written, listed):
    """The exercise comes at the end of the assignment's list; nothing else of the file changes."""
    settings = small.settings_file("demo")
    edit(settings, "exercises: [task]", written)
    begin(small, "demo/more")
    assert listed in settings.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("demo", "expected <assignment>/<exercise>"),
        ("demo/A", "expected"),
        ("none/a", "no such file"),
        ("demo/task", "is there already"),
    ],
)
def test_new_refuses(small, name, complaint):
    """``new`` writes over nothing, and only into an assignment that there is."""
    with pytest.raises(CourseError, match=complaint):
        begin(small, name)


def test_watch_shows_the_first_thing_to_mend(small, monkeypatch, capsys):
    """After each save the proof is made anew, and the first thing to mend is shown."""

    def saves(course):
        yield
        edit(course.exercise_file("demo", "task"), "{en: Sums, zh: 求和}", "{en: TODO, zh: 求和}")
        yield
        edit(course.exercise_file("demo", "task"), "schema: 1", "schema: one")
        yield

    monkeypatch.setattr("tensorgrade.verify.command.saves", saves)
    watch(small, [], Options(mutants=False, seeds=1))
    first, second, third = capsys.readouterr().out.strip().splitlines()
    assert first.startswith("Everything holds. 1 of 1 exercises hold")
    assert second.startswith("Mend this first: ")
    assert "title.en: found TODO" in second
    assert "schema: found" in third


def test_a_save_is_noticed(small):
    """Every file that a proof depends on is watched."""
    waiting = saves(small)
    next(waiting)
    edit(small.grader_file("demo", "task"), "def test_values(", "def  test_values(")
    next(waiting)
    edit(small.exercise_file("demo", "task"), "difficulty: 1", "difficulty: 2")
    next(waiting)


def test_what_changed(small):
    """``--since`` names the exercises whose own files changed, and all that depend on what others share."""

    def git(*arguments):
        user = ["-c", "user.name=author", "-c", "user.email=author@example.org"]
        subprocess.run(["git", "-C", str(small.root), *user, *arguments], check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "-m", "Begin")
    assert changed(small, "HEAD") == []
    begin(small, "demo/row-sums")
    assert changed(small, "HEAD") == ["demo", "demo/row-sums"]  # its assignment lists it
    git("add", ".")
    git("commit", "-m", "Add an exercise")
    edit(small.grader_file("demo", "row-sums"), "TODO", "...")
    assert changed(small, "HEAD") == ["demo/row-sums"]
    edit(small.exercise_file("demo", "task"), "difficulty: 1", "difficulty: 2")
    assert changed(small, "HEAD") == ["demo/task", "demo/row-sums"]
    (small.graders / "shared.py").write_text("", encoding="utf-8")
    assert changed(small, "HEAD") == ["demo"]
    with pytest.raises(CourseError, match="git cannot say what changed since nothing"):
        changed(small, "nothing")
