"""From YAML to the released notebooks: reproducible, checked, and without anything hidden."""

import ast
import re
import shutil
from itertools import chain

import nbformat
import pytest

from tensorgrade.build import stale_files
from tensorgrade.course import Course
from tensorgrade.errors import CourseError, ExerciseFileError, GradebookError
from tests.nbgrader_course import REPOSITORY, NbgraderCourse, cell_of, grade_id

# nbgrader 0.9.6 relies on what SQLAlchemy warns about
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SAWarning")

ASSIGNMENTS = Course(REPOSITORY).assignment_names()


@pytest.fixture
def flagship(tmp_path):
    """A copy of this repository's own course."""
    return NbgraderCourse.flagship(tmp_path / "course")


@pytest.fixture
def small(tmp_path):
    """A course with one assignment, demo, and two exercises."""
    return NbgraderCourse.small(tmp_path / "course", {"one": None, "two": None})


def contents(folder):
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_same_bytes_everywhere(tmp_path):
    """A course is built to the bytes that were built elsewhere, the repository's release, and so it is again."""
    course = NbgraderCourse.flagship(tmp_path / "here")
    shutil.rmtree(course.root / "release")
    for assignment in (*ASSIGNMENTS, ASSIGNMENTS[0]):
        course.build(assignment)
    assert contents(course.root / "release") == contents(REPOSITORY / "release")


def test_check_notices_a_change(flagship):
    """A release that is older than its YAML, has other files or lacks one is named, and nothing is written."""
    assert stale_files(Course(flagship.root), "create", "en") == []
    flagship.edit("assignments/create/eye.yaml", "the dtype that was asked for", "another sentence")
    before = contents(flagship.root)
    notebook = str(flagship.root / "release/create/create.ipynb")
    assert stale_files(Course(flagship.root), "create", "en") == [notebook]
    assert contents(flagship.root) == before
    extra = flagship.write("release/create/notes.txt", "left over")
    assert stale_files(Course(flagship.root), "create", "en") == [notebook, str(extra)]
    shutil.rmtree(flagship.root / "release")
    assert stale_files(Course(flagship.root), "create", "en") == [notebook]


def test_cells(small):
    """An introduction and a set-up cell, then per exercise its text, its starter and its graded examples."""
    cells = nbformat.read(small.build(), as_version=4).cells
    exercises = chain.from_iterable((f"about_{name}", name, f"test_{name}") for name in ("one", "two"))
    assert [grade_id(cell) for cell in cells] == ["notebook_about", "notebook_setup", *exercises]
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert "import torch" in code[0].source
    assert [cell.source for cell in code[1:3]] == ["def one():\n    ...", "one()"]
    facts = cell_of(nbformat.v4.new_notebook(cells=cells), "test_one").metadata.nbgrader
    assert (facts.points, facts.grade, facts.locked, facts.solution) == (2, True, True, False)


def test_cell_ids_are_stable(small):
    """A cell keeps its id when its text, its neighbours and the language change."""
    before = {grade_id(cell): cell.id for cell in nbformat.read(small.build(), as_version=4).cells}
    small.edit("assignments/demo/one.yaml", "Write it.", "Write it well.")
    small.edit("assignments/demo/assignment.yaml", "[one, two]", "[two, one]")
    after = {grade_id(cell): cell.id for cell in nbformat.read(small.build(language="zh"), as_version=4).cells}
    assert after == before
    assert len(set(after.values())) == len(after)


@pytest.mark.parametrize(("language", "said", "not_said"), [("en", "the answer", "答案"), ("zh", "答案", "the answer")])
def test_language(small, language, said, not_said):
    """A notebook is in the language it was built for, and says which that is."""
    notebook = nbformat.read(small.build(language=language), as_version=4)
    text = "\n".join(cell.source for cell in notebook.cells)
    assert said in text
    assert not_said not in text
    assert (notebook.metadata.tensorgrade.assignment, notebook.metadata.tensorgrade.language) == ("demo", language)


def test_the_whole_course_in_chinese(flagship):
    """``tensorgrade build --lang zh`` releases each assignment with Chinese texts alone, around the same code."""
    english = {name: flagship.released(name) for name in ASSIGNMENTS}
    shutil.rmtree(flagship.root / "release")
    run = flagship.tensorgrade("build", "--lang", "zh")
    assert run.returncode == 0, run.stderr[-3000:]
    for name in ASSIGNMENTS:
        assignment, notebook = Course(flagship.root).load(name), flagship.released(name)
        assert code_of(notebook) == code_of(english[name])
        assert f"# {assignment.settings.title.zh}\n" in cell_of(notebook, "notebook_about").source
        assert notebook.metadata.tensorgrade.language == "zh"
        for exercise in assignment.exercises:
            texts = (exercise.title, exercise.prompt, *(clause.text for clause in exercise.clauses.values()))
            about = cell_of(notebook, f"about_{exercise.name}").source
            assert [text.zh for text in texts if text.zh.strip() not in about] == []
            assert exercise.prompt.en.strip() not in about
            hints = notebook.metadata.tensorgrade.exercises[exercise.name].hints
            assert hints == [hint.zh for hint in exercise.hints]


def code_of(notebook):
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def test_side_files_are_released(small):
    """The files that an assignment names are released beside the notebook."""
    small.edit("assignments/demo/assignment.yaml", "schema: 1\n", "schema: 1\nfiles: [data/numbers.csv]\n")
    small.write("assignments/demo/data/numbers.csv", "1,2")
    small.build()
    assert set(contents(small.root / "release/demo")) == {"demo.ipynb", "data/numbers.csv"}
    assert (small.root / "release/demo/data/numbers.csv").read_text() == "1,2"


