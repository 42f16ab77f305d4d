"""operate/add: two ways to a new sum, and one in place."""

import torch

from tensorgrade import expect

from .matrices import DTYPES, numbers

FITTING = [
    ((3,), (3,)),
    ((), ()),
    ((0,), (0,)),
    ((1, 0), (2, 0)),
    ((4,), (2, 4)),
    ((), (2, 3)),
    ((2, 1), (2, 3)),
    ((1, 2), (2, 2)),
    ((2, 3), (2, 3)),
    ((1, 1, 3), (2, 1, 3)),
    ((5,), (5,)),
    ((1,), (30, 40)),
]
WIDENED = [((2, 3), (3,)), ((2, 1), (3,)), ((2, 3), ())]
MIXED = [(torch.int64, torch.float32), (torch.bool, torch.int16), (torch.float32, torch.float64)]


def pairs(generator):
    """Pairs of tensors whose sum fits into the second: all dtypes, shapes that broadcast, views, and zeros."""
    cases = [
        (numbers(left, generator, dtype), numbers(right, generator, dtype))
        for (left, right), dtype in zip(FITTING, DTYPES, strict=True)
    ]
    cases += [(numbers((2, 3), generator, one), numbers((2, 3), generator, other)) for one, other in MIXED]
    x, y = torch.randn(2, 5, 4, generator=generator)
    return [*cases, (x.t(), numbers((4, 10), generator)[:, ::2]), (x, torch.zeros(5, 4)), (x * 0, y)]


def wider_pairs(generator):
    """Pairs whose sum fits into neither, and pairs that share memory."""
    x = torch.randn(3, 3, generator=generator)
    widened = [(numbers(left, generator), numbers(right, generator)) for left, right in WIDENED]
    return [*widened, (x, x), (x, x.t()), (numbers((3, 1), generator).expand(3, 3), x)]


def judge_new(submission, generator, name):
    cases = pairs(generator) + wider_pairs(generator)
    for (x, y), attempt in zip(cases, submission.calls(name, cases), strict=True):
        expect(attempt).close_to(x + y).has_dtype((x + y).dtype).leaves_arguments()
        for argument in attempt.arguments:
            expect(attempt).shares_storage_with(argument, False)


def add_in_place(student, cases):
    """What `add_inplace` returns, its arguments, a view of `y` taken before, and the tensor that `y` is a part of."""
    seen = []
    for x, y, whole in cases:
        view = y[...]
        seen.append([student.add_inplace(x, y), x, y, view, whole])
    return seen


def test_operator(submission, generator):
    judge_new(submission, generator, "add_operator")


def test_function(submission, generator):
    judge_new(submission, generator, "add_function")


def test_in_place(submission, generator):
    cases = [(x, y, y) for x, y in pairs(generator)]
    whole = torch.randn(6, 7, generator=generator)
    cases += [(torch.ones(5), whole[2, 1:6], whole), (torch.ones(2, 4), whole.t()[1::3, :4], whole)]
    seen = submission.run(add_in_place, cases)
    for x, y, _ in cases:
        y.add_(x)  # what was sent is a copy
    for (x, y, whole), (value, left, right, view, around) in zip(cases, seen, strict=True):
        expect(value).is_same_object_as(right)
        expect(right, "second argument", "第二个参数").close_to(y).has_dtype(y.dtype)
        expect(view, "view of y that was taken before", "事先取得的 y 的视图").close_to(y)
        expect(around, "tensor that y is a part of", "y 所属的张量").close_to(whole)
        expect(left, "first argument", "第一个参数").equals(x).has_dtype(x.dtype)
