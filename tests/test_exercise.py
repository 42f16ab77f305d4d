"""Specification of the YAML of exercises and assignments, by real files in a temporary folder."""

import json
import pickle
import re
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import yaml

from tensorgrade import yamlfile
from tensorgrade.errors import CourseError, ExerciseFileError
from tensorgrade.exercise import (
    LANGUAGES,
    Assignment,
    Level,
    assignment_schema,
    exercise_schema,
    json_schema,
    read_exercise,
    read_settings,
)
from tensorgrade.limits import DEFAULTS, Limits

COURSE = Path(__file__).parent.parent
SCHEMAS = COURSE / "docs" / "schema"

EXERCISE = """\
schema: 1
title: {en: Identity matrix, zh: 单位矩阵}
prompt:
  en: Write `identity(n)`.
  zh: 编写 `identity(n)`。
teaches: [eye, dtype]
needs: [create/zeros-ones]
difficulty: 1
starter: |
  def identity(n):
      ...
solution: |
  def identity(n):
      return torch.eye(n)
examples: |
  assert identity(1) == 1
clauses:
  values: {points: 1, text: {en: ones on the diagonal, zh: 主对角线上为 1}}
  dtype: {points: 0.5, text: {en: the dtype, zh: 类型}}
hints:
  - {en: Look at torch.eye, zh: 参见 torch.eye}
accept:
  compare: |
    def identity(n):
        return (torch.arange(n)[:, None] == torch.arange(n)).float()
reject:
  all_ones:
    because: [values]
    code: |
      def identity(n):
          return torch.ones(n, n)
limits: {seconds: 5, memory: 512 MiB}
accelerators: 2
"""

MINIMAL = """\
schema: 1
title: {en: Sum, zh: 求和}
prompt: {en: Add., zh: 相加。}
difficulty: 5
starter: ...
solution: pass
examples: assert True
clauses: {values: {points: 2, text: {en: the sum, zh: 和}}}
"""

ASSIGNMENT = """\
schema: 1
title: {en: Creating tensors, zh: 创建张量}
introduction: {en: Welcome., zh: 欢迎。}
exercises: [zeros-ones, eye]
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The folder of the assignment ``create``, given relative to the working directory as an author would."""
    monkeypatch.chdir(tmp_path)
    folder = Path("assignments", "create")
    folder.mkdir(parents=True)
    return folder


@pytest.fixture
def exercise(folder):
    def exercise(text, name="eye"):
        file = folder / f"{name}.yaml"
        file.write_text(text, encoding="utf-8")
        return read_exercise(file)

    return exercise


@pytest.fixture
def settings(folder):
    def settings(text):
        file = folder / "assignment.yaml"
        file.write_text(text, encoding="utf-8")
        return read_settings(file)

    return settings


@pytest.fixture
def problems(exercise):
    def problems(text):
        with pytest.raises(ExerciseFileError) as caught:
            exercise(text)
        return str(caught.value).splitlines()

    return problems


def changed(old, new, text=EXERCISE):
    assert text.count(old) == 1, f"{old!r} must stand once in the text"
    return text.replace(old, new)


# ------------------------------------------------------------------------------------------------ values


def test_an_exercise_is_what_its_file_says(exercise):
    """Every key of a complete file becomes an attribute, in the order and with the types of the design."""
    eye = exercise(EXERCISE)
    assert (eye.id, eye.name, eye.assignment) == ("create/eye", "eye", "create")
    assert eye.file == Path("assignments/create/eye.yaml")
    assert eye.schema_ == 1
    assert eye.teaches == ("eye", "dtype")
    assert eye.needs == ("create/zeros-ones",)
    assert eye.solution == "def identity(n):\n    return torch.eye(n)\n"
    assert list(eye.clauses) == ["values", "dtype"]
    assert eye.points == 1.5
    assert eye.hints[0].get("en") == "Look at torch.eye"
    assert eye.accept["compare"].startswith("def identity(n):\n    return (")
    assert eye.reject["all_ones"].because == ("values",)
    assert eye.limits == Limits(seconds=5, memory=512 * 2**20)
    assert eye.accelerators == 2


