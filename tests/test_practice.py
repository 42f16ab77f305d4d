"""What students have while they work: ``%check``, ``%hint``, ``%progress``, and the same from the shell."""

import subprocess
import sys

import nbformat
import pytest
from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from tensorgrade.errors import HandoutError
from tensorgrade.practice import handout
from tests.nbgrader_course import NbgraderCourse, cell_of

pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

EXAMPLES = """\
examples: |
  import math
  torch.testing.assert_close(one(2.0), torch.full((2,), 4.0))
  assert one(3.0).shape == (2,)
  assert torch.equal(one(0.0), torch.zeros(2))
hints: [{en: Look at square., zh: 看看平方。}, {en: Then at full., zh: 再看 full。}]
"""
RIGHT = "def one(x):\n    return torch.full((2,), x * x)"


@pytest.fixture(scope="module")
def released(tmp_path_factory):
    """The released notebook of an assignment."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("course") / "course", {"one": None, "two": None})
    course.edit("assignments/demo/one.yaml", "examples: |\n  one()\n", EXAMPLES)
    return course.build()


@pytest.fixture
def folder(released, tmp_path):
    """The folder of a student with that notebook."""
    path = tmp_path / "student" / "demo.ipynb"
    path.parent.mkdir()
    path.write_bytes(released.read_bytes())
    return path.parent


@pytest.fixture
def shell(folder, monkeypatch):
    """An IPython shell in that folder with the magics loaded."""
    monkeypatch.chdir(folder)
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell(config=config)
    shell.run_line_magic("load_ext", "tensorgrade")
    shell.run_cell("import torch")
    return shell


def test_exercises_come_in_the_order_of_the_notebook(tmp_path):
    """They are listed as they stand in the notebook, although its file sorts their names."""
    course = NbgraderCourse.small(tmp_path / "course", {"zeros": None, "eye": None, "ones": None})
    assert list(handout.read(course.build()).tasks) == ["zeros", "eye", "ones"]


def test_right_answer_passes(shell):
    """When all examples pass, it says so, and that they are a part of what is graded."""
    shell.run_cell(RIGHT)
    report = shell.run_line_magic("check", "one")
    assert report.passed
    assert report.to_text() == "✓ Demo one: all 4 examples pass\nExamples show a part of what is graded."


def test_wrong_value_is_diagnosed(shell):
    """A comparison that fails shows the statement and names the difference; the others go on."""
    shell.run_cell("def one(x):\n    return torch.full((2,), 2 * x * x)")
    report = shell.run_line_magic("check", "one")
    (failure,) = report.failures
    assert failure.source.startswith("torch.testing.assert_close(one(2.0)")
    assert "2" in failure.problem.en
    assert "1 of 4 examples fail" in report.to_text()
    assert "%hint one" in report.to_text()


def test_nothing_returned(shell):
    """A missing return is named as such."""
    shell.run_cell("def one(x):\n    torch.full((2,), x)")
    first, *_ = shell.run_line_magic("check", "one").failures
    assert "None" in first.problem.en


def test_own_line_is_shown(shell):
    """An exception tells its text and the line of the student's own code, not those of libraries."""
    shell.run_cell("def one(x):\n    return torch.full((2,), x) @ torch.ones(3)")
    first, *_ = shell.run_line_magic("check", "one").failures
    assert first.problem.en.startswith("RuntimeError")
    assert first.where == "one, 2: return torch.full((2,), x) @ torch.ones(3)"


def test_undefined_name_with_the_closest_one(shell):
    """A name that is not defined is told with the defined one that looks like it."""
    shell.run_cell(RIGHT.replace("one", "oen"))
    first, *_ = shell.run_line_magic("check", "one").failures
    assert "`one` is not defined; did you mean `oen`?" in first.problem.en


def test_examples_leave_no_names(shell):
    """What examples import or define is not the student's afterwards."""
    shell.run_cell(RIGHT)
    shell.run_line_magic("check", "one")
    assert "math" not in shell.user_ns


def test_hints_come_one_by_one(shell):
    """Each hint once more, the last one again and again; without any it says so."""
    first, second, again = (shell.run_line_magic("hint", "one") for _ in range(3))
    assert first == "Hint 1 of 2: Look at square."
    assert second == again == "Hint 2 of 2: Then at full.\nThat was the last one."
    assert repr(first) == first
    assert shell.run_line_magic("hint", "two") == "There is no hint for this exercise."


def test_progress(shell, capsys):
    """All exercises with what came of their examples, and nothing of what the answers print."""
    shell.run_cell(RIGHT.replace("return", "print('noise')\n    return"))
    text = shell.run_line_magic("progress", "").to_text()
    assert text.splitlines() == [
        "✓ Demo one (one): all 4 examples pass",
        "✗ Demo two (two): 1 of 1 examples fail",
        "1 of 2 exercises pass their examples.",
    ]
    assert "noise" not in capsys.readouterr().out


def test_html_is_text(shell):
    """What student code says is text in the HTML, never markup."""
    shell.run_cell("def one(x):\n    raise ValueError('<script>alert(1)</script>')")
    html = shell.run_line_magic("check", "one").to_html()
    assert "&lt;script&gt;" in html
    assert "<script" not in html


def test_unknown_exercise_and_notebook(shell, folder):
    """A wrong name is answered with the right ones; several notebooks have to be told apart."""
    with pytest.raises(UsageError, match=r"no exercise 'three' in demo\.ipynb; it has one, two"):
        shell.run_line_magic("check", "three")
    (folder / "copy.ipynb").write_bytes((folder / "demo.ipynb").read_bytes())
    with pytest.raises(HandoutError, match=r"several notebooks .*`%exercises create\.ipynb`"):
        handout.find({}, folder)
    assert handout.find({"__vsc_ipynb_file__": str(folder / "copy.ipynb")}, folder).path.name == "copy.ipynb"
    assert shell.run_line_magic("exercises", "copy.ipynb") == "one: Demo one\ntwo: Demo two"


@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b'{"cells": 3}', b"\xff\xfe"])
def test_damaged_notebook(tmp_path, content):
    """A file that is no notebook of tensorgrade is refused with what to do."""
    path = tmp_path / "demo.ipynb"
    path.write_bytes(content)
    with pytest.raises(HandoutError, match=r"demo\.ipynb"):
        handout.read(path)


def check(*arguments):
    command = [sys.executable, "-m", "tensorgrade.cli", "check", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def test_from_the_shell(folder):
    """``tensorgrade check`` runs a notebook in a kernel, tells which cells raise, and fails unless all pass."""
    path = folder / "demo.ipynb"
    notebook = nbformat.read(path, as_version=4)
    cell_of(notebook, "one").source = RIGHT
    cell_of(notebook, "two").source = "raise ValueError('mine')"
    nbformat.write(notebook, path)
    before = path.read_bytes()
    done = check(path)
    assert done.returncode == 1
    assert "cell 7: ValueError: mine" in done.stderr
    assert "1 of 2 exercises pass their examples." in done.stdout
    assert check(path, "one").returncode == 0
    assert "it has one, two" in check(path, "three").stderr
    assert path.read_bytes() == before
