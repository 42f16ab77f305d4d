"""Specification of a course on disk, by real courses in a temporary folder."""

import os
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import pytest

from tensorgrade.course import Course
from tensorgrade.errors import CourseError, ExerciseFileError
from tensorgrade.exercise import Level
from tensorgrade.limits import DEFAULTS

EXERCISE = """\
schema: 1
title: {{en: {name}, zh: {name}}}
prompt: {{en: Write it., zh: 请编写。}}
needs: [{needs}]
difficulty: 1
starter: ...
solution: pass
examples: assert True
clauses:
  values: {{points: 1, text: {{en: the values, zh: 值}}}}
  dtype: {{points: 1, text: {{en: the dtype, zh: 类型}}}}
"""

ASSIGNMENT = """\
schema: 1
title: {{en: {name}, zh: {name}}}
introduction: {{en: Welcome., zh: 欢迎。}}
exercises: [{exercises}]
"""

GRADER = """\
def test_values__square(submission): ...


def test_dtype(submission): ...
"""


def write(file, text):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def add_exercise(course, assignment, name, needs="", more=""):
    text = EXERCISE.format(name=name, needs=needs) + more
    write(course.exercise_file(assignment, name), text)
    write(course.grader_file(assignment, name), GRADER)


def add_assignment(course, name, exercises, more=""):
    write(course.settings_file(name), ASSIGNMENT.format(name=name, exercises=", ".join(exercises)) + more)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two assignments without a mistake, its root the working directory."""
    monkeypatch.chdir(tmp_path)
    course = Course(Path())
    write(course.config_file, "c = get_config()\n")
    add_assignment(course, "create", ["zeros-ones", "eye"])
    add_exercise(course, "create", "zeros-ones")
    add_exercise(course, "create", "eye", needs="create/zeros-ones")
    add_assignment(course, "views", ["transpose"])
    add_exercise(course, "views", "transpose", needs="create/eye")
    return course


# ------------------------------------------------------------------------------------------------- names


def test_a_course_is_found_from_any_folder_in_it(course, tmp_path):
    """``find`` walks upwards to the folder that holds both nbgrader_config.py and assignments/."""
    assert Course.find(tmp_path) == Course(tmp_path.resolve())
    assert Course.find(Path("assignments/create")) == Course(tmp_path.resolve())
    assert Course.find(Path("assignments/create/eye.yaml")) == Course(tmp_path.resolve())


@pytest.mark.parametrize("lacking", ["nbgrader_config.py", "assignments"])
def test_half_a_course_is_none(tmp_path, lacking):
    """A folder with only one of the two marks of a course is not one, and the error says what was expected."""
    (tmp_path / "assignments").mkdir()
    (tmp_path / "nbgrader_config.py").touch()
    (tmp_path / lacking).rename(tmp_path / "elsewhere")
    with pytest.raises(CourseError, match=r"found no course .* nbgrader_config.py and assignments/; change to"):
        Course.find(tmp_path)


def test_the_course_owns_all_names():
    """Every folder and file of a course has its name from the course, which does not need to exist."""
    course = Course(Path("c"))
    folders = [course.assignments, course.graders, course.source, course.release]
    folders += [course.submitted, course.autograded, course.feedback]
    names = ["assignments", "graders", "source", "release", "submitted", "autograded", "feedback"]
    assert folders == [Path("c", name) for name in names]
    assert course.settings_file("create") == Path("c/assignments/create/assignment.yaml")
    assert course.exercise_file("create", "zeros-ones") == Path("c/assignments/create/zeros-ones.yaml")
    assert course.grader_file("create", "zeros-ones") == Path("c/graders/create/test_zeros_ones.py")
    assert course.source_notebook("create") == Path("c/source/create/create.ipynb")
    assert course.release_notebook("create") == Path("c/release/create/create.ipynb")


def test_assignments_are_named_in_order(course):
    """The assignments are the folders in assignments/, without hidden ones, sorted; no folder, no assignments."""
    Path("assignments/.cache").mkdir()
    Path("assignments/README.md").touch()
    assert course.assignment_names() == ("create", "views")
    assert Course(Path("nowhere")).assignment_names() == ()


# ----------------------------------------------------------------------------------------------- loading


def test_an_assignment_is_loaded_in_its_order(course):
    """``load`` gives the exercises in the order of assignment.yaml, whatever their files are called."""
    assignment = course.load("create")
    assert (assignment.name, assignment.settings.title.en) == ("create", "create")
    assert [exercise.id for exercise in assignment.exercises] == ["create/zeros-ones", "create/eye"]
    with pytest.raises(FrozenInstanceError):
        assignment.name = "views"


def test_limits_are_of_the_exercise_then_the_assignment_then_the_course_then_the_default(course):
    """A loaded exercise has its own limits, the gaps filled from its assignment, the course and the defaults."""
    write(course.assignments / "course.yaml", "schema: 1\nlimits: {seconds: 4, processes: 7, memory: 3 GiB}\n")
    add_assignment(course, "create", ["zeros-ones", "eye"], "limits: {seconds: 3}\n")
    add_exercise(course, "create", "eye", more="limits: {memory: 2 GiB, subprocesses: true}\n")
    zeros, eye = (exercise.limits.allowance() for exercise in course.load("create").exercises)
    assert zeros == replace(DEFAULTS, seconds=3, processes=7, memory=3 << 30)
    assert eye == replace(DEFAULTS, seconds=3, processes=7, memory=2 << 30, subprocesses=True)
    transpose = course.load("views").exercises[0]
    assert transpose.limits.allowance() == replace(DEFAULTS, seconds=4, processes=7, memory=3 << 30)


def test_a_course_without_a_course_file_has_the_defaults(course):
    """``course.yaml`` may be missing; then what an exercise may use is what `DEFAULTS` says."""
    assert course.load("views").exercises[0].limits.allowance() == DEFAULTS


def test_mistakes_in_the_course_file_are_reported_with_each_assignment(course):
    """A key that ``course.yaml`` does not have, or a wrong amount, is named with file and line; nothing is loaded."""
    write(course.assignments / "course.yaml", "schema: 1\nlimits: {memory: 1 GB, second: 3}\n")
    with pytest.raises(ExerciseFileError) as caught:
        course.load("create")
    problems = str(caught.value).splitlines()
    assert [problem.split(" ")[0] for problem in problems] == ["assignments/course.yaml:2:"] * 2
    assert course.problems("create") == course.problems("views") == tuple(problems)


def test_levels_are_of_the_clause_then_the_exercise_then_the_assignment_then_the_course(course):
    """The nearest level of disclosure counts for a clause; without any, it is `clause`."""
    write(course.assignments / "course.yaml", "schema: 1\ndisclosure: full\n")
    add_assignment(course, "create", ["zeros-ones", "eye"], "disclosure: case\n")
    add_exercise(course, "create", "eye", more="disclosure: verdict\n")
    add_exercise(course, "create", "zeros-ones")
    file = course.exercise_file("create", "eye")
    text = file.read_text(encoding="utf-8").replace("points: 1,", "points: 1, disclosure: full,", 1)
    write(file, text)
    zeros, eye = (exercise.clauses.values() for exercise in course.load("create").exercises)
    assert [clause.disclosure for clause in zeros] == [Level.CASE, Level.CASE]
    assert [clause.disclosure for clause in eye] == [Level.FULL, Level.VERDICT]
    add_assignment(course, "create", ["zeros-ones", "eye"])
    zeros, _ = course.load("create").exercises
    assert [clause.disclosure for clause in zeros.clauses.values()] == [Level.FULL, Level.FULL]
    (course.assignments / "course.yaml").unlink()
    zeros, _ = course.load("create").exercises
    assert [clause.disclosure for clause in zeros.clauses.values()] == [Level.CLAUSE, Level.CLAUSE]


def test_accelerators_are_of_the_exercise_or_the_assignment(course):
    """An exercise that does not name accelerators has its assignment's; an explicit 0 stays 0."""
    add_assignment(course, "create", ["zeros-ones", "eye"], "accelerators: 2\n")
    add_exercise(course, "create", "eye", more="accelerators: 0\n")
    assert [exercise.accelerators for exercise in course.load("create").exercises] == [2, 0]


