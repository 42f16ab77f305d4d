"""Specification of limits: what they are in YAML, and that exceeding one costs its cell or exercise only."""

import subprocess
import sys

import pytest
import yaml
from pydantic import ValidationError

from tensorgrade.codec import MAX_PAYLOAD
from tensorgrade.limits import DEFAULTS, Allowance, Limits, limit_behind, together

GIB = 1 << 30

# ------------------------------------------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("text", "size"),
    [("1 GiB", GIB), ("1.5 MiB", 3 << 19), ("10KiB", 10240), ("7 B", 7), ("1 TiB", 1 << 40), ("4096", 4096)],
)
def test_an_amount_has_a_unit_or_is_in_bytes(text, size):
    """Amounts are written with a binary unit, or as a number of bytes."""
    assert Limits.model_validate(yaml.safe_load(f"memory: {text}")).memory == size


@pytest.mark.parametrize(
    "text",
    [
        *("memory: 1 GB", "memory: 0", "memory: -1", "memory: 0 B", "memory: 1.5", "memory: much", "memory: true"),
        *("seconds: 0", "seconds: .inf", "seconds: .nan", "seconds: '5'", "cpu_seconds: -1"),
        *("processes: 0", "processes: 1.5", "files: many", "subprocesses: 1", "subprocesses: maybe"),
        *(f"result: {MAX_PAYLOAD + 1}", "result: 1 GiB", "gpus: 1"),
    ],
)
def test_what_is_no_limit_is_refused(text):
    """Other units, what is not greater than 0, other types, more than can be sent and other keys are errors."""
    with pytest.raises(ValidationError):
        Limits.model_validate(yaml.safe_load(text))


def test_gaps_are_filled_and_nothing_else():
    """What was said stays, false as well; what was not comes from the other limits."""
    limits = Limits(seconds=3, subprocesses=False).over(Limits(seconds=5, files=7, subprocesses=True))
    assert limits == Limits(seconds=3, files=7, subprocesses=False)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seconds", 2.5, "2.5 s"),
        ("cpu_seconds", 60, "60 s"),
        ("memory", GIB, "1 GiB"),
        ("memory", 3 * GIB // 2, "1.5 GiB"),
        ("disk", 64 << 20, "64 MiB in 1000 files"),
        ("output", 1000, "1000 B"),
        ("result", 1 << 10, "1 KiB"),
        ("processes", 64, "64"),
        ("files", 1000, "1000"),
    ],
)
def test_a_limit_is_told_as_a_person_writes_it(key, value, words):
    """Seconds and bytes have their unit, numbers are bare."""
    assert Limits(**{key: value}).allowance().told(key) == words


def test_a_notebook_may_use_what_its_exercises_may():
    """It has the largest of each limit, the sum of the processor time, and without exercises the defaults."""
    first = Limits(memory=GIB, cpu_seconds=10, files=5).allowance()
    second = Limits(memory=2 * GIB, cpu_seconds=20, subprocesses=True).allowance()
    both = together([first, second])
    assert isinstance(both, Allowance)
    assert (both.memory, both.cpu_seconds, both.files, both.subprocesses) == (2 * GIB, 30, DEFAULTS.files, True)
    assert together([]) == DEFAULTS


@pytest.mark.parametrize(
    ("error", "key"),
    [
        ("MemoryError: ", "memory"),
        ("RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried", "memory"),
        ("OSError: [Errno 12] Cannot allocate memory", "memory"),
        ("RuntimeError: can't start new thread", "processes"),
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "processes"),
        ("OSError: [Errno 28] No space left on device", "disk"),
        ("OSError: [Errno 27] File too large", "disk"),
        ("ValueError: [Errno 1] Operation not permitted", None),
        ("ZeroDivisionError: division by zero", None),
    ],
)
def test_a_limit_is_known_by_its_error(error, key):
    """What the kernel's limits look like in Python tells which one it was."""
    assert limit_behind(error) == key


# ---------------------------------------------------------------------------------------- in a notebook

