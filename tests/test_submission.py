"""Specification of what a grader can do with a submission, on a real submission process."""

from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch
from torch import nn

from tensorgrade.errors import GraderError, ProcessEnded, ProtocolError, TimeLimitExceeded
from tensorgrade.expectation import expect
from tensorgrade.findings import Mismatch
from tensorgrade.limits import DEFAULTS, Allowance
from tensorgrade.observation import ObservedModule, ObservedObject
from tensorgrade.processes import Process
from tensorgrade.sandbox import Narrowed
from tensorgrade.submission import Submission

HERE = Path(__file__).parent


@dataclass
class OneProcess:
    """The machine of these tests: a snapshot of one submission process."""

    snapshot: Process
    allowance: Allowance = DEFAULTS

    def request(self, message):
        """Ask the snapshot."""
        return self.snapshot.request(message, self.allowance.seconds, self.allowance.result)

    def discard(self):
        """Keep the one there is."""

    def with_accelerators(self, count):
        """Refuse: there are none."""
        raise GraderError(f"no machine with {count}")


class Replaced:
    """A machine that gives another snapshot when one is discarded."""

    def __init__(self, process, allowance):
        self.allowance, self.snapshots = allowance, 0
        self._process, self._snapshot = process, None

    def request(self, message):
        """Ask the snapshot there is."""
        if self._snapshot is None:
            self.snapshots += 1
            self._snapshot = self._process.snapshot(Narrowed(1 << 30, 60))
        return self._snapshot.request(message, self.allowance.seconds, self.allowance.result)

    def discard(self):
        """End it."""
        if self._snapshot is not None:
            self._snapshot.close()
            self._snapshot = None


@pytest.fixture
def submit(process):
    """Run code as a notebook and return the submission."""
    snapshots = []

    def run(code, seconds=1.0):
        assert process.run_cell("import torch\nfrom torch import nn\n" + code, 10, 1 << 20)["ok"]
        snapshots.append(process.snapshot(Narrowed(1 << 30, 60)))
        return Submission(OneProcess(snapshots[-1], replace(DEFAULTS, seconds=seconds)), HERE)

    yield run
    for snapshot in snapshots:
        snapshot.close()


def code_of(check):
    with pytest.raises(Mismatch) as caught:
        check()
    return caught.value.finding.code


# ------------------------------------------------------------------------------------------------- calls


def test_a_call_returns_an_observation(submit):
    """Arguments go there, the value comes back as data."""
    submission = submit("def scale(x, *, by=1): return x * by")
    got = submission.call("scale", torch.arange(3), by=2)
    assert got.values.tolist() == [0, 2, 4]
    assert submission.call("scale", 3) == 3


def test_functions_and_modules_can_be_arguments(submit):
    """A function of the grader's and a module arrive as such."""
    submission = submit("def use(f, x): return f(x)")
    model = nn.Linear(2, 1)
    assert submission.call("use", twice, 4) == 8
    assert torch.equal(submission.call("use", model, torch.ones(2)).values, model(torch.ones(2)))


def twice(x):
    return 2 * x


def test_an_attempt_tells_what_was_raised(submit):
    """An exception is a value of an attempt, and a Mismatch of a call."""
    submission = submit("def look(items): return items['missing']")
    got = submission.attempt("look", {})
    assert got.error.types[:3] == ("KeyError", "LookupError", "Exception")
    assert code_of(got.returned) == "raised"
    assert code_of(lambda: submission.call("look", {})) == "raised"


@pytest.mark.parametrize("code", ["raise SystemExit(0)", "import sys; sys.exit()", "raise KeyboardInterrupt"])
def test_leaving_is_an_exception_like_others(submit, code):
    """SystemExit and KeyboardInterrupt of a student's function are what it raised."""
    assert code_of(lambda: submit(f"def f():\n    {code}").call("f")) == "raised"


def test_an_undefined_name_is_told(submit):
    """A name that the notebook does not define is a finding of its own, for calls and probes."""
    submission = submit("y = 1")
    assert code_of(lambda: submission.call("f", 1)) == "undefined"
    assert code_of(lambda: submission.run(lambda student: student.f(1))) == "undefined"
    assert code_of(lambda: submission.run(lambda student: (1).f)) == "probe-raised"


