"""autograd/sgd-step: one step down the gradient of the loss, in place on the same leaves, gradients cleared."""

import torch

from tensorgrade import expect

from .autograd_probes import once


def vectors(dtype):
    a = torch.linspace(-1, 2, 3, dtype=dtype, requires_grad=True)
    b = torch.linspace(1, 3, 6, dtype=dtype).reshape(2, 3).requires_grad_()
    return [a, b], (a**2).sum() + (torch.sin(b) * a).sum() * a[0]


def number(dtype):
    w = torch.tensor(1.5, dtype=dtype, requires_grad=True)
    return [w], (w - 4) ** 2


def network(dtype):
    first = torch.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3).requires_grad_()
    bias = torch.linspace(0.5, -0.5, 3, dtype=dtype, requires_grad=True)
    second = torch.linspace(1, -2, 3, dtype=dtype, requires_grad=True)
    x = torch.linspace(-2, 1, 8, dtype=dtype).reshape(4, 2)
    return [first, bias, second], ((torch.tanh(x @ first + bias) @ second) ** 2).mean()


def transposed(dtype):
    w = torch.arange(6.0, dtype=dtype).reshape(2, 3).t().requires_grad_()
    return [w], (w**3).mean() + w[0, 0]


def with_unused(dtype):
    used, unused = torch.ones(3, dtype=dtype, requires_grad=True), torch.full((2,), 4.0, dtype=dtype)
    also = torch.tensor(2.0, dtype=dtype, requires_grad=True)
    return [used, unused.requires_grad_(), also], (used * torch.arange(1.0, 4.0, dtype=dtype)).sum() * 2


CASES = [
    (vectors, torch.float32, 0.1, None),
    (vectors, torch.float64, 1, 5.0),
    (number, torch.float32, 0.25, None),
    (number, torch.float64, 2, -3.0),
    (network, torch.float32, 0.5, None),
    (network, torch.float32, 0.01, 1.0),
    (transposed, torch.float32, 0.01, 2.0),
]
UNUSED = [
    (with_unused, torch.float32, 0.5, None),
    (with_unused, torch.float64, 1, 7.0),
]


def run(student, cases):
    """Of each step: what it returned, the parameters before and after, aliases, and whether they are the same."""
    facts = []
    for build, dtype, lr, earlier in cases:
        params, loss = build(dtype)
        for p in params:
            p.grad = None if earlier is None else torch.full_like(p, earlier)
        own, aliases = list(params), [p.detach() for p in params]
        before = [p.detach().clone() for p in params]
        returned = student.sgd_step(params, loss, lr)
        same = len(own) == len(params) and all(p is q for p, q in zip(own, params, strict=True))
        facts.append((returned, before, own, aliases, same))
    return facts


@once
def steps(submission, _):
    return submission.run(run, CASES)


def stepped(build, dtype, lr):
    params, loss = build(dtype)
    gradients = torch.autograd.grad(loss, params, allow_unused=True)
    return [p.detach() if g is None else p.detach() - lr * g for p, g in zip(params, gradients, strict=True)]


def moved(before, params):
    """Check that a step was taken at all: without one nothing else can be judged."""
    still = [torch.equal(old.values, new.values) for old, new in zip(before, params, strict=True)]
    expect(not all(still), "list of parameters, none of which moved,", "参数列表（没有参数移动）").equals(True)


def test_step(submission):
    for (build, dtype, lr, _), (_, _, params, _, _) in zip(CASES, steps(submission), strict=True):
        for p, wanted in zip(params, stepped(build, dtype, lr), strict=True):
            expect(p, "parameter", "参数").has_dtype(dtype).close_to(wanted, terms=24)


def test_in_place(submission):
    for _, before, params, aliases, same in steps(submission):
        moved(before, params)
        expect(same, "list, which holds other objects,", "列表（其中是别的对象）").equals(True)
        for p, alias in zip(params, aliases, strict=True):
            expect(p, "parameter", "参数").is_leaf().requires_grad().shares_storage_with(alias)
            expect(alias, "view taken before", "事先取得的视图").equals(p.values)


def test_cleared(submission):
    for returned, before, params, _, _ in steps(submission):
        moved(before, params)
        expect(returned is None, "returned value (None is asked for)", "返回值（要求是 None）").equals(True)
        for p in params:
            if p.grad is not None:
                expect(p.grad, "`.grad` of a parameter", "参数的 `.grad` ").equals(torch.zeros(p.shape))


def test_unused(submission):
    for _, before, params, _, _ in submission.run(run, UNUSED):
        moved(before[:1], params[:1])
        for p, old in zip(params[1:], before[1:], strict=True):
            expect(p, "parameter that is not used", "没有用到的参数").equals(old.values)
