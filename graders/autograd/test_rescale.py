"""autograd/rescale: a leaf multiplied in place, unrecorded, with its version counter moved."""

import torch
from torch import nn

from tensorgrade import expect

from .autograd_probes import once


def leaves(generator):
    """Leaves and factors: shapes, dtypes, strides; with and without ``requires_grad`` and ``.grad``."""
    strided = torch.randn(3, 4, generator=generator).t()
    with_grad = torch.randn(3, generator=generator).requires_grad_()
    with_grad.grad = torch.full((3,), 5.0)
    return [
        (torch.randn(4, generator=generator).requires_grad_(), 3),
        (torch.randn(2, 3, generator=generator), 0.5),
        (torch.randn((), generator=generator).requires_grad_(), -2.0),
        (torch.randn(2, 2, generator=generator, dtype=torch.float64).requires_grad_(), 1.5),
        (strided.requires_grad_(), 4),
        (nn.Parameter(torch.randn(3, generator=generator)), 0),
        (nn.Parameter(torch.randn(3, generator=generator), requires_grad=False), 2),
        (with_grad, 0.25),
        (torch.tensor([1.0, -2.0], dtype=torch.float16).requires_grad_(), 2.0),
        (torch.arange(6.0)[::2], -1),
    ]


def run(student, cases):
    """Of each call: what it returned, w and a view of it taken before, and by how much the version moved."""
    facts = []
    for w, factor in cases:
        view, version = w.detach(), w._version
        returned = student.rescale_(w, factor)
        facts.append((returned, w, view, w._version - version))
    return facts


@once
def facts_of(submission, generator):
    cases = leaves(generator)
    return list(zip(cases, submission.run(run, cases), strict=True))


def test_values(submission, generator):
    for (w, factor), (_, after, view, _) in facts_of(submission, generator):
        wanted = w.detach() * factor
        expect(after, "`w` after the call", "调用之后的 `w` ").has_dtype(w.dtype).close_to(wanted)
        expect(view, "view taken before", "事先取得的视图").close_to(wanted).shares_storage_with(after)


def test_same(submission, generator):
    for _, (returned, after, _, _) in facts_of(submission, generator):
        expect(returned).is_same_object_as(after)


def test_leaf(submission, generator):
    for (w, factor), (_, after, _, _) in facts_of(submission, generator):
        changed = factor in (0, 1) or not torch.equal(after.values, w.detach())
        expect(changed, "`w` after the call, which has not changed,", "调用之后没有变化的 `w` ").equals(True)
        expect(after, "`w` after the call", "调用之后的 `w` ").is_leaf().requires_grad(w.requires_grad)
        if w.grad is None:
            expect(after.grad, "`.grad` of `w` after the call", "调用之后 `w` 的 `.grad` ").equals(None)
        else:
            expect(after.grad, "`.grad` of `w` after the call", "调用之后 `w` 的 `.grad` ").equals(w.grad)


def test_noticed(submission, generator):
    for _, (_, _, _, moved) in facts_of(submission, generator):
        expect(moved > 0, "version counter, which has not moved,", "版本计数器（它没有变化）").equals(True)
