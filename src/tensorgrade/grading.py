"""Runs the hidden grader of an exercise with pytest and turns its tests' outcomes into a verdict.

Trusted side. A clause passes when all its tests pass: ``test_<clause>`` and ``test_<clause>__<anything>``. What a test
raises decides whose matter it is: a `Mismatch` or another assertion is the student's, a `SubmissionFailure` ends the
run with the reason, and anything else is the grader's own fault, which flags the exercise for a person to look at.
"""

from __future__ import annotations

import contextlib
import hashlib
import signal
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType

import pytest
import torch

from . import margin
from .attempt import Journal
from .errors import EngineError, GraderError, LimitExceeded, ProtocolError, SubmissionFailure, TimeLimitExceeded
from .exercise import Exercise, Language
from .findings import Finding, Mismatch, finding
from .group import RANK_HUNG
from .limits import Allowance
from .margin import Margin
from .submission import Machine, Submission
from .testrun import run_tests, start_once
from .verdict import ClauseVerdict, Measurement, Status, Verdict, not_run

GRADER_SECONDS = 60.0
"""How long one test of a grader may compute on the trusted side, without the time it waits for the submission."""

MAX_CRASHES = 3
"""After so many lost submission processes the rest of an exercise's tests is not run."""


def warm_up() -> None:
    """Do once what would make the first verdict slow; a process that has done it can still be forked."""
    import torch.fx.experimental.symbolic_shapes  # noqa: F401 - with sympy, for the first backward() of a vector

    from . import expectation  # noqa: F401 - what every grader imports

    start_once()


def judge(
    exercise: Exercise,
    grader: Path,
    machine: Machine,
    language: Language,
    grader_seconds: float = GRADER_SECONDS,
    *,
    cells: Sequence[str] = (),
    seed: int = 0,
    measured: bool = False,
) -> Verdict:
    """Return the verdict of `grader` on the submission that `machine` runs.

    Lines of code are shown from its `cells`. Another `seed` gives the tests other inputs. What is `measured` tells what
    each test took.
    """
    if not grader.is_file():
        return not_run(exercise, language, None, flagged=f"{grader}: the grader is missing")
    clock = _Clock(grader_seconds)
    run = _GraderRun(exercise, grader, machine, clock, language, cells=cells, seed=seed, measured=measured)
    status = run_tests(grader, run, run.seed(""))
    if status == pytest.ExitCode.USAGE_ERROR:
        raise EngineError(f"pytest did not accept our options for {grader}; report this as a bug")
    if status not in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
        run.note_fault(f"pytest ended with {status!r} before all tests had run")
    return run.verdict()


@dataclass
class _Clock:
    """Stops a test that computes too long on the trusted side; paused while it waits for the submission."""

    seconds: float
    usable: bool = field(default_factory=lambda: threading.current_thread() is threading.main_thread())

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        if not self.usable:  # signals reach the main thread alone
            yield
            return
        before = signal.signal(signal.SIGALRM, self._ring)
        signal.setitimer(signal.ITIMER_REAL, self.seconds, 1.0)  # again each second, should a test catch the first
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)

    @contextlib.contextmanager
    def paused(self) -> Iterator[None]:
        if not self.usable:
            yield
            return
        left, _ = signal.setitimer(signal.ITIMER_REAL, 0)
        try:
            yield
        finally:
            if left:
                signal.setitimer(signal.ITIMER_REAL, left, 1.0)

    def _ring(self, *_: int | FrameType | None) -> None:
        raise GraderError(f"the test computed longer than {self.seconds:g} s on the trusted side")


