"""devices/create-in-place: a causal mask that is made on its device."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from tensorgrade import expect

SIZES = [0, 1, 2, 3, 8, 33]
PLACES = {1: ["cuda", "cuda:0", torch.device("cuda")], 2: ["cuda:1", torch.device("cuda", 1), "cuda:0", "cpu"]}


def mask(n):
    return torch.arange(n) <= torch.arange(n)[:, None]


class Devices(TorchDispatchMode):
    """Notes the operations with tensors on different devices; numbers (0-d) may be, unless they are copied."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        """Note one operation."""
        result = function(*arguments, **(keywords or {}))
        tensors = [item for item in tree_leaves((arguments, keywords, result)) if isinstance(item, torch.Tensor)]
        copies = "copy" in str(function)
        places = sorted({str(tensor.device) for tensor in tensors if copies or tensor.dim() > 0})
        if len(places) > 1:
            self.seen.append(places)
        return result


def watched(student, n, device):
    """The mask, and the operations between devices that made it."""
    with Devices() as devices:
        made = student.causal_mask(n, device)
    return made, devices.seen


def test_values(submission):
    machine = submission.machine(accelerators=0)
    for n, attempt in zip(SIZES, machine.calls("causal_mask", [(n, "cpu") for n in SIZES]), strict=True):
        expect(attempt).equals(mask(n)).has_dtype(torch.bool)


def test_device(submission):
    expect(submission.call("causal_mask", 3, torch.device("cpu"))).on_device("cpu")
    for accelerators, devices in PLACES.items():
        cases = [(n, device) for n in (0, 4) for device in devices]
        for (_, device), attempt in zip(
            cases, submission.machine(accelerators=accelerators).calls("causal_mask", cases), strict=True
        ):
            expect(attempt).on_device("cuda:0" if str(device) == "cuda" else device)


def test_in_place(submission):
    for accelerators, devices in PLACES.items():
        machine = submission.machine(accelerators=accelerators)
        for device in devices:
            made, between = machine.run(watched, 5, device)
            expect(made).on_device("cuda:0" if str(device) == "cuda" else device)
            expect(between, "list of copies between devices", "设备间复制的列表").equals([])


def test_vectorised(submission):
    sizes = [(5, "cpu"), (16, "cpu"), (160, "cpu")]
    expect(submission.vectorised("causal_mask", *sizes)).equals(mask(160)).has_dtype(torch.bool)
