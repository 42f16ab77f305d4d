"""operate/non-contiguous: the elements of any matrix, column by column."""

import torch
from torch import nn

from tensorgrade import expect

from .matrices import DTYPES, SIZES, layouts, numbers
from .misconceptions import explain_view_of_clone


def contiguous(generator):
    sizes = [*SIZES, (2, 3), (3, 2), (4, 6), (30, 40), (2, 7)]
    return [numbers(size, generator, dtype) for size, dtype in zip(sizes, DTYPES, strict=True)]


def others(generator):
    """Matrices that are not contiguous, require grad, or have no elements."""
    empty = [torch.empty(size) for size in ((0, 0), (0, 3), (3, 0))]
    required = [torch.randn(3, 4, generator=generator, requires_grad=True), nn.Parameter(torch.ones(2, 3))]
    turned = torch.randn(5, 3, generator=generator, dtype=torch.float64).t().requires_grad_()
    return [*layouts(3, 4, generator, DTYPES[1:]), numbers((1, 6), generator)[:, ::2], *empty, *required, turned]


def by_columns(x):
    columns = [x.detach()[:, j] for j in range(x.shape[1])]
    return torch.cat(columns) if columns else x.new_empty(0)


def judge(submission, cases):
    attempts = submission.calls("column_major", cases)
    explain_view_of_clone(attempts)
    for (x,), attempt in zip(cases, attempts, strict=True):
        expect(attempt).equals(by_columns(x)).has_dtype(x.dtype)


def test_order(submission, generator):
    judge(submission, [(x,) for x in contiguous(generator)])


def test_every_matrix(submission, generator):
    judge(submission, [(x,) for x in others(generator)])


def test_untouched(submission, generator):
    cases = [(numbers((2, 3), generator),), (torch.randn(3, 4, generator=generator),)]
    for attempt in submission.calls("column_major", cases):
        expect(attempt).is_tensor().leaves_arguments()


def test_untouched__others(submission, generator):
    for attempt in submission.calls("column_major", [(x,) for x in others(generator)]):
        if attempt.error is None:  # that all of these work is another clause's matter
            expect(attempt).leaves_arguments()
