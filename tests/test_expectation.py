import dataclasses
import math
from collections import OrderedDict

import pytest
import torch
from torch import nn

from tensorgrade.errors import GraderError, ProtocolError
from tensorgrade.expectation import expect
from tensorgrade.findings import Mismatch
from tensorgrade.observation import DTYPES, ObservedObject, ObservedTensor, read
from tensorgrade.observer import Observer
from tensorgrade.parcel import pack
from tensorgrade.showing import shown, shown_call, wrong_places
from tensorgrade.submission import Attempt, RaisedError


def observe(value):
    return read(Observer().describe(value))


def attempt(value=None, *, error=None, before=(), after=(), keywords_before=None, keywords=None):
    observer = Observer()
    told = [read(observer.describe(part)) for part in (value, list(after), keywords or {})]
    return Attempt(
        name="f",
        value=told[0],
        error=error,
        arguments=tuple(told[1]),
        keywords=told[2],
        sent=pack((tuple(before), keywords_before or {})),
    )


def finding_of(check):
    with pytest.raises(Mismatch) as caught:
        check()
    return caught.value.finding


# ----------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("got", "expected"),
    [
        (torch.eye(2), torch.eye(2)),
        (torch.eye(2, dtype=torch.int8), torch.eye(2)),
        (torch.eye(2, dtype=torch.bool), torch.eye(2)),
        (torch.tensor([math.nan, math.inf]), torch.tensor([math.nan, math.inf])),
        (torch.empty(0, 3), torch.empty(0, 3)),
        (torch.tensor(1 + 2j), torch.tensor(1 + 2j)),
        (torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True)),
        (True, True),
        (3, 3),
        (0.5, 0.5),
        (math.nan, math.nan),
        ("text", "text"),
        (None, None),
        ([1, torch.ones(1)], [1, torch.ones(1)]),
        ((1, (2,)), (1, (2,))),
        ({"a": torch.ones(1)}, {"a": torch.ones(1)}),
        (torch.float32, torch.float32),
    ],
)
def test_equals_accepts_the_same(got, expected):
    """The same values and shapes pass, whatever the dtype of a tensor."""
    expect(observe(got)).equals(expected).close_to(expected)


@pytest.mark.parametrize(
    ("got", "expected", "code"),
    [
        (torch.eye(2), torch.ones(2, 2), "some"),
        (torch.ones(2), torch.ones(2) + 1e-6, "imprecise"),
        (torch.tensor([0.0]), torch.tensor([math.nan]), "values"),
        (torch.tensor([2**53 + 1]), torch.tensor([2**53]), "values"),
        (torch.ones(2), torch.ones(2, 1), "squeezed"),
        (torch.ones(()), torch.ones(1), "squeezed"),
        (torch.ones(0, 2), torch.ones(2, 0), "shape"),
        (torch.arange(6.0).reshape(2, 3), torch.arange(6.0).reshape(2, 3).t(), "transposed"),
        (torch.tensor([3.0, 5.0]), torch.tensor([1.0, 7.0]), "values"),
        ([1.0, 2.0], torch.ones(2), "type"),
        (1, 2.0, "type"),
        (7.5, 0.25, "unequal"),
        ([1, 2], [1, 7], "unequal"),
        ({"a": 1}, {"a": 9}, "unequal"),
        (torch.eye(2).to_sparse(), torch.eye(2), "unread"),
        (None, torch.ones(1), "nothing"),
        ([1.0], torch.ones(1), "tensor-as-data"),
        (None, [1], "nothing"),
        (1, True, "other-number"),
        (1, 1.0, "other-number"),
        (0.5, 0.25, "doubled"),
        ("a", "b", "unequal"),
        ((1,), [1], "other-container"),
        ([1], [1, 2], "item-missing"),
        ([1, 2], [1, 3], "one-too-small"),
        ({"a": 1}, {"b": 1}, "keys-other"),
        ([torch.ones(1)], [torch.zeros(1)], "one-too-large"),
    ],
)
def test_equals_names_what_is_different(got, expected, code):
    """A wrong shape, type, value or item raises Mismatch with its own finding."""
    assert finding_of(lambda: expect(observe(got)).equals(expected)).code == code


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64])
def test_close_to_allows_rounding_of_the_dtype(dtype):
    """One unit in the last place is rounding; an error of many of them is not."""
    expected = torch.full((3,), 1.7, dtype=torch.complex128 if dtype.is_complex else torch.float64)
    epsilon = torch.finfo(dtype).eps
    expect(observe((expected * (1 + epsilon)).to(dtype))).close_to(expected)
    wrong = (expected * (1 + 3 * epsilon**0.4)).to(dtype)
    code = "values" if epsilon > 1e-4 else "imprecise"
    assert finding_of(lambda: expect(observe(wrong)).close_to(expected)).code == code


