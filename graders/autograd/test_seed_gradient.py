"""autograd/seed-gradient: backward with scale times the gradient, added to what is there; nothing returned."""

import torch

from tensorgrade import expect

from .autograd_probes import once


def shared(dtype):
    a = torch.linspace(-1, 2, 3, dtype=dtype, requires_grad=True)
    b = torch.linspace(1, 3, 6, dtype=dtype).reshape(2, 3).requires_grad_()
    return (a**2).sum() + (torch.sin(b) * a).sum() * a[0], [a, b]


def deep(dtype):
    first = torch.linspace(-1, 1, 6, dtype=dtype).reshape(2, 3).requires_grad_()
    bias = torch.linspace(0.5, -0.5, 3, dtype=dtype, requires_grad=True)
    second = torch.linspace(1, -2, 3, dtype=dtype, requires_grad=True)
    x = torch.linspace(-2, 1, 8, dtype=dtype).reshape(4, 2)
    return ((torch.tanh(x @ first + bias) @ second) ** 2).mean(), [first, bias, second]


def leaf_itself(dtype):
    w = torch.tensor(1.5, dtype=dtype, requires_grad=True)
    return w, [w]


def unused_elements(dtype):
    a = torch.ones(3, dtype=dtype, requires_grad=True)
    empty = torch.ones(0, 2, dtype=dtype, requires_grad=True)
    return a[1] * 4 + empty.sum(), [a, empty]


BUILDERS = [shared, deep, leaf_itself, unused_elements]
CASES = [
    (shared, torch.float32, 0.5),
    (shared, torch.float64, -3.0),
    (shared, torch.float32, 1024.0),
    (deep, torch.float32, 2),
    (deep, torch.float64, 0.1),
    (leaf_itself, torch.float32, -2),
    (leaf_itself, torch.float64, 1),
    (unused_elements, torch.float32, 1.5),
]
ZERO = [(build, torch.float32, (0, 0.0)[i % 2]) for i, build in enumerate(BUILDERS)]


def run(student, cases):
    """What each call returned, the loss before and after, and the leaves with their gradients."""
    facts = []
    for build, dtype, scale, earlier in cases:
        loss, leaves = build(dtype)
        for leaf in leaves:
            leaf.grad = None if earlier is None else torch.full_like(leaf, earlier)
        before = loss.detach().clone(), type(loss.grad_fn).__name__
        returned = student.scaled_backward(loss, scale)
        facts.append((returned, before, (loss, type(loss.grad_fn).__name__), leaves))
    return facts


@once
def without_earlier(submission, _):
    return submission.run(run, [(*case, None) for case in CASES])


def check_gradients(cases, facts):
    for (build, dtype, scale, earlier), (_, _, _, leaves) in zip(cases, facts, strict=True):
        loss, inputs = build(dtype)
        for leaf, gradient in zip(leaves, torch.autograd.grad(loss, inputs), strict=True):
            wanted = gradient * scale + (earlier or 0)
            expect(leaf.grad, "`.grad` of a leaf", "叶子张量的 `.grad` ").has_dtype(dtype).close_to(wanted, terms=24)


def test_scaled(submission):
    check_gradients([(*case, None) for case in CASES], without_earlier(submission))


def test_added(submission):
    cases = [(*case, 7.0) for case in CASES]
    check_gradients(cases, submission.run(run, cases))


def test_zero(submission):
    cases = [(*case, earlier) for case in ZERO for earlier in (None, 7.0)]
    check_gradients(cases, submission.run(run, cases))


def test_nothing_else(submission):
    for (build, dtype, _), facts in zip(CASES, without_earlier(submission), strict=True):
        returned, (value, node), (loss, node_after), leaves = facts
        expect(leaves[0].grad, "`.grad` of a leaf", "叶子张量的 `.grad` ").is_tensor()
        expect(returned is None, "returned value (None is asked for)", "返回值（要求是 None）").equals(True)
        expect(loss, "loss after the call", "调用之后的损失").requires_grad().equals(value.values)
        expect(node_after, "place of the loss in the graph", "损失在计算图中的位置").equals(node)
        for leaf, before in zip(leaves, build(dtype)[1], strict=True):
            expect(leaf, "leaf after the call", "调用之后的叶子张量").requires_grad().equals(before.detach())
