"""The bridge, end to end: real courses, real submissions, the real nbgrader in a process of its own."""

import json
import os
import re
import shutil
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import nbgrader
import pytest
from bs4 import BeautifulSoup
from nbgrader.apps import NbGraderAPI
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from tensorgrade.bridge import configuration
from tensorgrade.course import Course
from tensorgrade.pool import POOL
from tests.nbgrader_course import MIME_TYPE, NbgraderCourse, cell_of, grade_id

RIGHT = "def identity(n, m, dtype):\n    return torch.eye(n, m, dtype=dtype)"
PARTLY = "def identity(n, m, dtype):\n    return torch.eye(n, m)"
WRONG = "def identity(n, m, dtype):\n    return torch.ones(n, m, dtype=dtype)"

UNUSUAL = """\
def identity(n, m, dtype):
    rows = torch.arange(n).reshape(n, 1)
    columns = torch.arange(m)
    return (rows == columns).to(dtype)"""

ENDLESS = """\
def identity(n, m, dtype):
    while True:
        pass"""

KILLED = """\
import os, signal
def identity(n, m, dtype):
    os.kill(os.getpid(), signal.SIGKILL)"""

PATCHES = """\
import builtins
real_isinstance = isinstance
builtins.isinstance = lambda thing, kind: kind is bool or real_isinstance(thing, kind)
torch.equal = torch.allclose = lambda *args, **options: True
torch.testing.assert_close = lambda *args, **options: None
torch.Tensor.__eq__ = lambda self, other: True
def identity(n, m, dtype):
    return torch.full((n + 1, m + 1), 7.0)"""

WARNS = """\
import sys, warnings
def identity(n, m, dtype):
    warnings.warn("careful")
    print("on stderr", file=sys.stderr)
    return torch.eye(n, m, dtype=dtype)
print("on stderr", file=sys.stderr)"""

FLOODS = """\
flooded = False
def identity(n, m, dtype):
    global flooded
    if not flooded:
        flooded = True
        for _ in range(100):
            print("x" * 1_000_000)
    return torch.eye(n, m, dtype=dtype)
identity(1, 1, torch.int64)
flooded = False"""

INVENTS_SCORE = """\
class Forged(float):
    def __repr__(self):
        return "<script>3</script>"
def identity(n, m, dtype):
    return Forged(3)"""

IDS = ("notebook_about", "notebook_setup", "about_eye", "eye", "test_eye")


def without(notebook, name):
    notebook.cells = [cell for cell in notebook.cells if grade_id(cell) != name]
    return notebook


def with_extra_cell(notebook, source):
    notebook.cells.insert(2, nbformat.v4.new_code_cell(source))
    return notebook


def duplicated(notebook):
    notebook.cells.append(nbformat.from_dict(json.loads(json.dumps(notebook.cells[-1]))))
    return notebook


def with_tampered_metadata(notebook, **changes):
    cell_of(notebook, "test_eye").metadata.nbgrader.update(changes)
    return notebook


def with_other_type(notebook):
    cell = cell_of(notebook, "test_eye")
    cell.cell_type = "markdown"
    del cell["outputs"], cell["execution_count"]
    return notebook


def with_skip_tags(notebook):
    for cell in notebook.cells:
        cell.metadata["tags"] = ["skip-execution", "raises-exception"]
    return notebook


def with_forged_outputs(notebook):
    forged = {"text/plain": "3", "text/html": "<b>student-made</b>"}
    cell_of(notebook, "test_eye").outputs = [
        nbformat.v4.new_output("display_data", data=forged),
        nbformat.v4.new_output("execute_result", data=forged, execution_count=1),
    ]
    return notebook


def with_forged_notes(notebook):
    notebook.metadata["tensorgrade"] = {
        "unreadable": "missing",
        "lost": ["eye", "test_eye"],
        "flagged": ["eye", "test_eye"],
        "language": ["en"],
    }
    return notebook


