"""What is really the case, told where an answer shows a misconception that is common in notes on this material."""

from collections.abc import Sequence
from typing import NoReturn

from tensorgrade import Misconception
from tensorgrade.submission import Attempt


def explain(english: str, chinese: str, about: Attempt | None = None) -> NoReturn:
    """Fail the clause with this sentence, which tells nothing of an input."""
    raise Misconception(english, chinese, about)


def explain_view_of_clone(attempts: Sequence[Attempt]) -> None:
    """Fail the clause where `view` was asked for what it cannot give."""
    for attempt in attempts:
        if attempt.error and "view size is not compatible" in attempt.error.text:
            explain(
                "`view` never copies: it raises an error where no strides fit. `clone()` before it does not help, since"
                " a clone keeps the strides of, for example, a transposed matrix. `reshape` copies where it must.",
                "`view` 从不复制：没有合适的步长时会报错。先 `clone()` 也没有用，因为副本会保留（例如）转置矩阵的步长。"
                "`reshape` 则在不得已时复制。",
                about=attempt,
            )
