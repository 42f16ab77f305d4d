import collections
import copy
import dataclasses
import typing

import pytest
import torch
from torch import nn

from tensorgrade.codec import FrameReader, encode
from tensorgrade.errors import ProtocolError
from tensorgrade.observation import (
    DTYPES,
    MAX_INT_BITS,
    MAX_NAME,
    MAX_NODES,
    MAX_TEXT,
    MAX_VALUES,
    ObservedModule,
    ObservedObject,
    ObservedTensor,
    read,
)
from tensorgrade.observer import Observer


def over_the_wire(plain):
    reader = FrameReader()
    reader.feed(encode({"value": plain}))
    return reader.pop()["value"]


def observe(value):
    return read(over_the_wire(Observer().describe(value)))


def tensor_of(dtype):
    return torch.tensor([[0, 1, 2], [3, 1, 0]]).to(dtype)


def same_bytes(got, expected):
    return torch.equal(got.reshape(-1).view(torch.uint8), expected.contiguous().reshape(-1).view(torch.uint8))


class Pair(typing.NamedTuple):
    """A tuple of a subclass."""

    first: int
    second: int


class MyInt(int):
    """A number of a subclass."""


class MyTensor(torch.Tensor):
    """A tensor of a subclass."""


# ----------------------------------------------------------------------------------------------- tensors


@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("dtype", DTYPES.values(), ids=str)
def test_values_of_every_dtype_come_back(dtype):
    """A tensor comes back with its dtype, its shape and its bits."""
    got = observe(tensor_of(dtype))
    assert (got.dtype, got.shape, got.values.dtype) == (dtype, (2, 3), dtype)
    assert same_bytes(got.values, tensor_of(dtype))


@pytest.mark.parametrize(
    "tensor",
    [
        torch.tensor(1.5),
        torch.empty(0),
        torch.empty(3, 0, 2, dtype=torch.bool),
        torch.arange(12).reshape(3, 4).t(),
        torch.arange(12)[3::2],
        torch.arange(3).expand(4, 3),
        torch.tensor([1 + 2j]).conj(),
        torch.tensor([1 + 2j]).conj().imag,
    ],
)
def test_values_come_back_whatever_the_layout(tensor):
    """0-d, empty, transposed, sliced, expanded, conjugated and negated views come back as values and strides."""
    got = observe(tensor)
    assert torch.equal(got.values, tensor)
    assert (got.shape, got.stride, got.offset) == (tuple(tensor.shape), tensor.stride(), tensor.storage_offset())
    assert got.values.is_contiguous()


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (torch.zeros(1).expand(1 << 40), "too large"),
        (torch.eye(3).to_sparse(), "sparse_coo"),
        (torch.empty(2, 3, device="meta"), "meta"),
    ],
    ids=["giant", "sparse", "meta"],
)
def test_values_that_cannot_be_sent_are_left_out(tensor, reason):
    """Too large, sparse and meta tensors are described without values, with the reason."""
    got = observe(tensor)
    assert got.values is None
    assert reason in got.unread
    assert got.shape == tuple(tensor.shape)


def test_all_values_of_a_reply_together_are_bounded():
    """Many views of one giant cannot make a reply larger than a frame."""
    big = torch.zeros(1 << 20).expand(4, 1 << 20)
    got = observe([big, big, big])
    assert [item.values is None for item in got] == [False, False, True]


def test_autograd_facts():
    """Requires_grad, is_leaf, the node's name, the gradient and the version counter are observed."""
    leaf = torch.ones(2, requires_grad=True)
    product = leaf * 2
    product.sum().backward()
    constant = torch.zeros(2).add_(1)
    got_leaf, got_product, got_constant = observe([leaf, product, constant])
    assert (got_leaf.requires_grad, got_leaf.is_leaf, got_leaf.grad_fn) == (True, True, None)
    assert got_leaf.grad.values.tolist() == [2.0, 2.0]
    assert (got_product.is_leaf, got_product.grad_fn, got_product.grad) == (False, "MulBackward0", None)
    assert got_constant.version == 1


