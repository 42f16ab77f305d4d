"""parallel/ddp: each rank joins, wraps, takes one step along the mean gradient, and leaves."""

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.functional import mse_loss
from torch.nn.parallel import DistributedDataParallel

from tensorgrade import expect
from tensorgrade.observation import ObservedObject

LR = 0.25


class Witness(nn.Module):
    """A network that notes what it runs in."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.seen = []

    def forward(self, x):
        """Note the group and the wrapper, and compute."""
        wrapper = DistributedDataParallel._active_ddp_module
        joined = dist.is_initialized()
        group = (dist.get_backend(), dist.get_rank(), dist.get_world_size()) if joined else None
        self.seen.append((group, getattr(wrapper, "module", None) is self))
        return self.net(x)


class Refused(Exception):
    """What training raises."""


class Refusing(nn.Linear):
    """A model that cannot be trained."""

    def forward(self, x):
        """Refuse."""
        raise Refused


def inputs(generator, size):
    """A model and data for each of `size` ranks; the models differ, and so do the numbers of rows."""
    models = []
    for _ in range(size):
        model = Witness()
        for parameter in model.parameters():
            nn.init.uniform_(parameter, -1, 1, generator=generator)
        models.append(model)
    xs = [torch.randn(2 + rank, 3, generator=generator) for rank in range(size)]
    ys = [torch.randn(2 + rank, 2, generator=generator) for rank in range(size)]
    return models, xs, ys


def trained(student, rank, models, xs, ys):
    """What the step of one rank does: what is returned, the model, where it ran, and whether the group was left."""
    model = models[rank.rank]
    data = xs[rank.rank], ys[rank.rank]
    state = student.train_rank(rank.rank, rank.size, rank.init_method, model, *data, LR)
    return state, model, model.seen[:3], dist.is_initialized()


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
    data = inputs(generator, 2)
    for number, (_, _, seen, _) in enumerate(submission.ranks(2).run(trained, *data)):
        expect(seen, "use of DistributedDataParallel in a group", "在进程组中使用 DistributedDataParallel").equals(
            [(("gloo", number, 2), True)]
        )


def test_step(submission, generator):
    for size in (1, 2, 3):
        data = inputs(generator, size)
        wanted = expected(*data)
        for state, *_ in submission.ranks(size).run(trained, *data):
            values = {key.removeprefix("module."): value for key, value in content(state).items() if type(key) is str}
            expect(set(values) == set(wanted), "names of the parameters", "参数的名称").equals(True)
            for name, right in wanted.items():
                expect(values[name], "parameter", "参数").close_to(right, terms=64)


def test_state(submission, generator):
    data = inputs(generator, 2)
    names = list(dict(data[0][0].named_parameters()))
    for number, (state, model, *_) in enumerate(submission.ranks(2).run(trained, *data)):
        returned = content(state)
        expect(list(returned), "keys of the state dict", "状态字典的键").equals(names)
        before = data[0][number].state_dict()
        for name in names:
            expect(model.parameters[name], "parameter of the model", "模型的参数").is_tensor()
            trained_to = model.parameters[name].values
            expect(returned[name], "parameter in the state dict", "状态字典中的参数").equals(trained_to)
        changed = [not torch.equal(model.parameters[name].values, before[name]) for name in names]
        expect(any(changed), "training of the model in place", "模型的就地训练").equals(True)


def refused(student, rank):
    """What comes out when training raises in each rank, and whether the group was left."""
    train_rank, data = student.train_rank, (torch.ones(2, 3), torch.ones(2, 2))
    try:
        train_rank(rank.rank, rank.size, rank.init_method, Refusing(3, 2), *data, LR)
    except Refused:
        return True, dist.is_initialized()
    return False, dist.is_initialized()


def test_leaves(submission, generator):
    for *_, inside in submission.ranks(2).run(trained, *inputs(generator, 2)):
        expect(inside, "group after training", "训练后的进程组").equals(False)
    for propagated, inside in submission.ranks(2).run(refused):
        expect(propagated, "error of training", "训练中的异常").equals(True)
        expect(inside, "group after an error", "出错后的进程组").equals(False)