def test_close_to_allows_more_for_more_terms():
    """The tolerance grows with the square root of the number of terms."""
    got = observe(torch.tensor([1 + 5e-5]))
    assert finding_of(lambda: expect(got).close_to(torch.ones(1))).code == "imprecise"
    expect(got).close_to(torch.ones(1), terms=100)
    assert finding_of(lambda: expect(got).close_to(torch.ones(1), terms=9)).code == "imprecise"


def test_close_to_is_exact_for_integers():
    """Integers and bools do not round."""
    assert (
        finding_of(lambda: expect(observe(torch.tensor([1]))).close_to(torch.tensor([2]), terms=10**6)).code == "halved"
    )
    assert finding_of(lambda: expect(observe(3)).close_to(4, terms=10**6)).code == "one-too-small"


def test_close_to_compares_floats():
    """Plain floats have the tolerance of float64."""
    expect(observe(0.1 + 0.2)).close_to(0.3)
    assert finding_of(lambda: expect(observe(0.3001)).close_to(0.3)).code == "imprecise"


# ------------------------------------------------------------------------------------------- properties


LEAF = torch.ones(2, 3, requires_grad=True)


@pytest.mark.parametrize(
    ("got", "right", "wrong", "code"),
    [
        (LEAF, lambda e: e.is_tensor(), None, None),
        (1.0, None, lambda e: e.is_tensor(), "type"),
        (None, None, lambda e: e.is_tensor(), "nothing"),
        (LEAF, lambda e: e.has_shape(2, 3), lambda e: e.has_shape(3, 2), "shape"),
        (LEAF, lambda e: e.has_dtype(torch.float32), lambda e: e.has_dtype(torch.float64), "dtype"),
        (LEAF, lambda e: e.on_device("cpu"), lambda e: e.on_device("cuda:0"), "on-cpu"),
        (nn.Linear(1, 1), lambda e: e.on_device("cpu"), lambda e: e.on_device(torch.device("cuda", 0)), "on-cpu"),
        (LEAF, lambda e: e.requires_grad(), lambda e: e.requires_grad(False), "in-graph"),
        (torch.ones(1), lambda e: e.requires_grad(False), lambda e: e.requires_grad(), "no-graph"),
        (torch.ones(1).int(), lambda e: e.requires_grad(False), lambda e: e.requires_grad(), "no-graph-integer"),
        (LEAF, lambda e: e.is_leaf(), None, None),
        (LEAF * 2, None, lambda e: e.is_leaf(), "not-leaf"),
    ],
)
def test_properties(got, right, wrong, code):
    """Each property passes where it holds and raises its finding where it does not."""
    if right is not None:
        right(expect(observe(got)))
    if wrong is not None:
        assert finding_of(lambda: wrong(expect(observe(got)))).code == code


def test_sharing_memory():
    """A view shares memory, a copy does not; both can be asked for."""
    base = torch.zeros(4)
    first, view, copied = observe([base, base[1:], base.clone()])
    expect(view).shares_storage_with(first)
    expect(copied).shares_storage_with(first, wanted=False)
    assert finding_of(lambda: expect(copied).shares_storage_with(first)).code == "not-shared"
    assert finding_of(lambda: expect(view).shares_storage_with(first, wanted=False)).code == "shared"
    with pytest.raises(GraderError):
        expect(view).shares_storage_with(3)


