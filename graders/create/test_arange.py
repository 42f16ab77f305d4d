"""create/arange: whole numbers counted down, with the stop if it is reached and never below it, as int64."""

import torch

from tensorgrade import expect

REACHED = [
    (5, 0, 1),
    (10, 1, 3),
    (9, 3, 2),
    (0, 0, 1),
    (4, 4, 7),
    (-4, -4, 1),
    (-1, -10, 3),
    (3, -3, 1),
    (6, -6, 12),
    (300, 0, 1),
]
MISSED = [
    (5, 0, 2),
    (10, 0, 3),
    (10, 1, 4),
    (10, 1, 8),
    (3, 0, 7),
    (1, 0, 2),
    (0, -1, 5),
    (-2, -9, 4),
    (7, -6, 5),
    (8, 3, 3),
    (1000, 1, 7),
]
LARGE = [
    (2**24 + 21, 2**24, 3),
    (10**12 + 5000, 10**12, 250),
    (2**53 + 7, 2**53 + 1, 2),
    (2**53 + 9, 2**53 - 6, 5),
    (-(2**60) + 3, -(2**60), 1),
]


def judge(submission, cases):
    for (start, stop, step), attempt in zip(cases, submission.calls("countdown", cases), strict=True):
        expect(attempt).equals(torch.tensor(range(start, stop - 1, -step)))


def test_reached(submission):
    judge(submission, REACHED)


def test_missed(submission):
    judge(submission, MISSED)


def test_dtype(submission):
    for attempt in submission.calls("countdown", [*REACHED, *MISSED]):
        expect(attempt).has_dtype(torch.int64)


def test_dtype__large(submission):
    for (start, stop, step), attempt in zip(LARGE, submission.calls("countdown", LARGE), strict=True):
        expect(attempt).is_tensor().has_dtype(torch.int64)
        steps = {start - number for number in attempt.value.values.flatten().tolist()}
        # which of them are there is the matter of the other clauses
        exact = all(offset % step == 0 for offset in steps) and abs(len(steps) - (start - stop) // step - 1) <= 1
        expect(exact, "sequence of large numbers", "很大的数的序列").equals(True)