def as_version_3(notebook):
    """The notebook as nbformat 3 has it, in which many students' old tools still write."""
    cells = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cells.append({"cell_type": "code", "language": "python", "input": cell.source, "outputs": [],
                          "metadata": cell.metadata, "collapsed": False})  # fmt: skip
        else:
            cells.append({"cell_type": "markdown", "source": cell.source, "metadata": cell.metadata})
    old = {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}
    return json.dumps(old).encode()


def hand_in(course):
    """One submission of each kind; returns the score that each student must get."""
    solutions = {
        "perfect": (RIGHT, 3), "unusual": (UNUSUAL, 3), "partly": (PARTLY, 2), "wrong": (WRONG, 1),
        "endless-function": (ENDLESS, 0), "killed": (KILLED, 0), "patches": (PATCHES, 0),
        "warns": (WARNS, 3), "floods": (FLOODS, 3), "empty-cell": ("", 0), "syntax-error": ("def identity(n, m", 0),
        "endless-cell": (RIGHT + "\nwhile True:\n    pass", 3), "ends": (RIGHT + "\nimport os\nos._exit(0)", 0),
        "invents-score": (INVENTS_SCORE, 0), "undefined": ("other = 1", 0),
    }  # fmt: skip
    scores = {student: score for student, (_, score) in solutions.items()}
    for student, (solution, _) in solutions.items():
        course.submit(student, course.solved(solution))
    notebooks = {
        "untouched": (course.released(), 0),
        "deleted-test": (without(course.solved(RIGHT), "test_eye"), 0),
        "deleted-solution": (without(course.solved(RIGHT), "eye"), 0),
        "duplicated-test": (duplicated(course.solved(RIGHT)), 3),
        "schema-version": (with_tampered_metadata(course.solved(PARTLY), schema_version=0), 2),
        "schema-newer": (with_tampered_metadata(course.solved(PARTLY), schema_version=99), 2),
        "points": (with_tampered_metadata(course.solved(PARTLY), points=300), 2),
        "not-graded": (with_tampered_metadata(course.solved(PARTLY), grade=False, locked=False, solution=True), 2),
        "cell-type": (with_other_type(course.solved(PARTLY)), 2),
        "tags": (with_skip_tags(course.solved(PARTLY)), 2),
        "forged-outputs": (with_forged_outputs(course.solved(WRONG)), 1),
        "forged-notes": (with_forged_notes(course.solved(PARTLY)), 2),
        "endless-extra": (with_extra_cell(course.solved(RIGHT), "while True:\n    pass"), 3),
        "edited-test": (course.solved(RIGHT), 3),
    }
    cell_of(notebooks["edited-test"][0], "test_eye").source = "3.0"
    for student, (notebook, score) in notebooks.items():
        course.submit(student, notebook)
        scores[student] = score
    files = {
        "not-json": b"this is not a notebook",
        "binary": bytes(range(256)) * 40,
        "nothing": b"",
        "json-only": b'{"nbformat": 4, "cells": 7}',
        "deep": b"[" * 100_000,
    }
    for student, content in files.items():
        course.submit(student, content)
        scores[student] = 0
    course.submit("version-3", as_version_3(course.solved(RIGHT)))
    course.submit("renamed", course.solved(RIGHT), name="my solution.ipynb")
    course.submit("additional", course.solved(RIGHT))
    course.submit("additional", course.solved(WRONG), name="Untitled.ipynb")
    reads = "from pathlib import Path\nassert Path('data/numbers.csv').read_text() == '1,2'\n"
    writes = "Path('data/numbers.csv').write_text('changed')\n"
    course.submit("side-files", course.solved(reads + writes + RIGHT))
    course.write("submitted/side-files/create/data/numbers.csv", "1,2")
    course.submit("late", course.solved(RIGHT))
    course.write("submitted/late/create/timestamp.txt", "2026-01-02 03:00:00 UTC")
    return {**scores, "version-3": 3, "renamed": 0, "additional": 3, "side-files": 3, "late": 3}


SETTINGS = """
c.Execute.timeout = 3
c.LateSubmissionPlugin.penalty_method = "zero"
"""