def test_a_clause_may_name_a_hint_and_a_level(exercise):
    """`hint` counts the exercise's hints from 1; `disclosure` is one of four levels."""
    clauses = exercise(EXERCISE.replace("points: 1,", "points: 1, hint: 1, disclosure: case,")).clauses
    assert (clauses["values"].hint, clauses["values"].disclosure) == (1, Level.CASE)
    assert (clauses["dtype"].hint, clauses["dtype"].disclosure) == (None, Level.CLAUSE)


def test_optional_keys_may_be_left_out(exercise):
    """A file of the required keys alone is an exercise; what is left out is empty."""
    minimal = exercise(MINIMAL)
    assert (minimal.teaches, minimal.needs, minimal.hints) == ((), (), ())
    assert (dict(minimal.accept), dict(minimal.reject)) == ({}, {})
    assert (minimal.limits, minimal.accelerators) == (Limits(), 0)


def test_a_text_exists_in_every_language(exercise):
    """``Text.get`` gives the text of a language, and the course has no other languages."""
    title = exercise(EXERCISE).title
    assert [title.get(lang) for lang in LANGUAGES] == ["Identity matrix", "单位矩阵"]
    with pytest.raises(KeyError):
        title.get("fr")


def test_an_exercise_is_a_value(exercise):
    """Exercises of one file are equal, hash alike and survive pickling; neither they nor their mappings change."""
    eye = exercise(EXERCISE)
    assert eye == exercise(EXERCISE)
    assert hash(eye) == hash(exercise(EXERCISE))
    assert pickle.loads(pickle.dumps(eye)) == eye
    with pytest.raises(ValueError, match="frozen"):
        eye.difficulty = 2
    with pytest.raises(TypeError):
        eye.clauses["values"] = None


def test_an_exercise_can_be_dumped(exercise):
    """An exercise gives JSON without a warning, so that a result can be stored under what it depends on."""
    assert json.loads(exercise(EXERCISE).model_dump_json())["clauses"]["values"]["points"] == 1


@pytest.mark.parametrize(
    ("written", "size"),
    [
        ("1 GiB", 2**30),
        ("1.5 GiB", 3 * 2**29),
        ("512MiB", 2**29),
        ("3 KiB", 3072),
        ("7 B", 7),
        ("1048576", 2**20),
        ("null", None),
    ],
)
def test_memory_has_a_unit_or_is_bytes(exercise, written, size):
    """Memory is written with a binary unit or as a number of bytes, and is kept in bytes."""
    assert exercise(changed("512 MiB", written)).limits.memory == size


def test_limits_fill_their_gaps_from_defaults():
    """``over`` keeps what was said and takes the rest from the defaults."""
    assert Limits(seconds=2).over(Limits(seconds=3, memory=5)) == Limits(seconds=2, memory=5)
    assert Limits(memory=5).allowance() == replace(DEFAULTS, memory=5)


def test_settings_have_defaults(settings):
    """An ``assignment.yaml`` of the required keys alone imports torch and hands out no files."""
    read = settings(ASSIGNMENT)
    assert read.exercises == ("zeros-ones", "eye")
    assert read.setup == "import torch\nimport torch.nn.functional as F\nfrom torch import nn"
    assert (read.files, read.limits, read.accelerators) == ((), Limits(), 0)


def test_settings_may_hand_out_files(settings):
    """Side files are named by their paths below the assignment's folder."""
    assert settings(ASSIGNMENT + "files: [data/points.csv, a.png]\n").files == ("data/points.csv", "a.png")


def test_an_assignment_finds_an_exercise_by_name(exercise, settings):
    """``Assignment.exercise`` gives the exercise, and names the closest one for a name that is not there."""
    eye = exercise(EXERCISE)
    assignment = Assignment("create", settings(ASSIGNMENT), (eye,))
    assert assignment.exercise("eye") is eye
    with pytest.raises(CourseError, match='found "eyes", no exercise of create; write `eye` instead'):
        assignment.exercise("eyes")


# -------------------------------------------------------------------------------------------------- code


