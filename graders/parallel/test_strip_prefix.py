"""parallel/strip-prefix: one leading "module." removed, the tensors themselves kept, the argument unchanged."""

from collections import OrderedDict

import torch

from tensorgrade import expect
from tensorgrade.observation import ObservedObject

KEYS = [
    ["module.weight", "module.bias"],
    ["module.weight", "bias", "module.module.scale"],
    ["z.weight", "module.b", "module.a", "a.module.c"],
    ["modules.weight", "module", "module_.x", "xmodule.y", "module.odule.m", "module.module.module.deep"],
    ["0.weight", "Module.bias", "MODULE.scale"],
    [],
]
TENSORS = [torch.ones(2, 3), torch.arange(4), torch.tensor(1.5), torch.zeros(0), torch.ones(3, 2).t(), torch.ones(1)]


def attempts(submission):
    states = [kind(zip(keys, TENSORS, strict=False)) for keys in KEYS for kind in (OrderedDict, dict)]
    return submission.calls("strip_module_prefix", [(state,) for state in states])


def content(observed):
    """The observation of a dict, or of a subclass of it, as a dict of observations."""
    content = observed.items if isinstance(observed, ObservedObject) else observed
    expect(content).has_type(dict)
    return content


def test_keys(submission):
    for keys, attempt in zip((keys for keys in KEYS for _ in range(2)), attempts(submission), strict=True):
        names = list(content(attempt.returned()))
        expect(names, "list of keys", "键的列表").equals([key.removeprefix("module.") for key in keys])


def strip_each(student, states):
    """The tensors of each state dict as they were, and what became of it."""
    return [(list(state.values()), student.strip_module_prefix(state)) for state in states]


def test_tensors(submission):
    states = [dict(zip(keys, TENSORS, strict=False)) for keys in KEYS]
    for given, state in submission.run(strip_each, states):
        memory = {tensor.storage for tensor in given}
        for tensor in content(state).values():
            expect(tensor, "tensor under a new key", "新键下的张量").is_tensor()
            expect(tensor.storage in memory, "memory of a tensor shared", "张量共享内存").equals(True)


def test_unchanged(submission):
    for attempt in attempts(submission):
        expect(attempt).leaves_arguments()
        content(attempt.value)
