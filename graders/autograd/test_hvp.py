"""autograd/hvp: the Hessian-vector product at the price of a few passes, detached, nothing touched."""

import torch
from torch import nn

from tensorgrade import expect
from tensorgrade.observation import ObservedTensor

from .autograd_probes import Cost, in_one_batch, once


def cubic(x):
    return (x**3).sum()


def mixed(x):
    return x[0] * x[1] + torch.sin(x[2]) * x[0] ** 2


def power(x):
    return x.sum() ** 4 / 4


def product_of_rows(x):
    return (x @ x.transpose(0, 1)).diagonal().prod()


def in_place_inside(x):
    y = x * 1
    y *= x
    return (y * x).mean()


def partly_linear(x):
    return x[0] ** 2 + 5 * x[1]


FUNCTIONS = [
    (cubic, (4,)),
    (cubic, ()),
    (cubic, (0,)),
    (cubic, (2, 3)),
    (mixed, (3,)),
    (power, (2, 2)),
    (product_of_rows, (2, 3)),
    (in_place_inside, (3,)),
    (partly_linear, (3,)),
]


def number(*after):
    """A module that makes one number of a vector of three, `after` that by other modules."""
    linear = nn.Linear(3, 1, bias=False)
    linear.weight = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))  # without rows: the product is 0-d
    return nn.Sequential(linear, *after)


def product(f, x, v):
    x = x.detach().clone().requires_grad_()
    gradient = torch.autograd.grad(f(x), x, create_graph=True)[0]
    return torch.autograd.grad(gradient, x, v.detach(), materialize_grads=True)[0]


def randoms(shape, dtype, generator):
    return [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2)]


def plain_cases(generator):
    """Every function, in alternating dtypes; some x and v require grad, and some are not contiguous."""
    dtypes = (torch.float32, torch.float64)
    cases = [(f, *randoms(shape, dtypes[i % 2], generator)) for i, (f, shape) in enumerate(FUNCTIONS)]
    for i, (_, x, v) in enumerate(cases):
        x.requires_grad_(i % 3 == 1)
        v.requires_grad_(i % 4 == 1)
    return [*cases, (cubic, *(t.t() for t in randoms((3, 4), torch.float32, generator)))]


def flagged_cases(generator):
    """Inputs with and without ``requires_grad`` and ``.grad``, and a module with and without gradients of its own."""
    for with_grad in (False, True):
        f = number(nn.Tanh())
        f[0].weight.grad = torch.ones(3) if with_grad else None
        yield f, *randoms((3,), torch.float32, generator)
        x, v = randoms((3,), torch.float32, generator)
        x.requires_grad_().grad = torch.full((3,), 5.0) if with_grad else None
        yield mixed, x, v.requires_grad_(with_grad)
    x, v = randoms((3,), torch.float32, generator)
    x.grad = torch.full((3,), 4.0)
    yield mixed, x, v


def affine(x):
    return (3 * x).sum() - 1


def entry(x):
    return x[1]


def constant(x):
    return torch.tensor(2.0)


def through_a_parameter(x):
    return torch.ones(3, requires_grad=True).pow(2).sum()


def weighted(x):
    return (torch.ones(3, requires_grad=True) ** 2 * x).sum()


def linear_cases(generator):
    functions = [affine, entry, constant, through_a_parameter, weighted, number()]
    cases = [(f, *randoms((3,), torch.float32, generator)) for f in functions]
    return [
        *cases,
        (affine, *randoms((2, 2), torch.float64, generator)),
        (affine, *randoms((), torch.float32, generator)),
    ]


@once
def outcomes(submission, generator):
    groups = {
        "plain": plain_cases(generator),
        "flagged": list(flagged_cases(generator)),
        "linear": linear_cases(generator),
    }
    return in_one_batch(submission, "hvp", groups)


def test_values(submission, generator):
    found = outcomes(submission, generator)
    for (f, x, v), attempt in found["plain"] + found["flagged"]:
        expect(attempt).has_dtype(x.dtype).close_to(product(f, x, v), terms=64)


def test_linear(submission, generator):
    for (_, x, _), attempt in outcomes(submission, generator)["linear"]:
        expect(attempt).has_dtype(x.dtype).equals(torch.zeros(x.shape))


def chain(x):
    return (x**3).sum() + (x[1:] ** 2 * x[:-1]).sum()


def costs(student, cases):
    """Of each call: the result, how many operations ran, and the elements of the largest tensor they made."""
    student.hvp(chain, *(t.clone() for t in cases[0]))
    facts = []
    for x, v in cases:
        with Cost() as cost:
            result = student.hvp(chain, x, v)
        facts.append((result, cost.operations, cost.largest))
    return facts


def test_no_hessian(submission, generator):
    sizes = (4, 24)
    cases = [tuple(randoms((n,), torch.float32, generator)) for n in sizes]
    small, large = submission.run(costs, cases)
    for (result, _, _), n in zip((small, large), sizes, strict=True):
        expect(result).is_tensor().has_shape(n)
    expect(large[1] <= small[1] + 10, "number of passes, which grows with x,", "随 x 增长的求导遍数").equals(True)
    expect(large[2] <= 8 * sizes[1], "size of a tensor on the way", "中间张量的大小").equals(True)


def test_detached(submission, generator):
    found = outcomes(submission, generator)
    for _, attempt in found["flagged"]:
        expect(attempt).requires_grad(False)
    for _, attempt in found["plain"] + found["linear"]:
        if isinstance(attempt.value, ObservedTensor):
            expect(attempt).requires_grad(False)


def test_untouched(submission, generator):
    for _, attempt in outcomes(submission, generator)["flagged"]:
        expect(attempt).is_tensor().leaves_arguments()