GRADER = "def test_values(submission): expect(submission.call('{}', 3)).equals(torch.ones(3))\n"
LIMITS = """
limits: {seconds: 4, cpu_seconds: 2, memory: 300 MiB, processes: 12, disk: 1 MiB, files: 40, result: 100 KiB}
"""
FORKS = """
import mmap, os, time
for _ in range({count}):
    if not os.fork():
        {work}
        time.sleep(3)
        os._exit(0)
time.sleep(2)
"""
THREADS = """
import threading, time
for _ in range(30): threading.Thread(target=time.sleep, args=(5,), daemon=True).start()
"""
FILES = """
import time
for number in range({count}): open('file%d' % number, 'wb').write(bytes({size}))
time.sleep(1)
"""
EXCEEDED = {
    "memory": ("bytearray(400 << 20)", "300 MiB"),
    "memory of torch": ("torch.empty(400 << 20, dtype=torch.uint8)", "300 MiB"),
    "memory of forks": (FORKS.format(count=4, work="held = bytearray(os.urandom(1)) * (120 << 20)"), "300 MiB"),
    "memory that forks share": (
        FORKS.format(count=4, work="m = mmap.mmap(-1, 120 << 20); [m.write(bytes(1 << 20)) for _ in range(120)]"),
        "300 MiB",
    ),
    "cpu_seconds": ("import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass", "2 s"),
    "processes": (FORKS.format(count=30, work="pass"), "12"),
    "processes by threads": (THREADS, "12"),
    "disk": ("open('large', 'wb').write(bytes(2 << 20))", "1 MiB in 40 files"),
    "disk in pieces": (FILES.format(count=20, size=100_000), "1 MiB in 40 files"),
}


@pytest.fixture(params=["A", "B"])
def zygote(request, zygote_of):
    """A zygote of each tier that is for strangers' code."""
    return zygote_of(request.param)


@pytest.fixture
def course(make_course, exercise_text):
    return make_course({name: (exercise_text("values") + LIMITS, GRADER.format(name)) for name in ("first", "second")})


def right(name):
    return f"def {name}(n): return torch.ones(n)"


def indented(code):
    return "\n".join(f"    {line}" for line in code.strip().splitlines())


# in a notebook of two such exercises, a cell may use twice the processor time
@pytest.mark.parametrize(
    ("code", "limit"), [pytest.param(*EXCEEDED[name], id=name) for name in EXCEEDED if name != "cpu_seconds"]
)
def test_a_cell_over_a_limit_costs_itself_only(course, run_notebook, code, limit):
    """The cell says which limit it was, with its value; the exercises before and behind it are judged."""
    graded = run_notebook(course, right("first"), code, "judge:first", right("second"), "judge:second", seconds=8)
    last = graded.runs[2].outputs[-1]
    assert last["ename"] == "ResourceLimitError"
    assert f"limit of {limit}." in last["evalue"]
    assert {name: verdict.score for name, verdict in graded.verdicts.items()} == {"first": 1, "second": 1}


@pytest.mark.parametrize(("code", "limit"), EXCEEDED.values(), ids=EXCEEDED)
def test_a_function_over_a_limit_costs_its_exercise_only(course, run_notebook, code, limit):
    """The clause says which limit it was, with its value; the next exercise is judged."""
    bad = f"def first(n):\n{indented(code)}\n    return torch.ones(n)"
    graded = run_notebook(course, bad, right("second"), "judge:first", "judge:second", seconds=8)
    (clause,) = graded.verdicts["first"].clauses
    assert f"limit of {limit}." in clause.finding
    assert graded.verdicts["first"].flagged is None
    assert graded.verdicts["second"].score == 1


@pytest.fixture
def naps():
    """Processes that work for a moment and sleep for another: who runs beside them is counted too much time."""
    nap = "import time\nwhile True: time.sleep(0.0005); sum(range(20000))"
    napping = [subprocess.Popen([sys.executable, "-c", nap]) for _ in range(8)]
    yield
    for process in napping:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("naps")
def test_processor_time_is_counted_as_the_limit_counts_it(make_course, exercise_text, run_notebook):
    """Where the kernel's ticks and the time that was really used differ, it is still told that it was this limit."""
    limits = "\nlimits: {seconds: 60, cpu_seconds: 2}\n"
    course = make_course({"first": (exercise_text("values") + limits, GRADER.format("first"))})
    graded = run_notebook(course, "def first(n):\n    while True: pass", "judge:first", seconds=60)
    assert "limit of 2 s." in graded.verdicts["first"].clauses[0].finding


def test_too_large_a_result_is_told(course, run_notebook):
    """What a call returns may not be larger than the limit of results."""
    bad = "def first(n): return torch.ones(1 << 20)"
    graded = run_notebook(course, bad, right("second"), "judge:first", "judge:second")
    assert "limit of 100 KiB." in graded.verdicts["first"].clauses[0].finding
    assert graded.verdicts["second"].score == 1


def test_too_many_files_are_told(zygote, course, run_notebook):
    """A cell that makes more files than it may is told so."""
    graded = run_notebook(course, FILES.format(count=100, size=1), right("second"), "judge:second")
    assert graded.runs[1].outputs[-1]["ename"] == "ResourceLimitError"
    if zygote.tier == "B":
        assert "limit of 40." in graded.runs[1].outputs[-1]["evalue"]
    assert graded.verdicts["second"].score == 1
