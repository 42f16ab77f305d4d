"""Specification of disclosure: all that a student receives, at all levels and for many wrong answers.

Each exercise has a level, and inputs, expected values and grader texts of its own that cannot be mistaken for anything
else: canaries. One submission answers all of them, wrongly in many ways, and is graded by the engine and by nbgrader.
"""

import base64
import html
import json
import string
import struct
from dataclasses import dataclass, replace

import pytest

from tensorgrade.course import Course
from tensorgrade.exercise import Level
from tensorgrade.job import CellJob, Job
from tensorgrade.runner import grade
from tests.nbgrader_course import NbgraderCourse, cell_of


@dataclass(frozen=True)
class Canaries:
    """What one exercise's grader holds; all of it is found by the digits and words that it is made of."""

    number: int
    size: int
    text: str
    expected: int
    expected_text: str
    source: str

    @classmethod
    def of(cls, name, digit):
        """Those of the exercise `name`, told from those of others by a digit."""
        word = name.replace("_", "")
        return cls(
            number=7310259 + digit * 10_000,
            size=48151 + digit * 100,
            text=f"input-of-{word}",
            expected=5920713 + digit * 10_000,
            expected_text=f"expected-by-{word}",
            source=f"grader_of_{word}",
        )


EXERCISES = {  # by name: the level, whether the answer is one that ends or stalls the process
    "tells_verdict": (Level.VERDICT, "wrong"),
    "tells_clause": (Level.CLAUSE, "wrong"),
    "tells_case": (Level.CASE, "wrong"),
    "tells_full": (Level.FULL, "wrong"),
    "slow_clause": (Level.CLAUSE, "slow"),
    "slow_full": (Level.FULL, "slow"),
    "dies_verdict": (Level.VERDICT, "dies"),
    "dies_case": (Level.CASE, "dies"),
}
CANARIES = {name: Canaries.of(name, digit) for digit, name in enumerate(EXERCISES)}
WRONG_ONES = [name for name, (_, kind) in EXERCISES.items() if kind == "wrong"]

ANSWER = '''
import builtins, linecache, logging, sys, warnings
from IPython import get_ipython
from IPython.display import HTML, display

class Loud(torch.Tensor):
    def __repr__(self):
        raise ValueError(str(SEEN))

SEEN = []

def told(x, size, text):
    """Everything about an input that code can say, as a text."""
    return f"{x.tolist()} {x!r} {size} {size:#x} {text} {float(x[0]).hex()} {text.encode().hex()} {int(x[0]):,}"

def error_named(name, base=ValueError, module="builtins"):
    kind = type(name, (base,), {"__module__": module, "__qualname__": name})
    return kind

def fail_at(line, words):
    code = compile("\\n" * (line % 100_000) + "raise ValueError(words)", f"/tmp/{words}.py", "exec")
    exec(code.replace(co_name=words), {"words": words})

def forged(words, line):
    def inner():
        raise KeyError(words)
    inner.__code__ = inner.__code__.replace(co_firstlineno=line, co_name=words)
    inner()

def answered(kind, x, size, text):
    SEEN.append(text)
    words = told(x, size, text)
    if kind == "values": return x + 1
    if kind == "some": return torch.cat([x[:1] + 2, torch.tensor([2.0])])
    if kind == "shape": return torch.zeros(size)
    if kind == "dtype": return x.double()
    if kind == "none": return None
    if kind == "type": return words
    if kind == "kind": return error_named(words, object)()
    if kind == "mapping": return {words: x, size: text}
    if kind == "subclass": return x.as_subclass(Loud)
    if kind == "device": return x.to("meta")
    if kind == "raises": raise ValueError(words)
    if kind == "named": raise error_named(words)(words)
    if kind == "torch_error": raise error_named(words, RuntimeError, "torch")(words)
    if kind == "message": return torch.ones(size) @ torch.ones(int(x[0]) % 1000)
    if kind == "chained":
        try:
            raise ValueError(words)
        except ValueError as error:
            error.add_note(words)
            raise RuntimeError(words) from error
    if kind == "exits": raise SystemExit(words)
    if kind == "interrupts": raise KeyboardInterrupt(words)
    if kind == "unprintable":
        class Hidden(Exception):
            def __str__(self): raise ValueError(words)
            __repr__ = __str__
        raise Hidden(words)
    if kind == "filename": fail_at(size, words)
    if kind == "line": forged(words, size)
    if kind == "recursion": return answered(kind, x, size, text)
    if kind == "prints":
        print(words); print(words, file=sys.stderr); print(words, file=sys.__stdout__)
        warnings.warn(words); logging.error(words); display(HTML(words)); display(x)
        get_ipython().user_ns["Out"][1] = words
        return None
    if kind == "changes":
        x[0] = size
        return x
    if kind == "grows": return [x for _ in range(len(x) * 20)] and x
    if kind == "later":  # what was seen before, said where another clause is judged
        raise ValueError(f"{SEEN}")
    if kind == "slow":
        while True: pass
    if kind == "dies": builtins.__import__("os")._exit(size % 256)
    raise AttributeError(words)
'''