def test_an_unknown_assignment_is_refused_with_the_closest_name(course):
    """A name that is no assignment raises, and the error names the one that was probably meant."""
    with pytest.raises(CourseError, match=r'found no assignment "craete"; write `create` instead'):
        course.load("craete")
    with pytest.raises(CourseError, match=r"nowhere/assignments: found no assignment .*; write nowhere"):
        Course(Path("nowhere")).load("create")


def test_all_mistakes_of_all_files_are_reported_together(course):
    """One error holds the mistakes of assignment.yaml and of every exercise, listed or not, in its folder."""
    add_assignment(course, "create", ["zeros-ones", "eye", "full"], "colour: red\n")
    add_exercise(course, "create", "eye", more="hint: []\n")
    add_exercise(course, "create", "draft", more="difficulty: 2\n")
    with pytest.raises(ExerciseFileError) as caught:
        course.load("create")
    assert [problem.split(": ")[:2] for problem in str(caught.value).splitlines()] == [
        ["assignments/create/assignment.yaml:5", "colour"],
        ["assignments/create/draft.yaml:12", "difficulty"],
        ["assignments/create/eye.yaml:12", "hint"],
    ]


def test_a_listed_exercise_without_a_file_cannot_be_loaded(course):
    """``load`` refuses an assignment.yaml that lists an exercise that is not there."""
    course.exercise_file("create", "eye").unlink()
    with pytest.raises(ExerciseFileError, match=r'assignment.yaml:4: exercises\[1\]: found "eye", which has no file'):
        course.load("create")