CANARIES = {
    "grader": ("graders/create/test_eye.py", "import torch\n", 'import torch\n\nSECRET = "canary-grader-51"\n'),
    "solution": (
        "assignments/create/eye.yaml",
        "  def identity(n, m, dtype):\n      return torch.eye(n, m, dtype=dtype)\n",
        "  def identity(n, m, dtype):\n      return torch.eye(n, m, dtype=dtype)  # canary-solution-52\n",
    ),
    "accept": (
        "assignments/create/eye.yaml",
        "        columns = torch.arange(m)\n",
        "        columns = torch.arange(m)  # canary-accept-53\n",
    ),
    "reject": (
        "assignments/create/eye.yaml",
        "          return torch.eye(m, n, dtype=dtype)\n",
        "          return torch.eye(m, n, dtype=dtype)  # canary-reject-54\n",
    ),
    # one that no clause names: those are told with their clauses
    "hint": (
        "assignments/create/eye.yaml",
        "\nlimits: {seconds: 2}\naccept:\n",
        "\n  - {en: canary-hint-55, zh: canary-hint-55}\nlimits: {seconds: 2}\naccept:\n",
    ),
}


class Batch:
    """The course after one run of ``nbgrader autograde`` over all submissions."""

    def __init__(self, course, scores, run, assignment="create"):
        self.course, self.scores, self.run = course, scores, run
        self.grades = course.grades(assignment)


@pytest.fixture(scope="module")
def batch(tmp_path_factory):
    course = NbgraderCourse.flagship(tmp_path_factory.mktemp("batch") / "course")
    course.edit("assignments/create/eye.yaml", "accept:\n", "limits: {seconds: 2}\naccept:\n")
    for file, old, new in CANARIES.values():
        course.edit(file, old, new)
    course.write("nbgrader_config.py", (course.root / "nbgrader_config.py").read_text() + SETTINGS)
    scores = hand_in(course)
    due = course.nbgrader("db", "assignment", "add", "create", "--duedate=2026-01-01 00:00:00 UTC")
    assert due.returncode == 0, due.stderr
    run = course.nbgrader("autograde", "create", "--create")
    return Batch(course, scores, run)


def test_whole_batch_succeeds(batch):
    """Whatever was handed in, nbgrader ends with exit code 0, and every student is in the gradebook."""
    assert batch.run.returncode == 0, batch.run.stderr[-3000:]
    assert set(batch.grades) == set(batch.scores)


def test_scores(batch):
    """Every student gets exactly the points of the clauses that hold, and nothing needs a person."""
    assert {student: facts["test_eye"]["score"] for student, facts in batch.grades.items()} == batch.scores
    assert not [name for name, facts in batch.grades.items() if facts["test_eye"]["needs_manual_grade"]]


def test_every_student_reads_a_verdict(batch):
    """Below each exercise stand the verdict as text, HTML and JSON, and last its points as one plain decimal."""
    for student, score in batch.scores.items():
        test_cells = [cell for cell in batch.course.graded(student).cells if grade_id(cell) == "test_eye"]
        (cell,) = test_cells
        verdict, points = cell.outputs
        assert verdict.output_type == "display_data", student
        assert set(verdict.data) == {"text/plain", "text/html", MIME_TYPE}, student
        assert verdict.data["text/plain"].startswith(f"Identity matrix: {score} of 3 points"), student
        assert verdict.data[MIME_TYPE]["score"] == score, student
        assert points.output_type == "execute_result", student
        assert points.data == {"text/plain": str(score)}, student


def test_nothing_student_made_in_a_graded_cell(batch):
    """Outputs, values and sources of students never reach a graded cell."""
    released = cell_of(batch.course.released(), "test_eye").source
    for student in batch.scores:
        cell = cell_of(batch.course.graded(student), "test_eye")
        assert cell.source == released, student
        shown = json.dumps(cell.outputs)
        assert not re.search(r"student-made|Forged|<script|xxxx|careful", shown), student


def test_metadata_is_the_gradebooks_again(batch):
    """Forged ids, points, versions and flags of cells are replaced by what was registered."""
    expected = cell_of(batch.course.released(), "test_eye").metadata.nbgrader
    for student in ("points", "schema-version", "schema-newer", "not-graded", "cell-type", "tags", "duplicated-test"):
        cell = cell_of(batch.course.graded(student), "test_eye")
        assert cell.cell_type == "code"
        assert {**cell.metadata.nbgrader} == {**expected}, student


