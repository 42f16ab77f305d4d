"""Runs the cells of one notebook on one machine, and gives processes in the states that exercises are judged in.

Trusted side. A cell that ends the process costs itself only: the cells before it are run again in a new process,
without their outputs, and the run goes on behind it. Exercises are judged when all cells have run: what a grader asks,
hidden inputs included, can then reach no output any more. A state that later cells change is kept as a snapshot.

Exercises that find the same state (`tensorgrade.timeline`) are judged in one snapshot of it, one after the other, as
long as each leaves it as it was (`tensorgrade.footprint`); else the next one gets another.
"""

from __future__ import annotations

import math
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from .codec import Message
from .errors import EngineError, LimitExceeded, ProcessEnded, SubmissionFailure, TimeLimitExceeded
from .findings import finding
from .job import CellJob, CellRun, Job
from .limits import Allowance, limit_behind
from .processes import START_SECONDS, Process, SubmissionProcess
from .sandbox import Confinement, Narrowed
from .supervisor import ZygoteHandle

MAX_RESTARTS = 5
MAX_RANKS = 8
SEED = 0
GROWTH = 16
"""The part of an exercise's memory, and of its processor time, that others may have used up in its process."""
OWN_PROCESSES = 4 * 2 + MAX_RANKS
"""Processes that are ours: other machines of a notebook, with a snapshot each, and the ranks of one of them."""


@dataclass(frozen=True)
class Accelerators:
    """What accelerators a machine has.

    Attributes:
        count: how many.
        real: whether they are some of those that are built into this machine.
        told: whether a process is told of them before its first cell; else it is as it comes, without any.
    """

    count: int = 0
    real: bool = False
    told: bool = False

    @property
    def can_fork(self) -> bool:
        """Whether a copy of a process can use them: a CUDA context does not survive a fork."""
        return not (self.real and self.count)


@dataclass
class _Shared:
    """A process that exercises with the same state and limits use one after the other.

    Attributes:
        state: the number of the state that it is in.
        narrowed: what may be used in it.
        process: nobody uses it at the moment.
        memory: what it had in use when nobody had asked it yet, in bytes.
    """

    state: int
    narrowed: Narrowed
    process: Process
    memory: int

    def is_fit(self) -> bool:
        """Whether the last exercise has left it as it was, and enough of its limits."""
        process, narrowed = self.process, self.narrowed
        return (
            not process.has_ended()
            and process.memory() - self.memory <= narrowed.memory // GROWTH
            and process.processor_seconds() <= narrowed.cpu_seconds / GROWTH
            and process.is_as_it_was()
        )