def test_too_large_an_answer_is_not_an_undefined_name(submit):
    """A value that does not fit into an answer is told as anything but an undefined name."""
    submission = submit("def f(): return ['x' * 1_000_000] * 30", seconds=5)
    with pytest.raises((Mismatch, ProtocolError)) as caught:
        submission.call("f")
    assert not isinstance(caught.value, Mismatch) or caught.value.finding.code != "undefined"


def test_the_time_of_a_call_is_limited(submit):
    """A call that runs too long raises TimeLimitExceeded, though it was only interrupted."""
    with pytest.raises(TimeLimitExceeded):
        submit("def f():\n    while True: pass", seconds=0.3).call("f")


def test_a_process_that_ends_in_a_call(submit):
    """A crash raises ProcessEnded."""
    with pytest.raises(ProcessEnded):
        submit("import os\ndef f(): os._exit(0)").call("f")


COUNTS = "calls = []\ndef note(x):\n    calls.append(x)\n    {}\n    return [len(calls), x]"


@pytest.mark.parametrize("body", ["pass", "if len(calls) == 2: raise KeyError", "x.append(0)"])
def test_calls_are_attempts_one_after_the_other(submit, body):
    """Values, errors and changed arguments are those of single attempts, and the cases do not see each other's."""
    cases = [([1],), ([2],), ([3],)]
    single, together = submit(COUNTS.format(body)), submit(COUNTS.format("pass").replace("pass", body))
    expected = [single.attempt("note", *case) for case in cases]
    found = together.calls("note", cases)
    for one, other in zip(expected, found, strict=True):
        assert (one.value, one.arguments, one.before) == (other.value, other.arguments, other.before)
        assert (one.error is None) == (other.error is None)


def test_cases_are_packed_as_they_are_made(submit):
    """A grader may change an object from one case to the next."""
    x = torch.zeros(1)
    got = submit("def f(x): return float(x)").calls("f", ((x.add_(1),) for _ in range(3)))
    assert [attempt.returned() for attempt in got] == [1.0, 2.0, 3.0]


def test_calls_of_an_undefined_name_are_told(submit):
    """As for a single one."""
    assert code_of(lambda: submit("pass").calls("f", [(1,), (2,)])) == "undefined"


ENDS_ONCE = "import os, pathlib\nfile = pathlib.Path('once')\ndef f(x):\n    if x == 2 and not file.exists():\n"
ENDS_ONCE += "        file.touch()\n        {}\n    return x"


@pytest.mark.parametrize("end", ["os._exit(0)", "while True: pass", "import time; time.sleep(0.7)"])
def test_calls_that_fail_together_are_made_one_by_one(process, end):
    """Each has its own time, and one that ends the process does not take the others along."""
    assert process.run_cell(ENDS_ONCE.format(end), 10, 1 << 20)["ok"]
    machine = Replaced(process, replace(DEFAULTS, seconds=0.5))
    attempts = Submission(machine, HERE).calls("f", [(1,), (2,), (3,)])
    machine.discard()
    assert [attempt.returned() for attempt in attempts] == [1, 2, 3]
    assert machine.snapshots == 2


def test_a_call_that_always_hangs_is_told(process):
    """The time that one call has is the limit for each."""
    assert process.run_cell("def f(x):\n    while x == 2: pass", 10, 1 << 20)["ok"]
    machine = Replaced(process, replace(DEFAULTS, seconds=0.3))
    with pytest.raises(TimeLimitExceeded):
        Submission(machine, HERE).calls("f", [(1,), (2,)])
    machine.discard()


def test_what_cannot_be_sent_is_the_graders_error(submit):
    """A non-leaf argument raises GraderError and says what to do."""
    with pytest.raises(GraderError, match="probe"):
        submit("def f(x): return x").call("f", torch.ones(1, requires_grad=True) * 2)


def test_a_machine_that_there_is_none_of(submit):
    """Asking for accelerators is the machine's to answer."""
    with pytest.raises(GraderError):
        submit("").machine(accelerators=2)