def test_an_assignment_needs_its_settings(course):
    """A folder without an assignment.yaml is an assignment that cannot be loaded, and not none."""
    course.settings_file("views").unlink()
    with pytest.raises(ExerciseFileError, match=r"views/assignment.yaml:1: there is no such file; write it"):
        course.load("views")


# ---------------------------------------------------------------------------------------- fitting together


def test_a_course_without_mistakes_passes(course):
    """``check`` is silent when all files of an assignment fit together."""
    for name in course.assignment_names():
        assert course.problems(name) == ()
        course.check(name)


def unlist(course):
    add_assignment(course, "create", ["zeros-ones"])


def remove_exercise(course):
    course.exercise_file("create", "eye").unlink()
    course.grader_file("create", "eye").unlink()
    add_exercise(course, "views", "transpose")


def add_notes(course):
    write(Path("assignments/create/notes/todo.md"), "")


def misname_yaml(course):
    write(Path("assignments/create/full.yml"), "")


def nest_yaml(course):
    write(Path("assignments/create/more/full.yaml"), "")


def lose_side_file(course):
    add_assignment(course, "create", ["zeros-ones", "eye"], "files: [points.csv]\n")


def misname_need(course):
    add_exercise(course, "create", "eye", needs="create/zeros-one")


def need_itself(course):
    add_exercise(course, "create", "eye", needs="create/eye")


def need_each_other(course):
    add_exercise(course, "create", "zeros-ones", needs="views/transpose")


def misname_concept(course):
    write(course.assignments / "course.yaml", "schema: 1\nconcepts: [eye, zeros]\n")
    add_exercise(course, "create", "zeros-ones", more="teaches: [zeros]\n")
    add_exercise(course, "create", "eye", more="teaches: [eye, zeroes]\n")


def remove_grader(course):
    course.grader_file("create", "eye").unlink()


def orphan_grader(course):
    write(course.grader_file("create", "full"), GRADER)


def break_grader(course):
    write(course.grader_file("create", "eye"), "import torch\n\ndef test_values(:\n")


def grader_of_nul(course):
    course.grader_file("create", "eye").write_bytes(b"\xff\x00")


def forget_clause(course):
    write(course.grader_file("create", "eye"), "def test_values(submission): ...\n")


def add_ungraded_test(course):
    write(course.grader_file("create", "eye"), GRADER + "\n\ndef test_dtype_kept(submission): ...\n")


def shout_folder_name(course):
    Path("assignments/create").rename("assignments/Create")
    Path("graders/create").rename("graders/Create")
    add_exercise(course, "Create", "eye")
    add_exercise(course, "views", "transpose")


