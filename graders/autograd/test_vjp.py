"""autograd/vjp: the vector-Jacobian product of f at x, by autograd, detached, nothing touched."""

import torch
from torch import nn

from tensorgrade import expect
from tensorgrade.observation import ObservedTensor

from .autograd_probes import in_one_batch, once, plain_and_distorted


def square(x):
    return x**2


def rotate(x):
    return torch.stack([x[0] * x[1], x[1] + 2 * x[2], torch.sin(x[0])])


def scalar_to_vector(x):
    return torch.stack([x, x**2, torch.exp(-x), x * 3])


def matrix_to_scalar(x):
    return (x @ x.transpose(0, 1)).diagonal().prod()


def vector_to_matrix(x):
    return x[:, None] * x[None, :] ** 2


def affine(x):
    return 3 * x - 1


def widened(x):
    return torch.cat([x, x * x]).reshape(2, -1)


def in_place_inside(x):
    y = x * 1
    y *= x
    return y + y.mean()


def partly_constant(x):
    return torch.stack([x[0] ** 3, torch.ones_like(x[0]), x[2] / 2])


FUNCTIONS = [
    (square, (4,)),
    (square, ()),
    (square, (2, 3)),
    (square, (0,)),
    (rotate, (3,)),
    (scalar_to_vector, ()),
    (matrix_to_scalar, (2, 3)),
    (vector_to_matrix, (3,)),
    (affine, (5,)),
    (widened, (4,)),
    (in_place_inside, (3,)),
    (partly_constant, (3,)),
]


def product(f, x, v):
    x = x.detach().clone().requires_grad_()
    return torch.autograd.grad(f(x), x, v.detach(), materialize_grads=True)[0]


def inputs(f, shape, dtype, generator):
    x = torch.randn(shape, generator=generator, dtype=dtype)
    return x, torch.randn(f(x).shape, generator=generator, dtype=dtype)


def plain_cases(generator):
    """Every function once, in alternating dtypes; some x and v require grad, and some x are not contiguous."""
    dtypes = (torch.float32, torch.float64)
    cases = [(f, *inputs(f, shape, dtypes[i % 2], generator)) for i, (f, shape) in enumerate(FUNCTIONS)]
    for i, (_, x, v) in enumerate(cases):
        x.requires_grad_(i % 3 == 0)
        v.requires_grad_(i % 4 == 3)
    strided = (torch.randn(3, 4, generator=generator).t(), torch.randn(3, 4, generator=generator).t())
    return [*cases, (square, *strided)]


def flagged_cases(generator):
    """Have x and v with all combinations of ``requires_grad``, with and without a ``.grad``."""
    for i, grad in enumerate((None, torch.full((3,), 5.0)) * 2):
        x, v = inputs(rotate, (3,), torch.float32, generator)
        x.requires_grad_(i > 1).grad = None if grad is None else grad.clone()
        v.requires_grad_(i in (1, 2))
        yield rotate, x, v


def module_cases(generator):
    """A module with parameters, without and with gradients of their own."""
    for with_grad in (False, True):
        f = nn.LayerNorm(3)
        for parameter in f.parameters():
            parameter.grad = torch.ones_like(parameter) if with_grad else None
        yield f, *inputs(f, (5, 3), torch.float32, generator)


def constant(x):
    return torch.ones(2, 3, dtype=x.dtype)


def through_a_parameter(x):
    return torch.ones(3, dtype=x.dtype, requires_grad=True) * 2


def independent_cases():
    for f in (constant, through_a_parameter):
        for shape, dtype in (((3,), torch.float32), ((2, 2), torch.float64), ((), torch.float32)):
            x = torch.full(shape, 1.5, dtype=dtype)
            yield f, x, torch.ones(f(x).shape, dtype=dtype)


@once
def outcomes(submission, generator):
    groups = {
        "plain": plain_cases(generator),
        "flagged": list(flagged_cases(generator)),
        "modules": list(module_cases(generator)),
        "independent": list(independent_cases()),
    }
    return in_one_batch(submission, "vjp", groups)


def facts_in_graphs(student, leaf, v, x, w):
    """At the result of other operations: the product and what it left behind; and one with distorted backwards."""
    point = leaf * 1.5
    at_a_result = student.vjp(square, point, v), leaf, point.retains_grad
    return at_a_result, plain_and_distorted(student.vjp, lambda: (rotate, x.clone(), w.clone()))


@once
def in_graphs(submission, generator):
    leaf, v = torch.randn(2, 3, generator=generator, requires_grad=True), torch.randn(2, 3, generator=generator)
    positive = [torch.rand(3, generator=generator) + 1 for _ in range(2)]
    return 3 * leaf.detach() * v, submission.run(facts_in_graphs, leaf, v, *positive)


def test_values(submission, generator):
    found = outcomes(submission, generator)
    for (f, x, v), attempt in found["plain"] + found["flagged"] + found["modules"]:
        expect(attempt).has_dtype(x.dtype).close_to(product(f, x, v), terms=max(v.numel(), 1))
    wanted, ((result, _, _), _) = in_graphs(submission, generator)
    expect(result).close_to(wanted, terms=4)


def test_autograd(submission, generator):
    _, (_, (plain, other, forward)) = in_graphs(submission, generator)
    expect(plain).is_tensor()
    expect(other).is_tensor()
    found = forward or plain.shape != other.shape or not torch.equal(plain.values, other.values)
    expect(found, "way to the product (it is not autograd's)", "求积的方法（不是自动求导）").equals(True)


def test_independent(submission, generator):
    for (_, x, _), attempt in outcomes(submission, generator)["independent"]:
        expect(attempt).has_dtype(x.dtype).equals(torch.zeros(x.shape))


def test_detached(submission, generator):
    found = outcomes(submission, generator)
    for _, attempt in found["flagged"] + found["modules"]:
        expect(attempt).requires_grad(False)
    for _, attempt in found["plain"] + found["independent"]:
        if isinstance(attempt.value, ObservedTensor):
            expect(attempt).requires_grad(False)


def test_untouched(submission, generator):
    found = outcomes(submission, generator)
    for _, attempt in found["flagged"] + found["modules"]:
        expect(attempt).is_tensor().leaves_arguments()
    _, ((_, leaf, retains_grad), _) = in_graphs(submission, generator)
    expect(leaf.grad, "`.grad` of the tensor behind x", "x 背后的张量的 `.grad` ").equals(None)
    expect(retains_grad, "retain_grad of x", "x 的 retain_grad ").equals(False)
