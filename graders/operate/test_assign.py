"""operate/assign: the border of a matrix set to zero in place, vectorised."""

import torch

from tensorgrade import expect

from .matrices import DTYPES, matrices, numbers

CUTS = [
    lambda whole: whole,
    lambda whole: whole[1:5, 2:6],
    lambda whole: whole.t()[1:-1],
    lambda whole: whole[::2, ::3],
    lambda whole: whole[1:, 4:],
]


def without_border(x):
    inside = torch.zeros_like(x)
    inside[1:-1, 1:-1] = x[1:-1, 1:-1]
    return inside


def writable(generator):
    """Matrices of all kinds, but those with stride 0, whose elements cannot differ."""
    cases = [x for x in matrices(generator) if 0 not in x.stride()]
    cases += [numbers((4, 5), generator, dtype) for dtype in DTYPES]
    cases += [torch.full(size, 3.0) for size in ((1, 1), (1, 2), (2, 1), (2, 2), (3, 1), (2, 6), (3, 3))]
    return [*cases, torch.randn(6, 4, generator=generator) - 3]


def change_in_place(student, cases):
    """What is returned, the argument, a view of it taken before, and the tensor that it is a part of."""
    seen = []
    for x, whole in cases:
        view = x[...]
        seen.append([student.zero_border(x), x, view, whole])
    return seen


def test_border(submission, generator):
    cases = [(x,) for x in writable(generator)]
    for (x,), attempt in zip(cases, submission.calls("zero_border", cases), strict=True):
        # whether it is returned is another clause's matter
        result = attempt.arguments[0] if attempt.returned() is None else attempt.value
        expect(result).equals(without_border(x)).has_dtype(x.dtype)


def test_in_place(submission, generator):
    wholes = [numbers((6, 7), generator) + 20 for _ in CUTS]
    cases = [(cut(whole), whole) for cut, whole in zip(CUTS, wholes, strict=True)]
    seen = submission.run(change_in_place, cases)
    for cut, whole, (value, argument, view, around) in zip(CUTS, wholes, seen, strict=True):
        expect(value).is_same_object_as(argument)
        judge_memory(argument, view, cut(whole).shape)
        judge_surroundings(around, whole, cut)


def judge_memory(argument, view, shape):
    """The argument and a view of it are in the same memory still, and something has happened there."""
    expect(argument, "argument", "参数").is_tensor().has_shape(*shape).has_dtype(torch.float32)
    is_changed = expect(view, "view of x that was taken before", "事先取得的 x 的视图").shares_storage_with(argument)
    zeroed = argument.values.clone()
    zeroed[0, 0] = 0
    is_changed.equals(zeroed)


def judge_surroundings(around, whole, cut):
    """What is not a part of the argument is as it was."""
    is_unchanged = expect(around, "tensor that x is a part of", "x 所属的张量").is_tensor().has_shape(*whole.shape)
    is_unchanged.has_dtype(whole.dtype)
    expected = around.values.clone()
    outside = torch.ones_like(whole, dtype=torch.bool)
    cut(outside).fill_(False)
    expected[outside] = whole[outside]
    is_unchanged.equals(expected)


def test_vectorised(submission, generator):
    sizes = [(4, 5), (20, 30), (120, 90)]
    cases = [(numbers(size, generator, torch.float64) + 20,) for size in sizes]
    expect(submission.vectorised("zero_border", *cases)).equals(without_border(cases[-1][0]))
