"""`GradeSubmission`: grades a notebook in the place of nbgrader's Execute; and `FlagForReview`.

Trusted side, inside nbgrader's process. It never raises for a submission's sake: whatever goes wrong becomes a verdict
without points and with a reason. What it writes into a graded cell of an exercise is ours alone: the verdict as text,
HTML and JSON in one display output, and the score as one plain decimal, which nbgrader's own SaveAutoGrades reads.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import CancelledError, Future
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, cast

from nbformat import NotebookNode, from_dict, v4
from nbgrader import utils
from nbgrader.api import Gradebook
from nbgrader.preprocessors import Execute, NbGraderPreprocessor
from traitlets import Bool, Enum, Float, Int, List, Unicode

from ..course import Course
from ..errors import TensorgradeError
from ..exercise import Assignment, Language
from ..feedback import plain_decimal
from ..findings import finding
from ..job import CellJob, CellRun, Graded, Job, Settings
from ..notebook import GRADED, NAMESPACE, test_cell_id
from ..pool import POOL
from ..results import stored
from ..verdict import MIME_TYPE, Verdict, not_run
from .batch import Batch
from .reading import check_outputs
from .repair import UNREADABLE


class GradeSubmission(Execute):  # type: ignore[misc]
    """Runs a notebook away from nbgrader and writes outputs, verdicts and scores into it."""

    notebook_seconds = Float(300.0, help="Wall-clock limit of one notebook, in seconds.").tag(config=True)
    tier = Enum(
        ["auto", "A", "B", "C"],
        "auto",
        help="How strongly submissions are confined (docs/security.md): A, B, or C, which protects nothing but the"
        " verdict; auto is A, or B on a machine that cannot give A. `tensorgrade doctor` tells what yours can give.",
    ).tag(config=True)
    devices = List(
        Unicode(), help="Files below /dev that submissions may use, such as /dev/nvidia0; none if not given."
    ).tag(config=True)
    accelerators = Enum(
        ["virtual", "real"],
        "virtual",
        help="What exercises with accelerators get: virtual ones, or the real GPUs among the devices.",
    ).tag(config=True)
    workers = Int(0, min=0, help="How many notebooks are graded at a time; 0 is one for each processor.").tag(
        config=True
    )
    ahead = Int(
        3, min=0, help="How many notebooks for each worker are graded ahead of nbgrader; with 0 one after the other."
    ).tag(config=True)
    cache = Bool(
        True, help="Whether results are taken from the course's store where it has them, and new ones kept there."
    ).tag(config=True)

    def settings(self) -> Settings:
        """What submissions are confined in, as configured."""
        return Settings(self.tier, tuple(self.devices), self.accelerators)

    def __call__(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Grade the notebook; with ``--no-execute`` exercises are left for manual grading."""
        if self.enabled:
            graded: tuple[NotebookNode, dict[str, Any]] = super().__call__(nb, resources)
            return graded
        submission = _SubmittedNotebook(nb, resources)
        for cell, exercise in submission.exercises():
            flagged = "it was not executed (--no-execute)"
            submission.write(cell, not_run(exercise, submission.language, None, flagged))
        submission.report(self._batch())
        return nb, resources

    def preprocess(
        self, nb: NotebookNode, resources: dict[str, Any], km: object = None
    ) -> tuple[NotebookNode, dict[str, Any]]:
        """Grade one notebook in place."""
        submission = _SubmittedNotebook(nb, resources)
        if submission.fault is not None:
            submission.flag_all(submission.fault)
        elif submission.unreadable is not None:
            submission.write_unreadable()
        else:
            self._grade(submission)
        submission.report(self._batch())
        return nb, resources

    def _grade(self, submission: _SubmittedNotebook) -> None:
        try:
            submission.write_results(*self._result(submission))
        except TensorgradeError as error:
            submission.flag_all(str(error))
        except Exception as error:  # nbgrader deletes a submission whose preprocessor raises, and keeps old scores
            self.log.exception("tensorgrade failed on this notebook; report this as a bug")
            submission.flag_all(f"{type(error).__name__}: {error}")

    def _result(self, submission: _SubmittedNotebook) -> tuple[Job, Graded]:
        """The job that a notebook makes, and its result, which may be under way already."""
        batch, job = self._batch(), self._job(submission)
        future = batch.ahead.collect(submission.student, submission.notebook, job) if batch else None
        try:
            return job, self._waited_for(future or self._submitted(job), job)
        except KeyboardInterrupt:
            POOL.close()
            raise

    def _waited_for(self, future: Future[Graded], job: Job) -> Graded:
        try:
            return future.result()
        except CancelledError:  # the workers were started anew since the job was handed over
            return self._submitted(job).result()

    def _job(self, submission: _SubmittedNotebook) -> Job:
        job = submission.job(self.timeout or self.notebook_seconds, self.notebook_seconds)
        batch = self._batch()
        settings = self.settings()
        if batch is not None and batch.summary.tier is not None:
            settings = replace(settings, tier=batch.summary.tier)  # what "auto" came to be
        return replace(job, settings=settings, cache=self.cache)

    def _submitted(self, job: Job) -> Future[Graded]:
        """The result of a job: known from the store, or else from the workers in time."""
        known = stored(job)
        if known is not None:
            future: Future[Graded] = Future()
            future.set_result(known)
            if (batch := self._batch()) is not None:
                batch.summary.reused += 1
            return future
        POOL.prepare(job.settings, self.workers or None)
        return POOL.submit(job)

    def _batch(self) -> Batch | None:
        """The run that this notebook is graded in, when the exporter is ours."""
        batch: Batch | None = getattr(self.parent, "batch", None)
        return batch


