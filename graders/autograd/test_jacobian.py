"""autograd/jacobian: the (m, n) Jacobian of f and its product with a vector, detached, nothing touched."""

import torch
from torch import nn

from tensorgrade import expect


def rotate(x):
    return torch.stack([x[0] * x[1], x[1] + 2 * x[2], torch.sin(x[0]), x[2] ** 2])


def to_one(x):
    return (x**3).sum().reshape(1)


def widened(x):
    return torch.cat([x, x * x, torch.exp(-x)])


def square(x):
    return x**2 + x[0]


def in_place_inside(x):
    y = x * 1
    y *= x
    return (y + y.mean())[:2]


def affine(x):
    return torch.arange(6.0, dtype=x.dtype).reshape(2, 3) @ x + 1


FUNCTIONS = [(rotate, 3), (to_one, 4), (widened, 2), (square, 1), (square, 5), (in_place_inside, 3), (affine, 3)]


def network():
    torch.manual_seed(9)
    return nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))


def matrix(f, x):
    """The Jacobian from one backward pass for each output."""
    x = x.detach().clone().requires_grad_()
    rows = [
        torch.autograd.grad(y, x, retain_graph=True, allow_unused=True)[0] if y.requires_grad else None for y in f(x)
    ]
    return torch.stack([torch.zeros_like(x) if row is None else row for row in rows]).detach()


def randoms(n, dtype, generator, count=2):
    return [torch.randn(n, generator=generator, dtype=dtype) for _ in range(count)]


def inputs(generator):
    """f, x and u: every function, a module, and inputs that require grad, hold a ``.grad`` or have strides."""
    cases = [(f, *randoms(n, (torch.float32, torch.float64)[i % 2], generator)) for i, (f, n) in enumerate(FUNCTIONS)]
    cases.append((network(), *randoms(3, torch.float32, generator)))
    cases.append((rotate, *(t[::2] for t in randoms(6, torch.float32, generator))))
    for grad in (None, torch.full((3,), 5.0)):
        x, u = randoms(3, torch.float32, generator)
        x.requires_grad_().grad = grad
        cases.append((rotate, x, u.requires_grad_()))
    return cases


def test_matrix(submission, generator):
    cases = inputs(generator)
    attempts = submission.calls("jacobian", [(f, x) for f, x, _ in cases])
    for (f, x, _), attempt in zip(cases, attempts, strict=True):
        expect(attempt).has_dtype(x.dtype).close_to(matrix(f, x), terms=8)


def test_product(submission, generator):
    cases = inputs(generator)
    for (f, x, u), attempt in zip(cases, submission.calls("jvp", cases), strict=True):
        expect(attempt).has_dtype(x.dtype).close_to(matrix(f, x) @ u.detach(), terms=16)


def constant(x):
    return torch.ones(4, dtype=x.dtype)


def through_a_parameter(x):
    return torch.ones(2, requires_grad=True) * 2


def partly_constant(x):
    return torch.stack([x[0] ** 3, torch.ones_like(x[0]), x[2] / 2])


def test_independent(submission):
    points = [(constant, torch.ones(3)), (constant, torch.ones(2, requires_grad=True))]
    points += [(through_a_parameter, torch.ones(3)), (partly_constant, torch.tensor([1.0, 2.0, 3.0]))]
    for (f, x), attempt in zip(points, submission.calls("jacobian", points), strict=True):
        expect(attempt).has_dtype(x.dtype).close_to(matrix(f, x), terms=4)
    products = [(f, x, torch.full_like(x, 2.0)) for f, x in points]
    for (f, x, u), attempt in zip(products, submission.calls("jvp", products), strict=True):
        expect(attempt).has_dtype(x.dtype).close_to(matrix(f, x) @ u, terms=8)


def test_detached(submission, generator):
    cases = [case for case in inputs(generator) if case[0] in (affine, rotate) or isinstance(case[0], nn.Module)]
    attempts = submission.calls("jacobian", [(f, x) for f, x, _ in cases]) + submission.calls("jvp", cases)
    for attempt in attempts:
        expect(attempt).requires_grad(False)


def test_untouched(submission, generator):
    cases = []
    for with_grad in (False, True):
        f = network()
        for parameter in f.parameters():
            parameter.grad = torch.ones_like(parameter) if with_grad else None
        cases.append((f, *randoms(3, torch.float32, generator)))
        x, u = randoms(3, torch.float32, generator)
        x.requires_grad_().grad = torch.full((3,), 5.0) if with_grad else None
        cases += [(rotate, x, u.requires_grad_(with_grad)), (rotate, u.detach(), x.detach())]
    attempts = submission.calls("jacobian", [(f, x) for f, x, _ in cases]) + submission.calls("jvp", cases)
    for attempt in attempts:
        expect(attempt).is_tensor().leaves_arguments()
