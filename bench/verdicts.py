"""What a verdict costs: CPU and wall time of judging each exercise of an assignment, without running its cells.

    python bench/verdicts.py [assignment ...] [--rounds N] [--answer solution|starter] [--profile]

Each round grades a notebook with that answer to every exercise of the assignment, in a process that has warmed up and
without the store. `worker` is the CPU time of the process that judges, `submission` that of the snapshots which it
asks, the student's functions included (other machines are kept for the exercises that follow, and are not counted).
`requests` counts the round trips, `calls` what was called or probed in them. Printed are medians. With ``--profile``
there follows what the worker does; the times above it are then longer.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import torch

from tensorgrade import runner
from tensorgrade.course import Course
from tensorgrade.exercise import Assignment
from tensorgrade.grading import warm_up
from tensorgrade.job import CellJob, Job
from tensorgrade.late import LateImports, needed_by
from tensorgrade.processes import Process, SubmissionProcess, process_id
from tensorgrade.supervisor import open_zygote

COURSE = Course(Path(__file__).parents[1])
_COLUMNS = ("wall", "worker", "submission", "requests", "calls")


@dataclass
class Clock:
    """Counts what each verdict costs; times in milliseconds."""

    profile: cProfile.Profile | None = None
    costs: dict[str, list[dict[str, float]]] = field(default_factory=dict)
    current: Counter[str] = field(default_factory=Counter)

    def judge(self, judge: Callable[..., Any]) -> Callable[..., Any]:
        """`judge`, counted."""

        def counted(exercise: Any, grader: Path, machine: Any, *arguments: Any, **keywords: Any) -> Any:
            self.current.clear()
            wall, worker = time.perf_counter(), time.process_time()
            with self.profile or nullcontext():
                verdict = judge(exercise, grader, machine, *arguments, **keywords)
                machine.close()
            self.current["wall"] = 1000 * (time.perf_counter() - wall)
            self.current["worker"] = 1000 * (time.process_time() - worker)
            self.costs.setdefault(exercise.id, []).append(dict(self.current))
            return verdict

        return counted

    def send(self, send: Callable[..., Any]) -> Callable[..., Any]:
        """`Process.request` or `Process.begin`, counted."""

        def counted(process: Process, message: Any, *arguments: Any, **keywords: Any) -> Any:
            self.current["requests"] += 1
            self.current["calls"] += len(message.get("parcels", [None]))
            return send(process, message, *arguments, **keywords)

        return counted

    def close(self, close: Callable[..., Any]) -> Callable[..., Any]:
        """`Process.close`, which tells what a snapshot has used."""

        def counted(process: Process) -> None:
            if process._handle >= 0 and not isinstance(process, SubmissionProcess):
                self.current["submission"] += _cpu_milliseconds(process_id(process._handle))
            close(process)

        return counted


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("assignments", nargs="*", default=COURSE.assignment_names())
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--answer", choices=["solution", "starter"], default="solution")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)  # as in workers
    warm_up()
    clock = Clock()
    profile = cProfile.Profile() if options.profile else None
    with (
        mock.patch.object(runner, "judge", clock.judge(runner.judge)),
        mock.patch.object(Process, "request", clock.send(Process.request)),
        mock.patch.object(Process, "begin", clock.send(Process.begin)),
        mock.patch.object(Process, "close", clock.close(Process.close)),
    ):
        for name in options.assignments:
            with open_zygote("auto") as zygote:
                job = notebook(COURSE.load(name), options.answer)
                zygote.preload(LateImports.of(COURSE, name).submissions + needed_by(cell.source for cell in job.cells))
                for round_ in range(options.rounds + 1):  # the first one warms up
                    clock.profile = profile if round_ else None
                    runner.grade(job, zygote)
    print(f"{'exercise':26}" + "".join(f"{column:>12}" for column in _COLUMNS) + f"   ({options.rounds} rounds)")
    total: Counter[str] = Counter()
    for exercise, costs in clock.costs.items():
        middle = {column: statistics.median(cost.get(column, 0) for cost in costs[1:]) for column in _COLUMNS}
        total.update(middle)
        print(f"{exercise:26}" + "".join(f"{middle[column]:12.1f}" for column in _COLUMNS))
    print(f"{'together':26}" + "".join(f"{total[column]:12.1f}" for column in _COLUMNS))
    if profile is not None:
        pstats.Stats(profile).sort_stats("tottime").print_stats(40)


def notebook(assignment: Assignment, answer: str) -> Job:
    """A notebook with this answer to every exercise."""
    cells = [CellJob(assignment.settings.setup, 60)]
    for exercise in assignment.exercises:
        cells += [CellJob(getattr(exercise, answer), 60), CellJob("", 60, exercise.name)]
    return Job(tuple(cells), COURSE.root, assignment.name, "en", None, 600, cache=False)


def _cpu_milliseconds(pid: int) -> float:
    """The CPU time of the main thread of a process."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6
    except OSError:
        return 0.0


if __name__ == "__main__":
    main()
