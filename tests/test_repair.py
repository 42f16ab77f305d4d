"""Reading and repairing notebooks that are anything but well-formed."""

import copy
import json
import random

import nbformat
import pytest
from nbgrader.preprocessors import CheckCellMetadata

from tensorgrade.bridge.reading import MAX_CELLS, MAX_DEPTH, MAX_TEXT, TooLarge, readable
from tensorgrade.bridge.repair import RepairNotebook
from tests.nbgrader_course import NbgraderCourse, cell_of, grade_id

# nbformat warns about what is wrong with a notebook, which is what these tests are made of
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course whose gradebook knows the assignment demo."""
    course = NbgraderCourse.small(tmp_path_factory.mktemp("repair") / "course", {"one": None, "two": None})
    course.build()
    return course


@pytest.fixture
def repaired(course):
    """Read and repair a text as nbgrader's first steps would; returns the notebook."""

    def repair(text, **told):
        place = {"db_url": course.database, "assignment": "demo", "notebook": "demo", "student": "anna"}
        notebook, _ = RepairNotebook().preprocess(readable(text), {"nbgrader": place, **told})
        return notebook

    return repair


def released(course):
    return json.loads((course.root / "release/demo/demo.ipynb").read_text())


def assert_gradable(notebook):
    """What nbgrader asks of a notebook between its steps: valid, with sound nbgrader metadata, and writable."""
    nbformat.validate(notebook)
    CheckCellMetadata().preprocess(notebook, {})
    nbformat.writes(notebook).encode()


def graded_cells(notebook):
    return sorted(grade_id(cell) for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade"))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "3",
        "null",
        "[]",
        "{}",
        '"text"',
        "[" * 100_000,
        '{"nbformat": "4"}',
        '{"nbformat": null}',
        "\0",
        "NaN",
        '{"nbformat": 4}',
        '{"nbformat": 4, "cells": null}',
        '{"nbformat": 4, "cells": {}}',
        '{"nbformat": 4, "cells": "cells"}',
        '{"nbformat": 3, "worksheets": 3}',
    ],
)
def test_no_notebook_is_a_value_error(text):
    """What is not a notebook is refused with a reason."""
    with pytest.raises(ValueError, match=r"^it is |^nbformat cannot"):
        readable(text)


@pytest.mark.parametrize(
    "cells",
    [[None], [3], [[]], ["cell"], [{}], [{"cell_type": 3}], [{"cell_type": "evil"}]],
)
def test_cells_that_are_none_are_dropped(cells):
    """Of a notebook with malformed cells the well-formed rest is read."""
    assert readable(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells})).cells == []


@pytest.mark.parametrize(
    "cell",
    [
        {"cell_type": "code"},
        {"cell_type": "code", "source": ["a", 3, None], "outputs": 7, "execution_count": "x", "metadata": []},
        {"cell_type": "code", "source": None, "id": 7, "metadata": {"nbgrader": 3}},
        {"cell_type": "markdown", "source": {}, "attachments": 3, "metadata": {"nbgrader": {"grade_id": ["one"]}}},
        {"cell_type": "raw", "source": "x", "metadata": {"nbgrader": {"grade_id": "test_one", "points": "many"}}},
    ],
)
def test_malformed_cells_are_repaired(repaired, cell):
    """Whatever a cell is made of, the repaired notebook is valid and has every graded cell once."""
    text = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]})
    notebook = repaired(text)
    assert_gradable(notebook)
    assert graded_cells(notebook) == ["test_one", "test_two"]


@pytest.mark.parametrize(
    "metadata",
    [
        3,
        {"kernelspec": 5},
        {"kernelspec": {"get": 1}},
        {"language_info": 3},
        {"language_info": {"name": 1e300}},
        {"language_info": {"name": "python", "codemirror_mode": 3, "pygments_lexer": "no/such"}},
        {"authors": 7, "title": ["x"]},
        {"orig_nbformat": "x"},
        {"widgets": {"application/vnd.jupyter.widget-state+json": [1]}},
        {"\ud800": "\ud800"},
    ],
)
def test_malformed_metadata_is_repaired(course, repaired, metadata):
    """A student's notebook metadata can neither fail grading nor reach the feedback page."""
    notebook = repaired(json.dumps({**released(course), "metadata": metadata, "more": [1]}))
    assert_gradable(notebook)
    assert "widgets" not in notebook.metadata