def test_being_the_same_object():
    """The very object passes, an equal one does not."""
    model = nn.Linear(1, 1)
    first, same, other, nothing = observe([model, model, nn.Linear(1, 1), None])
    expect(same).is_same_object_as(first)
    assert finding_of(lambda: expect(other).is_same_object_as(first)).code == "not-same"
    assert finding_of(lambda: expect(nothing).is_same_object_as(first)).code == "nothing"
    with pytest.raises(GraderError):
        expect(first).is_same_object_as(3)


def test_checks_chain():
    """A check returns the expectation, and the first that fails is told."""
    chain = expect(observe(LEAF)).is_tensor().has_shape(2, 3).has_dtype(torch.float32).on_device("cpu")
    chain.requires_grad().is_leaf().equals(torch.ones(2, 3)).close_to(torch.ones(2, 3))
    assert finding_of(lambda: chain.has_shape(1).has_dtype(torch.int8)).code == "shape"


def test_what_was_passed_in_explains_more():
    """The arguments of an attempt tell that nothing was changed, or that the graph was cut."""
    x = torch.tensor([1.0, -2.0, 5.0], requires_grad=True)
    call = attempt(x.detach(), before=[x], after=[x])
    assert finding_of(lambda: expect(call).equals(torch.tensor([9.0, 4.0, 1.0]))).code == "unchanged"
    assert finding_of(lambda: expect(call).requires_grad()).code == "graph-cut"


def test_a_wrong_item_is_told_as_such():
    """What is wrong with one item of a container is not said of the whole."""
    found = finding_of(lambda: expect(observe([1.0, -2.0])).equals([1.0, 2.0]))
    assert found.code == "sign"
    assert "first wrong item of the result" in found.text.en
    assert "结果中第一个错误的项" in found.text.zh


def test_a_device_that_nobody_has_is_not_repeated():
    """An index may carry a message: only small ones are told."""
    for index, told in ((3, True), (16, False), (4711, False)):
        got = dataclasses.replace(observe(torch.ones(1)), device=f"cuda:{index}")
        text = finding_of(lambda got=got: expect(got).on_device("cpu"))
        assert (str(index) in text.text.en) is told


def test_the_subject_is_named():
    """A finding says which value it is about, in both languages."""
    found = finding_of(lambda: expect(observe(None), "second result", "第二个结果").is_tensor())
    assert "second result" in found.text.en
    assert "第二个结果" in found.text.zh


# --------------------------------------------------------------------------------------------- attempts


def test_raising():
    """The error or a subclass passes; none, or another, does not."""
    raised = attempt(error=RaisedError(("IndexError", "LookupError", "Exception", "BaseException"), "text"))
    expect(raised).raises(IndexError).raises(LookupError)
    assert finding_of(lambda: expect(raised).raises(ValueError)).code == "wrong-error"
    assert finding_of(lambda: expect(attempt(1)).raises(ValueError)).code == "not-raised"
    assert finding_of(lambda: expect(raised).is_tensor()).code == "raised"
    assert finding_of(lambda: expect(raised).leaves_arguments()).code == "raised"
    with pytest.raises(GraderError):
        expect(observe(1)).raises(ValueError)


def changed_module(change):
    model = nn.BatchNorm1d(1)
    change(model)
    return model


def with_grad(value):
    tensor = torch.ones(2)
    tensor.grad = None if value is None else torch.full((2,), value)
    return tensor


