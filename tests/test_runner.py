"""Specification of a notebook's run, by real notebooks of a small course."""

import pytest

GRADER = "def test_values(submission): expect(submission.call('{}', 3)).equals(torch.ones(3))\n"
NAMES = ("first", "second")


@pytest.fixture
def course(make_course, exercise_text):
    return make_course({name: (exercise_text("values"), GRADER.format(name)) for name in NAMES})


def right(name):
    return f"def {name}(n): return torch.ones(n)"


def scores(graded):
    return {name: verdict.score for name, verdict in graded.verdicts.items()}


def text_of(run):
    return "".join(output.get("text", "") for output in run.outputs)


def test_cells_run_and_exercises_are_judged(course, run_notebook):
    """Each cell has its outputs; where an exercise is judged there is a verdict instead."""
    graded = run_notebook(course, right("first") + "\nprint('hello')", "judge:first", right("second"), "judge:second")
    assert scores(graded) == {"first": 1, "second": 1}
    assert [run is None for run in graded.runs] == [False, False, True, False, True]
    assert text_of(graded.runs[1]) == "hello\n"
    assert [run.execution_count for run in graded.runs if run] == [1, 2, 3]


def test_an_exercise_is_judged_where_it_stands(course, run_notebook):
    """Later cells do not count for an earlier exercise."""
    graded = run_notebook(course, "judge:first", right("first"), right("second"), "judge:second", "del second")
    assert scores(graded) == {"first": 0, "second": 1}


def test_what_a_secretive_exercise_asks_is_told_by_no_other(make_course, exercise_text, run_notebook):
    """Exercises that tell nothing of their inputs are judged last: an open one beside them has not seen these yet."""
    texts = {level: exercise_text("values") + f"disclosure: {level}\n" for level in ("clause", "full")}
    graders = [GRADER.format(name).replace("3)", f"{number})") for name, number in zip(NAMES, (271828, 3), strict=True)]
    course = make_course({"first": (texts["clause"], graders[0]), "second": (texts["full"], graders[1])})
    stashing = (
        "SEEN = []\ndef first(n):\n    SEEN.append(n)\n    open('seen', 'a').write(str(n))\n    return torch.ones(n)"
    )
    telling = (
        "import os\ndef second(n):\n    seen = open('seen').read() if os.path.exists('seen') else ''\n"
        "    return f'{SEEN} {seen}'"
    )
    graded = run_notebook(course, stashing, "judge:first", telling, "judge:second")
    assert scores(graded) == {"first": 1, "second": 0}
    assert "271828" not in repr(graded.verdicts["second"])


CALLS = {
    "exit": "raise SystemExit(0)",
    "loop": "while True: pass",
    "crash": "import ctypes; ctypes.string_at(0)",
    "kill": "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
    "kill parent": "import os, signal; os.kill(os.getppid(), signal.SIGKILL)",
    "group": "import os, signal; os.killpg(0, signal.SIGKILL)",
    "globals": "globals().clear()",
}


@pytest.mark.parametrize("body", CALLS.values(), ids=CALLS)
def test_what_a_function_does_while_judged_costs_its_exercise_only(course, run_notebook, body):
    """Leaving, looping, crashing or killing processes in one exercise's function leaves the next as it was."""
    bad = f"def first(n):\n    {body}"
    graded = run_notebook(course, bad, right("second"), "judge:first", "judge:second", seconds=1)
    assert scores(graded) == {"first": 0, "second": 1}
    assert all(verdict.flagged is None for verdict in graded.verdicts.values())


CELLS = {
    "exit": "import os; os._exit(0)",
    "crash": "import ctypes; ctypes.string_at(0)",
    "no built-ins": "import builtins; builtins.str = builtins.len = None",
    "stubborn loop": "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass",
    "garbage": "import os\nfor fd in range(3, 100):\n    try: os.write(fd, b'x' * 100)\n    except OSError: pass",
}


@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_a_cell_that_loses_the_process_costs_itself_only(course, run_notebook, cell):
    """The cells before it are run again in a new process, and the run goes on behind it."""
    graded = run_notebook(course, right("first"), "x = 1", cell, right("second"), "print(x)", *_judged(), seconds=1)
    assert scores(graded) == {"first": 1, "second": 1}
    assert graded.runs[3].outputs[0]["output_type"] == "error"
    assert text_of(graded.runs[5]) == "1\n"


def _judged():
    return [f"judge:{name}" for name in NAMES]


def test_an_interrupted_cell_keeps_what_it_did(course, run_notebook):
    """A cell over its time is stopped and told; what it had defined counts."""
    graded = run_notebook(course, right("first") + "\nwhile True: pass", "judge:first", seconds=1)
    assert graded.runs[1].outputs[-1]["ename"] == "CellTimeoutError"
    assert scores(graded) == {"first": 1}


def test_a_cell_that_raises_costs_nothing_else(course, run_notebook):
    """An error in a cell is an output; the cells behind it run."""
    graded = run_notebook(course, "1 / 0", right("first"), "judge:first")
    assert graded.runs[1].outputs[0]["ename"] == "ZeroDivisionError"
    assert scores(graded) == {"first": 1}


def test_a_process_that_ends_again_and_again_is_given_up(course, run_notebook):
    """After some restarts the rest is not run, each cell says so, and nothing is graded."""
    graded = run_notebook(course, *["import os; os._exit(0)"] * 7, right("first"), "judge:first")
    assert all(run.outputs[0]["ename"] == "DeadKernelError" for run in graded.runs[1:-1])
    assert scores(graded) == {"first": 0}


THREADS = {
    "torch": "torch.set_num_threads(2); m = torch.ones(1500, 1500); m = m @ m",
    "python": "import threading, time; threading.Thread(target=time.sleep, args=(600,), daemon=True).start()",
}


@pytest.mark.parametrize("cell", THREADS.values(), ids=THREADS)
def test_a_process_with_threads_is_graded_from_a_fresh_run(make_course, exercise_text, run_notebook, cell):
    """A notebook whose process has threads, which no fork survives, is graded all the same, to its last exercise."""
    names = [f"task{index}" for index in range(7)]
    course = make_course({name: (exercise_text("values"), GRADER.format(name)) for name in names})
    graded = run_notebook(course, cell, *map(right, names), *(f"judge:{name}" for name in names))
    assert scores(graded) == dict.fromkeys(names, 1)


def test_the_same_notebook_gives_the_same_result(course, run_notebook):
    """Random numbers and the order of sets are the same at each run."""
    cell = "import random\nprint(random.random(), torch.rand(2), set('abcdef'))"
    first, second = (run_notebook(course, cell, right("first"), "judge:first") for _ in range(2))
    assert first == second