class _GraderRun:
    """One grader at work on one submission: collects what became of the tests."""

    def __init__(
        self,
        exercise: Exercise,
        grader: Path,
        machine: Machine,
        clock: _Clock,
        language: Language,
        *,
        cells: Sequence[str],
        seed: int,
        measured: bool,
    ) -> None:
        self._exercise = exercise
        self._grader = grader
        self._machine = machine
        self._clock = clock
        self._language: Language = language
        self._secret = grader.read_bytes() + exercise.id.encode() + (b" %d" % seed if seed else b"")
        self._measured = measured
        self._measurement: tuple[float, Margin] | None = None
        self._measurements: list[Measurement] = []
        self._outcomes: dict[str, list[tuple[Status, Finding | None]]] = {name: [] for name in exercise.clauses}
        self._ended: Finding | None = None
        self._crashes = 0
        self._hung: set[str] = set()
        self._faults: list[str] = []
        self._waiting: dict[str, pytest.Item] = {}
        self._journal = Journal()
        self.submission = Submission(machine, grader.parent, clock.paused, cells, self._journal)

    def seed(self, test: str) -> int:
        """The same at each regrade, and unpredictable without the grader's file."""
        return int.from_bytes(hashlib.sha256(self._secret + test.encode()).digest()[:8], "big") >> 1

    # ------------------------------------------------------------------------------------------- pytest's side

    def generator(self, test: str) -> torch.Generator:
        """The source of inputs of one test."""
        return torch.Generator().manual_seed(self.seed(test))

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Limit how long a test computes."""
        self._journal.begin()
        with self._clock.running():
            if not self._measured:
                yield
                return
            begin = time.perf_counter()
            with margin.measured() as used:
                try:
                    yield
                finally:
                    self._measurement = time.perf_counter() - begin, used

    def expect(self, items: Sequence[pytest.Item]) -> None:
        """Learn which tests there are."""
        self._waiting = {item.nodeid: item for item in items}

    def prepare(self, item: pytest.Item) -> None:
        """Skip the test when there is nobody to answer, or when its clause has cost the time of ranks that hang."""
        if self._ended is not None or _clause_of_item(item) in self._hung:
            pytest.skip("the submission cannot answer any more")

    def note_fault(self, fault: str) -> None:
        """Note what is wrong with the grader; that flags the exercise."""
        self._faults.append(f"{self._grader}: {fault}")

    def note(self, item: pytest.Item, phase: str, error: BaseException | None, *, skipped: bool = False) -> None:
        """Note what became of a phase of a test."""
        if phase != "setup":
            self._waiting.pop(item.nodeid, None)
        if self._measurement is not None:
            seconds, used = self._measurement
            self._measurements.append(Measurement(item.name, seconds, used.used))
            self._measurement = None
        outcomes = self._outcomes.get(_clause_of_item(item))
        if outcomes is None:
            self.note_fault(f"{item.name} belongs to no clause of {self._exercise.id}")
        elif skipped:
            outcomes.append((Status.NOT_RUN, None))
            if self._ended is None and _clause_of_item(item) not in self._hung:
                self.note_fault(f"{item.name} was skipped")
        elif error is None:
            if phase == "call":
                outcomes.append((Status.PASSED, None))
        elif isinstance(error, SubmissionFailure):
            outcomes.append((Status.FAILED, self._failure(error)))
        elif isinstance(error, Mismatch):
            outcomes.append((Status.FAILED, self._explained(error)))
            if error.finding.code == RANK_HUNG:
                self._hung.add(_clause_of_item(item))
        elif isinstance(error, (AssertionError, pytest.fail.Exception)):
            outcomes.append((Status.FAILED, finding("check")))
        else:
            outcomes.append((Status.NOT_RUN, None))
            self.note_fault(f"{item.name}: {self._told(error)}")

    def _explained(self, mismatch: Mismatch) -> Finding:
        """The finding with its evidence, which is nothing that a verdict may depend on."""
        try:
            return self._journal.explain(mismatch)
        except Exception:  # noqa: BLE001 - arguments that cannot be unpacked here again, say
            return replace(mismatch.finding, evidence=None)

    def _told(self, error: BaseException) -> str:
        """What went wrong in the grader, and in which line of it."""
        lines = [
            frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(self._grader)
        ]
        place = f"line {lines[-1]}: " if lines else ""
        return place + traceback.format_exception_only(error)[-1].strip()

    def _failure(self, error: SubmissionFailure) -> Finding:
        """What a lost answer means: a time-out ends the run, since others would follow; so do several crashes."""
        told = _finding_of(error, self._machine.allowance)
        if (asked := self._journal.unanswered) is not None:
            told = asked.explain(told)
        self._crashes += 1
        if isinstance(error, ProtocolError):  # what says such things is not asked again
            self._machine.discard()
        if isinstance(error, TimeLimitExceeded) or self._crashes == MAX_CRASHES:
            self._ended = told
        return told

    def verdict(self) -> Verdict:
        """Put the outcomes together."""
        for item in self._waiting.values():
            self._outcomes.get(_clause_of_item(item), []).append((Status.NOT_RUN, None))
        clauses = tuple(self._clause(name, outcomes) for name, outcomes in self._outcomes.items())
        untested = [name for name, outcomes in self._outcomes.items() if not outcomes]
        if untested and not self._faults:
            self.note_fault(f"no test for the clause {', '.join(untested)}")
        return Verdict(
            exercise=self._exercise.name,
            title=self._exercise.title.get(self._language),
            language=self._language,
            clauses=clauses,
            reason=self._ended.text.get(self._language) if self._ended else None,
            flagged=_summary(self._faults),
            measurements=tuple(self._measurements),
        )

    def _clause(self, name: str, outcomes: list[tuple[Status, Finding | None]]) -> ClauseVerdict:
        clause = self._exercise.clauses[name]
        failed = next((told for status, told in outcomes if status is Status.FAILED), None)
        hint = self._exercise.hints[clause.hint - 1] if failed and clause.hint is not None else None
        statuses = {status for status, _ in outcomes}
        if Status.FAILED in statuses:
            status = Status.FAILED
        else:
            status = Status.PASSED if statuses == {Status.PASSED} else Status.NOT_RUN
        return ClauseVerdict(
            name=name,
            text=clause.text.get(self._language),
            points=float(clause.points),
            status=status,
            code=failed.code if failed else None,
            finding=failed.text.get(self._language) if failed else None,
            level=clause.disclosure,
            hint=hint.get(self._language) if hint else None,
            trace=failed.trace if failed else (),
            evidence=failed.evidence if failed else None,
        )


def clause_of(test: str) -> str | None:
    """The clause that a test function belongs to by its name, or None: ``test_values__empty`` tests ``values``."""
    return test.removeprefix("test_").partition("__")[0] if test.startswith("test_") else None


def _clause_of_item(item: pytest.Item) -> str:
    return clause_of(getattr(item, "originalname", None) or item.name) or ""


def _finding_of(error: SubmissionFailure, allowance: Allowance) -> Finding:
    if isinstance(error, TimeLimitExceeded):
        return finding("time-limit", seconds=f"{allowance.seconds:g}")
    if isinstance(error, LimitExceeded):
        return finding(f"limit-{error.limit}", limit=allowance.told(error.limit))
    return finding("protocol" if isinstance(error, ProtocolError) else "ended", str(error))


def _summary(faults: list[str]) -> str | None:
    more = f"\n(and {len(faults) - 3} more)" if len(faults) > 3 else ""
    return "\n".join(faults[:3]) + more if faults else None
