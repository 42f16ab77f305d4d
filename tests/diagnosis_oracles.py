"""What each code of a diagnosis says, checked from the data by NumPy in another way than the diagnosis itself.

``ORACLES[code](got, expected, facts, given)`` is whether the statement is true. Tensors come as arrays.
"""

import itertools

import numpy as np
import torch

LOOSE = {torch.float16: 2e-2, torch.bfloat16: 1.5e-1, torch.float32: 1e-4, torch.float64: 1e-8, torch.complex64: 1e-4}


def array(tensor):
    tensor = tensor.detach()
    return tensor.to(torch.complex128 if tensor.is_complex() else torch.float64).numpy()


class Claim:
    """One diagnosis of two tensors: what was got, expected, given, and the dimension it names."""

    def __init__(self, got, expected, facts, given):
        self.g, self.e = array(got), array(expected)
        self.dtypes = got.dtype, expected.dtype
        self.tolerance = max(LOOSE.get(dtype, 0.0) for dtype in self.dtypes)
        self.facts = facts
        self.given = [array(item) for item in given if isinstance(item, torch.Tensor)]

    @property
    def dim(self):
        """The dimension that the sentence names."""
        return int(self.facts["dim"])

    def near(self, one, other):
        """Equal in shape and, up to rounding, item by item."""
        one, other = np.asarray(one), np.asarray(other)
        if one.shape != other.shape:
            return False
        if self.tolerance == 0.0:
            return bool(np.array_equal(one, other, equal_nan=True))
        finite = np.abs(other[np.isfinite(other)])
        scale = float(finite.max()) if finite.size else 0.0
        with np.errstate(invalid="ignore"):
            return bool(np.allclose(one, other, rtol=self.tolerance, atol=self.tolerance * scale / 5, equal_nan=True))

    def flat(self, one, other):
        """The same values in the same order, whatever the shapes."""
        return self.near(np.ravel(one), np.ravel(other))

    def wrong(self):
        """Where the two differ by the tolerance of `assert_close`."""
        rtol, atol = {
            torch.float16: (1e-3, 1e-5),
            torch.bfloat16: (1.6e-2, 1e-5),
            torch.float32: (1.3e-6, 1e-5),
            torch.float64: (1e-7, 1e-7),
        }.get(max(self.dtypes, key=lambda dtype: LOOSE.get(dtype, 0.0)), (0.0, 0.0))
        return ~np.isclose(self.g, self.e, rtol=rtol, atol=atol, equal_nan=True)


def long(shape):
    return tuple(size for size in shape if size != 1)


def slices(tensor, dim):
    return list(np.moveaxis(tensor, dim, 0))


def transposed(c):
    if c.g.ndim != c.e.ndim or c.g.ndim < 2:
        return False
    return any(
        c.near(np.transpose(c.g, order), c.e) and order != tuple(range(c.g.ndim))
        for order in itertools.permutations(range(c.g.ndim))
    )


def same_values(c):
    return c.g.size == c.e.size and c.near(np.sort(c.g, axis=None), np.sort(c.e, axis=None))


def constant_ratio(c, known=None):
    nonzero = np.abs(c.e) > 0
    ratios = c.g[nonzero] / c.e[nonzero]
    anchor = ratios[np.argmax(np.abs(c.e[nonzero]))]
    good = c.near(c.g, c.e * anchor)
    return good and (
        known is None or any(abs(anchor - factor) <= max(c.tolerance, 1e-9) * 2 * factor for factor in known)
    )


def sizes(c):
    return {n for item in (c.g, c.e, *c.given) for n in (*item.shape, item.size) if n > 1}


def corrections(c):
    return [n / (n - 1) for n in {*range(3, 33), *sizes(c)} - {1}]


