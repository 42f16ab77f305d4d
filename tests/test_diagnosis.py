import ast
import functools
import string
from pathlib import Path

import pytest
import torch

import tensorgrade.diagnosis
from tensorgrade.diagnosis.difference import Check, Opaque, diagnose, diagnose_dtype
from tensorgrade.diagnosis.pair import MAX_VALUES
from tensorgrade.diagnosis.raising import diagnose_error
from tensorgrade.diagnosis.sentences import SENTENCES
from tensorgrade.diagnosis.states import (
    Graph,
    diagnose_device,
    diagnose_gradient,
    diagnose_graph,
    diagnose_missing_gradient,
    diagnose_random_state,
    diagnose_replicas,
    diagnose_sharing,
    diagnose_wrapping,
    known_device,
)

FILES = list(Path(tensorgrade.diagnosis.__file__).parent.glob("*.py"))


def code(found):
    return found and found.code


# ---------------------------------------------------------------------------------------------- sentences


@pytest.mark.parametrize("name", SENTENCES)
def test_both_languages_say_the_same_facts(name):
    """A sentence is there in English and Chinese, with the same facts in both."""
    english, chinese = SENTENCES[name]
    facts = [{field for _, field, *_ in string.Formatter().parse(text) if field} for text in (english, chinese)]
    assert {fact.removesuffix("_zh") for fact in facts[0]} == {fact.removesuffix("_zh") for fact in facts[1]}
    assert any("\u4e00" <= letter <= "\u9fff" for letter in chinese)
    assert english.isascii()


def test_sentences_are_short():
    """A first-year student can read each at a glance."""
    assert max(len(english.split()) for english, _ in SENTENCES.values()) <= 40


def test_sentences_do_not_blame():
    """Nobody is told of a fault of theirs."""
    words = {word.strip(".,:;?").lower() for english, _ in SENTENCES.values() for word in english.split()}
    assert not words & {"you", "your", "forgot", "mistake", "fault", "careless", "stupid", "bad", "simply", "obviously"}


def test_every_code_that_is_given_has_a_sentence():
    """Codes of the package's source are those of the table."""
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in FILES]
    calls = [node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Call)]
    made = [call.args[0] for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Diagnosis"]
    constants = {node.value for part in made for node in ast.walk(part) if isinstance(node, ast.Constant)}
    named = {name for name in constants if isinstance(name, str)} - {"cpu"}
    assert named <= set(SENTENCES), named - set(SENTENCES)


def test_the_package_stands_alone():
    """It imports torch and the standard library, nothing else of the framework."""
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level > 1), file
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not {name.partition(".")[0] for name in names} & {"tensorgrade", "numpy", "nbgrader"}, file


def test_a_sentence_is_told_in_both_languages():
    """A diagnosis gives its sentences for any subject."""
    found = diagnose(torch.ones(2, 3), torch.ones(2, 3) * 2)
    assert found.sentences("second result", "第二个结果")[0].startswith("The second result is half")
    assert found.sentences("second result", "第二个结果")[1].startswith("第二个结果")


# --------------------------------------------------------------------------------------------- differences


@pytest.mark.parametrize(
    "value",
    [torch.eye(3), torch.tensor(float("nan")), torch.empty(0, 2), 3, 0.5, True, "a", None, [1, {"a": torch.ones(2)}]],
    ids=str,
)
def test_the_same_has_no_difference(value):
    """Nothing is said of what is right, NaN and empty tensors included."""
    assert diagnose(value, value) is None


def test_rounding_is_no_difference():
    """The tolerance is that of the dtypes unless another is given."""
    assert diagnose(torch.tensor([1 + 1e-6]), torch.ones(1)) is None
    assert code(diagnose(torch.tensor([1 + 1e-6]), torch.ones(1), Check(tolerance=(0.0, 0.0)))) == "imprecise"
    assert diagnose(torch.tensor([1.001]), torch.ones(1), Check(growth=1000)) is None


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (torch.tensor([[1.0, 2.0], [2.0, 5.0]]), torch.tensor([[1.0, 2.0], [2.0, 9.0]])),
        (torch.tensor(4.0), torch.tensor(5.5)),
        (torch.tensor([0.0, 0.0, 3.0]), torch.tensor([0.0, 0.0, 5.0])),
        (torch.empty(0, 2), torch.empty(2, 0)),
        (torch.full((3,), 5.0), torch.full((3,), 8.0)),
    ],
)
def test_little_evidence_is_not_overstated(got, expected):
    """Symmetric, tiny, empty and constant tensors get no explanation that any other would fit as well."""
    told = {
        "transposed",
        "permuted",
        "offset",
        "factor",
        "order",
        "flipped",
        "shifted",
        "unbiased",
        "biased",
        "reshaped",
    }
    told -= {"factor"} if bool((got == 0).any()) else set()
    assert code(diagnose(got, expected)) not in told