CHECKS = {
    "values": "expect(ask('values')).equals(RIGHT)",
    "some": "expect(ask('some')).close_to(RIGHT)",
    "shape": "expect(ask('shape')).has_shape(*RIGHT.shape, EXPECTED % 99991)",
    "dtype": "expect(ask('dtype')).has_dtype(torch.int16)",
    "none": "expect(ask('none')).equals({EXPECTED_TEXT: EXPECTED})",
    "type": "expect(ask('type'), 'answer', '答案').equals(EXPECTED_TEXT)",
    "kind": "expect(ask('kind')).equals(RIGHT)",
    "mapping": "expect(ask('mapping')).equals({EXPECTED_TEXT: RIGHT, EXPECTED: 1})",
    "subclass": "expect(ask('subclass')).equals(RIGHT)",
    "device": "expect(ask('device')).on_device('cpu').equals(RIGHT)",
    "raises": "ask('raises')",
    "named": "ask('named')",
    "torch_error": "expect(attempt('torch_error')).raises(KeyError)",
    "message": "expect(attempt('message')).equals(RIGHT)",
    "chained": "ask('chained')",
    "exits": "ask('exits')",
    "interrupts": "ask('interrupts')",
    "unprintable": "ask('unprintable')",
    "filename": "ask('filename')",
    "line": "ask('line')",
    "recursion": "ask('recursion')",
    "prints": "expect(ask('prints')).equals(RIGHT)",
    "changes": "expect(attempt('changes')).leaves_arguments()",
    "grows": "submission.vectorised(NAME, *(('grows', torch.ones(n), SIZE, TEXT) for n in (1, 2, SIZE % 97 + 9)))",
    "not_raised": "expect(attempt('values')).raises(KeyError)",
    "later": "ask('later')",
    # the grader's own texts
    "plain": "assert ask('values') is RIGHT, f'{EXPECTED_TEXT} {SOURCE}'",
    "compared": "assert ask('type') == EXPECTED_TEXT",
    "own_words": "raise Misconception('Not this.', '不是这样。', about=attempt('values'))",
    "probe": "expect(submission.run(probe_$source, NUMBER, SIZE, TEXT)).equals(EXPECTED_TEXT)",
    "probe_raises": "submission.run(failing_probe_$source, NUMBER, SIZE, TEXT)",
    "not_there": "submission.call('missing_function', EXPECTED_TEXT, NUMBER)",
    # faults of the grader
    "fault": "raise RuntimeError(f'{SOURCE} {EXPECTED_TEXT} {TEXT} {NUMBER}')",
    "unpacks": "first, second = ask('none')",
    "misuse": "expect(ask('values')).raises(ValueError)",
}
FAULTS = {"fault", "unpacks", "misuse"}
TELL_NO_CALL = {"plain", "compared", "not_there", "probe", "probe_raises"} | FAULTS

GRADER = '''
"""The docstring of $source."""

import torch

from tensorgrade import Misconception, expect

from .helper_$source import explain_$source  # a comment of $source

NAME, NUMBER, SIZE, TEXT = "$name", $number, $size, "$text"
EXPECTED, EXPECTED_TEXT, SOURCE = $expected, "$expected_text", "$source"
RIGHT = torch.tensor([float(EXPECTED), 2.0])


def probe_$source(student, x, size, text):
    """A probe of $source."""
    return getattr(student, NAME)("type", torch.tensor([float(x), 1.0]), size, text)


def failing_probe_$source(student, x, size, text):
    raise ValueError(f"$source {x} {size} {text}")


def asked(submission):
    x = torch.tensor([float(NUMBER), 1.0])
    return (
        lambda kind: submission.call(NAME, kind, x, SIZE, TEXT),
        lambda kind: submission.attempt(NAME, kind, x, SIZE, TEXT),
    )
'''