@pytest.mark.parametrize(
    ("student", "said"),
    [
        ("deleted-test", "The test cell of this exercise is missing from the notebook."),
        ("renamed", "was not handed in, or has another name than the released one"),
        ("not-json", "cannot be read: the file is damaged or is not a notebook"),
        ("binary", "cannot be read"),
        ("nothing", "cannot be read"),
        ("json-only", "cannot be read"),
        ("deep", "cannot be read"),
        ("endless-function", "It ran longer than the limit of 2 s."),
        ("killed", "The Python process ended while this was checked"),
        ("empty-cell", "`identity` is not defined"),
        ("syntax-error", "`identity` is not defined"),
        ("deleted-solution", "`identity` is not defined"),
        ("ends", "`identity` is not defined"),
        ("untouched", "is None: is a `return` missing?"),
        ("partly", "has the floating-point dtype torch.float32, but an integer or bool one is asked for"),
        ("wrong", "is right on the diagonal only"),
    ],
)
def test_feedback_says_what_happened(batch, student, said):
    """A student without full marks reads why, in text and in HTML."""
    shown = batch.course.verdict(student)
    assert said in shown["text/plain"]
    seen = BeautifulSoup(shown["text/html"], "html.parser").get_text()
    assert re.sub(r"[`?]", "", said.split(":")[0]) in re.sub(r"[`?]", "", seen)


def test_clauses_are_told_apart(batch):
    """The verdict names the clauses that failed and those that hold."""
    statuses = {clause["name"]: clause["status"] for clause in batch.course.facts("partly")["clauses"]}
    assert statuses == {"values": "passed", "dtype": "failed", "vectorised": "passed"}


def test_outputs_of_other_cells_are_kept(batch):
    """What a student's own cells print, raise and warn stays visible above the verdict, within bounds."""
    texts = {name: json.dumps(cell_of(batch.course.graded(name), "eye").outputs) for name in ("syntax-error", "warns")}
    assert "SyntaxError" in texts["syntax-error"]
    assert "on stderr" in texts["warns"]
    assert "was stopped" in json.dumps(cell_of(batch.course.graded("endless-cell"), "eye").outputs)
    flooded = batch.course.root / "autograded/floods/create/create.ipynb"
    assert flooded.stat().st_size < 4 << 20


def test_run_names_what_was_left_out(batch):
    """The summary names renamed, missing and additional notebooks."""
    assert re.search(r"renamed/create: create\.ipynb is missing; its exercises get 0 points", batch.run.stderr)
    assert re.search(r"renamed/create: my solution\.ipynb is not a notebook of this assignment", batch.run.stderr)
    assert re.search(r"additional/create: Untitled\.ipynb is not a notebook of this assignment", batch.run.stderr)


def test_side_files_are_read_and_kept(batch):
    """A notebook reads the files handed in beside it; what its code does to them stays in its own copy."""
    assert (batch.course.root / "autograded/side-files/create/data/numbers.csv").read_text() == "1,2"
    assert (batch.course.root / "submitted/side-files/create/data/numbers.csv").read_text() == "1,2"


def test_late_penalty_is_nbgraders(batch):
    """A submission after the due date gets the penalty of nbgrader's plugin; its grade stays."""
    with batch.course.gradebook() as gradebook:
        late, in_time = (gradebook.find_submission("create", student) for student in ("late", "perfect"))
        assert late.total_seconds_late == 27 * 3600
        assert (late.score, late.late_submission_penalty) == (3, 3)
        assert not in_time.late_submission_penalty


@pytest.fixture(scope="module")
def feedback(batch):
    run = batch.course.nbgrader("generate_feedback", "create", "--student=p*")
    assert run.returncode == 0, run.stderr[-3000:]
    return batch.course.root / "feedback"


