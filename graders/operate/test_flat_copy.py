"""operate/flat-copy: a 1-D copy that never shares storage and lets gradients through."""

import torch
from torch import nn

from tensorgrade import expect
from tensorgrade.observation import ObservedTensor

from .matrices import FLOATS, matrices, numbers
from .misconceptions import explain, explain_view_of_clone


def tensors(generator):
    """Tensors of all shapes, strides and dtypes; some are not contiguous and could be flattened without a copy."""
    four = numbers((2, 3, 4, 5), generator)
    return [
        *matrices(generator),
        torch.tensor(3),
        torch.tensor(True),
        torch.empty(0),
        torch.empty(2, 0, 3, dtype=torch.int64),
        numbers((5,), generator),
        numbers((12,), generator)[::3],
        numbers((4, 6), generator)[:, 0],
        numbers((6, 4), generator)[::2].reshape(3, 2, 2),
        numbers((3, 4, 2), generator)[:, :, 1],
        numbers((1,), generator).expand(4),
        four,
        four.permute(0, 2, 3, 1),
        four[:, 1],
        four[0, 1, 2, 3],
        torch.randn(3, 4, generator=generator, requires_grad=True),
    ]


def leaves(generator):
    x = torch.randn(4, 6, generator=generator)
    kinds = [x, x.t(), x[::2, 1::2], x[0], x[:, 0], x[0, 0], x[:0], torch.ones(2, 3, 4).permute(2, 0, 1)]
    leaves = [view.clone().detach() if view.is_contiguous() else view.detach() for view in kinds]
    return [*leaves, *(numbers((2, 3), generator, dtype) for dtype in FLOATS), nn.Parameter(torch.ones(3, 2))]


def send_back(student, cases):
    """Copies of each leaf and of a result of it, each with the gradient that arrives at what it is a copy of."""
    seen = []
    for x, cotangent in cases:
        x.requires_grad_()
        result = x + 1
        copies = [student.flat_copy(x), student.flat_copy(result)]
        for origin, copy in zip((x, result), copies, strict=True):
            grad = None
            if isinstance(copy, torch.Tensor) and copy.requires_grad and copy.numel() == cotangent.numel():
                grad = torch.autograd.grad(copy, origin, cotangent.view(copy.shape), allow_unused=True)[0]
            seen.append([copy, torch.zeros_like(origin) if grad is None else grad])
    return seen


def test_values(submission, generator):
    cases = [(x,) for x in tensors(generator)]
    attempts = submission.calls("flat_copy", cases)
    explain_view_of_clone(attempts)
    for (x,), attempt in zip(cases, attempts, strict=True):
        expect(attempt).equals(x.detach().flatten()).has_dtype(x.dtype)


def explain_views(attempts):
    kinds = {
        attempt.value.storage == attempt.arguments[0].storage
        for attempt in attempts
        if isinstance(attempt.value, ObservedTensor)
    }
    if kinds == {True, False}:
        explain(
            "Sometimes this is a copy and sometimes a view: `reshape`, `flatten` and `contiguous` copy only where they"
            " must.",
            "这有时是副本，有时是视图：`reshape`、`flatten` 和 `contiguous` 只在不得已时才复制。",
        )


def test_storage(submission, generator):
    attempts = submission.calls("flat_copy", [(x,) for x in tensors(generator)])
    explain_views(attempts)
    for attempt in attempts:
        expect(attempt).shares_storage_with(attempt.arguments[0], False).leaves_arguments()


def test_gradient(submission, generator):
    cases = [(x, numbers((x.numel(),), generator, x.dtype)) for x in leaves(generator)]
    wanted = [cotangent.view(x.shape) for x, cotangent in cases for _ in range(2)]
    for expected, (copy, grad) in zip(wanted, submission.run(send_back, cases), strict=True):
        expect(copy).requires_grad()
        expect(grad, "gradient that arrives at x", "到达 x 的梯度").equals(expected)
