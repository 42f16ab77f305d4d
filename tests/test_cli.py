"""The command line: what it prints where, and how it ends."""

import json
import re
import shutil
import sys

import pytest
from click.testing import CliRunner

from tensorgrade import __version__
from tensorgrade.cli import cli, main
from tests.nbgrader_course import NbgraderCourse

# nbgrader 0.9.6 relies on what SQLAlchemy warns about
pytestmark = pytest.mark.filterwarnings(
    "ignore::sqlalchemy.exc.SAWarning", "ignore::DeprecationWarning", "ignore::nbformat.warnings.MissingIDFieldWarning"
)


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
    lines = invoke("--help").output.splitlines()
    begun = [" ".join(line.split()[:2]) for line in lines if line.startswith("    tensorgrade")]
    assert begun == [f"tensorgrade {command}" for command in ("new", "verify", "doctor", "build", "grade", "scores")]


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


# --------------------------------------------------------------------------------------------------- grading


FAULTY = "def test_values(submission):\n    if submission.call('one') == 13:\n        raise KeyError('a fault')\n"


@pytest.fixture(scope="module")
def graded_course(tmp_path_factory):
    """A course of one exercise, built, for which anna, ben and zoe have handed in."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("cli") / "course", {"one": None})
    course.edit("graders/demo/test_one.py", "def test_values(submission):\n", FAULTY)
    course.build()
    for student, answer in (("anna", 42), ("ben", 41)):
        course.submit(student, course.solved(f"def one():\n    return {answer}", "demo", "one"), "demo")
    course.submit("zoe", b"damaged", "demo")
    return course


@pytest.fixture
def handed_in(graded_course, tmp_path):
    """A copy of that course."""
    shutil.copytree(graded_course.root, tmp_path / "handed-in")
    return NbgraderCourse(tmp_path / "handed-in")


def test_grade_shows_progress_and_a_summary(handed_in):
    """``grade`` ends well whatever was handed in, and says what it found; a second run has nothing to do."""
    run = handed_in.tensorgrade("grade", "demo")
    assert run.returncode == 0, run.stdout + run.stderr
    assert "3/3" in run.stdout
    assert "zoe" in run.stdout
    assert "cannot be read" in run.stdout
    assert re.search(r"^3 graded in \d+\.\d s, confined in tier [AB]$", run.stdout, re.MULTILINE)
    assert "Traceback" not in run.stderr
    assert {student: cells["test_one"]["score"] for student, cells in handed_in.grades("demo").items()} == {
        "anna": 2,
        "ben": 0,
        "zoe": 0,
    }
    again = invoke("--course", handed_in.root, "grade", "demo")
    assert again.exit_code == 0
    assert "0 graded in" in again.output


def test_grade_uses_what_is_known(handed_in):
    """``--force`` grades again with stored results and says how many; ``--no-cache`` computes every one anew."""
    begin = ["--course", handed_in.root]
    invoke(*begin, "grade", "demo")
    count = int(invoke(*begin, "cache").output.split()[0])
    assert count >= 4
    assert "3 graded, 2 of them with results that were known in " in invoke(*begin, "grade", "demo", "--force").output
    assert "3 graded in" in invoke(*begin, "grade", "demo", "--force", "--no-cache").output
    cleared = invoke(*begin, "cache", "--clear").output
    assert cleared.startswith(f"{count} results, ")
    assert cleared.endswith(" were removed\n")
    assert invoke(*begin, "cache").output.startswith("0 results, 0.0 MiB, in ")
    assert "3 graded in" in invoke(*begin, "grade", "demo", "--force", "--workers", "1").output


def test_grade_names_what_a_person_has_to_look_at(handed_in):
    """An exercise whose grader has a fault is named with student and reason; the exit code is 1, scores are saved."""
    handed_in.submit("eve", handed_in.solved("def one():\n    return 13", "demo", "one"), "demo")
    result = invoke("--course", handed_in.root, "grade", "demo")
    assert result.exit_code == 1
    (line,) = (line for line in result.output.splitlines() if line.startswith("flagged for manual grading: "))
    assert "eve: one: " in line
    assert "test_one.py" in result.output
    assert "1 exercises need manual grading" in result.output
    assert "4 graded in" in result.output
    assert handed_in.grades("demo")["anna"]["test_one"]["score"] == 2


def test_grade_only_one_student(handed_in):
    """``--student`` may be given several times; who handed in nothing is told on stderr, with exit code 1."""
    begin = ["--course", handed_in.root, "grade", "demo"]
    assert "2 graded in" in invoke(*begin, "--student", "anna", "--student", "ben").output
    assert set(handed_in.grades("demo")) == {"anna", "ben"}
    result = invoke(*begin, "--student", "nobody")
    assert (result.exit_code, str(result.exception)) == (1, "nothing was handed in for demo by nobody")


def test_grade_of_an_unknown_assignment(handed_in):
    """It says which assignments there are, on stderr, with exit code 1."""
    run = handed_in.tensorgrade("grade", "deno")
    assert run.returncode == 1
    assert run.stderr == "tensorgrade: there is no assignment 'deno'; there are: demo\n"


def test_grade_before_anything_is_handed_in(handed_in):
    """Without a submission it ends with exit code 1 and what nbgrader says."""
    shutil.rmtree(handed_in.root / "submitted")
    result = invoke("--course", handed_in.root, "grade", "demo")
    assert result.exit_code == 1
    assert "No notebooks were matched" in result.output


def test_main_ends_with_the_exit_code_of_the_command(monkeypatch, capsys):
    """0 for help, 2 for wrong use with the usage on stderr, 130 when interrupted."""
    for arguments, code, said in ((["--help"], 0, ""), (["frobnicate"], 2, "Usage:"), (["schema", "--no"], 2, "--no")):
        monkeypatch.setattr(sys, "argv", ["tensorgrade", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == code
        assert said in capsys.readouterr().err

    @cli.command("wait")
    def wait():
        raise KeyboardInterrupt

    try:
        monkeypatch.setattr(sys, "argv", ["tensorgrade", "wait"])
        with pytest.raises(SystemExit) as ended:
            main()
    finally:
        del cli.commands["wait"]
    assert ended.value.code == 130
    assert capsys.readouterr().err.strip() == "Stopped."
