"""Notebooks and folders that were made to hurt, all in one real ``nbgrader autograde`` beside an honest student's.

Each case is a small function that mangles a good notebook, or the folder it was handed in with. It says the points that
its student must get for the exercises ``one`` and ``two``, what the student reads, and what the run's summary says.
"""

import copy
import json
import os
import re
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from subprocess import CompletedProcess

import nbformat
import pytest
from nbgrader.coursedir import CourseDirectory

from tensorgrade.bridge.handed_in import timestamp
from tensorgrade.bridge.reading import read_bounded, readable
from tests.nbgrader_course import GRADER, NbgraderCourse, cell_of, grade_id

CANARY = "canary-of-the-grader-91"
SOLUTION = "def {name}():\n    return int(torch.tensor(42))"
MISSING_CELL = "The test cell of this exercise is missing from the notebook."
NOT_HANDED_IN = "The notebook of this assignment was not handed in"
CANNOT_BE_READ = "cannot be read"
TOO_LARGE = "is too large to be graded"


@dataclass(frozen=True)
class Hostile:
    """What a student did, and what must come of it."""

    mangle: Callable
    points: tuple[float, float]
    reason: str
    noted: str


NOTEBOOKS: dict[str, Hostile] = {}
FOLDERS: dict[str, Hostile] = {}


def hostile(cases, points=(2, 2), reason="", noted=""):
    def register(mangle):
        cases[mangle.__name__.replace("_", "-")] = Hostile(mangle, points, reason, noted)
        return mangle

    return register


def notebook(*facts, **named):
    """A function that changes the good notebook in place, or returns other content of its file."""
    return hostile(NOTEBOOKS, *facts, **named)


def folder(*facts, **named):
    """A function that changes the folder of a good submission."""
    return hostile(FOLDERS, *facts, **named)


def cell_in(notebook, name):
    return next(cell for cell in notebook["cells"] if cell["metadata"].get("nbgrader", {}).get("grade_id") == name)


def move(notebook, name, place):
    cell = cell_in(notebook, name)
    notebook["cells"].remove(cell)
    notebook["cells"].insert(place, cell)


def add(notebook, kind, source, **more):
    new = {"code": nbformat.v4.new_code_cell, "markdown": nbformat.v4.new_markdown_cell}[kind]
    notebook["cells"].append({**new(source), **more})


# ------------------------------------------------------------------------------------------------ order of cells


@notebook()
def all_cells_reversed(notebook):
    notebook["cells"].reverse()


@notebook()
def early_tests(notebook):
    for name in ("test_one", "test_two"):
        move(notebook, name, 0)


@notebook()
def solution_at_the_end(notebook):
    move(notebook, "one", len(notebook["cells"]))


@notebook()
def solution_again_at_the_end(notebook):
    again = copy.deepcopy(cell_in(notebook, "one"))
    cell_in(notebook, "one")["source"] = "def one():\n    return 0"
    notebook["cells"].append(again)


@notebook()
def locked_cells_at_the_end(notebook):
    for name in ("notebook_setup", "about_one", "about_two"):
        move(notebook, name, len(notebook["cells"]))


# ------------------------------------------------------------------------------------------- cells and their ids


@notebook((0, 2), reason=MISSING_CELL)
def deleted_test_cell(notebook):
    notebook["cells"].remove(cell_in(notebook, "test_one"))


@notebook((0, 0), reason=MISSING_CELL)
def all_cells_deleted(notebook):
    notebook["cells"].clear()


@notebook((0, 2), reason=MISSING_CELL)
def grade_id_in_other_case(notebook):
    cell_in(notebook, "test_one")["metadata"]["nbgrader"]["grade_id"] = "Test_One"


@notebook((0, 0), reason=MISSING_CELL)
def grade_ids_of_other_types(notebook):
    for name, forged in (("test_one", ["test_one"]), ("test_two", {"test_two": 1}), ("about_one", 7), ("one", None)):
        cell_in(notebook, name)["metadata"]["nbgrader"]["grade_id"] = forged


