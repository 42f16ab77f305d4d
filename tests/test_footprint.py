"""What is noticed of that an exercise has left in its process, and that exercises share one which is as it was."""

import pytest

from tensorgrade.parcel import pack
from tensorgrade.processes import SubmissionProcess
from tensorgrade.sandbox import Narrowed

NOTEBOOK = """
import torch, functools
from collections import namedtuple
from torch import nn

Flags = namedtuple("Flags", "leaf grad")
FLAGS = {"a": (True, 1), "b": Flags(True, False)}
CACHE = {}
weights = torch.ones(3, requires_grad=True)
graph = weights * 2
array = torch.ones(3).numpy()
model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())

def identity(n, dtype=torch.float32, *, seen=[]):
    return torch.eye(n, dtype=dtype)

def counting():
    count = [0]
    def count_up():
        count[0] += 1
    return count_up

count_up = counting()

class Cube(torch.autograd.Function):
    saved = None
    @staticmethod
    def forward(context, x):
        return x**3

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0

net = Net()
"""
HARMLESS = {
    "call": "identity(3)",
    "result": "x = torch.ones(100) @ torch.ones(100)\ndel x",
    "backward": "torch.autograd.grad((weights * 2).sum(), weights)",
    "mode and back": "with torch.no_grad(): model(torch.ones(1, 2)) if not model.training else None",
    "warning": "import warnings\nwith warnings.catch_warnings(record=True):\n    warnings.warn('x')",
    "import": "import colorsys",
    "own generator": "torch.rand(3, generator=torch.Generator().manual_seed(1))",
}
TRACES = {
    "name": "global new\nnew = 1",
    "name gone": "del globals()['FLAGS']",
    "rebound": "global FLAGS\nFLAGS = {'a': (True, 1)}",
    "item": "CACHE[3] = 1",
    "nested": "FLAGS['a'] = (False, 1)",
    "default": "identity.__kwdefaults__['seen'].append(1)",
    "attribute of a function": "identity.calls = 1",
    "code of a function": "identity.__code__ = counting.__code__",
    "closure": "count_up()",
    "attribute of a class": "Cube.saved = torch.ones(1)",
    "method": "Cube.forward = staticmethod(lambda context, x: x)",
    "attribute of an object": "net.calls += 1",
    "mode of a module": "model.eval()",
    "hook": "model.register_forward_hook(lambda *_: None)",
    "array": "array[1] = 5",
    "graph": "global graph\ngraph = weights * 3",
    "in place": "with torch.no_grad(): weights.add_(1)",
    "data": "weights.data.mul_(2)",
    "gradient": "weights.sum().backward()",
    "gradient flag": "weights.requires_grad_(False)",
    "parameter": "model[0].weight.data.zero_()",
    "grad mode": "torch.set_grad_enabled(False)",
    "default dtype": "torch.set_default_dtype(torch.float64)",
    "default device": "torch.set_default_device('meta')",
    "deterministic": "torch.use_deterministic_algorithms(True)",
    "anomaly": "torch.autograd.set_detect_anomaly(True)",
    "seed": "torch.manual_seed(3)",
    "random number": "torch.rand(1)",
    "random number of Python": "import random\nrandom.random()",
    "random number of NumPy": "import numpy\nnumpy.random.rand()",
    "torch patched": "torch.eye = torch.ones",
    "method patched": "torch.Tensor.add = torch.Tensor.mul",
    "functional patched": "nn.functional.relu = abs",
    "built-in patched": "import builtins\nbuiltins.sorted = len",
    "environment": "import os\nos.environ['SEEN'] = '1'",
    "folder": "import os\nos.chdir('/')",
    "filter of warnings": "import warnings\nwarnings.simplefilter('error')",
    "recursion": "import sys\nsys.setrecursionlimit(500)",
    "trace": "import sys\nsys.settrace(lambda *_: None)",
    "handler of a signal": "import signal\nsignal.signal(signal.SIGALRM, signal.SIG_IGN)",
}


OPAQUE = {
    "iterator": "numbers = iter([1, 2])",
    "counter": "import itertools\nnumbers = itertools.count()",
    "generator": "numbers = (n for n in range(3))",
    "slots": "class Slots:\n    __slots__ = ('x', '__dict__')\nslots = Slots()",
    "cache": "@functools.lru_cache\ndef cached(n): return n",
    "large": "large = torch.zeros(1 << 20)",
    "large together": "large = [torch.zeros(200_000) for _ in range(30)]",
    "object that raises": "class Odd:\n    __dict__ = property(lambda self: 1 / 0)\nodd = Odd()",
    "many": "many = [[] for _ in range(30_000)]",
    "sparse": "sparse = torch.eye(3).to_sparse()",
    "of NumPy": "import numpy\nnumbers = numpy.random.default_rng(3)",
}


@pytest.fixture
def judge(process):
    """A snapshot of a notebook whose function `judged` has been called: ``judge(body, more)``."""
    snapshots = []

    def judged(body, more=""):
        lines = "\n    ".join(body.split("\n"))
        assert process.run_cell(f"{NOTEBOOK}\n{more}\ndef judged():\n    {lines}", 10, 10_000)["ok"]
        snapshots.append(process.snapshot(Narrowed(1 << 30, 60)))
        first = snapshots[-1].is_as_it_was()
        request = {"do": "call", "name": "judged", "measure": False, "parcel": pack(((), {}))}
        assert "error" not in snapshots[-1].request(request, 10)
        return first, snapshots[-1].is_as_it_was()

    yield judged
    for snapshot in snapshots:
        snapshot.close()


