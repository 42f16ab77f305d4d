"""create/linspace: evenly spaced points with exact ends, and the spacing between them."""

import torch

from tensorgrade import expect
from tensorgrade.observation import ObservedTensor

from .pairs import expect_tuple, parts

POINTS = ("first result", "第一个结果")
SPACING = ("second result", "第二个结果")
CASES = [
    (0, 1, 2),
    (0.0, 1.0, 5),
    (0, 10, 11),
    (1.5, -2.5, 8),
    (3, -3, 4),
    (-7.25, -1.125, 50),
    (2, 2, 3),
    (0.1, 0.1, 2),
    (-0.3, -0.3, 8),
    (1e6, 2e6, 6),
    (1000.0, 1002.0, 7),
    (-1, 1, 102),
]
ENDS = [(low / 7, high / 3, n) for low, high, n in [(1, 2, 11), (-3, 5, 30), (10, -20, 47), (0.7, 0.1, 3)]]
ENDS += [(0.1, 0.7, n) for n in (2, 4, 8, 13, 29, 60)] + [(-0.9, 5.3, n) for n in (5, 12, 37, 100)]
ENDS += [(16_777_217, 0, 5), (1e-3, 1e3, 20)]


def grids(submission, cases=CASES):
    return [attempt.returned() for attempt in submission.calls("grid", cases)]


def test_pair(submission):
    for pair in grids(submission):
        points, spacing = expect_tuple(pair)
        expect(points, *POINTS).is_tensor()
        expect(spacing is not None, *SPACING).equals(True)


def test_points(submission):
    for (start, stop, n), pair in zip(CASES, grids(submission), strict=True):
        even = torch.linspace(start, stop, n, dtype=torch.float64)
        expect(parts(pair)[0], *POINTS).close_to(even.float(), terms=n)


def test_points__dtype(submission):
    for pair in grids(submission):
        expect(parts(pair)[0], *POINTS).has_dtype(torch.float32)


def end(points, place):
    """The first or last point, rounded to float32."""
    expect(points, *POINTS).is_tensor()
    values = points.values.flatten() if isinstance(points, ObservedTensor) else torch.empty(0)
    expect(values.numel() > 1, *POINTS).equals(True)
    return values[place].to(torch.float32).item()


def test_ends(submission):
    cases = [*CASES, *ENDS]
    for (start, stop, _), pair in zip(cases, grids(submission, cases), strict=True):
        points = parts(pair)[0]
        expect(end(points, 0), "first point", "第一个点").equals(torch.tensor(start, dtype=torch.float32).item())
        expect(end(points, -1), "last point", "最后一个点").equals(torch.tensor(stop, dtype=torch.float32).item())


def test_spacing(submission):
    for (start, stop, n), pair in zip(CASES, grids(submission), strict=True):
        spacing = parts(pair)[1]
        expect(spacing, *SPACING).has_type(float)
        slack = 4 * torch.finfo(torch.float32).eps * max(abs(start), abs(stop))
        expect(abs(spacing - (stop - start) / (n - 1)) <= slack, *SPACING).equals(True)
