"""Specification of stored results: what they depend on, and that with them a run gives the same as without."""

import textwrap
from dataclasses import replace

import pytest

from tensorgrade.course import Course
from tensorgrade.errors import EngineError
from tensorgrade.exercise import Level
from tensorgrade.job import CellJob, Job, Settings
from tensorgrade.keys import Keys
from tensorgrade.results import store_of, stored
from tensorgrade.runner import grade

GRADER = "def test_values(submission):\n    expect(submission.call('{}')).equals({})\n"
IMPORTS = "from .answers import RIGHT\nfrom .more.deep import DEEP\n"
NAMES = ("first", "second")
FIRST, SECOND = 2, 4
"""The places where the exercises are judged."""


@pytest.fixture
def course(make_course, exercise_text):
    """A course with two exercises, the grader of the first with helpers and data."""
    course = make_course({name: (exercise_text("values"), GRADER.format(name, 42)) for name in NAMES})
    grader = course.grader_file("demo", "first")
    grader.write_text(IMPORTS + grader.read_text())
    folder = grader.parent
    (folder / "__init__.py").write_text("")
    (folder / "answers.py").write_text("RIGHT = 42\n")
    (folder / "unused.py").write_text("LEFT = 41\n")
    (folder / "more").mkdir()
    (folder / "more" / "__init__.py").write_text("")
    (folder / "more" / "deep.py").write_text("DEEP = 1\n")
    (folder / "data.csv").write_text("1,2\n")
    return course


@pytest.fixture
def job(course, tmp_path):
    """A notebook with a right answer to each exercise, and a file beside it."""
    folder = tmp_path / "handed-in"
    folder.mkdir()
    (folder / "points.csv").write_text("1,2\n")
    (folder / "timestamp.txt").write_text("2026-01-01 00:00:00 UTC\n")
    (folder / "demo.ipynb").write_text("{}")
    return notebook(course, files=folder)


def notebook(course, first="def first():\n    return 42", second="def second():\n    return 42", **facts):
    """A job whose cells are: setup, an answer, its test cell, the other answer, its test cell, a last one."""
    sources = ("x = 1", first, "judge:first", second, "judge:second", "print('the end')")
    cells = [CellJob(source, 1.0) for source in map(textwrap.dedent, sources)]
    for place, name in ((FIRST, "first"), (SECOND, "second")):
        cells[place] = CellJob("first()", 1.0, name)
    return Job(tuple(cells), course.root, "demo", "en", **{"files": None, "seconds": 60.0, **facts})


def keys(job):
    """The keys of the results of a job, as a process finds them that has just started."""
    course = Course(job.course)
    found = Keys(job, course, course.load("demo"))
    return {"run": found.run(), "first": found.verdict(FIRST), "second": found.verdict(SECOND)}


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


ALL = {"run", *NAMES}

CELLS = {
    "the first cell": (0, {"source": "x = 2"}, ALL),
    "a cell between two exercises": (3, {"source": "second = 1"}, {"run", "second"}),
    "the last cell": (5, {"source": "pass"}, {"run"}),
    "a test cell's source": (FIRST, {"source": "first() == 42"}, set()),
    "a cell's time": (3, {"seconds": 2.0}, {"run", "second"}),
    "the time of judging": (FIRST, {"seconds": 2.0}, {"first"}),
}


@pytest.mark.parametrize(("place", "change", "expected"), CELLS.values(), ids=CELLS)
def test_results_depend_on_the_cells_before(job, place, change, expected):
    """A verdict depends on the cells before its exercise, the outputs on all; test cells do not run nor count."""
    cells = list(job.cells)
    cells[place] = replace(cells[place], **change)
    assert changed(keys(job), keys(replace(job, cells=tuple(cells)))) == expected


SURROUNDINGS = {
    "language": {"language": "zh"},
    "tier": {"settings": Settings("B")},
    "devices": {"settings": Settings(devices=("/dev/null",))},
    "time of the notebook": {"seconds": 61.0},
    "files": {"files": None},
}


