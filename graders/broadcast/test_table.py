"""broadcast/table: the table of sums b[i] + a[j], in torch's promoted dtype, vectorised."""

import torch

from tensorgrade import expect

LENGTHS = [(1, 1), (3, 2), (2, 3), (4, 4), (1, 5), (5, 1), (20, 13)]
EMPTY = [(0, 0, torch.float32), (0, 3, torch.float64), (3, 0, torch.int64), (1, 0, torch.bool)]
SINGLE = [(torch.uint8, torch.int32), (torch.float16, torch.float32), (torch.float32, torch.float64)]
"""Pairs of one kind: what has no dimension, which a single element must not become, leaves the other's dtype."""
DTYPES = [
    (torch.int64, torch.int64),
    (torch.int64, torch.float32),
    (torch.float64, torch.bool),
    (torch.bfloat16, torch.int32),
    (torch.float32, torch.float64),
    (torch.float16, torch.float32),
    (torch.float16, torch.bfloat16),
    (torch.int16, torch.float16),
    (torch.uint8, torch.uint8),
    (torch.uint8, torch.int8),
    (torch.bool, torch.bool),
    (torch.bool, torch.uint8),
    (torch.complex64, torch.int64),
    (torch.float64, torch.complex64),
]


def random_pairs(lengths, generator):
    return [(torch.randn(n, generator=generator), torch.randn(m, generator=generator)) for n, m in lengths]


def whole(length, dtype, generator):
    """Whole numbers from 0 to 9, which every dtype holds exactly; complex ones are not real."""
    numbers = torch.randint(0, 10, (length,), generator=generator).to(dtype)
    return numbers * (1 - 2j) if dtype.is_complex else numbers


def mixed_pairs(generator):
    pairs = [(whole(4, first, generator), whole(3, second, generator)) for first, second in DTYPES]
    for small, large in SINGLE:
        several, single = whole(3, small, generator), whole(1, large, generator)
        pairs += [(several, single), (single, several)]
    return pairs


def table(a, b):
    return b.detach()[:, None] + a.detach()


def judge(submission, cases):
    for (a, b), attempt in zip(cases, submission.calls("add_table", cases), strict=True):
        expect(attempt).close_to(table(a, b)).leaves_arguments()


def test_values(submission, generator):
    judge(submission, random_pairs(LENGTHS, generator))


def test_values__dtypes(submission, generator):
    large = (torch.tensor([200, 100], dtype=torch.uint8), torch.tensor([100, 27, 3], dtype=torch.uint8))
    exact = (torch.tensor([2**53 + 1, 2**40]), torch.tensor([2, -(2**60)]))
    fine = (torch.tensor([1e6 + 1 / 3, 2], dtype=torch.float64), torch.tensor([-1e6, 1 / 7], dtype=torch.float64))
    judge(submission, [*mixed_pairs(generator), large, exact, fine])


def test_values__layouts(submission, generator):
    (a, b), (c, d), (e, f) = random_pairs([(6, 9), (3, 4), (4, 4)], generator)
    e.requires_grad_().grad = torch.ones(4)
    cases = [(a[::2], b[1::3]), (c[:1].expand(3), d[2:]), (c.requires_grad_(), d), (e, f.requires_grad_()), (f, f)]
    judge(submission, cases)


def test_dtype(submission, generator):
    cases = mixed_pairs(generator)
    for (a, b), attempt in zip(cases, submission.calls("add_table", cases), strict=True):
        expect(attempt).has_dtype(torch.promote_types(a.dtype, b.dtype))


def test_empty(submission, generator):
    cases = [(whole(n, dtype, generator), whole(m, dtype, generator)) for n, m, dtype in EMPTY]
    for (n, m, dtype), attempt in zip(EMPTY, submission.calls("add_table", cases), strict=True):
        expect(attempt).has_shape(m, n).has_dtype(dtype)


def test_vectorised(submission, generator):
    sizes = random_pairs([(3, 4), (17, 20), (170, 190)], generator)
    expect(submission.vectorised("add_table", *sizes)).is_tensor()
