"""Modules that torch imports when a feature is first used, and that take a second: which ones submissions will need.

Trusted side. A zygote that has them need not import them in each fork; one that does not need them is ready sooner.
A wrong guess costs time alone.
"""

from __future__ import annotations

import re

from .exercise import Assignment

_COMPILER = "torch._dynamo"
_DISTRIBUTED_TENSORS = "torch.distributed.tensor"
_FEATURES = {
    _COMPILER: r"\b(optim|torch\.func|functorch|checkpoint|DistributedDataParallel|compile)\b",
    _DISTRIBUTED_TENSORS: r"\b(assert_close|gradcheck|autograd\.functional|is_grads_batched)\b",
}
"""The features that import a module, as they are named in code (found by trying, torch 2.13)."""


def late_imports(assignment: Assignment | None) -> tuple[str, ...]:
    """The modules that answers to an assignment will make torch import; of no assignment, all that may be needed."""
    if assignment is None:
        return tuple(_FEATURES)
    code = [assignment.settings.setup]
    for exercise in assignment.exercises:
        # not the examples: they stand in the cells where exercises are judged, which are not run
        wrong = (answer.code for answer in exercise.reject.values())
        code += [exercise.starter, exercise.solution, *exercise.accept.values(), *wrong]
    return tuple(module for module, features in _FEATURES.items() if re.search(features, "\n".join(code)))