def test_cells_may_hold_magics_and_await(exercise, settings):
    """Examples and set-up are notebook cells: lines of IPython magics and top-level await are right there."""
    cell = "examples: |\n  %matplotlib inline\n  if True:\n      !ls\n  await identity(1)\n"
    assert exercise(changed("examples: |\n  assert identity(1) == 1\n", cell))
    assert settings(ASSIGNMENT + "setup: |\n  %load_ext autoreload\n  import torch\n")


def test_percent_may_begin_a_line_of_python(exercise):
    """A line of an expression that begins with % is Python, and not taken for a magic."""
    assert exercise(changed("  assert identity(1) == 1\n", "  x = (5\n  % 2)\n"))


def test_style_of_the_code_is_no_error(exercise):
    """Code that Python only warns about is accepted, also where warnings are errors."""
    assert exercise(changed("return torch.eye(n)", 'return "\\d" is 1'))


@pytest.mark.parametrize(
    ("old", "new", "line", "key"),
    [
        ("    return torch.eye(n)", "    return torch.eye(n) +", 14, "solution"),
        ("    return torch.eye(n)", "   \n\n    return (", 16, "solution"),
        ("  assert identity(1) == 1", "  x = 1\n  return x", 17, "examples"),
        ("  def identity(n):\n      ...", "  %time\n  def identity(n): ...", 10, "starter"),
        ("            return torch.ones(n, n)"[2:], "          retrun torch.ones(n, n)", 31, "reject.all_ones.code"),
        ("== torch.arange(n)).float()", "== torch.arange(n).float()", 25, "accept.compare"),
    ],
)
def test_a_syntax_error_is_reported_where_the_code_stands(problems, old, new, line, key):
    """The line of a syntax error is the line of the YAML file that holds the offending line of code."""
    (problem,) = problems(changed(old, new))
    assert problem.startswith(f"assignments/create/eye.yaml:{line}: {key}: found code that is not Python (")
    assert "mend the code" in problem


def test_code_on_the_line_of_its_key_is_reported_there(problems):
    """A syntax error in code that is no block is reported on the line of the key."""
    (problem,) = problems(changed("solution: pass", 'solution: "x = 1\\ny = ("', MINIMAL))
    assert problem.startswith("assignments/create/eye.yaml:6: solution: found code that is not Python")


# ---------------------------------------------------------------------------------------------- mistakes

