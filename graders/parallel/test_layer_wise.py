"""parallel/layer-wise: a linear layer whose output features are split over devices."""

import functools

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tensorgrade import expect

CASES = [
    # accelerators, devices, (in, out), shape of the batch, bias, device of the batch
    (2, ["cuda:0", "cuda:1"], (3, 4), (5,), True, "cpu"),
    (2, [torch.device("cuda:1"), torch.device("cuda:0")], (4, 5), (2, 3), True, "cuda:0"),
    (4, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"], (2, 10), (3,), False, "cuda:0"),
    (4, ["cuda:3", "cuda:0", "cuda:2"], (3, 8), (1,), True, "cuda:1"),
    (1, ["cuda:0"], (3, 2), (4,), True, "cpu"),
    (0, ["cpu"], (3, 3), (), True, "cpu"),
    # fewer features than devices, and a batch without rows
    (4, ["cuda:0", "cuda:1", "cuda:2", "cuda:3"], (4, 2), (3,), True, "cpu"),
    (2, ["cuda:0", "cuda:1"], (3, 4), (0,), True, "cuda:1"),
]
WHOLE = 6
"""The number of cases in which each device has something to do."""


def layer(case):
    _, _, sizes, _, bias, _ = case
    torch.default_generator.manual_seed(sum(sizes))
    return nn.Linear(*sizes, bias=bias, dtype=dtype_of(case))


def dtype_of(case):
    return torch.float32 if case[2][0] == 3 else torch.float64


def batch(case):
    generator = torch.Generator().manual_seed(17)
    return torch.randn(*case[3], case[2][0], generator=generator, dtype=dtype_of(case))


def seed_gradient(case):
    generator = torch.Generator().manual_seed(19)
    return torch.randn(*case[3], case[2][1], generator=generator, dtype=dtype_of(case))


class Work(TorchDispatchMode):
    """Notes on which devices a number of the layer's weights takes part in an operation that computes."""

    def __init__(self, inputs):
        super().__init__()
        self.inputs = inputs
        self.places = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        """Note one operation that contracts the input features."""
        result = function(*arguments, **(keywords or {}))
        given = [item for item in tree_leaves((arguments, keywords)) if isinstance(item, torch.Tensor)]
        made = [item for item in tree_leaves(result) if isinstance(item, torch.Tensor)]
        contracts = sum(self.inputs in tensor.shape for tensor in given) >= 2
        if contracts and made and made[0].numel() and made[0].is_floating_point():
            self.places.append(str(made[0].device))
        return result


def use(student, linear, x, devices, seed):
    """Build the layer, use it forwards and backwards; everything that can be seen of it."""
    module = student.SplitLinear(linear, devices)
    parameters = list(module.parameters())
    shared = {tensor.untyped_storage().data_ptr() for tensor in linear.parameters() if tensor.numel()}
    sharing = sum(parameter.untyped_storage().data_ptr() in shared for parameter in parameters if parameter.numel())
    x = x.requires_grad_()
    with Work(linear.in_features) as work:
        result = module(x)
    result.backward(seed.to(result.device))
    return {
        "result": result,
        "x": x.grad,
        "parameters": [(parameter.detach(), parameter.grad) for parameter in parameters],
        "trainable": all(parameter.requires_grad for parameter in parameters),
        "sharing": sharing,
        "places": sorted(set(work.places)),
        "linear": [(tensor.detach(), tensor.grad is None) for tensor in linear.parameters()],
        "is_module": isinstance(module, torch.nn.Module),
    }


def use_from(student, linear, x, devices, place_and_seed):
    """The same with the batch on a device."""
    place, seed = place_and_seed
    return use(student, linear, x.to(place), devices, seed)


@functools.cache
def answer(submission, number):
    """What came of a case."""
    case = CASES[number]
    accelerators, devices, *_, place = case
    machine = submission.machine(accelerators=accelerators)
    return machine.run(use_from, layer(case), batch(case), devices, (place, seed_gradient(case)))


def answers(submission, count=WHOLE):
    """The first cases with what came of them."""
    for number, case in enumerate(CASES[:count]):
        yield case, answer(submission, number)


def reference(case):
    """Result and gradients of the layer itself."""
    linear, x = layer(case), batch(case).requires_grad_()
    result = linear(x)
    result.backward(seed_gradient(case))
    return linear, result.detach(), x.grad


def test_result(submission):
    for case, seen in answers(submission, len(CASES)):
        wanted = reference(case)[1]
        expect(seen["result"]).has_dtype(wanted.dtype).close_to(wanted, terms=4).on_device(case[1][0])


def parts(seen, dimensions, devices):
    """The registered parameters with so many dimensions, with their gradients, in the order of the devices."""
    order = [str(device) for device in devices]
    chosen = [pair for pair in seen["parameters"] if len(pair[0].shape) == dimensions and pair[0].device in order]
    return sorted(chosen, key=lambda pair: order.index(pair[0].device))


def joined(observed, dtype):
    """The values of observed tensors one below the other, or nothing where one is missing."""
    values = [getattr(tensor, "values", None) for tensor in observed]
    complete = values and all(value is not None and value.shape[1:] == values[0].shape[1:] for value in values)
    return torch.cat([value.to(dtype) for value in values]) if complete else torch.zeros(0, dtype=dtype)


def test_gradients(submission):
    for case, seen in answers(submission, len(CASES)):
        linear, _, x_grad = reference(case)
        expect(seen["x"], "gradient of the input", "输入的梯度").close_to(x_grad, terms=10)
        for tensor in linear.parameters():
            found = joined([grad for _, grad in parts(seen, tensor.dim(), case[1])], tensor.dtype)
            same = found.numel() == tensor.numel() and torch.allclose(
                found.reshape(tensor.shape), tensor.grad, atol=1e-5
            )
            expect(same, "gradient of the parameters", "参数的梯度").equals(True)


def test_split(submission):
    for case, seen in answers(submission):
        _, devices, (_, out), _, bias, _ = case
        expect(seen["is_module"] and seen["trainable"], "registration of parameters", "参数的注册").equals(True)
        for dimensions in (2, 1) if bias else (2,):
            found = [tensor.shape[0] for tensor, _ in parts(seen, dimensions, devices)]
            places = [tensor.device for tensor, _ in parts(seen, dimensions, devices)]
            even = len(found) == len(devices) and sum(found) == out and max(found) - min(found) <= 1
            expect(even and places == [str(device) for device in devices], "split", "划分").equals(True)
        weights = joined([tensor for tensor, _ in parts(seen, 2, devices)], dtype_of(case))
        expect(torch.equal(weights, layer(case).weight.detach()), "order of the parts", "各部分的顺序").equals(True)
        count = len(parts(seen, 2, devices)) + len(parts(seen, 1, devices))
        expect(count == len(seen["parameters"]), "parameters besides the parts", "多余的参数").equals(True)
        expect(seen["places"], "list of devices at work", "工作设备的列表").equals(sorted(map(str, devices)))


def test_copy(submission):
    for case, seen in answers(submission):
        expect(seen["sharing"], "number of parameters shared", "共享的参数个数").equals(0)
        for (tensor, without_grad), wanted in zip(seen["linear"], layer(case).parameters(), strict=True):
            expect(tensor, "parameter of linear", "linear 的参数").equals(wanted.detach()).on_device("cpu")
            expect(without_grad, "gradient left on linear", "linear 上留下的梯度").equals(True)
