"""Proves exercises: grades every answer that their files give, mutants of the right ones, and all again.

Trusted side. `prove` returns a proof for each exercise; one that has no problems holds. A proof that holds is kept in
the course's store under a key of everything that it depends on.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field, replace

from ..course import Course
from ..errors import AuthorError, TensorgradeError
from ..exercise import Exercise
from ..fit import problem_at
from ..job import Graded, Job
from ..keys import Keys
from ..results import store_of
from ..yamlfile import Key
from .answers import Answer, Desk, Kind, Outcome, answers, desk, outcome, with_call_limit
from .bench import Bench
from .faults import faults
from .flakes import Margin, Trial, changed, margins, trials
from .mutants import QUICK_SECONDS, SHORT_SECONDS, mutants_of, result, unneeded
from .mutation import Mutant
from .proof import AnswerResult, CourseProof, ExerciseProof
from .targets import Targets
from .texts import incomplete

MAX_FAILURES = 3
"""After so many answers that could not be graded at all, it is not the answers' fault, and the run ends."""

Waiting = tuple[Job, Future[Graded]]


@dataclass(frozen=True)
class Options:
    """What a proof consists of, beside the answers of the files.

    Attributes:
        mutants: whether to grade mutants of the right answers.
        seeds: how many different inputs each answer is graded with.
        workers: how many answers at a time; one per processor if None.
        cache: whether known results are used.
    """

    mutants: bool = True
    seeds: int = 3
    workers: int | None = None
    cache: bool = True


def prove(course: Course, wanted: Targets, options: Options, advanced: Callable[[int, int], None]) -> CourseProof:
    """Prove the exercises that are `wanted`; `advanced` is told how many answers are done, and of how many.

    Raises:
        EngineError: answers cannot be graded here.
    """
    with contextlib.ExitStack() as closing:
        return _Run(course, options, advanced, closing).prove(wanted)


@dataclass
class _Subject:
    """An exercise that is being proven."""

    desk: Desk
    exercise: Exercise
    proof: ExerciseProof
    key: str
    known: bool = False
    outcomes: dict[Answer, Outcome] = field(default_factory=dict)

    def complain(self, key: Key, fault: str, remedy: str) -> None:
        self.proof.problems.append(str(problem_at(self.exercise.file, key, fault, remedy)))


