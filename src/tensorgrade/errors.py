"""Every error this package raises on purpose, in one tree.

    TensorgradeError
    ├── AuthorError              an author has something to mend: a YAML file, a grader, the course
    │   ├── ExerciseFileError    all the problems of one YAML file, each with line, key and remedy
    │   ├── CourseError          files that do not fit together (a clause without a grader, ...)
    │   └── GraderError          a hidden grader that cannot be run or used the framework wrongly
    ├── HandoutError             a student's notebook that exercises cannot be read from
    ├── GradebookError           nbgrader refused, or the gradebook lacks what was asked for
    ├── EngineError              the machinery failed: no zygote, no worker; never a student's fault
    │   └── ConfinementError     this machine cannot confine submissions as strongly as was asked for
    └── SubmissionFailure        something a submission did; becomes a student's feedback
        ├── ProtocolError        bytes from the untrusted side that are not a valid message
        ├── LimitExceeded        it used more of something than it may
        ├── TimeLimitExceeded    a cell or call ran longer than its limit
        └── ProcessEnded         the submission process is gone

The command line prints a ``TensorgradeError`` as its message alone; anything else is a bug and shows a traceback.
Wrong answers are not in this tree: they are `tensorgrade.findings.Mismatch`, an ``AssertionError``.
"""

from __future__ import annotations

TOO_LARGE = "AnswerTooLarge"
"""The type of error by which a submission process says that its answer does not fit into a frame."""


class TensorgradeError(Exception):
    """The root: an error with a message meant for the person who reads it."""


class AuthorError(TensorgradeError):
    """An author has something to mend."""


class ExerciseFileError(AuthorError):
    """All the problems of one YAML file."""


class CourseError(AuthorError):
    """Files of a course that do not fit together."""


class GraderError(AuthorError):
    """A hidden grader that cannot be run, or that used the framework wrongly."""


class HandoutError(TensorgradeError):
    """A student's notebook that exercises cannot be read from."""


class GradebookError(TensorgradeError):
    """Nbgrader refused, or the gradebook lacks what was asked for."""


class EngineError(TensorgradeError):
    """The machinery failed: no zygote, no worker. Never a student's fault."""


class ConfinementError(EngineError):
    """This machine cannot confine submissions as strongly as was asked for."""

    def __init__(self, tier: str, reason: str) -> None:
        super().__init__(tier, reason)  # as they came, so that the error can be pickled
        self.tier = tier
        self.reason = reason

    def __str__(self) -> str:
        return f"tier {self.tier} of the confinement is not possible here: {self.reason}"


class SubmissionFailure(TensorgradeError):
    """Something a submission did that ends its current request."""


class ProtocolError(SubmissionFailure):
    """Bytes from the untrusted side that are not a valid message."""


class LimitExceeded(SubmissionFailure):
    """A submission used more of something than it may.

    Attributes:
        limit: the key of the limit in an exercise's ``limits``.
    """

    def __init__(self, limit: str) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"it used more than its limit of {self.limit}"


class TimeLimitExceeded(SubmissionFailure):
    """A cell or a call ran longer than its limit allows."""


class ProcessEnded(SubmissionFailure):
    """The submission process is gone: a crash, an exit, or a limit of the system."""
