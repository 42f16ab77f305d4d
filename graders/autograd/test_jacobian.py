"""autograd/jacobian: the (m, n) Jacobian of f and its product with a vector, detached, nothing touched."""

import torch
from torch import nn

from tensorgrade import expect
from tensorgrade.observation import ObservedTensor

from .autograd_probes import in_one_batch, once


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


def constant(x):
    return torch.ones(4, dtype=x.dtype)


def through_a_parameter(x):
    return torch.ones(2, requires_grad=True) * 2


def partly_constant(x):
    return torch.stack([x[0] ** 3, torch.ones_like(x[0]), x[2] / 2])


def matrix(f, x):
    """The Jacobian from one backward pass for each output."""
    x = x.detach().clone().requires_grad_()
    outputs = f(x)
    if not outputs.requires_grad:
        return torch.zeros(len(outputs), len(x), dtype=x.dtype)
    rows = [torch.autograd.grad(y, x, retain_graph=True, materialize_grads=True)[0] for y in outputs]
    return torch.stack(rows)


def randoms(n, dtype, generator, count=2):
    return [torch.randn(n, generator=generator, dtype=dtype) for _ in range(count)]


def plain_cases(generator):
    """f, x and u: every function, in alternating dtypes; some x and u require grad, and some are not contiguous."""
    cases = [(f, *randoms(n, (torch.float32, torch.float64)[i % 2], generator)) for i, (f, n) in enumerate(FUNCTIONS)]
    for i, (_, x, u) in enumerate(cases):
        x.requires_grad_(i % 3 == 2)
        u.requires_grad_(i % 4 == 2)
    return [*cases, (rotate, *(t[::2] for t in randoms(6, torch.float32, generator)))]


def flagged_cases(generator):
    """Inputs with and without ``requires_grad`` and ``.grad``, and a module with and without gradients of its own."""
    for with_grad in (False, True):
        f = nn.LayerNorm(3)
        for parameter in f.parameters():
            parameter.grad = torch.ones_like(parameter) if with_grad else None
        yield f, *randoms(3, torch.float32, generator)
        x, u = randoms(3, torch.float32, generator)
        x.requires_grad_().grad = torch.full((3,), 5.0) if with_grad else None
        yield rotate, x, u.requires_grad_(with_grad)
    x, u = randoms(3, torch.float32, generator)
    x.grad = torch.full((3,), 4.0)
    yield rotate, x, u


def independent_cases():
    points = [(constant, torch.ones(3)), (constant, torch.ones(2, requires_grad=True))]
    points += [(through_a_parameter, torch.ones(3)), (partly_constant, torch.tensor([1.0, 2.0, 3.0]))]
    return [(f, x, torch.full_like(x, 2.0).detach()) for f, x in points]


@once
def inputs(_, generator):
    """The cases by group, and of each the Jacobian."""
    groups = {
        "plain": plain_cases(generator),
        "flagged": list(flagged_cases(generator)),
        "independent": independent_cases(),
    }
    return groups, {name: [matrix(f, x) for f, x, _ in cases] for name, cases in groups.items()}


@once
def jacobians(submission, generator):
    groups, wanted = inputs(submission, generator)
    found = in_one_batch(
        submission, "jacobian", {name: [(f, x) for f, x, _ in cases] for name, cases in groups.items()}
    )
    return {name: list(zip(wanted[name], [attempt for _, attempt in found[name]], strict=True)) for name in groups}


@once
def products(submission, generator):
    groups, wanted = inputs(submission, generator)
    found = in_one_batch(submission, "jvp", groups)
    return {
        name: [(j @ u.detach(), attempt) for j, ((_, _, u), attempt) in zip(wanted[name], found[name], strict=True)]
        for name in groups
    }


def check_close(found, *groups, terms):
    for group in groups:
        for wanted, attempt in found[group]:
            expect(attempt).has_dtype(wanted.dtype).close_to(wanted, terms=terms)


def test_matrix(submission, generator):
    check_close(jacobians(submission, generator), "plain", "flagged", terms=8)


def test_product(submission, generator):
    check_close(products(submission, generator), "plain", "flagged", terms=16)


def test_independent(submission, generator):
    check_close(jacobians(submission, generator), "independent", terms=4)
    check_close(products(submission, generator), "independent", terms=8)


def test_detached(submission, generator):
    for found in (jacobians(submission, generator), products(submission, generator)):
        for _, attempt in found["flagged"]:
            expect(attempt).requires_grad(False)
        for _, attempt in found["plain"] + found["independent"]:
            if isinstance(attempt.value, ObservedTensor):
                expect(attempt).requires_grad(False)


def test_untouched(submission, generator):
    for found in (jacobians(submission, generator), products(submission, generator)):
        for _, attempt in found["flagged"]:
            expect(attempt).is_tensor().leaves_arguments()