TEST = '''

def test_${clause}__$source(submission):
    """The test $clause of $source."""
    ask, attempt = asked(submission)
    $check
'''

EXERCISE = """\
schema: 1
title: {{en: Demo {name}, zh: 演示 {name}}}
prompt: {{en: Write it., zh: 请编写。}}
difficulty: 1
disclosure: {level}
limits: {{seconds: {seconds}}}
hints: [{{en: A hint., zh: 一个提示。}}]
starter: |
  def {name}(kind, x, size, text):
      ...
solution: |
  def {name}(kind, x, size, text):
      return x
examples: |
  {name}
clauses:
{clauses}
"""

ASSIGNMENT = """\
schema: 1
title: {{en: Demo, zh: 演示}}
introduction: {{en: Welcome., zh: 欢迎。}}
exercises: [{exercises}]
"""


def file_of(name):
    return name.replace("_", "-")


def checks_of(name):
    kind = EXERCISES[name][1]
    return CHECKS if kind == "wrong" else {kind: f"ask('{kind}')", "values": CHECKS["values"]}


def write_course(course):
    """Write all exercises with their graders."""
    names = ", ".join(map(file_of, EXERCISES))
    course.write("assignments/demo/assignment.yaml", ASSIGNMENT.format(exercises=names))
    course.write("graders/demo/__init__.py", "")
    for name, (level, kind) in EXERCISES.items():
        canaries, checks = CANARIES[name], checks_of(name)
        clauses = [
            f"  {clause}: {{points: 1, hint: 1, text: {{en: Part {n}., zh: 部分 {n}。}}}}"
            for n, clause in enumerate(checks)
        ]
        seconds = 1 if kind == "slow" else 20
        text = EXERCISE.format(name=name, level=level, seconds=seconds, clauses="\n".join(clauses))
        course.write(f"assignments/demo/{file_of(name)}.yaml", text)
        course.write(f"graders/demo/test_{name}.py", grader_of(name))
        course.write(f"graders/demo/helper_{canaries.source}.py", f"def explain_{canaries.source}(): pass\n")
    return course


def grader_of(name):
    """The text of an exercise's grader."""
    facts = {**vars(CANARIES[name]), "name": name}
    tests = [
        TEST.replace("${clause}", clause).replace("$clause", clause).replace("$check", check)
        for clause, check in checks_of(name).items()
    ]
    return string.Template(GRADER + "".join(tests)).substitute(facts)


@pytest.fixture(scope="module")
def course(tmp_path_factory):
    """A course with an exercise for each level, and some whose answer ends or stalls the process."""
    return write_course(NbgraderCourse.small(tmp_path_factory.mktemp("disclosure") / "course", {}))


@pytest.fixture(scope="module", params=["en", "zh"])
def verdicts(course, zygote, request):
    """What the engine says of each exercise, undisclosed."""
    opened = Course(course.root)
    cells = [CellJob(opened.load("demo").settings.setup, 20.0), CellJob(ANSWER, 20.0)]
    for name, (_, kind) in EXERCISES.items():
        cells.append(CellJob(f"{name} = answered", 20.0))
        cells.append(CellJob("", 1.0 if kind == "slow" else 20.0, file_of(name)))
    graded = grade(Job(tuple(cells), opened.root, "demo", request.param, None, 300.0, cache=False), zygote)
    return {name: graded.verdicts[file_of(name)] for name in EXERCISES}


# --------------------------------------------------------------------------------------------------- looking


def encodings(value):
    """How a canary could look in what a student receives, in small letters."""
    if isinstance(value, str):
        raw = value.encode()
        found = {value, value[::-1], raw.hex(), base64.b64encode(raw).decode().rstrip("=")[:-1]}
    else:
        floats = [struct.pack(order + kind, float(value)).hex() for order in "<>" for kind in "fd"]
        found = {str(value), f"{value:,}", f"{value:_}", f"{value:#x}", float(value).hex(), f"{value:.4e}"[:6], *floats}
    return {text.lower() for text in found}


