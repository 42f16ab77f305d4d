"""operate/standardise: columns with mean 0, divided by the root of biased variance plus eps, vectorised."""

import torch

from tensorgrade import expect

TERMS = 100
"""So many terms' rounding is granted: the variance may be found by any of its formulas."""


def standardised(x, eps=1e-6):
    wide = x.detach().double()
    return ((wide - wide.mean(0)) / torch.sqrt(wide.var(0, correction=0) + eps)).to(x.dtype)


def data(generator):
    """Matrices with eps or None: also columns so narrow that eps counts, and columns away from 0."""
    x = torch.randn(50, 4, generator=generator)
    y = torch.randn(12, 9, generator=generator, dtype=torch.float64)
    few = torch.tensor([[1.0, -2.0, 0.0], [4.0, 0.5, 1.0]])
    narrow = torch.randn(8, 3, generator=generator) * 1e-3
    half = torch.tensor([[1.0, 4, 0, 2], [2, -4, 0, 2], [3, 4, 0, 2], [6, -4, 4, -2]])
    return [
        *[(matrix, None) for matrix in (x, x[:5] * 3 + 2, few, narrow, y + 50, y * 1e-3, y * 1e-5, y[:, :1], x[:7])],
        *[(x.t(), None), (y.t(), None), (y[::2, ::3], None)],
        *[(half.to(dtype), None) for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64)],
        *[(x, 0.5), (narrow, 1e-4), (y, 1e-2), (few, 2.0), (y, 1)],
    ]


def test_values(submission, generator):
    cases = [(x,) if eps is None else (x, eps) for x, eps in data(generator)]
    for case, attempt in zip(cases, submission.calls("standardise", cases), strict=True):
        expect(attempt).close_to(standardised(*case), terms=TERMS).has_dtype(case[0].dtype)


def test_values__keyword(submission, generator):
    x = torch.randn(6, 3, generator=generator)
    expect(submission.call("standardise", x, eps=0.25)).close_to(standardised(x, 0.25), terms=TERMS)


def test_constant(submission, generator):
    # powers of 2: whatever way the mean is found, it is exact
    columns = torch.tensor([0.0, 1.0, -2.0, 0.5, 64.0, -1024.0])
    cases = [(columns.to(dtype).repeat(n, 1),) for n in (1, 2, 4, 8, 32) for dtype in (torch.float32, torch.float64)]
    cases += [(columns[:5].half().repeat(4, 1),), (columns.bfloat16().repeat(2, 1),)]
    cases += [(torch.randn(1, 5, generator=generator, dtype=dtype),) for dtype in (torch.float32, torch.float64)]
    for (x,), attempt in zip(cases, submission.calls("standardise", cases), strict=True):
        expect(attempt).close_to(torch.zeros_like(x))


def test_constant__never_nan(submission, generator):
    columns = torch.randn(60, generator=generator) * 1000
    cases = [(columns.repeat(n, 1),) for n in (3, 7, 10, 50)]
    for (x,), attempt in zip(cases, submission.calls("standardise", cases), strict=True):
        expect(attempt).is_tensor().has_shape(*x.shape)
        expect(bool(attempt.value.values.to(torch.float64).isnan().any()), "presence of NaN", "NaN 的出现").equals(
            False
        )


def test_constant__empty(submission):
    cases = [(torch.empty(0, 3),), (torch.empty(4, 0, dtype=torch.float64),), (torch.empty(0, 0),)]
    for (x,), attempt in zip(cases, submission.calls("standardise", cases), strict=True):
        expect(attempt).equals(x)


def test_untouched(submission, generator):
    x, y, z = torch.randn(3, 6, 4, generator=generator)
    z = z.clone().requires_grad_()
    z.grad = torch.ones(6, 4)
    for attempt in submission.calls("standardise", [(x,), (y.t(),), (z,), (x[:1].expand(5, 4),)]):
        expect(attempt).is_tensor().leaves_arguments()


def test_vectorised(submission, generator):
    sizes = [(6, 5), (20, 30), (200, 150)]
    cases = [(torch.randn(size, generator=generator, dtype=torch.float64),) for size in sizes]
    expect(submission.vectorised("standardise", *cases)).close_to(standardised(*cases[-1]), terms=TERMS)
