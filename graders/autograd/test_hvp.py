"""autograd/hvp: the Hessian-vector product at the price of a few passes, detached, nothing touched."""

import torch
from torch import nn

from tensorgrade import expect

from .autograd_probes import Cost


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


class Energy(nn.Module):
    """A small network that ends in one number."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(8)
        self.first, self.second = nn.Linear(3, 4), nn.Linear(4, 1)

    def forward(self, x):
        """Return the loss, a 0-d tensor."""
        return self.second(torch.tanh(self.first(x))).pow(2).sum()


def product(f, x, v):
    """The product with the whole Hessian."""
    x, v = x.detach(), v.detach()
    if not x.numel():
        return torch.zeros_like(x)
    hessian = torch.autograd.functional.hessian(f, x).reshape(x.numel(), x.numel())
    return (hessian @ v.reshape(-1)).reshape(x.shape).detach()


def randoms(shape, dtype, generator):
    return [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(2)]


def inputs(generator):
    dtypes = (torch.float32, torch.float64)
    cases = [(f, *randoms(shape, dtypes[i % 2], generator)) for i, (f, shape) in enumerate(FUNCTIONS)]
    cases.append((Energy(), *randoms((2, 3), torch.float32, generator)))
    cases.append((cubic, *(t.t() for t in randoms((3, 4), torch.float32, generator))))
    for grad in (None, torch.full((3,), 5.0)):
        x, v = randoms((3,), torch.float32, generator)
        x.requires_grad_().grad = grad
        cases.append((mixed, x, v.requires_grad_()))
    return cases


def test_values(submission, generator):
    cases = inputs(generator)
    for (f, x, v), attempt in zip(cases, submission.calls("hvp", cases), strict=True):
        expect(attempt).has_dtype(x.dtype).close_to(product(f, x, v), terms=64)


def affine(x):
    return (3 * x).sum() - 1


def entry(x):
    return x[1]


def constant(x):
    return torch.tensor(2.0)


def through_a_parameter(x):
    return torch.ones(3, requires_grad=True).pow(2).sum()


class Linear(nn.Module):
    """Linear in x, but not in its parameters."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0, 3.0]))

    def forward(self, x):
        """Return the loss, a 0-d tensor."""
        return (self.weight**2 * x).sum()


class Aside(Linear):
    """Has parameters, and does not depend on x."""

    def forward(self, x):
        """Return the loss, a 0-d tensor."""
        return (self.weight**2).sum()


def test_linear(submission, generator):
    functions = [affine, entry, constant, through_a_parameter, Linear(), Aside()]
    cases = [(f, *randoms((3,), torch.float32, generator)) for f in functions]
    cases += [(affine, *randoms((2, 2), torch.float64, generator)), (affine, *randoms((), torch.float32, generator))]
    for (_, x, _), attempt in zip(cases, submission.calls("hvp", cases), strict=True):
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
    sizes = (8, 64)
    cases = [tuple(randoms((n,), torch.float32, generator)) for n in sizes]
    small, large = submission.run(costs, cases)
    for (result, _, _), n in zip((small, large), sizes, strict=True):
        expect(result).is_tensor().has_shape(n)
    expect(large[1] <= small[1] + 10, "number of passes, which grows with x,", "随 x 增长的求导遍数").equals(True)
    expect(large[2] <= 8 * sizes[1], "size of a tensor on the way", "中间张量的大小").equals(True)


def test_detached(submission, generator):
    cases = [case for case in inputs(generator) if case[0] is mixed or isinstance(case[0], nn.Module)]
    cases += [(f, *randoms((3,), torch.float32, generator)) for f in (cubic, partly_linear)]
    for attempt in submission.calls("hvp", cases):
        expect(attempt).requires_grad(False)


def test_untouched(submission, generator):
    cases = []
    for with_grad in (False, True):
        f = Energy()
        for parameter in f.parameters():
            parameter.grad = torch.ones_like(parameter) if with_grad else None
        cases.append((f, *randoms((2, 3), torch.float32, generator)))
        x, v = randoms((3,), torch.float32, generator)
        x.requires_grad_().grad = torch.full((3,), 5.0) if with_grad else None
        cases += [(mixed, x, v.requires_grad_(with_grad)), (mixed, v.detach(), x.detach())]
    for attempt in submission.calls("hvp", cases):
        expect(attempt).is_tensor().leaves_arguments()
