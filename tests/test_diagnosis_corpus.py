import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tensorgrade.diagnosis.difference import Check, diagnose
from tests.diagnosis_corpus import CASES
from tests.diagnosis_oracles import ORACLES, is_true

TENSORS = [case for case in CASES if isinstance(case.got, torch.Tensor) and isinstance(case.expected, torch.Tensor)]


def diagnosed(case):
    return diagnose(case.got, case.expected, Check(given=case.given))


def test_the_corpus_is_large():
    """There are at least 150 wrong results, and most codes of the oracles come up."""
    assert len(CASES) >= 150
    assert len({code for case in TENSORS for code in case.codes}) >= 0.8 * len(ORACLES)


def test_mistakes_are_named():
    """At least 95% of all mistakes get the right code as their diagnosis."""
    missed = [
        f"{case.name}: {found and found.code}"
        for case in CASES
        if (found := diagnosed(case)) is None or found.code not in case.codes
    ]
    assert len(missed) <= 0.05 * len(CASES), missed


@pytest.mark.parametrize("case", TENSORS, ids=lambda case: case.name)
def test_no_statement_is_false(case):
    """What is said of a wrong result is true of it, as an oracle finds in another way."""
    assert is_true(diagnosed(case), case.got, case.expected, case.given)


SIZES = st.lists(st.integers(0, 4), max_size=3)
DTYPES = st.sampled_from([torch.float32, torch.float64, torch.float16, torch.int64, torch.bool, torch.uint8])
VALUES = st.sampled_from([0.0, 1.0, -1.0, 2.0, 3.0, 0.5, -2.5, 7.25, 100.0, 1e-3, float("nan"), float("inf")])


@st.composite
def tensors(draw, shape=None):
    shape = draw(SIZES) if shape is None else shape
    count = int(torch.tensor(shape).prod()) if shape else 1
    few = draw(st.lists(VALUES, min_size=1, max_size=4, unique=True))
    values = draw(st.lists(st.sampled_from(few), min_size=count, max_size=count))
    tensor = torch.tensor(values, dtype=torch.float64).reshape(shape)
    dtype = draw(DTYPES)
    return (tensor if dtype.is_floating_point else tensor.nan_to_num(posinf=9).abs()).to(dtype)


@st.composite
def changed(draw, tensor):
    """The tensor after one of many changes, which may be none."""
    change = draw(st.sampled_from(CHANGES))
    try:
        result = change(tensor)
    except (RuntimeError, IndexError, TypeError, ValueError):  # not for this shape or dtype
        return tensor
    return result if isinstance(result, torch.Tensor) else tensor


CHANGES = [
    lambda x: x.mT,
    lambda x: x.transpose(0, -1),
    lambda x: x.reshape(-1),
    lambda x: x.reshape(x.shape[::-1]),
    lambda x: x.squeeze(),
    lambda x: x.unsqueeze(-1),
    lambda x: x[None],
    lambda x: x[1:],
    lambda x: x[:-1],
    lambda x: x[..., 1:],
    lambda x: torch.cat([x, x[-1:]]),
    lambda x: torch.cat([x[:1], x]),
    lambda x: x.sum(0),
    lambda x: x.sum(),
    lambda x: x.double().mean(-1),
    lambda x: x - x[..., None],
    lambda x: x.expand(3, *x.shape),
    lambda x: -x,
    lambda x: x.abs(),
    lambda x: x * 2,
    lambda x: x / 2,
    lambda x: x * 3,
    lambda x: x / 4,
    lambda x: x + 1,
    lambda x: x - 1,
    lambda x: x + 0.25,
    lambda x: x**2,
    lambda x: x.exp(),
    lambda x: x.log(),
    lambda x: 1 / x,
    lambda x: x.trunc(),
    lambda x: x.long(),
    lambda x: x.half(),
    lambda x: x.double(),
    lambda x: x.flip(0),
    lambda x: x.roll(1, -1),
    lambda x: x.roll(2, 0),
    lambda x: torch.cat([x[1:], x[:1] * 0]),
    lambda x: x - x.mean(0),
    lambda x: x.softmax(0),
    lambda x: x.softmax(-1),
    lambda x: x / x.sum(),
    lambda x: x.sort().values,
    lambda x: x.tril(),
    lambda x: x.triu(1),
    lambda x: x.relu(),
    torch.zeros_like,
    torch.ones_like,
    lambda x: x * torch.arange(x.shape[-1]),
    lambda x: x + torch.arange(x.shape[0])[:, None],
    lambda x: x * (1 + 1e-5),
    lambda x: x + 1e-7,
    lambda x: ~x,
    lambda x: x * (4 / 3),
]


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_statements_about_anything_are_true(data):
    """Whatever two tensors are compared, with or without inputs, what is said of them is true."""
    base = data.draw(tensors())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a reduction of an empty tensor warns
        expected = data.draw(changed(base))
        got = data.draw(
            st.one_of(changed(base), changed(data.draw(changed(expected))), tensors(), tensors(list(expected.shape)))
        )
        inputs = data.draw(st.sampled_from([(), (base,)]))
    found = diagnose(got, expected, Check(given=inputs))
    if found is not None:
        assert is_true(found, got, expected, inputs), found
