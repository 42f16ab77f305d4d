"""autograd/evaluate: model(x) in evaluation mode, without a graph; modes and grad mode as before, always."""

import torch
from torch import nn

from tensorgrade import expect

from .autograd_probes import in_one_batch, once


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

    def forward(self, x):
        """Raise."""
        raise self.error


def plain():
    """A model whose parts work otherwise while training, the same each time it is built."""
    return nn.Sequential(nn.PReLU(), nn.Dropout(0.5), nn.BatchNorm1d(2), nn.Sequential(nn.Dropout(0.9), nn.Tanh()))


def mixed():
    model = plain()
    model[2].eval()
    model[3][0].eval()
    return model


def shared():
    """A layer in two places: the mode of the later one must not be what it ends in."""
    layer = nn.Dropout(0.5)
    model = nn.Sequential(nn.Sequential(nn.PReLU(), layer), nn.Sequential(layer, nn.Identity()))
    layer.eval()
    return model


def shared_in_training():
    """A layer in two places that trains, in a model that does not: it must not be taken for what it was set to."""
    layer = nn.Dropout(0.5)
    model = nn.Sequential(nn.Sequential(layer), nn.PReLU(), layer).eval()
    layer.train()
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
    model[2].weight.grad = torch.ones(2)
    return model


def whole():
    return plain().eval()


def single():
    return nn.Dropout(0.5)


MODELS = [plain, mixed, shared, shared_in_training, outside_in, frozen, whole, single]


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


@once
def outcomes(submission, generator):
    embedding = nn.Embedding(5, 2, _weight=torch.arange(10.0).reshape(5, 2))
    points = [torch.randn(3, 2, generator=generator).requires_grad_(on) for on in (False, True)]
    groups = {
        "models": cases(generator),
        "tokens": [(embedding, torch.tensor([3, 0]))],
        "pairs": [(nn.MaxPool1d(2, return_indices=True), torch.randn(1, 6, generator=generator))],
        "witnesses": [(Witness(), x) for x in points],
    }
    return in_one_batch(submission, "evaluate", groups)


def test_evaluation(submission, generator):
    found = outcomes(submission, generator)
    for build, ((_, x), attempt) in zip(MODELS, found["models"], strict=True):
        expect(attempt).has_dtype(x.dtype).close_to(in_evaluation(build, x), terms=4)
    for (model, x), attempt in found["tokens"] + found["pairs"]:
        expect(attempt).equals(model(x))
    for _, attempt in found["witnesses"]:
        expect(bool(seen_by(attempt)[:-1].any()), "mode of a submodule, which trains,").equals(False)
    x = torch.randn(3, 2, generator=generator)
    expect(submission.run(with_a_hook, x)).close_to(in_evaluation(plain, x) + 100, terms=4)


def seen_by(attempt):
    expect(attempt).is_tensor().has_shape(7)
    return attempt.value.values


def test_no_graph(submission, generator):
    found = outcomes(submission, generator)
    for _, attempt in found["models"][:4]:
        expect(attempt).requires_grad(False)
    for _, attempt in found["witnesses"]:
        recorded = bool(seen_by(attempt)[-1])
        expect(recorded, "work of the model, which is recorded,", "模型的计算（它被记录了）").equals(False)


def test_modes(submission, generator):
    for _, attempt in outcomes(submission, generator)["models"]:
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
    for came_out, before, after in submission.run(
        modes_after_failure, [plain, mixed, shared, outside_in, shared_in_training]
    ):
        expect(came_out, "exception of the model, which does not reach the caller,").equals(True)
        expect(after, "mode of a submodule after an exception", "异常之后子模块的模式").equals(before)
    for before, (_, after) in zip((True, False), submission.run(recording_around, Unlikely("stop")), strict=True):
        expect(after, "grad mode after an exception", "异常之后的记录状态").equals(before)