@pytest.mark.parametrize("assignment", ASSIGNMENTS)
def test_release_holds_nothing_hidden(assignment):
    """No telling line of a solution, an accepted or rejected answer or a grader is in the release."""
    course = Course(REPOSITORY)
    released = "\n".join(file.read_text(encoding="utf-8") for file in course.release.rglob("*") if file.is_file())
    for exercise in course.load(assignment).exercises:
        answers = [exercise.solution, *exercise.accept.values(), *(wrong.code for wrong in exercise.reject.values())]
        grader = course.grader_file(assignment, exercise.name).read_text(encoding="utf-8")
        hidden = chain.from_iterable(text.splitlines() for text in [*answers, *grader_bodies(grader)])
        # what students are shown anyway, as text, starter or example, is not hidden
        public = f"{exercise.prompt.en}\n{exercise.starter}\n{exercise.examples}"
        shown = {line.strip() for line in public.splitlines()}
        telling = {line.strip() for line in hidden if len(line.strip()) > 25} - shown
        assert telling
        assert not [line for line in telling if line in released or line.replace('"', '\\"') in released]


def grader_bodies(text):
    functions = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)]
    return [ast.get_source_segment(text, statement) or "" for node in functions for statement in node.body]


def test_canaries_stay_hidden(small):
    """Of a course only starters, texts, examples and hints are released; the source notebook has solutions besides."""
    small.edit("assignments/demo/one.yaml", "return 42", "return 42  # canary-solution")
    answers = "accept:\n  other: |\n    def one(): return 42  # canary-accept\n"
    answers += "reject:\n  wrong: {because: [values], code: 'def one(): return 1  # canary-reject'}\n"
    answers += "hints: [{en: canary-hint, zh: canary-hint}]\n"
    small.edit("assignments/demo/one.yaml", "clauses:", answers + "clauses:")
    small.edit("graders/demo/test_one.py", "from", "# canary-grader\nfrom")
    small.build()
    released = {name: data for name, data in contents(small.root).items() if name.startswith(("release", "gradebook"))}
    assert len(released) == 2
    assert {canary for data in released.values() for canary in re.findall(rb"canary-\w+", data)} == {b"canary-hint"}
    source = contents(small.root / "source")["demo/demo.ipynb"]
    assert set(re.findall(rb"canary-\w+", source)) == {b"canary-solution", b"canary-hint"}


def test_hints_are_for_the_magics(small):
    """Hints and titles stand in the notebook's metadata, in its language, and in no cell."""
    small.edit("assignments/demo/one.yaml", "clauses:", "hints: [{en: Think., zh: 想一想。}]\nclauses:")
    released = nbformat.read(small.build(language="zh"), as_version=4)
    assert released.metadata.tensorgrade.exercises["one"] == {"title": "演示 one", "hints": ["想一想。"]}
    assert "想一想" not in "".join(cell.source for cell in released.cells)


def test_cells_cannot_change_after_submissions(small):
    """When there are submissions, an exercise can be reworded but neither added nor removed, and the error says so."""
    small.build()
    with small.gradebook() as gradebook:
        gradebook.add_student("anna")
        gradebook.add_submission("demo", "anna")
    small.edit("assignments/demo/one.yaml", "Write it.", "Write it well.")
    small.build()
    before = contents(small.root / "release")
    small.edit("assignments/demo/assignment.yaml", "[one, two]", "[one]")
    (small.root / "assignments/demo/two.yaml").unlink()
    (small.root / "graders/demo/test_two.py").unlink()
    with pytest.raises(GradebookError, match=r"demo.*(submission|submitted)"):
        small.build()
    assert contents(small.root / "release") == before


def test_problems_stop_the_build(small):
    """A course with problems is not built, and all of them are told."""
    (small.root / "graders/demo/test_two.py").unlink()
    with pytest.raises(CourseError, match=r"two\.yaml:\d+: .*found no grader"):
        small.build()
    small.edit("assignments/demo/one.yaml", "difficulty: 1", "difficulty: 9")
    with pytest.raises((CourseError, ExerciseFileError), match=r"one\.yaml:\d+"):
        small.build()
    assert not (small.root / "release").exists()


def test_ordinary_notebooks_are_generated_too(small):
    """The same configuration releases ordinary nbgrader notebooks, cleared as nbgrader does."""
    marked = "def double(x):\n    ### BEGIN SOLUTION\n    return 2 * x\n    ### END SOLUTION"
    solution = nbformat.v4.new_code_cell(marked)
    solution.metadata["nbgrader"] = {
        "grade_id": "double", "grade": False, "solution": True, "locked": False, "task": False, "schema_version": 3,
    }  # fmt: skip
    hidden = "### BEGIN HIDDEN TESTS\nassert double(3) == 6\n### END HIDDEN TESTS"
    test = nbformat.v4.new_code_cell(f"assert double(2) == 4\n{hidden}")
    test.metadata["nbgrader"] = {
        "grade_id": "test_double", "grade": True, "solution": False, "locked": True, "task": False,
        "schema_version": 3, "points": 1,
    }  # fmt: skip
    notebook = nbformat.v4.new_notebook(cells=[solution, test])
    small.write("source/plain/plain.ipynb", nbformat.writes(notebook))
    run = small.nbgrader("generate_assignment", "plain", "--create")
    assert run.returncode == 0, run.stderr[-3000:]
    cells = small.released("plain").cells
    assert [cell.source for cell in cells] == [
        "def double(x):\n    # YOUR CODE HERE\n    raise NotImplementedError()",
        "assert double(2) == 4",
    ]