@notebook()
def solution_claimed_by_two_types(notebook):
    add(notebook, "markdown", "text", metadata={"nbgrader": {"grade_id": "eye", "grade": True, "points": 9}})
    claim = copy.deepcopy(cell_in(notebook, "about_one"))
    claim["metadata"]["nbgrader"]["grade_id"] = "one"
    notebook["cells"].insert(0, claim)


@notebook()
def other_cell_types(notebook):
    kinds = ("code", "raw", "raw", "markdown", "raw", "code", "raw", "markdown")
    for cell, kind in zip(notebook["cells"], kinds, strict=True):
        cell["cell_type"] = kind


@notebook()
def forged_cell_metadata(notebook):
    for cell, version in zip(notebook["cells"], (0, 99, "x", None, [3], 2.5, {}, -1), strict=True):
        forged = {"schema_version": version, "points": 300, "locked": False, "solution": True, "checksum": 3, "new": 1}
        cell["metadata"]["nbgrader"].update(forged)
        cell["metadata"]["tags"] = ["skip-execution", "raises-exception", "remove_cell", "remove-input", "hide_input"]


@notebook()
def cell_ids_that_are_none(notebook):
    for cell, forged in zip(notebook["cells"], (None, 7, [], {}, "", "x" * 99, "a b", "same"), strict=True):
        cell["id"] = forged
    notebook["nbformat_minor"] = 4


# ------------------------------------------------------------------------------------------- metadata of notebooks


@notebook()
def forged_notebook_metadata(notebook):
    notebook["metadata"] = {
        "kernelspec": {"name": "no-such-kernel", "display_name": 3, "language": ["R"]},
        "language_info": {"name": "../../x", "pygments_lexer": "no/such", "codemirror_mode": 1e999},
        "language": 7,
        "widgets": {"application/vnd.jupyter.widget-state+json": {"state": [1], "version_major": "x"}},
        "signature": [1],
        "authors": 7,
        "title": {"a": 1},
        "celltoolbar": None,
        "nbgrader": 3,
    }


@notebook()
def newer_format(notebook):
    notebook["nbformat"], notebook["nbformat_minor"] = 5, 99


