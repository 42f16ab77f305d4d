"""create/ranks: zero tensors from a scalar to videos, batch first and channels before height and width."""

import torch

from tensorgrade import expect
from tensorgrade.observation import ObservedObject, ObservedTensor

from .memory import filled_with_noise

COUNTS = [0, 1, 2, 4, 9]


def shapes(n):
    return {
        "scalar": (),
        "vector": (n,),
        "matrix": (n, n + 1),
        "series": (n, 7, 3),
        "images": (n, 3, 8, 10),
        "videos": (n, 5, 3, 8, 10),
    }


def table(value):
    """The content of a dictionary, of whatever class."""
    items = value.items if isinstance(value, ObservedObject) else value
    expect(items).has_type(dict)
    return items


def tables(submission):
    return [table(attempt.returned()) for attempt in submission.calls("ranks", [(n,) for n in COUNTS])]


def judge_shapes(submission, names):
    for n, items in zip(COUNTS, tables(submission), strict=True):
        for name in names:
            expect(items.get(name), f"value of {name}", f"{name} 的值").has_shape(*shapes(n)[name])


def test_keys(submission):
    for items in tables(submission):
        expect(sorted(map(str, items)), "list of keys", "键的列表").equals(sorted(shapes(0)))


def test_shapes(submission):
    judge_shapes(submission, ["scalar", "vector", "matrix"])


def test_layout(submission):
    judge_shapes(submission, ["series", "images", "videos"])


def tensors(items):
    """The tensors of a table; fails when something else is among its values, or nothing."""
    expect(len(items) > 0, "dictionary", "字典").equals(True)
    for item in items.values():
        expect(item, "value of a key", "某个键的值").is_tensor()
    return [item for item in items.values() if isinstance(item, ObservedTensor)]


def in_noisy_memory(student, counts):
    with filled_with_noise():
        return [student.ranks(n) for n in counts]


def test_zeros(submission):
    for result in submission.run(in_noisy_memory, COUNTS):
        for tensor in tensors(table(result)):
            expect(tensor, "value of a key", "某个键的值").equals(torch.zeros(tensor.shape))


def test_dtype(submission):
    for items in tables(submission):
        for tensor in tensors(items):
            expect(tensor, "value of a key", "某个键的值").has_dtype(torch.float32)