def test_storages_and_identities():
    """Tensors share a storage number exactly when they share memory, an identity when they are one object."""
    base = torch.zeros(4)
    same, view, copied, empty, other_empty = observe([base, base[1:], base.clone(), torch.empty(0), torch.empty(0)])
    first, second = observe([base, base])
    assert same.storage == view.storage
    assert same.identity != view.identity
    assert len({same.storage, copied.storage, empty.storage, other_empty.storage}) == 4
    assert first.identity == second.identity


def test_sparse_tensors_do_not_seem_to_share_memory():
    """Two tensors without a storage have no storage in common."""
    first, second = observe([torch.eye(2).to_sparse(), torch.eye(3).to_sparse()])
    assert first.storage != second.storage


def test_parameters_and_subclasses_keep_their_type_name():
    """A Parameter is told from a tensor, and a subclass by its name."""
    assert observe(torch.ones(1)).type_name == "torch.Tensor"
    assert observe(nn.Parameter(torch.ones(1))).type_name == "torch.nn.parameter.Parameter"
    assert observe(torch.ones(1).as_subclass(MyTensor)).type_name.endswith("MyTensor")


def test_modules():
    """A module comes back as its type, modes, parameters and buffers, tied weights as one object."""
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
    model[2].weight = model[0].weight
    model[1].eval()
    got = observe(model)
    assert isinstance(got, ObservedModule)
    assert got.type_name == "torch.nn.modules.container.Sequential"
    assert got.training == {"": True, "0": True, "1": False, "2": True}
    assert set(got.buffers) == {"1.running_mean", "1.running_var", "1.num_batches_tracked"}
    assert got.parameters["0.weight"].identity == got.parameters["2.weight"].identity


# ---------------------------------------------------------------------------------------- other values


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        0,
        -(2**300),
        1.5,
        1 + 2j,
        "文字",
        b"\x00",
        [],
        [1, [True, None]],
        (1, (2.0,)),
        {"a": 1, 2: "b", (1, 2): [None]},
        torch.float32,
        torch.device("cuda:1"),
    ],
)
def test_plain_values_come_back_with_their_exact_type(value):
    """Numbers, text, containers, dtypes and devices come back equal and of the same type."""
    assert repr(observe(value)) == repr(value)


@pytest.mark.parametrize(
    ("value", "name", "items"),
    [
        (MyInt(3), "MyInt", None),
        (Pair(1, 2), "Pair", (1, 2)),
        (collections.OrderedDict(a=1), "collections.OrderedDict", {"a": 1}),
        (torch.Size([2, 3]), "torch.Size", (2, 3)),
        (object(), "object", None),
        (int, "type", None),
        ({1, 2}, "set", None),
        (1 << 5000, "huge int", None),
    ],
)
def test_other_objects_come_back_as_a_name(value, name, items):
    """A subclass or any other object is never rebuilt: its type's name comes back, and a container's content."""
    got = observe(value)
    assert isinstance(got, ObservedObject)
    assert got.type_name.endswith(name)
    assert got.items == items


def test_the_number_of_values_is_bounded():
    """A list of very many values is cut off, not refused."""
    got = observe([[0] * 100_000] * 3)
    assert sum(isinstance(item, int) for part in got if isinstance(part, list) for item in part) < 200_000


def test_dictionaries_may_have_odd_keys():
    """Tensors and objects as keys are replaced by something that can be hashed."""
    assert len(observe({torch.ones(1): 1, object(): 2, None: 3})) == 3


# -------------------------------------------------------------------------------------------------- lies


def description(**changes):
    kind, *facts = over_the_wire(Observer().describe(torch.arange(3)))
    names = [field.name for field in dataclasses.fields(ObservedTensor)]
    return [kind, *{**dict(zip(names, facts, strict=True)), **changes}.values()]


def test_bytes_of_bools_are_made_sound():
    """A bool whose byte is neither 0 nor 1 is True, as in C, and not undefined behaviour."""
    got = read(description(dtype="bool", values=b"\x00\x02\xff"))
    assert got.values.view(torch.uint8).tolist() == [0, 1, 1]


