"""create/from-data: nested lists of numbers, and single numbers, as float32 tensors."""

import torch

from tensorgrade import expect

LISTS = [
    [1, 2],
    [1.5, -2.25, 0.1],
    [1, 2.5, -3],
    [[1, 2, 3], [4, 5, 6]],
    [[0.1], [1 / 3], [70000.5]],
    [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[-9, 0], [1e-6, 12]]],
    [[[[[7]]]]],
    [5],
    [[-0.001, 1e30]],
    [2**31 + 7, -(2**40), 255, 300],
    [16_777_217, 3],
    [[i * j - 50 for j in range(30)] for i in range(20)],
]
NUMBERS = [3, 0, -7, 2.5, -0.1, 1e-20, 2**33]


def test_values(submission):
    for data, attempt in zip(LISTS, submission.calls("from_data", [(data,) for data in LISTS]), strict=True):
        expect(attempt).close_to(torch.tensor(data, dtype=torch.float32)).leaves_arguments()


def test_dtype(submission):
    for attempt in submission.calls("from_data", [(data,) for data in [*LISTS[:8], 3, 1]]):
        expect(attempt).has_dtype(torch.float32)


def test_scalar(submission):
    for number, attempt in zip(NUMBERS, submission.calls("from_data", [(item,) for item in NUMBERS]), strict=True):
        expect(attempt).close_to(torch.tensor(number, dtype=torch.float32))