def forbidden(name):
    """What may not be seen of an exercise's canaries at its level."""
    canaries, (level, _) = CANARIES[name], EXERCISES[name]
    hidden = [canaries.source]
    if level is not Level.FULL:
        hidden += [canaries.expected, canaries.expected_text]
    if level in (Level.VERDICT, Level.CLAUSE):
        hidden += [canaries.number, canaries.size, canaries.text]
    return {text for value in hidden for text in encodings(value)}


def received(verdict):
    """All forms of a verdict that a student gets."""
    shown = verdict.to_html()
    facts = verdict.to_json()
    return "\n".join([verdict.to_text(), shown, html.unescape(shown), json.dumps(facts), repr(facts)]).lower()


@pytest.mark.parametrize("name", EXERCISES)
def test_nothing_above_the_level_is_in_a_verdict(verdicts, name):
    """No canary of what is hidden stands in the text, the HTML or the data of a verdict, however it is written."""
    shown = received(verdicts[name])
    assert {text for text in forbidden(name) if text in shown} == set()


@pytest.mark.parametrize("name", EXERCISES)
def test_no_source_of_a_grader_is_in_a_verdict(verdicts, name):
    """No line of a grader is repeated, whatever failed in it."""
    lines = {line.strip().lower() for line in grader_of(name).splitlines() if len(line.strip()) > 25}
    shown = received(verdicts[name])
    assert {line for line in lines if line in shown} == set()


@pytest.mark.parametrize("name", EXERCISES)
def test_the_verdict_itself_knows_what_is_hidden(verdicts, name):
    """Instructors and authors get all of it, so that the tests above look for what is there."""
    known = repr(verdicts[name])
    assert str(CANARIES[name].number) in known
    assert str(CANARIES[name].expected) in known or EXERCISES[name][1] == "slow"
    assert verdicts[name].score == 0


# --------------------------------------------------------------------------------------- what each level tells


def clauses_of(verdict):
    return {clause.name: clause for clause in verdict.disclosed().clauses}


def test_the_level_verdict_tells_points_alone(verdicts):
    """A clause is a number, a status and points: neither what it asks for nor why it failed is told."""
    for number, clause in enumerate(verdicts["tells_verdict"].disclosed().clauses, 1):
        assert (clause.name, clause.text, clause.points) == (str(number), "", 1.0)
        assert (clause.code, clause.finding, clause.hint, clause.trace, clause.evidence) == (None, None, None, (), None)
    assert "Part" not in received(verdicts["tells_verdict"])


def test_the_level_clause_tells_the_finding_the_hint_and_the_own_lines(verdicts):
    """Without evidence; an exception shows the lines of the student's cells that it passed."""
    clauses = clauses_of(verdicts["tells_clause"])
    assert all(clause.evidence is None and clause.text for clause in clauses.values())
    told = {name for name, clause in clauses.items() if clause.finding and clause.hint}
    assert told == set(clauses) - FAULTS
    assert (clauses["values"].code, clauses["shape"].code, clauses["message"].code) == ("some", "shape", "raised-sizes")
    (line,) = clauses["raises"].trace
    assert (line.cell, line.source.strip()) == (2, 'if kind == "raises": raise ValueError(words)')
    assert ANSWER.split("\n")[line.line - 1] == line.source
    assert next(line.source.strip() for line in clauses["line"].trace) == 'if kind == "line": forged(words, size)'
    assert len(clauses["recursion"].trace) <= 4


def test_the_level_case_tells_the_input_and_the_message(verdicts):
    """The call with its arguments, the message of the student's exception, and where values are wrong."""
    canaries, clauses = CANARIES["tells_case"], clauses_of(verdicts["tells_case"])
    call = clauses["values"].evidence.call
    assert call == f"tells_case('values', tensor([{canaries.number}., 1.]), {canaries.size}, '{canaries.text}')"
    assert clauses["probe"].evidence.call == f"({canaries.number}, {canaries.size}, '{canaries.text}')"
    assert canaries.text in clauses["raises"].evidence.error
    assert clauses["probe_raises"].evidence.error is None
    assert clauses["shape"].evidence.got_shape == (canaries.size,)
    assert clauses["some"].evidence.wrong.shares == ((1.0, 0.0),)
    assert clauses["own_words"].evidence.call.startswith("tells_case('values'")
    assert all(clause.evidence.call for name, clause in clauses.items() if name not in TELL_NO_CALL)
    for clause in clauses.values():
        evidence = clause.evidence
        assert evidence is None or evidence.got == evidence.expected == evidence.expected_shape is None