@pytest.mark.parametrize(
    "changes",
    [
        {"values": b"123"},
        {"values": b""},
        {"values": "text"},
        {"values": [1, 2, 3]},
        {"dtype": "int128"},
        {"dtype": "Tensor"},
        {"dtype": "quint8"},
        {"dtype": 3},
        {"shape": [-3]},
        {"shape": [3.0]},
        {"shape": [True, 3]},
        {"shape": [1 << 62, 4]},
        {"shape": [1] * 65},
        {"shape": [0, 1 << 61, 1 << 61], "values": b""},
        {"shape": None},
        {"stride": [1.5]},
        {"stride": 1},
        {"offset": "0"},
        {"device": 0},
        {"requires_grad": 1},
        {"grad": ["int", 1]},
        {"grad": "none"},
        {"grad_fn": 1},
        {"storage": None},
        {"identity": True},
        {"values": None},
    ],
    ids=str,
)
def test_a_tensor_that_cannot_be_is_a_protocol_error(changes):
    """Wrong byte counts, unknown dtypes, impossible sizes and facts of the wrong type are refused."""
    with pytest.raises(ProtocolError):
        read(description(**changes))


@pytest.mark.parametrize(
    "plain",
    [
        True,
        1,
        "text",
        {},
        [],
        [1],
        ["nothing"],
        ["int"],
        ["int", True],
        ["int", 1, 2],
        ["bool", 1],
        ["float", 1],
        ["str", b""],
        ["bytes", "text"],
        ["complex", 1],
        ["complex", {}, 1],
        ["list", None],
        ["list", [1]],
        ["tuple", [["int"]]],
        ["dict", [[["int", 1]]]],
        ["dict", [[["list", []], None]]],
        ["dict", None],
        ["dtype", "nn"],
        ["dtype", "no_such_thing"],
        ["device", 1],
        ["tensor"],
        ["tensor", []],
        ["tensor", {}],
        ["module", "name", 0, None, {}, {}],
        ["module", "name", 0, {"": 1}, {}, {}],
        ["module", "name", 0, {}, {"weight": ["int", 1]}, {}],
        ["object", 1, 0, None],
        ["object", "name", "0", None],
    ],
    ids=str,
)
def test_a_description_of_nothing_is_a_protocol_error(plain):
    """Whatever is not a description raises ProtocolError and nothing else."""
    with pytest.raises(ProtocolError):
        read(plain)


def test_damaged_descriptions_are_observations_or_protocol_errors():
    """Replacing any part of a description by any other plain value gives an observation or ProtocolError."""
    values = [None, True, -1, 1 << 70, 0.5, "x", b"x", [], [["int", 1]], {}, {"a": 1}]
    whole = over_the_wire(Observer().describe([torch.ones(2, requires_grad=True), nn.Linear(1, 1), {"a": (1, 2.0)}]))
    for path in list(_paths(whole)):
        for value in values:
            damaged = copy.deepcopy(whole)
            _put(damaged, path, value)
            try:
                read(damaged)
            except ProtocolError:
                continue


def _paths(plain, path=()):
    yield path
    items = plain.items() if isinstance(plain, dict) else enumerate(plain) if isinstance(plain, list) else ()
    for key, item in items:
        yield from _paths(item, (*path, key))


def _put(plain, path, value):
    for key in path[:-1]:
        plain = plain[key]
    if path:
        plain[path[-1]] = value


# ------------------------------------------------------------------------------- subclasses and limits


class Liar(torch.Tensor):
    """A tensor that says of itself what is not so."""

    shape = property(lambda self: (9, 9))
    requires_grad = property(lambda self: True)
    is_leaf = property(lambda self: False)
    grad_fn = property(lambda self: 1 / 0)

    def detach(self):
        """Give other values."""
        return torch.zeros(9, 9)

    stride = contiguous = data_ptr = untyped_storage = detach

    @classmethod
    def __torch_function__(cls, *_arguments, **_keywords):
        return torch.zeros(9, 9)


class Dispatching(torch.Tensor):
    """A tensor without values, which answers for itself."""

    @classmethod
    def __torch_dispatch__(cls, *_arguments, **_keywords):
        return torch.eye(2)


class Pretender:
    """An object that claims to be a tensor."""

    __class__ = property(lambda self: torch.Tensor)


class Endless(list):
    """A list whose iteration never ends."""

    def __iter__(self):
        while True:
            yield 1


