"""broadcast/pairwise: Euclidean distances between the rows of two matrices."""

import torch

from tensorgrade import expect

SIZES = [(1, 1, 1), (2, 3, 4), (5, 2, 1), (4, 4, 4), (1, 6, 3), (30, 40, 5), (3, 2, 60)]
EMPTY = [(0, 3, 2), (3, 0, 2), (0, 0, 2), (2, 3, 0), (0, 2, 0)]


def matrices(n, m, d, generator, dtype=torch.float32):
    """Two matrices of whole numbers and halves: no distance between different rows is small."""
    numbers = torch.randint(-20, 21, (n + m, d), generator=generator) / 2
    return numbers[:n].to(dtype), numbers[n:].to(dtype)


def table(a, b):
    a, b = a.detach().double(), b.detach().double()
    return ((a[:, None] - b[None]) ** 2).sum(2).sqrt()


def judge(submission, cases):
    for (a, b), attempt in zip(cases, submission.calls("distances", cases), strict=True):
        # 16 allows for the formula with squares and products, which may lose a few digits
        expect(attempt).close_to(table(a, b).to(a.dtype), terms=16 + a.shape[1]).leaves_arguments()


def test_values(submission, generator):
    judge(submission, [matrices(*size, generator) for size in SIZES])


def test_values__layouts(submission, generator):
    a, b = matrices(8, 9, 6, generator)
    x, y = matrices(4, 3, 3, generator)
    x.requires_grad_().grad = torch.ones(4, 3)
    offset = torch.tensor([[-3.0, 0.0], [4.0, 3.0]])
    cases = [
        (a[::2, 1::2], b[:3, :3]),
        (a[:6].t(), b[:6].t()),
        (x, y),
        (y, x),
        (x, x),
        (offset, offset[:1].expand(3, 2)),
    ]
    judge(submission, cases)


def test_values__scales(submission, generator):
    near = [0.01 * x for x in matrices(4, 6, 3, generator)]
    far = [1000 + x / 3 for x in matrices(4, 5, 3, generator, torch.float64)]
    tiny = [torch.tensor(rows, dtype=torch.float64) / 1000 for rows in ([[0, 0], [1, 0]], [[0, 2], [1, 0], [4, 5]])]
    judge(submission, [tuple(near), tuple(far), tuple(tiny)])


def test_values__empty(submission, generator):
    judge(submission, [matrices(*size, generator) for size in EMPTY])


def test_zero(submission, generator):
    cases = [matrices(5, 5, 3, generator, dtype) for dtype in (torch.float32, torch.float64)]
    rough = [
        torch.randn(n, d, generator=generator) * scale for n, d, scale in [(40, 7, 1e3), (30, 30, 1), (6, 2, 1e-3)]
    ]
    cases = [(a, a.clone()) for a, _ in cases] + [(a, a.flip(0).contiguous()) for a in [*rough, rough[0].double()]]
    for (a, b), attempt in zip(cases, submission.calls("distances", cases), strict=True):
        expect(attempt).is_tensor().has_shape(len(a), len(b))
        same = (a[:, None] == b[None]).all(2)
        expect(bool(attempt.value.values.isfinite().all()), "finiteness of the distances", "距离的有限性").equals(True)
        expect(bool((attempt.value.values[same] == 0).all()), "distance of equal rows", "相同行之间的距离").equals(True)


def test_dtype(submission, generator):
    for dtype in (torch.float32, torch.float64):
        cases = [matrices(*size, generator, dtype) for size in [(2, 3, 4), (0, 2, 3), (3, 2, 0)]]
        for attempt in submission.calls("distances", cases):
            expect(attempt).has_dtype(dtype)


def test_vectorised(submission, generator):
    sizes = [matrices(*size, generator) for size in [(4, 5, 2), (28, 30, 4), (60, 70, 16)]]
    expect(submission.vectorised("distances", *sizes)).is_tensor()