def end(c, first, extra):
    longer, shorter = (c.g, c.e) if extra else (c.e, c.g)
    kept = slices(longer, c.dim)
    count = shorter.shape[c.dim]
    part = kept[len(kept) - count :] if first else kept[:count]
    return len(kept) > count and c.near(np.stack(part), np.stack(slices(shorter, c.dim)))


def reduces(c, source, target, dims):
    """Whether one of the usual reductions of `source` gives `target`."""
    functions = (np.sum, np.mean, np.max, np.min, np.prod, np.argmax, np.argmin)
    with np.errstate(over="ignore", invalid="ignore"):  # a product of large numbers is infinite, and equal to nothing
        results = [np.asarray(function(source, axis=dim)) for function in functions for dim in dims]
    return any(long(result.shape) == long(target.shape) and c.flat(result, target) for result in results)


def shifted(c, steps):
    """Whether, as far as both go, item i of what was got is item i - s of what is expected."""
    ours, wanted = slices(c.g, c.dim), slices(c.e, c.dim)
    count = len(ours)
    for step in steps:
        indices = [(i, i - step) for i in range(count) if 0 <= i - step < count]
        if indices and c.near(np.stack([ours[i] for i, _ in indices]), np.stack([wanted[j] for _, j in indices])):
            return True
    return False


def rolled(c):
    return any(c.near(np.roll(c.e, s, c.dim), c.g) for s in range(2, c.e.shape[c.dim] - 1))


def constant_along(c, difference):
    parts = slices(difference, c.dim)
    slack = max(c.tolerance, 1e-8) * max(np.abs(c.g).max(), np.abs(c.e).max())
    return all(np.allclose(part, parts[0], atol=2 * slack, rtol=2 * max(c.tolerance, 1e-8)) for part in parts)


def one(total):
    return bool(np.allclose(total, 1, atol=1e-3))


def only_at(c, index):
    lines = [bool(part.any()) for part in slices(c.wrong(), c.dim)]
    return sum(lines) == 1 and (lines.index(True) == index % len(lines) if index is not None else True)


def inside(c, k):
    """The wrong places are exactly where the difference of the last two indices fulfils `k`."""
    rows, columns = c.wrong().shape[-2:]
    mask = np.array([[k(j - i) for j in range(columns)] for i in range(rows)])
    return bool((c.wrong() == mask).all())


def fraction(c):
    return bool((c.g == np.rint(c.g)).all() and (np.abs(c.g - c.e) <= 1).all() and not (c.e == np.rint(c.e)).all())


def along(c, dims):
    """Whether an operation on an argument gives what is expected for one dimension, what was got for one of `dims`."""
    operations = {
        "sum": torch.sum, "mean": torch.mean, "amax": torch.amax, "amin": torch.amin, "prod": torch.prod,
        "argmax": torch.argmax, "argmin": torch.argmin, "softmax": torch.softmax, "log_softmax": torch.log_softmax,
        "logsumexp": torch.logsumexp, "cumsum": torch.cumsum, "cumprod": torch.cumprod, "var": torch.var,
        "std": torch.std, "norm": lambda x, d: x.norm(dim=d), "sort": lambda x, d: x.sort(d).values,
        "flip": lambda x, d: x.flip(d), "centre": lambda x, d: x - x.mean(d, keepdim=True),
        "normalise": lambda x, d: x / x.sum(d, keepdim=True),
    }  # fmt: skip
    for item, function in itertools.product(map(torch.from_numpy, c.given), operations.values()):
        got = [c.flat(array(function(item, dim)) if dim >= 0 else whole(function, item), c.g) for dim in dims]
        expected = [c.flat(array(function(item, dim)), c.e) for dim in range(item.ndim)]
        if any(got) and any(expected):
            return True
    return False


def whole(function, item):
    return array(function(item.reshape(-1), 0))


def nearly(c):
    error = np.abs(c.g - c.e)
    return bool((error <= 0.05 * np.abs(c.e) + 1e-2 * np.abs(c.e).max()).all())


