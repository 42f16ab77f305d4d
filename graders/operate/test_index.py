"""operate/index: a row, a column, and a column kept 2-D, all of them views."""

import torch

from tensorgrade import expect
from tensorgrade.observation import ObservedObject, ObservedTensor

from .matrices import matrices, numbers
from .misconceptions import explain

SUBJECTS = [("first result", "第一个结果"), ("second result", "第二个结果"), ("third result", "第三个结果")]


def indexed(generator):
    """Matrices, each with the numbers of a row and a column of it."""
    required = numbers((4, 3), generator).requires_grad_()
    last = [(x, x.shape[0] - 1, x.shape[1] // 2) for x in [*matrices(generator), required]]
    return [*last, (numbers((2, 5), generator), 0, 4), (numbers((5, 2), generator, torch.int64), 4, 0)]


def parts(attempt):
    """The three items of a result, also when they are not in a tuple: that is another clause's matter."""
    value = attempt.returned()
    items = value.items if isinstance(value, ObservedObject) else value
    if not isinstance(items, (tuple, list)) or len(items) != 3:
        expect(value).equals((None, None, None))
    return items


def is_first_row(item, x):
    """Whether `item` is x[:1] or x[0], where that cannot be meant as anything else."""
    if not isinstance(item, ObservedTensor) or item.values is None or min(x.shape) == 1:
        return False
    return item.shape in ((1, x.shape[1]), x.shape[1:]) and torch.equal(item.values.flatten(), x.detach()[0])


def explain_first_row(cases, attempts, place):
    rows = [(case[0], attempt) for case, attempt in zip(cases, attempts, strict=True) if attempt.error is None]
    if place > 0 and len(rows) == sum(min(x.shape) == 1 or is_first_row(parts(one)[place], x) for x, one in rows) > 0:
        explain(
            "This is a row: one index or slice, as in `x[:1]`, picks rows. Columns are the second dimension.",
            "这是一行：单个索引或切片（如 `x[:1]`）选出的是行。列是第二个维度。",
        )


def judge_part(submission, generator, place, expected):
    cases = indexed(generator)
    attempts = submission.calls("row_and_column", cases)
    explain_first_row(cases, attempts, place)
    for (x, i, j), attempt in zip(cases, attempts, strict=True):
        expect(parts(attempt)[place], *SUBJECTS[place]).equals(expected(x, i, j).detach()).has_dtype(x.dtype)


def test_row(submission, generator):
    judge_part(submission, generator, 0, lambda x, i, j: x[i])


def test_column(submission, generator):
    judge_part(submission, generator, 1, lambda x, i, j: x[:, j])


def test_kept(submission, generator):
    judge_part(submission, generator, 2, lambda x, i, j: x[:, j : j + 1])


def test_views(submission, generator):
    for attempt in submission.calls("row_and_column", indexed(generator)):
        items = parts(attempt)
        if isinstance(items, list):
            expect(attempt).equals((None, None, None))
        for item, subject in zip(items, SUBJECTS, strict=True):
            expect(item, *subject).shares_storage_with(attempt.arguments[0])
        expect(attempt).leaves_arguments()
