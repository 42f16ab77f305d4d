"""The command line: what it prints where, and how it ends."""

import json

import pytest
from click.testing import CliRunner

from tensorgrade import __version__
from tensorgrade.cli import cli
from tests.nbgrader_course import NbgraderCourse

# nbgrader 0.9.6 relies on what SQLAlchemy warns about
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")


@pytest.fixture
def course(tmp_path):
    """A small course, not yet built."""
    return NbgraderCourse.small(tmp_path / "course", {"one": None})


def invoke(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["build", "--help"], ["scores", "-h"], ["schema", "-h"]])
def test_help(arguments):
    """Every command explains itself."""
    result = invoke(*arguments)
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_help_names_the_commands():
    """The first help page shows a course's way from YAML to the gradebook."""
    output = invoke("--help").output
    assert all(command in output for command in ("tensorgrade build", "nbgrader autograde", "tensorgrade scores"))


def test_version():
    """``--version`` prints the version of the package."""
    assert __version__ in invoke("--version").output


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["build", "--lang", "fr"],
        ["scores"],
        ["--course", "/no/such/folder", "build"],
        ["build", "--no"],
    ],
)
def test_wrong_use_is_exit_code_2(arguments):
    """A command that is used wrongly ends with exit code 2 and says how it is used."""
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert "Usage:" in result.stderr


def test_build_and_check(course, tmp_path):
    """``build`` prints the released notebooks; ``build --check`` passes until the YAML changes, then names the file."""
    assert course.tensorgrade("build", "--check").returncode == 1
    built = course.tensorgrade("build")
    assert (built.returncode, built.stdout) == (0, "release/demo/demo.ipynb\n")
    checked = course.tensorgrade("build", "--check", "demo")
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
    course.edit("assignments/demo/one.yaml", "Write it.", "Write it well.")
    stale = course.tensorgrade("build", "--check")
    assert (stale.returncode, stale.stdout) == (1, "")
    assert "release/demo/demo.ipynb" in stale.stderr
    assert "tensorgrade build" in stale.stderr


def test_unknown_assignment_suggests_the_close_one(course):
    """A misspelt assignment ends with exit code 1, on stderr, with the one that was meant."""
    run = course.tensorgrade("build", "deno")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.startswith("tensorgrade: ")
    assert '"deno"' in run.stderr
    assert "demo" in run.stderr.split('"deno"')[1]
    assert "Traceback" not in run.stderr


def test_problems_are_told_with_file_and_line(course):
    """Problems of the YAML are printed on stderr, each with file and line, without a traceback."""
    course.edit("assignments/demo/one.yaml", "difficulty: 1", "difficulty: hard\nunknown: 1")
    run = course.tensorgrade("build")
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.count("one.yaml:") == 2
    assert "Traceback" not in run.stderr


def test_no_course_here(tmp_path):
    """Outside of a course the error says what a course is."""
    result = invoke("--course", tmp_path, "build")
    assert result.exit_code == 1
    assert "found no course here" in str(result.exception)


def test_scores_of_an_ungraded_assignment(course):
    """Before anything is graded, ``scores`` says so; ``--json`` has no students."""
    course.build()
    assert "No submission of demo has been graded yet" in invoke("--course", course.root, "scores", "demo").output
    assert json.loads(invoke("--course", course.root, "scores", "demo", "--json").output) == {"students": {}}


def test_scores_json_keeps_stdout_clean(course):
    """``scores --json`` prints the documented JSON and nothing else on stdout."""
    course.build()
    course.submit("anna", course.released("demo"), "demo")
    course.nbgrader("autograde", "demo", "--create", "--no-execute")
    run = course.tensorgrade("scores", "demo", "--json")
    assert run.returncode == 0, run.stderr
    (student,) = json.loads(run.stdout)["students"].items()
    exercise = student[1]["exercises"]["one"]
    assert (student[0], student[1]["score"], student[1]["max"]) == ("anna", 0, 2)
    assert {"score", "max", "clauses", "reason"} <= set(exercise)
    assert (exercise["clauses"], exercise["needs_manual_grade"]) == ({"values": "not run"}, True)


def test_schema(tmp_path):
    """``schema`` writes JSON Schemas once, and ``schema --check`` names the files that are not current."""
    folder = tmp_path / "schema"
    missing = invoke("schema", folder, "--check")
    assert missing.exit_code == 1
    written = invoke("schema", folder)
    files = sorted(str(file) for file in folder.iterdir())
    assert sorted(written.output.split()) == files
    assert invoke("schema", folder).output == ""
    assert invoke("schema", folder, "--check").exit_code == 0
    assert all(json.loads((folder / file).read_text(encoding="utf-8"))["properties"] for file in files)