def test_the_level_full_tells_both_values(verdicts):
    """What the student's code gave and what is expected, in everything that a student reads."""
    canaries, verdict = CANARIES["tells_full"], verdicts["tells_full"]
    clauses = clauses_of(verdict)
    assert clauses["values"].evidence.got == f"tensor([{canaries.number + 1}., 2.])"
    assert clauses["values"].evidence.expected == f"tensor([{canaries.expected}., 2.])"
    assert clauses["dtype"].evidence.expected == "torch.int16"
    assert clauses["shape"].evidence.expected_shape[0] == 2
    assert clauses["none"].evidence.got == "None"
    for shown in (verdict.to_text(), html.unescape(verdict.to_html()), json.dumps(verdict.to_json())):
        assert f"tensor([{canaries.number + 1}., 2.])" in shown
        assert f"tensor([{canaries.expected}., 2.])" in shown


def test_what_ends_or_stalls_the_process_is_told_with_its_input(verdicts):
    """The call that no answer came to is told from the level `case` on."""
    assert clauses_of(verdicts["slow_full"])["slow"].evidence.call.startswith("slow_full('slow', tensor(")
    assert clauses_of(verdicts["dies_case"])["dies"].evidence.call.startswith("dies_case('dies', tensor(")
    assert clauses_of(verdicts["slow_clause"])["slow"].evidence is None


def test_no_clause_tells_what_another_one_hides(verdicts):
    """Student code could say in one clause what it saw in another: its words are shown only where all tell inputs."""
    verdict = verdicts["tells_full"]
    first, *others = verdict.clauses
    mixed = replace(verdict, clauses=(replace(first, level=Level.CLAUSE), *others))
    for clause in mixed.disclosed().clauses:
        evidence = clause.evidence
        assert evidence is None or evidence.error == evidence.got == evidence.wrong == evidence.got_shape is None
    told = clauses_of(mixed)["some"].evidence
    assert told.call is not None
    assert told.expected is not None


# ------------------------------------------------------------------------------------------- with nbgrader


@pytest.fixture(scope="module")
def pages(course):
    """What nbgrader makes of the submission: the autograded notebook's file and the page with the feedback."""
    course.build()
    notebook = course.released("demo")
    for number, name in enumerate(EXERCISES):
        cell_of(notebook, file_of(name)).source = f"{'' if number else ANSWER}\n{name} = answered"
    course.submit("ada", notebook, "demo")
    ran = course.nbgrader("autograde", "demo")
    assert "4 exercises need manual grading" in ran.stderr  # those with faults; the instructor is told the reasons
    assert course.nbgrader("generate_feedback", "demo").returncode == 0
    notebook, page = course.root / "autograded/ada/demo/demo.ipynb", course.root / "feedback/ada/demo/demo.html"
    written, shown = notebook.read_text(encoding="utf-8"), page.read_text(encoding="utf-8")
    return {
        "notebook": "\n".join([written, *texts_in(json.loads(written))]),
        "page": f"{shown}\n{html.unescape(shown)}",
    }


def texts_in(data):
    """All texts in plain data, keys included."""
    if isinstance(data, str):
        return [data]
    items = [*data, *data.values()] if isinstance(data, dict) else data if isinstance(data, list) else []
    return [text for item in items for text in texts_in(item)]


@pytest.mark.parametrize("name", EXERCISES)
def test_nothing_above_the_level_is_in_what_nbgrader_writes(pages, name):
    """Neither the notebook, its metadata and outputs included, nor the page holds a canary of what is hidden."""
    for kind, written in pages.items():
        shown = written.lower()
        assert {text for text in forbidden(name) if text in shown} == set(), kind


def test_nbgrader_shows_what_the_levels_allow(pages):
    """Inputs at `case` and both values at `full` are on the page and in the notebook."""
    case, full = CANARIES["tells_case"], CANARIES["tells_full"]
    for text in pages.values():
        assert str(case.number) in text
        assert f"tensor([{full.number + 1}., 2.])" in text
        assert f"tensor([{full.expected}., 2.])" in text
