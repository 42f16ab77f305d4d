"""Which modules are imported before forks."""

import json
import subprocess
import sys

import pytest

from tensorgrade.late import LateImports, needed_by
from tensorgrade.zygote import ACCELERATORS

COMPILER, TENSORS, FORWARD = "torch._dynamo", "torch.distributed.tensor", "torch._decomp.decompositions_for_jvp"
FEATURES = {
    "plain": ("torch.einsum('ij,jk->ik', torch.eye(2), torch.eye(2))", ()),
    "module": ("torch.nn.DataParallel(torch.nn.Linear(2, 2))(torch.ones(1, 2)).sum().backward()", ()),
    "backward": ("x = torch.ones(2, requires_grad=True)\n(2 * x).backward(torch.ones(2))", ()),
    "grad": ("x = torch.ones(2, requires_grad=True)\ntorch.autograd.grad(2 * x, x, torch.ones(2))", ()),
    "vmap": ("torch.vmap(torch.sin)(torch.ones(2))", ()),
    "functional": ("torch.autograd.functional.vjp(torch.sin, torch.ones(2), torch.ones(2))", ()),
    "work": ("from tensorgrade.work import measure\nmeasure(torch.eye, 3)", ()),
    "optimizer": ("torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])", (COMPILER,)),
    "transform": ("torch.func.vjp(torch.sin, torch.ones(2))", (COMPILER,)),
    "forward": ("torch.func.jvp(torch.sin, (torch.ones(2),), (torch.ones(2),))", (COMPILER, FORWARD)),
    "dual": (
        "from torch.autograd import forward_ad as fw\nwith fw.dual_level(): fw.make_dual(*torch.ones(2, 1)).sin()",
        (FORWARD,),
    ),
    "check": ("torch.autograd.gradcheck(torch.sin, torch.ones(1, dtype=torch.float64, requires_grad=True))", ()),
    "comparison": ("torch.testing.assert_close(torch.ones(1), torch.ones(1))", (TENSORS,)),
}


@pytest.mark.parametrize(("feature", "modules"), FEATURES.values(), ids=FEATURES)
def test_features_of_answers_and_graders_tell(make_course, exercise_text, feature, modules):
    """What a notebook uses is for its cells to say; what a grader uses is imported for both sides, by its probes."""
    assert needed_by(["import torch", feature]) == modules
    answer = exercise_text("values").replace("solution: pass", f"solution: {json.dumps(feature)}")
    course = make_course({"task": (answer, "def test_values(): ...")})
    assert LateImports.of(course, "demo") == LateImports((), (), modules)
    course = make_course({"task": (exercise_text("values"), f"def probe(student):\n    {feature!r}")})
    if "\n" not in feature:
        assert LateImports.of(course, "demo") == LateImports(modules, modules)


def test_without_an_assignment_all_is_imported(make_course, exercise_text):
    """Nobody knows what an ordinary notebook needs, a whole course, or an assignment that cannot be read."""
    course = make_course({"task": (exercise_text("values"), "")})
    assert LateImports.of(course, None).submissions == (COMPILER, TENSORS, FORWARD, ACCELERATORS)
    assert LateImports.of(course, "unknown").submissions == (COMPILER, TENSORS, FORWARD, ACCELERATORS)


USE = """
import json, os, sys, torch
from tensorgrade.zygote import _import, _preload
_preload([])
for feature, modules in json.loads(sys.argv[1]):
    if os.fork() == 0:
        _import(modules)
        before = set(sys.modules)
        exec(feature)
        print(len(set(sys.modules) - before), flush=True)
        os._exit(0)
    os.wait()
"""


@pytest.fixture(scope="module")
def left():
    """How many modules each feature imports in a fork of a process that has those it needs, and the usual."""
    command = [sys.executable, "-c", USE, json.dumps(list(FEATURES.values()))]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return dict(zip(FEATURES, map(int, told.stdout.split()), strict=True))


@pytest.mark.parametrize("feature", FEATURES)
def test_nothing_large_is_left_to_import(feature, left):
    """With these modules and the usual, the feature imports next to nothing more in each fork."""
    assert left[feature] < 20
