"""Real things for the tests: a zygote, small courses in a temporary folder, and answers graded on them."""

import contextlib
import os
import tempfile
import textwrap
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tensorgrade.course import Course
from tensorgrade.errors import ConfinementError
from tensorgrade.job import CellJob, Job
from tensorgrade.late import LateImports
from tensorgrade.runner import grade
from tensorgrade.sandbox import Confinement
from tensorgrade.supervisor import open_zygote
from tests.browser import open_browser

CANARY = "canary-7f3a"

EXERCISE = """\
schema: 1
title: {{en: Demo, zh: 演示}}
prompt: {{en: Write it., zh: 请编写。}}
difficulty: 1
starter: ...
solution: pass
examples: assert True
clauses:
{clauses}
"""

ASSIGNMENT = """\
schema: 1
title: {{en: Demo, zh: 演示}}
introduction: {{en: Welcome., zh: 欢迎。}}
exercises: [{exercises}]
"""

GRADER_HEAD = "import time\nimport pytest\nimport torch\nfrom torch import nn\nfrom tensorgrade import expect\n\n"


LONG = ("test_flagship", "test_jupyterlab", "test_virtual_cuda_examples", "test_stock_kernel", "test_bridge")
LONG += (
    "test_virtual_cuda_parallel",
    "test_verify",
    "test_shell",
    "test_hostile_notebooks",
    "test_inert",
    "test_ahead",
)
LONG += ("test_disclosure", "test_feedback_page", "test_sandbox")


def pytest_collection_modifyitems(items):
    """Begin with the files that take longest, so that no worker is left with one of them at the end."""
    items.sort(key=lambda item: LONG.index(item.path.stem) if item.path.stem in LONG else len(LONG))


@pytest.fixture(scope="session")
def zygote_of():
    """The zygote of a tier, each opened once; skips the test where this machine cannot give the tier."""
    with contextlib.ExitStack() as closing:
        opened = {}

        def of(tier):
            if tier == "auto" and "A" in opened:
                tier = "A"
            if tier not in opened:
                try:
                    zygote = closing.enter_context(open_with_secrets(tier))
                except ConfinementError as error:
                    pytest.skip(str(error))
                opened[tier] = opened[zygote.tier] = zygote
            return opened[tier]

        yield of


def open_with_secrets(tier):
    """Open a zygote from a process with secrets in its environment; what torch imports late it has already."""
    secrets = {"TENSORGRADE_SECRET": CANARY, "NBGRADER_EXECUTION": "autograde"}
    os.environ.update(secrets)
    try:
        zygote = open_zygote(tier)
        zygote.preload(LateImports().submissions)
        return zygote
    finally:
        for name in secrets:
            del os.environ[name]


@pytest.fixture(scope="session")
def zygote(zygote_of):
    """A zygote for all tests, of the strongest tier that this machine gives."""
    return zygote_of("auto")


@pytest.fixture
def start(zygote):
    """Starts submission processes: ``start(programs=True)``; other limits are generous."""
    with contextlib.ExitStack() as closing:

        def process(files=None, read_only=(), **confinement):
            # not below pytest's folder, which other users cannot enter
            folder = closing.enter_context(tempfile.TemporaryDirectory())
            limits = {"name": "demo", "folder": folder, "memory": 1 << 30, "cpu_seconds": 60, **confinement}
            started = zygote.start(Confinement(**limits), seed=0, files=files, read_only=read_only)
            closing.callback(started.close)
            return started

        yield process


@pytest.fixture
def process(start):
    """A submission process that has run nothing yet."""
    return start()


@pytest.fixture
def exercise_text():
    """The YAML of an exercise with clauses of one point each: ``exercise_text("values", "dtype")``."""

    def text(*clauses):
        lines = (f"  {clause}: {{points: 1, text: {{en: {clause}, zh: {clause}}}}}" for clause in clauses)
        return EXERCISE.format(clauses="\n".join(lines))

    return text


@pytest.fixture
def make_course(tmp_path):
    """A factory of a course with the assignment demo, from ``{exercise: (yaml_text, grader_text)}``."""

    def make(exercises):
        course = Course(tmp_path / "course")
        write(course.config_file, "")
        write(course.settings_file("demo"), ASSIGNMENT.format(exercises=", ".join(exercises)))
        for name, (exercise, grader) in exercises.items():
            write(course.exercise_file("demo", name), exercise)
            write(course.grader_file("demo", name), GRADER_HEAD + textwrap.dedent(grader))
        return course

    return make


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


@pytest.fixture
def run_notebook(zygote):
    """Grade a notebook; a cell is code, or ``"judge:NAME"`` where an exercise is judged."""

    def run(course, *cells, seconds=5.0, assignment="demo", language="en", settings=None, on=zygote):
        setup = course.load(assignment).settings.setup
        jobs = [CellJob(setup, seconds)]
        for cell in cells:
            place = cell.removeprefix("judge:") if cell.startswith("judge:") else None
            jobs.append(CellJob("" if place else textwrap.dedent(cell), seconds, place))
        job = Job(tuple(jobs), course.root, assignment, language, None, seconds=120.0, cache=False)
        return grade(replace(job, settings=settings or job.settings), on)

    return run


@pytest.fixture
def answer(run_notebook):
    """The verdict on one answer: ``answer(course, exercise, code)``."""

    def verdict(course, exercise, code, **options):
        return run_notebook(course, code, f"judge:{exercise}", **options).verdicts[exercise]

    return verdict


@pytest.fixture
def judged(make_course, exercise_text, answer):
    """The verdict on an answer to an exercise of its own: ``judged(code, grader, "values", ...)``."""

    def verdict(code, grader, *clauses, **options):
        course = make_course({"task": (exercise_text(*clauses or ("values",)), grader)})
        return answer(course, "task", code, **options)

    return verdict


@pytest.fixture
def statuses():
    """The status of each clause of a verdict, by name."""
    return lambda verdict: {clause.name: str(clause.status) for clause in verdict.clauses}


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window; each page that a test opens is its own to close."""
    with open_browser() as opened:
        yield opened


@pytest.fixture
def is_gone():
    """Whether a process ends within seconds; one that nobody has collected counts as ended."""

    def gone(pid, seconds=10.0):
        deadline = time.monotonic() + seconds
        while _lives(pid):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.02)
        return True

    return gone


def _lives(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
