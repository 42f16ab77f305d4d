"""autograd/accumulate: the sum of gradients over batches, in w.grad and as a copy; nothing else changes."""

from dataclasses import replace

import torch
from torch import nn

from tensorgrade import expect

from .autograd_probes import once


def weighted(w, batch):
    return (w**2 * batch).sum()


def pairs(w, batch):
    x, target = batch
    return ((x @ w - target) ** 2).mean()


def scaled(w, batch):
    return (torch.sin(w) * batch).sum()


class Network(nn.Module):
    """A loss with parameters of its own."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([[0.5, -1.0, 2.0], [1.0, 0.0, -0.5]]))

    def forward(self, w, batch):
        """Return the loss, a 0-d tensor."""
        return (self.weight @ w * batch).sum() ** 2


def randoms(shape, generator, count=3, dtype=torch.float32):
    return [torch.randn(shape, generator=generator, dtype=dtype) for _ in range(count)]


def leaf(shape, generator, dtype=torch.float32):
    return torch.randn(shape, generator=generator, dtype=dtype).requires_grad_()


def cases_of(generator):
    """loss_fn, w, how to iterate, and the batches."""
    numbers = [1.0, -2.5, 4.0, 0.5]
    xs, ys = randoms((4, 3), generator), randoms((4,), generator)
    parameter = nn.Parameter(torch.randn(2, 3, generator=generator))
    strided = torch.randn(3, 4, generator=generator).t().requires_grad_()
    return [
        (weighted, leaf((3,), generator), list, randoms((3,), generator)),
        (weighted, leaf((), generator), tuple, randoms((), generator)),
        (weighted, leaf((2, 3), generator, torch.float64), iter, randoms((2, 3), generator, dtype=torch.float64)),
        (weighted, leaf((0,), generator), list, randoms((0,), generator)),
        (weighted, parameter, iter, randoms((3,), generator, 1)),
        (weighted, leaf((3,), generator), torch.stack, randoms((3,), generator, 5)),
        (weighted, strided, list, randoms((4, 3), generator)),
        (scaled, leaf((3,), generator), iter, numbers),
        (scaled, leaf((3,), generator), iter, numbers),
        (pairs, leaf((3,), generator), list, list(zip(xs, ys, strict=True))),
        (Network(), leaf((3,), generator), list, randoms((2,), generator)),
    ]


def with_earlier(cases):
    """The same cases with a gradient that was there before."""
    for f, w, wrap, batches in cases:
        copy = w.detach().clone().requires_grad_()
        copy.grad = torch.full_like(copy, 9.0)
        yield f, copy, wrap, batches


def untouched_cases(generator):
    for with_grad in (False, True):
        network, w = Network(), leaf((3,), generator)
        batches = [batch.requires_grad_() for batch in randoms((2,), generator)]
        for tensor in (*network.parameters(), *batches):
            tensor.grad = torch.ones_like(tensor) if with_grad else None
        yield network, w, list, batches
        yield weighted, leaf((3,), generator), list, [torch.ones(3)]


def constant(w, batch):
    return torch.tensor(3.0) * batch


class Bias(nn.Module):
    """A loss that has parameters and does not depend on w."""

    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.ones(2))

    def forward(self, w, batch):
        """Return the loss, a 0-d tensor."""
        return (self.bias * batch).sum()


def nothing_cases(generator):
    return [
        (weighted, leaf((3,), generator), list, []),
        (weighted, leaf((2, 2), generator, torch.float64), list, []),
        (weighted, leaf((), generator), tuple, []),
        (constant, leaf((3,), generator), list, [1.0, 2.0]),
        (Bias(), leaf((3,), generator), list, [1.0, 2.0]),
    ]


@once
def outcomes(submission, generator):
    """The attempts with their cases by group, from one batch."""
    plain = cases_of(generator)
    in_lists = [case for case in plain if case[2] is list and case[1].numel()]
    groups = {
        "plain": plain,
        "earlier": list(with_earlier(in_lists)),
        "nothing": nothing_cases(generator),
        "untouched": list(untouched_cases(generator)),
    }
    cases = [(f, w, wrap(list(batches))) for group in groups.values() for f, w, wrap, batches in group]
    attempts = iter(submission.calls("accumulated_grad", cases))
    return {name: [(case, next(attempts)) for case in group] for name, group in groups.items()}


def total(f, w, batches):
    return torch.autograd.grad(sum(f(w, batch) for batch in batches), w)[0]


def test_sum(submission, generator):
    for (f, w, _, batches), attempt in outcomes(submission, generator)["plain"]:
        expect(attempt).has_dtype(w.dtype).close_to(total(f, w, batches), terms=40)


def in_lists(found):
    """The attempts that the clauses on `w.grad` are judged by."""
    return [attempt for (_, w, wrap, _), attempt in found["plain"] if wrap is list and w.numel()]


def test_left(submission, generator):
    for attempt in in_lists(outcomes(submission, generator)):
        expect(attempt).is_tensor()
        w = attempt.arguments[1]
        expect(w.grad, "`w.grad`", "`w.grad` ").has_dtype(w.dtype).equals(attempt.value.values)
        expect(attempt).shares_storage_with(w.grad, False).shares_storage_with(w, False)
        expect(w.grad, "`w.grad`", "`w.grad` ").shares_storage_with(w, False)


def test_discarded(submission, generator):
    """With an earlier gradient everything comes out as it does without."""
    found = outcomes(submission, generator)
    for first, (_, second) in zip(in_lists(found), found["earlier"], strict=True):
        expect(first).is_tensor()
        expect(second).close_to(first.value.values, terms=40)
        expect(second.arguments[1].grad, "`w.grad`", "`w.grad` ").close_to(first.value.values, terms=40)


def test_nothing(submission, generator):
    for (_, w, _, _), attempt in outcomes(submission, generator)["nothing"]:
        expect(attempt).has_dtype(w.dtype).equals(torch.zeros(w.shape))
        expect(attempt.arguments[1].grad, "`w.grad`", "`w.grad` ").equals(torch.zeros(w.shape))


def without_w(attempt):
    """The same attempt as if `w`, which is judged on its own, had not changed."""
    function, _, batches = attempt.arguments
    return replace(attempt, arguments=(function, attempt.before[1], batches))


def test_untouched(submission, generator):
    for (_, w, _, _), attempt in outcomes(submission, generator)["untouched"]:
        expect(attempt).is_tensor()
        after = expect(attempt.arguments[1], "`w` after the call", "调用之后的 `w` ")
        after.requires_grad().is_leaf().equals(w.detach())
        expect(without_w(attempt)).leaves_arguments()
