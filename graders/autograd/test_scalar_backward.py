"""autograd/scalar-backward: the gradient of mean(3 (x + 2)^2), found by autograd, x untouched."""

import torch

from tensorgrade import expect

from .autograd_probes import in_one_batch, once, plain_and_distorted

SHAPES = [(4,), (2, 0), (2, 3), (3, 2, 2), (0,), (), (1,), ()]


def gradient(x):
    x = x.detach().to(torch.float64)
    return 6 * (x + 2) / max(x.numel(), 1)


def points(generator):
    """Inputs of every kind; those of low precision have exact gradients, however they are rounded on the way."""
    plain = [
        torch.randn(shape, generator=generator, dtype=(torch.float32, torch.float64)[i % 2])
        for i, shape in enumerate(SHAPES)
    ]
    low = [torch.tensor([-4.0, -2.0, 0.0, 2.0], dtype=dtype) for dtype in (torch.float16, torch.bfloat16)]
    strided = [torch.randn(3, 4, generator=generator).t(), torch.randn(6, generator=generator)[::2]]
    return [*plain, *low, *strided, torch.randn(300, generator=generator)]


def with_grads(generator):
    for requires_grad in (False, True):
        for grad in (None, torch.full((3,), 5.0)):
            x = torch.randn(3, generator=generator).requires_grad_(requires_grad)
            x.grad = None if grad is None else grad.clone()
            yield x


def near_the_minimum():
    """A number whose gradient is far off when it goes through float32."""
    return torch.tensor(1.5 * 2.0**-23 - 2, dtype=torch.float64)


@once
def outcomes(submission, generator):
    groups = {"plain": points(generator), "exact": [near_the_minimum()], "flagged": list(with_grads(generator))}
    cases = {name: [(x,) for x in xs] for name, xs in groups.items()}
    return in_one_batch(submission, "grad_of_mean", cases)


def facts_in_graphs(student, leaf, x):
    """At the result of other operations: the gradient and what it left behind; and one with distorted backwards."""
    point = leaf * 1.5
    at_a_result = student.grad_of_mean(point), leaf, point.retains_grad
    return at_a_result, plain_and_distorted(student.grad_of_mean, lambda: (x.clone(),))


@once
def in_graphs(submission, generator):
    leaf = torch.randn(2, 2, generator=generator, requires_grad=True)
    return leaf.detach(), submission.run(facts_in_graphs, leaf, torch.rand(3, generator=generator) + 1)


def test_values(submission, generator):
    found = outcomes(submission, generator)
    for (x,), attempt in found["plain"] + found["flagged"]:
        expect(attempt).has_dtype(x.dtype).close_to(gradient(x).to(x.dtype), terms=4)
    for (x,), attempt in found["exact"]:
        expect(attempt).has_dtype(x.dtype).close_to(gradient(x))
    leaf, ((result, _, _), _) = in_graphs(submission, generator)
    expect(result).close_to(gradient(leaf * 1.5).float(), terms=4)


def test_autograd(submission, generator):
    _, (_, (plain, other, forward)) = in_graphs(submission, generator)
    expect(plain).is_tensor()
    expect(other).is_tensor()
    found = forward or plain.shape != other.shape or not torch.equal(plain.values, other.values)
    expect(found, "way to the gradient (it is not autograd's)", "求梯度的方法（不是自动求导）").equals(True)


def test_untouched(submission, generator):
    for _, attempt in outcomes(submission, generator)["flagged"]:
        expect(attempt).is_tensor().leaves_arguments()
    _, ((_, leaf, retains_grad), _) = in_graphs(submission, generator)
    expect(leaf.grad, "`.grad` of the tensor behind x", "x 背后的张量的 `.grad` ").equals(None)
    expect(retains_grad, "retain_grad of x", "x 的 retain_grad ").equals(False)