@pytest.mark.parametrize("change", SURROUNDINGS.values(), ids=SURROUNDINGS)
def test_results_depend_on_the_surroundings(job, change):
    """Language, confinement, time and files count for everything."""
    assert changed(keys(job), keys(replace(job, **change))) == ALL


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("points.csv", "3,4\n", ALL),
        ("deep/er/new.txt", "", ALL),
        ("timestamp.txt", "2026-02-02 00:00:00 UTC\n", set()),
        ("demo.ipynb", "{ }", set()),
    ],
)
def test_results_depend_on_the_files_that_a_submission_gets(job, name, content, expected):
    """A file beside the notebook counts; notebooks and the time of submission, which it does not get, do not."""
    before = keys(job)
    (job.files / name).parent.mkdir(parents=True, exist_ok=True)
    (job.files / name).write_text(content)
    assert changed(before, keys(job)) == expected


def test_equal_files_in_another_folder_are_the_same(job, tmp_path):
    """Where a submission lies does not count, so that students with the same answer share a result."""
    before = keys(job)
    job.files.rename(tmp_path / "elsewhere")
    assert keys(replace(job, files=tmp_path / "elsewhere")) == before


GRADERS = {
    "its grader": ("demo/test_first.py", {"first"}),
    "another exercise's grader": ("demo/test_second.py", {"second"}),
    "a module it imports": ("demo/answers.py", {"first"}),
    "a module of a package it imports": ("demo/more/deep.py", {"first"}),
    "that package itself": ("demo/more/__init__.py", {"first"}),
    "a module nobody imports": ("demo/unused.py", set()),
    "data beside the graders": ("demo/data.csv", set(NAMES)),
    "new data": ("demo/new.txt", set(NAMES)),
    "the package of the graders": ("demo/__init__.py", set(NAMES)),
    "fixtures": ("demo/conftest.py", set(NAMES)),
    "another assignment's grader": ("other/test_first.py", set()),
}


@pytest.mark.parametrize(("name", "expected"), GRADERS.values(), ids=GRADERS)
def test_a_verdict_depends_on_its_grader(course, job, name, expected):
    """On the grader's file, what it imports from the course, and data beside it; the outputs depend on none of them."""
    before = keys(job)
    file = course.graders / name
    file.parent.mkdir(exist_ok=True)
    with file.open("a") as stream:
        stream.write("# changed\n")
    assert changed(before, keys(job)) == expected


FORMS = (
    '"""A text.\n\nimport of nothing\n"""\nfrom .unused import LEFT\n',
    "from .unused import (\n    LEFT,\n)\n",
    "from \\\n    .unused import LEFT\n",
    "if True: x = 1; from .unused import LEFT  # as it happens\n",
    "try:\n    pass\nfinally:\n    from . import unused\n",
    "match 1:\n    case _:\n        import demo.unused as other\n",
    "async def f():\n    async with f():\n        from demo import unused\n",
)


@pytest.mark.parametrize("form", FORMS)
def test_an_import_counts_however_it_is_written(course, job, form):
    """A module that a grader imports somewhere in its source belongs to it."""
    grader = course.grader_file("demo", "first")
    grader.write_text(form + grader.read_text())
    before = keys(job)
    (course.graders / "demo" / "unused.py").write_text("LEFT = 40\n")
    assert changed(before, keys(job)) == {"first"}


YAML = {
    "points": ("demo/first.yaml", "points: 1", "points: 2", {"first"}),
    "text": ("demo/first.yaml", "en: values", "en: the right values", {"first"}),
    "limits of an exercise": ("demo/first.yaml", "difficulty: 1", "difficulty: 1\nlimits: {memory: 2 GiB}", ALL),
    "limits of the assignment": ("demo/assignment.yaml", "schema: 1", "schema: 1\nlimits: {memory: 2 GiB}", ALL),
    "limits of the course": ("course.yaml", "", "schema: 1\nlimits: {processes: 65}\n", ALL),
    "introduction": ("demo/assignment.yaml", "Welcome.", "Hello.", set()),
    "level of an exercise": ("demo/first.yaml", "difficulty: 1", "difficulty: 1\ndisclosure: full", set()),
    "level of the course": ("course.yaml", "", "schema: 1\ndisclosure: verdict\n", set()),
    "level of a clause": ("demo/first.yaml", "points: 1", "disclosure: case, points: 1", set()),
}


