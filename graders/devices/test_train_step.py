"""devices/train-step: model and data moved, gradients cleared, one step of the optimizer that owns the parameters."""

import copy
import functools

import torch
from torch import nn

from tensorgrade import expect

PLACES = {0: ["cpu"], 1: ["cuda:0"], 2: ["cuda:0", "cuda:1", "cpu"]}
OPTIMIZERS = {
    "sgd": functools.partial(torch.optim.SGD, lr=0.1),
    "momentum": functools.partial(torch.optim.SGD, lr=0.05, momentum=0.9),
    "adam": functools.partial(torch.optim.Adam, lr=0.01),
}


def inputs(generator):
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -1, 1, generator=generator)
    return model, torch.randn(6, 3, generator=generator), torch.randn(6, 2, generator=generator)


def step(model, x, y, optimizer):
    """One step by hand; returns the loss."""
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x), y)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def trained(student, data, make, device, *, moved, warm=False, stale=False):
    """What a step does to a model that was moved before, with an optimizer that has state, with old gradients."""
    train_step, (model, x, y) = student.train_step, data
    if moved:
        model.to(device)
    optimizer = make(model.parameters())
    owned = list(model.parameters())
    if warm:
        step(model, x.to(device), y.to(device), optimizer)
    optimizer.zero_grad()
    if stale:
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, 3.0)
    data = (x.to(device), y.to(device)) if moved else (x, y)
    loss = train_step(model, *data, optimizer, nn.MSELoss(), torch.device(device))
    held = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    still = [a is b is c for a, b, c in zip(owned, held, model.parameters(), strict=True)]
    return {"loss": loss, "model": model, "data": data, "owned": all(still) and len(still) == len(owned)}


def expected(model, x, y, make, *, warm=False):
    """The loss and the parameters after it."""
    model = copy.deepcopy(model)
    optimizer = make(model.parameters())
    if warm:
        step(model, x, y, optimizer)
    return step(model, x, y, optimizer), dict(model.named_parameters())


def check_parameters(result, parameters):
    for name, wanted in parameters.items():
        expect(result["model"].parameters[name], "parameter of the model", "模型的参数").close_to(wanted, terms=64)


def each(submission, generator, makes=("sgd",), **how):
    """For each device and optimizer: the device, what became of the model, and what should have."""
    for count, devices in PLACES.items():
        machine = submission.machine(accelerators=count)
        for device in devices:
            for make in map(OPTIMIZERS.get, makes):
                model, x, y = inputs(generator)
                wanted = expected(model, x, y, make, warm=how.get("warm", False))
                yield device, machine.run(trained, (model, x, y), make, device, **how), wanted


def test_device(submission, generator):
    for device, result, (_, parameters) in each(submission, generator, moved=False):
        expect(result["model"], "model", "模型").on_device(device)
        check_parameters(result, parameters)


def test_step(submission, generator):
    for _, result, (_, parameters) in each(submission, generator, OPTIMIZERS, moved=True, warm=True):
        check_parameters(result, parameters)


def test_cleared(submission, generator):
    for _, result, (_, parameters) in each(submission, generator, moved=True, stale=True):
        check_parameters(result, parameters)


def test_loss(submission, generator):
    for _, result, (loss, _) in each(submission, generator, moved=True):
        expect(result["loss"], "loss", "损失").has_type(float)
        before = abs(result["loss"] - loss) < 1e-5
        expect(before, "loss of before the step", "更新前的损失").equals(True)


def test_kept(submission, generator):
    machine = submission.machine(accelerators=2)
    for device, training in (("cpu", True), ("cuda:1", False)):
        model, x, y = inputs(generator)
        result = machine.run(trained, (model.train(training), x, y), OPTIMIZERS["sgd"], device, moved=False)
        changed = any(
            not torch.equal(result["model"].parameters[name].values, parameter)
            for name, parameter in model.named_parameters()
        )
        expect(changed, "training of the parameters", "参数的训练").equals(True)
        expect(result["owned"], "ownership of the parameters", "参数的归属").equals(True)
        expect(set(result["model"].training.values()) == {training}, "mode of the model", "模型的模式").equals(True)
        for given, kept in zip((x, y), result["data"], strict=True):
            expect(kept, "data", "数据").on_device("cpu").equals(given)