def test_feedback_page_holds_the_verdict(feedback):
    """The feedback page shows clause, finding and points, and nothing of the grader."""
    page = (feedback / "partly/create/create.html").read_text(encoding="utf-8")
    assert "the dtype that was asked for" in page
    assert "has the floating-point dtype torch.float32" in page
    assert "2 of 3 points" in page
    assert "test_values" not in page
    assert "SIZES" not in page


def test_nothing_hidden_leaks(batch, feedback):
    """No text of a grader, a solution, an accepted or a rejected answer is in anything nbgrader wrote."""
    files = [batch.course.root / "gradebook.db", *feedback.rglob("*")]
    files += [*(batch.course.root / "autograded").rglob("*"), *(batch.course.root / "release").rglob("*")]
    grader = (batch.course.root / "graders/create/test_eye.py").read_text().splitlines()
    hidden = ["canary-", "graders/", *(line.strip() for line in grader if len(line.strip()) > 25)]
    for file in filter(Path.is_file, files):
        content = file.read_bytes()
        assert not [text for text in hidden if text.encode() in content], file


def test_export_works(batch):
    """``nbgrader export`` writes the scores of all students."""
    run = batch.course.nbgrader("export", "--to=grades.csv")
    assert run.returncode == 0, run.stderr[-3000:]
    rows = (batch.course.root / "grades.csv").read_text().splitlines()
    assert len(rows) == 1 + len(batch.scores)


# ------------------------------------------------------------------------------------- faults of the course

MISTAKE = "def test_values(submission):\n    len(3)  # a mistake of the grader's author\n"

CRASHES = """\
import os

from tensorgrade import expect


def test_values(submission):
    answer = submission.call("crash")
    if answer == 13:
        os._exit(1)
    expect(answer).equals(42)
"""


def answers(course, **values):
    """The released notebook of demo, each exercise returning 42 or what `values` says."""
    notebook = course.released("demo")
    for cell in notebook.cells:
        name = grade_id(cell)
        if cell.metadata.nbgrader.solution:
            cell.source = f"def {name}():\n    return {values.get(name, 42)}"
    return notebook


@pytest.fixture(scope="module")
def faulty(tmp_path_factory):
    graders = {"right": None, "broken": "import no_such_module_61\n" + MISTAKE, "mistake": MISTAKE, "crash": CRASHES}
    course = NbgraderCourse.small(tmp_path_factory.mktemp("faulty") / "course", graders)
    course.build()
    (course.root / "gradebook.db").unlink()
    course.submit("anna", answers(course), "demo")
    course.submit("crashing", answers(course, crash=13), "demo")
    course.submit("zoe", answers(course, right=0), "demo")
    return Batch(course, {}, course.nbgrader("autograde", "demo", "--create"), "demo")


def test_faulty_grader_fails_the_run(faulty):
    """A fault of a grader ends the run with exit code 1, after all students have been graded."""
    assert faulty.run.returncode == 1
    assert set(faulty.grades) == {"anna", "crashing", "zoe"}


@pytest.mark.parametrize("student", ["anna", "zoe"])
def test_faulty_grader_flags_its_exercise(faulty, student):
    """An exercise whose grader fails gets no points and needs a person; the others are graded."""
    grades = faulty.grades[student]
    for exercise in ("broken", "mistake"):
        assert (grades[f"test_{exercise}"]["auto"], grades[f"test_{exercise}"]["needs_manual_grade"]) == (0, True)
        assert "A person will look at it" in faulty.course.verdict(student, exercise, "demo")["text/plain"]
    assert (grades["test_crash"]["auto"], grades["test_crash"]["needs_manual_grade"]) == (2, False)
    right = 2 if student == "anna" else 0
    assert (grades["test_right"]["auto"], grades["test_right"]["needs_manual_grade"]) == (right, False)


def test_faulty_grader_is_named(faulty):
    """The run's messages name the grader's file and its mistake, for the instructor alone."""
    assert re.search(r"anna: broken: .*test_broken\.py.*no_such_module_61", faulty.run.stderr)
    assert re.search(r"anna: mistake: .*test_mistake\.py.*TypeError", faulty.run.stderr)
    for exercise in ("broken", "mistake"):
        assert not re.search(
            r"no_such_module|TypeError|test_", json.dumps(faulty.course.verdict("anna", exercise, "demo"))
        )


