"""devices/pick: the device of this machine, and nested batches moved to a device."""

from collections import OrderedDict, namedtuple

import torch
from torch import nn

from tensorgrade import expect

Pair = namedtuple("Pair", ["image", "label"])
VALUES = [3, 2.5, "text", None, True, b"bytes"]


class Batch(dict):
    """A dict of its own kind."""


class Movable:
    """Not a tensor, although it has a method `to`."""

    def to(self, device):
        """Something else than a tensor does."""
        return "moved"


def batches():
    """Nested batches, from plain to deep."""
    x, y = torch.arange(6.0).reshape(2, 3), torch.tensor([1, 0])
    return [
        x,
        [x, y],
        (x, [y, {"mask": torch.tensor(True)}]),
        {"image": x.double(), "meta": {"ids": y, "names": ["a", "b"], "none": None, 3: {1, 2}}},
        Pair(x, Pair([y], torch.zeros(0))),
        Batch(pair=Pair(x, y), rest=OrderedDict(b=x[0], a=(y,))),
        [{"deep": [({"tensor": torch.tensor(1.5)},)]}, x.t(), nn.Parameter(x), torch.ones(2, requires_grad=True)],
        [*VALUES, x],
        [],
        {},
        (),
    ]


def cases(student, devices):
    """What became of each batch: the batch before, its facts, and the copy with its facts."""
    facts = []
    for device in devices:
        for batch in batches():
            before = outline(batch)
            copy = student.to_device(batch, device)
            shared = len({id(item) for item in mutable(copy)} & {id(item) for item in mutable(batch)})
            facts.append((tensors(copy), outline(copy), before, outline(batch), shared, devices_in(batch)))
    return facts


def parts(batch):
    if isinstance(batch, dict):
        return list(batch.values())
    return list(batch) if isinstance(batch, (list, tuple)) else []


def tensors(batch):
    """All tensors, in order."""
    if isinstance(batch, torch.Tensor):
        return [batch]
    return [tensor for part in parts(batch) for tensor in tensors(part)]


def devices_in(batch):
    return [str(tensor.device) for tensor in tensors(batch)]


def mutable(batch):
    """All lists and dicts."""
    own = [batch] if isinstance(batch, (list, dict)) else []
    return own + [item for part in parts(batch) for item in mutable(part)]


def outline(batch):
    """The types, keys and plain values of a batch, as text; tensors by their kind alone."""
    if isinstance(batch, torch.Tensor):
        return "tensor"
    inside = [outline(part) for part in parts(batch)]
    if isinstance(batch, (dict, list, tuple)):
        keys = list(batch) if isinstance(batch, dict) else []
        return f"{type(batch).__name__}{keys}{inside}"
    return f"{type(batch).__name__} {batch!r}"


PLACES = {0: ["cpu", torch.device("cpu")], 1: ["cuda", "cuda:0", "cpu"], 2: ["cuda:1", torch.device("cuda:0")]}
FEW = {0: ["cpu"], 2: ["cuda:1"]}


def facts(submission, places):
    """For each device of each machine and each batch what `cases` says, and the device that tensors should be on."""
    for accelerators, devices in places.items():
        found = submission.machine(accelerators=accelerators).run(cases, devices)
        names = [str(device) for device in devices for _ in batches()]
        yield from zip(names, (batch for _ in devices for batch in batches()), found, strict=True)


def test_picks(submission):
    for accelerators in (0, 1, 2, 4):
        device = submission.machine(accelerators=accelerators).call("pick_device")
        expect(device, "device", "设备").equals(torch.device("cuda" if accelerators else "cpu"))


def test_moves(submission):
    for place, batch, found in facts(submission, PLACES):
        moved = found[0]
        expected = tensors(batch)
        expect(len(moved), "number of tensors", "张量个数").equals(len(expected))
        for tensor, wanted in zip(moved, expected, strict=True):
            check = expect(tensor, "tensor in the batch", "批次中的张量").equals(wanted).has_dtype(wanted.dtype)
            check.on_device("cuda:0" if place == "cuda" else place)


def movable(student, device):
    """What becomes of a value that is no tensor but has a method `to`."""
    value = Movable()
    return student.to_device({"value": value}, device)["value"] is value


def test_containers(submission):
    for _, _, (_, after, before, *_) in facts(submission, FEW):
        expect(after, "structure of the copy", "副本的结构").equals(before)
    expect(submission.run(movable, "cpu"), "value that is no tensor", "非张量的值").equals(True)


def test_copies(submission):
    for _, batch, (_, after, before, now, shared, devices) in facts(submission, FEW):
        expect(after != "NoneType None", "copy", "副本").equals(True)
        expect(now, "structure of the batch", "原批次的结构").equals(before)
        expect(shared, "number of lists and dicts shared", "共享的列表和字典个数").equals(0)
        expect(devices, "devices of the batch", "原批次的设备").equals(["cpu"] * len(tensors(batch)))
