"""Grading a class: nbgrader alone against nbgrader with tensorgrade, on the same notebooks, in one call.

    python bench/autograde.py [students] [--many N] [--otter PYTHON] [--json FILE]

The class is of one assignment, the one with the most exercises; its notebooks hold the solutions and the accepted and
rejected answers in turn, each made different, so that nothing is known from another student. Stock nbgrader runs the
visible examples only; tensorgrade runs all hidden graders. Every measurement is a command in a process of its own, as a
person would run it:

    a  from scratch      b  again with --force and nothing changed     c  after a grader has changed
    d  one submission alone, from scratch (cold, also by `tensorgrade grade`) and in a run that has begun (warm)
    e  with --many N, time and memory for N submissions beside those of the class
    f  with --otter, the Python of an environment with otter-grader, ipykernel and torch: `otter run` on one question

The visible examples are also run as stock nbgrader's notebooks are, by tensorgrade: their scores must be equal.
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
import textwrap
import time
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import nbformat
from nbgrader.api import Gradebook

from tensorgrade.course import Course
from tensorgrade.usage import descendants_of

REPOSITORY = Path(__file__).parent.parent
STOCK = "c = get_config()\nc.CourseDirectory.source_directory = 'source'\nc.Execute.timeout = 60\n"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("students", type=int, nargs="?", default=30)
    parser.add_argument("--many", type=int, default=0, help="also measure a class of so many")
    parser.add_argument("--otter", type=Path, help="a Python that has otter-grader, ipykernel and torch")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "bench" / "results.json")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), options.students, options.many, options.otter)
    options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    for name, value in results.items():
        print(f"{name:36} {round(value, 3) if isinstance(value, float) else value}")
    if results["visible_scores_equal"] is not True:
        sys.exit("stock nbgrader and tensorgrade give different scores for the visible examples")


def measure(folder: Path, students: int, many: int, otter: Path | None) -> dict[str, object]:
    """All measurements, by name; seconds unless the name says otherwise."""
    ours, assignment = make_class(folder / "ours", students)
    run(ours, "tensorgrade.cli", "build", assignment)
    stock = stock_course(folder / "stock", ours, assignment)
    before = run(stock, "nbgrader", "autograde", assignment)
    scratch = run(ours, "nbgrader", "autograde", assignment)
    again = run(ours, "nbgrader", "autograde", assignment, "--force")
    grader = next((ours / "graders" / assignment).glob("test_*.py"))
    grader.write_text(grader.read_text() + "\n# changed\n")
    changed = run(ours, "nbgrader", "autograde", assignment, "--force")
    student = sorted(path.name for path in (ours / "submitted").iterdir())[0]
    computing = ("autograde", assignment, "--force", "--GradeSubmission.cache=False")
    alone = run(ours, "nbgrader", *computing, f"--student={student}")
    watched = run(ours, "tensorgrade.cli", "grade", assignment, "--force", "--no-cache", f"--student={student}")
    memory = memory_of_class(ours, assignment)
    results: dict[str, object] = {
        "autograde_vs_stock": before / scratch,
        "visible_scores_equal": visible_scores(stock, assignment) == scores_of_examples(folder, stock, assignment),
        "stock": before,
        "ours_from_scratch": scratch,
        "stock_seconds_per_submission": before / students,
        "seconds_per_submission": scratch / students,
        "ours_again": again,
        "again_vs_from_scratch": scratch / again,
        "ours_after_a_grader_changed": changed,
        "one_submission_cold": alone,
        "one_submission_cold_by_tensorgrade_grade": watched,
        "one_submission_warm": (scratch - alone) / (students - 1),
        "students": students,
        "exercises": len(Course(ours).load(assignment).exercises),
        "assignment": assignment,
        **memory.to_json(),
    }
    if many:
        large, _ = make_class(folder / "large", many)
        run(large, "tensorgrade.cli", "build", assignment)
        seconds = run(large, "nbgrader", "autograde", assignment)
        again_many = run(large, "nbgrader", "autograde", assignment, "--force")
        memory = memory_of_class(large, assignment)
        results |= {
            "many": many,
            "many_seconds_per_submission": seconds / many,
            "many_vs_stock_per_submission": (before / students) / (seconds / many),
            "many_again": again_many,
            "many_again_vs_from_scratch": seconds / again_many,
            "many_vs_class_per_submission": (seconds / many) / (scratch / students),
            **{f"many_{name}": value for name, value in memory.to_json().items()},
        }
    if otter is not None:
        seconds = otter_run(folder / "otter", otter)
        results |= {"otter_one_question": seconds, "otter_vs_one_submission_cold": seconds / alone}
    return results | machine()


def stock_course(root: Path, ours: Path, assignment: str) -> Path:
    """The same class as an ordinary course of nbgrader's, with the visible examples for its tests."""
    root.mkdir()
    (root / "nbgrader_config.py").write_text(STOCK)
    for name in ("source", "submitted"):
        shutil.copytree(ours / name, root / name)
    run(root, "nbgrader", "generate_assignment", assignment, "--force")
    return root