def test_malformed_version_is_repaired(course):
    """A forged minor version does not reach nbconvert, which compares it with numbers before any repair."""
    assert readable(json.dumps({**released(course), "nbformat_minor": "x"})).nbformat_minor == 5


@pytest.mark.parametrize("number", ["9" * 100_000, "-" + "9" * 20, "1e999", "NaN", "-Infinity"])
def test_numbers_that_not_every_reader_knows_become_null(course, number):
    """A number that Python, or a browser, would refuse to read does not make the notebook unreadable."""
    notebook = released(course)
    cell_in(notebook, "one")["execution_count"] = "NUMBER"
    notebook["metadata"]["tensorgrade"] = {"language": ["NUMBER"]}
    read = readable(json.dumps(notebook).replace('"NUMBER"', number))
    assert cell_of(read, "one").execution_count is None
    assert read.metadata.tensorgrade == {"language": [None]}


def test_nesting_ends_somewhere(course, repaired):
    """What is nested deeper than the tools around nbgrader can follow is cut off."""
    notebook = released(course)
    cell_in(notebook, "one")["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": {"a/b": "DEEP"}}]
    cell_in(notebook, "two")["metadata"]["nbgrader"] = "DEEP"
    text = json.dumps(notebook).replace('"DEEP"', "[" * 200 + "]" * 200)
    assert "[" * MAX_DEPTH not in json.dumps(readable(text))
    assert_gradable(repaired(text))


