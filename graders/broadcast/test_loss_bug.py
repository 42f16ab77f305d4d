"""broadcast/loss-bug: the mean squared error over n pairs, however the two are shaped."""

import torch

from tensorgrade import expect

LENGTHS = [1, 2, 30]
DTYPES = [torch.float16, torch.bfloat16, torch.float32, torch.float64]


def shapes(n, m):
    return [(first, second) for first in ((n, 1), (n,)) for second in ((m,), (m, 1))]


def pairs_of(n, generator, dtype=torch.float32):
    """A prediction and a target in each combination of shapes."""
    first, second = torch.randn(2, n, generator=generator, dtype=torch.float64).to(dtype)
    return [(first.reshape(one).clone(), second.reshape(other).clone()) for one, other in shapes(n, n)]


def error(pred, target):
    return ((pred.detach().double().flatten() - target.detach().double().flatten()) ** 2).mean()


def judge_values(submission, cases):
    for (pred, target), attempt in zip(cases, submission.calls("mse", cases), strict=True):
        expect(attempt).close_to(error(pred, target).to(pred.dtype), terms=pred.numel())


def test_pairs(submission, generator):
    cases = [case for n in LENGTHS for case in pairs_of(n, generator)]
    cases += [case for dtype in DTYPES if dtype is not torch.float32 for case in pairs_of(5, generator, dtype)]
    cases += [(10_000 + x, 10_000 + y) for x, y in pairs_of(6, generator, torch.float64)]
    table = torch.randn(6, 4, generator=generator)
    views = [(table[:, 1:2], table[:, 3]), (table[:, 0], table[:, 2:3]), (table[:1].t(), table[5])]
    judge_values(submission, [*cases, *views])


def test_pairs__without_a_square(submission, generator):
    pred, target = torch.randn(2, 20_000, generator=generator)
    judge_values(submission, [(pred[:, None], target), (pred, target[:, None])])


def test_scalar(submission, generator):
    cases = [case for dtype in DTYPES for case in pairs_of(4, generator, dtype)[:2]] + pairs_of(1, generator)
    for (pred, _), attempt in zip(cases, submission.calls("mse", cases), strict=True):
        expect(attempt).has_shape().has_dtype(pred.dtype)


def test_mismatch(submission, generator):
    lengths = [(6, 3), (1, 4), (4, 1)]
    cases = [
        (torch.randn(one, generator=generator), torch.randn(other, generator=generator))
        for n, m in lengths
        for one, other in shapes(n, m)
    ]
    for attempt in submission.calls("mse", cases):
        expect(attempt).raises(ValueError)


def gradients(student, cases):
    """For each case whether the loss requires grad, and the gradient of a leaf and of what was computed from one."""
    found = []
    for pred, target in cases:
        leaf = pred.clone().requires_grad_()
        student.mse(leaf, target).backward()
        source = pred.clone().requires_grad_()
        (3 * student.mse(source * 2, target)).backward()
        found.append((leaf.grad, source.grad))
    return found


def slope(pred, target):
    """The gradient of the error: twice each difference, over their number."""
    return 2 * (pred - target.reshape(pred.shape)) / pred.numel()


def test_gradient(submission, generator):
    cases = [(pred, target) for n in (1, 5) for pred, target in pairs_of(n, generator) if pred.shape == target.shape]
    for (pred, target), (leaf, source) in zip(cases, submission.run(gradients, cases), strict=True):
        expect(leaf, "gradient of pred", "pred 的梯度").close_to(slope(pred, target))
        expect(source, "gradient before pred", "pred 之前的梯度").close_to(6 * slope(2 * pred, target))
    others = [(pred.requires_grad_(), target) for pred, target in pairs_of(4, generator)]
    for attempt in submission.calls("mse", others):
        expect(attempt).requires_grad()


def test_untouched(submission, generator):
    cases = pairs_of(4, generator)
    for pred, _ in pairs_of(4, generator)[1:3]:
        pred.requires_grad_().grad = torch.ones_like(pred)
        cases.append((pred, torch.randn(4, generator=generator)))
    for attempt in submission.calls("mse", cases):
        expect(attempt).is_tensor().leaves_arguments()
