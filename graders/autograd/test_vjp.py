"""autograd/vjp: the vector-Jacobian product of f at x, by autograd, detached, nothing touched."""

import torch
from torch import nn

from tensorgrade import expect


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
    """The product from the rows of the Jacobian, one backward for each output."""
    x = x.detach().clone().requires_grad_()
    y = f(x)
    total = torch.zeros_like(x)
    for output, weight in zip(y.reshape(-1), v.reshape(-1), strict=True):
        if output.requires_grad:
            row = torch.autograd.grad(output, x, retain_graph=True, allow_unused=True)[0]
            total = total if row is None else total + weight * row
    return total.detach()


def inputs(f, shape, dtype, generator):
    x = torch.randn(shape, generator=generator, dtype=dtype)
    return x, torch.randn(f(x).shape, generator=generator, dtype=dtype)


def network():
    torch.manual_seed(7)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def test_values(submission, generator):
    cases = [
        (f, *inputs(f, shape, dtype, generator)) for f, shape in FUNCTIONS for dtype in (torch.float32, torch.float64)
    ]
    for (f, x, v), attempt in zip(cases, submission.calls("vjp", cases), strict=True):
        expect(attempt).close_to(product(f, x, v), terms=max(v.numel(), 1))


def test_values__module(submission, generator):
    f = network()
    x, v = inputs(f, (5, 3), torch.float32, generator)
    expect(submission.call("vjp", f, x, v)).close_to(product(f, x, v), terms=10)


def test_values__requires_grad(submission, generator):
    for grad in (None, torch.full((3,), 5.0)):
        x, v = inputs(rotate, (3,), torch.float32, generator)
        expected = product(rotate, x, v)
        x.requires_grad_().grad = grad
        expect(submission.call("vjp", rotate, x, v)).close_to(expected, terms=3)


def test_values__non_contiguous(submission, generator):
    x = torch.randn(3, 4, generator=generator).t()
    v = torch.randn(3, 4, generator=generator).t()
    expect(submission.call("vjp", square, x, v)).close_to(2 * x * v)


def constant(x):
    return torch.ones(2, 3, dtype=x.dtype)


def through_a_parameter(x):
    return torch.ones(3, requires_grad=True) * 2


def test_independent(submission):
    points = [torch.full(shape, 1.5) for shape in ((3,), (2, 2), ())]
    cases = [(f, x, torch.ones(f(x).shape)) for f in (constant, through_a_parameter) for x in points]
    for (_, x, _), attempt in zip(cases, submission.calls("vjp", cases), strict=True):
        expect(attempt).equals(torch.zeros_like(x))


def test_detached(submission, generator):
    cases = [
        (f, x.requires_grad_(requires_grad), v)
        for f, shape in [(square, (4,)), (affine, (3,)), (vector_to_matrix, (3,)), (scalar_to_vector, ())]
        for requires_grad in (False, True)
        for x, v in [inputs(f, shape, torch.float32, generator)]
    ]
    for attempt in submission.calls("vjp", cases):
        expect(attempt).requires_grad(False)


def test_untouched(submission, generator):
    cases = []
    for requires_grad in (False, True):
        for grad in (None, torch.full((3,), 5.0)):
            x, v = inputs(rotate, (3,), torch.float32, generator)
            x.requires_grad_(requires_grad).grad = grad
            cases.append((rotate, x, v))
    for attempt in submission.calls("vjp", cases):
        expect(attempt).is_tensor().leaves_arguments()


def test_untouched__module(submission, generator):
    cases = []
    for with_grad in (False, True):
        f = network()
        x, v = inputs(f, (5, 3), torch.float32, generator)
        for parameter in f.parameters():
            parameter.grad = torch.ones_like(parameter) if with_grad else None
        cases.append((f, x, v))
    for attempt in submission.calls("vjp", cases):
        expect(attempt).is_tensor().leaves_arguments()
