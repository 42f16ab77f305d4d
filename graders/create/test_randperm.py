"""create/randperm: the rows of a matrix in a random order drawn from a seed, in two parts.

Each bound on a statistic is passed by right answers but for one in ten million seeds or fewer.
"""

import math

import torch

from tensorgrade import expect
from tensorgrade.observation import ObservedTensor

from .pairs import expect_tuple, parts

TRAIN = ("first result", "第一个结果")
TEST = ("second result", "第二个结果")
SIZES = [(5, 3, 2), (1, 2, 1), (1, 2, 0), (6, 1, 0), (6, 1, 6), (0, 4, 0), (4, 0, 1), (300, 4, 77)]
DTYPES = [torch.int64, torch.uint8, torch.float16, torch.bfloat16, torch.float64, torch.complex64]
SEEDS = [0, 1, 2, 3, 1, 1001, 2**31, 2**32 - 1, 0]
ROWS, TESTED = 300, 120
FEW, SEVERAL = 4, 72


def numbered(rows, cols=2, dtype=torch.float32):
    """A matrix whose elements are all different, in ascending order."""
    return torch.arange(rows * cols).reshape(rows, cols).to(dtype)


def split(submission, cases):
    for case, attempt in zip(cases, submission.calls("split_rows", cases), strict=True):
        yield case, attempt.returned()


def test_pair(submission):
    for (x, n_test, _), pair in split(
        submission, [(numbered(n, d), n_test, seed) for seed, (n, d, n_test) in enumerate(SIZES)]
    ):
        train, test = expect_tuple(pair)
        expect(train, *TRAIN).is_tensor().has_shape(x.shape[0] - n_test, x.shape[1])
        expect(test, *TEST).is_tensor().has_shape(n_test, x.shape[1])


def rows_of(pair, width):
    """All rows of both parts, as lists of numbers."""
    found = []
    for item, subject in zip(parts(pair), (TRAIN, TEST), strict=True):
        expect(item, *subject).is_tensor()
        values = item.values if isinstance(item, ObservedTensor) else torch.empty(0)
        expect(values.dim() == 2 and values.shape[1] == width, *subject).equals(True)
        found += values.tolist()
    return found


def expect_the_rows(x, pair):
    found = sorted(rows_of(pair, x.shape[1]), key=str)
    expect(found, "list of all rows", "所有行的列表").equals(sorted(x.tolist(), key=str))


def test_rows(submission):
    wide = numbered(7, 9)
    views = [wide.t(), wide[:, ::2], wide[1::3], torch.tensor([[1.5, -2.0]]).expand(4, 2)]
    wholes = [numbered(5, 3, dtype) for dtype in DTYPES] + [torch.eye(4, 3, dtype=torch.bool), numbered(ROWS, 3)]
    fine = [-numbered(3) / 7, numbered(3, 2, torch.float64) / 7, numbered(3, 2, torch.int64) + 2**60]
    for (x, *_), pair in split(submission, [(x, 2, 8) for x in [*views, *wholes, *fine]]):
        expect_the_rows(x, pair)
        for item, subject in zip(parts(pair), (TRAIN, TEST), strict=True):
            expect(item, *subject).has_dtype(x.dtype)


def order(pair):
    """The numbers of the rows, first those of the train part, then those of the test part."""
    return (torch.tensor([row[0] for row in rows_of(pair, 2)], dtype=torch.float64) / 2).round().long()


def untidy(numbers):
    """Whether they neither rise nor fall with their place."""
    places = torch.arange(numbers.numel(), dtype=torch.float64)
    correlation = torch.corrcoef(torch.stack([places, numbers.double()]))[0, 1].item()
    return abs(correlation) * math.sqrt(numbers.numel()) < 6


def test_shuffled(submission):
    x = numbered(ROWS)
    for _, pair in split(submission, [(x, TESTED, seed) for seed in (0, 7, 123_456)]):
        expect_the_rows(x, pair)
        numbers = order(pair)
        train, test = numbers[:-TESTED], numbers[-TESTED:]
        steps = numbers.diff().abs()
        neighbours = int(((steps == 1) | (steps == ROWS - 1)).sum())
        expect(untidy(train), "order of the train rows", "训练部分的顺序").equals(True)
        expect(untidy(test), "order of the test rows", "测试部分的顺序").equals(True)
        expect(untidy(numbers) and neighbours < 25, "order of all rows", "所有行的顺序").equals(True)


def first_columns(student, x, n_test, seeds):
    """The first column of both parts, one after the other, in a row for each seed."""
    pairs = [student.split_rows(x, n_test, seed) for seed in range(seeds)]
    return torch.stack([torch.cat([train[:, 0], test[:, 0]]) for train, test in pairs])


def test_shuffled__each_row_anywhere(submission):
    found = submission.run(first_columns, torch.arange(FEW)[:, None], FEW // 2, SEVERAL)
    expect(found, "list of all rows", "所有行的列表").is_tensor().has_shape(SEVERAL, FEW)
    rows = torch.arange(FEW)
    seen = (found.values[:, :, None] == rows).any(0)
    # the same order for each seed is another clause's matter
    anywhere = bool(seen.all()) or len(found.values.unique(dim=0)) == 1
    expect(anywhere, "set of places of a row", "一行可能的位置").equals(True)


def test_seed(submission):
    x, known = numbered(ROWS), {}
    for (_, _, seed), pair in split(submission, [(x, TESTED, seed) for seed in SEEDS]):
        numbers = tuple(order(pair).tolist())
        again = numbers == known.setdefault(seed, numbers)
        expect(again, "second result for a seed", "同一种子的第二次结果").equals(True)
    chosen = {frozenset(numbers[-TESTED:]) for numbers in known.values()}
    expect(len(chosen), "number of different test parts", "不同测试部分的个数").equals(len(known))


def test_untouched(submission):
    required = numbered(6).requires_grad_()
    required.grad = torch.ones(6, 2)
    xs = [numbered(9), numbered(8).t(), numbered(5, 3, torch.int64), required, numbered(12)[::2]]
    for attempt in submission.calls("split_rows", [(x, 1, 4) for x in xs]):
        parts(attempt.returned())
        expect(attempt).leaves_arguments()