@notebook()
def format_3(notebook):
    cells = [{key: cell[key] for key in ("cell_type", "source", "metadata")} for cell in notebook["cells"]]
    for cell in cells:
        if cell["cell_type"] == "code":
            cell.update(input=cell.pop("source"), language="python", outputs=[])
    return {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": [{"cells": cells}]}


@notebook()
def utf_16(notebook):
    return json.dumps(notebook).encode("utf-16")


# ------------------------------------------------------------------------------------------------- strange JSON


@notebook((0, 0), reason=CANNOT_BE_READ, noted=r"demo\.ipynb cannot be read \(it is not JSON")
def nesting_bomb(notebook):
    return b"[" * 1_000_000


@notebook((0, 2), reason=MISSING_CELL)
def nested_claims(notebook):
    bomb = "[" * 200 + "]" * 200
    cell_in(notebook, "test_one")["metadata"] = {"nbgrader": "BOMB"}
    cell_in(notebook, "about_one")["attachments"] = {"x": "BOMB"}
    cell_in(notebook, "one")["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {"a/b": "BOMB"}}]
    notebook["metadata"]["tensorgrade"] = {"language": "BOMB"}
    return json.dumps(notebook).replace('"BOMB"', bomb).encode()


@notebook()
def impossible_numbers_and_duplicate_keys(notebook):
    cell_in(notebook, "one")["execution_count"] = "HUGE"
    cell_in(notebook, "two")["execution_count"] = float("inf")
    cell_in(notebook, "test_one")["metadata"]["nbgrader"]["points"] = float("nan")
    cell_in(notebook, "test_two")["metadata"]["nbgrader"]["points"] = "HUGE"
    text = json.dumps(notebook).replace('"HUGE"', "9" * 100_000)
    return text.replace('"cells":', '"cells": 7, "cells": [], "nbformat": "x", "cells":', 1).encode()


@notebook()
def lone_surrogates(notebook):
    add(notebook, "markdown", "\ud800", metadata={"\udfff": "\ud800"})
    cell_in(notebook, "one")["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "\ud800"}]


@notebook((0, 0), reason=CANNOT_BE_READ, noted=r"demo\.ipynb cannot be read")
def truncated(notebook):
    return json.dumps(notebook).encode()[:-50]


@notebook((0, 0), reason=CANNOT_BE_READ, noted=r"demo\.ipynb cannot be read")
def binary(notebook):
    return bytes(range(256)) * 40


# -------------------------------------------------------------------------------------------------- huge notebooks


@notebook((0, 0), reason=TOO_LARGE, noted=r"demo\.ipynb cannot be read \(it is larger than 32 MiB\)")
def outputs_of_50_megabytes(notebook):
    cell_in(notebook, "one")["outputs"] = [{"output_type": "stream", "name": "stdout", "text": "x" * 50_000_000}]


@notebook((0, 0), reason=TOO_LARGE, noted=r"demo\.ipynb cannot be read \(it has more than 2000 cells\)")
def a_hundred_thousand_cells(notebook):
    notebook["cells"] += [{"cell_type": "code", "source": "1", "metadata": {}}] * 100_000


@notebook((0, 0), reason=TOO_LARGE, noted=r"demo\.ipynb cannot be read \(its cells have more than 1,048,576 char")
def cell_of_20_megabytes(notebook):
    add(notebook, "code", "#" * 20_000_000)


@notebook()
def many_outputs(notebook):
    output = {"output_type": "stream", "name": "stdout", "text": "x"}
    cell_in(notebook, "one")["outputs"] = [output] * 100_000


# --------------------------------------------------------------------------------------------- feedback that fails


@notebook()
def page_with_missing_attachment(notebook):
    add(notebook, "markdown", "![](attachment:x.png)")
    add(notebook, "markdown", "![a][r]\n\n[r]: &#97;ttachment:x.png", attachments={"x.png": {}})
    add(notebook, "markdown", "![](attachment:x.png)", attachments={"x.png": {"image/png": 3}, "y": [1]})
    cell_in(notebook, "about_two")["attachments"] = {"x.png": None}


@notebook()
def page_with_displayed_attachment(notebook):
    add(notebook, "code", "from IPython.display import Markdown\nMarkdown('![](attachment:x.png)')")


@notebook()
def page_with_slow_markdown(notebook):
    for source in ("\\begin{a}" * 30_000, "a" + " " * 100_000 + "b", "[" * 100_000, "> " * 50_000):
        add(notebook, "markdown", source)


# ------------------------------------------------------------------------------------------ in the notebook's place


def in_place_of_notebook(folder):
    (folder / "demo.ipynb").unlink()
    return folder / "demo.ipynb"


@folder((0, 0), reason=CANNOT_BE_READ, noted=r"demo\.ipynb cannot be read \(it is not an ordinary file\)")
def notebook_is_a_pipe(folder):
    os.mkfifo(in_place_of_notebook(folder))


@folder((0, 0), reason=CANNOT_BE_READ, noted=r"demo\.ipynb cannot be read \(it is not an ordinary file\)")
def notebook_is_a_folder(folder):
    in_place_of_notebook(folder).mkdir()
    (folder / "demo.ipynb" / "demo.ipynb").write_text("{}")


@folder((0, 0), reason=CANNOT_BE_READ, noted=r"demo\.ipynb cannot be read \(it is a link to something outside")
def notebook_is_a_link_to_the_grader(folder):
    in_place_of_notebook(folder).symlink_to("../../../graders/demo/test_one.py")


@folder((0, 0), reason=CANNOT_BE_READ, noted=r"demo\.ipynb cannot be read \(it is a link that leads nowhere\)")
def notebook_is_a_link_to_itself(folder):
    in_place_of_notebook(folder).symlink_to("demo.ipynb")


@folder(noted=r"real\.ipynb is not a notebook of this assignment")
def notebook_is_a_link_to_its_neighbour(folder):
    (folder / "demo.ipynb").rename(folder / "real.ipynb")
    (folder / "demo.ipynb").symlink_to("real.ipynb")


@folder((0, 0), reason=TOO_LARGE, noted=r"demo\.ipynb cannot be read \(it is larger than 32 MiB\)")
def notebook_of_100_gigabytes(folder):
    os.truncate(folder / "demo.ipynb", 100 << 30)  # a file with a hole takes no room


# ----------------------------------------------------------------------------------------------- beside the notebook


@folder((0, 0), reason=NOT_HANDED_IN, noted=r"demo\.ipynb is missing; its exercises get 0 points")
def folder_without_notebook(folder):
    (folder / "demo.ipynb").rename(folder / "answers.txt")


@folder((0, 0), reason=NOT_HANDED_IN, noted=r"Demo \(1\)\.ipynb is not a notebook of this assignment")
def renamed_notebook(folder):
    (folder / "demo.ipynb").rename(folder / "Demo (1).ipynb")


@folder(noted=r"\\udcff\\n\.ipynb is not a notebook of this assignment")
def additional_notebook_of_a_strange_name(folder):
    (folder / os.fsdecode(b"\xff\n.ipynb")).write_text("{}")


@folder(noted=r"a file was left out: data/pipe: it is not an ordinary file")
def pipe_and_socket_beside(folder):
    (folder / "data").mkdir()
    os.mkfifo(folder / "data/pipe")
    os.mknod(folder / "socket", stat.S_IFSOCK | 0o600)


@folder(noted=r"a file was left out: secret: it is a link to something outside of the submission")
def links_beside(folder):
    (folder / "secret").symlink_to("../../../graders/demo/test_one.py")
    (folder / "graders").symlink_to("../../../graders/demo")
    (folder / "zero").symlink_to("/dev/zero")
    (folder / "loop").symlink_to("loop")
    (folder / "dangling").symlink_to("nothing")
    (folder / "up").symlink_to("..")


@folder(noted=r"a file was left out: data\[1\]/secret: it is a link to something outside of the submission")
def secret_in_a_folder_named_like_a_pattern(folder):
    (folder / "data[1]").mkdir()
    (folder / "data[1]/secret.ipynb").symlink_to("../../../../graders/demo/test_one.py")
    (folder / "data[1]/secret").symlink_to("../../../../graders/demo/test_one.py")


@folder()
def strange_file_names(folder):
    for name in (b"new\nline", b"\xff\xfe", b"-rf", b"a b*?[c]", b"\x1b[31m", "é 文".encode()):
        (folder / os.fsdecode(name)).write_text("kept")


@folder(noted=r"a file was left out: huge\.bin: it is larger than 100 MB")
def huge_file_and_deep_folders_beside(folder):
    (folder / "/".join("a" * 300)).mkdir(parents=True)
    (folder / "huge.bin").touch()
    os.truncate(folder / "huge.bin", 1 << 40)


@folder(noted=r"a file was left out: file\d+ and the files after it: there are too many")
def many_files_beside(folder):
    for number in range(3000):
        (folder / f"file{number}").touch()


@folder(noted=r"a file was left out: numbers\.csv/x: the assignment has a file of its own in this place")
def in_the_place_of_the_assignments_files(folder):
    (folder / "numbers.csv").mkdir()
    (folder / "numbers.csv/x").touch()
    (folder / "data").touch()


@folder(noted=r"timestamp\.txt says no time")
def timestamp_of_garbage(folder):
    (folder / "timestamp.txt").write_bytes(b"\xff\0 yesterday")


@folder(noted=r"timestamp\.txt says no time")
def timestamp_is_a_pipe(folder):
    os.mkfifo(folder / "timestamp.txt")


# ------------------------------------------------------------------------------------------------------- the batch

STRANGE_STUDENTS = {
    "new\nline": r"submitted/new\\nline/demo: nbgrader cannot handle .* it was left out",
    "h[o]nest": r"submitted/h\[o\]nest/demo: nbgrader cannot handle .* it was left out",
    "h*": r"submitted/h\*/demo: nbgrader cannot handle .* it was left out",
    os.fsdecode(b"\xff"): r"submitted/\\udcff/demo: the name of its folder is not UTF-8; it was left out",
    "link": r"submitted/link/demo: it is a link to a folder elsewhere; it was left out",
}
CASES = {**NOTEBOOKS, **FOLDERS}


def good(course):
    notebook = course.released("demo")
    for name in ("one", "two"):
        cell_of(notebook, name).source = SOLUTION.format(name=name)
    return notebook


@dataclass(frozen=True)
class Batch:
    """A course after one run of ``nbgrader autograde``."""

    course: NbgraderCourse
    run: CompletedProcess

    @property
    def scores(self):
        """The points of each student for the exercises ``one`` and ``two``."""
        grades = self.course.grades("demo")
        return {name: (facts["test_one"]["score"], facts["test_two"]["score"]) for name, facts in grades.items()}


def hand_in(course):
    """One submission of each case."""
    for student, case in NOTEBOOKS.items():
        notebook = json.loads(nbformat.writes(good(course)))
        content = case.mangle(notebook)
        course.submit(student, notebook if content is None else content, "demo")
    for student, case in FOLDERS.items():
        case.mangle(course.submit(student, good(course), "demo").parent)
    for student in STRANGE_STUDENTS:
        if student != "link":
            course.submit(student, good(course), "demo")
    course.write("submitted/link/about.txt", "").with_name("demo").symlink_to("../../graders/demo")
    course.write("submitted/file/demo", "a file in the place of a folder")


@pytest.fixture(scope="module")
def batches(tmp_path_factory):
    """The honest student alone, and among the others."""
    root = tmp_path_factory.mktemp("hostile")
    courses = {name: course_with_files(root / name) for name in ("alone", "together")}
    hand_in(courses["together"])
    with ThreadPoolExecutor() as executor:
        return dict(zip(courses, executor.map(autograded, courses.values()), strict=True))


def course_with_files(root):
    """A course with a secret in a grader, files of its own, and the honest student's submission."""
    course = NbgraderCourse.small(root, {"one": GRADER.format(name="one") + f"# {CANARY}\n", "two": None})
    settings = course.root / "assignments/demo/assignment.yaml"
    settings.write_text(settings.read_text() + "files: [numbers.csv, data/more.csv]\n")
    course.write("assignments/demo/numbers.csv", "1,2")
    course.write("assignments/demo/data/more.csv", "3,4")
    course.build()
    course.submit("honest", good(course), "demo")
    return course


def autograded(course):
    return Batch(course, course.nbgrader("autograde", "demo", "--create"))


@pytest.fixture
def batch(batches):
    return batches["together"]


def test_exit_is_that_of_the_honest_batch(batches):
    """Nobody's notebook makes the run fail, or nbgrader give up a submission."""
    assert batches["alone"].run.returncode == 0, batches["alone"].run.stderr[-3000:]
    assert batches["together"].run.returncode == 0, batches["together"].run.stderr[-3000:]
    assert not re.search(r"Traceback|Removing failed|error processing", batches["together"].run.stderr)


def test_honest_student_gets_the_same(batches):
    """The honest student's grades and feedback do not depend on who else is in the batch."""
    alone, together = batches["alone"], batches["together"]
    assert together.scores["honest"] == alone.scores["honest"] == (2, 2)
    assert together.course.graded("honest", "demo") == alone.course.graded("honest", "demo")
    assert "honest" not in "".join(summary(together))


def test_every_student_is_graded(batch):
    """Each student with a usable folder has a grade, and nobody waits for a person."""
    assert set(batch.scores) == {"honest", *CASES}
    waiting = [name for name, facts in batch.course.grades("demo").items() if facts["test_one"]["needs_manual_grade"]]
    assert not waiting


@pytest.mark.parametrize("student", CASES)
def test_points(batch, student):
    """A student loses the points of what is not there, and no others."""
    assert batch.scores[student] == CASES[student].points, [line for line in summary(batch) if student in line]


@pytest.mark.parametrize("student", [student for student, case in CASES.items() if case.reason])
def test_reason(batch, student):
    """Below an exercise without points stands the reason."""
    for exercise, points in zip(("one", "two"), CASES[student].points, strict=True):
        if not points:
            assert CASES[student].reason in batch.course.verdict(student, exercise, "demo")["text/plain"]


@pytest.mark.parametrize("student", CASES)
def test_summary(batch, student):
    """The run's summary names the student with what was wrong in the folder, and nobody else."""
    lines = [line for line in summary(batch) if f"submitted/{student}/demo: " in line]
    assert bool(lines) == bool(CASES[student].noted), lines
    assert any(re.search(CASES[student].noted, line) for line in lines or [""]), lines


def summary(batch):
    """The lines about submissions that the run ends with."""
    return [line for line in batch.run.stderr.splitlines() if re.search(r"WARNING\] \S*submitted/", line)]


@pytest.mark.parametrize("student", STRANGE_STUDENTS)
def test_strange_folder_is_left_out(batch, student):
    """A folder that nbgrader cannot grade is named, and graded for nobody."""
    assert any(re.search(STRANGE_STUDENTS[student], line) for line in summary(batch)), summary(batch)
    assert student not in batch.scores


def test_nothing_hidden_is_copied(batch):
    """No link brings a file of the course to where a student reads it."""
    files = [file for file in (batch.course.root / "autograded").rglob("*") if file.is_file()]
    assert len(files) > len(CASES)
    assert not [file for file in files if CANARY.encode() in file.read_bytes()]
    assert not [file for file in files if file.is_symlink()]


def test_ordinary_files_are_copied(batch):
    """Files whose names are merely strange are there when the notebook runs, and so are the assignment's own."""
    copied = {os.fsencode(file.name) for file in (batch.course.root / "autograded/strange-file-names/demo").iterdir()}
    assert {b"new\nline", b"\xff\xfe", b"-rf", b"a b*?[c]", "é 文".encode()} <= copied
    for student in ("honest", "in-the-place-of-the-assignments-files", "links-beside"):
        graded = batch.course.root / "autograded" / student / "demo"
        assert (graded / "numbers.csv").read_text() == "1,2"
        assert (graded / "data/more.csv").read_text() == "3,4"


def test_submissions_stay_as_they_were(batch):
    """What students handed in is read and never changed."""
    handed_in = batch.course.root / "submitted"
    assert (handed_in / "notebook-is-a-pipe/demo/demo.ipynb").is_fifo()
    assert (handed_in / "links-beside/demo/secret").is_symlink()
    assert (handed_in / "timestamp-of-garbage/demo/timestamp.txt").read_bytes() == b"\xff\0 yesterday"


def test_tests_stand_behind_their_solutions(batch):
    """In the graded notebook a test cell that was moved away stands right behind its solution."""
    for student in ("all-cells-reversed", "early-tests", "solution-at-the-end", "solution-again-at-the-end"):
        ids = [grade_id(cell) for cell in batch.course.graded(student, "demo").cells]
        assert ids.index("test_one") == ids.index("one") + 1, student


def test_feedback_is_made_for_all(batch):
    """``nbgrader generate_feedback`` goes through after such a batch."""
    run = batch.course.nbgrader("generate_feedback", "demo")
    assert run.returncode == 0, run.stderr[-3000:]
    pages = {page.parent.parent.name for page in (batch.course.root / "feedback").glob("*/demo/demo.html")}
    assert pages == {"honest", *CASES}


def test_second_run_is_the_same(batch):
    """Grading once more, into what the first run left, gives the same scores and the same exit code."""
    before = batch.scores
    run = batch.course.nbgrader("autograde", "demo", "--force", "--student=*pipe*")
    assert run.returncode == 0, run.stderr[-3000:]
    assert batch.scores == before


# ------------------------------------------------------------------------------------------- files, one at a time


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (os.mkfifo, "it is not an ordinary file"),
        (lambda file: os.mknod(file, stat.S_IFSOCK | 0o600), "it is not an ordinary file"),
        (os.mkdir, "it is not an ordinary file"),
        (lambda file: file.symlink_to("."), "it is not an ordinary file"),
        (lambda file: file.symlink_to("/dev/zero"), "it is a link to something outside of the submission"),
        (lambda file: file.symlink_to("../secret"), "it is a link to something outside of the submission"),
        (lambda file: file.symlink_to("nothing"), "it is a link that leads nowhere"),
        (lambda file: file.symlink_to("file"), "it is a link that leads nowhere"),
        (lambda file: file.write_bytes(bytes(101)), "it is larger than"),
    ],
)
def test_what_is_not_read(tmp_path, make, reason):
    """Only ordinary files of a bounded size within the submission are opened."""
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "submission").mkdir()
    make(tmp_path / "submission/file")
    with pytest.raises((OSError, ValueError), match=reason):
        read_bounded(tmp_path / "submission/file", 100)