@pytest.mark.parametrize(("name", "old", "new", "expected"), YAML.values(), ids=YAML)
def test_results_depend_on_what_the_yaml_says(course, job, name, old, new, expected):
    """Points and texts count for the verdict of their exercise; limits for all that runs in the same notebook."""
    before = keys(job)
    file = course.assignments / name
    text = file.read_text(encoding="utf-8") if file.exists() else ""
    assert old in text
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
    assert changed(before, keys(job)) == expected


# ------------------------------------------------------------------------------------------- with real grading


class Unwanted:
    """Stands for a zygote that must not be asked."""

    def __getattr__(self, name):
        raise EngineError(f"the zygote was asked for {name}")


class Counting:
    """A zygote that counts the processes started."""

    def __init__(self, zygote):
        self._zygote = zygote
        self.starts = 0

    def __getattr__(self, name):
        return getattr(self._zygote, name)

    def start(self, *arguments, **options):
        """Start a process as the zygote does."""
        self.starts += 1
        return self._zygote.start(*arguments, **options)


def scores(graded):
    return {name: verdict.score for name, verdict in graded.verdicts.items()}


def test_known_results_run_nothing(course, job, zygote):
    """A second run gives what the first gave, and so does a run without the store; no process is asked for."""
    computed = grade(job, zygote)
    assert scores(computed) == {"first": 1, "second": 1}
    assert stored(job) == computed
    assert grade(job, Unwanted()) == computed
    assert grade(replace(job, cache=False), zygote) == computed
    assert len(store_of(course.root)) == 3


def test_without_the_store_nothing_is_kept_or_found(course, job, zygote):
    """A job that does not want the store leaves it as it is."""
    without = replace(job, cache=False)
    grade(without, zygote)
    assert not course.results.exists()
    assert stored(without) is None


def test_a_change_is_seen_in_a_grader_that_is_remembered(course, job, monkeypatch):
    """Graders are not read again until something beside them changes: content, a new file, or one that is gone."""
    monkeypatch.setattr("tensorgrade.keys._RACY_NANOSECONDS", 0)  # else nothing is remembered that is so new
    grader, data = course.grader_file("demo", "first"), course.graders / "demo" / "more.csv"
    for change in (lambda: grader.write_text("# changed\n" + grader.read_text()), data.touch, data.unlink):
        before = keys(job)
        assert keys(job) == before
        change()
        assert changed(before, keys(job))


def test_a_changed_grader_judges_its_exercise_only(course, job, zygote):
    """The cells before the exercise run again, the outputs and the other verdict are those that are known."""
    before = grade(job, zygote)
    grader = course.grader_file("demo", "first")
    grader.write_text(grader.read_text().replace("42", "41"))
    zygote = Counting(zygote)
    after = grade(job, zygote)
    assert scores(after) == {"first": 0, "second": 1}
    assert after.runs == before.runs
    assert after.verdicts["second"] == before.verdicts["second"]
    assert zygote.starts == 1
    assert grade(job, Unwanted()) == after


def test_an_answer_changed_behind_an_exercise_keeps_its_verdict(course, job, zygote):
    """The second answer of a notebook is corrected: the first exercise is not judged again."""
    grade(job, zygote)
    cells = list(job.cells)
    cells[3] = replace(cells[3], source="def second():\n    return 41")
    corrected = replace(job, cells=tuple(cells))
    first = Keys(job, course, course.load("demo")).verdict(FIRST)
    kept = store_of(course.root).get(first)
    store_of(course.root).put(first, {**kept, "title": "known"})
    graded = grade(corrected, zygote)
    assert scores(graded) == {"first": 1, "second": 0}
    assert graded.verdicts["first"].title == "known"


CHANCE = {
    "a cell's time": ({"first": "import time\ntime.sleep(30)\ndef first():\n    return 42"}, set()),
    "a lost process": ({"first": "import os\nos._exit(0)"}, set()),
    "time of a call": ({"first": "def first():\n    while True: pass"}, {"second"}),
    "a call that ends the process": ({"first": "def first():\n    import os\n    os._exit(0)"}, {"second"}),
    "a cell behind an exercise": ({"second": "while True: pass"}, {"first"}),
}


