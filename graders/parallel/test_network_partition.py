"""parallel/network-partition: two modules on a device each, one network."""

import copy
from typing import ClassVar

import torch
from torch import nn

from tensorgrade import expect

PLACES = [("cuda:0", "cuda:1"), ("cuda:1", "cuda:0"), ("cuda:1", "cpu"), ("cpu", "cuda:0"), ("cuda:1", "cuda:1")]
INPUTS = ["cpu", "cuda:0", "cuda:1"]


class Noted(nn.Tanh):
    """Notes where it runs; at the class, which stays the same where the grader's other names are sent anew."""

    seen: ClassVar[list] = []

    def forward(self, x):
        """Run on an activation."""
        type(self).seen.append(str(x.device))
        return super().forward(x)


def parts(generator, *, norm=False):
    first = nn.Sequential(nn.Linear(3, 4), *([nn.BatchNorm1d(4)] if norm else []), Noted())
    second = nn.Sequential(nn.Linear(4, 2), Noted())
    for parameter in (*first.parameters(), *second.parameters()):
        nn.init.uniform_(parameter, -1, 1, generator=generator)
    return first, second


def devices(names, as_names):
    return list(names) if as_names else [torch.device(name) for name in names]


def built(student, first, second, places):
    """The two modules after a network was made of them, for each pair of devices."""
    found = []
    for number, names in enumerate(places):
        one, other = copy.deepcopy(first), copy.deepcopy(second)
        student.TwoDeviceNet(one, other, devices(names, number % 2))
        found.append((one, other))
    return found


def test_placed(submission, generator):
    first, second = parts(generator, norm=True)
    first[1].eval()
    found = submission.machine(accelerators=2).run(built, first, second, PLACES)
    for names, (one, other) in zip(PLACES, found, strict=True):
        for observed, given, name in ((one, first, names[0]), (other, second, names[1])):
            expect(observed, "module", "模块").on_device(name)
            modes = {key: module.training for key, module in given.named_modules()}
            expect(observed.training, "mode of a module", "模块的模式").equals(modes)


def count_parameters(student, first, second, places):
    """The number of parameters of the network, and their shapes, for each pair of devices."""
    found = []
    for names in places:
        net = student.TwoDeviceNet(copy.deepcopy(first), copy.deepcopy(second), list(names))
        inside = sum(type(module) is nn.Linear for module in net.modules())
        found.append((inside, sorted(tuple(parameter.shape) for parameter in net.parameters())))
    return found


def test_registered(submission, generator):
    first, second = parts(generator)
    shapes = sorted(tuple(parameter.shape) for parameter in (*first.parameters(), *second.parameters()))
    for found in submission.machine(accelerators=2).run(count_parameters, first, second, PLACES):
        expect(found, "parameters of the network", "网络的参数").equals((2, shapes))


def applied(student, parts, x, places, inputs):
    """The result for an input on each device and where the parts ran, for each pair of devices."""
    found = []
    Noted.seen.clear()
    for number, names in enumerate(places):
        one, other = copy.deepcopy(parts)
        net = student.TwoDeviceNet(one, other, devices(names, number % 2))
        found.append([(net(x.to(device)), forgotten()) for device in inputs])
    return found


def forgotten():
    """The devices that were noted, from the first on, which are then forgotten."""
    seen = list(dict.fromkeys(Noted.seen))
    Noted.seen.clear()
    return seen


def test_result(submission, generator):
    first, second = parts(generator)
    for rows in (5, 1, 0):
        x = torch.randn(rows, 3, generator=generator)
        wanted = second(first(x)).detach()
        found = submission.machine(accelerators=2).run(applied, (first, second), x, PLACES, INPUTS)
        for names, results in zip(PLACES, found, strict=True):
            for result, seen in results:
                expect(result).close_to(wanted, terms=12).on_device(names[1]).has_dtype(torch.float32)
                expect(seen, "list of devices at work", "工作设备的列表").equals(list(dict.fromkeys(names)))


def trained(student, parts, x, cotangent, places):
    """The gradients of both modules, for each pair of devices and the input on the first of them."""
    found = []
    for names in places:
        one, other = copy.deepcopy(parts)
        result = student.TwoDeviceNet(one, other, list(names))(x.to(names[0]))
        result.backward(cotangent.to(result.device))
        found.append([parameter.grad for parameter in (*one.parameters(), *other.parameters())])
    return found


def test_gradients(submission, generator):
    first, second = parts(generator)
    x, cotangent = torch.randn(5, 3, generator=generator), torch.randn(5, 2, generator=generator)
    wanted = torch.autograd.grad(second(first(x)), [*first.parameters(), *second.parameters()], cotangent)
    for found in submission.machine(accelerators=2).run(trained, (first, second), x, cotangent, PLACES):
        for gradient, right in zip(found, wanted, strict=True):
            expect(gradient, "gradient of a parameter", "参数的梯度").close_to(right, terms=32)
