"""devices/find-mismatch: the sorted names of parameters and buffers that are on another device."""

import torch
from torch import nn

from tensorgrade import expect


class Tower(nn.Module):
    """A model of many names: parameters and buffers of its own (one not saved, one empty), and more than ten layers."""

    def __init__(self):
        super().__init__()
        self.zeta = nn.Parameter(torch.ones(1))
        self.Beta = nn.Parameter(torch.ones(1), requires_grad=False)
        self.layers = nn.ModuleList([nn.Linear(1, 1, bias=False) for _ in range(11)])
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("alpha", torch.zeros(2))
        self.register_buffer("hidden", torch.zeros(1), persistent=False)
        self.register_buffer("empty", torch.zeros(0))
        self.register_buffer("absent", None)


def build(places):
    """A tower on the CPU but for the tensors in `places`, each put on its own device."""
    model = Tower()
    model.zeta.grad = torch.ones(1)
    for name, device in places.items():
        tensor = dict(model.named_parameters()).get(name)
        if tensor is None:
            owner, _, own = name.rpartition(".")
            buffers = model.get_submodule(owner)._buffers
            buffers[own] = buffers[own].to(device)
        else:
            grad, tensor.grad = tensor.grad, None
            tensor.data = tensor.data.to(device)
            tensor.grad = None if grad is None else grad.to(device)
    return model


def ask(student, cases):
    """For each case the answer, and what is to be seen of the model before and afterwards."""
    found = []
    for places, device in cases:
        model = build(places)
        before = facts(model)
        found.append((student.misplaced(model, device), before, facts(model)))
    return found


def ask_for_cuda(student, cases):
    """The answers for a model with one parameter on a GPU, while that or another GPU is the current one."""
    found = []
    for device, current, place in cases:
        torch.cuda.set_device(current)
        found.append(student.misplaced(nn.Linear(1, 1, bias=False).to(place), device))
    return found


def facts(model):
    tensors = [*model.named_parameters(), *model.named_buffers()]
    told = [
        f"{name} {tensor.device} {tensor.tolist()} {tensor.requires_grad} {tensor.grad}" for name, tensor in tensors
    ]
    return told + [f"{name} {module.training}" for name, module in model.named_modules()]


ALL = sorted([name for name, _ in [*Tower().named_parameters(), *Tower().named_buffers()]])
EVERYTHING = dict.fromkeys(ALL, "cuda:0")
SOME = {
    **{"layers.10.weight": "cuda:0", "layers.2.weight": "cuda:0", "norm.running_mean": "cuda:1", "hidden": "cuda:0"},
    **{"Beta": "cuda:1", "alpha": "cuda:1", "empty": "cuda:0"},
}
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
UNCHANGED = {0: CASES[0][:1], 2: CASES[2][1:2]}


def answers(submission, probe, table):
    for accelerators, cases in table.items():
        yield from zip(cases, submission.machine(accelerators=accelerators).run(probe, cases), strict=True)


def test_names(submission):
    for (places, device), (names, _, _) in answers(submission, ask, CASES):
        expect(names).equals(sorted(name for name in ALL if places.get(name, "cpu") != str(device)))
    expect(submission.call("misplaced", nn.Sequential(nn.ReLU()), "cpu")).equals([])


def test_current_device(submission):
    for (_, current, place), names in answers(submission, ask_for_cuda, CURRENT):
        expect(names).equals([] if place == f"cuda:{current}" else ["weight"])


def test_unchanged(submission):
    for _, (names, before, after) in answers(submission, ask, UNCHANGED):
        expect(names).has_type(list)
        expect(after, "model afterwards", "之后的模型").equals(before)