MISTAKES = [
    # old, new, line, key, what is said
    ("schema: 1\n", "\n", 1, "schema", "found nothing, expected the number 1; add `schema: 1`"),
    ("schema: 1", "schema: 0", 1, "schema", "found 0, older than the oldest schema there is, 1; write `schema: 1`"),
    ("schema: 1", "schema: 2", 1, "schema", "newer than schema 1, the newest this tensorgrade reads; upgrade with"),
    ("schema: 1", 'schema: "1"', 1, "schema", 'found "1", expected the number 1; write `schema: 1`'),
    ("title: {en: Identity matrix, zh: 单位矩阵}", "title: Identity", 2, "title", "write for example `title: {en: "),
    (", zh: 单位矩阵}", "}", 2, "title.zh", "found nothing, expected Chinese text; add for example `zh: 单位矩阵`"),
    ("zh: 单位矩阵", 'zh: " "', 2, "title.zh", 'found " ", expected Chinese text; write for example `zh: 单位矩阵`'),
    ("  zh: 编写 `identity(n)`。", "  zh: 7", 5, "prompt.zh", "found 7, expected Chinese text"),
    ("  zh: 编写 `identity(n)`。", "  zh:", 5, "prompt.zh", "found nothing, expected Chinese text"),
    ("  zh: 编写 `identity(n)`。", "  cn: x", 5, "prompt.cn", 'unknown key "cn"; write one of: en, zh, or remove it'),
    ("[eye, dtype]", "eye", 6, "teaches", 'found "eye", expected a list of concepts; write for example `teaches: ['),
    ("[eye, dtype]", "[eye, yes]", 6, "teaches[1]", "found true, expected a concept"),
    ("[eye, dtype]", "[eye, eye]", 6, "teaches[1]", 'found "eye" again; name it once'),
    ("[create/zeros-ones]", "[zeros]", 7, "needs[0]", "expected <assignment>/<exercise>; write for example `create/"),
    ("difficulty: 1", "difficulty: 6", 8, "difficulty", "found 6, expected a whole number from 1 to 5"),
    ("difficulty: 1", "difficulty: true", 8, "difficulty", "found true, expected a whole number from 1 to 5"),
    ("difficulty: 1", 'difficulty: "1"', 8, "difficulty", 'found "1", expected a whole number'),
    ("difficulty: 1", "difficulty: 1.0", 8, "difficulty", "found 1.0, expected a whole number"),
    ("difficulty: 1", "dificulty: 1", 8, "dificulty", 'found the unknown key "dificulty"; write `difficulty` instead'),
    ("difficulty: 1", "name: eye", 8, "name", 'found the unknown key "name"'),
    ("points: 1,", "points: two,", 18, "clauses.values.points", 'found "two", expected a number greater than 0'),
    ("points: 1,", "points: 0,", 18, "clauses.values.points", "found 0, expected a number greater than 0; write for"),
    ("points: 1,", "points: -1,", 18, "clauses.values.points", "write for example `points: 1`"),
    ("points: 1,", "points: true,", 18, "clauses.values.points", "found true, expected a number"),
    ("points: 1,", "points: .inf,", 18, "clauses.values.points", "found .inf, expected a number"),
    ("points: 1,", "points: .nan,", 18, "clauses.values.points", "found .nan, expected a number"),
    ("points: 1, ", "", 18, "clauses.values.points", "found nothing, expected a number greater than 0; add for"),
    ("points: 1,", "pionts: 1,", 18, "clauses.values.pionts", "write `points` instead, or remove it"),
    (
        "  dtype: {",
        "  dtype__x: {",
        19,
        "clauses.dtype__x",
        'found the name "dtype__x", expected a-z, 0-9 and single _',
    ),
    ("points: 1,", "points: 1, hint: 2,", 18, "clauses.values.hint", "found the hint 2, but the exercise has 1; write"),
    ("points: 1,", "points: 1, hint: 0,", 18, "clauses.values.hint", "found 0, expected the number of a hint"),
    ("points: 1,", "points: 1, hint: yes,", 18, "clauses.values.hint", "found true, expected the number of a hint"),
    ("points: 1,", "points: 1, disclosure: all,", 18, "clauses.values.disclosure", 'found "all", expected how much'),
    ("difficulty: 1", "difficulty: 1\ndisclosure: 2", 9, "disclosure", "expected how much students are told"),
    ("  dtype: {", "  d-type: {", 19, "clauses.d-type", 'found the name "d-type"'),
    ("  dtype: {", "  yes: {", 19, "clauses", 'found the key yes, which is not text; put it in quotes: `"yes":`'),
    ("  dtype: {", "  values: {", 19, "clauses.values", "found twice, first on line 18; keep one of the two"),
    ("  - {en: Look at torch.eye, zh: 参见 torch.eye}", "  - Look", 21, "hints[0]", "write for example `{en: "),
    ("[values]", "[valeus]", 28, "reject.all_ones.because[0]", "no clause of this exercise; write `values` instead"),
    ("[values]", "[]", 28, "reject.all_ones.because", "found an empty list, expected a list of clauses, one or more"),
    ("[values]", "values", 28, "reject.all_ones.because", 'found "values", expected a list of clauses'),
    ("    because: [values]\n", "", 27, "reject.all_ones.because", "found nothing"),
    ("  all_ones:", "  All:", 27, "reject.All", 'found the name "All", expected a-z, 0-9, _ and -'),
    ("seconds: 5", "seconds: 0", 32, "limits.seconds", "found 0, expected a number of seconds greater than 0"),
    ("seconds: 5", "second: 5", 32, "limits.second", "write `seconds` instead"),
    ("512 MiB", "1 GB", 32, "limits.memory", 'found "1 GB", expected an amount with its unit (B, KiB, MiB'),
    ("512 MiB", "0", 32, "limits.memory", "found 0, expected an amount"),
    ("512 MiB", "1.5", 32, "limits.memory", "write for example `memory: 1 GiB`"),
    ("accelerators: 2", "accelerators: -1", 33, "accelerators", "found -1, expected a whole number"),
    ("accelerators: 2", "accelerators: 2024-13-45", 33, "accelerators", "YAML cannot read; put it in quotes"),
    ("accelerators: 2", "accelerators: !!python/name:os.system 2", 33, "accelerators", "YAML cannot read"),
    ("accelerators: 2", "accelerators: 0x" + "f" * 9000, 33, "accelerators", "YAML cannot read"),
    ("512 MiB", "9" * 400 + " GiB", 32, "limits.memory", "expected an amount with its unit"),
    ("hints:\n", "hints: !mine\n", 20, "hints", "found the tag !mine; remove the tag"),
]


