"""broadcast/expand: a vector seen as equal rows, without copying."""

import torch

from tensorgrade import expect

COUNTS = [2, 3, 5, 100]
DTYPES = [torch.bool, torch.int64, torch.bfloat16, torch.complex128]


def vectors(generator):
    """Vectors of all kinds: lengths, dtypes, strides, in a graph or not."""
    x = torch.randn(12, generator=generator)
    required = torch.randn(4, generator=generator).requires_grad_()
    required.grad = torch.ones(4)
    wholes = [torch.randn(length, generator=generator) for length in (1, 3, 50)]
    typed = [torch.arange(5).to(dtype) for dtype in DTYPES]
    views = [x[::3], x[2:7], x.view(3, 4)[:, 1], x[4:5].expand(6), torch.randn(2, 3, generator=generator).t()[1]]
    return [*wholes, *typed, *views, required]


def cases(generator):
    every = [(x, COUNTS[i % len(COUNTS)]) for i, x in enumerate(vectors(generator))]
    return [*every, (torch.ones(3), 1)]


def test_values(submission, generator):
    pairs = [*cases(generator), (torch.empty(0), 3), (torch.ones(4), 0)]
    for (x, n), attempt in zip(pairs, submission.calls("repeat_rows", pairs), strict=True):
        rows = x.detach().repeat(n, 1)
        expect(attempt).equals(rows).has_dtype(x.dtype)


def test_view(submission, generator):
    for attempt in submission.calls("repeat_rows", cases(generator)):
        expect(attempt).shares_storage_with(attempt.arguments[0])


def test_stride(submission, generator):
    pairs = [(x, n) for x, n in cases(generator) if n >= 2]
    for attempt in submission.calls("repeat_rows", pairs):
        expect(attempt).is_tensor()
        strides = attempt.value.stride
        expect(len(strides) == 2 and strides[0] == 0, "stride along the rows", "沿行方向的步长").equals(True)


def test_untouched(submission, generator):
    for attempt in submission.calls("repeat_rows", cases(generator)):
        expect(attempt).is_tensor().leaves_arguments()