@pytest.mark.parametrize(
    ("break_course", "place", "said"),
    [
        (unlist, "assignments/create/eye.yaml:1", "no mention under `exercises` in assignment.yaml; add `eye` there"),
        (
            remove_exercise,
            'assignments/create/assignment.yaml:4: exercises[1]: found "eye", which has no file',
            "write assignments/create/eye.yaml, or remove the name",
        ),
        (add_notes, "assignments/create/notes/todo.md:1", "found a stray file; remove it, or name it under `files`"),
        (misname_yaml, "assignments/create/full.yml:1", "found a stray file"),
        (nest_yaml, "assignments/create/more/full.yaml:1", "found a stray file"),
        (lose_side_file, "assignments/create/assignment.yaml:5: files[0]", "add the file assignments/create/points"),
        (misname_need, "assignments/create/eye.yaml:4: needs[0]", "no exercise of this course; write `create/zeros-o"),
        (need_itself, "assignments/create/eye.yaml:4: needs", "a circle: create/eye needs create/eye; remove one of"),
        (
            need_each_other,
            "assignments/create/eye.yaml:4: needs",
            "create/eye needs create/zeros-ones needs views/transpose needs create/eye; remove one of these needs",
        ),
        (
            misname_concept,
            "assignments/create/eye.yaml:12: teaches[1]",
            'found "zeroes", which is no concept of course.yaml; write `zeros` instead, or add it there',
        ),
        (remove_grader, "assignments/create/eye.yaml:9: clauses", "found no grader graders/create/test_eye.py; write"),
        (orphan_grader, "graders/create/test_full.py:1", "found a grader without an exercise in assignments/create"),
        (break_grader, "graders/create/test_eye.py:3", "found code that is not Python (invalid syntax); mend it"),
        (grader_of_nul, "graders/create/test_eye.py:1", "; "),
        (
            forget_clause,
            "assignments/create/eye.yaml:11: clauses.dtype",
            "found no test of this clause in graders/create/test_eye.py; write a function `test_dtype` there",
        ),
        (
            add_ungraded_test,
            "graders/create/test_eye.py:7",
            "found `test_dtype_kept`, which belongs to no clause of create/eye; name it `test_values` or `test_dtype`",
        ),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_files_that_do_not_fit_are_one_problem(course, break_course, place, said):
    """Each thing that does not fit together is one line that names the file, the line and the remedy."""
    break_course(course)
    (problem,) = course.problems("create")
    assert problem.startswith(f"{place}: " if "found" not in place else place)
    assert said in problem
    with pytest.raises(CourseError) as caught:
        course.check("create")
    assert str(caught.value) == problem


def test_a_folder_name_that_cannot_be_an_assignment_is_a_problem(course):
    """An assignment's name is part of ids and notebooks: its folder is named like an exercise."""
    shout_folder_name(course)
    assert 'found the folder name "Create", expected small letters' in course.problems("Create")[0]


def test_all_problems_are_raised_together(course):
    """``check`` reports mistakes in the YAML and files that do not fit in one error, one per line."""
    add_exercise(course, "create", "zeros-ones", more="colour: red\n")
    remove_grader(course)
    add_notes(course)
    with pytest.raises(CourseError) as caught:
        course.check("create")
    places = [problem.split(": ")[0] for problem in str(caught.value).splitlines()]
    assert places == [
        "assignments/create/zeros-ones.yaml:12",
        "assignments/create/notes/todo.md:1",
        "assignments/create/eye.yaml:9",
    ]


def test_a_broken_settings_file_hides_nothing_else(course):
    """When assignment.yaml cannot be read, its exercises and their graders are checked all the same."""
    write(course.settings_file("create"), "exercises: [\n")
    remove_grader(course)
    problems = course.problems("create")
    assert problems[0].startswith("assignments/create/assignment.yaml:1: not YAML")
    assert any(problem.startswith("assignments/create/eye.yaml:9: clauses") for problem in problems)
    assert len(problems) == 2


def test_a_circle_concerns_the_assignments_it_runs_through(course):
    """Needs that form a circle are reported, once, for each assignment on the circle and for no other."""
    add_exercise(course, "create", "zeros-ones", needs="create/eye")
    assert len(course.problems("create")) == 1
    assert course.problems("views") == ()


def test_a_mistake_elsewhere_is_reported_elsewhere(course):
    """An exercise of another assignment may be needed although its file has mistakes."""
    write(course.exercise_file("create", "eye"), "schema: 1\n")
    assert course.problems("views") == ()


def test_declared_side_files_are_no_strays(course):
    """Files named under ``files`` may lie in the assignment's folder and below it."""
    write(Path("assignments/create/data/points.csv"), "1,2\n")
    add_assignment(course, "create", ["zeros-ones", "eye"], "files: [data/points.csv]\n")
    assert course.problems("create") == ()


@pytest.mark.parametrize(
    "grader",
    [
        "class TestEye:\n    def test_values(self): ...\n    def test_dtype(self): ...\n",
        "async def test_values(): ...\ndef test_dtype__of_floats(): ...\n",
        "import a_module_that_is_not_there\ndef helper(): ...\n" + GRADER,
        "def probe():\n    def test_inner(): ...\n" + GRADER,
        "PATTERN = '\\d'\n" + GRADER,
    ],
    ids=["class", "async", "imports", "inner", "warning"],
)
def test_graders_are_read_and_not_run(course, grader):
    """Tests are found at the top level and in test classes of a grader, which is never imported."""
    write(course.grader_file("create", "eye"), grader)
    assert course.problems("create") == ()


@pytest.mark.parametrize("name", ["test_valuesx", "testvalues", "test_values_", "test"])
def test_every_function_pytest_collects_belongs_to_a_clause(course, name):
    """A function whose name begins with ``test`` counts for a clause only by its full name."""
    write(course.grader_file("create", "eye"), f"{GRADER}\n\ndef {name}(): ...\n")
    (problem,) = course.problems("create")
    assert f"found `{name}`, which belongs to no clause" in problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_grader_that_cannot_be_read_is_a_problem(course):
    """A grader without read permission is reported, and not an error of another kind."""
    course.grader_file("create", "eye").chmod(0)
    (problem,) = course.problems("create")
    assert problem.startswith("graders/create/test_eye.py:1: cannot be read")
