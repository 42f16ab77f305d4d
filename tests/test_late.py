"""Which modules a zygote imports before it forks."""

import subprocess
import sys
from dataclasses import replace

import pytest

from tensorgrade.late import late_imports

ANSWERS = {
    "plain": ("torch.einsum('ij,jk->ik', torch.eye(2), torch.eye(2))", ()),
    "module": ("torch.nn.DataParallel(torch.nn.Linear(2, 2))(torch.ones(1, 2)).sum().backward()", ()),
    "vmap": ("torch.vmap(torch.sin)(torch.ones(2))", ()),
    "optimizer": ("torch.optim.SGD([torch.nn.Parameter(torch.ones(1))])", ("torch._dynamo",)),
    "transform": ("torch.func.vjp(torch.sin, torch.ones(2))", ("torch._dynamo",)),
    "comparison": ("torch.testing.assert_close(torch.ones(1), torch.ones(1))", ("torch.distributed.tensor",)),
    "functional": (
        "torch.autograd.functional.vjp(torch.sin, torch.ones(2), torch.ones(2))",
        ("torch.distributed.tensor",),
    ),
}


@pytest.fixture
def assignment(make_course, exercise_text):
    """An assignment whose solution uses a feature of torch."""

    def make(feature):
        loaded = make_course({"task": (exercise_text("values"), "def test_values(): ...")}).load("demo")
        answered = loaded.exercise("task").model_copy(update={"solution": f"import torch\n{feature}"})
        return replace(loaded, exercises=(answered,))

    return make


@pytest.mark.parametrize(("feature", "modules"), ANSWERS.values(), ids=ANSWERS)
def test_features_of_the_answers_tell(assignment, feature, modules):
    """What an assignment's own answers use is imported, and nothing else."""
    assert late_imports(assignment(feature)) == modules


def test_without_an_assignment_all_is_imported():
    """Nobody knows what an ordinary notebook needs."""
    assert set(late_imports(None)) == {"torch._dynamo", "torch.distributed.tensor"}


USE = "import importlib, sys, torch\nfor name in {modules}: importlib.import_module(name)\nbefore = set(sys.modules)\n"
USE += "{feature}\nprint(len(set(sys.modules) - before))"


@pytest.mark.parametrize(("feature", "modules"), ANSWERS.values(), ids=ANSWERS)
def test_nothing_large_is_left_to_import(feature, modules):
    """With the modules that are named, the feature imports next to nothing more."""
    code = USE.format(modules=modules, feature=feature)
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(told.stdout) < 20
