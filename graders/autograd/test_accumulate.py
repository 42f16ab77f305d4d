"""autograd/accumulate: the sum of gradients over batches, in w.grad and as a copy; nothing else changes."""

from dataclasses import replace

import torch
from torch import nn

from tensorgrade import expect


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
        torch.manual_seed(4)
        self.linear = nn.Linear(3, 2)

    def forward(self, w, batch):
        """Return the loss, a 0-d tensor."""
        return (self.linear(w) * batch).sum() ** 2


class Once:
    """An iterable without a length or items, that is exhausted after one run."""

    def __init__(self, batches):
        self.batches = list(batches)

    def __iter__(self):
        while self.batches:
            yield self.batches.pop(0)


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
        (weighted, leaf((2, 3), generator, torch.float64), Once, randoms((2, 3), generator, dtype=torch.float64)),
        (weighted, leaf((0,), generator), list, randoms((0,), generator)),
        (weighted, parameter, iter, randoms((3,), generator, 1)),
        (weighted, leaf((3,), generator), torch.stack, randoms((3,), generator, 5)),
        (weighted, strided, list, randoms((4, 3), generator)),
        (scaled, leaf((3,), generator), Once, numbers),
        (scaled, leaf((3,), generator), iter, numbers),
        (pairs, leaf((3,), generator), list, list(zip(xs, ys, strict=True))),
        (Network(), leaf((3,), generator), list, randoms((2,), generator)),
    ]


def calls(submission, cases):
    return submission.calls("accumulated_grad", [(f, w, wrap(list(items))) for f, w, wrap, items in cases])


def total(f, w, batches):
    return sum(torch.autograd.grad(f(w, batch), w)[0] for batch in batches)


def test_sum(submission, generator):
    cases = cases_of(generator)
    for (f, w, _, batches), attempt in zip(cases, calls(submission, cases), strict=True):
        expect(attempt).has_dtype(w.dtype).close_to(total(f, w, batches), terms=40)


def in_lists(generator):
    return [case for case in cases_of(generator) if case[2] is list and case[1].numel()]


def test_left(submission, generator):
    for attempt in calls(submission, in_lists(generator)):
        expect(attempt).is_tensor()
        grad = attempt.arguments[1].grad
        expect(grad, "`w.grad`", "`w.grad` ").has_dtype(attempt.value.dtype).equals(attempt.value.values)
        expect(attempt).shares_storage_with(grad, False)
        expect(attempt).shares_storage_with(attempt.arguments[1], False)


def test_discarded(submission, generator):
    """With an earlier gradient everything comes out as it does without."""
    cases = in_lists(generator)
    without = calls(submission, cases)
    for _, w, _, _ in cases:
        w.grad = torch.full_like(w, 9.0)
    for first, second in zip(without, calls(submission, cases), strict=True):
        expect(first).is_tensor()
        expect(second).close_to(first.value.values, terms=40)
        expect(second.arguments[1].grad, "`w.grad`", "`w.grad` ").close_to(first.value.values, terms=40)


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


def test_nothing(submission, generator):
    cases = [
        (weighted, leaf((3,), generator), list, []),
        (weighted, leaf((2, 2), generator), list, []),
        (weighted, leaf((), generator), tuple, []),
        (constant, leaf((3,), generator), list, [1.0, 2.0]),
        (Bias(), leaf((3,), generator), list, [1.0, 2.0]),
    ]
    for (_, w, _, _), attempt in zip(cases, calls(submission, cases), strict=True):
        expect(attempt).equals(torch.zeros(w.shape))


def without_w(attempt):
    """The same attempt as if `w`, which is judged on its own, had not changed."""
    function, _, batches = attempt.arguments
    return replace(attempt, arguments=(function, attempt.before[1], batches))


def test_untouched(submission, generator):
    cases = []
    for with_grad in (False, True):
        network, w = Network(), leaf((3,), generator)
        batches = [batch.requires_grad_() for batch in randoms((2,), generator)]
        for tensor in (*network.parameters(), *batches):
            tensor.grad = torch.ones_like(tensor) if with_grad else None
        cases += [(network, w, batches), (weighted, w, [torch.ones(3)])]
    for (_, w, _), attempt in zip(cases, submission.calls("accumulated_grad", cases), strict=True):
        expect(attempt).is_tensor()
        expect(attempt.arguments[1], "`w` after the call", "调用之后的 `w` ").requires_grad().is_leaf().equals(
            w.detach()
        )
        expect(without_w(attempt)).leaves_arguments()
