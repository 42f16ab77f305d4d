"""Grading a class: nbgrader alone against nbgrader with tensorgrade, on the same notebooks, in one call.

    python bench/autograde.py [students] [--many N] [--json FILE]

The class is of one assignment, the one with the most exercises; its notebooks hold the solutions and the accepted and
rejected answers in turn, each made different, so that nothing is known from another student. Stock nbgrader runs the
visible examples only; tensorgrade runs all hidden graders. Every measurement is a command in a process of its own, as a
person would run it:

    a  from scratch      b  again with --force and nothing changed     c  after a grader has changed
    d  one submission alone, from scratch (cold) and in a run that has begun (warm)
    e  with --many N, time and memory for N submissions beside those of the class

Machines are noisy: what counts are the ratios, which are of one run.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from importlib.metadata import version
from pathlib import Path

import nbformat

from tensorgrade.course import Course
from tensorgrade.usage import descendants_of

REPOSITORY = Path(__file__).parent.parent
STOCK = "c = get_config()\nc.CourseDirectory.source_directory = 'source'\nc.Execute.timeout = 60\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", type=int, nargs="?", default=30)
    parser.add_argument("--many", type=int, default=0, help="also measure a class of so many")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "bench" / "results.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), options.students, options.many)
    options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for name, value in results.items():
        print(f"{name:32} {value if isinstance(value, str) else round(value, 2)}")


def measure(folder: Path, students: int, many: int) -> dict[str, object]:
    """All measurements, by name; seconds unless the name says otherwise."""
    ours, assignment = make_class(folder / "ours", students)
    stock, _ = make_class(folder / "stock", students)
    (stock / "nbgrader_config.py").write_text(STOCK)
    shutil.rmtree(stock / "graders")
    run(ours, "tensorgrade.cli", "build", assignment)
    run(ours, "tensorgrade.cli", "cache", "--clear")
    shutil.copytree(ours / "source", stock / "source")
    run(stock, "nbgrader", "generate_assignment", assignment, "--force")
    for name in submissions(ours, assignment):
        shutil.copy(ours / name, stock / name)
    before, _ = run(stock, "nbgrader", "autograde", assignment)
    scratch, memory = run(ours, "nbgrader", "autograde", assignment)
    again, _ = run(ours, "nbgrader", "autograde", assignment, "--force")
    grader = next((ours / "graders" / assignment).glob("test_*.py"))
    grader.write_text(grader.read_text() + "\n# changed\n")
    changed, _ = run(ours, "nbgrader", "autograde", assignment, "--force")
    student = sorted(path.name for path in (ours / "submitted").iterdir())[0]
    one = ("autograde", assignment, "--force", f"--student={student}", "--GradeSubmission.cache=False")
    alone, _ = run(ours, "nbgrader", *one)
    results: dict[str, object] = {
        "autograde_vs_stock": before / scratch,
        "stock": before,
        "ours_from_scratch": scratch,
        "seconds_per_submission": scratch / students,
        "ours_again": again,
        "again_vs_from_scratch": scratch / again,
        "ours_after_a_grader_changed": changed,
        "one_submission_cold": alone,
        "peak_memory_mib": memory / 2**20,
        "students": students,
        "exercises": len(Course(ours).load(assignment).exercises),
        "assignment": assignment,
    }
    if many:
        large, _ = make_class(folder / "large", many)
        run(large, "tensorgrade.cli", "build", assignment)
        seconds, memory = run(large, "nbgrader", "autograde", assignment)
        results |= {
            "many": many,
            "seconds_per_submission_many": seconds / many,
            "peak_memory_mib_many": memory / 2**20,
            "one_submission_warm": (seconds - scratch) / (many - students),
        }
    return results | machine()


def make_class(root: Path, students: int) -> tuple[Path, str]:
    """A copy of the course with a class of so many; returns its folder and the assignment with the most exercises."""
    root.mkdir(parents=True)
    for name in ("assignments", "graders", "release"):
        shutil.copytree(REPOSITORY / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(REPOSITORY / "nbgrader_config.py", root)
    course = Course(root)
    assignment = max(map(course.load, course.assignment_names()), key=lambda one: len(one.exercises))
    answers = {
        exercise.name: [
            exercise.solution,
            *exercise.accept.values(),
            *(wrong.code for wrong in exercise.reject.values()),
        ]
        for exercise in assignment.exercises
    }
    for number in range(students):
        notebook = nbformat.read(course.release_notebook(assignment.name), as_version=4)
        for cell in notebook.cells:
            name = cell.metadata.get("nbgrader", {}).get("grade_id")
            if name in answers:
                cell.source = f"# student {number}\n{answers[name][number % len(answers[name])]}"
        file = root / "submitted" / f"s{number:04}" / assignment.name / f"{assignment.name}.ipynb"
        file.parent.mkdir(parents=True)
        nbformat.write(notebook, file)
    return root, assignment.name


def submissions(root: Path, assignment: str) -> list[Path]:
    """The submitted notebooks, relative to the course."""
    return [path.relative_to(root) for path in root.glob(f"submitted/*/{assignment}/*.ipynb")]


def run(root: Path, *command: str) -> tuple[float, int]:
    """Run a Python module in a course; returns its seconds, and the most memory its processes had (PSS, bytes)."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("JUPYTER", "NBGRADER", "PYTEST"))}
    programs = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # stock nbgrader looks for alembic there
    begin = time.perf_counter()
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=root,
            env={**kept, "HOME": str(root), "PYTHONWARNINGS": "ignore", "PATH": programs},
            stdout=said,
            stderr=said,
        ) as process,
    ):
        peak = _Peak(process.pid)
        status = process.wait()
        seconds = time.perf_counter() - begin
        peak.stop()
        said.seek(0)
        if status:
            sys.exit(f"{' '.join(command)} failed:\n{said.read().decode()[-3000:]}")
    return seconds, peak.memory


class _Peak:
    """Looks from time to time at the memory of a process and all its descendants."""

    def __init__(self, pid: int) -> None:
        self.memory = 0
        self._pid = pid
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(1.0):
            self.memory = max(self.memory, sum(map(_memory, {self._pid, *descendants_of(self._pid)})))


def _memory(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0
    return int(text.split("Pss:")[1].split()[0]) << 10 if "Pss:" in text else 0


def machine() -> dict[str, object]:
    """What it was measured on."""
    packages = ("tensorgrade", "nbgrader", "torch")
    return {
        "python": platform.python_version(),
        **{name: version(name) for name in packages},
        "processors": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release(),
        "descriptors": str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]),
    }


if __name__ == "__main__":
    main()
