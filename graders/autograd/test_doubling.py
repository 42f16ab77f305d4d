"""autograd/doubling: x * 2**k up to a norm; only the doublings are recorded; zeros are refused."""

import torch
from torch.overrides import TorchFunctionMode

from tensorgrade import expect

from .autograd_probes import once

# x, limit, k: squares neither overflow nor vanish, and on the limit itself all norms are exact
CASES = [
    ([3.0, 4.0], 10, 1),
    ([3.0, 4.0], 10.5, 2),
    ([3.0, 4.0], 20, 2),
    ([3.0, -4.0], 40.0, 3),
    ([3.0, 4.0], 1, 1),
    ([3.0, 4.0], 0, 1),
    ([3.0, 4.0], -1.0, 1),
    (-1.5, 30.0, 5),
    (8.0, 16, 1),
    ([[2.0, 0.0], [0.0, 2.0]], 5.0, 1),
    ([[2.0, 0.0], [0.0, -2.0]], 9.0, 2),
    ([[[1.0, 1.0], [1.0, 1.0]], [[1.0, 1.0], [1.0, -1.0]]], 22.0, 3),
    ([0.0, 0.0, 0.01], 1000, 17),
    ([2.0**-60, 0.0], 0.9 * 2.0**50, 110),
]
LOW_PRECISION = [(torch.float16, [1.5, 2.0], 30, 4), (torch.bfloat16, [[3.0], [4.0]], 30.0, 3)]


def inputs():
    """Tensors with limit and k, some of which require grad, hold a ``.grad`` or are not contiguous."""
    for index, (values, limit, k) in enumerate(CASES):
        x = torch.tensor(values, dtype=torch.float64 if index % 3 == 0 else torch.float32)
        x.requires_grad_(index % 2 == 0)
        yield x, limit, k
    yield torch.arange(6.0).reshape(2, 3).t(), 29.0, 2
    for dtype, values, limit, k in LOW_PRECISION:
        yield torch.tensor(values, dtype=dtype), limit, k


@once
def outcomes(submission, _):
    cases = list(inputs())
    for x, _, _ in cases:
        x.grad = torch.ones_like(x) if x.requires_grad else None
    attempts = submission.calls("double_until", [(x, limit) for x, limit, _ in cases])
    return list(zip(cases, attempts, strict=True))


def test_values(submission):
    for (x, _, k), attempt in outcomes(submission):
        value = attempt.returned()
        expect(isinstance(value, tuple) and len(value) == 2, "result (a pair is asked for)").equals(True)
        expect(value[1], "second result", "第二个结果").equals(k)
        expect(value[0], "first result", "第一个结果").has_dtype(x.dtype).equals(x.detach() * 2.0**k)


class Counted:
    """Counts the nodes that are recorded in a graph, by the number that each of them gets."""

    def __enter__(self):
        self._first = torch.autograd._get_sequence_nr()
        return self

    def __exit__(self, *error):
        self._count = torch.autograd._get_sequence_nr() - self._first

    def is_all(self, nodes):
        """Whether these nodes, and no others, were recorded."""
        return len(nodes) == self._count and all(node._sequence_nr() >= self._first for node in nodes)


class Recorded(TorchFunctionMode):
    """Notes the kind of each node that torch functions record in a graph; takes a multiple of the time of counting."""

    def __init__(self):
        super().__init__()
        self.kinds = set()

    def __torch_function__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        for item in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(item, torch.Tensor) and item.grad_fn is not None:
                self.kinds.add(type(item.grad_fn).__name__)
        return result


def nodes_between(y, x):
    """All nodes that lead from `y` back to `x`, and to any other leaf."""
    waiting, seen, nodes = [y.grad_fn], {x.grad_fn}, []
    while waiting:
        node = waiting.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if type(node).__name__ != "AccumulateGrad":
            nodes.append(node)
        waiting += [before for before, _ in node.next_functions]
    return nodes


def doubled(student, x, limit, in_the_middle, watch):
    """A point with the values of x (or half of them, as the result of an operation), what is made of it, and k."""
    leaf = x.clone().requires_grad_()
    point = leaf * 0.5 if in_the_middle else leaf
    with watch:
        y, k = student.double_until(point, limit)
    return point, y, k


def in_the_graph(student, cases):
    """The nodes behind each y, those recorded if there are others, the gradient of x for the cotangents, and each k."""
    facts = []
    for x, limit, cotangent, in_the_middle in cases:
        counted, recorded = Counted(), Recorded()
        point, y, k = doubled(student, x, limit, in_the_middle, counted)
        nodes = nodes_between(y, point)
        if not counted.is_all(nodes):  # then their kinds decide
            point, y, k = doubled(student, x, limit, in_the_middle, recorded)
            nodes = nodes_between(y, point)
        kinds = [type(node).__name__ for node in nodes]
        gradient = torch.autograd.grad(y, point, cotangent)[0] if y.requires_grad else None
        facts.append((kinds, sorted(recorded.kinds), gradient, k))
    return facts


def graph_cases(generator):
    """x, limit, a cotangent, whether x is the result of an operation, and k."""
    for index, (x, limit, k) in enumerate(inputs()):
        if x.dtype in (torch.float32, torch.float64) and k < 10:  # each turn of a loop is the same, and watched
            cotangent = torch.randn(x.shape, generator=generator).to(x.dtype)
            yield x.detach(), limit, cotangent, False, k
            if index % 4 == 1:
                yield x.detach() * 2, limit, cotangent, True, k


def turns(own, k):
    """How often the answer says that it doubled, for the clauses that do not ask whether that is right."""
    return own if type(own) is int and 1 <= own <= 200 else k


@once
def graphs(submission, generator):
    cases = list(graph_cases(generator))
    return list(zip(cases, submission.run(in_the_graph, [case[:4] for case in cases]), strict=True))


def test_gradient(submission, generator):
    for (_, _, cotangent, _, k), facts in graphs(submission, generator):
        wanted = cotangent.double() * 2.0 ** turns(facts[3], k)
        expect(facts[2], "gradient of x", "x 的梯度").close_to(wanted.to(cotangent.dtype))


def test_graph(submission, generator):
    for (*_, k), (kinds, recorded, _, own) in graphs(submission, generator):
        expect(bool(kinds), "y, which is not in the graph of x,", "y（它不在 x 的计算图中）").equals(True)
        expect(len(kinds) in (1, turns(own, k)), "graph, with more than the doublings or one product,").equals(True)
        expect(set(recorded) <= set(kinds), "graph, in which a norm or a test is recorded,").equals(True)


def test_zeros(submission):
    shapes = [(3,), (2, 2), (), (1,)]
    cases = [(torch.zeros(shape), limit) for shape in shapes for limit in (5.0, 0, -1)]
    cases += [(torch.tensor([-0.0, 0.0], dtype=torch.float64), 1), (torch.zeros(2, requires_grad=True), 1.0)]
    for attempt in submission.calls("double_until", cases):
        expect(attempt).raises(ValueError)


def test_untouched(submission):
    for _, attempt in outcomes(submission):
        expect(attempt.returned() is not None, "result (a pair is asked for)").equals(True)
        expect(attempt).leaves_arguments()