def test_crashing_grader_costs_its_exercise_only(faulty):
    """When a grader ends the worker, its exercise is flagged and named, and the notebook's others are graded."""
    grades = faulty.grades["crashing"]
    assert (grades["test_crash"]["auto"], grades["test_crash"]["needs_manual_grade"]) == (0, True)
    assert re.search(r"crashing: crash: .*test_crash\.py", faulty.run.stderr)
    assert (grades["test_right"]["auto"], grades["test_right"]["needs_manual_grade"]) == (2, False)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A small course of two right exercises, built, with its gradebook and two submissions."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("small") / "course", {"one": None, "two": None})
    course.build()
    course.submit("anna", answers(course, two=0), "demo")
    course.submit("ben", answers(course), "demo")
    return course


@pytest.fixture
def course(small, tmp_path):
    """A copy of the small course for one test."""
    shutil.copytree(small.root, tmp_path / "course")
    return NbgraderCourse(tmp_path / "course")


def points(course):
    return {
        student: {name: (grade["auto"], grade["needs_manual_grade"]) for name, grade in grades.items()}
        for student, grades in course.grades("demo").items()
    }


WAITING = {"test_one": (0, True), "test_two": (0, True)}


def test_broken_yaml_flags_everything(course):
    """A YAML file that is broken when grading leaves its assignment to a person, and the message names the line."""
    course.edit("assignments/demo/two.yaml", "difficulty: 1", "difficulty: hard")
    run = course.nbgrader("autograde", "demo", "--create")
    assert run.returncode == 1
    assert points(course) == {"anna": WAITING, "ben": WAITING}
    assert re.search(r"assignments/demo/two\.yaml:\d+", run.stderr)


def test_options_of_autograde(course):
    """Those of nbgrader mean what they mean there, and those of tensorgrade can be given as well."""
    waiting = course.nbgrader("autograde", "demo", "--create", "--student=ben", "--no-execute")
    assert waiting.returncode == 1
    assert points(course) == {"ben": WAITING}
    ours = [f"--GradeSubmission.{option}" for option in ("workers=1", "ahead=0", "cache=False", "tier=B")]
    forced = course.nbgrader("autograde", "demo", "--student=ben", "--notebook=demo", "--force", *ours)
    assert "confined in tier B" in forced.stderr
    assert not Course(course.root).results.exists()
    assert forced.returncode == 0, forced.stderr[-3000:]
    assert points(course) == {"ben": {"test_one": (2, False), "test_two": (2, False)}}


@pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")  # nbgrader 0.9.6 relies on what they are about
def test_formgrader_button_and_manual_grades(course, monkeypatch):
    """Formgrader's Autograde button grades in its own process; manual scores and comments survive a regrade."""
    monkeypatch.chdir(course.root)
    config = configuration(Course(course.root), Config())
    interface = NbGraderAPI(CourseDirectory(config=config), config=config)
    try:
        first = interface.autograde("demo", "anna")
        assert first["success"], first["log"]
        assert points(course)["anna"] == {"test_one": (2, False), "test_two": (0, False)}
        with course.gradebook() as gradebook:
            gradebook.find_grade("test_two", "demo", "demo", "anna").manual_score = 1.5
            gradebook.find_comment("one", "demo", "demo", "anna").manual_comment = "well done"
            gradebook.db.commit()
        again = interface.autograde("demo", "anna", force=True)
        assert again["success"], again["log"]
    finally:
        POOL.close()
    grade = course.grades("demo")["anna"]["test_two"]
    assert (grade["auto"], grade["manual"], grade["score"]) == (0, 1.5, 1.5)
    with course.gradebook() as gradebook:
        assert gradebook.find_comment("one", "demo", "demo", "anna").comment == "well done"


# ------------------------------------------------------------------------------------- nbgrader's own course

USER_GUIDE = Path(nbgrader.__file__).parent / "docs" / "source" / "user_guide"