# ------------------------------------------------------------------------------------------------ probes


def gradient_of_answer(student, start):
    x = torch.tensor(start, requires_grad=True)
    student.square(x).backward()
    return {"grad": x.grad, "same": student.square is student.square, "start": start}


def test_a_probe_uses_the_live_objects(submit):
    """A probe runs with the student's names in the submission process; only data comes back."""
    got = submit("def square(x): return x * x").run(gradient_of_answer, 3.0)
    assert got["grad"].values.item() == 6.0
    assert (got["same"], got["start"]) == (True, 3.0)


def test_only_plain_data_comes_back(submit):
    """An object of the student's comes back as a name, a module as its tensors, and neither is rebuilt."""
    submission = submit("class Thing:\n    def __reduce__(self): return (print, ('run!',))")
    thing, kind, model = submission.run(lambda student: [student.Thing(), student.Thing, nn.Linear(1, 1)])
    assert isinstance(thing, ObservedObject)
    assert isinstance(kind, ObservedObject)
    assert isinstance(model, ObservedModule)


def test_identities_and_storages_hold_within_a_reply(submit):
    """What a call returns can be compared with its arguments."""
    got = submit("def f(x): return [x, x.view(-1), x.clone()]").attempt("f", torch.ones(2, 2))
    same, view, copied = got.value
    expect(same).is_same_object_as(got.arguments[0])
    expect(view).shares_storage_with(got.arguments[0])
    expect(copied).shares_storage_with(got.arguments[0], wanted=False)


# --------------------------------------------------------------------------------------------- arguments

MUTATIONS = {
    "values": "x.add_(1)",
    "values by data": "x.data[0] = 9",
    "requires_grad": "x.requires_grad_()",
    "grad": "x.grad = torch.ones_like(x)",
    "training mode": "model.eval()",
    "weight": "model.weight.data.zero_()",
    "weight's grad": "model(torch.ones(2)).sum().backward()",
    "list": "items.append(1)",
    "tensor in a list": "items[0].zero_()",
    "dictionary": "table['key'] = 2",
    "keyword": "extra.mul_(2)",
}


@pytest.mark.parametrize("mutation", MUTATIONS.values(), ids=MUTATIONS)
def test_a_changed_argument_is_seen(submit, mutation):
    """Values, requires_grad, .grad, mode and content of arguments are compared with those before the call."""
    submission = submit(f"def f(x, model, items, table, *, extra):\n    {mutation}")
    arguments = (torch.ones(2), nn.Linear(2, 2), [torch.ones(1)], {"key": 1})
    got = submission.attempt("f", *arguments, extra=torch.ones(1))
    assert code_of(expect(got).leaves_arguments) == "argument"
    assert arguments[0].tolist() == [1, 1]


def test_an_unchanged_argument_passes(submit):
    """Using arguments, backward on a copy included, is no change."""
    code = "def f(x, model):\n    y = x.clone().requires_grad_()\n    return torch.autograd.grad(model(y).sum(), y)[0]"
    expect(submit(code).attempt("f", torch.ones(2), nn.Linear(2, 2))).leaves_arguments()


# ------------------------------------------------------------------------------------------- vectorised

