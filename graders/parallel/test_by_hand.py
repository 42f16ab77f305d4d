"""parallel/by-hand: scatter, replicate, apply and gather, each device on its own part."""

import torch
from torch import nn

from tensorgrade import expect

WORK = []
"""In the submission process: where the model has run, and on which rows."""


class Watched(nn.Module):
    """A model that notes where it runs; its buffer takes part, and the first column of its input names the rows."""

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
        self.register_buffer("shift", torch.tensor([0.5, -1.0]))

    def forward(self, x):
        """Run on one part."""
        WORK.append((str(x.device), str(self.layers[0].weight.device), x[:, 0].tolist()))
        return self.layers(x) + self.shift


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


def rows_of(n):
    generator = torch.Generator().manual_seed(n)
    x = torch.randn(n, 3, generator=generator)
    x[:, 0] = torch.arange(n) / 4
    return x


def model_of(training):
    torch.manual_seed(11)
    return Watched().train(training)


def run(student, model, x, devices):
    """What came out, where the model has run, the model before and after, and where it is then."""
    before = facts(model)
    WORK.clear()
    result = student.data_parallel(model, x, devices)
    work = list(WORK)
    return result, work, before, facts(model), sorted({str(tensor.device) for tensor in model.state_dict().values()})


def run_from(student, model, x, devices, place):
    """The same with the batch on the device `place`."""
    return run(student, model, x.to(place), devices)


def facts(model):
    values = [f"{name} {tensor.flatten().tolist()}" for name, tensor in model.state_dict().items()]
    return [*values, *(f"{name} {module.training}" for name, module in model.named_modules())]


def answers(submission):
    """Each case with the answer to it."""
    for number, (accelerators, devices, n, place) in enumerate(CASES):
        machine = submission.machine(accelerators=accelerators)
        model = model_of(training=number % 2 == 0)
        yield devices, n, machine.run(run_from, model, rows_of(n), devices, place)


def test_result(submission):
    for devices, n, (result, *_) in answers(submission):
        expect(result).close_to(model_of(training=False)(rows_of(n)), terms=12).on_device(devices[0])


def test_split(submission):
    for devices, n, (_, work, *_) in answers(submission):
        parts = [(data, weights, rows) for data, weights, rows in work if rows]
        places = [str(device) for device in devices]
        expect(all(data == weights for data, weights, _ in parts), "replica beside its data", "副本与数据同处").equals(
            True
        )
        expect(len({data for data, *_ in parts}), "number of devices at work", "工作的设备个数").equals(
            min(n, len(devices))
        )
        in_order = sorted(parts, key=lambda part: places.index(part[0]) if part[0] in places else -1)
        rows = [row for _, _, rows in in_order for row in rows]
        expect(rows, "order of the rows", "各行的顺序").equals([row / 4 for row in range(n)])
        sizes = [len(rows) for *_, rows in parts] + [0] * (len(devices) - len(parts))
        expect(len(sizes) == len(devices) and max(sizes) - min(sizes) <= 1, "split", "划分").equals(True)


def test_model_stays(submission):
    for devices, _, (result, _, before, after, places) in answers(submission):
        expect(result).is_tensor()
        expect(after, "model afterwards", "之后的模型").equals(before)
        expect(places in (["cpu"], [str(devices[0])]), "device of the model", "模型所在的设备").equals(True)
