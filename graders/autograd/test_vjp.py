"""autograd/vjp: the vector-Jacobian product of f at x, by autograd, detached, nothing touched."""

import torch
from torch import nn

from tensorgrade import expect

from .autograd_probes import plain_and_distorted


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


def value_cases(generator):
    """Every function once, in alternating dtypes; then modules, inputs that require grad, and other strides."""
    dtypes = (torch.float32, torch.float64)
    cases = [(f, *inputs(f, shape, dtypes[i % 2], generator)) for i, (f, shape) in enumerate(FUNCTIONS)]
    cases.append((network(), *inputs(network(), (5, 3), torch.float32, generator)))
    cases.append((square, torch.randn(3, 4, generator=generator).t(), torch.randn(3, 4, generator=generator).t()))
    for grad in (None, torch.full((3,), 5.0)):
        x, v = inputs(rotate, (3,), torch.float32, generator)
        x.requires_grad_().grad = grad
        cases.append((rotate, x, v.requires_grad_()))
    return cases


def test_values(submission, generator):
    cases = value_cases(generator)
    for (f, x, v), attempt in zip(cases, submission.calls("vjp", cases), strict=True):
        expect(attempt).has_dtype(x.dtype).close_to(product(f, x, v), terms=max(v.numel(), 1))


def at_a_result(student, leaf, v):
    return student.vjp(square, leaf * 1.5, v)


def test_values__not_a_leaf(submission, generator):
    leaf, v = torch.randn(2, 3, generator=generator, requires_grad=True), torch.randn(2, 3, generator=generator)
    expect(submission.run(at_a_result, leaf, v)).close_to(3 * leaf.detach() * v, terms=4)


def distorted(student, x, v):
    return plain_and_distorted(student.vjp, lambda: (rotate, x.clone(), v.clone()))


def test_autograd(submission, generator):
    x, v = torch.rand(3, generator=generator) + 1, torch.rand(3, generator=generator) + 1
    plain, other, forward = submission.run(distorted, x, v)
    expect(plain).is_tensor()
    expect(other).is_tensor()
    found = forward or plain.shape != other.shape or not torch.equal(plain.values, other.values)
    expect(found, "way to the product (it is not autograd's)", "求积的方法（不是自动求导）").equals(True)


def constant(x):
    return torch.ones(2, 3, dtype=x.dtype)


def through_a_parameter(x):
    return torch.ones(3, dtype=x.dtype, requires_grad=True) * 2


def test_independent(submission):
    dtypes = (torch.float32, torch.float64)
    points = [torch.full(shape, 1.5, dtype=dtype) for shape in ((3,), (2, 2), ()) for dtype in dtypes]
    cases = [(f, x, torch.ones_like(f(x))) for f in (constant, through_a_parameter) for x in points]
    for (_, x, _), attempt in zip(cases, submission.calls("vjp", cases), strict=True):
        expect(attempt).has_dtype(x.dtype).equals(torch.zeros(x.shape)).has_dtype(x.dtype)


def test_detached(submission, generator):
    cases = [
        (f, x.requires_grad_(i % 2 == 0), v.requires_grad_(i > 1))
        for i, (f, shape) in enumerate(
            [(square, (4,)), (vector_to_matrix, (3,)), (affine, (3,)), (scalar_to_vector, ())]
        )
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
            v.requires_grad_(not requires_grad)
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
