"""What an author declares of mutants that are right: `tensorgrade verify` makes them, see `tensorgrade.verify.mutants`.

Trusted side. A part of the exercise's file.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import model_validator

from tensorgrade.model import EACH_ONCE, Model, said
from tensorgrade.validation import complaint

_MUTANT = "solution: return y.detach() -> return y"
EQUIVALENT = {"mutants": [_MUTANT], "reason": "y has no graph"}
"""An example of a declaration."""

_Mutant = Annotated[
    str, said("an answer, a statement of it and what it becomes", _MUTANT, pattern=r"^[a-z][a-z0-9_-]*: ")
]


class EquivalentMutants(Model):
    """Changes to right answers that leave them right, so that no test can notice; `tensorgrade verify` lists them.

    Single changes, as they are listed, or all changes of one kind to what is returned.
    """

    mutants: Annotated[
        tuple[_Mutant, ...], said("a list of mutants as `tensorgrade verify` lists them", [_MUTANT]), *EACH_ONCE
    ] = ()
    kind: Annotated[
        Literal["result-clone", "result-detach", "result-flipped"] | None,
        said("a kind of change to all that is returned", "result-clone"),
    ] = None
    reason: Annotated[str, said("why the answer is right as well", "y has no graph", pattern=r"\S")]

    @model_validator(mode="after")
    def _names_some(self) -> EquivalentMutants:
        if bool(self.mutants) == (self.kind is not None):
            found = "both" if self.mutants else "neither"
            raise complaint(f"found {found} of `mutants` and `kind`", "write one of them")
        return self
