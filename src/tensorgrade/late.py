"""Modules that torch imports when a feature is first used, and that take up to a second: which ones will be needed.

Trusted side. A process that has them before it is forked need not import them in each fork; one that does not need them
is ready sooner. A wrong guess costs time alone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .course import Course
from .errors import AuthorError
from .zygote import ACCELERATORS

_FEATURES = {
    "torch._dynamo": r"\b(optim|torch\.func|functorch|checkpoint|DistributedDataParallel|compile|TorchDispatchMode)\b",
    "torch.distributed.tensor": r"\b(assert_close|gradcheck)\b",
}
"""The features that import a module, as they are named in code (found by trying, torch 2.13)."""


@dataclass(frozen=True)
class LateImports:
    """Modules to import beside the usual: for submissions, and for the graders.

    The submissions' have `ACCELERATORS` among them where an exercise has accelerators.
    """

    submissions: tuple[str, ...] = (*_FEATURES, ACCELERATORS)
    graders: tuple[str, ...] = ()

    @classmethod
    def of(cls, course: Course, assignment: str | None) -> LateImports:
        """What the answers to an assignment and its graders use; without an assignment, whatever may be used."""
        if assignment is None:
            return cls()
        try:
            exercises = course.load(assignment).exercises
        except AuthorError:  # whoever grades will be told
            return cls()
        answers, graders = [], []
        for exercise in exercises:
            # not the examples: they stand in the cells where exercises are judged, which are not run
            wrong = (answer.code for answer in exercise.reject.values())
            answers += [exercise.starter, exercise.solution, *exercise.accept.values(), *wrong]
            grader = course.grader_file(assignment, exercise.name)
            graders += [grader.read_text(encoding="utf-8", errors="replace")] if grader.is_file() else []
        # probes of graders run beside the answers
        asked = any(exercise.accelerators for exercise in exercises) or "machine(" in "".join(graders)
        return cls(_modules([*answers, *graders]) + (ACCELERATORS,) * asked, _modules(graders))


def _modules(code: list[str]) -> tuple[str, ...]:
    return tuple(module for module, features in _FEATURES.items() if re.search(features, "\n".join(code)))
