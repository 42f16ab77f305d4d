"""devices/find-mismatch: the sorted names of parameters and buffers that are on another device."""

import torch
from torch import nn

from tensorgrade import expect


class Tower(nn.Module):
    """A model of many names: parameters and buffers of its own (one not saved), and more than ten layers."""

    def __init__(self):
        super().__init__()
        self.zeta = nn.Parameter(torch.ones(1))
        self.layers = nn.ModuleList([nn.Linear(1, 1) for _ in range(11)])
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("alpha", torch.zeros(2))
        self.register_buffer("hidden", torch.zeros(1), persistent=False)
        self.register_buffer("absent", None)


def build(places):
    """A tower on the CPU but for the tensors in `places`, each put on its own device."""
    model = Tower()
    for name, device in places.items():
        owner, _, own = name.rpartition(".")
        module = model.get_submodule(owner)
        table = module._parameters if own in module._parameters else module._buffers
        moved = table[own].detach().to(device)
        table[own] = nn.Parameter(moved) if table is module._parameters else moved
    return model


def ask(student, places, device):
    """The answer for such a model, and what is to be seen of it before and afterwards."""
    model = build(places)
    before = facts(model)
    names = student.misplaced(model, device)
    return names, before, facts(model)


def ask_for_cuda(student, device, current, place):
    """The answer for a model with one parameter on the GPU `place`, while the GPU `current` is the current one."""
    torch.cuda.set_device(current)
    return student.misplaced(nn.Linear(1, 1, bias=False).to(place), device)


def facts(model):
    tensors = [*model.named_parameters(), *model.named_buffers()]
    return [f"{name} {tensor.device} {tensor.sum().item()} {tensor.requires_grad}" for name, tensor in tensors] + [
        f"{name} {module.training}" for name, module in model.named_modules()
    ]


ALL = sorted([name for name, _ in [*Tower().named_parameters(), *Tower().named_buffers()]])
EVERYTHING = dict.fromkeys(ALL, "cuda:0")
SOME = {"layers.10.weight": "cuda:0", "layers.2.bias": "cuda:0", "norm.running_mean": "cuda:1", "hidden": "cuda:0"}
CASES = {
    0: [({}, "cpu"), ({}, torch.device("cpu"))],
    1: [({}, "cuda:0"), (EVERYTHING, "cuda:0"), (EVERYTHING, "cpu")],
    2: [
        (SOME, "cpu"),
        (SOME, "cuda:0"),
        (SOME, torch.device("cuda:1")),
        (EVERYTHING | {"alpha": "cuda:1", "zeta": "cpu"}, "cuda:0"),
    ],
}
CURRENT = {
    1: [("cuda", 0, "cuda:0"), (torch.device("cuda"), 0, "cuda:0"), ("cuda", 0, "cpu")],
    2: [
        (device, current, place)
        for device in ("cuda", torch.device("cuda"))
        for current in (0, 1)
        for place in ("cuda:0", "cuda:1")
    ],
}


def answers(submission, probe, table):
    for accelerators, cases in table.items():
        machine = submission.machine(accelerators=accelerators)
        for case in cases:
            yield case, machine.run(probe, *case)


def test_names(submission):
    for (places, device), (names, _, _) in answers(submission, ask, CASES):
        expect(names).equals(sorted(name for name in ALL if places.get(name, "cpu") != str(device)))


def test_current_device(submission):
    for (_, current, place), names in answers(submission, ask_for_cuda, CURRENT):
        expect(names).equals([] if place == f"cuda:{current}" else ["weight"])


def test_unchanged(submission):
    for _, (names, before, after) in answers(submission, ask, CASES):
        expect(names).has_type(list)
        expect(after, "model afterwards", "之后的模型").equals(before)