def visible_scores(root: Path, assignment: str) -> dict[str, float]:
    """The score of each student in the gradebook."""
    with Gradebook(f"sqlite:///{root}/gradebook.db") as gradebook:
        return {one.student.id: one.score for one in gradebook.assignment_submissions(assignment)}


def scores_of_examples(folder: Path, stock: Path, assignment: str) -> dict[str, float]:
    """The scores that tensorgrade gives for the ordinary course."""
    root = folder / "ordinary"
    shutil.copytree(stock, root, ignore=shutil.ignore_patterns("autograded", "gradebook.db", "release"))
    (root / "assignments").mkdir()
    shutil.copy(REPOSITORY / "nbgrader_config.py", root)
    run(root, "nbgrader", "generate_assignment", assignment, "--force")
    run(root, "nbgrader", "autograde", assignment)
    return visible_scores(root, assignment)


def otter_run(root: Path, python: Path) -> float:
    """Seconds of `otter run` for a solution of one exercise, with its visible examples as the test."""
    course = Course(REPOSITORY)
    exercise = course.load(course.assignment_names()[0]).exercises[0]
    setup = course.load(exercise.assignment).settings.setup
    (root / "tests").mkdir(parents=True)
    body = textwrap.indent(f"globals().update(env)\n{exercise.examples}", "    ")
    test = "from otter.test_files import test_case\nOK_FORMAT = False\nname = 'q1'\npoints = 1\n\n@test_case()\n"
    (root / "tests" / "q1.py").write_text(f"{test}def test_examples(env):\n{body}")
    cells = [nbformat.v4.new_code_cell(source) for source in (setup, exercise.solution)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "answer.ipynb")
    otter = [str(python), "-m", "otter"]
    subprocess.run([*otter, "generate", "-t", "tests", "-o", "autograder.zip"], cwd=root, check=True)
    begin = time.perf_counter()
    subprocess.run(
        [*otter, "run", "-a", "autograder.zip", "answer.ipynb"], cwd=root, check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - begin


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


@dataclass
class Memory:
    """The most memory that processes had at a time, in bytes; what several share counts once in each sum.

    Attributes:
        trusted: of nbgrader's process and the workers.
        submissions: what the submission processes had for themselves alone.
    """

    trusted: int = 0
    submissions: int = 0

    def look(self, pid: int) -> None:
        """Take note of what a run with this process id has now."""
        untrusted = {pid for pid in descendants_of(pid) if "tensorgrade.zygote" in _command(pid)}
        trusted = {pid, *descendants_of(pid)} - untrusted
        self.trusted = max(self.trusted, sum(_memory(pid, "Pss") for pid in trusted))
        own = sum(_memory(pid, "Private_Dirty") for pid in filter(_is_submission, untrusted))
        self.submissions = max(self.submissions, own)

    def to_json(self) -> dict[str, object]:
        """In MiB; for each submission in flight, of which there is one for each processor."""
        workers = len(os.sched_getaffinity(0))
        return {
            "trusted_peak_mib": self.trusted / 2**20,
            "submission_in_flight_mib": self.submissions / workers / 2**20,
        }


def memory_of_class(root: Path, assignment: str) -> Memory:
    """What grading from scratch takes; a run of its own, since to look takes time."""
    run(root, "tensorgrade.cli", "cache", "--clear")
    memory = Memory()
    run(root, "nbgrader", "autograde", assignment, "--force", memory=memory)
    return memory


def run(root: Path, *command: str, memory: Memory | None = None) -> float:
    """Run a Python module in a course; returns its seconds, and notes in `memory` what its processes had."""
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
        while memory is not None and process.poll() is None:
            memory.look(process.pid)
            time.sleep(0.5)
        status = process.wait()
        seconds = time.perf_counter() - begin
        said.seek(0)
        if status:
            sys.exit(f"{' '.join(command)} failed:\n{said.read().decode()[-3000:]}")
    return seconds


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def _is_submission(pid: int) -> bool:
    """Whether seccomp filters its system calls, which it does for no zygote."""
    try:
        return "\nSeccomp:\t2" in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _memory(pid: int, key: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) << 10 for line in lines if line.startswith(f"{key}:"))


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
