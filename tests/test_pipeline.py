"""Specification of the fast path around execution: what nbgrader does is done once, and the result is the same."""

import contextlib
import copy
import json
import logging
import os
import re
import shutil
import sqlite3
import warnings

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nbgrader import preprocessors
from nbgrader.api import Gradebook, InvalidEntry, MissingEntry
from nbgrader.converters import Autograde
from nbgrader.converters.base import NbGraderException
from nbgrader.coursedir import CourseDirectory
from nbgrader.nbgraderformat import ValidationError
from traitlets.config import Config

from tensorgrade.bridge import configuration, conversion, steps
from tensorgrade.bridge.gradebooks import Gradebooks
from tensorgrade.bridge.rebinding import rebound
from tensorgrade.course import Course
from tests.nbgrader_course import NbgraderCourse, cell_of

EXERCISES = ("first", "second", "third")
MADE_UP = re.compile(rb'"id": "[0-9a-f]{8}",')
RANDOM_IDS = ("id", "_id")
"""How columns end that hold ids which nbgrader makes up."""


@pytest.fixture(scope="module")
def mixed_class(tmp_path_factory):
    """A course with a broken grader and a due date, and submissions of every kind."""
    root = tmp_path_factory.mktemp("mixed") / "course"
    course = NbgraderCourse.small(root, dict.fromkeys(EXERCISES))
    course.build()
    course.write("graders/demo/test_third.py", "raise RuntimeError('a fault of the grader')")
    with course.gradebook() as gradebook:
        gradebook.update_or_create_assignment("demo", duedate="2026-01-31 12:00:00 UTC")
    right, wrong, forged, short, doubled = (course.released("demo") for _ in range(5))
    for notebook in (right, forged, doubled):
        cell_of(notebook, "first").source = "def first():\n    return 42\nprint('<b>鱼</b>\\n', 4.5)"
    cell_of(wrong, "second").source = "1 / 0"
    wrong.cells.append(nbformat.v4.new_markdown_cell("my *own* notes <script>alert(1)</script> \\href{x}{y}"))
    cell_of(forged, "test_first").metadata.nbgrader.update(points=100, schema_version=1, grade_id="test_second")
    short.cells = [cell for cell in short.cells if "test_first" not in str(cell.metadata)]
    doubled.cells.append(copy.deepcopy(doubled.cells[-1]))
    named = {"right": right, "wrong": wrong, "forged": forged, "short": short, "doubled": doubled}
    for student, notebook in {**named, "broken": b"{", "late": right}.items():
        course.submit(student, notebook, "demo")
    course.write("submitted/late/demo/timestamp.txt", "2026-02-01 12:00:00 UTC")
    course.write("submitted/right/demo/data.csv", "1,2")
    return course


def run(course, *, fast=True):
    """Grade the class in this process; returns why the run failed, if it did."""
    config = configuration(Course(course.root), Config())
    config.SubmissionExporter.fast = fast
    converter = Autograde(coursedir=CourseDirectory(config=config, assignment_id="demo"), config=config)
    converter.log.setLevel(logging.CRITICAL)
    converter.force = True
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # nbgrader 0.9.6 uses what SQLAlchemy 2 calls legacy
            converter.start()
    except NbGraderException as error:
        return str(error)
    return None


def content(database):
    """All tables of a gradebook, made-up ids replaced by what they stand for, in an order of their own."""
    with sqlite3.connect(database) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        tables = {}
        for name in sorted(names):
            cursor = connection.execute(f"SELECT * FROM {name}")
            tables[name] = [dict(zip((column[0] for column in cursor.description), row, strict=True)) for row in cursor]
    connection.close()
    rows = {row["id"]: row for table in tables.values() for row in table if "id" in row}

    def meaning(key, value):
        known = key in RANDOM_IDS or key.endswith(RANDOM_IDS)
        if not known or value not in rows or len(str(value)) != 32:
            return value
        return {key: meaning(key, value) for key, value in rows[value].items() if key != "id"}

    named = {
        name: [{key: meaning(key, value) for key, value in row.items() if key != "id"} for row in table]
        for name, table in tables.items()
    }
    return {name: sorted(json.dumps(row, sort_keys=True) for row in table) for name, table in named.items()}