@pytest.mark.parametrize(
    ("before", "after", "aspect"),
    [
        (torch.ones(2), torch.zeros(2), "values"),
        (torch.tensor([0.0]), torch.tensor([-0.0]), "values"),
        (torch.tensor(True), torch.tensor(False), "values"),
        (torch.tensor([1 + 2j]), torch.tensor([1 - 2j]), "values"),
        (torch.ones(2), torch.ones(2, 1), "shape"),
        (torch.ones(2), torch.ones(2, dtype=torch.float64), "dtype"),
        (torch.ones(2, 2), torch.ones(2, 2).t(), "strides"),
        (torch.ones(2), torch.ones(2, requires_grad=True), "requires_grad"),
        (torch.ones(2, requires_grad=True), torch.ones(2, requires_grad=True) * 1, "place in the graph"),
        (with_grad(None), with_grad(1.0), ".grad"),
        (with_grad(1.0), with_grad(2.0), ".grad"),
        (with_grad(1.0), with_grad(None), ".grad"),
        (nn.BatchNorm1d(1), changed_module(lambda m: m.eval()), "training mode"),
        (nn.BatchNorm1d(1), changed_module(lambda m: m.weight.data.fill_(2)), "values"),
        (nn.BatchNorm1d(1), changed_module(lambda m: m.running_mean.fill_(2)), "values"),
        (nn.BatchNorm1d(1), changed_module(lambda m: m.requires_grad_(False)), "requires_grad"),
        (nn.BatchNorm1d(1), changed_module(lambda m: setattr(m, "bias", None)), "content"),
        ([1, 2], [1, 2, 3], "content"),
        ([1, 2], [1, 3], "content"),
        ([True], [1], "content"),
        ({"a": 1}, {"b": 1}, "content"),
        ({"a": [1]}, {"a": [2]}, "content"),
        ([torch.ones(1)], [torch.zeros(1)], "values"),
        ([torch.ones(1)], [None], "content"),
    ],
)
def test_changed_arguments_are_noticed(before, after, aspect):
    """Whatever is different in an argument, positional or keyword, is named."""
    for call in (
        attempt(before=[0, before], after=[0, after]),
        attempt(keywords_before={"x": before}, keywords={"x": after}),
    ):
        found = finding_of(lambda call=call: expect(call).leaves_arguments())
        assert found.code == "argument"
        assert aspect in found.text.en


@pytest.mark.parametrize(
    "value", [torch.tensor([math.nan]), torch.empty(0), nn.BatchNorm1d(1), [1, {"a": (math.nan, None)}], abs, "text"]
)
def test_untouched_arguments_pass(value):
    """An argument that is as it was passes, NaN included."""
    expect(attempt(before=[value], after=[value])).leaves_arguments()


def test_changed_content_of_other_containers_is_noticed():
    """The content of a subclass of list or dict counts as well."""
    call = attempt(before=[OrderedDict(a=1)], after=[OrderedDict(a=2)])
    assert finding_of(lambda: expect(call).leaves_arguments()).code == "argument"


# --------------------------------------------------------------------------------------------- findings


SECRETS = (torch.tensor([[4711.0]]), 4711, 4711.5, "4711", [4711], {"4711": 4711}, (torch.tensor(4711),))


@pytest.mark.parametrize("expected", SECRETS, ids=repr)
@pytest.mark.parametrize("got", [None, 1, 1.0, "x", [1], (1,), {"a": 1}, torch.ones(1), torch.ones(1, 1)], ids=repr)
def test_a_finding_never_holds_an_expected_value(got, expected):
    """The sentence for the student has nothing of the expected value; the detail for the author has."""
    for check in ("equals", "close_to"):
        found = finding_of(lambda check=check: getattr(expect(observe(got)), check)(expected))
        assert "4711" not in found.text.en + found.text.zh


def test_a_finding_never_holds_an_expected_property():
    """Neither the shape, the dtype nor the device that is asked for is told."""
    for check in (
        lambda e: e.has_shape(4711),
        lambda e: e.has_dtype(torch.complex128),
        lambda e: e.on_device("cuda:47"),
    ):
        text = finding_of(lambda check=check: check(expect(observe(LEAF)))).text
        assert not {"4711", "complex128", "cuda"} & set(text.en.replace(":", " ").split())


