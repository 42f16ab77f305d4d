"""What nbgrader does around execution: the time of a submission through autograde when running its cells takes none.

    python -m bench.pipeline [exercises students rounds]

A class is graded by nbgrader's converter in this process, with results that are known beforehand in the place of the
workers. Each round grades it for the first time and again, with the fast path and without in turn, so that a busy
machine slows both alike. Printed are medians per submission: wall clock, and processor time, which other programs on
the machine change less.
"""

from __future__ import annotations

import logging
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from concurrent.futures import Future
from pathlib import Path
from unittest import mock

from nbgrader.converters import Autograde
from nbgrader.coursedir import CourseDirectory
from traitlets.config import Config

from tensorgrade.bridge import configuration
from tensorgrade.bridge.grade import POOL
from tensorgrade.course import Course
from tensorgrade.job import CellRun, Graded, Job
from tensorgrade.verdict import ClauseVerdict, Status, Verdict
from tests.nbgrader_course import NbgraderCourse, cell_of


def main(exercises: int, students: int, rounds: int) -> None:
    """Measure and print."""
    warnings.simplefilter("ignore")  # nbgrader 0.9.6 uses what SQLAlchemy 2 calls legacy
    logging.disable(logging.CRITICAL)
    times: dict[tuple[str, bool], list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        course = a_class(Path(folder) / "course", exercises, students)
        for number in range(rounds):
            for fast in (True, False):
                copy = Path(folder) / f"{number}-{fast}"
                shutil.copytree(course.root, copy)
                for name in ("first", "again"):
                    begin = (time.perf_counter(), time.process_time())
                    grade(copy, fast=fast)
                    end = (time.perf_counter(), time.process_time())
                    times.setdefault((name, fast), []).append(
                        tuple((after - before) * 1000 / students for before, after in zip(begin, end, strict=True))
                    )
                shutil.rmtree(copy)
    print(f"{exercises} exercises, {students} submissions, {rounds} rounds: milliseconds per submission")
    print(f"{'run':8}{'fast path':>12}{'wall':>10}{'processor':>12}")
    for (name, fast), pairs in sorted(times.items(), key=lambda item: item[0][0] == "again"):
        wall, processor = (statistics.median(values) for values in zip(*pairs, strict=True))
        print(f"{name:8}{'on' if fast else 'off':>12}{wall:10.1f}{processor:12.1f}")


def a_class(root: Path, exercises: int, students: int) -> NbgraderCourse:
    """Make a course of which every student has solved some exercises."""
    names = [f"task{chr(ord('a') + number)}" for number in range(exercises)]
    course = NbgraderCourse.small(root, dict.fromkeys(names))
    course.build()
    for student in range(students):
        notebook = course.released("demo")
        for number, name in enumerate(names):
            answer = 42 if (student + number) % 3 else 41
            cell_of(notebook, name).source = f"def {name}():\n    return {answer}\n\nprint('student {student}')"
        course.submit(f"student-{student:03}", notebook, "demo")
    return course


def grade(root: Path, *, fast: bool) -> None:
    """Run nbgrader's autograde over the class."""
    config = configuration(Course(root), Config())
    config.SubmissionExporter.fast = fast
    converter = Autograde(coursedir=CourseDirectory(config=config, assignment_id="demo"), config=config)
    converter.force = True
    with mock.patch.multiple(POOL, prepare=lambda *_: "C", warm_up=lambda *_: None, submit=submit):
        converter.start()


def submit(job: Job) -> Future[Graded]:
    """Stands for the workers."""
    future: Future[Graded] = Future()
    future.set_result(known(job))
    return future


def known(job: Job) -> Graded:
    """Return a result without running anything: every third exercise is wrong."""
    places = [cell.exercise for cell in job.cells]
    shown = CellRun(({"output_type": "stream", "name": "stdout", "text": "student\n"},), 1)
    verdicts = {
        name: Verdict(name, "Demo", job.language, (clause(passed=number % 3 > 0),))
        for number, name in enumerate(filter(None, places))
    }
    return Graded(tuple(None if name else shown for name in places), verdicts)


def clause(*, passed: bool) -> ClauseVerdict:
    """Return the verdict on the one clause of each exercise."""
    if passed:
        return ClauseVerdict("values", "the answer", 2.0, Status.PASSED)
    return ClauseVerdict("values", "the answer", 2.0, Status.FAILED, "value", "The value is not the expected one.")


if __name__ == "__main__":
    main(*(int(given) for given in sys.argv[1:])) if len(sys.argv) == 4 else main(16, 30, 3)