def test_large_tensors_are_not_searched():
    """Beyond a bound only what differs is said, whatever could be found."""
    x = torch.arange(MAX_VALUES + 1.0)
    assert code(diagnose(2 * x, x)) == "values"
    assert code(diagnose(x[None], x)) == "shape"


@pytest.mark.parametrize("dtype", [torch.uint64, torch.float8_e4m3fn, torch.complex64, torch.bool, torch.int8])
def test_any_dtype_is_compared(dtype):
    """Unusual dtypes get a true answer as well."""
    got, expected = torch.tensor([1.0, 0.0]).to(dtype), torch.tensor([1.0, 1.0]).to(dtype)
    assert code(diagnose(got, expected)) in {"values", "some"}


def test_values_that_float64_does_not_hold():
    """Integers beyond 2**53 are compared as they are."""
    big = torch.tensor([2**60])
    assert code(diagnose(big + 1, big)) == "values"
    assert diagnose(big, big) is None


def test_many_wrong_items_are_bounded():
    """A long list of wrong numbers is explained by its first, without looking at the others."""
    found = diagnose(list(range(1, 100_001)), list(range(100_000)))
    assert (found.code, found.inside) == ("one-too-large", True)


def test_opaque_values_differ():
    """An object of which only the type is known is never right."""
    assert diagnose(Opaque("Linear"), torch.ones(1)).facts["got"] == "Linear"
    assert code(diagnose([Opaque("Linear")], [3])) == "type"
    assert code(diagnose(Opaque("torch.Tensor"), torch.ones(1))) == "unread"


@pytest.mark.parametrize(
    ("got", "expected", "name"),
    [
        (torch.float64, torch.float32, "dtype-float64"),
        (torch.int64, torch.float32, "dtype-integer"),
        (torch.float32, torch.int64, "dtype-float"),
        (torch.bool, torch.int64, "dtype-bool"),
        (torch.int32, torch.int64, "dtype"),
        (torch.float32, torch.float64, "dtype"),
        (torch.int8, torch.int8, None),
    ],
)
def test_dtypes(got, expected, name):
    """A wrong dtype is told with its usual cause."""
    assert code(diagnose_dtype(got, expected)) == name


# -------------------------------------------------------------------------------------------------- states


def graph_of(tensor):
    return Graph(tensor.dtype, tensor.requires_grad, tensor.is_leaf)


def test_why_no_gradient_flows():
    """Integers cannot have one, a cut graph has none, and a graph that is there is fine."""
    x = torch.ones(2, requires_grad=True)
    assert diagnose_graph(graph_of(x * 2)) is None
    assert code(diagnose_graph(graph_of((x * 2).long()))) == "no-graph-integer"
    assert code(diagnose_graph(graph_of((x * 2).detach()), argument_requires_grad=True)) == "graph-cut"
    assert code(diagnose_graph(graph_of(torch.ones(1)))) == "no-graph"


def test_why_a_gradient_is_missing():
    """A tensor that is no leaf, one that requires none, and one that `backward` did not reach."""
    x = torch.ones(2, requires_grad=True)
    assert code(diagnose_missing_gradient(graph_of(x * 2))) == "grad-of-non-leaf"
    assert code(diagnose_missing_gradient(graph_of(torch.ones(1)))) == "no-graph"
    assert code(diagnose_missing_gradient(graph_of(x))) == "grad-missing"


def test_a_gradient_that_was_added():
    """`backward` adds to what is in `.grad`."""
    x = torch.tensor([1.0, 3.0], requires_grad=True)
    (x**2).sum().backward()
    right = x.grad.clone()
    (x**2).sum().backward()
    assert code(diagnose_gradient(x.grad, right)) == "grad-doubled"
    x.grad = torch.tensor([5.0, 0.0])
    (x**2).sum().backward()
    assert code(diagnose_gradient(x.grad, right, before=torch.tensor([5.0, 0.0]))) == "grad-accumulated"
    assert diagnose_gradient(right, right) is None
    assert diagnose_gradient(right * 5, right) is None