ORACLES = {
    "shape": lambda c: c.g.shape != c.e.shape,
    "values": lambda c: c.g.shape == c.e.shape and bool(c.wrong().any()),
    "some": lambda c: c.g.shape == c.e.shape and 0 < c.wrong().mean() <= 0.5,
    "transposed": lambda c: c.g.ndim == 2 and c.near(c.g.T, c.e),
    "permuted": transposed,
    "reshaped": same_values,
    "order": same_values,
    "reshape": lambda c: c.g.shape != c.e.shape and c.flat(c.g, c.e),
    "flattened": lambda c: c.g.ndim == 1 and c.e.ndim > 1 and c.flat(c.g, c.e),
    "unsqueezed": lambda c: c.g.ndim > c.e.ndim and long(c.g.shape) == long(c.e.shape) and c.flat(c.g, c.e),
    "squeezed": lambda c: c.g.ndim < c.e.ndim and long(c.g.shape) == long(c.e.shape) and c.flat(c.g, c.e),
    "size-one-moved": lambda c: c.g.ndim == c.e.ndim and long(c.g.shape) == long(c.e.shape) and c.flat(c.g, c.e),
    "broadcast": lambda c: (
        c.g.ndim == 2 and c.flat([c.g[i, i] for i in range(len(c.g))], c.e) and len(c.g) == len(c.g[0])
    ),
    "extra-last": lambda c: end(c, first=False, extra=True),
    "extra-first": lambda c: end(c, first=True, extra=True),
    "missing-last": lambda c: end(c, first=False, extra=False),
    "missing-first": lambda c: end(c, first=True, extra=False),
    "extra-last-items": lambda c: end(c, first=False, extra=True),
    "extra-first-items": lambda c: end(c, first=True, extra=True),
    "missing-last-items": lambda c: end(c, first=False, extra=False),
    "missing-first-items": lambda c: end(c, first=True, extra=False),
    "repeated": lambda c: all(c.near(part, c.e) for part in slices(c.g, c.dim)),
    "last-not-selected": lambda c: c.near(slices(c.g, c.dim)[-1], c.e),
    "first-not-selected": lambda c: c.near(slices(c.g, c.dim)[0], c.e),
    "dim-not-reduced": lambda c: reduces(c, c.g, c.e, [c.dim]),
    "not-reduced": lambda c: reduces(c, c.g, c.e, [None]),
    "reduced-too-far": lambda c: reduces(c, c.e, c.g, [None, *range(c.e.ndim)]),
    "nan": lambda c: bool((np.isnan(c.g) & ~np.isnan(c.e)).any()),
    "infinite": lambda c: bool((np.isinf(c.g) & np.isfinite(c.e)).any()),
    "imprecise": nearly,
    "inverted": lambda c: bool((c.g != c.e).all()) and set(np.unique([c.g, c.e])) <= {0.0, 1.0},
    "zeros": lambda c: not np.count_nonzero(c.g) and bool(np.count_nonzero(c.e)),
    "sign": lambda c: c.near(c.g + c.e, np.zeros_like(c.e)) or c.near(-c.g, c.e),
    "sign-of-some": lambda c: c.near(np.abs(c.g), np.abs(c.e)) and c.near(c.g * np.sign(c.g), c.e * np.sign(c.e)),
    "conjugate": lambda c: c.near(np.conj(c.g), c.e),
    "doubled": lambda c: constant_ratio(c, [2.0]),
    "halved": lambda c: constant_ratio(c, [0.5]),
    "factor-size": lambda c: constant_ratio(c, [f for n in sizes(c) for f in (n, 1 / n)]),
    "unbiased": lambda c: constant_ratio(c, [f for n in corrections(c) for f in (n, n**0.5)]),
    "biased": lambda c: constant_ratio(c, [f for n in corrections(c) for f in (1 / n, n**-0.5)]),
    "factor": constant_ratio,
    "factor-along": lambda c: constant_along(
        c, np.where(c.e == 0, 0, c.g / np.where(c.e == 0, 1, c.e)) if (c.e != 0).all() else np.zeros_like(c.e)
    ),
    "one-too-large": lambda c: set(np.unique(c.g - c.e)) == {1.0},
    "one-too-small": lambda c: set(np.unique(c.g - c.e)) == {-1.0},
    "offset": lambda c: c.near(c.g - np.median(np.real(c.g - c.e)), c.e) or c.near(c.g, c.e + np.mean(c.g - c.e)),
    "offset-along": lambda c: constant_along(c, c.g - c.e),
    "squared": lambda c: c.near(c.g, c.e**2),
    "rooted": lambda c: c.near(c.g**2, c.e),
    "reciprocal": lambda c: c.near(c.g * c.e, np.ones_like(c.e)),
    "logarithm": lambda c: c.near(np.exp(c.g), c.e),
    "exponential": lambda c: c.near(c.g, np.exp(c.e)),
    "fraction": fraction,
    "flipped": lambda c: c.near(np.stack(slices(c.g, c.dim)[::-1]), np.stack(slices(c.e, c.dim))),
    "shifted": lambda c: shifted(c, [1, -1]),
    "rolled": rolled,
    "mean-left": lambda c: abs(c.e.mean()) <= 1e-3 * np.abs(c.e).max() and c.near(c.g - c.g.mean(), c.e),
    "mean-left-along": lambda c: (
        c.near(c.g - c.g.mean(c.dim, keepdims=True), c.e)
        and bool((np.abs(c.e.mean(c.dim)) <= max(c.tolerance, 1e-8) * np.abs(c.e).max()).all())
    ),
    "normalised-along": lambda c: one(c.g.sum(int(c.facts["got"]))) and one(c.e.sum(c.dim)) and not one(c.g.sum(c.dim)),
    "not-normalised": lambda c: not one(c.g.sum(c.dim)) and one(c.e.sum(c.dim)),
    "unchanged": lambda c: any(np.array_equal(c.g, item) for item in c.given),
    "added": lambda c: any(item.shape == c.g.shape and c.near(c.g, c.e + item) for item in c.given),
    "along-another": lambda c: along(c, [int(c.facts["got"])]),
    "reduced-all": lambda c: along(c, [-1]),
    "only-diagonal": lambda c: inside(c, lambda k: k == 0),
    "only-above-diagonal": lambda c: inside(c, lambda k: k > 0),
    "only-below-diagonal": lambda c: inside(c, lambda k: k < 0),
    "only-off-diagonal": lambda c: inside(c, lambda k: k != 0),
    "only-first": lambda c: only_at(c, 0),
    "only-last": lambda c: only_at(c, -1),
    "only-one-index": lambda c: only_at(c, None) and not only_at(c, 0) and not only_at(c, -1),
    "only-negative": lambda c: bool((c.wrong() == (c.e < 0)).all()),
    "only-zero": lambda c: bool((c.wrong() == (c.e == 0)).all()),
    "constant": lambda c: np.unique(c.g).size == 1 and np.unique(c.e).size > 1,
    "dtype": lambda c: c.dtypes[0] is not c.dtypes[1],
    "dtype-float64": lambda c: c.dtypes[0] is torch.float64 is not c.dtypes[1],
    "dtype-integer": lambda c: not c.dtypes[0].is_floating_point and c.dtypes[1].is_floating_point,
    "dtype-float": lambda c: c.dtypes[0].is_floating_point and not c.dtypes[1].is_floating_point,
    "dtype-bool": lambda c: c.dtypes[0] is torch.bool is not c.dtypes[1],
}


def is_true(diagnosis, got, expected, given=()):
    """Whether what a diagnosis of two tensors says is true of them."""
    return bool(ORACLES[diagnosis.code](Claim(got, expected, diagnosis.facts, given)))