class OtherItems(dict):
    """A dictionary that lists others' items."""

    def items(self):
        """Other items."""
        return [("other", 1)]


def test_what_a_subclass_of_tensor_says_is_not_asked():
    """Values and facts are what torch knows, whatever properties and methods a subclass replaces."""
    got = observe(torch.eye(2).as_subclass(Liar))
    assert torch.equal(got.values, torch.eye(2))
    assert (got.shape, got.stride, got.requires_grad, got.is_leaf, got.grad_fn) == ((2, 2), (2, 1), False, True, None)
    assert got.type_name.endswith("Liar")


def test_a_tensor_that_dispatches_is_an_object():
    """A subclass that answers torch's operations itself need not have values: it is not a tensor."""
    got = observe(torch.Tensor._make_wrapper_subclass(Dispatching, (2, 2)))
    assert isinstance(got, ObservedObject)


@pytest.mark.parametrize(
    ("value", "items"),
    [(Pretender(), None), (Endless([1, 2]), [1, 2]), (OtherItems(a=1), {"a": 1})],
    ids=["class", "list", "dict"],
)
def test_what_a_class_says_of_itself_is_not_asked(value, items):
    """Neither ``__class__`` nor iteration of a subclass is believed."""
    got = observe(value)
    assert isinstance(got, ObservedObject)
    assert got.items == items


def test_values_without_end_are_cut():
    """Lists in themselves, gradients of gradients in a circle and deep nests come back in part."""
    loop, deep = [], []
    loop += [loop, loop]
    for _ in range(1000):
        deep = [deep]
    first, second = torch.ones(1, requires_grad=True), torch.ones(1, requires_grad=True)
    first.grad, second.grad = second, first
    for value in (loop, deep, first):
        assert observe(value) is not None


@pytest.mark.parametrize("length", [MAX_NODES - 2, MAX_NODES - 1, MAX_NODES, MAX_NODES + 1])
def test_a_list_that_is_cut_does_not_look_whole(length):
    """What was left out has left a mark."""
    got = observe([0] * length)
    whole = len(got) == length and all(type(item) is int for item in got)
    assert whole == (length < MAX_NODES)
    assert whole or isinstance(got[-1], ObservedObject)


@pytest.mark.parametrize("value", ["x" * (MAX_TEXT + 1), b"x" * (MAX_TEXT + 1)])
def test_too_long_a_text_is_left_out(value):
    """A text comes whole or not at all."""
    assert isinstance(observe(value), ObservedObject)
    assert observe(value[:MAX_TEXT]) == value[:MAX_TEXT]


def test_each_value_of_a_reply_has_limits_of_its_own():
    """A value that is too large takes nothing from the arguments beside it."""
    observer = Observer()
    observer.describe([torch.zeros(MAX_VALUES // 4), [0] * MAX_NODES])
    number, tensor = read(observer.describe([1, torch.ones(1)]))
    assert number == 1
    assert tensor.values is not None


def test_observations_are_equal_to_themselves_alone():
    """Comparing observations never compares tensors, so it cannot fail; they can be keys of dictionaries."""
    first, second = observe([torch.ones(2), torch.ones(2)])
    assert first != second
    assert (first, 1) != (second, 1)
    got = observe({(torch.ones(2), 1): 1, nn.Linear(1, 1): 2})
    assert len(got) == 2


def test_names_are_cut():
    """The name of a class has the length of a name."""
    assert len(observe(type("N" * 1_000_000, (), {})()).type_name) == MAX_NAME


@pytest.mark.parametrize(
    "plain",
    [
        ["list", ""],
        ["tuple", {}],
        ["dict", b""],
        ["complex", "1", "2"],
        ["int", 1 << (MAX_INT_BITS + 1)],
        description(shape=b"\x03"),
        description(stride={}),
        ["dict", [[["int", n * ((1 << 61) - 1)], None] for n in range(1000)]],
    ],
    ids=["text", "dictionary", "bytes", "complex", "int", "shape", "stride", "hashes"],
)
def test_only_lists_are_lists(plain):
    """Empty text and bytes are no list of nothing, and numbers and keys are those that could have been sent."""
    with pytest.raises(ProtocolError):
        read(plain)
