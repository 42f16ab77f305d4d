"""Where the time of one submission goes, part by part.

    python bench/parts.py [students]

A class of the assignment with the most exercises is graded in this process, one submission after the other, with a
zygote that is warm. Each part is the time spent in it and in nothing that is another part, in milliseconds of wall
clock per submission; the first submission, which warms up, is left out.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, chdir, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

from autograde import make_class, run
from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from tensorgrade import runner
from tensorgrade.bridge import configuration
from tensorgrade.bridge.ahead import Ahead
from tensorgrade.bridge.grade import POOL
from tensorgrade.course import Course
from tensorgrade.execution import Execution
from tensorgrade.grading import warm_up
from tensorgrade.job import Graded, Job
from tensorgrade.late import LateImports, needed_by
from tensorgrade.machines import NotebookMachine
from tensorgrade.precedents import Precedents
from tensorgrade.processes import SubmissionProcess
from tensorgrade.results import Results
from tensorgrade.supervisor import Zygote, ZygoteHandle, open_zygote

PARTS: dict[str, tuple[tuple[object, str], ...]] = {
    "nbgrader: copy, read and repair the notebook": ((Ahead, "_prepare"),),
    "nbgrader: write the notebook, save the scores": ((Ahead, "_grade"),),
    "store: keys, look up, keep": (
        *((Results, name) for name in ("__init__", "complete", "runs", "verdict", "keep_runs", "keep_verdicts")),
    ),
    "start: fork and confine a process": ((ZygoteHandle, "start"),),
    "run the cells": ((SubmissionProcess, "run_cell"),),
    "snapshots: a fork for each exercise": ((SubmissionProcess, "snapshot"),),
    "judge: the submission computes, and the way to it": ((NotebookMachine, "request"),),
    "judge: pytest, inputs, expected values, checks": ((runner, "judge"),),
    "end: kill the processes, remove the folder": ((Execution, "close"),),
    "the rest of the worker": ((runner, "grade"),),
}


class Clock:
    """Adds up the time of each part, without that of parts within it."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._inner = [0.0]

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        """Count this time for `part`."""
        begin = time.perf_counter()
        self._inner.append(0.0)
        try:
            yield
        finally:
            whole = time.perf_counter() - begin
            self.seconds[part] += whole - self._inner.pop()
            self._inner[-1] += whole

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function`, whose time counts for `part`."""

        def replacement(*arguments: Any, **keywords: Any) -> Any:
            with self.timing(part):
                return function(*arguments, **keywords)

        return replacement


def main(students: int) -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")  # nbgrader 0.9.6 uses what SQLAlchemy 2 calls legacy
    logging.disable(logging.CRITICAL)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as replacements:
        root, assignment = make_class(Path(folder, "course"), students + 1)
        run(root, "tensorgrade.cli", "build", assignment)
        zygote = replacements.enter_context(open_zygote("auto"))
        notebooks = (file.read_text() for file in root.glob(f"submitted/*/*/{assignment}.ipynb"))
        zygote.preload(LateImports.of(Course(root), assignment).submissions + needed_by(notebooks))
        warm_up()
        clock = Clock()
        for part, functions in PARTS.items():
            for owner, name in functions:
                replacement = clock.timed(part, getattr(owner, name))
                replacements.enter_context(mock.patch.object(owner, name, replacement))
        seconds = grade(root, assignment, zygote, clock)
        exercises = len(Course(root).load(assignment).exercises)
    clock.seconds["the rest of nbgrader"] = seconds - sum(clock.seconds.values())
    print(
        f"{assignment}: {exercises} exercise(s), {students} submissions, tier {zygote.tier}, load {os.getloadavg()[0]}"
    )
    print(f"{'part':52}{'ms':>8}{'share':>8}")
    for part in (*PARTS, "the rest of nbgrader"):
        print(f"{part:52}{1000 * clock.seconds[part] / students:8.1f}{clock.seconds[part] / seconds:8.0%}")
    print(f"{'together':52}{1000 * seconds / students:8.1f}")


def grade(root: Path, assignment: str, zygote: Zygote, clock: Clock) -> float:
    """Run autograde with the workers' part in this process; the seconds since the first submission was done."""
    begin = time.perf_counter()
    done = 0
    precedents = Precedents()

    def submit(job: Job) -> Future[Graded]:
        nonlocal begin, done
        future: Future[Graded] = Future()
        future.set_result(runner.grade(job, zygote, precedents=precedents))
        done += 1
        if done == 1:
            clock.seconds.clear()
            begin = time.perf_counter()
        return future

    config = configuration(Course(root), Config())
    config.GradeSubmission.ahead = 0
    converter = Autograde(coursedir=CourseDirectory(config=config, assignment_id=assignment), config=config)
    with chdir(root), mock.patch.multiple(POOL, prepare=lambda *_: zygote.tier, warm_up=lambda *_: None, submit=submit):
        converter.start()
    return time.perf_counter() - begin


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 30)