def test_memory_and_random_state():
    """Copies, views and the global random state."""
    assert code(diagnose_sharing(shares=True, wanted=False)) == "shared"
    assert code(diagnose_sharing(shares=False, wanted=True)) == "not-shared"
    assert diagnose_sharing(shares=True, wanted=True) is None
    before = torch.get_rng_state().numpy().tobytes()
    assert diagnose_random_state(before, before) is None
    assert code(diagnose_random_state(before, before[:-1] + b"x")) == "random-state"


@pytest.mark.parametrize(
    ("got", "expected", "name"),
    [
        ("cpu", "cuda:0", "on-cpu"),
        ("cuda:0", "cpu", "on-accelerator"),
        ("cuda:1", "cuda:0", "other-index"),
        ("mps:0", "cuda:0", "device"),
        ("cuda:0", "cuda:0", None),
    ],
)
def test_devices(got, expected, name):
    """Where a tensor is, of those that may be named."""
    assert code(diagnose_device(got, expected)) == name


def test_only_known_devices_are_named():
    """A device's name carries no message."""
    assert [known_device(name) for name in ("cpu", "cuda:15", "mps")] == ["cpu", "cuda:15", "mps"]
    for name in ("cuda:16", "cuda:4711", "privateuseone:1", "cuda:1x", "cuda:²", "canary"):
        assert known_device(name) == "another device"


@pytest.mark.parametrize(
    ("got", "expected", "name"),
    [
        (None, (0, 1), "not-wrapped"),
        ((0,), None, "wrapped-for-one"),
        ((1, 0), (0, 1), "device-ids-order"),
        ((0,), (0, 1), "device-ids-missing"),
        ((0, 2), (0, 1), "device-ids"),
        ((0, 1), (0, 1), None),
        (None, None, None),
    ],
)
def test_wrapping(got, expected, name):
    """Whether a model is wrapped, and for which devices."""
    assert code(diagnose_wrapping(got, expected)) == name


def test_replicas():
    """What replicas get."""
    assert diagnose_replicas((3, 2), (3, 2)) is None
    assert code(diagnose_replicas((2, 3), (3, 2))) == "replica-sizes"
    assert code(diagnose_replicas((3, 3), (3, 2))) == "replica-sum"


# ---------------------------------------------------------------------------------------------- exceptions

LEAF = torch.ones(2, requires_grad=True)


def second_backward():
    y = (LEAF**2).sum()
    y.backward()
    y.backward()


@pytest.mark.parametrize(
    ("program", "name"),
    [
        (lambda: torch.ones(2) + torch.ones(3), "raised-sizes"),
        (lambda: torch.ones(2, 3) @ torch.ones(2, 3), "raised-sizes"),
        (lambda: torch.ones(2, 3).reshape(5), "raised-sizes"),
        (lambda: torch.cat([torch.ones(2, 3), torch.ones(2, 4)]), "raised-sizes"),
        (lambda: torch.stack([torch.ones(2), torch.ones(3)]), "raised-sizes"),
        (lambda: torch.ones(2).sum(3), "raised-dimension"),
        (lambda: torch.ones(2, 2) @ torch.ones(2, 2).double(), "raised-dtypes"),
        (functools.partial(LEAF.add_, 1), "raised-leaf-in-place"),
        (second_backward, "raised-second-backward"),
        (torch.ones(1).backward, "raised-no-graph"),
        ((LEAF * 2).backward, "raised-not-scalar"),
        (torch.ones(2).item, "raised-not-scalar"),
        (torch.ones(2).__bool__, "raised-many-as-bool"),
        (lambda: list(range(1))[1], None),
    ],
)
def test_what_torch_says_is_understood(program, name):
    """Exceptions that torch really raises are told by their meaning."""
    with pytest.raises((RuntimeError, IndexError)) as caught:
        program()
    assert code(diagnose_error(type(caught.value).__name__, str(caught.value))) == name


def test_an_answer_that_is_not_there():
    """The error of a starter is told as such; another one's text is not believed."""
    assert code(diagnose_error("NotImplementedError", "")) == "raised-not-implemented"
    assert diagnose_error("ValueError", "size mismatch") is None
