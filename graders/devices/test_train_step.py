"""devices/train-step: model and data moved, gradients cleared, one step of the optimizer that owns the parameters."""

import copy
import functools

import torch
from torch import nn

from tensorgrade import expect

MAKERS = {
    "sgd": functools.partial(torch.optim.SGD, lr=0.1),
    "momentum": functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    "adam": functools.partial(torch.optim.Adam, lr=0.01),
}


def two_groups(parameters, lr=0.3):
    """An optimizer whose second group may take other steps."""
    first, *others = parameters
    return torch.optim.SGD([{"params": [first]}, {"params": others, "lr": lr}], lr=0.05)


OPTIMIZERS = [MAKERS["sgd"], MAKERS["momentum"], MAKERS["adam"], two_groups]


class Scaled(nn.Module):
    """Multiplies by a buffer."""

    def __init__(self):
        super().__init__()
        self.register_buffer("factor", torch.tensor([0.5, 2.0], dtype=torch.float64))

    def forward(self, x):
        """Multiply the last dimension, of size 2."""
        return x * self.factor


def uneven(prediction, target):
    """A loss whose two arguments cannot be swapped."""
    return ((prediction - target) ** 2 * target.exp()).mean()


def inputs(generator):
    """A model with parameters and a buffer, and data."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2), Scaled()).double()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=generator)
    x = torch.randn(6, 3, generator=generator, dtype=torch.float64)
    return model, x, torch.randn(6, 2, generator=generator, dtype=torch.float64)


def step(model, x, y, optimizer, loss_fn):
    """One step by hand; returns the loss."""
    optimizer.zero_grad()
    loss = loss_fn(model(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def settings(optimizer):
    """All that groups say but their parameters."""
    return [{name: value for name, value in group.items() if name != "params"} for group in optimizer.param_groups]


def trained(student, data, makers, device, how):
    """What a step does to a model, with the words in `how`: moved before, an optimizer with state, old gradients."""
    train_step, (model, x, y), (make, loss_fn) = student.train_step, data, makers
    if "moved" in how:
        model.to(device)
    optimizer = make(list(model.parameters()))
    owned = list(model.parameters())
    if "warm" in how:
        step(model, x.to(device), y.to(device), optimizer, loss_fn)
    optimizer.zero_grad()
    if "stale" in how:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 3.0)
    data = (x.to(device), y.to(device)) if "moved" in how else (x, y)
    before = settings(optimizer)
    loss = train_step(model, *data, optimizer, loss_fn, device)
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    same = [a is b is c for a, b, c in zip(owned, held, model.parameters(), strict=False)]
    return {
        "loss": loss,
        "model": model,
        "data": data,
        "owned": all(same) and len(held) == len(owned),
        "settings": (before, settings(optimizer)),
    }


def each(submission, generator, places, how="moved"):
    """For each place: the device, what became of the model there, and the loss and parameters that are right."""
    for count, device, make, loss_fn in places:
        model, x, y = inputs(generator)
        found = submission.machine(accelerators=count).run(trained, (model, x, y), (make, loss_fn), device, how)
        alone = copy.deepcopy(model)
        optimizer = make(list(alone.parameters()))
        if "warm" in how:
            step(alone, x, y, optimizer, loss_fn)
        yield device, found, (step(alone, x, y, optimizer, loss_fn), dict(alone.named_parameters()))


def check_parameters(result, parameters):
    for name, wanted in parameters.items():
        expect(result["model"].parameters[name], "parameter of the model", "模型的参数").close_to(wanted, terms=64)


SGD, GPU = MAKERS["sgd"], torch.device("cuda:1")
EVERYWHERE = [
    (0, "cpu", SGD, nn.MSELoss()),
    (1, torch.device("cuda:0"), SGD, nn.MSELoss()),
    (2, "cuda:1", SGD, uneven),
    (2, GPU, SGD, nn.MSELoss()),
    (2, torch.device("cpu"), SGD, uneven),
]


def test_device(submission, generator):
    for device, result, (_, parameters) in each(submission, generator, EVERYWHERE, how=""):
        expect(result["model"], "model", "模型").on_device(device)
        check_parameters(result, parameters)


def test_step(submission, generator):
    places = [(2, device, make, uneven) for device in ("cpu", GPU) for make in OPTIMIZERS]
    for _, result, (_, parameters) in each(submission, generator, places, how="moved warm"):
        check_parameters(result, parameters)


def test_cleared(submission, generator):
    equal_groups = functools.partial(two_groups, lr=0.05)
    places = [(2, device, make, nn.MSELoss()) for device in ("cpu", GPU) for make in (SGD, equal_groups)]
    for _, result, (_, parameters) in each(submission, generator, places, how="moved stale"):
        check_parameters(result, parameters)


def test_loss(submission, generator):
    places = [(0, "cpu", SGD, nn.MSELoss()), (2, GPU, SGD, uneven), (2, GPU, SGD, nn.L1Loss())]
    for _, result, (loss, _) in each(submission, generator, places):
        expect(result["loss"], "loss", "损失").has_type(float)
        before = abs(result["loss"] - loss) < 1e-9 * abs(loss)
        expect(before, "loss of before the step", "更新前的损失").equals(True)


def test_kept(submission, generator):
    machine = submission.machine(accelerators=2)
    for device, training in (("cpu", True), ("cuda:1", False)):
        model, x, y = inputs(generator)
        result = machine.run(trained, (model.train(training), x, y), (SGD, nn.MSELoss()), device, "")
        parameters = result["model"].parameters
        changed = any(
            not torch.equal(parameters[name].values, parameter) for name, parameter in model.named_parameters()
        )
        expect(changed, "training of the parameters", "参数的训练").equals(True)
        expect(result["owned"], "ownership of the parameters", "参数的归属").equals(True)
        expect(result["settings"][1], "settings of the optimizer", "优化器的设置").equals(result["settings"][0])
        expect(set(result["model"].training.values()) == {training}, "mode of the model", "模型的模式").equals(True)
        for given, kept in zip((x, y), result["data"], strict=True):
            expect(kept, "data", "数据").on_device("cpu").requires_grad(False).equals(given)
