"""parallel/ddp: each rank joins, wraps, takes one step along the mean gradient, and leaves."""

import os
from collections import OrderedDict
from pathlib import Path

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import mse_loss
from torch.nn.parallel import DistributedDataParallel

from tensorgrade import expect
from tensorgrade.observation import ObservedObject

LR = 0.25


class Witness(nn.Module):
    """A network that notes what it runs in; it has a buffer, and a part whose name is `module`."""

    def __init__(self, width):
        super().__init__()
        layers = OrderedDict(module=nn.Linear(3, 4), bend=nn.Tanh(), last=nn.Linear(4, width))
        self.net = nn.Sequential(layers)
        self.register_buffer("steps", torch.tensor([5, 7]))
        self.seen = []
        self.meeting = ""

    def forward(self, x):
        """Note the group, the wrapper and whether anybody has come to the meeting, and compute."""
        wrapper = DistributedDataParallel._active_ddp_module
        joined = dist.is_initialized()
        group = (dist.get_backend(), dist.get_rank(), dist.get_world_size()) if joined else None
        self.seen.append((group, getattr(wrapper, "module", None) is self, Path(self.meeting).exists()))
        return self.net(x)


class Refused(Exception):
    """What training raises."""


class Refusing(nn.Linear):
    """A model that cannot be trained."""

    def forward(self, x):
        """Refuse."""
        raise Refused


def inputs(generator, size):
    """A model and data for each of `size` ranks; the models differ, and so do the numbers of rows.

    Results have two columns for two ranks, else one.
    """
    models, width = [], 2 if size == 2 else 1
    for _ in range(size):
        model = Witness(width)
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -1, 1, generator=generator)
        models.append(model)
    xs = [torch.randn(2 + rank, 3, generator=generator) for rank in range(size)]
    ys = [torch.randn(2 + rank, width, generator=generator) for rank in range(size)]
    return models, xs, ys


def trained(student, rank, models, xs, ys):
    """Of the step of one rank: what is returned, the model, where it ran, whether the group was left, x and y."""
    model = models[rank.rank]
    model.meeting = rank.init_method.removeprefix("file://")
    data = xs[rank.rank], ys[rank.rank]
    state = student.train_rank(rank.rank, rank.size, rank.init_method, model, *data, LR)
    return state, model, model.seen[:9], dist.is_initialized(), *data


def trained_without_environment(student, rank, models, xs, ys):
    """The same where nothing but `init_method` says how to meet."""
    for name in ("MASTER_ADDR", "MASTER_PORT", "RANK", "WORLD_SIZE"):
        os.environ.pop(name, None)
    return trained(student, rank, models, xs, ys)


def expected(models, xs, ys):
    """The parameters after a step from those of rank 0 along the mean of the ranks' gradients, by name."""
    parameters = dict(models[0].named_parameters())
    losses = [mse_loss(models[0].net(x), y) for x, y in zip(xs, ys, strict=True)]
    gradients = [torch.autograd.grad(loss, list(parameters.values())) for loss in losses]
    means = [sum(each) / len(each) for each in zip(*gradients, strict=True)]
    return {name: (value - LR * mean).detach() for (name, value), mean in zip(parameters.items(), means, strict=True)}


def content(observed):
    """The observation of a dict, or of a subclass of it, as a dict of observations."""
    content = observed.items if isinstance(observed, ObservedObject) else observed
    expect(content, "state dict", "状态字典").has_type(dict)
    return content


def test_group(submission, generator):
    for size in (1, 2):
        facts = submission.ranks(size).run(trained_without_environment, *inputs(generator, size))
        for number, (_, _, seen, *_) in enumerate(facts):
            right = (("gloo", number, size), True, True)
            told = [right] if right in seen else seen[:1]  # What else the model is called for is nobody's business.
            expect(told, "use of DistributedDataParallel in a group", "在进程组中使用 DistributedDataParallel").equals(
                [right]
            )


def parameters_after(state, model, names):
    """The parameters by name: those that were returned, or, where some are missing there, those of the model."""
    returned = state.items if isinstance(state, ObservedObject) else state
    if isinstance(returned, dict):
        values = {key.removeprefix("module."): value for key, value in returned.items() if type(key) is str}
        if set(names) <= set(values):
            return values
    return model.parameters


def test_step(submission, generator):
    for size in (1, 2, 3):
        data = inputs(generator, size)
        wanted = expected(*data)
        for state, model, *_ in submission.ranks(size).run(trained, *data):
            values = parameters_after(state, model, wanted)
            expect(set(wanted) <= set(values), "names of the parameters", "参数的名称").equals(True)
            for name, right in wanted.items():
                expect(values[name], "parameter", "参数").has_dtype(right.dtype).close_to(right, terms=64)


def test_state(submission, generator):
    models, xs, ys = inputs(generator, 2)
    facts = submission.ranks(2).run(trained, models, xs, ys)
    for (state, model, _, _, x, y), witness, *data in zip(facts, models, xs, ys, strict=True):
        before, returned = witness.state_dict(), content(state)
        expect(list(returned), "keys of the state dict", "状态字典的键").equals(list(before))
        expect(returned["steps"], "buffer in the state dict", "状态字典中的缓冲区").equals(before["steps"])
        names = before.keys() - {"steps"}
        expect(names == set(model.parameters), "names of the parameters of the model", "模型参数的名称").equals(True)
        for name in names:
            expect(model.parameters[name], "parameter of the model", "模型的参数").requires_grad()
            trained_to = model.parameters[name].values
            expect(returned[name], "parameter in the state dict", "状态字典中的参数").equals(trained_to)
        expect(all(model.training.values()), "training mode of the model", "模型的训练模式").equals(True)
        changed = [not torch.equal(each.values, before[name]) for name, each in model.parameters.items()]
        expect(any(changed), "training of the model in place", "模型的就地训练").equals(True)
        for name, after, given in (("x", x, data[0]), ("y", y, data[1])):
            expect(after, f"`{name}` after the step", f"更新之后的 `{name}` ").equals(given)


def refused(student, rank):
    """What comes out when training raises in each rank, and whether the group was left."""
    train_rank, data = student.train_rank, (torch.ones(2, 3), torch.ones(2, 2))
    try:
        train_rank(rank.rank, rank.size, rank.init_method, Refusing(3, 2), *data, LR)
    except Refused:
        return True, dist.is_initialized()
    return False, dist.is_initialized()


def test_leaves(submission, generator):
    for _, _, _, inside, *_ in submission.ranks(2).run(trained, *inputs(generator, 2)):
        expect(inside, "group after training", "训练后的进程组").equals(False)
    for propagated, inside in submission.ranks(2).run(refused):
        expect(propagated, "error of training", "训练中的异常").equals(True)
        expect(inside, "group after an error", "出错后的进程组").equals(False)
