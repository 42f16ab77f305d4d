"""create/eye: the n by m identity matrix of a dtype, vectorised."""

import torch

from tensorgrade import expect

SIZES = [(1, 1), (3, 3), (3, 5), (5, 3), (1, 4), (4, 1), (0, 0), (0, 2), (2, 0), (40, 33)]
DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
]


def test_values(submission):
    attempts = submission.calls("identity", [(n, m, torch.float32) for n, m in SIZES])
    for (n, m), attempt in zip(SIZES, attempts, strict=True):
        expect(attempt).equals(torch.eye(n, m))


def test_values__dtypes(submission):
    for attempt in submission.calls("identity", [(2, 3, dtype) for dtype in DTYPES]):
        expect(attempt).equals(torch.eye(2, 3))


def test_values__more_rows_than_the_dtype_counts(submission):
    for attempt in submission.calls("identity", [(260, 259, dtype) for dtype in (torch.int8, torch.bfloat16)]):
        expect(attempt).equals(torch.eye(260, 259))


def test_dtype(submission):
    attempts = submission.calls("identity", [(3, 2, dtype) for dtype in DTYPES])
    for dtype, attempt in zip(DTYPES, attempts, strict=True):
        expect(attempt).has_dtype(dtype)


def test_dtype__empty(submission):
    expect(submission.call("identity", 0, 4, torch.int16)).has_dtype(torch.int16)


def test_vectorised(submission):
    sizes = [(5, 7), (16, 17), (160, 161)]
    expect(submission.vectorised("identity", *((n, m, torch.float64) for n, m in sizes))).equals(torch.eye(160, 161))