@pytest.mark.parametrize(
    "name", ["canary", "__main__.canary", "torch.canary", "torch.nn.canary", "collections.canary", "numpy.canary.x"]
)
def test_a_finding_never_holds_a_made_up_type_name(name):
    """A class of the student's is just an object, whatever module it claims to come from."""
    lie = ObservedObject(name, 0)
    raised = attempt(error=RaisedError((name, "ValueError", "Exception", "BaseException"), "canary"))
    texts = [
        finding_of(lambda: expect(lie).is_tensor()).text,
        finding_of(lambda: expect(lie).equals(1)).text,
        finding_of(lambda: expect(raised).is_tensor()).text,
        finding_of(lambda: expect(raised).raises(KeyError)).text,
    ]
    assert not any("canary" in text.en + text.zh for text in texts)
    assert "ValueError" in texts[2].en


@pytest.mark.parametrize("lie", [{"device": "canary"}, {"values": None, "unread": "canary"}], ids=str)
def test_a_finding_never_holds_a_made_up_fact(lie):
    """What a forged observation says of its device or of its missing values is refused or not repeated."""
    kind, *facts = Observer().describe(torch.ones(1))
    names = [field.name for field in dataclasses.fields(ObservedTensor)]
    try:
        got = read([kind, *{**dict(zip(names, facts, strict=True)), **lie}.values()])
    except ProtocolError:
        return
    check = "on_device" if "device" in lie else "equals"
    text = finding_of(lambda: getattr(expect(got), check)(torch.ones(1))).text
    assert "canary" not in text.en + text.zh


def test_public_types_are_named():
    """Types of Python and torch are named as a student knows them."""
    assert "Parameter" in finding_of(lambda: expect(observe(nn.Parameter(torch.ones(1)))).equals(1)).text.en
    assert "Linear" in finding_of(lambda: expect(observe(nn.Linear(1, 1))).is_tensor()).text.en
    assert "Tensor" in finding_of(lambda: expect(observe(torch.ones(1))).equals(1)).text.en
    assert "Size" in finding_of(lambda: expect(observe(torch.Size([1]))).is_tensor()).text.en


# ------------------------------------------------------------------------------------ gradients and other states


def with_gradient(values, grad):
    tensor = torch.tensor(values, requires_grad=True)
    tensor.grad = None if grad is None else torch.tensor(grad)
    return observe(tensor)


def test_a_gradient_is_compared():
    """`has_gradient` compares `.grad` up to rounding and says how one was accumulated or why there is none."""
    right = torch.tensor([2.0, 6.0], dtype=torch.float64)
    expect(with_gradient([1.0, 3.0], [2.0, 6.0])).has_gradient(right)
    for observed, before, code in (
        (with_gradient([1.0, 3.0], None), None, "grad-missing"),
        (observe(torch.ones(2)), None, "no-graph"),
        (observe(torch.ones(2, requires_grad=True) * 2), None, "grad-of-non-leaf"),
        (with_gradient([1.0, 3.0], [4.0, 12.0]), None, "grad-doubled"),
        (with_gradient([1.0, 3.0], [7.0, 6.0]), torch.tensor([5.0, 0.0]), "grad-accumulated"),
        (with_gradient([1.0, 3.0], [-2.0, -6.0]), None, "sign"),
        (observe([1]), None, "type"),
    ):
        found = finding_of(lambda seen=observed, first=before: expect(seen).has_gradient(right, before=first))
        assert found.code == code
        assert found.evidence is not None


def test_the_random_state_is_compared():
    """`leaves_random_state` passes for the state there was before."""
    states = [torch.get_rng_state(), torch.get_rng_state().flip(0)]
    before, other = map(observe, states)
    expect(observe(states[0])).leaves_random_state(before)
    assert finding_of(lambda: expect(other).leaves_random_state(before)).code == "random-state"
    unread = observe(torch.empty(3, device="meta"))
    assert finding_of(lambda: expect(unread).leaves_random_state(unread)).code == "unread"
    with pytest.raises(GraderError):
        expect(before).leaves_random_state(None)


