"""operate/view: a contiguous tensor in rows of k, as a view."""

import torch

from tensorgrade import expect

from .matrices import DTYPES, numbers

SHAPES = [
    ((6,), 3),
    ((2, 3), 2),
    ((3, 4), 6),
    ((2, 3, 4), 8),
    ((4,), 4),
    ((5,), 1),
    ((), 1),
    ((2, 2), 2),
    ((1, 1, 6), 2),
    ((3, 2), 3),
    ((0,), 3),
    ((2, 0, 3), 4),
    ((1,), 1),
    ((60, 50), 30),
]
UNEVEN = [((6,), 4), ((7,), 2), ((2, 3), 4), ((3, 4), 8), ((3,), 5), ((), 2), ((4, 3), 9), ((2, 2, 2), 3), ((2, 5), 20)]


def even(generator):
    dtypes = [*DTYPES, torch.float32, torch.int64]
    cases = [(numbers(shape, generator, dtype), k) for (shape, k), dtype in zip(SHAPES, dtypes, strict=True)]
    part = numbers((5, 4), generator)[1:4]
    return [*cases, (part, 6), (numbers((20,), generator)[2:14], 3), (numbers((4, 3), generator).requires_grad_(), 2)]


def test_values(submission, generator):
    cases = even(generator)
    for (x, k), attempt in zip(cases, submission.calls("regroup", cases), strict=True):
        expect(attempt).equals(x.detach().view(-1, k)).has_dtype(x.dtype)


def test_view(submission, generator):
    for attempt in submission.calls("regroup", even(generator)):
        expect(attempt).shares_storage_with(attempt.arguments[0]).leaves_arguments()


def test_error(submission, generator):
    for attempt in submission.calls("regroup", [(numbers(shape, generator), k) for shape, k in UNEVEN]):
        expect(attempt).raises(ValueError)