class Execution:
    """A notebook under way: the process that runs it, the cells that made its state, and snapshots of it.

    Args:
        job: what to run.
        allowance: what the notebook may use.
        read_only: side files that may not be written.
        wanted: places of the job where an exercise is to be judged, with what may be used then.
        states: the number of the state that each cell finds, and of the one that the last leaves.
        zygote: gives the processes.
        folder: for their working folders.
        accelerators: of the machine.
        deadline: when the notebook's time is over, on the clock of `time.monotonic`.

    Attributes:
        closed: whether its processes have been ended for good.
    """

    def __init__(
        self,
        *,
        job: Job,
        allowance: Allowance,
        read_only: frozenset[str],
        wanted: Mapping[int, Allowance],
        states: Sequence[int],
        zygote: ZygoteHandle,
        folder: Path,
        accelerators: Accelerators,
        deadline: float,
    ) -> None:
        self._job = job
        self._allowance = allowance
        self._read_only = read_only
        self._wanted = wanted
        self._states = states
        self._zygote = zygote
        self._folder = folder
        self._accelerators = accelerators
        self._process: SubmissionProcess | None = None
        self._done: dict[int, CellJob] = {}
        self._snapshots: dict[int, Process] = {}
        self._lent: dict[Process, _Shared] = {}
        self._spare: _Shared | None = None
        self._again: tuple[int, SubmissionProcess] | None = None
        self._starts = 0
        self._reached = 0
        self._deadline = deadline
        self.closed = False

    def run_before(self, place: int, *, hold: bool = True) -> list[CellRun | None]:
        """Run the cells before `place` that have not been run; None stands for those where an exercise is judged.

        Snapshots of states that later cells change are kept, unless `hold` is false.
        """
        places = range(self._reached, place)
        self._reached = max(self._reached, place)
        return [self._visit(place, self._job.cells[place], hold) for place in places]

    def reach(self, place: int) -> None:
        """Run the cells that make the state of the exercise at `place`, and of all that find the same."""
        self.run_before(self._last_like(place), hold=False)

    def process_at(self, place: int) -> Process:
        """A process in the state of the notebook at `place`, as if nobody had asked it yet.

        Give it back with `give_back`, or close it.
        """
        state, narrowed = self._states[place], _narrowed(self._wanted[place])
        spare, self._spare = self._spare, None
        if spare is not None and (spare.state, spare.narrowed) == (state, narrowed) and not spare.process.has_ended():
            self._lent[spare.process] = spare
            return spare.process
        if spare is not None:
            spare.process.close()
        process = self._unshared_at(place)
        if self._is_wanted_after(place) and process.is_as_it_was():  # which it will be asked again
            self._lent[process] = _Shared(state, narrowed, process, process.memory())
        return process

    def give_back(self, process: Process, *, interrupted: bool) -> None:
        """Take back a process of `process_at`, for the next exercise if that may have it."""
        shared = self._lent.pop(process, None)
        if not process.runs_alone():
            self.start_over()
        if shared is None or interrupted or self.closed or not shared.is_fit():
            process.close()
        else:
            self._spare = shared

    def start_over(self) -> None:
        """End all processes, with what exercises have left in memory and on disk; the cells are run again if needed."""
        self._lent.clear()
        self._end_snapshots()
        self._end_again()
        self._end_process()

    def ranks_at(self, place: int, count: int) -> tuple[list[Process], str]:
        """`count` processes in the state at `place` that can send messages to each other, and their home.

        The caller closes them.
        """
        process = self._unasked_at(place)
        return process.ranks(_narrowed(self._wanted[place]), count), process.home

    def seconds_left(self) -> float:
        """How long the notebook may still take."""
        return self._deadline - time.monotonic()

    def close(self) -> None:
        """End all processes."""
        self.closed = True
        self.start_over()

    # ----------------------------------------------------------------------------------------------- cells

    def _visit(self, place: int, cell: CellJob, hold: bool) -> CellRun | None:
        if cell.exercise is None:
            return self._run_cell(place, cell)
        if hold and place in self._wanted and place == self._last_like(place):
            self._hold(place)
        return None

    def _run_cell(self, place: int, cell: CellJob) -> CellRun:
        try:
            process = self._ready(place)
            answer = process.run_cell(cell.source, self._seconds(cell), self._allowance.output, place + 1)
        except TimeLimitExceeded:
            self._end_process()
            return self._stopped("CellTimeoutError", "cell-time-limit", seconds=f"{cell.seconds:g}")
        except LimitExceeded as failure:
            self._end_process()
            return self._over(failure.limit)
        except SubmissionFailure:
            used = self._process.processor_seconds() if self._process else 0.0
            self._end_process()
            if used >= self._allowance.cpu_seconds:
                return self._over("cpu_seconds")
            exhausted = self._starts > MAX_RESTARTS or self.seconds_left() <= 0
            return self._stopped("DeadKernelError", "cell-not-run" if exhausted else "cell-ended")
        if _limit_behind(answer) == "processes":
            self._end_process()  # those that it did start would be in the way of all that follows
        else:
            self._done[place] = cell
        return self._cell_run(cell, answer)

    def _cell_run(self, cell: CellJob, answer: Message) -> CellRun:
        outputs = tuple(cast("dict[str, Any]", output) for output in cast("list[object]", answer["outputs"]))
        count = answer.get("execution_count")
        count = count if type(count) is int and count >= 0 else None
        told = None
        if answer.get("interrupted"):
            told = self._stopped("CellTimeoutError", "cell-time-limit", seconds=f"{cell.seconds:g}")
        elif (limit := _limit_behind(answer)) is not None:
            told = self._over(limit)
        return CellRun(outputs + (told.outputs if told else ()), count, repeatable=told is None)

    def _over(self, limit: str) -> CellRun:
        """What stands for a cell that went over a limit."""
        return self._stopped("ResourceLimitError", f"limit-{limit}", limit=self._allowance.told(limit))

    def _stopped(self, name: str, code: str, **facts: str) -> CellRun:
        """What stands for a cell that gave no outputs."""
        sentence = finding(code, **facts).text.get(self._job.language)
        error = {"output_type": "error", "ename": name, "evalue": sentence, "traceback": [f"{name}: {sentence}"]}
        return CellRun((error,), repeatable=False)

    def _seconds(self, cell: CellJob) -> float:
        if self.seconds_left() <= 0:
            raise ProcessEnded("the notebook used up its time")
        return min(cell.seconds, self.seconds_left())

    # ------------------------------------------------------------------------------------------- processes

    def _last_like(self, place: int) -> int:
        """The last place where an exercise is judged in the same state as at `place`."""
        return max(other for other in self._wanted if self._states[other] == self._states[place])

    def _is_wanted_after(self, place: int) -> bool:
        """Whether a later exercise finds the same state, which a process without accelerators can be shared by."""
        return not self._accelerators.told and place < self._last_like(place)

    def _hold(self, place: int) -> None:
        """Keep a snapshot of the present state if later cells change it; without one, the cells are run again."""
        if self._states[place] == self._states[-1]:
            return
        try:
            process = self._ready(place)
            if self._can_copy(process):
                self._snapshots[self._states[place]] = process.snapshot(_narrowed(self._wanted[place]))
        except SubmissionFailure:
            self._end_process()

    def _unshared_at(self, place: int) -> Process:
        """A process in the state at `place` that nobody has asked yet."""
        snapshot = self._snapshots.pop(self._states[place], None)
        if snapshot is not None and not snapshot.has_ended():
            return snapshot
        if snapshot is not None:
            snapshot.close()
        process = self._unasked_at(place)
        if self._can_copy(process):
            return process.snapshot(_narrowed(self._wanted[place]))
        if process is self._process:
            return self._start(self._last_like(place))
        self._again = None
        return process

    def _unasked_at(self, place: int) -> SubmissionProcess:
        """A process in the state at `place` that is only copied: the notebook's, or one that runs the cells again.

        Of the latter there is one at a time, for all that is asked in a state.
        """
        state = self._states[place]
        if self._process is not None and not self._process.has_ended() and self._states[self._reached] == state:
            return self._process
        if self._again is None or self._again[0] != state or self._again[1].has_ended():
            self._end_again()
            self._again = state, self._start(self._last_like(place))
        return self._again[1]

    def _end_snapshots(self) -> None:
        spare = [self._spare.process] if self._spare else []
        for snapshot in (*self._snapshots.values(), *spare):
            snapshot.close()
        self._snapshots.clear()
        self._spare = None

    def _end_again(self) -> None:
        if self._again is not None:
            self._again[1].close()
            self._again = None

    def _can_copy(self, process: SubmissionProcess) -> bool:
        return self._accelerators.can_fork and process.can_fork()

    def _ready(self, place: int) -> SubmissionProcess:
        """The process of this notebook, in the state that its cells before `place` have made."""
        if self._process is None or not self._process.alive:
            self._end_process()
            self._starts += 1
            if self._starts > MAX_RESTARTS:
                raise ProcessEnded("the process ended too often")
            self._process = self._start(place)
        return self._process

    def _start(self, place: int) -> SubmissionProcess:
        """Start a process and run the cells before `place` in it, as far as they did not end theirs."""
        name = self._job.assignment or (self._job.files.name if self._job.files else "notebook")
        confinement = self._confinement(name, tempfile.mkdtemp(dir=self._folder))
        process = self._zygote.start(confinement, SEED, self._job.files, self._read_only)
        try:
            if self._accelerators.told:
                _tell(process, self._accelerators)
            for earlier, cell in self._done.items():
                if earlier < place:
                    process.run_cell(cell.source, self._seconds(cell), self._allowance.output, earlier + 1)
        except (SubmissionFailure, EngineError):
            process.close()
            raise
        return process

    def _end_process(self) -> None:
        if self._process is not None:
            self._process.close()
            self._process = None

    def _confinement(self, name: str, folder: str) -> Confinement:
        """What the process of the notebook may use."""
        return Confinement(
            name=name,
            folder=folder,
            memory=self._allowance.memory,
            cpu_seconds=math.ceil(self._allowance.cpu_seconds),
            processes=self._allowance.processes + len(self._wanted) + OWN_PROCESSES,  # the snapshots are ours
            disk=self._allowance.disk,
            files=self._allowance.files,
            programs=self._allowance.subprocesses,
        )


def _tell(process: SubmissionProcess, accelerators: Accelerators) -> None:
    """Let a process that has run nothing yet have its accelerators; raises `EngineError` when it cannot."""
    request: Message = {"do": "accelerators", "count": accelerators.count, "real": accelerators.real}
    error = process.request(request, START_SECONDS).get("error")
    if isinstance(error, dict):
        raise EngineError(
            f"a submission process could not get {accelerators.count} accelerators: {error.get('text')!r}"
        )


def _limit_behind(answer: Message) -> str | None:
    """The key of the limit that the error tells of that a cell ended with, or None."""
    *_, last = [{}, *cast("list[dict[str, Any]]", answer["outputs"])]
    return limit_behind(f"{last.get('ename')}: {last.get('evalue')}") if last.get("output_type") == "error" else None


def _narrowed(allowance: Allowance) -> Narrowed:
    """What a snapshot may use that answers for one exercise."""
    return Narrowed(allowance.memory, math.ceil(allowance.cpu_seconds), allowance.subprocesses)