@pytest.mark.parametrize(
    ("cells", "reason"),
    [
        ([{"cell_type": "raw"}] * (MAX_CELLS + 1), "more than 2000 cells"),
        ([{"cell_type": "code", "source": "x" * (MAX_TEXT // 2 + 1)}] * 2, "more than 1,048,576 characters"),
        (
            [{"cell_type": "markdown", "source": ["x" * 1024] * (MAX_TEXT // 1024 + 1)}],
            "more than 1,048,576 characters",
        ),
    ],
)
def test_too_large_notebook_is_refused(cells, reason):
    """A notebook beyond the limits is refused with the limit it exceeds."""
    with pytest.raises(TooLarge, match=reason):
        readable(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}))


def test_tiny_parts_in_great_number_are_refused():
    """A file whose size is moderate, but which would fill the memory, is refused before it is parsed."""
    with pytest.raises(TooLarge, match="more than 1,000,000 lists, objects and values"):
        readable(b'{"nbformat": 4, "cells": [' + b"[]," * 500_000 + b"[]]}")


def test_images_do_not_make_a_notebook_too_large():
    """Images that some tools write into a text do not count as text."""
    image = f"![](data:image/png;base64,{'iVBORw0KGgo=' * 200_000})"
    cell = {"cell_type": "markdown", "source": image}
    read = readable(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [cell]}))
    assert read.cells[0].source == image


def test_notebook_in_another_encoding_is_read(course):
    """A notebook that an editor saved with a byte order mark, or as UTF-16, is read."""
    text = json.dumps(released(course), ensure_ascii=False)
    assert readable(text.encode("utf-8-sig")) == readable(text.encode("utf-16")) == readable(text)


def test_source_that_no_file_can_hold_is_repaired(course, repaired):
    """A lone surrogate, which JSON can hold and UTF-8 cannot, does not fail the submission."""
    notebook = released(course)
    cell_in(notebook, "one")["source"] = "print('\ud800')"
    assert_gradable(repaired(json.dumps(notebook)))


def test_untouched_notebook_is_left_as_it_is(course, repaired):
    """Nothing of a released notebook's cells changes."""
    notebook = released(course)
    fixed = repaired(json.dumps(notebook))
    before = [("".join(cell["source"]), cell["id"], cell["metadata"]["nbgrader"]) for cell in notebook["cells"]]
    assert [(cell.source, cell.id, dict(cell.metadata.nbgrader)) for cell in fixed.cells] == before
    assert fixed.metadata.tensorgrade == {"language": "en", "lost": []}


def test_pasted_images_are_kept(course, repaired):
    """A markdown cell keeps its well-formed attachments: without them nbconvert cannot write the feedback page."""
    image = {"image/png": "iVBORw0KGgo="}
    pasted = {"cell_type": "markdown", "source": "![](attachment:a.png)", "metadata": {}, "id": "pasted"}
    notebook = released(course)
    notebook["cells"].append({**pasted, "attachments": {"a.png": image, "b.png": 3}})
    fixed = repaired(json.dumps(notebook))
    assert_gradable(fixed)
    assert fixed.cells[-1].attachments == {"a.png": image}


def test_last_of_several_copies_counts(course, repaired):
    """Of a duplicated cell the last one keeps its id; the others become ordinary cells."""
    notebook = released(course)
    first = cell_in(notebook, "one")
    second = copy.deepcopy(first)
    second["source"] = "the last one"
    notebook["cells"].append(second)
    fixed = repaired(json.dumps(notebook))
    assert cell_of(fixed, "one").source == "the last one"
    assert len({cell.id for cell in fixed.cells}) == len(fixed.cells)


def test_lost_graded_cells_come_back(course, repaired):
    """A deleted test cell is put back and noted; a deleted solution cell is not."""
    notebook = released(course)
    notebook["cells"].remove(cell_in(notebook, "test_one"))
    notebook["cells"].remove(cell_in(notebook, "two"))
    fixed = repaired(json.dumps(notebook))
    assert fixed.metadata.tensorgrade["lost"] == ["test_one"]
    assert "two" not in [grade_id(cell) for cell in fixed.cells]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("notebook_setup test_one one two test_two", "notebook_setup one test_one two test_two"),
        ("test_two test_one notebook_setup one two", "notebook_setup one test_one two test_two"),
        ("test_two two test_one one notebook_setup", "notebook_setup two test_two one test_one"),
        ("notebook_setup one two test_two test_one", "notebook_setup one two test_two test_one"),
        ("one test_one two about_one test_two", "one test_one two about_one test_two"),
        ("test_one one about_two one two test_two", "about_two one test_one two test_two"),
        ("test_one two test_two", "test_one two test_two"),
    ],
)
def test_cells_out_of_order(course, repaired, order, expected):
    """Tests come behind their solutions and the setup before all exercises; the rest stays as the student has it."""
    notebook = released(course)
    notebook["cells"] = [copy.deepcopy(cell_in(notebook, name)) for name in order.split()]
    fixed = repaired(json.dumps(notebook))
    assert " ".join(filter(None, map(grade_id, fixed.cells))) == expected


def test_unreadable_notebook_becomes_the_registered_cells(repaired):
    """A notebook that could not be read is replaced by all registered cells, with the reason noted."""
    empty = json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": []})
    fixed = repaired(empty, tensorgrade={"unreadable": "missing"})
    assert fixed.metadata.tensorgrade["unreadable"] == "missing"
    assert [grade_id(cell) for cell in fixed.cells][:2] == ["notebook_about", "notebook_setup"]


@pytest.mark.parametrize(
    "forged", [3, [], {"language": ["en"]}, {"language": "xx", "unreadable": "x", "lost": ["one"]}]
)
def test_students_notes_do_not_count(course, repaired, forged):
    """Of tensorgrade's notes in a submission only a known language is taken over."""
    notebook = released(course)
    notebook["metadata"]["tensorgrade"] = forged
    assert repaired(json.dumps(notebook)).metadata.tensorgrade == {"language": "en", "lost": []}


def test_fuzzed_notebooks(course, repaired):
    """However a notebook's JSON is mutated, it is either refused with a reason or repaired into a valid one."""
    chance = random.Random(7)
    for _ in range(150):
        notebook = released(course)
        for _ in range(chance.randint(1, 12)):
            mutate(notebook, chance)
        try:
            fixed = repaired(json.dumps(notebook))
        except ValueError as error:
            assert str(error).startswith(("it is ", "nbformat cannot read it"))  # noqa: PT017 - most are readable
            continue
        assert_gradable(fixed)
        assert graded_cells(fixed) == ["test_one", "test_two"]


JUNK = (
    None,
    True,
    -1,
    1e300,
    "",
    "test_one",
    "code",
    "\ud800",
    [],
    {},
    [[]],
    {"nbgrader": {}},
    ["one", 2],
    4,
    5,
    "é" * 99,
)


def mutate(value, chance):
    """Change, remove or add one thing somewhere below `value`."""
    while isinstance(value, (dict, list)) and value:
        key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
        if not isinstance(value[key], (dict, list)) or chance.random() < 0.2:
            break
        value = value[key]
    else:
        return
    kind = chance.random()
    if kind < 0.2:
        del value[key]
    elif kind < 0.4 and isinstance(value, list):
        value.insert(chance.randrange(len(value) + 1), copy.deepcopy(chance.choice(value)))
    else:
        value[key] = copy.deepcopy(chance.choice(JUNK))


def cell_in(notebook, name):
    return next(cell for cell in notebook["cells"] if cell["metadata"]["nbgrader"]["grade_id"] == name)
