"""What a verdict costs: CPU and wall time of judging each exercise of the flagship course, without running its cells.

    python bench/verdicts.py [rounds] [--profile]

Each round judges the solution and the starter of every exercise, in a process that has warmed up. `worker` is the CPU
time of the process that judges, `submission` that of the snapshot which it asks, the student's functions included.
Printed are medians. With ``--profile`` there follows what the worker does; the times above it are then longer.
"""

from __future__ import annotations

import cProfile
import pstats
import statistics
import sys
import tempfile
import time
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

from tensorgrade.course import Course
from tensorgrade.exercise import Assignment, Exercise
from tensorgrade.grading import judge, warm_up
from tensorgrade.limits import Allowance
from tensorgrade.processes import Process, SubmissionProcess
from tensorgrade.sandbox import Confinement, Narrowed
from tensorgrade.supervisor import Zygote, open_zygote

COURSE = Course(Path(__file__).parents[1])


@dataclass(frozen=True)
class Cost:
    """Milliseconds of one verdict."""

    wall: float
    worker: float
    submission: float


class Snapshot:
    """The machine of these verdicts: one snapshot of a submission process, which counts the CPU time it takes."""

    def __init__(self, process: SubmissionProcess, allowance: Allowance) -> None:
        self.allowance = allowance
        self.seconds = 0.0
        self._submission = process
        self._snapshot: Process | None = None

    def request(self, message):
        """Ask the snapshot."""
        if self._snapshot is None:
            self._snapshot = self._submission.snapshot(Narrowed(self.allowance.memory, 60))
        return self._snapshot.request(message, self.allowance.seconds, self.allowance.result)

    def discard(self):
        """End the snapshot, if there is one."""
        if self._snapshot is not None:
            self.seconds += self._snapshot.processor_seconds()
            self._snapshot.close()
            self._snapshot = None

    def with_accelerators(self, count):
        """The same machine: the flagship's graders ask for none."""
        assert count == 0
        return self


def main(rounds: int, profile: cProfile.Profile | None) -> None:
    """Measure and print."""
    warm_up()
    assignments = [COURSE.load(name) for name in COURSE.assignment_names()]
    costs: dict[tuple[str, str], list[Cost]] = {}
    with open_zygote("auto") as zygote:
        for round_ in range(rounds + 1):
            for assignment in assignments:
                for exercise in assignment.exercises:
                    for answer in ("solution", "starter"):
                        cost = judged(zygote, assignment, exercise, answer, profile if round_ else None)
                        if round_:  # the first one warms up
                            costs.setdefault((exercise.id, answer), []).append(cost)
    print(f"{'exercise':16}{'answer':10}{'wall ms':>10}{'worker ms':>12}{'submission ms':>16}   ({rounds} rounds)")
    for (exercise, answer), values in costs.items():
        middle = [
            statistics.median(getattr(cost, name) for cost in values) for name in ("wall", "worker", "submission")
        ]
        print(f"{exercise:16}{answer:10}{middle[0]:10.1f}{middle[1]:12.1f}{middle[2]:16.1f}")
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(30)


def judged(
    zygote: Zygote, assignment: Assignment, exercise: Exercise, answer: str, profile: cProfile.Profile | None
) -> Cost:
    """Run the cells of an answer and judge it once; the cost is that of judging."""
    grader = COURSE.grader_file(assignment.name, exercise.name)
    with tempfile.TemporaryDirectory() as folder:
        process = zygote.start(Confinement("bench", folder, memory=1 << 30, cpu_seconds=60), seed=0)
        for cell in (assignment.settings.setup, getattr(exercise, answer)):
            process.run_cell(cell, seconds=10.0, output_limit=1000)
        machine = Snapshot(process, exercise.limits.allowance())
        wall, worker = time.perf_counter(), time.process_time()
        with profile or nullcontext():
            judge(exercise, grader, machine, "en")
            machine.discard()
        wall, worker = time.perf_counter() - wall, time.process_time() - worker
        process.close()
    return Cost(1000 * wall, 1000 * worker, 1000 * machine.seconds)


if __name__ == "__main__":
    arguments = [argument for argument in sys.argv[1:] if argument != "--profile"]
    main(int(arguments[0]) if arguments else 20, cProfile.Profile() if "--profile" in sys.argv else None)
