"""operate/item: smallest and largest value, the place of the largest, and the number of elements, as Python numbers."""

import torch

from tensorgrade import expect
from tensorgrade.observation import ObservedObject, ObservedTensor

from .matrices import DTYPES, layouts, numbers

KEYS = {"min": float, "max": float, "argmax": int, "count": int}
REAL = [dtype for dtype in DTYPES if dtype is not torch.bool and not dtype.is_complex]


def tensors(generator):
    """Tensors of all shapes, strides and dtypes, with ties, and with numbers that a less precise dtype cannot tell."""
    x = torch.randn(3, 4, 5, generator=generator)
    big = 2**24
    cases = [
        *(numbers((3, 4), generator, dtype) for dtype in REAL),
        *layouts(3, 4, generator, REAL),
        x,
        x.permute(2, 0, 1),
        -x.abs() - 1,
        torch.tensor(-2.5),
        torch.tensor([7]),
        torch.zeros(2, 3),
        torch.full((4, 50), -3),
        torch.tensor([1.0, 3.0, 2.0] * 40),
        torch.tensor([[-1, -2], [-1, -3]], dtype=torch.int8),
        torch.tensor([big, big + 1, big - 1, big + 1, -big - 1]),
        torch.tensor([big, big + 1, -big - 1], dtype=torch.int32),
        torch.tensor([5, 2**53, 2**53 + 1]),
        torch.tensor([1.0, 1 + 1e-12, 1 - 1e-12], dtype=torch.float64),
        torch.tensor([1e300, -1e300], dtype=torch.float64),
        torch.tensor([200, 100, 255, 0], dtype=torch.uint8),
        torch.randn(2, 3, generator=generator, requires_grad=True),
        torch.randn(4, 2, generator=generator).t().requires_grad_(),
        torch.randn(1000, generator=generator),
    ]
    return [(x,) for x in cases]


def few(generator):
    cases = [numbers((3, 4), generator, dtype) for dtype in REAL]
    x = torch.randn(4, 3, generator=generator)
    return [(x,) for x in [*cases, torch.tensor(2), x, x.t(), x.clone().requires_grad_()]]


def entries(attempt):
    """The dict that was returned; a subclass of dict is one as well."""
    value = attempt.returned()
    entries = value.items if isinstance(value, ObservedObject) else value
    if not isinstance(entries, dict):
        expect(value).equals({})
    return entries


def number(attempt, key):
    """An entry as a number: that it is of the right type is another clause's matter."""
    got = entries(attempt).get(key)
    if isinstance(got, ObservedTensor) and got.values is not None and got.values.numel() == 1:
        got = got.values.item()
    if type(got) is int and abs(got) < 2**63:
        return float(got) if KEYS[key] is float else got
    if type(got) is float and got.is_integer() and KEYS[key] is int:
        return int(got)
    return got


def judge(submission, cases, **wanted):
    for (x,), attempt in zip(cases, submission.calls("summary", cases), strict=True):
        for key, find in wanted.items():
            expect(number(attempt, key), f'value for "{key}"', f"“{key}”的值").equals(KEYS[key](find(x.detach())))


def first_place(x):
    flat = x.flatten()
    return (flat == flat.max()).nonzero()[0].item()


def test_extremes(submission, generator):
    judge(submission, tensors(generator), min=torch.min, max=torch.max)


def test_argmax(submission, generator):
    judge(submission, tensors(generator), argmax=first_place)


def test_count(submission, generator):
    cases = [*few(generator), *((x,) for x in layouts(2, 5, generator)), (torch.ones(2, 3, 4),), (torch.zeros(1),)]
    judge(submission, cases, count=torch.numel)


def test_types(submission, generator):
    for attempt in submission.calls("summary", few(generator)):
        got = entries(attempt)
        for key, kind in KEYS.items():
            value = got.get(key)
            expect(value, f'value for "{key}"', f"“{key}”的值").equals(value if type(value) is kind else kind())
        expect(len(got), "number of keys", "键的个数").equals(len(KEYS))


def test_untouched(submission, generator):
    for attempt in submission.calls("summary", few(generator)):
        assert entries(attempt)
        expect(attempt).leaves_arguments()
