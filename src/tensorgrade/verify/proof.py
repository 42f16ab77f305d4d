"""What was found out about exercises, as values: for the report, and for the store.

Trusted side.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from .flakes import Margin
from .mutants import MutantResult


@dataclass(frozen=True)
class AnswerResult:
    """What became of an answer in the exercise's file: the clauses that it lost, and the findings' codes by clause."""

    kind: str
    name: str
    must_lose: tuple[str, ...]
    lost: tuple[str, ...]
    codes: dict[str, str]
    examples: str | None


@dataclass
class ExerciseProof:
    """What was found out about one exercise.

    Attributes:
        exercise: its id.
        clauses: the names of its clauses.
        problems: what an author has to mend; there are none when the proof holds.
        answers: of its file.
        mutants: of its right answers.
        trials: how many times answers were graded again, with other inputs or in other circumstances.
        margins: the largest of each test.
        tests: how many seconds each test takes with the solution.
    """

    exercise: str
    clauses: tuple[str, ...] = ()
    problems: list[str] = field(default_factory=list)
    answers: list[AnswerResult] = field(default_factory=list)
    mutants: list[MutantResult] = field(default_factory=list)
    trials: int = 0
    margins: list[Margin] = field(default_factory=list)
    tests: dict[str, float] = field(default_factory=dict)

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems

    @property
    def margin(self) -> Margin | None:
        """The largest of all, or None when nothing is compared with a tolerance."""
        return max(self.margins, key=lambda margin: margin.used, default=None)

    def to_stored(self) -> dict[str, Any]:
        """Return plain data that `from_stored` takes."""
        return asdict(self)

    @classmethod
    def from_stored(cls, data: dict[str, Any]) -> ExerciseProof:
        """Return what `to_stored` was called on."""
        lists = {"answers": AnswerResult, "mutants": MutantResult, "margins": Margin}
        made = {name: [kind(**_tuples(item)) for item in data[name]] for name, kind in lists.items()}
        return cls(**{**_tuples(data), "problems": list(data["problems"]), **made})


def _tuples(data: dict[str, Any]) -> dict[str, Any]:
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}


@dataclass
class CourseProof:
    """The proofs of exercises, and problems that belong to no single one of them.

    Attributes:
        exercises: one proof for each, in the order of the course.
        problems: of the course's other files.
        computed: how many answers were graded.
        reused: how many answers had results that were known.
        known: how many exercises had proofs that were known.
        seconds: what it took.
    """

    exercises: list[ExerciseProof] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    computed: int = 0
    reused: int = 0
    known: int = 0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether everything holds."""
        return not self.problems and all(proof.holds for proof in self.exercises)
