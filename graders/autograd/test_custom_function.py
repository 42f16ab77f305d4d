"""autograd/custom-function: x**3 with a backward written by hand, that can be differentiated once more."""

import torch

from tensorgrade import expect

from .autograd_probes import EngineCalls


def points(generator):
    floats = [torch.randn(shape, generator=generator) for shape in [(4,), (), (2, 3), (0,)]]
    doubles = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in [(3,), (2, 2, 2)]]
    special = [torch.tensor([-2.0, 0.0, 1.0, 3.0]), torch.randn(3, 2, generator=generator).t()]
    return [*floats, *doubles, *special, torch.tensor([-1.0, 2.0], dtype=torch.float16)]


def forward(student, cases):
    """Of each x: the result, and x afterwards."""
    return [(student.Cube.apply(x), x) for x in cases]


def test_forward(submission, generator):
    cases = [x.requires_grad_(i % 2 == 0) for i, x in enumerate(points(generator))] + [torch.tensor([2, -3])]
    for x, (y, after) in zip(cases, submission.run(forward, cases), strict=True):
        expect(y).has_dtype(x.dtype).close_to(x.detach() ** 3, terms=4)
        expect(after, "`x` after the call", "调用之后的 `x` ").requires_grad(x.requires_grad).equals(x.detach())
        expect(after.grad, "`.grad` of `x` after the call", "调用之后 `x` 的 `.grad` ").equals(None)


def backward(student, cases):
    """Of each x and v: the gradient, of a leaf and of the result of a doubling."""
    facts = []
    for x, v in cases:
        leaf, source = x.clone().requires_grad_(), (x / 2).requires_grad_()
        for start, point in ((leaf, leaf), (source, source * 2)):
            facts.append(torch.autograd.grad(student.Cube.apply(point), start, v, allow_unused=True)[0])
    return facts


def passes(student, check, x, v):
    return bool(check(student, x.clone().requires_grad_(), v.clone().requires_grad_()))


def once(student, x, v):
    return torch.autograd.gradcheck(student.Cube.apply, (x,), raise_exception=False)


def twice(student, x, v):
    return torch.autograd.gradgradcheck(student.Cube.apply, (x,), (v,), raise_exception=False)


def with_cotangents(generator):
    return [(x, torch.randn(x.shape, generator=generator).to(x.dtype)) for x in points(generator)]


def positive(generator):
    return [torch.rand(2, generator=generator, dtype=torch.float64) + 0.5 for _ in range(2)]


def test_backward(submission, generator):
    cases = with_cotangents(generator)
    facts = submission.run(backward, cases)
    for (x, v), direct, doubled in zip(cases, facts[::2], facts[1::2], strict=True):
        expect(direct, "gradient of x", "x 的梯度").has_dtype(x.dtype).close_to(3 * x**2 * v, terms=9)
        expect(doubled, "gradient of x", "x 的梯度").has_dtype(x.dtype).close_to(6 * x**2 * v, terms=9)
    passed = submission.run(passes, once, *positive(generator))
    expect(passed, "gradcheck", "gradcheck 的结果").equals(True)


def second(student, cases):
    """Of each x, v and w: the gradients of the gradient for x and for v."""
    facts = []
    for x, v, w in cases:
        point, seed = x.clone().requires_grad_(), v.clone().requires_grad_()
        gradient = torch.autograd.grad(student.Cube.apply(point), point, seed, create_graph=True)[0]
        facts.append(torch.autograd.grad(gradient, (point, seed), w, allow_unused=True))
    return facts


def test_twice(submission, generator):
    cases = [
        (x, v, torch.randn(x.shape, generator=generator).to(x.dtype))
        for x, v in with_cotangents(generator)
        if x.dtype is not torch.float16
    ]
    for (x, v, w), (to_x, to_v) in zip(cases, submission.run(second, cases), strict=True):
        expect(to_x, "second derivative", "二阶导数").close_to(6 * x * v * w, terms=9)
        expect(to_v, "gradient of the incoming gradient", "对传入梯度的梯度").close_to(3 * x**2 * w, terms=9)
    passed = submission.run(passes, twice, *positive(generator))
    expect(passed, "gradgradcheck", "gradgradcheck 的结果").equals(True)


def questions(student, x, v):
    """Whether Cube is an autograd function, whether its node made the result, and how often autograd was asked."""
    x = x.clone().requires_grad_()
    with EngineCalls() as engine:
        y = student.Cube.apply(x)
        torch.autograd.grad(y, x, v)
    is_node = isinstance(y.grad_fn, torch.autograd.function.BackwardCFunction)
    return issubclass(student.Cube, torch.autograd.Function), is_node, engine.count


def test_by_hand(submission, generator):
    is_function, is_node, asked = submission.run(questions, *positive(generator))
    expect(is_function and is_node, "way to the result (it is no autograd function)").equals(True)
    expect(asked, "backward, which asks autograd", "借助了自动求导的 backward ").equals(1)