def test_wrapping_and_replicas_are_compared():
    """Lists of numbers tell for which devices a model is wrapped and how a batch is divided."""
    expect(observe([0, 1])).is_wrapped_for([0, 1])
    expect(observe(None)).is_wrapped_for(None)
    expect(observe([3, 2])).has_replica_sizes([3, 2])
    assert finding_of(lambda: expect(observe(None)).is_wrapped_for([0, 1])).code == "not-wrapped"
    assert finding_of(lambda: expect(observe([1, 0])).is_wrapped_for([0, 1])).code == "device-ids-order"
    assert finding_of(lambda: expect(observe([3, 3])).has_replica_sizes([3, 2])).code == "replica-sum"
    assert finding_of(lambda: expect(observe((3, 2))).has_replica_sizes([3, 2])).code == "type"
    assert finding_of(lambda: expect(observe([3, True])).has_replica_sizes([3, 1])).code == "unequal"


# ----------------------------------------------------------------------------------------------------- evidence


def test_evidence_holds_both_values():
    """A finding of values has the texts and shapes of both, and where the values are wrong."""
    found = finding_of(lambda: expect(observe(torch.tensor([[1.0, 2.0]]))).equals(torch.tensor([[1.0, 5.0]])))
    evidence = found.evidence
    assert (evidence.got, evidence.expected) == ("tensor([[1., 2.]])", "tensor([[1., 5.]])")
    assert (evidence.got_shape, evidence.expected_shape) == ((1, 2), (1, 2))
    assert (evidence.wrong.shares, evidence.wrong.shape) == (((0.0, 1.0),), (1, 2))
    assert evidence.call is evidence.error is None


def test_evidence_of_an_item_is_about_the_item():
    """In a container it is the first wrong item that is shown."""
    evidence = finding_of(lambda: expect(observe([1.0, torch.ones(3)])).equals([1.0, torch.zeros(3)])).evidence
    assert (evidence.got, evidence.expected) == ("tensor([1., 1., 1.])", "tensor([0., 0., 0.])")


@pytest.mark.parametrize("kind", sorted(DTYPES))
def test_every_dtype_can_be_shown(kind):
    """The text of a tensor is there for all dtypes that are observed, small and large."""
    for size in (2, 100):
        raw = torch.zeros(size * DTYPES[kind].itemsize, dtype=torch.uint8)
        tensor = raw.ne(0) if kind == "bool" else raw.view(DTYPES[kind])
        assert "tensor" in shown(observe(tensor))


def test_texts_are_bounded():
    """However large or deep a value is, its text is short."""
    deep = 1
    for level in range(25):
        deep = [deep, deep] if level % 5 == 0 else {"key": deep}
    values = (torch.ones(1000, 1000), "long" * 10_000, list(range(10_000)), deep, [1] * 9_000, 10**1000, b"x" * 999)
    for value in values:
        assert len(shown(observe(value))) <= 300
        assert len(shown_call("f", [observe(value)] * 9, {"more": observe(value)})) <= 300


def test_nothing_of_a_type_is_shown_but_public_names():
    """A class that could carry a message is an object, in a call as well."""
    named = type("Secret", (), {"__module__": "secret", "__repr__": lambda self: "secret"})
    assert shown(observe(named())) == "<object>"
    assert shown_call("f", map(observe, (named(), nn.Linear(1, 1), len))) == "f(<object>, <Linear>, <function>)"


@pytest.mark.parametrize("shape", [(5,), (1, 40), (40, 3), (2, 3, 50, 60), (17,)])
def test_a_grid_is_small_and_exact_in_total(shape):
    """At most 16 by 16 shares, between 0 and 1, whose mean is that of all values where each has as many."""
    wrong = torch.zeros(shape, dtype=torch.bool)
    assert {share for row in wrong_places(wrong).shares for share in row} == {0.0}
    grid = wrong_places(~wrong)
    assert {share for row in grid.shares for share in row} == {1.0}
    assert len(grid.shares) <= 16
    assert max(map(len, grid.shares)) <= 16
    assert grid.shape == shape
    assert wrong_places(torch.tensor(True)) is None
    assert wrong_places(torch.zeros(0, 2, dtype=torch.bool)) is None
