"""broadcast/predict-shape: the shape that two shapes broadcast to, worked out without torch."""

import sys
from itertools import product, zip_longest

import torch
from torch.overrides import TorchFunctionMode

from tensorgrade import expect
from tensorgrade.observation import ObservedObject

ORDINARY = [
    ((), ()),
    ((), (3,)),
    ((2, 5), ()),
    ((1,), (7,)),
    ((4, 1), (1, 6)),
    ((5, 1, 3), (4, 3)),
    ((8, 1, 6, 1), (7, 1, 5)),
    ((1, 1, 1), (2,)),
    ((3,), (2, 1, 3)),
    ((1, 2), (5, 4, 3, 2)),
    ((1000, 1), (1, 1000)),
    ((1, 1), (1,)),
    ((2, 3, 4), (2, 3, 4)),
    ((4, 1, 1, 1, 9, 1, 2), (6, 1, 1, 7, 1)),
    ((1, 2, 3, 4, 5, 6, 7, 8, 9, 10), (1, 1, 1, 1)),
]
EMPTY = [((0,), (1,)), ((1,), (0,)), ((0,), (0,)), ((0,), ()), ((), (2, 0)), ((3, 1), (0,)), ((0, 1), (1, 4))]
EMPTY += [((2, 1, 0), (5, 1)), ((1, 0), (6, 1, 1)), ((0, 5), (4, 1, 5))]
PLAIN = [((3, 1), (1, 4)), ((4, 1), (1, 1))]
WRONG = [((2,), (3,)), ((4,), (2,)), ((3,), (3, 1, 2)), ((2, 1), (8, 4, 3)), ((2, 3), (3, 2)), ((5, 4), (5,))]
WRONG += [((0,), (2,)), ((3,), (0,)), ((2, 0), (1, 3)), ((2, 3), (2, 4)), ((6, 1, 2), (3, 1, 2)), ((1, 2), (3,))]
WRONG += [((2, 3, 4), (3,)), ((7, 2), (1, 7, 3))]
SMALL = [sizes for length in range(4) for sizes in product((1, 2, 3), repeat=length)]


def some_pairs(generator):
    """Pairs of small shapes, which broadcast as often as not."""
    places = torch.randint(0, len(SMALL), (60, 2), generator=generator).tolist()
    return [(SMALL[i], SMALL[j]) for i, j in places]


def broadcast(a, b):
    """The shape, or None where there is none."""
    columns = list(zip_longest(reversed(a), reversed(b), fillvalue=1))
    if any(x != y and 1 not in (x, y) for x, y in columns):
        return None
    return tuple(y if x == 1 else x for x, y in reversed(columns))


def judge(submission, cases):
    for (a, b), attempt in zip(cases, submission.calls("broadcast_shape", cases), strict=True):
        if (expected := broadcast(a, b)) is None:
            expect(attempt).raises(ValueError)
        else:
            expect(sizes(attempt.returned())).equals(expected)


def sizes(value):
    """The result, that of a subclass of tuple as a tuple."""
    return value.items if isinstance(value, ObservedObject) and isinstance(value.items, tuple) else value


def test_shape(submission, generator):
    judge(submission, [case for case in [*ORDINARY, *some_pairs(generator)] if broadcast(*case) is not None])


def test_empty(submission):
    judge(submission, EMPTY)


def test_error(submission, generator):
    judge(submission, [*WRONG, *(case for case in some_pairs(generator) if broadcast(*case) is None)])


class Recorder(TorchFunctionMode):
    """Notes the names of torch's functions that run, those in Python and those in C."""

    def __init__(self):
        super().__init__()
        self.names = set()

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.names.add(str(getattr(function, "__name__", function)))
        return function(*args, **(kwargs or {}))

    def note(self, frame, event, function):
        """Note a call that Python tells of, if the function is one of torch's."""
        if event == "call":
            place, name = frame.f_globals.get("__name__"), frame.f_code.co_name
        elif event == "c_call":
            owner = getattr(function, "__self__", None)
            kind = owner if isinstance(owner, type) else type(owner)
            place, name = getattr(function, "__module__", None) or kind.__module__, function.__name__
        else:
            return
        if str(place).split(".")[0] == "torch":
            self.names.add(name)


def observed_calls(student, cases):
    """For each case what it gives, None where it raises, and which functions of torch ran."""
    found = []
    for a, b in cases:
        function, recorder = student.broadcast_shape, Recorder()
        with recorder:
            sys.setprofile(recorder.note)
            try:
                value = function(a, b)
            except Exception:  # noqa: BLE001 - which one is the matter of another clause
                value = None
            finally:
                sys.setprofile(None)
        found.append((value, sorted(recorder.names)))
    return found


def test_no_torch(submission):
    found = submission.run(observed_calls, [*PLAIN, *EMPTY, *WRONG[:8], *ORDINARY[-4:]])
    for _, names in found:
        expect(names, "list of functions of torch that ran", "所运行的 torch 函数的列表").equals([])
    for (a, b), (value, _) in zip(PLAIN, found, strict=False):
        by_torch = isinstance(value, ObservedObject) and value.type_name.startswith("torch")
        expect(value if by_torch else sizes(value)).has_type(tuple).equals(broadcast(a, b))
