"""What `tensorgrade grade` shows: a progress bar, and a summary at the end."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from .bridge.batch import Summary


class GradingProgress:
    """A progress bar for a run: submissions done and in all, rate, time left, and failures so far."""

    def __init__(self, console: Console) -> None:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[failures]}"),
        )
        self._progress = Progress(*columns, console=console)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, submissions: int) -> None:
        """So many submissions are there."""
        self._task = self._progress.add_task("grading", total=submissions, rate="", failures="")

    def advance(self, failures: int) -> None:
        """One more is done; `failures` need a person so far."""
        assert self._task is not None  # the run has begun
        speed = self._progress.tasks[0].speed
        rate = f"{speed:.1f} per second" if speed else ""
        flagged = f"{failures} to look at" if failures else ""
        self._progress.update(self._task, advance=1, rate=rate, failures=flagged)


def tell(summary: Summary, seconds: float, console: Console) -> None:
    """Print what a run came to."""
    for line in summary.noted:
        console.print(line, markup=False, highlight=False)
    for line in summary.flagged:
        console.print(f"flagged for manual grading: {line}", style="yellow", markup=False, highlight=False)
    if summary.failure is not None:
        console.print(summary.failure, style="red", markup=False, highlight=False)
    known = f", {summary.reused} of them with results that were known" if summary.reused else ""
    tier = f", confined in tier {summary.tier}" if summary.tier else ""
    console.print(f"{len(summary.graded)} graded{known} in {seconds:.1f} s{tier}", highlight=False)