@pytest.mark.parametrize("body", HARMLESS.values(), ids=HARMLESS)
def test_what_leaves_nothing_behind(judge, body):
    """A process is as it was after calls that compute, and set back what they set."""
    assert judge(body) == (True, True)


@pytest.mark.parametrize("body", TRACES.values(), ids=TRACES)
def test_what_is_noticed(judge, body):
    """Changed names, objects, settings, random states, libraries and the interpreter are noticed."""
    assert judge(body) == (True, False)


@pytest.mark.parametrize("more", OPAQUE.values(), ids=OPAQUE)
def test_what_cannot_be_looked_into(judge, more):
    """Of a notebook with such a thing nothing is known, so that nobody shares its process."""
    assert judge("pass", more) == (False, False)


def test_a_module_beside_the_notebook_is_looked_into(start, tmp_path):
    """The names of a file that was handed in can change like those of the notebook."""
    (tmp_path / "beside.py").write_text("class Counter:\n    count = 0\ndef count(): Counter.count += 1\n")
    process = start(files=tmp_path)
    assert process.run_cell("import beside\ndef judged(): beside.count()", 10, 1000)["ok"]
    snapshot = process.snapshot(Narrowed(1 << 30, 60))
    assert snapshot.is_as_it_was()
    snapshot.request({"do": "call", "name": "judged", "measure": False, "parcel": pack(((), {}))}, 10)
    assert not snapshot.is_as_it_was()
    snapshot.close()


def test_one_that_does_not_answer_is_not_as_it_was(process):
    """A process that is gone, or whose interpreter is broken, is shared by nobody."""
    snapshot = process.snapshot(Narrowed(1 << 30, 60))
    snapshot.request({"do": "cell", "source": "import sys\nsys.modules.clear()", "output_limit": 1000}, 10)
    assert not snapshot.is_as_it_was()
    snapshot.kill()
    assert not snapshot.is_as_it_was()
    snapshot.close()


# ------------------------------------------------------------------------------------------ in a notebook

GRADER = "def test_values(submission): expect(submission.call({name!r}, 3)).equals({expected})\n"
NAMES = ("first", "second", "third")


@pytest.fixture
def grade(make_course, exercise_text, run_notebook, monkeypatch):
    """Grade three functions: their scores, and how many snapshots that took."""
    copies = []
    copy = SubmissionProcess.snapshot
    monkeypatch.setattr(SubmissionProcess, "snapshot", lambda *a, **k: copies.append(copy(*a, **k)) or copies[-1])

    def graded(*cells, expected="torch.ones(3)", limits=""):
        grader = {name: GRADER.format(name=name, expected=expected) for name in NAMES}
        course = make_course({name: (exercise_text("values") + limits, grader[name]) for name in NAMES})
        copies.clear()
        verdicts = run_notebook(course, *cells).verdicts
        return [verdicts[name].score for name in NAMES], len(copies)

    return graded


def answers(body="return torch.ones(n)", **others):
    for name in NAMES:
        yield f"def {name}(n):\n    {others.get(name, body)}"
        yield f"judge:{name}"


def test_exercises_share_a_snapshot(grade):
    """Exercises whose cells only define names, and which leave nothing behind, are judged in one snapshot."""
    assert grade(*answers()) == ([1, 1, 1], 1)


def test_a_wrong_answer_that_leaves_nothing_behind_shares_it_too(grade):
    """To be wrong, or to raise, is no change."""
    assert grade(*answers(first="return torch.zeros(n)", second="return 1 / 0")) == ([0, 0, 1], 1)


@pytest.mark.parametrize(
    "body", ["torch.set_default_dtype(torch.float64); return torch.ones(n)", "torch.ones = torch.zeros; return 3"]
)
def test_what_one_exercise_leaves_behind_reaches_no_other(grade, body):
    """After an exercise that has changed something the next one gets a snapshot of its own."""
    scores, snapshots = grade(*answers(first=body))
    assert scores[1:] == [1, 1]
    assert snapshots == 2


def test_an_exercise_that_a_later_cell_changes_is_judged_as_it_was(grade):
    """Before a cell that does more than to define new names, a snapshot is kept for the exercises above it."""
    scores, snapshots = grade(*answers(), "first = second = third = None")
    assert (scores, snapshots) == ([1, 1, 1], 1)
    first, second, third = zip(*[answers()] * 2, strict=True)
    assert grade(*first, *second, "del first", *third) == ([1, 1, 1], 2)


def test_processes_that_an_exercise_leaves_behind_are_ended(grade):
    """The next exercise finds none of them, and all that they could use."""
    body = "import os, time\n    if not os.fork(): time.sleep(60)\n    return torch.ones(n)"
    scores, _ = grade(*answers(first=body), limits="\nlimits: {processes: 1}\n")
    assert scores == [1, 1, 1]