GROWING = {
    "loop": "def f(x):\n    y = x.clone()\n    for i in range(len(x)): y[i] = 2 * x[i]\n    return y",
    "while": "def f(x):\n    y, i = x.tolist(), 0\n    while i < len(y): i += 1\n    return 2 * x",
    "comprehension": "def f(x): return torch.stack([2 * item for item in x])",
    "plain comprehension": "def f(x): return torch.tensor([2 * item for item in x.tolist()])",
    "recursion": "def f(x): return 2 * x if len(x) < 2 else torch.cat([2 * x[:1], f(x[1:])])",
    "map": "def f(x): return torch.stack(list(map(torch.add, x, x)))",
    "callback": "def f(x): return x.clone().apply_(lambda item: 2 * item)",
    "generator": "def f(x): return torch.tensor(list(2 * item for item in x.tolist()))",
    "loop that prints": "def f(x):\n    for item in x: print(item)\n    return 2 * x",
    "method": "class A:\n    def g(self, v): return 2 * v\ndef f(x): return torch.stack([*map(A().g, x)])",
}
VECTORISED = {
    "product": "def f(x): return 2 * x",
    "print": "def f(x):\n    print('x is', x)\n    print(x.numpy(), [x], x.tolist())\n    return 2 * x",
    "text": "def f(x):\n    text = f'{x} {x!r}' + str(x)\n    return 2 * x",
    "fixed loop": "def f(x):\n    y = x\n    for _ in range(1): y = y + x\n    return y",
    "out": "def f(x):\n    y = torch.empty_like(x)\n    torch.add(x, x, out=y)\n    return y",
    "index": "def f(x): return x[torch.arange(len(x))] + torch.where(x > 0, x, x)",
    "einsum": "def f(x): return torch.einsum('i,j->i', x, torch.tensor([2.0]))",
    "vmap": "def f(x): return torch.vmap(lambda item: 2 * item)(x)",
    "lazy import": "def f(x):\n    import fractions\n    return x * int(fractions.Fraction(2))",
}
SIZES = [(torch.arange(float(n)),) for n in (3, 20, 200)]


@pytest.mark.parametrize("code", GROWING.values(), ids=GROWING)
def test_work_that_grows_is_seen(submit, code):
    """Loops, comprehensions, recursion and callbacks over the input are told, though the result is right."""
    submission = submit(code, seconds=5)
    expect(submission.call("f", torch.ones(3))).equals(torch.full((3,), 2.0))
    assert code_of(lambda: submission.vectorised("f", *SIZES)) == "grows"


@pytest.mark.parametrize("code", VECTORISED.values(), ids=VECTORISED)
def test_work_that_does_not_grow_passes(submit, code):
    """Vectorised code passes, and the last value comes back."""
    got = submit(code, seconds=5).vectorised("f", *SIZES)
    expect(got).equals(2 * SIZES[-1][0])


# ------------------------------------------------------------------------------------------------- lies

