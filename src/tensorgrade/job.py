"""Jobs and their results, as plain values: what crosses between nbgrader's process, the workers and the store.

Trusted side. Nothing here imports torch, so that nbgrader's process need not.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from .exercise import Language
from .sandbox import Tier
from .verdict import Verdict


@dataclass(frozen=True)
class Settings:
    """How submissions are confined.

    Attributes:
        tier: A, B or C; ``"auto"`` is A where that is possible, else B.
        devices: files below /dev that submissions may use.
        accelerators: whether exercises that ask for accelerators get virtual ones, or those among `devices`.
    """

    tier: Tier | Literal["auto"] = "auto"
    devices: tuple[str, ...] = ()
    accelerators: Literal["virtual", "real"] = "virtual"


@dataclass(frozen=True)
class CellJob:
    """A code cell to run, or, when `exercise` is given, the place where that exercise is judged."""

    source: str
    seconds: float
    exercise: str | None = None


@dataclass(frozen=True)
class Job:
    """Everything a notebook's result depends on, besides the files of its course.

    Attributes:
        cells: in the order of the notebook.
        course: the course's folder.
        assignment: the assignment that the exercises of `cells` belong to, or None for an ordinary notebook.
        language: of the verdicts.
        files: the folder whose files (other than notebooks) lie beside the notebook; a private copy is made.
        seconds: wall-clock limit of the whole notebook.
        settings: how the submission is confined.
        cache: whether results may come from the course's store, and go there.
        abandoned: exercises whose grader has ended workers; they are flagged and not judged.
        seed: which of the inputs that a grader draws; students are graded with 0.
        measured: whether verdicts tell what each test took, and how close it was to the tolerance.
    """

    cells: tuple[CellJob, ...]
    course: Path
    assignment: str | None
    language: Language
    files: Path | None
    seconds: float
    settings: Settings = Settings()
    cache: bool = True
    abandoned: frozenset[str] = frozenset()
    seed: int = 0
    measured: bool = False


@dataclass(frozen=True)
class CellRun:
    """What running a cell gave.

    Attributes:
        outputs: nbformat outputs, as ipykernel would have written them.
        execution_count: the number beside the cell.
        repeatable: whether another run would give the same, as far as can be known: no time-out, no lost process.
    """

    outputs: tuple[dict[str, Any], ...]
    execution_count: int | None = None
    repeatable: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return plain data that `from_json` takes."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> CellRun:
        """Return what `to_json` was called on."""
        return cls(**{**data, "outputs": tuple(data["outputs"])})


@dataclass(frozen=True)
class Graded:
    """The result of a job: one entry per cell of the job, None where an exercise is judged; verdicts by exercise."""

    runs: tuple[CellRun | None, ...]
    verdicts: dict[str, Verdict] = field(default_factory=dict)