class _Run:
    """One run of verify: all exercises are graded side by side, in two rounds."""

    def __init__(
        self, course: Course, options: Options, advanced: Callable[[int, int], None], closing: contextlib.ExitStack
    ) -> None:
        self._course = course
        self._options = options
        self._advanced = advanced
        self._closing = closing
        self._bench = Bench(options.workers, options.cache, self._advance)
        self._proof = CourseProof()
        self._asked = 0
        self._done = 0
        self._failures = 0

    def prove(self, wanted: Targets) -> CourseProof:
        begin = time.monotonic()
        subjects = [subject for assignment, names in wanted.items() for subject in self._subjects(assignment, names)]
        unknown = [subject for subject in subjects if not subject.known]
        for subject, waiting in [(subject, self._submit_answers(subject)) for subject in unknown]:
            self._judge_answers(subject, waiting)
        sound = [subject for subject in unknown if all(self._answers_hold(subject))]
        again = [(subject, self._submit_trials(subject), self._submit_mutants(subject)) for subject in sound]
        for subject, trying, mutating in again:
            self._judge_trials(subject, trying)
            self._judge_mutants(subject, mutating)
        for subject in unknown:
            self._keep(subject)
        self._proof.computed, self._proof.reused = self._bench.computed, self._bench.reused
        self._proof.known = len(subjects) - len(unknown)
        self._proof.seconds = time.monotonic() - begin
        return self._proof

    # ----------------------------------------------------------------------------------------- what there is

    def _subjects(self, assignment: str, names: tuple[str, ...] | None) -> Iterator[_Subject]:
        """The exercises of an assignment that can be graded; notes what is wrong with its files."""
        try:
            loaded = self._course.load(assignment)
        except AuthorError as error:
            self._proof.problems += str(error).splitlines()
            return
        place = self._closing.enter_context(desk(self._course, loaded))
        misfits = list(self._course.problems(assignment))
        for exercise in loaded.exercises:
            grader = self._course.grader_file(assignment, exercise.name)
            own = [fault for fault in misfits if fault.startswith((f"{exercise.file}:", f"{grader}:"))]
            misfits = [fault for fault in misfits if fault not in own]
            if names is None or exercise.name in names:
                yield self._subject(place, exercise, [*own, *map(str, incomplete(exercise, grader))])
        unlisted = {self._course.exercise_file(assignment, name) for name in names or ()}
        own = [fault for fault in misfits if any(fault.startswith(f"{file}:") for file in unlisted)]
        self._proof.problems += misfits if names is None else own

    def _subject(self, place: Desk, exercise: Exercise, problems: list[str]) -> _Subject:
        key = self._key(place, exercise)
        stored = store_of(self._course.root).get(key) if self._options.cache and not problems else None
        proof = ExerciseProof.from_stored(stored) if stored else ExerciseProof(exercise.id, tuple(exercise.clauses))
        proof.problems += problems
        self._proof.exercises.append(proof)
        return _Subject(place, exercise, proof, key, known=stored is not None)

    def _key(self, place: Desk, exercise: Exercise) -> str:
        """The key of a proof: it depends on what the solution's verdict depends on, and that names the whole file."""
        keys = Keys(place.job(exercise, exercise.solution, examples=True), self._course, place.assignment)
        verdict = keys.verdict(len((place.assignment.settings.setup, exercise.solution)))
        options = f"{self._options.mutants} {self._options.seeds}"
        return hashlib.sha256(f"proof {options} {verdict}".encode()).hexdigest()

    def _keep(self, subject: _Subject) -> None:
        if subject.proof.holds and self._options.cache:
            store_of(self._course.root).put(subject.key, subject.proof.to_stored())

    # ---------------------------------------------------------------------------------------------- answers

    def _submit(self, job: Job) -> Waiting:
        self._asked += 1
        job = replace(job, cache=job.cache and self._options.cache)
        return job, self._bench.submit(job)

    def _advance(self) -> None:
        self._done += 1
        self._advanced(self._done, self._asked)

    def _submit_answers(self, subject: _Subject) -> dict[Answer, Waiting]:
        return {
            answer: self._submit(subject.desk.job(subject.exercise, answer.code, examples=True))
            for answer in answers(subject.exercise)
        }

    def _outcome(self, subject: _Subject, key: Key, waiting: Waiting) -> Outcome | None:
        job, future = waiting
        try:
            return outcome(job, future.result(), subject.exercise.name)
        except TensorgradeError as error:
            self._failures += 1
            if self._failures > MAX_FAILURES:
                raise
            subject.complain(key, f"it could not be graded ({error})", "run it again, and report it if it stays")
            return None

    def _judge_answers(self, subject: _Subject, waiting: dict[Answer, Waiting]) -> None:
        grader = self._course.grader_file(subject.exercise.assignment, subject.exercise.name)
        for answer, awaited in waiting.items():
            found = self._outcome(subject, answer.key, awaited)
            if found is None:
                continue
            subject.outcomes[answer] = found
            subject.proof.answers.append(_answer_result(subject.exercise, answer, found))
            for fault, remedy in faults(answer, found, grader):
                subject.complain(answer.key, fault, remedy)
            if answer.kind is Kind.SOLUTION:
                subject.proof.tests = {one.test: one.seconds for one in found.verdict.measurements}

    def _answers_hold(self, subject: _Subject) -> Iterator[bool]:
        """Whether right answers are right, without which more grading says nothing."""
        for answer in answers(subject.exercise):
            if answer.right:
                found = subject.outcomes.get(answer)
                yield found is not None and found.verdict.flagged is None and not found.lost

    # -------------------------------------------------------------------------------------- trials and mutants

    def _submit_trials(self, subject: _Subject) -> list[tuple[Answer, Trial, Waiting]]:
        return [
            (answer, trial, self._submit(trial.job))
            for answer, found in subject.outcomes.items()
            if found.lost == answer.lost
            for trial in trials(subject.desk, subject.exercise, answer, self._options.seeds)
        ]

    def _judge_trials(self, subject: _Subject, waiting: list[tuple[Answer, Trial, Waiting]]) -> None:
        found_margins = [
            one for answer, found in subject.outcomes.items() if answer.right for one in margins(answer, found)
        ]
        for answer, trial, awaited in waiting:
            found = self._outcome(subject, answer.key, awaited)
            if found is None:
                continue
            subject.proof.trials += 1
            found_margins += margins(answer, found) if answer.right else ()
            if (difference := changed(answer, found)) is not None:
                remedy = "let the grader allow for it, or draw other inputs"
                subject.complain(answer.key, f"the verdict changes {trial.told}: {difference}", remedy)
        subject.proof.margins = _largest(found_margins)

    def _submit_mutants(self, subject: _Subject) -> list[tuple[Answer, Mutant, Waiting]]:
        if not self._options.mutants:
            return []
        exercise, place = subject.exercise, subject.desk
        seconds = exercise.limits.allowance().seconds
        if max(subject.proof.tests.values(), default=0.0) < QUICK_SECONDS:
            seconds = min(seconds, SHORT_SECONDS)
        return [
            (answer, mutant, self._submit(with_call_limit(place.job(exercise, mutant.code), seconds)))
            for answer, mutant in mutants_of(exercise)
        ]

    def _judge_mutants(self, subject: _Subject, waiting: list[tuple[Answer, Mutant, Waiting]]) -> None:
        results = subject.proof.mutants
        for answer, mutant, awaited in waiting:
            found = self._outcome(subject, answer.key, awaited)
            if found is not None:
                results.append(result(subject.exercise, answer, mutant, found))
        for one in results:
            key = next(answer.key for answer in subject.outcomes if answer.right and answer.name == one.answer)
            if one.fault is not None:
                remedy = "let the grader judge what it gets with `expect` before it uses it"
                subject.complain(key, f"on the mutant `{one.change}` the grader is at fault: {one.fault}", remedy)
        if count := sum(one.survived for one in results):
            fault = f"{count} of {len(results)} mutants earn everything"
            subject.complain(("solution",), fault, "test for them, or declare them under `equivalent` with a reason")
        for place, fault, remedy in unneeded(subject.exercise, results) if self._options.mutants else ():
            subject.complain(place, fault, remedy)


def _answer_result(exercise: Exercise, answer: Answer, found: Outcome) -> AnswerResult:
    must_lose, lost = (tuple(name for name in exercise.clauses if name in names) for names in (answer.lost, found.lost))
    codes = {clause.name: clause.code for clause in found.verdict.clauses if clause.code is not None}
    return AnswerResult(str(answer.kind), answer.name, must_lose, lost, codes, found.examples)


def _largest(found: Iterable[Margin]) -> list[Margin]:
    """The largest margin of each test."""
    largest: dict[str, Margin] = {}
    for margin in found:
        if margin.test not in largest or margin.used > largest[margin.test].used:
            largest[margin.test] = margin
    return list(largest.values())