@pytest.mark.parametrize(("old", "new", "line", "key", "said"), MISTAKES, ids=lambda value: str(value)[:30])
def test_a_mistake_names_line_key_and_remedy(problems, old, new, line, key, said):
    """Every mistake is reported with the file as given, its line, its key, what was found and what to write."""
    reported = problems(changed(old, new))
    place = f"assignments/create/eye.yaml:{line}: {key}: "
    assert any(problem.startswith(place) and said in problem for problem in reported), reported


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema: 1", "schema: 2"),
        (", zh: 单位矩阵}", "}"),
        ("[eye, dtype]", "[eye, yes]"),
        ("points: 1,", "points: .inf,"),
        ("  dtype: {", "  d-type: {"),
        ("  dtype: {", "  values: {"),
        ("[values]", "[]"),
        ("[values]", "[speed]"),
        ("  all_ones:", "  All:"),
        ("seconds: 5", "second: 5"),
    ],
)
def test_one_mistake_is_one_problem(problems, old, new):
    """A mistake draws no further complaints after it."""
    assert len(problems(changed(old, new))) == 1


def test_the_whole_message(problems):
    """A problem reads: file:line: key: found, expected; write for example."""
    assert problems(changed("points: 1,", "points: two,")) == [
        'assignments/create/eye.yaml:18: clauses.values.points: found "two", expected a number greater than 0; '
        "write for example `points: 1`."
    ]


def test_all_mistakes_of_a_file_are_reported_at_once(problems):
    """One error holds the mistakes of the YAML, of the keys, of the values and of the code, by line."""
    text = EXERCISE
    for old, new in [
        ("schema: 1", "schema: 3"),
        ("zh: 单位矩阵", "zh: ''"),
        ("torch.eye(n)\n", "torch.eye(n\n"),
        ("  dtype: {", "  values: {"),
        ("[values]", "[speed]"),
        ("accelerators: 2", "gpus: 2"),
    ]:
        text = text.replace(old, new, 1)
    lines = [int(problem.split(":")[1]) for problem in problems(text)]
    assert lines == [1, 2, 14, 19, 28, 33]


def test_every_required_key_is_asked_for(problems):
    """A file with nothing but its schema is told each key it lacks, with an example."""
    reported = problems("schema: 1\n")
    required = ["title", "prompt", "difficulty", "starter", "solution", "examples", "clauses"]
    assert [problem.split(": ")[1] for problem in reported] == required
    assert all("; add " in problem and "`" in problem for problem in reported)


def test_a_long_value_is_shortened(problems):
    """A message quotes the beginning of a long value only, and stays on one line."""
    (problem,) = problems(changed("difficulty: 1", f'difficulty: "{"x" * 500}\\n"'))
    assert len(problem) < 200