def own_course(root, settings):
    root.mkdir(parents=True)
    shutil.copytree(USER_GUIDE / "source" / "ps1", root / "source" / "ps1")
    for student in ("bitdiddle", "hacker"):
        shutil.copytree(USER_GUIDE / "submitted" / student / "ps1", root / "submitted" / student / "ps1")
    # nbgrader looks for alembic on PATH; with tensorgrade it finds the one beside its Python
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    course = NbgraderCourse(root, {"PATH": path})
    course.write("nbgrader_config.py", f"c = get_config()\n{settings}\nc.ClearSolutions.code_stub = {CODE_STUB!r}\n")
    return course


CODE_STUB = {"python": "# YOUR CODE HERE\nraise NotImplementedError"}


def run_own_course(course):
    generated = course.nbgrader("generate_assignment", "ps1", "--create")
    return generated, course.nbgrader("autograde", "ps1", "--create")


@pytest.fixture(scope="module")
def own_courses(tmp_path_factory):
    """Nbgrader's example course, graded by nbgrader alone and with tensorgrade: ``{name: (course, runs)}``."""
    root = tmp_path_factory.mktemp("own")
    courses = {
        "stock": own_course(root / "stock", ""),
        "bridge": own_course(root / "bridge", "from tensorgrade.bridge import configure\nconfigure(c)"),
    }
    with ThreadPoolExecutor() as executor:
        runs = executor.map(run_own_course, courses.values())
        return {name: (courses[name], *pair) for name, pair in zip(courses, runs, strict=True)}


def test_ordinary_notebooks_end_alike(own_courses):
    """On nbgrader's example course both ways end with the same exit codes, without an exercise flagged."""
    codes = {name: (generated.returncode, graded.returncode) for name, (_, generated, graded) in own_courses.items()}
    assert codes["stock"] == (0, 0), own_courses["stock"][2].stderr[-3000:]
    assert codes["bridge"] == codes["stock"], own_courses["bridge"][2].stderr[-3000:]


def test_ordinary_notebooks_get_the_same_grades(own_courses):
    """Every grade of nbgrader's example course is the same with and without tensorgrade."""
    stock, bridge = (own_courses[name][0].grades("ps1") for name in ("stock", "bridge"))
    assert len(stock["bitdiddle"]) > 5
    assert bridge == stock


def test_ordinary_notebooks_get_the_same_comments(own_courses):
    """Every comment of nbgrader's example course is the same with and without tensorgrade."""
    comments = {}
    for name, (course, *_) in own_courses.items():
        with course.gradebook() as gradebook:
            comments[name] = {
                (submission.student.id, notebook.name, comment.name): comment.comment
                for submission in gradebook.find_assignment("ps1").submissions
                for notebook in submission.notebooks
                for comment in notebook.comments
            }
    assert comments["stock"]
    assert comments["bridge"] == comments["stock"]


def test_written_answers_wait_for_a_person(own_courses):
    """Written answers of an ordinary notebook keep their text and wait for manual grading."""
    course = own_courses["bridge"][0]
    waiting = {name for name, grade in course.grades("ps1")["bitdiddle"].items() if grade["needs_manual_grade"]}
    assert waiting
    notebook = nbformat.read(course.root / "autograded/bitdiddle/ps1/problem2.ipynb", as_version=4)
    written = [cell for cell in notebook.cells if cell.cell_type == "markdown" and grade_id(cell) in waiting]
    handed_in = nbformat.read(course.root / "submitted/bitdiddle/ps1/problem2.ipynb", as_version=4)
    assert written
    assert all(cell.source == cell_of(handed_in, grade_id(cell)).source for cell in written)


def test_ordinary_release_is_nbgraders(own_courses):
    """Ordinary notebooks with BEGIN SOLUTION regions are released as nbgrader alone does."""
    releases = [
        {file.name: nbformat.read(file, as_version=4).cells for file in (course.root / "release/ps1").glob("*.ipynb")}
        for course, *_ in own_courses.values()
    ]
    assert len(releases[0]) == 2
    assert [sources(cells) for cells in releases[0].values()] == [sources(cells) for cells in releases[1].values()]


def sources(cells):
    return [(cell.cell_type, cell.source) for cell in cells]
