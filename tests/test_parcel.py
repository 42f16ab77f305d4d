import importlib.util
import subprocess
import sys
import threading

import pytest
import torch
from torch import nn

from tensorgrade.errors import GraderError
from tensorgrade.parcel import imported_submodules, pack, unpack


def sent(value):
    return unpack(pack(value))


def memory_of(tensor):
    return tensor.untyped_storage().data_ptr()


@pytest.fixture
def grader(tmp_path):
    """A module that the other side cannot import."""
    file = tmp_path / "hidden_grader.py"
    file.write_text(
        "OFFSET = 3\n\n\ndef shift(x):\n    return helper(x) + OFFSET\n\n\ndef helper(x):\n    return 2 * x\n"
    )
    spec = importlib.util.spec_from_file_location("hidden_grader", file)
    module = importlib.util.module_from_spec(spec)
    sys.modules["hidden_grader"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["hidden_grader"]


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(2.5),
        torch.empty(0, 3),
        torch.arange(6).reshape(2, 3).t(),
        torch.arange(10)[2::3],
        torch.arange(3).expand(2, 3),
        torch.tensor([True, False]),
        torch.tensor([1.0], dtype=torch.bfloat16),
        torch.tensor([1 + 2j]).conj(),
    ],
)
def test_values_and_layout_are_kept(tensor):
    """A tensor arrives with its values, dtype, strides and offset."""
    got = sent(tensor)
    assert torch.equal(got, tensor)
    assert (got.dtype, got.stride(), got.storage_offset()) == (tensor.dtype, tensor.stride(), tensor.storage_offset())


def test_aliasing_is_kept():
    """Views of one memory are still that, and writing to one shows in the other."""
    base = torch.zeros(4)
    got, view, other = sent([base, base[1:3], torch.zeros(4)])
    view.fill_(7)
    assert got.tolist() == [0, 7, 7, 0]
    assert other.tolist() == [0, 0, 0, 0]
    assert base.tolist() == [0, 0, 0, 0]


def test_one_tensor_twice_is_one_tensor():
    """The same object in two places arrives as the same object."""
    tensor = torch.ones(2)
    first, second = sent((tensor, tensor))
    assert first is second


def test_gradients_are_kept():
    """Requires_grad and .grad arrive, and the leaf works."""
    leaf = torch.ones(2, requires_grad=True)
    leaf.grad = torch.full((2,), 5.0)
    got = sent(leaf)
    assert (got.requires_grad, got.is_leaf, got.grad.tolist()) == (True, True, [5.0, 5.0])
    got.sum().backward()
    assert got.grad.tolist() == [6.0, 6.0]


def test_parameters_stay_parameters():
    """A Parameter arrives as one, frozen or not."""
    got, frozen = sent([nn.Parameter(torch.ones(1)), nn.Parameter(torch.ones(1), requires_grad=False)])
    assert type(got) is type(frozen) is nn.Parameter
    assert (got.requires_grad, frozen.requires_grad) == (True, False)


def test_modules_keep_tied_weights_and_modes():
    """A module arrives with its weights still tied, its mode, buffers and gradients."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval(), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    model[0].bias.grad = torch.ones(2)
    got = sent(model)
    assert got[2].weight is got[0].weight
    assert [child.training for child in got] == [True, False, True]
    assert got[0].bias.grad.tolist() == [1.0, 1.0]
    assert torch.equal(got(torch.ones(1, 2)), model(torch.ones(1, 2)))


def test_generators_keep_their_state():
    """A generator continues where it was."""
    generator = torch.Generator().manual_seed(3)
    torch.randn(5, generator=generator)
    got = sent(generator)
    assert torch.equal(torch.randn(3, generator=got), torch.randn(3, generator=generator))


def test_lambdas_travel():
    """A lambda arrives with what it closes over."""
    factor = torch.tensor(3.0)
    assert sent(lambda x: factor * x)(2) == 6


def test_functions_of_a_given_module_travel_by_value(grader):
    """A process that cannot import the grader can run its functions, and what they refer to."""
    parcel = pack(grader.shift, [grader])
    code = "import sys; from tensorgrade.parcel import unpack; print(unpack(sys.stdin.buffer.read())(5))"
    result = subprocess.run([sys.executable, "-c", code], input=parcel, capture_output=True, check=True)
    assert result.stdout.strip() == b"13"


def test_other_modules_are_referred_to_by_name(grader):
    """Only the modules that are given travel by value."""
    assert b"helper" in pack(grader.shift, [grader])
    assert b"helper" not in pack(grader.shift)


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(1, requires_grad=True) * 2,
        torch.ones(1).as_subclass(type("Mine", (torch.Tensor,), {})),
        threading.Lock(),
        (item for item in [1]),
    ],
    ids=["non-leaf", "subclass", "lock", "generator"],
)
def test_what_cannot_travel_is_the_graders_error(value):
    """A tensor with a graph, a tensor subclass and what cannot be pickled raise GraderError with the reason."""
    with pytest.raises(GraderError, match="cannot be sent"):
        pack([value])


@pytest.mark.parametrize("tensor", ["torch.eye(2).to_sparse()", "torch.empty(2, device='meta')"])
def test_tensors_without_memory_are_the_graders_error(tensor):
    """A sparse or meta tensor raises GraderError; it must not bring the trusted process down."""
    code = (
        "import torch\nfrom tensorgrade.parcel import pack\nfrom tensorgrade.errors import GraderError\n"
        f"try:\n    pack({tensor})\nexcept GraderError:\n    print('refused')\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (result.returncode, result.stdout.strip()) == (0, b"refused")


def functional(x):
    return torch.nn.functional.relu(x)


def data(x):
    return torch.utils.data.DataLoader(x), importlib.util


def nothing(x):
    return x.utils.data, torch


@pytest.mark.parametrize("function", [functional, data, nothing])
def test_the_submodules_of_a_function_are_those_of_cloudpickle(function):
    """What stands in for cloudpickle's own search finds the same modules."""
    spec = importlib.util.find_spec("cloudpickle.cloudpickle")
    original = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(original)
    modules = [torch, importlib, sys, nn]
    expected = original._find_imported_submodules(function.__code__, modules)
    assert set(imported_submodules(function.__code__, modules)) == set(expected)
