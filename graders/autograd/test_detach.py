"""autograd/detach: a product with gradients to one factor, and rounding that gradients pass unchanged."""

import torch

from tensorgrade import expect

from .autograd_probes import once

SHAPES = [(3,), (), (2, 3), (0,)]
HALVES = torch.tensor([-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 0.0, -0.3, 0.7, 1e6 + 0.5])


def factors(generator):
    dtypes = (torch.float32, torch.float64)
    same = [
        tuple(torch.randn(shape, generator=generator, dtype=dtypes[i % 2]) for _ in range(2))
        for i, shape in enumerate(SHAPES)
    ]
    return [*same, (torch.randn(4, 3, generator=generator).t(), torch.randn(3, 4, generator=generator))]


def numbers(generator):
    """Inputs to round: halves, which go to the even number, negative ones, and all shapes."""
    return [
        HALVES,
        HALVES.double(),
        HALVES[:9].to(torch.float16),
        HALVES[:6].to(torch.bfloat16),
        torch.randn(4, 3, generator=generator).t() * 5,
        torch.tensor(-1.7),
        torch.zeros(0),
        torch.randn(2, 2, 2, generator=generator) * 100,
    ]


def flags(cases):
    """The same tensors, of which some require grad."""
    return [
        tuple(t.clone().requires_grad_((i + j) % 3 != 1) for j, t in enumerate(case)) for i, case in enumerate(cases)
    ]


def with_grads(cases):
    for tensor in [tensor for case in cases for tensor in case]:
        tensor.grad = torch.ones_like(tensor) if tensor.requires_grad else None
    return cases


@once
def products(submission, generator):
    cases = with_grads(flags(factors(generator)))
    return list(zip(cases, submission.calls("scaled_by_constant", cases), strict=True))


@once
def roundings(submission, generator):
    cases = with_grads(flags([(x,) for x in numbers(generator)]))
    return list(zip(cases, submission.calls("straight_through_round", cases), strict=True))


def test_product(submission, generator):
    for (x, y), attempt in products(submission, generator):
        expect(attempt).has_dtype(x.dtype).equals((x * y).detach())


def product_gradients(student, x, y, cotangent, kind):
    """The gradients that reach x and what y is made of, for a y that is a leaf, a result, or x itself."""
    x = x.clone().requires_grad_()
    source = x if kind == "x itself" else y.clone().requires_grad_()
    y = source * 1.5 if kind == "a result" else source
    product = student.scaled_by_constant(x, y)
    if product.requires_grad:
        product.backward(cotangent)
    return x.grad, source.grad


def product_cases(generator):
    for x, y in factors(generator):
        cotangent = torch.randn(x.shape, generator=generator).to(x.dtype)
        yield x, y, cotangent, "a leaf", y
        yield x, y, cotangent, "a result", y * 1.5
    yield torch.tensor([2.0, -3.0]), torch.zeros(2), torch.tensor([1.0, 4.0]), "x itself", torch.tensor([2.0, -3.0])


def all_product_gradients(student, cases):
    return [product_gradients(student, *case) for case in cases]


def test_constant(submission, generator):
    cases = list(product_cases(generator))
    facts = submission.run(all_product_gradients, [case[:4] for case in cases])
    for (x, _, cotangent, kind, factor), (to_x, to_y) in zip(cases, facts, strict=True):
        expect(to_x, "gradient of x", "x 的梯度").has_dtype(x.dtype).close_to(cotangent * factor)
        if to_y is not None and kind != "x itself":
            expect(to_y, "gradient of y", "y 的梯度").equals(torch.zeros(x.shape))


def test_rounded(submission, generator):
    for (x,), attempt in roundings(submission, generator):
        expect(attempt).has_dtype(x.dtype).close_to(x.detach().round(), terms=4)


def rounding_gradients(student, cases):
    """The gradients that reach a leaf, directly and through a doubling before."""
    facts = []
    for x, cotangent in cases:
        leaf, source = x.clone().requires_grad_(), (x / 2).requires_grad_()
        for start, point in ((leaf, leaf), (source, source * 2)):
            rounded = student.straight_through_round(point)
            if rounded.requires_grad:
                rounded.backward(cotangent)
            facts.append(start.grad)
    return facts


def test_identity(submission, generator):
    cases = [(x, torch.randn(x.shape, generator=generator).to(x.dtype)) for x in numbers(generator)]
    facts = submission.run(rounding_gradients, cases)
    for (_, cotangent), direct, doubled in zip(cases, facts[::2], facts[1::2], strict=True):
        expect(direct, "gradient of x", "x 的梯度").close_to(cotangent)
        expect(doubled, "gradient of x", "x 的梯度").close_to(cotangent * 2)


def test_untouched(submission, generator):
    for _, attempt in products(submission, generator) + roundings(submission, generator):
        expect(attempt).is_tensor().leaves_arguments()
