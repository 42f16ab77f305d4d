"""autograd/evaluate: model(x) in evaluation mode, without a graph; modes and grad mode as before, always."""

import torch
from torch import nn

from tensorgrade import expect


class Witness(nn.Module):
    """Returns what it sees: the mode of each submodule, and whether its work is recorded."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(2, 2)
        self.inner = nn.Sequential(nn.Dropout(0.5), nn.Sequential(nn.Tanh()))

    def forward(self, x):
        """Return what is seen, as numbers."""
        recorded = self.linear(x).requires_grad
        return torch.tensor([float(module.training) for module in self.modules()] + [float(recorded)])


class Failing(nn.Module):
    """Raises what nothing else raises."""

    def __init__(self, error):
        super().__init__()
        self.error = error
        self.linear = nn.Linear(2, 2)

    def forward(self, x):
        """Raise."""
        raise self.error


def plain():
    torch.manual_seed(6)
    return nn.Sequential(nn.Linear(2, 3), nn.Dropout(0.5), nn.BatchNorm1d(3), nn.Sequential(nn.Dropout(0.9), nn.Tanh()))


def mixed():
    model = plain()
    model[2].eval()
    model[3][0].eval()
    return model


def shared():
    """A layer in two places: the mode of the later one must not be what it ends in."""
    layer = nn.Dropout(0.5)
    model = nn.Sequential(nn.Sequential(nn.Linear(2, 2), layer), nn.Sequential(layer, nn.Identity()))
    layer.eval()
    return model


def outside_in():
    """A model in evaluation mode, with a part that trains."""
    model = plain().eval()
    model[1].train()
    model[3].training = True
    return model


def frozen():
    model = plain()
    model[0].requires_grad_(False)
    model[2].weight.grad = torch.ones(3)
    return model


MODELS = [plain, mixed, shared, outside_in, frozen, lambda: plain().eval(), lambda: nn.Dropout(0.5)]


def cases(generator):
    return [
        (build(), torch.randn(4, 2, generator=generator).requires_grad_(i % 2 == 1)) for i, build in enumerate(MODELS)
    ]


def in_evaluation(build, x):
    with torch.no_grad():
        return build().eval()(x)


def with_a_hook(student, x):
    model = plain()
    model.register_forward_hook(lambda module, inputs, output: output + 100)
    return student.evaluate(model, x)


def test_evaluation(submission, generator):
    inputs = cases(generator)
    for build, (_, x), attempt in zip(MODELS, inputs, submission.calls("evaluate", inputs), strict=True):
        expect(attempt).close_to(in_evaluation(build, x), terms=4)
    x = torch.randn(3, 2, generator=generator)
    expect(submission.run(with_a_hook, x)).close_to(in_evaluation(plain, x) + 100, terms=4)
    embedding = nn.Embedding(5, 2)
    tokens = torch.tensor([3, 0])
    expect(submission.call("evaluate", embedding, tokens)).equals(embedding(tokens))
    expect(of_length(submission.call("evaluate", Witness(), x), 7)[:-1].any().item()).equals(False)


def of_length(seen, length):
    expect(seen).is_tensor().has_shape(length)
    return seen.values


def test_no_graph(submission, generator):
    for attempt in submission.calls("evaluate", cases(generator)[:4]):
        expect(attempt).requires_grad(False)
    points = [torch.randn(3, 2, generator=generator).requires_grad_(on) for on in (False, True)]
    for attempt in submission.calls("evaluate", [(Witness(), x) for x in points]):
        seen = of_length(attempt.returned(), 7)
        expect(bool(seen[-1]), "work of the model, which is recorded,", "模型的计算（它被记录了）").equals(False)


def test_modes(submission, generator):
    for attempt in submission.calls("evaluate", cases(generator)):
        expect(attempt).is_tensor().leaves_arguments()


class Unlikely(Exception):
    """An exception that no code raises by itself."""


def recording_around(student, error):
    """For recording switched on and off: the result, and whether recording is on after the call."""
    model = plain() if error is None else Failing(error)
    facts = []
    for before in (True, False):
        with torch.set_grad_enabled(before):
            try:
                result = student.evaluate(model, torch.ones(4, 2))
            except Unlikely:
                result = None
            facts.append((result, torch.is_grad_enabled()))
    return facts


def test_grad_mode(submission):
    facts = submission.run(recording_around, None)
    for before, (result, after) in zip((True, False), facts, strict=True):
        expect(result).is_tensor()
        expect(after, "grad mode after the call", "调用之后的记录状态").equals(before)


def modes_after_failure(student, builders):
    """For each model: whether its own exception came out, and the modes before and after."""
    facts = []
    for index, build in enumerate(builders):
        model = build()
        model.add_module("failing", Failing(Unlikely("stop")).train(index % 2 == 0))
        before, came_out = [module.training for module in model.modules()], False
        try:
            student.evaluate(model, torch.ones(4, 2))
        except Exception as raised:  # noqa: BLE001 - an answer may raise another one, which is a fact as well
            came_out = isinstance(raised, Unlikely)
        facts.append((came_out, before, [module.training for module in model.modules()]))
    return facts


def test_exception(submission):
    for came_out, before, after in submission.run(modes_after_failure, [plain, mixed, shared, outside_in, shared]):
        expect(came_out, "exception of the model, which does not reach the caller,").equals(True)
        expect(after, "mode of a submodule after an exception", "异常之后子模块的模式").equals(before)
    for before, (_, after) in zip((True, False), submission.run(recording_around, Unlikely("stop")), strict=True):
        expect(after, "grad mode after an exception", "异常之后的记录状态").equals(before)