def test_the_file_name_is_the_name_of_the_exercise(exercise):
    """A file name that cannot be an exercise's name is a mistake like others."""
    with pytest.raises(ExerciseFileError, match=r'Eye_1.yaml:1: found the file name "Eye_1.yaml".*rename the file'):
        exercise(EXERCISE, name="Eye_1")


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "said"),
    [
        ("schema: 1", "schema: 9", 1, "schema", "newer than schema 1"),
        ("[zeros-ones, eye]", "[]", 4, "exercises", "found an empty list, expected a list of exercises in order"),
        ("[zeros-ones, eye]", "[eye, eye]", 4, "exercises[1]", 'found "eye" again; name it once'),
        ("[zeros-ones, eye]", "[eye.yaml]", 4, "exercises[0]", 'found "eye.yaml", expected an exercise: a-z'),
        ("[zeros-ones, eye]", "[assignment]", 4, "exercises[0]", "give the exercise another name"),
        ("[zeros-ones, eye]", "[eye]\nfiles: [../eye.csv]", 5, "files[0]", "no plain path below the assignment's"),
        ("[zeros-ones, eye]", "[eye]\nfiles: [/etc/passwd]", 5, "files[0]", "write for example `data/points.csv`"),
        ("[zeros-ones, eye]", "[eye]\nfiles: [./eye.yaml]", 5, "files[0]", "no plain path"),
        ("[zeros-ones, eye]", "[eye]\nfiles: [eye.yaml]", 5, "files[0]", "but exercises hold the solutions"),
        ("[zeros-ones, eye]", "[eye]\nsetup: |\n  import torch\n  from", 7, "setup", "found code that is not Python"),
        ("[zeros-ones, eye]", "[eye]\ndifficulty: 1", 5, "difficulty", "found the unknown key"),
    ],
)
def test_a_mistake_in_the_settings_names_line_key_and_remedy(settings, old, new, line, key, said):
    """The mistakes of an ``assignment.yaml`` are reported like those of an exercise."""
    with pytest.raises(ExerciseFileError) as caught:
        settings(changed(old, new, ASSIGNMENT))
    assert str(caught.value).startswith(f"assignments/create/assignment.yaml:{line}: {key}: ")
    assert said in str(caught.value)


# --------------------------------------------------------------------------------------- not YAML at all


