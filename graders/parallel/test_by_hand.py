"""parallel/by-hand: scatter, replicate, apply and gather, each device on its own part."""

import functools
from typing import ClassVar

import torch
from torch import nn

from tensorgrade import expect


class Watched(nn.Module):
    """A model that notes where it runs; its buffer takes part, and the first column of its input names the rows.

    It notes at the class, which stays the same where the grader's other names are sent anew: on which rows models
    have run; and the model that was passed in, with where it has been.
    """

    work: ClassVar[list] = []
    itself: ClassVar[list] = []

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.register_buffer("shift", torch.tensor([0.5, -1.0]))

    def forward(self, x):
        """Run on one part."""
        type(self).work.append((str(x.device), str(self.layers[0].weight.device), x[:, 0].tolist()))
        return self.layers(x) + self.shift

    def _apply(self, *arguments, **keywords):
        """Be moved."""
        result = super()._apply(*arguments, **keywords)
        if self.itself and self.itself[0] is self:
            self.itself.append(str(self.shift.device))
        return result


CASES = [
    (1, ["cuda:0"], 4, "cpu"),
    (2, ["cuda:0", "cuda:1"], 5, "cpu"),
    (2, [torch.device("cuda:1"), torch.device("cuda:0")], 6, "cuda:0"),
    (4, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"], 9, "cuda:0"),
    (4, ["cuda:2", "cuda:0", "cuda:3"], 8, "cpu"),
    (4, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"], 5, "cpu"),
    (4, ["cuda:3", "cuda:1", "cuda:0", "cuda:2"], 2, "cuda:1"),
    (2, ["cuda:1", "cuda:0"], 1, "cpu"),
    (0, ["cpu"], 3, "cpu"),
]
DTYPES = [torch.float32, torch.float64, torch.float32, torch.float32, torch.float64]


def rows_of(n, dtype):
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, 3, generator=generator).to(dtype)
    x[:, 0] = torch.arange(n) / 4
    return x


def model_of(training, dtype):
    torch.default_generator.manual_seed(11)
    return Watched().to(dtype).train(training)


def run(student, model, x, devices):
    """What came out, where a model has run, the model before and after, where it has been and is, and the batch."""
    before = facts(model)
    Watched.work.clear()
    Watched.itself[:] = [model]
    result = student.data_parallel(model, x, devices)
    work, been = list(Watched.work), Watched.itself[1:]
    Watched.itself.clear()
    is_on = sorted({str(tensor.device) for tensor in model.state_dict().values()})
    return result, work, before, facts(model), been, is_on, x


def run_from(student, model, x, devices, place):
    """The same with the batch on the device `place`."""
    return run(student, model, x.to(place), devices)


def facts(model):
    values = [f"{name} {tensor.flatten().tolist()}" for name, tensor in model.state_dict().items()]
    return [*values, *(f"{name} {module.training}" for name, module in model.named_modules())]


@functools.cache
def answers(submission):
    """Each case with the answer to it."""
    return [answer(submission, case, number) for number, case in enumerate(CASES)]


def answer(submission, case, number):
    accelerators, devices, n, place = case
    machine = submission.machine(accelerators=accelerators)
    dtype = DTYPES[number % len(DTYPES)]
    model, x = model_of(number % 2 == 0, dtype), rows_of(n, dtype)
    return devices, x, place, machine.run(run_from, model, x, devices, place)


def test_result(submission):
    for devices, x, place, (result, *_, after) in answers(submission):
        wanted = model_of(False, x.dtype)(x).detach()
        expect(result).has_dtype(x.dtype).close_to(wanted, terms=12).on_device(devices[0])
        expect(after, "batch after the call", "调用之后的批次").on_device(place).equals(x)


def test_split(submission):
    for devices, x, _, (_, work, *_) in answers(submission):
        n = len(x)
        parts = [(data, weights, rows) for data, weights, rows in work if rows]
        places = [str(device) for device in devices]
        beside = all(data == weights for data, weights, _ in parts)
        expect(beside, "replica beside its data", "副本与数据同处").equals(True)
        expect(len({data for data, *_ in parts}), "number of devices at work", "工作的设备个数").equals(
            min(n, len(devices))
        )
        in_order = sorted(parts, key=lambda part: places.index(part[0]) if part[0] in places else -1)
        rows = [row for _, _, rows in in_order for row in rows]
        expect(rows, "order of the rows", "各行的顺序").equals([row / 4 for row in range(n)])
        sizes = [len(rows) for *_, rows in parts] + [0] * (len(devices) - len(parts))
        expect(len(sizes) == len(devices) and max(sizes) - min(sizes) <= 1, "split", "划分").equals(True)


def test_model_stays(submission):
    for devices, _, _, (result, _, before, after, been, is_on, _) in answers(submission):
        home = str(torch.device(devices[0]))
        expect(result).is_tensor()
        expect(after, "model afterwards", "之后的模型").equals(before)
        expect(is_on in (["cpu"], [home]), "device of the model", "模型所在的设备").equals(True)
        expect(set(been) <= {"cpu", home}, "way of the model over devices", "模型经过的设备").equals(True)