class StartGrading(GradeSubmission):
    """The last of the sanitisers: hands a repaired notebook to the workers, while nbgrader is busy with others."""

    def __call__(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Hand the notebook over, which stays as it is; with ``--no-execute`` there is nothing to do."""
        batch = self._batch()
        if self.enabled and self.ahead and batch is not None:
            place = resources["nbgrader"]
            submission = _SubmittedNotebook(nb, resources, batch.target(place["assignment"], place["student"]))
            if submission.fault is None and submission.unreadable is None:
                self._hand_over(submission, batch)
        return nb, resources

    def _hand_over(self, submission: _SubmittedNotebook, batch: Batch) -> None:
        try:
            job = self._job(submission)
            batch.ahead.hand_over(submission.student, submission.notebook, job, self._submitted(job))
        except Exception as error:  # noqa: BLE001 - it is told when the result is needed
            self.log.debug("Not graded ahead: %s", error)


class _SubmittedNotebook:
    """A notebook under grading, seen as exercises and ordinary cells."""

    def __init__(self, nb: NotebookNode, resources: dict[str, Any], folder: Path | None = None) -> None:
        place = resources["nbgrader"]
        self._nb = nb
        self.student: str = place["student"]
        self.notebook: str = place["notebook"]
        self._folder = (folder or Path(resources.get("metadata", {}).get("path") or ".")).resolve()
        self._course: Course | None = None
        self._assignment: Assignment | None = None
        self.fault: str | None = None
        try:
            self._course, self._assignment = _assignment_of(place["assignment"], place["notebook"])
        except TensorgradeError as error:
            self.fault = str(error)
        self._notes = nb.metadata.get(NAMESPACE) or {}
        self._flags: dict[str, str] = {}
        self.language = cast("Language", self._notes.get("language", "en"))
        self.unreadable: str | None = self._notes.get(UNREADABLE)

    # ---------------------------------------------------------------------------------------------- reading

    def exercises(self) -> list[tuple[NotebookNode, Any]]:
        """The graded cells of exercises, each with its exercise."""
        if self._assignment is None:
            return []
        by_cell = {test_cell_id(exercise.name): exercise for exercise in self._assignment.exercises}
        found = [(cell, by_cell.get(_grade_id(cell) or "")) for cell in self._nb.cells]
        return [(cell, exercise) for cell, exercise in found if exercise is not None]

    def job(self, ordinary_seconds: float, notebook_seconds: float) -> Job:
        """Everything the workers need: the code cells in order, exercises by name."""
        judged = {cell.id: exercise for cell, exercise in self.exercises()}
        solutions = {exercise.name: exercise for exercise in self._assignment.exercises} if self._assignment else {}
        cells = []
        for cell in self._code_cells():
            exercise = judged.get(cell.id)
            owner = exercise or solutions.get(_grade_id(cell) or "")
            seconds = owner.limits.allowance().seconds if owner else ordinary_seconds
            cells.append(CellJob(cell.source, seconds, exercise.name if exercise else None))
        return Job(
            cells=tuple(cells),
            course=self._course.root if self._course else self._folder,
            assignment=self._assignment.name if self._assignment else None,
            language=self.language,
            files=self._folder,
            seconds=notebook_seconds,
        )

    def _code_cells(self) -> list[NotebookNode]:
        """The cells that run; a test cell that had to be put back is not one, and neither are empty cells."""
        lost = set(self._notes.get("lost", ()))
        return [cell for cell in self._nb.cells if cell.cell_type == "code" and _grade_id(cell) not in lost]

    # ---------------------------------------------------------------------------------------------- writing

    def write_results(self, job: Job, graded: Graded) -> None:
        """Write what running and judging gave."""
        exercises = {cell.id: exercise for cell, exercise in self.exercises()}
        written = _checked_outputs(graded.runs)
        for cell, run, outputs, planned in zip(self._code_cells(), graded.runs, written, job.cells, strict=True):
            if run is not None:
                _write_run(cell, run, outputs)
            elif planned.exercise in graded.verdicts:
                self.write(cell, graded.verdicts[planned.exercise])
            if self._assignment is not None and _is_autograded(cell) and cell.id not in exercises:
                self._flag(cell, "its exercise is not in the course any more; build the assignment again")
        self._write_lost(exercises)

    def _write_lost(self, exercises: dict[str, Any]) -> None:
        for cell in self._nb.cells:
            if _grade_id(cell) in self._notes.get("lost", ()) and cell.cell_type == "code":
                reason = finding("cell-lost").text.get(self.language)
                self._write_reason(cell, exercises.get(cell.id), reason)

    def write_unreadable(self) -> None:
        """Give no points for a notebook that could not be read, and say why."""
        code = f"notebook-{self.unreadable}"
        reason = finding(code).text.get(self.language)
        exercises = {cell.id: exercise for cell, exercise in self.exercises()}
        for cell in self._nb.cells:
            if _is_autograded(cell):
                self._write_reason(cell, exercises.get(cell.id), reason)

    def _write_reason(self, cell: NotebookNode, exercise: Any, reason: str) -> None:
        if exercise is not None:
            self.write(cell, not_run(exercise, self.language, reason))
        else:
            cell.outputs = [v4.new_output("error", ename="NotGraded", evalue=reason, traceback=[reason])]

    def write(self, cell: NotebookNode, verdict: Verdict) -> None:
        """Make `verdict` the whole output of a graded cell."""
        if verdict.flagged:
            self._flags[verdict.exercise] = verdict.flagged
        data = {"text/plain": verdict.to_text(), "text/html": verdict.to_html(), MIME_TYPE: verdict.to_json()}
        points = float(cell.metadata.nbgrader["points"])
        # a changed YAML must not make a sum that nbgrader refuses
        score = plain_decimal(min(verdict.score, points))
        cell.execution_count = None
        cell.outputs = [
            _new_output("display_data", data=data),
            _new_output("execute_result", data={"text/plain": score}, execution_count=None),
        ]

    def flag_all(self, reason: str) -> None:
        """Leave everything to a person: the machinery or the course failed, not the student."""
        exercises = {cell.id: exercise for cell, exercise in self.exercises()}
        for cell in self._nb.cells:
            if cell.id in exercises:
                self.write(cell, not_run(exercises[cell.id], self.language, None, reason))
            elif _is_autograded(cell):
                self._flag(cell, reason)

    def _flag(self, cell: NotebookNode, reason: str) -> None:
        self._write_reason(cell, None, finding("not-graded").text.get(self.language))
        self._flags[_grade_id(cell) or "?"] = reason

    def report(self, batch: Batch | None) -> None:
        """Note for `FlagForReview` and for the run's summary what a person has to look at."""
        self._nb.metadata[NAMESPACE] = {**self._notes, GRADED: sorted(self._flags)}
        if batch is not None:
            batch.summary.flagged += [f"{self.student}: {name}: {reason}" for name, reason in self._flags.items()]


class FlagForReview(NbGraderPreprocessor):  # type: ignore[misc]
    """Marks flagged exercises for manual grading, after SaveAutoGrades, which does not know of them."""

    def preprocess(self, nb: NotebookNode, resources: dict[str, Any]) -> tuple[NotebookNode, dict[str, Any]]:
        """Mark the flagged cells of one notebook."""
        flagged = (nb.metadata.get(NAMESPACE) or {}).get(GRADED, ())
        if not flagged:
            return nb, resources
        place = resources["nbgrader"]
        names = {test_cell_id(name) for name in flagged} | set(flagged)
        with Gradebook(place["db_url"]) as gradebook:
            for cell in nb.cells:
                if utils.is_grade(cell) and cell.metadata.nbgrader["grade_id"] in names:
                    grade_id = cell.metadata.nbgrader["grade_id"]
                    grade = gradebook.find_grade(grade_id, place["notebook"], place["assignment"], place["student"])
                    grade.needs_manual_grade = True
            gradebook.db.commit()
        return nb, resources


def _assignment_of(name: str, notebook: str) -> tuple[Course | None, Assignment | None]:
    """The tensorgrade assignment that a notebook belongs to, if it does."""
    try:
        course = Course.find(Path.cwd())
    except TensorgradeError:
        return None, None
    ours = name == notebook and name in course.assignment_names()
    return course, course.load(name) if ours else None


def _is_autograded(cell: NotebookNode) -> bool:
    """Whether nbgrader reads the score of this cell from its outputs."""
    return cell.cell_type == "code" and utils.is_grade(cell) and not utils.is_solution(cell)


def _grade_id(cell: NotebookNode) -> str | None:
    grade_id = cell.metadata.get("nbgrader", {}).get("grade_id")
    return grade_id if isinstance(grade_id, str) else None


def _write_run(cell: NotebookNode, run: CellRun, outputs: list[NotebookNode]) -> None:
    cell.outputs = outputs
    cell.execution_count = run.execution_count
    if _is_autograded(cell) and (complaint := _unscorable(cell)) is not None:
        cell.outputs = [v4.new_output("error", ename="ScoreError", evalue=complaint, traceback=[complaint])]


_FIELDS = {
    "stream": ("name", "text"),
    "display_data": ("data", "metadata"),
    "execute_result": ("data", "metadata", "execution_count"),
    "error": ("ename", "evalue", "traceback"),
}
"""What nbformat keeps of an output, by its type."""


def _checked_outputs(runs: Iterable[CellRun | None]) -> list[list[NotebookNode]]:
    """The outputs of each run as they stand in a notebook; raises ``ValidationError`` when one is not valid there."""
    outputs = [[_as_node(output) for output in run.outputs] if run else [] for run in runs]
    check_outputs(list(chain.from_iterable(outputs)))
    return outputs


def _new_output(kind: str, **fields: Any) -> NotebookNode:
    """An output of ours, as `v4.new_output` makes it, which would check it on its own."""
    return from_dict({"output_type": kind, "metadata": {}, **fields})


def _as_node(output: dict[str, Any]) -> NotebookNode:
    kind = output["output_type"]
    return from_dict({"output_type": kind, **{name: output[name] for name in _FIELDS[kind]}})


def _unscorable(cell: NotebookNode) -> str | None:
    """Why nbgrader would fail on the outputs of an ordinary graded cell, or None."""
    try:
        utils.determine_grade(cell)
    except (KeyError, ValueError, TypeError) as error:
        return f"The output of this cell is not a score: {error}"
    return None
