"""operate/copy: the same values in memory of their own, outside the graph."""

import torch
from torch import nn

from tensorgrade import expect

from .matrices import matrices, numbers
from .misconceptions import explain


def originals(generator):
    """Leaves with and without a gradient, contiguous or not, parameters, 0-d and empty tensors."""
    x, y = torch.randn(2, 3, 4, generator=generator)
    y.requires_grad_().grad = torch.ones(3, 4)
    cases = [x.requires_grad_(), y, torch.randn(4, 6, generator=generator).t()[::2].requires_grad_()]
    cases += [
        nn.Parameter(torch.randn(3, generator=generator)),
        torch.tensor(2.5),
        torch.tensor(7, requires_grad=False),
    ]
    cases += [torch.tensor(1.5, requires_grad=True), torch.empty(0), torch.empty(0, 3, dtype=torch.int16)]
    cases += [torch.empty(2, 0, requires_grad=True), numbers((2, 3), generator, torch.complex64)]
    return [*cases, torch.randn(2, 3, 4, 5, generator=generator, dtype=torch.float64)]


def copy_results(student, leaf):
    """Copies of tensors that have a graph, each with what it is a copy of."""
    results = [leaf * 2, (leaf + 1).t(), leaf[1:, ::2], leaf.sum(), leaf[0].expand(5, -1), leaf.view(-1)]
    return [[student.independent_copy(x), x] for x in results]


def explain_copy_method(attempts):
    if any(attempt.error and "has no attribute 'copy'" in attempt.error.text for attempt in attempts):
        explain(
            "Tensors have no `.copy()`, unlike lists and NumPy arrays: the method that copies is `clone()`.",
            "张量没有 `.copy()`，这与列表和 NumPy 数组不同：用来复制的方法是 `clone()`。",
        )


def test_values(submission, generator):
    cases = [(x,) for x in [*matrices(generator), *originals(generator)]]
    attempts = submission.calls("independent_copy", cases)
    explain_copy_method(attempts)
    for (x,), attempt in zip(cases, attempts, strict=True):
        expect(attempt).equals(x.detach()).has_dtype(x.dtype)


def test_storage(submission, generator):
    cases = [(x,) for x in [*matrices(generator), *originals(generator)]]
    for attempt in submission.calls("independent_copy", cases):
        expect(attempt).shares_storage_with(attempt.arguments[0], False)


def test_detached(submission, generator):
    for attempt in submission.calls("independent_copy", [(x,) for x in originals(generator)]):
        expect(attempt).requires_grad(False).is_leaf()


def test_untouched(submission, generator):
    for attempt in submission.calls("independent_copy", [(x,) for x in originals(generator)]):
        expect(attempt).is_tensor().leaves_arguments()


def of_results(submission, generator):
    leaf = numbers((4, 6), generator, torch.float64).requires_grad_()
    return submission.run(copy_results, leaf)


def test_values__of_results(submission, generator):
    for copy, x in of_results(submission, generator):
        expect(copy).equals(x.values).has_dtype(torch.float64)


def test_storage__of_results(submission, generator):
    for copy, x in of_results(submission, generator):
        expect(copy).shares_storage_with(x, False)


def test_detached__of_results(submission, generator):
    for copy, _ in of_results(submission, generator):
        expect(copy).requires_grad(False).is_leaf()


def test_untouched__of_results(submission, generator):
    for copy, x in of_results(submission, generator):
        expect(copy).is_tensor()
        expect(x, "argument", "参数").requires_grad()
