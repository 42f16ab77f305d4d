"""autograd/scalar-backward: the gradient of mean(3 (x + 2)^2), found by autograd, x untouched."""

import torch

from tensorgrade import expect

from .autograd_probes import plain_and_distorted

SHAPES = [(4,), (), (2, 3), (1,), (0,), (2, 0), (3, 2, 2)]


def gradient(x):
    x = x.detach().to(torch.float64)
    return 6 * (x + 2) / max(x.numel(), 1)


def points(generator):
    """Inputs of every kind; those of low precision have exact gradients, however they are rounded on the way."""
    plain = [
        torch.randn(shape, generator=generator, dtype=dtype)
        for shape, dtype in zip(SHAPES * 2, [torch.float32, torch.float64, torch.float32] * 5, strict=False)
    ]
    low = [torch.tensor([-4.0, -2.0, 0.0, 2.0], dtype=dtype) for dtype in (torch.float16, torch.bfloat16)]
    strided = [torch.randn(3, 4, generator=generator).t(), torch.randn(6, generator=generator)[::2]]
    return [*plain, *low, *strided, torch.randn(2000, generator=generator)]


def with_grads(generator):
    for requires_grad in (False, True):
        for grad in (None, torch.full((3,), 5.0)):
            x = torch.randn(3, generator=generator).requires_grad_(requires_grad)
            x.grad = None if grad is None else grad.clone()
            yield x


def test_values(submission, generator):
    cases = [(x,) for x in [*points(generator), *with_grads(generator)]]
    for (x,), attempt in zip(cases, submission.calls("grad_of_mean", cases), strict=True):
        expect(attempt).has_dtype(x.dtype).close_to(gradient(x).to(x.dtype), terms=4)


def at_a_result(student, leaf):
    return student.grad_of_mean(leaf * 1.5)


def test_values__not_a_leaf(submission, generator):
    leaf = torch.randn(2, 2, generator=generator, requires_grad=True)
    expect(submission.run(at_a_result, leaf)).close_to(gradient(leaf * 1.5).float(), terms=4)


def distorted(student, x):
    return plain_and_distorted(student.grad_of_mean, lambda: (x.clone(),))


def test_autograd(submission, generator):
    x = torch.rand(3, generator=generator) + 1
    plain, other, forward = submission.run(distorted, x)
    expect(plain).is_tensor()
    expect(other).is_tensor()
    found = forward or plain.shape != other.shape or not torch.equal(plain.values, other.values)
    expect(found, "way to the gradient (it is not autograd's)", "求梯度的方法（不是自动求导）").equals(True)


def test_untouched(submission, generator):
    for attempt in submission.calls("grad_of_mean", [(x,) for x in with_grads(generator)]):
        expect(attempt).is_tensor().leaves_arguments()