def test_links_within_a_submission_are_read(tmp_path):
    """A link to a neighbour is read, and so is a file in a folder that is reached by a link."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/content").write_text("text")
    (tmp_path / "real/link").symlink_to("content")
    (tmp_path / "folder").symlink_to("real")
    assert read_bounded(tmp_path / "folder/link", 100) == b"text"
    with pytest.raises(FileNotFoundError):
        read_bounded(tmp_path / "folder/nothing", 100)


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2026-01-02 03:04:05 UTC", datetime(2026, 1, 2, 3, 4, 5)),
        ("2026-01-02 03:04:05.000006 Asia/Shanghai\n", datetime(2026, 1, 1, 19, 4, 5, 6)),
        ("2026-01-02 03:04:05 -0700", datetime(2026, 1, 2, 3, 4, 5)),  # nbgrader takes these four digits for seconds
        ("2026-01-02T03:04:05Z", datetime(2026, 1, 2, 3, 4, 5)),
    ],
)
def test_timestamps_are_nbgraders(tmp_path, text, time):
    """A time of submission is read as nbgrader reads it."""
    (tmp_path / "timestamp.txt").write_text(text)
    assert timestamp(tmp_path) == CourseDirectory().get_existing_timestamp(str(tmp_path))
    assert abs(timestamp(tmp_path) - time).total_seconds() < 3600


@pytest.mark.parametrize(
    "text",
    [
        "",
        "yesterday",
        "2026-01-02 03:04:05 /proc/kmsg",
        "2026-01-02 03:04:05 ../../../../proc/kmsg",
        "0001-01-01 00:00:00 Asia/Shanghai",
        "99999999999999999999",
        "2" * 1001,
        "(" * 500,
    ],
)
def test_garbage_is_no_time(tmp_path, text):
    """Whatever else stands in timestamp.txt is refused with a reason, and names no file to be opened."""
    (tmp_path / "timestamp.txt").write_text(text)
    with pytest.raises((OSError, ValueError)):
        timestamp(tmp_path)


def test_of_outputs_the_well_formed_ones_are_kept():
    """One that is none, in whichever cell, takes no other one along; all of them together are looked at first."""
    good = {"output_type": "stream", "name": "stdout", "text": "x\n"}
    bad = [{**good, "name": 1}, {"output_type": "none"}, {}, "text", {**good, "more": 1}]
    cells = [
        {"cell_type": "code", "source": "", "metadata": {}, "outputs": outputs}
        for outputs in ([good, *bad, good], [], [good, good])
    ]
    notebook = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})
    assert [cell.outputs for cell in readable(notebook).cells] == [[good, good], [], [good, good]]