@pytest.mark.parametrize(
    ("content", "line", "said"),
    [
        (b"", 1, "found an empty file, expected keys with values; begin the file with `schema: 1`"),
        (b"# nothing\n", 1, "found an empty file"),
        (b"- a\n- b\n", 1, "found a list, expected keys with values"),
        (b"eye\n", 1, "found plain text, expected keys with values"),
        (b"schema: 1\ntitle:\n\ten: x\n", 3, "indent with spaces, not with tabs"),
        (b"schema: 1\ntitle:\n  en: x\n zh: y\n", 4, "indent the keys of one mapping equally"),
        (b"schema: 1\n  title: x\n", 2, "indent the keys of one mapping equally"),
        (b"schema: 1\nsolution: return {a: 1}\nb: c: d\n", 2, "code below `|`"),
        (b"schema: 1\ntitle: {en: x\n", 2, "close the bracket"),
        (b"schema: 1\ntitle: 'x\n", 2, "close the quotes"),
        (b"schema: 1\nstarter: @x\n", 2, "put the text in quotes"),
        (b"schema: 1\n---\nschema: 1\n", 2, "one file holds one mapping"),
        (b"schema: &one 1\ndifficulty: *one\n", 2, "write the value itself"),
        (b"schema: 1\ntitle: a\x01b\n", 2, "the character U+0001 is not allowed in YAML; remove the character"),
        (b"schema: 1\ntitle: \xff\n", 2, "found the byte 0xff, which is not UTF-8; save the file with the encoding"),
        (b"schema: " + b"[" * 5000, 1, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused_with_its_line(folder, content, line, said):
    """A file that is not UTF-8, not YAML or not a mapping is reported with the line and what to do."""
    (folder / "eye.yaml").write_bytes(content)
    with pytest.raises(ExerciseFileError) as caught:
        read_exercise(folder / "eye.yaml")
    (problem,) = str(caught.value).splitlines()
    assert problem.startswith(f"assignments/create/eye.yaml:{line}: ")
    assert said in problem


def test_a_file_that_cannot_be_read_is_refused(folder):
    """A file that is not there, and a folder in its place, are reported like mistakes in a file."""
    (folder / "eye.yaml").mkdir()
    with pytest.raises(ExerciseFileError, match=r"eye.yaml:1: cannot be read .*; make it a readable file"):
        read_exercise(folder / "eye.yaml")
    with pytest.raises(ExerciseFileError, match=r"ones.yaml:1: there is no such file; write it"):
        read_exercise(folder / "ones.yaml")


def test_a_file_that_was_mended_is_read_anew(exercise, problems):
    """What is kept of a file that was read before depends on its content alone."""
    assert problems(changed("difficulty: 1", "difficulty: 7"))
    assert exercise(changed("difficulty: 1", "difficulty: 5")).difficulty == 5


def test_windows_line_ends_and_byte_order_mark_are_fine(folder):
    """A file saved by an editor on Windows gives the same exercise, and the same lines in messages."""
    file = folder / "eye.yaml"
    file.write_bytes(b"\xef\xbb\xbf" + EXERCISE.replace("\n", "\r\n").encode())
    assert read_exercise(file).solution == "def identity(n):\n    return torch.eye(n)\n"
    file.write_bytes(EXERCISE.replace("return torch.eye(n)", "return (").replace("\n", "\r\n").encode())
    with pytest.raises(ExerciseFileError, match=r"eye.yaml:14: solution: "):
        read_exercise(file)


# ------------------------------------------------------------------------------------------ JSON Schemas


@pytest.mark.parametrize("name", ["exercise.schema.json", "assignment.schema.json"])
def test_the_committed_schemas_are_current(name):
    """The JSON Schemas in docs/schema are what the models give."""
    assert (SCHEMAS / name).read_text(encoding="utf-8") == json_schema()[name], (
        f"docs/schema/{name} is out of date: write the text json_schema()[{name!r}] into it"
    )


def test_the_schemas_accept_valid_files():
    """What the models accept is valid by the JSON Schemas, which are valid themselves."""
    for text, schema in [
        (EXERCISE, exercise_schema()),
        (MINIMAL, exercise_schema()),
        (ASSIGNMENT, assignment_schema()),
    ]:
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(yaml.safe_load(text), schema, jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("schema: 1", "schema: 2"),
        ("difficulty: 1", "dificulty: 1"),
        ("zh: 单位矩阵", "zh: ' '"),
        ("points: 1,", "points: two,"),
        ("  dtype: {", "  dtype__x: {"),
        ("[values]", "[]"),
        ("[eye, dtype]", "[eye, eye]"),
        ("512 MiB", "1 GB"),
    ],
)
def test_the_schemas_refuse_mistakes(old, new):
    """An editor that checks a file by its JSON Schema sees an author's usual mistakes."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(changed(old, new)), exercise_schema(), jsonschema.Draft202012Validator)


def values_in(schema, node):
    """Yield every part of a JSON Schema that describes a value an author writes."""
    for part in [*node.get("properties", {}).values(), *node.get("patternProperties", {}).values()]:
        yield part
        yield from values_in(schema, part)
    if "items" in node:
        yield node["items"]
        yield from values_in(schema, node["items"])


@pytest.mark.parametrize("schema", [exercise_schema(), assignment_schema()], ids=["exercise", "assignment"])
def test_every_value_has_a_description_and_an_example(schema):
    """Messages need to know, for every value, what was expected and an example of it."""
    nodes = [schema, *schema["$defs"].values()]
    for value in (value for node in nodes for value in values_in(schema, node)):
        assert value["description"]
        assert value["examples"]


def test_examples_in_messages_are_yaml(problems):
    """What a message tells to write is YAML, for every key of an empty exercise."""
    for problem in problems("schema: 1\n"):
        (example,) = re.findall(r"`(.+)`", problem)
        assert isinstance(yaml.safe_load(example), dict)


@pytest.mark.parametrize("file", sorted(COURSE.glob("assignments/**/*.yaml")), ids=lambda file: file.stem)
def test_libyaml_reads_what_pyyaml_reads(file):
    """The same values on the same lines, and nothing where there are mistakes, which PyYAML tells."""
    text = file.read_text(encoding="utf-8")
    read = yamlfile._Reader(file).document(yamlfile._Loader(text))
    assert yamlfile._parsed_in_c(file, text) == read
    for mistake in ("\nschema: 1\n", "\nx: &a 1\ny: *a\n", "\n\tx: 1\n", "\n2: x\n"):
        assert yamlfile._parsed_in_c(file, text + mistake) is None
