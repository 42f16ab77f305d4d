"""What graders of this assignment observe of autograd: facts from the submission process, judged by each grader."""

import sys
from itertools import islice

import torch
from torch.utils._python_dispatch import TorchDispatchMode

ENGINES = {"run_backward", "_enter_dual_level"}


def once(function):
    """Compute ``function(submission, generator)`` a single time: what several tests judge."""
    found = {}

    def remembered(submission, generator=None):
        if submission not in found:
            found[submission] = function(submission, generator)
        return found[submission]

    return remembered


def in_one_batch(submission, name, groups):
    """Call `name` with all cases of `groups` together; the pairs of a case and its attempt, by group."""
    attempts = iter(submission.calls(name, [case for cases in groups.values() for case in cases]))
    return {group: list(zip(cases, islice(attempts, len(cases)), strict=True)) for group, cases in groups.items()}


class DistortedBackward(TorchDispatchMode):
    """Doubles what each operation of a backward pass computes: whoever asks autograd gets other numbers."""

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # nothing is compiled here, and to make sure of that would import the compiler: a second

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        is_new = not any(returned.alias_info for returned in function._schema.returns)
        if torch._C._current_graph_task_id() == -1 or not is_new or not isinstance(result, torch.Tensor):
            return result
        return result * 2 if result.is_floating_point() else result


class EngineCalls:
    """Counts how often autograd's engine is asked for derivatives, backward or forward, from Python."""

    def __init__(self):
        self.count = 0
        self.forward = 0

    def __enter__(self):
        self._previous = sys.getprofile()
        sys.setprofile(self._note)
        return self

    def __exit__(self, *error):
        sys.setprofile(self._previous)

    def _note(self, frame, event, argument):
        if event == "c_call" and argument.__name__ in ENGINES:
            self.count += 1
            self.forward += argument.__name__ == "_enter_dual_level"


def plain_and_distorted(function, make_arguments):
    """Call `function` as it is and with distorted backward passes; the third is whether it went forward instead."""
    with EngineCalls() as engine:
        plain = function(*make_arguments())
    with DistortedBackward():
        distorted = function(*make_arguments())
    return plain, distorted, engine.forward > 0


class Cost(TorchDispatchMode):
    """Counts the operations that run, and notes how many elements the largest tensor has that they make."""

    def __init__(self):
        super().__init__()
        self.operations = self.largest = 0

    @classmethod
    def _should_skip_dynamo(cls):
        return False  # as above

    def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
        result = function(*arguments, **(keywords or {}))
        self.operations += 1
        for item in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(item, torch.Tensor):
                self.largest = max(self.largest, item.numel())
        return result
