"""create/zeros-ones: a pair of zeros in int64 and ones in float32."""

import torch

from tensorgrade import expect

from .memory import filled_with_noise
from .pairs import expect_tuple, parts

SIZES = [(1, 1), (2, 3), (3, 2), (4, 4), (0, 3), (2, 0), (0, 0), (1, 6), (30, 17)]
ZEROS = ("first result", "第一个结果")
ONES = ("second result", "第二个结果")


def pairs(submission):
    return [attempt.returned() for attempt in submission.calls("zeros_and_ones", SIZES)]


def in_noisy_memory(student, sizes):
    with filled_with_noise():
        return [student.zeros_and_ones(rows, cols) for rows, cols in sizes]


def test_pair(submission):
    for pair in pairs(submission):
        for item, subject in zip(expect_tuple(pair), (ZEROS, ONES), strict=True):
            expect(item, *subject).is_tensor()


def test_zeros(submission):
    for size, pair in zip(SIZES, submission.run(in_noisy_memory, SIZES), strict=True):
        expect(parts(pair)[0], *ZEROS).equals(torch.zeros(size))


def test_ones(submission):
    for size, pair in zip(SIZES, submission.run(in_noisy_memory, SIZES), strict=True):
        expect(parts(pair)[1], *ONES).equals(torch.ones(size))


def test_dtypes(submission):
    for zeros, ones in map(parts, pairs(submission)):
        expect(zeros, *ZEROS).has_dtype(torch.int64)
        expect(ones, *ONES).has_dtype(torch.float32)
