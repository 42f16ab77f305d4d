"""Wrong results as wrong programs give them: each case is a right program, a wrong one, and the inputs of both.

`CASES` names for each case the code that the diagnosis should have; a few mistakes have two equally good names.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the name that students know


@dataclass(frozen=True)
class Case:
    """One wrong result: what was got and expected, and whether the arguments of the call are known."""

    name: str
    codes: frozenset
    got: object
    expected: object
    given: tuple = ()


def normal(*shape, dtype=torch.float32):
    return lambda seed: (
        torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype),
    )


def positive(*shape, dtype=torch.float32):
    return lambda seed: ((torch.rand(shape, generator=torch.Generator().manual_seed(seed)) + 0.5).to(dtype),)


def whole(*shape, low=-20, high=20, dtype=torch.int64):
    return lambda seed: (torch.randint(low, high, shape, generator=torch.Generator().manual_seed(seed)).to(dtype),)


def pairs(left, right):
    return lambda seed: (*left(seed), *right(seed + 1000))


VECTORS = [normal(5), normal(3, dtype=torch.float64), normal(100), normal(7, dtype=torch.float16)]
MATRICES = [normal(3, 4), normal(4, 4, dtype=torch.float64), normal(30, 20), normal(2, 7, dtype=torch.bfloat16)]
WHOLE = [whole(4, 5), whole(3, 3, dtype=torch.int32), whole(2, 6, dtype=torch.int8)]
CUBES = [normal(2, 3, 4), normal(3, 3, 3, dtype=torch.float64), normal(5, 1, 6)]
IMAGES = [normal(2, 5, 7, 3), normal(1, 4, 6, 2, dtype=torch.float64)]


def mistakes():
    """All mistakes, as (name, codes, right program, wrong program, kinds of inputs, whether the inputs are known)."""
    # shapes
    yield "A.T forgotten", "transposed", lambda x: x.t(), lambda x: x, MATRICES + WHOLE, False
    yield (
        "Gram matrix of columns",
        "transposed",
        lambda x: x @ x.roll(1, 0).t(),
        lambda x: x.roll(1, 0) @ x.t(),
        [
            normal(3, 4),
            normal(5, 2, dtype=torch.float64),
        ],
        False,
    )
    yield "batch first", "permuted", lambda x: x.transpose(0, 1), lambda x: x, CUBES, False
    yield "HWC to CHW", "permuted", lambda x: x.permute(0, 3, 1, 2), lambda x: x, IMAGES, False
    yield "HWC to CWH", "permuted", lambda x: x.permute(0, 3, 1, 2), lambda x: x.permute(0, 3, 2, 1), IMAGES, False
    yield (
        "reshape for transpose",
        "reshaped",
        lambda x: x.t(),
        lambda x: x.reshape(x.shape[1], x.shape[0]),
        [
            normal(3, 4),
            whole(5, 7),
            normal(30, 20, dtype=torch.float64),
        ],
        False,
    )
    yield (
        "view for permute",
        "reshaped",
        lambda x: x.permute(0, 3, 1, 2),
        lambda x: x.reshape(x.shape[0], x.shape[3], x.shape[1], x.shape[2]),
        IMAGES,
        False,
    )
    yield (
        "heads not swapped",
        "reshaped",
        lambda x: x.reshape(x.shape[0], 2, -1).transpose(0, 1),
        lambda x: x.reshape(2, x.shape[0], -1),
        [normal(3, 8), normal(5, 4)],
        False,
    )
    yield (
        "flatten after permute forgotten",
        "order",
        lambda x: x.t().reshape(-1),
        lambda x: x.reshape(-1),
        [
            normal(3, 4),
            whole(4, 6),
        ],
        False,
    )
    yield "keepdim", "unsqueezed", lambda x: x.sum(1), lambda x: x.sum(1, keepdim=True), MATRICES[:3] + WHOLE, False
    yield "keepdim forgotten", "squeezed", lambda x: x.mean(0, keepdim=True), lambda x: x.mean(0), MATRICES[:3], False
    yield (
        "squeeze of a batch of one",
        "squeezed",
        lambda x: x * 2,
        lambda x: (x * 2).squeeze(),
        [
            normal(1, 4),
            normal(1, 1),
            normal(3, 1, 2),
        ],
        False,
    )
    yield "0-d in brackets", "unsqueezed", lambda x: x.sum(), lambda x: x.sum().reshape(1), VECTORS, False
    yield (
        "unsqueeze at the wrong place",
        "size-one-moved|permuted",
        lambda x: x.unsqueeze(1),
        lambda x: x.unsqueeze(0),
        [normal(3, 4), normal(2, 3, 4)],
        False,
    )
    yield "column for row", "transposed", lambda x: x[None], lambda x: x[:, None], VECTORS[:3], False
    yield "flattened image", "flattened", lambda x: x, lambda x: x.flatten(), MATRICES + CUBES[:2], False
    yield (
        "cat for stack",
        "reshape|flattened",
        lambda x: torch.stack([x, x + 1]),
        lambda x: torch.cat([x, x + 1]),
        [
            normal(4),
            normal(2, 3),
            whole(5),
        ],
        False,
    )
    yield (
        "(n,) with (n, 1)",
        "broadcast",
        lambda p, t: p[:, 0] - t,
        lambda p, t: p - t,
        [
            pairs(normal(4, 1), normal(4)),
            pairs(normal(9, 1, dtype=torch.float64), normal(9)),
            pairs(whole(5, 1), whole(5)),
            pairs(normal(50, 1), normal(50)),
        ],
        False,
    )
    yield (
        "(n, 1) with (n,), kept",
        "broadcast",
        lambda p, t: p * t[:, None],
        lambda p, t: p * t,
        [
            pairs(normal(4, 1), normal(4)),
            pairs(whole(6, 1), whole(6)),
        ],
        False,
    )
    yield (
        "softmax not needed dim kept by stack",
        "repeated",
        lambda x: x,
        lambda x: x.expand(3, *x.shape),
        [
            normal(4),
            normal(2, 5),
            whole(3),
        ],
        False,
    )
    yield (
        "mean row for every row",
        "repeated",
        lambda x: x.mean(0),
        lambda x: x.mean(0).repeat(x.shape[0], 1),
        MATRICES[:3],
        False,
    )
    yield (
        "all hidden states for the last",
        "last-not-selected",
        lambda x: x.cumsum(0)[-1],
        lambda x: x.cumsum(0),
        [
            normal(4, 3),
            normal(6, 2, 3),
        ],
        False,
    )
    yield (
        "all tokens for [CLS]",
        "first-not-selected",
        lambda x: x[:, 0],
        lambda x: x,
        [normal(2, 5, 4), normal(3, 4)],
        False,
    )
    yield (
        "sum over rows forgotten",
        "dim-not-reduced",
        lambda x, w: (x * w).sum(1),
        lambda x, w: x * w,
        [
            pairs(normal(3, 4), normal(4)),
            pairs(whole(5, 3), whole(3)),
            pairs(normal(20, 30, dtype=torch.float64), normal(30)),
        ],
        False,
    )
    yield "pooling forgotten", "dim-not-reduced", lambda x: x.amax(2), lambda x: x, CUBES[:2], False
    yield (
        "argmax forgotten",
        "dim-not-reduced",
        lambda x: x.argmax(1),
        lambda x: x,
        [normal(5, 10), normal(8, 3)],
        False,
    )
    yield (
        "loss of each item",
        "not-reduced",
        lambda x, y: ((x - y) ** 2).mean(),
        lambda x, y: (x - y) ** 2,
        [
            pairs(normal(6), normal(6)),
            pairs(normal(3, 4), normal(3, 4)),
            pairs(normal(40, dtype=torch.float64), normal(40)),
        ],
        False,
    )
    yield "sum of all", "reduced-too-far", lambda x: x.sum(1), lambda x: x.sum(), MATRICES[:3] + WHOLE[:2], False
    yield (
        "mean over batch too",
        "reduced-too-far",
        lambda x: (x**2).mean(1),
        lambda x: (x**2).mean(),
        MATRICES[:3],
        False,
    )
    yield (
        "sum over rows for columns",
        "along-another",
        lambda x: x.sum(1),
        lambda x: x.sum(0),
        MATRICES[:3] + WHOLE[:2],
        True,
    )
    yield "mean over channels", "along-another", lambda x: x.mean(2), lambda x: x.mean(0), CUBES[:2], True
    yield (
        "argmax over the batch",
        "along-another",
        lambda x: x.argmax(1),
        lambda x: x.argmax(0),
        [
            normal(5, 8),
            normal(9, 9),
        ],
        True,
    )
    yield "std over rows", "along-another", lambda x: x.std(0), lambda x: x.std(1), MATRICES[1:3], True
    yield "cumsum along rows", "along-another", lambda x: x.cumsum(0), lambda x: x.cumsum(1), MATRICES[:3], True
    yield "max over all", "reduced-all|reduced-too-far", lambda x: x.amax(1), lambda x: x.amax(), MATRICES[:2], True
    yield (
        "exclusive end",
        "missing-last",
        lambda x: torch.arange(int(x[0]), 11.0),
        lambda x: torch.arange(int(x[0]), 10.0),
        [whole(1, low=0, high=5)],
        False,
    )
    yield "inclusive end", "extra-last", lambda x: x[:-1], lambda x: x, [*VECTORS, whole(8)], False
    yield "starts at 1", "missing-first", lambda x: x, lambda x: x[1:], VECTORS + MATRICES[:2], False
    yield "start token kept", "extra-first", lambda x: x[:, 1:], lambda x: x, [normal(2, 5), whole(3, 7)], False
    yield "window cut short", "missing-last-items", lambda x: x, lambda x: x[:-3], [normal(9), whole(12)], False
    yield "padding kept", "extra-last-items", lambda x: x[:, :-2], lambda x: x, [normal(3, 8), whole(2, 6)], False
    yield "quite another size", "shape", lambda x: x, lambda x: x.repeat(2, 2) * 3 + 1, MATRICES[:3], False
    # values
    yield "sign of the gradient", "sign", lambda x: x - 3 * x, lambda x: 3 * x - x, VECTORS + MATRICES + WHOLE, False
    yield (
        "abs for identity",
        "sign-of-some",
        lambda x: x,
        lambda x: x.abs(),
        [normal(9), normal(100, dtype=torch.float64), *WHOLE],
        False,
    )
    yield "factor 1/2 of a square", "doubled", lambda x: 0.5 * x**2, lambda x: x**2, VECTORS + MATRICES, False
    yield "derivative of a square", "halved", lambda x: 2 * x, lambda x: x, VECTORS + WHOLE, False
    yield "scalar loss without 1/2", "doubled", lambda x: 0.5 * (x**2).sum(), lambda x: (x**2).sum(), VECTORS[:3], False
    yield (
        "sum for mean in a gradient",
        "factor-size",
        lambda x: x / x.numel(),
        lambda x: x,
        [
            normal(5),
            normal(3, 4),
            normal(100, dtype=torch.float64),
        ],
        False,
    )
    yield (
        "mean for sum over the batch",
        "factor-size",
        lambda x: x,
        lambda x: x / x.shape[0],
        [
            normal(5, 2),
            normal(3, 4),
            normal(30, 20),
        ],
        False,
    )
    yield (
        "sum for mean, known",
        "factor-size",
        lambda x: x.mean(1),
        lambda x: x.sum(1),
        [normal(3, 4), normal(7, 9)],
        True,
    )
    yield (
        "scalar sum for mean, known",
        "factor-size",
        lambda x: (x**2).mean(),
        lambda x: (x**2).sum(),
        [
            normal(5),
            normal(3, 4),
        ],
        True,
    )
    yield (
        "unbiased variance",
        "unbiased",
        lambda x: x.var(1, correction=0),
        lambda x: x.var(1),
        [
            normal(3, 5),
            normal(6, 9, dtype=torch.float64),
            normal(4, 20),
        ],
        False,
    )
    yield (
        "unbiased std, known",
        "unbiased",
        lambda x: x.std(0, correction=0),
        lambda x: x.std(0),
        [
            normal(60, 5),
            normal(7, 4),
        ],
        True,
    )
    yield "biased variance", "biased", lambda x: x.var(), lambda x: x.var(correction=0), [normal(6), normal(3, 4)], True
    yield "learning rate", "factor", lambda x: 0.1 * x, lambda x: 0.03 * x, VECTORS + MATRICES, False
    yield "degrees", "factor", lambda x: x * torch.pi / 180, lambda x: x, VECTORS[:3], False
    yield "counting from 1", "one-too-large", lambda x: x, lambda x: x + 1, [*WHOLE, whole(1, low=5), whole(40)], False
    yield "class minus one", "one-too-small", lambda x: x, lambda x: x - 1, WHOLE, False
    yield "bias added twice", "offset", lambda x: x + 0.7, lambda x: x + 1.4, [*VECTORS, *MATRICES[:3]], False
    yield "zero point", "offset", lambda x: x - 12, lambda x: x, [whole(4, 5), whole(9)], False
    yield (
        "bias forgotten",
        "offset-along",
        lambda x, b: x + b,
        lambda x, b: x,
        [
            pairs(normal(5, 3), normal(3)),
            pairs(normal(20, 30), normal(30)),
        ],
        False,
    )
    yield (
        "weights of columns forgotten",
        "factor-along",
        lambda x, w: x * w,
        lambda x, w: x,
        [
            pairs(normal(5, 3), positive(3)),
            pairs(normal(20, 30, dtype=torch.float64), positive(30)),
        ],
        False,
    )
    yield "mean not subtracted", "mean-left", lambda x: x - x.mean(), lambda x: x, [normal(6), normal(3, 4)], False
    yield "rows not centred", "mean-left-along", lambda x: x - x.mean(1, keepdim=True), lambda x: x, MATRICES[:3], False
    yield "columns not centred", "mean-left-along", lambda x: x - x.mean(0), lambda x: x, MATRICES[:3], False
    yield "variance for std", "squared", lambda x: x.std(0), lambda x: x.var(0), [normal(9, 4), normal(8, 3)], False
    yield (
        "norm without root",
        "squared",
        lambda x: x.norm(dim=1),
        lambda x: (x**2).sum(1),
        [
            normal(3, 4),
            normal(8, 5, dtype=torch.float64),
        ],
        False,
    )
    yield "RMSE for MSE", "rooted", lambda x: (x**2).mean(1), lambda x: (x**2).mean(1).sqrt(), [normal(3, 4)], False
    yield "divided the wrong way", "reciprocal", lambda x: x / 3, lambda x: 3 / x, [positive(4), positive(3, 5)], False
    yield (
        "log_softmax for softmax",
        "logarithm",
        lambda x: x.softmax(1),
        lambda x: x.log_softmax(1),
        MATRICES[:3],
        False,
    )
    yield (
        "softmax for log_softmax",
        "exponential",
        lambda x: x.log_softmax(1),
        lambda x: x.softmax(1),
        MATRICES[:3],
        False,
    )
    yield "integer dtype", "fraction", lambda x: x / 2.5, lambda x: (x / 2.5).long(), [whole(9), whole(3, 4)], False
    yield "floor division", "fraction", lambda x: x / 3, lambda x: x // 3, [whole(9), whole(3, 4), whole(50)], False
    yield "flip forgotten", "flipped", lambda x: x.flip(0), lambda x: x, [*VECTORS, whole(6), normal(5, 3)], False
    yield "flipped the other axis", "order|flipped", lambda x: x.flip(0), lambda x: x.flip(1), [normal(3, 4)], False
    yield "roll forgotten", "shifted", lambda x: x.roll(1, 0), lambda x: x, [normal(5), whole(9), normal(6, 3)], False
    yield "label shift", "shifted", lambda x: F.pad(x[1:], (0, 1)), lambda x: x, [normal(6), normal(40)], False
    yield (
        "fftshift forgotten",
        "rolled",
        lambda x: x.roll(x.shape[0] // 2, 0),
        lambda x: x,
        [normal(8), normal(9)],
        False,
    )
    yield "softmax over dim 0", "normalised-along", lambda x: x.softmax(1), lambda x: x.softmax(0), MATRICES[:3], False
    yield "softmax over the batch", "normalised-along", lambda x: x.softmax(2), lambda x: x.softmax(0), CUBES[:2], False
    yield (
        "rows divided for columns",
        "normalised-along",
        lambda x: x / x.sum(0),
        lambda x: x / x.sum(1, keepdim=True),
        [
            positive(3, 4),
            positive(5, 5),
        ],
        False,
    )
    yield "exp without sum", "not-normalised", lambda x: x.softmax(1), lambda x: x.exp(), MATRICES[:3], False
    yield "logits for probabilities", "not-normalised", lambda x: x.softmax(1), lambda x: x, MATRICES[:3], False
    yield (
        "counts for frequencies",
        "not-normalised",
        lambda x: x / x.sum(1, keepdim=True),
        lambda x: x,
        [positive(3, 4)],
        False,
    )
    yield "sorted", "order", lambda x: x, lambda x: x.sort(0).values, [*VECTORS[:3], whole(20)], False
    yield "rows shuffled", "order", lambda x: x, lambda x: x[[2, 0, 3, 1]], [normal(4, 3), normal(4, 5)], False
    yield (
        "float16 inside",
        "imprecise",
        lambda x: x * 0.3,
        lambda x: (x.half() * 0.3).float(),
        [
            normal(5),
            normal(3, 4),
            normal(100),
        ],
        False,
    )
    yield "bfloat16 inside", "imprecise", lambda x: x**2, lambda x: (x.bfloat16() ** 2).to(x.dtype), MATRICES[:3], False
    yield (
        "float32 inside float64",
        "imprecise",
        lambda x: (9 * x).exp(),
        lambda x: (9 * x.float()).exp().double(),
        [normal(5, dtype=torch.float64)],
        False,
    )
    yield "log of a negative number", "nan", lambda x: x.abs().log(), lambda x: x.log(), VECTORS[:3], False
    yield (
        "0/0",
        "nan",
        lambda x: torch.where(x == x[0], 0.0, x),
        lambda x: (x - x[0]) / (x - x[0]) * x,
        VECTORS[:3],
        False,
    )
    yield "1/0", "infinite", lambda x: 1 / (1 + (x - x[0]).abs()), lambda x: 1 / (x - x[0]).abs(), VECTORS[:2], False
    yield "float16 overflow", "infinite", lambda x: x * 1e6, lambda x: (x.half() * 1e6).float(), [positive(5)], False
    yield "mask the wrong way round", "inverted", lambda x: x > 0, lambda x: x <= 0, VECTORS + MATRICES, False
    yield (
        "attention mask turned",
        "inverted",
        lambda x: torch.ones(5, 5).tril().bool(),
        lambda x: torch.ones(5, 5).triu(1).bool(),
        [normal(1)],
        False,
    )
    yield "zeros_like left as it is", "zeros", lambda x: x * 2, torch.zeros_like, VECTORS + WHOLE, False
    yield "argument returned", "unchanged", lambda x: x.clamp(min=0).sin() + 1, lambda x: x, MATRICES[:2], True
    yield "residual by mistake", "added", lambda x: x.relu(), lambda x: x.relu() + x, [normal(3, 4), normal(9)], True
    yield (
        "softmax over dim 0, known",
        "normalised-along",
        lambda x: x.softmax(1),
        lambda x: x.softmax(0),
        [normal(3, 4)],
        True,
    )
    # places
    yield (
        "diagonal not cleared",
        "only-diagonal",
        lambda x: x - x.diag().diag(),
        lambda x: x,
        [
            normal(4, 4),
            normal(9, 9, dtype=torch.float64),
        ],
        False,
    )
    yield "eye forgotten", "only-diagonal", lambda x: x + torch.eye(x.shape[0]), lambda x: x, [normal(4, 4)], False
    yield "tril forgotten", "only-above-diagonal", lambda x: x.tril(), lambda x: x, [normal(4, 4), normal(7, 7)], False
    yield "triu forgotten", "only-below-diagonal", lambda x: x.triu(), lambda x: x, [normal(4, 4)], False
    yield "diagonal alone", "only-off-diagonal", lambda x: x, lambda x: x.diag().diag(), [normal(4, 4)], False
    yield (
        "first row not set",
        "only-first",
        lambda x: torch.cat([x[:1] * 5, x[1:]]),
        lambda x: x,
        [
            normal(5),
            normal(4, 3),
            whole(6, low=1),
        ],
        False,
    )
    yield (
        "loop ends one early",
        "only-last",
        lambda x: x**2 + 1,
        lambda x: torch.cat([x[:-1] ** 2 + 1, 0 * x[-1:]]),
        [
            normal(5),
            normal(4, 3),
        ],
        False,
    )
    yield (
        "one column",
        "only-one-index",
        lambda x: x,
        lambda x: torch.cat([x[:, :1], x[:, 1:2] + 3, x[:, 2:]], 1),
        [
            normal(4, 3),
            normal(5, 6),
        ],
        False,
    )
    yield (
        "relu for leaky relu",
        "only-negative",
        lambda x: F.leaky_relu(x, 0.3),
        lambda x: x.relu(),
        [
            normal(30),
            normal(5, 6),
        ],
        False,
    )
    yield (
        "padding not masked",
        "only-zero",
        lambda x: torch.where(x > 0, x, 0.0),
        lambda x: torch.where(x > 0, x, -9.0),
        [
            normal(30),
            normal(5, 6),
        ],
        False,
    )
    yield (
        "some items",
        "some",
        lambda x: x,
        lambda x: torch.where(x.abs() > 1.2, x * x + 5, x),
        [
            normal(40),
            normal(8, 9),
        ],
        False,
    )
    yield "another function", "values", lambda x: x.sin(), lambda x: x**3 + x.exp(), [normal(7), normal(3, 4)], False


KINDS = [
    ("no return", "nothing", None, torch.ones(2)),
    ("no return of a number", "nothing", None, 3),
    ("a list for a tensor", "tensor-as-data", [1.0, 2.0], torch.tensor([1.0, 2.0])),
    ("a number for a tensor", "tensor-as-data", 4.0, torch.tensor(4.0)),
    ("another list for a tensor", "type", [1.0, 2.0], torch.tensor([3.0, 2.0])),
    ("item() forgotten", "number-as-tensor", torch.tensor(0.5), 0.5),
    ("item() of an int forgotten", "number-as-tensor", torch.tensor([7]), 7),
    ("a tuple for a list", "other-container", (1, 2), [1, 2]),
    ("an int for a float", "other-number", 3, 3.0),
    ("a bool for an int", "other-number", True, 1),
    ("a text for a number", "number-as-text", "12", 12),
    ("a comma too many", "inside-container", (torch.ones(2),), torch.ones(2)),
    ("brackets too many", "inside-container", [3], 3),
    ("lower case", "letter-case", "Adam", "adam"),
    ("a line end", "white-space", "Adam\n", "Adam"),
    ("another text", "unequal", "SGD", "Adam"),
    ("the last item forgotten", "item-missing", [1, 2], [1, 2, 3]),
    ("one item more", "item-extra", (1, 2, 3), (1, 2)),
    ("too few", "too-few-items", [1], [2, 3, 4]),
    ("too many", "too-many-items", [1, 2, 3, 4], [7, 8]),
    ("reversed", "items-reversed", [3, 2, 1], [1, 2, 3]),
    ("two results swapped", "items-reversed", (torch.ones(2), torch.zeros(3)), (torch.zeros(3), torch.ones(2))),
    ("sorted by another key", "items-order", ["b", "a", "c"], ["a", "b", "c"]),
    ("keys in another order", "keys-order", {"b": 1, "a": 2}, {"a": 2, "b": 1}),
    ("a key forgotten", "keys-missing", {"a": 1}, {"a": 1, "b": 2}),
    ("a key too many", "keys-extra", {"a": 1, "b": 2}, {"a": 1}),
    ("another key", "keys-other", {"A": 1}, {"a": 1}),
    ("the prefix kept", "module-prefix", {"module.w": 1, "module.b": 2}, {"w": 1, "b": 2}),
    ("the second item doubled", "doubled", [1.5, 5.0], [1.5, 2.5]),
    ("an item of a dictionary", "sign", {"a": torch.tensor([1.0, 2.0])}, {"a": torch.tensor([-1.0, -2.0])}),
    ("off by one", "one-too-large", 8, 7),
    ("a count less one", "one-too-small", 6, 7),
    ("truncated", "fraction", 2.0, 2.7),
    ("half", "halved", 2.2, 4.4),
    ("opposite", "sign", -2.5, 2.5),
    ("variance", "squared", 2.25, 1.5),
    ("NaN", "nan", float("nan"), 2.5),
    ("another number", "unequal", 2.5, 7.1),
    ("another bool", "unequal", True, False),
    ("float64 from NumPy", "dtype-float64", torch.ones(2, dtype=torch.float64), torch.ones(2)),
    ("no decimal point", "dtype-integer", torch.tensor([1, 2]), torch.tensor([1.0, 2.0])),
    ("zeros for indices", "dtype-float", torch.zeros(3), torch.zeros(3, dtype=torch.int64)),
    ("a comparison", "dtype-bool", torch.tensor([True]), torch.tensor([1])),
    ("int32", "dtype", torch.tensor([1], dtype=torch.int32), torch.tensor([1])),
]


def cases():
    """Each mistake with each of its inputs, and the values that are no tensors."""
    for number, (name, codes, right, wrong, all_inputs, known) in enumerate(mistakes()):
        for index, inputs in enumerate(all_inputs):
            values = inputs(100 * number + index)
            yield Case(
                name=f"{name}-{index}",
                codes=frozenset(codes.split("|")),
                got=wrong(*values),
                expected=right(*values),
                given=values if known else (),
            )
    for name, code, got, expected in KINDS:
        yield Case(name, frozenset({code}), got, expected)


CASES = list(cases())