@pytest.mark.parametrize(("answers", "kept"), CHANCE.values(), ids=CHANCE)
def test_what_another_run_may_not_give_again_is_not_kept(course, zygote, answers, kept):
    """Time-outs and lost processes are not stored, nor are verdicts on the state that they left."""
    job = notebook(course, **answers)
    graded = grade(job, zygote)
    assert stored(job) is None
    found = Keys(job, course, course.load("demo"))
    store = store_of(course.root)
    verdicts = {name for name, place in (("first", FIRST), ("second", SECOND)) if store.get(found.verdict(place))}
    assert verdicts == kept
    assert (store.get(found.run()) is None) == any(run and not run.repeatable for run in graded.runs)


def test_a_flagged_verdict_is_not_kept(course, job, zygote):
    """When the grader's fault is mended outside of what a key knows, the exercise is judged."""
    grader = course.grader_file("demo", "second")
    mended = job.files.parent / "mended"
    grader.write_text(f"from pathlib import Path\nassert Path({str(mended)!r}).exists()\n" + grader.read_text())
    assert grade(job, zygote).verdicts["second"].flagged is not None
    mended.touch()
    assert scores(grade(job, zygote)) == {"first": 1, "second": 1}


def test_a_grader_that_is_edited_while_it_judges_leaves_nothing(course, job, zygote):
    """A verdict is not kept under the key of a grader that did not give it."""
    grader = course.grader_file("demo", "second")
    edit = f"    with open({str(grader)!r}, 'a') as grader: grader.write('# edited')\n"
    grader.write_text(grader.read_text().replace("42", "41").replace("    expect", f"{edit}    expect"))
    assert scores(grade(job, zygote)) == {"first": 1, "second": 0}
    assert stored(job) is None


def test_a_level_is_applied_to_what_is_known(course, zygote):
    """Another level of disclosure shows more or less of a stored verdict; nothing is judged again."""
    job = notebook(course, first="def first():\n    return 41")
    (clause,) = grade(job, zygote).verdicts["first"].disclosed().clauses
    assert (clause.level, clause.evidence) == (Level.CLAUSE, None)
    file = course.exercise_file("demo", "first")
    file.write_text(f"{file.read_text(encoding='utf-8')}disclosure: full\n", encoding="utf-8")
    (clause,) = grade(job, Unwanted()).verdicts["first"].disclosed().clauses
    assert (clause.level, clause.evidence.got, clause.evidence.expected) == (Level.FULL, "41", "42")
    assert clause.evidence.call == "first()"


def test_a_place_in_the_notebook_is_that_of_this_notebook(course, zygote):
    """A verdict that names a cell is another one where a test cell before it is missing."""
    job = notebook(course, second="def second():\n    return 1 / 0")
    less = replace(job, cells=tuple(cell for cell in job.cells if cell.exercise != "first"))
    traces = [grade(one, zygote).verdicts["second"].clauses[0].trace for one in (job, less)]
    assert [[(line.cell, line.line) for line in trace] for trace in traces] == [[(4, 2)], [(3, 2)]]


def test_a_notebook_without_a_test_cell_has_no_verdict_of_another(course, job, zygote):
    """It has the same outputs as one that was graded, at its own places, and a verdict for its exercises alone."""
    whole = grade(job, zygote)
    cells = tuple(cell for cell in job.cells if cell.exercise != "first")
    less = replace(job, cells=cells)
    known = grade(less, Unwanted())
    assert known == grade(replace(less, cache=False), zygote)
    assert scores(known) == {"second": 1}
    assert [run for run in known.runs if run] == [run for run in whole.runs if run]
    assert [run is None for run in known.runs] == [False, False, False, True, False]


def test_a_damaged_store_changes_no_result(course, job, zygote, caplog):
    """Damaged values are computed again."""
    computed = grade(job, zygote)
    for file in course.results.glob("*/*"):
        file.write_bytes(file.read_bytes()[:-1])
    assert grade(job, zygote) == computed
    assert caplog.records
    assert grade(job, Unwanted()) == computed
