"""Modules that torch imports when a feature is first used, and that take up to a second: which ones will be needed.

Trusted side. A process that has them before it is forked need not import them in each fork; one that does not need them
is ready sooner. A wrong guess costs time alone.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from .course import Course
from .errors import AuthorError
from .zygote import ACCELERATORS

_FEATURES = {
    "torch._dynamo": r"\b(optim|torch\.func|functorch|checkpoint|DistributedDataParallel|compile|TorchDispatchMode)\b",
    "torch.distributed.tensor": r"\bassert_close\b",
    "torch._decomp.decompositions_for_jvp": (
        r"\b(func\.(jvp|jacfwd|hessian)|from torch\.func import|jacfwd|forward_ad|forward-mode)\b"
    ),
}
"""The features that import a module, as they are named in code (found by trying, torch 2.13)."""


@dataclass(frozen=True)
class LateImports:
    """Modules to import beside the usual.

    Attributes:
        submissions: for all submissions; `ACCELERATORS` is among them where an exercise has accelerators.
        graders: for the trusted side.
        answers: what the course's own answers use, and so some submissions probably (see `needed_by`).
    """

    submissions: tuple[str, ...] = (*_FEATURES, ACCELERATORS)
    graders: tuple[str, ...] = ()
    answers: tuple[str, ...] = ()

    @classmethod
    def of(cls, course: Course, assignment: str | None) -> LateImports:
        """What an assignment asks for; without one, for all submissions whatever there is.

        Probes of graders run in submissions. What a submission itself uses is for its notebook to say (`needed_by`).
        """
        if assignment is None:
            return cls()
        try:
            exercises = course.load(assignment).exercises
        except AuthorError:  # whoever grades will be told
            return cls()
        files = [course.grader_file(assignment, exercise.name) for exercise in exercises]
        graders = [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
        asked = any(exercise.accelerators for exercise in exercises) or "machine(" in "".join(graders)
        modules = needed_by(graders)
        answers = [
            code
            for exercise in exercises
            for code in (
                exercise.solution,
                *exercise.accept.values(),
                *(wrong.code for wrong in exercise.reject.values()),
            )
        ]
        return cls(modules + (ACCELERATORS,) * asked, modules, needed_by(answers))


def needed_by(code: Iterable[str]) -> tuple[str, ...]:
    """The modules that cells or graders will import when they use what they name."""
    text = "\n".join(code)
    return tuple(module for module, features in _FEATURES.items() if re.search(features, text))