LIES = {
    "instructions": "process.work.measure = lambda f, *a, **k: (f(*a), {'instructions': 'none', 'operations': []})",
    "operations": "process.work.measure = lambda f, *a, **k: (f(*a), {'instructions': 0, 'operations': 5})",
    "no arguments": "process._call = lambda shell, request: {'arguments': ['list', []], 'keywords': ['dict', []]}",
    "other arguments": "process._call = lambda shell, request: {'value': None, 'arguments': ['int', 1]}",
    "no keywords": "process._call = lambda shell, request: {'value': None, 'arguments': ['list', [None]]}",
    "error": "process._call = lambda shell, request: {'error': 5, 'arguments': ['list', [None]]}",
    "value": "process._call = lambda shell, request: {'value': 5, 'arguments': ['list', [None]]}",
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_a_malformed_answer_is_a_protocol_error(submit, lie):
    """A student who changes this package in their own process gets ProtocolError, never an error of the grader."""
    submission = submit(f"from tensorgrade import process\n{lie}\ndef f(x): return x")
    with pytest.raises(ProtocolError):
        _use(submission)


def _use(submission):
    expect(submission.attempt("f", 1)).leaves_arguments()
    submission.vectorised("f", (1,), (2,), (3,))


# ------------------------------------------------------------------------------------------------------ traces

TRACED = (
    "import torch",
    """

def helper(x):
    # a comment
    raise ValueError(f"hidden {x}")
""",
    """def answer(x):
    for _ in range(2):
        helper(
            x)

def deep(x): return deep(x)

class Model(torch.nn.Module):
    def forward(self, x):
        return x @ torch.ones(3)

def apply(x): return Model()(x)

def called(f):
    return f(1)
""",
    """%timeit -n1 -r1 pass
def late(x):
    return 1 / 0
""",
)


@pytest.fixture
def traced(process):
    """The submission of a notebook whose functions raise."""
    for number, cell in enumerate(TRACED, 1):
        assert process.run_cell(cell, 10, 1 << 20, number)["ok"]
    snapshot = process.snapshot(Narrowed(1 << 30, 60))
    yield Submission(OneProcess(snapshot), HERE, cells=TRACED)
    snapshot.close()


def fail(value):
    raise RuntimeError(value)


@pytest.mark.parametrize(
    ("name", "argument", "lines"),
    [
        ("answer", 1, ["        helper(", '    raise ValueError(f"hidden {x}")']),
        ("apply", torch.ones(2), ["def apply(x): return Model()(x)", "        return x @ torch.ones(3)"]),
        ("deep", 1, ["def deep(x): return deep(x)"]),
        ("late", 1, ["    return 1 / 0"]),
        ("called", fail, ["    return f(1)"]),
    ],
)
def test_an_exception_is_traced_through_the_cells(traced, name, argument, lines):
    """Lines of the notebook are told, outermost first, and neither those of libraries nor of the grader."""
    trace = traced.attempt(name, argument).error.trace
    assert [line.source for line in trace] == lines
    for line in trace:
        assert TRACED[line.cell - 1].split("\n")[line.line - 1] == line.source


def test_an_exception_of_a_probe_has_the_lines_of_the_notebook(traced):
    """A probe's own lines are not told, and its own exception has no evidence of what it says."""
    with pytest.raises(Mismatch) as caught:
        traced.run(lambda student: student.late(1))
    assert [line.source for line in caught.value.finding.trace] == ["    return 1 / 0"]
    assert caught.value.finding.evidence.error == "division by zero"
    with pytest.raises(Mismatch) as caught:
        traced.run(fail, "words of the grader")
    assert (caught.value.finding.trace, caught.value.finding.evidence.error) == ((), None)


# ------------------------------------------------------------------------------------------------- evidence


def explained(submission, check):
    with pytest.raises(Mismatch) as caught:
        check(submission)
    return submission._journal.explain(caught.value).evidence


@pytest.mark.parametrize(
    ("check", "call"),
    [
        (lambda s: expect(s.call("twice", torch.ones(2), 3)).equals(1), "twice(tensor([1., 1.]), 3)"),
        (lambda s: expect(s.attempt("twice", 1.5, times=2)).equals(1), "twice(1.5, times=2)"),
        (lambda s: expect(s.call("twice", 1, 2)).equals(5), "twice(1, 2)"),
        (
            lambda s: expect(s.calls("twice", [(torch.ones(1), 2), (torch.ones(3), 2)])[1]).equals(1),
            "twice(tensor([1., 1., 1.]), 2)",
        ),
        (lambda s: expect([s.call("twice", [n], 2) for n in (1, 2)][1]).equals([]), "twice([2], 2)"),
        (lambda s: expect([s.call("twice", n, 2) for n in (1, 2)][1]).equals(5), None),  # numbers have no origin
        (lambda s: expect(s.run(lambda student, x: [x], torch.ones(1))[0]).equals(1), "(tensor([1.]))"),
        (lambda s: s.call("twice", "text", None), "twice('text', None)"),
        (lambda s: s.call("missing", 1), None),
    ],
)
def test_a_finding_is_told_with_the_call_that_it_is_about(submit, check, call):
    """By the very object that came back; where that is not certain, without a call."""
    evidence = explained(submit("def twice(x, times): return x * times"), check)
    assert (evidence.call if evidence else None) == call


def test_what_is_not_answered_is_told_with_its_call(submit):
    """The call that a process ended in, or took too long for."""
    submission = submit("import os\ndef f(x):\n    os._exit(1)")
    with pytest.raises(ProcessEnded):
        submission.call("f", 41)
    assert submission._journal.unanswered.told() == "f(41)"


def test_an_exception_with_torchs_own_words_is_understood(submit):
    """What the message means is told in its place."""
    submission = submit("def f(x):\n    return torch.ones(2) + torch.ones(3)\ndef g(x):\n    raise NotImplementedError")
    for name, code in (("f", "raised-sizes"), ("g", "raised-not-implemented")):
        with pytest.raises(Mismatch) as caught:
            submission.call(name, 1)
        assert caught.value.finding.code == code