def files(folder):
    """All files below a folder with their content and permissions; ids that nbformat made up are left out."""
    return {
        str(path.relative_to(folder)): (MADE_UP.sub(b"", path.read_bytes()), path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def both(mixed_class, tmp_path_factory):
    """What a first and a second run leave behind, with the fast path and without."""
    outcomes = {}
    for fast in (True, False):
        root = tmp_path_factory.mktemp("fast" if fast else "slow") / "course"
        shutil.copytree(mixed_class.root, root)
        outcomes[fast] = [outcome_of_run(NbgraderCourse(root), fast) for _ in range(2)]
    return outcomes


def outcome_of_run(course, fast):
    said = run(course, fast=fast)
    return said, content(course.root / "gradebook.db"), files(course.root / "autograded")


# ---------------------------------------------------------------------------------------------- the same results


def test_the_gradebook_is_the_same(both):
    """All tables hold the same with the fast path and without, after a first run and after a second."""
    for (_, fast, _), (_, slow, _) in zip(both[True], both[False], strict=True):
        assert fast == slow
    assert len(fast["grade"]) == 7 * len(EXERCISES)
    assert any('"late_submission_penalty"' in row for row in fast["submitted_notebook"])


def test_the_graded_notebooks_are_the_same(both):
    """The files in ``autograded/`` are the same, byte for byte, and so are their permissions."""
    for (_, _, fast), (_, _, slow) in zip(both[True], both[False], strict=True):
        assert fast == slow
    assert len(fast) == 9


def test_the_end_of_the_run_is_the_same(both):
    """A run fails for the same reason: here an exercise with a broken grader, in all notebooks that could be read."""
    assert {said for fast in both for said, _, _ in both[fast]} == {"6 exercises need manual grading"}


def test_the_gradebook_is_set_up_once(mixed_class, tmp_path, monkeypatch):
    """Engine, tables and course are looked after once per run and course, and for every step without the fast path."""
    shutil.copytree(mixed_class.root, tmp_path / "course")
    made = []
    set_up = Gradebook.check_course
    monkeypatch.setattr(Gradebook, "check_course", lambda self, **course: (made.append(1), set_up(self, **course))[1])
    run(NbgraderCourse(tmp_path / "course"))
    fast = len(made)
    run(NbgraderCourse(tmp_path / "course"), fast=False)
    assert fast < 15
    assert len(made) - fast > 7 * 9


# ------------------------------------------------------------------------------------------------- the gradebook


@pytest.fixture(scope="module")
def built_course(tmp_path_factory):
    """A small course whose gradebook knows of one student's submission."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("built") / "course", dict.fromkeys(EXERCISES))
    course.build()
    with course.gradebook() as gradebook:
        gradebook.add_student("ada")
        gradebook.add_submission("demo", "ada")
    return course


@pytest.fixture
def course(built_course, tmp_path):
    """A copy of the course for one test."""
    shutil.copytree(built_course.root, tmp_path / "course")
    return NbgraderCourse(tmp_path / "course")


@pytest.fixture
def exporter():
    """What the steps of a run have in common."""
    return conversion.FastExporter(config=Config({"Exporter": {"default_preprocessors": []}}))


def place(course):
    return {"nbgrader": {"db_url": course.database, "assignment": "demo", "notebook": "demo", "student": "ada"}}


def graded_notebook(course, **scores):
    """The released notebook with scores in the outputs of its test cells."""
    notebook = course.released("demo")
    for exercise in EXERCISES:
        score = {"text/plain": str(scores.get(exercise, 1))}
        cell_of(notebook, f"test_{exercise}").outputs = [nbformat.v4.new_output("execute_result", data=score)]
    return notebook


def test_scores_appear_together(course, exporter):
    """All scores of a notebook are committed at once."""
    steps.SaveAutoGrades(parent=exporter)(graded_notebook(course), place(course))
    assert {name: grade["auto"] for name, grade in course.grades("demo")["ada"].items()} == {
        f"test_{exercise}": 1.0 for exercise in EXERCISES
    }


@pytest.mark.parametrize("fault", ["a score above the maximum", "an output that is none"])
def test_or_not_at_all(course, exporter, fault):
    """A step that fails half-way leaves the scores as they were."""
    notebook = graded_notebook(course, third=99)
    if fault == "an output that is none":
        notebook = graded_notebook(course)
        cell_of(notebook, "test_third").outputs.append(nbformat.NotebookNode(output_type="display_data"))
    with pytest.raises((ValueError, nbformat.ValidationError)):
        steps.SaveAutoGrades(parent=exporter)(notebook, place(course))
    assert {grade["auto"] for grade in course.grades("demo")["ada"].values()} == {None}


def test_nothing_is_open_between_steps(course, exporter):
    """After each step the file is closed and another process may write at once."""
    steps.SaveAutoGrades(parent=exporter)(graded_notebook(course), place(course))
    opened = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    assert str(course.root / "gradebook.db") not in opened
    with contextlib.closing(sqlite3.connect(course.root / "gradebook.db", timeout=0)) as connection:
        connection.execute("BEGIN EXCLUSIVE")


def test_the_steps_of_a_conversion_share_a_connection_that_holds_nothing(course):
    """Between them another process may write, which the next step sees; after them the file is closed."""
    gradebooks = Gradebooks()
    asked = ("test_first", "demo", "demo", "ada")
    with gradebooks.connected():
        with gradebooks.open(course.database) as gradebook:
            gradebook.find_grade(*asked).auto_score = 1.0
            gradebook.db.commit()
        with contextlib.closing(sqlite3.connect(course.root / "gradebook.db", timeout=0)) as connection:
            connection.execute("BEGIN EXCLUSIVE")
            connection.execute("UPDATE grade SET manual_score = 0.5")
            connection.commit()
        with gradebooks.open(course.database) as gradebook:
            grade = gradebook.find_grade(*asked)
            assert (grade.auto_score, grade.manual_score) == (1.0, 0.5)
    opened = [os.path.realpath(f"/proc/self/fd/{number}") for number in os.listdir("/proc/self/fd")]
    assert str(course.root / "gradebook.db") not in opened


def test_a_step_sees_what_others_wrote_before_it(course):
    """Nothing that one step found is kept for the next: a manual score that was given meanwhile counts."""
    gradebooks = Gradebooks()
    asked = ("test_first", "demo", "demo", "ada")
    with gradebooks.open(course.database) as gradebook:
        assert gradebook.find_grade(*asked).manual_score is None
    with course.gradebook() as other:
        other.find_grade(*asked).manual_score = 0.5
        other.db.commit()
    with gradebooks.open(course.database) as gradebook:
        assert gradebook.find_grade(*asked).manual_score == 0.5


def test_what_a_step_did_not_commit_is_not_kept(course):
    """As with nbgrader, a change without a commit is lost."""
    gradebooks = Gradebooks()
    with gradebooks.open(course.database) as gradebook:
        gradebook.find_grade("test_first", "demo", "demo", "ada").auto_score = 1.0
    assert course.grades("demo")["ada"]["test_first"]["auto"] is None


def test_what_the_database_refuses_is_refused_where_nbgrader_looks(course):
    """A second student of the same name is nbgrader's InvalidEntry, at the call that adds it."""
    with Gradebooks().open(course.database) as gradebook:
        logging.getLogger("tornado.application").setLevel(logging.CRITICAL)
        with pytest.raises(InvalidEntry):
            gradebook.add_student("ada")


@pytest.mark.parametrize(
    ("method", "known", "unknown"),
    [
        ("find_student", ("ada",), ("eve",)),
        ("find_assignment", ("demo",), ("none",)),
        ("find_notebook", ("demo", "demo"), ("demo", "none")),
        ("find_submission", ("demo", "ada"), ("demo", "eve")),
        ("find_source_cell", ("about_first", "demo", "demo"), ("none", "demo", "demo")),
        ("find_graded_cell", ("test_first", "demo", "demo"), ("first", "demo", "demo")),
        ("find_grade", ("test_first", "demo", "demo", "ada"), ("test_first", "demo", "demo", "eve")),
        ("find_comment", ("first", "demo", "demo", "ada"), ("test_first", "demo", "demo", "ada")),
    ],
)
def test_lookups_find_what_nbgrader_finds(course, method, known, unknown):
    """The same entry is found, and what is missing raises what nbgrader raises, in its words."""
    found = []
    for opened in (Gradebook, Gradebooks().open):
        with opened(course.database) as gradebook:
            entry = getattr(gradebook, method)(*known)
            with pytest.raises(MissingEntry) as missing:
                getattr(gradebook, method)(*unknown)
            found.append((type(entry), entry.id, str(missing.value)))
    assert found[0] == found[1]


def test_a_task_and_its_grade_are_found(course):
    """Tasks, which only a person grades, are found as well."""
    with course.gradebook() as gradebook:
        gradebook.remove_submission("demo", "ada")
        gradebook.add_task_cell("essay", "demo", "demo", max_score=3, cell_type="markdown")
        gradebook.add_submission("demo", "ada")
    with Gradebooks().open(course.database) as gradebook:
        assert gradebook.find_graded_cell("essay", "demo", "demo").max_score == 3
        assert gradebook.find_grade("essay", "demo", "demo", "ada").max_score == 3
        assert gradebook.find_comment("essay", "demo", "demo", "ada").auto_comment is None


def test_a_new_run_knows_nothing_of_an_old_gradebook(course):
    """In one process, a gradebook that was deleted after a run is made anew by the next."""
    for value in (42, 41):
        course.submit("ada", course.solved(f"def first():\n    return {value}", "demo", "first"), "demo")
        (course.root / "gradebook.db").unlink()
        assert run(course) is None
        assert course.grades("demo")["ada"]["test_first"]["auto"] == (2.0 if value == 42 else 0.0)


# ------------------------------------------------------------------------------------------- checks and conversion


def test_metadata_is_checked_by_its_types(course, exporter):
    """Metadata that only looks like some that was valid is invalid: 1 is not true, and "1" is no number."""
    check = steps.CheckCellMetadata(parent=exporter)
    check.log.setLevel(logging.CRITICAL)
    check(course.released("demo"), {})
    for key, value in {"grade": 1, "points": "2", "locked": 1.0}.items():
        notebook = course.released("demo")
        cell_of(notebook, "test_first").metadata.nbgrader[key] = value
        with pytest.raises(ValidationError):
            check(notebook, {})


def test_a_duplicate_is_found_among_valid_cells(course, exporter):
    """That each cell was valid before does not make two of one name valid."""
    check = steps.CheckCellMetadata(parent=exporter)
    check.log.setLevel(logging.CRITICAL)
    notebook = course.released("demo")
    check(notebook, {})
    notebook.cells.append(copy.deepcopy(notebook.cells[-1]))
    with pytest.raises(ValidationError):
        check(notebook, {})


texts = st.text() | st.sampled_from(["\u2028", "\x00", "a\r\nb\n", '"\\', "é", "\x85", "😀"])
leaves = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | texts
values = st.recursive(leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3))


@given(st.lists(texts, max_size=3), values)
def test_a_notebook_is_written_as_nbformat_writes_it(sources, value):
    """The text of a notebook is the same, whatever stands in it."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    data = {"application/json": value, "text/plain": "\n".join(sources)}
    for cell in cells:
        cell.outputs = [nbformat.v4.new_output("display_data", data=data, metadata={"x": value})]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"orig_nbformat": 4, "tensorgrade": value})
    expected = nbformat.writes(notebook)
    assert conversion._as_text(notebook) == expected + "\n"


def test_preprocessors_of_others_are_made_for_each_notebook(exporter):
    """What a course's own preprocessor keeps in itself is as long-lived as with nbconvert; ours are made once."""
    own = type("Own", (preprocessors.NbGraderPreprocessor,), {"__module__": "course_settings"})
    for _ in range(2):
        exporter.register_preprocessor(own)
        exporter.register_preprocessor("nbgrader.preprocessors.DeduplicateIds")
    first, ours, second, ours_again = exporter._preprocessors
    assert first is not second
    assert ours is ours_again


@pytest.mark.parametrize(
    ("method", "name"),
    [
        (Autograde.init_assignment, "Gradebook"),
        (preprocessors.OverwriteKernelspec.preprocess, "Gradebook"),
        (preprocessors.OverwriteCells.preprocess, "Gradebook"),
        (preprocessors.SaveAutoGrades.preprocess, "Gradebook"),
        (preprocessors.AssignLatePenalties.preprocess, "Gradebook"),
        (preprocessors.CheckCellMetadata.preprocess, "MetadataValidator"),
    ],
)
def test_nbgrader_uses_the_names_that_are_rebound(method, name):
    """With another nbgrader this may end, and with it the gain, though not the result."""
    assert name in method.__code__.co_names


def test_rebinding_leaves_the_module_alone():
    """The method sees another object; its module and other callers do not."""

    class Step:
        def made(self):
            return Gradebook

    assert rebound(Step().made, Gradebook=int)() is int
    assert Step().made() is Gradebook
    assert rebound(len, Gradebook=int) is len
