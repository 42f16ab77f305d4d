"""Verdicts by precedent: what a grader concluded from the same answers, without running it again."""

from dataclasses import replace

import pytest

from tensorgrade import precedents as module
from tensorgrade.job import CellJob, Job
from tensorgrade.precedents import Precedents
from tensorgrade.runner import grade

RUNS = "from pathlib import Path\nwith Path({file!r}).open('a') as runs: runs.write('x')\n"
TWICE = """
def test_values(submission):
    for n in (2, 3):
        expect(submission.call("task", n)).equals(torch.ones(n))
"""
ADAPTIVE = """
def test_values(submission):
    first = submission.call("task", 1)
    expect(submission.call("task", int(first.values.sum()) + 1)).equals(torch.ones(2))
"""


@pytest.fixture
def judged(make_course, exercise_text, zygote, tmp_path):
    """Grade one answer after the other to an exercise: the verdict, and how often its grader has run so far."""
    file = tmp_path / "runs"
    file.touch()
    of_worker = Precedents()

    def prepare(grader, known=of_worker, **changes):
        course = make_course({"task": (exercise_text("values"), RUNS.format(file=str(file)) + grader)})

        def of(answer, *before, cache=True):
            cells = [CellJob(cell, 5.0) for cell in ("import torch", *before, answer)]
            job = Job((*cells, CellJob("", 5.0, "task")), course.root, "demo", "en", None, 60.0, cache=cache)
            verdict = grade(replace(job, **changes), zygote, precedents=known).verdicts["task"]
            return verdict, file.read_text().count("x")

        return of

    return prepare


def right(comment):
    return f"# {comment}\ndef task(n): return torch.ones(n)"


def test_the_same_answers_get_the_same_verdict_without_the_grader(judged):
    """Right or wrong, the second submission that answers alike is not judged again, however it is written."""
    of = judged(TWICE)
    first, _ = of(right("one"))
    assert (first.score, of(right("two"))) == (1, (first, 1))
    assert of("def task(n):\n    ones = [1.0] * n\n    return torch.tensor(ones)") == (first, 1)
    wrong, runs = of("def task(n): return torch.zeros(n)")
    assert (wrong.score, runs) == (0, 2)
    assert of("def task(n): return torch.ones(n) * 0") == (wrong, 2)


def test_one_other_answer_is_judged(judged):
    """A submission whose last answer is another one gets its own verdict."""
    of = judged(TWICE)
    assert of(right("one"))[0].score == 1
    verdict, runs = of("def task(n): return torch.ones(n) if n < 3 else torch.zeros(n)")
    assert (verdict.score, runs) == (0, 2)
    assert verdict.clauses[0].code is not None


@pytest.mark.parametrize("other", ["double", "requires_grad_", "t"])
def test_the_least_difference_counts(judged, other):
    """Values alone do not make answers equal: dtype, flags, strides and all else that is observed count."""
    of = judged("def test_values(submission): expect(submission.call('task', 2)).equals(torch.ones(2, 2))")
    of("def task(n): return torch.ones(n, n)")
    assert of(f"def task(n): return torch.ones(n, n).{other}()")[1] == 2


def test_an_answer_is_asked_for_once(judged, tmp_path):
    """The grader is given the answers that were asked for by precedent: a function is not called twice for them."""
    of = judged(TWICE)
    of(right("one"))
    counting = "CALLS = []\ndef task(n):\n    CALLS.append(n)\n    return torch.ones(n) * (3 if n == 3 else len(CALLS))"
    assert of(counting)[0].clauses[0].finding == of(counting, "x = 1", cache=False)[0].clauses[0].finding


def test_what_is_asked_next_may_depend_on_an_answer(judged):
    """Another first answer leads to another second question."""
    of = judged(ADAPTIVE)
    assert of(right("one"))[0].score == 1
    assert of("def task(n): return torch.ones(2)")[0].score == 1
    assert of("# again\ndef task(n): return torch.ones(2)") == (of("def task(n): return torch.ones(2)")[0], 2)


def test_lines_of_the_notebook_are_its_own(judged):
    """Findings quote the student's own lines: the same error in another line is another answer."""
    of = judged(TWICE)
    first, _ = of("def task(n):\n    return 1 / 0")
    second, runs = of("def task(n):\n    return 5 / 0")
    assert [verdict.clauses[0].trace[-1].source.strip() for verdict in (first, second)] == [
        "return 1 / 0",
        "return 5 / 0",
    ]
    assert runs == 2
    assert of("def task(n):\n    return 5 / 0", "# elsewhere")[0].clauses[0].trace[-1].cell == 3


@pytest.mark.parametrize("answer", ["import os; os._exit(1)", "while True: pass"])
def test_failures_are_no_precedents(judged, answer):
    """A process that ends or hangs is judged each time, and told as ever."""
    of = judged(TWICE)
    of(right("one"))
    bad = f"def task(n):\n    if n == 3:\n        {answer}\n    return torch.ones(n)"
    (first, runs), (second, again) = of(bad), of(f"# again\n{bad}")
    assert (first.score, first.clauses[0].code, again) == (0, second.clauses[0].code, runs + 1)


def test_a_grader_that_asks_otherwise_each_time_is_run_each_time(judged, tmp_path):
    """Where the second question is not what it was, all is asked and judged anew."""
    asked = tmp_path / "asked"
    asked.touch()
    grader = (
        "def test_values(submission):\n"
        f"    first = not Path({str(asked)!r}).read_text()\n    Path({str(asked)!r}).write_text('x')\n"
        "    expect(submission.call('task' if first else 'other', 2)).equals(torch.ones(2))\n"
        "    expect(submission.call('task', 3)).equals(torch.ones(3))"
    )
    of = judged(grader)
    both = "def other(n): return torch.ones(n)\n"
    assert of(both + "def task(n): return torch.ones(n)")[0].score == 1
    assert of(both + "def task(n): return torch.ones(n if n == 2 else 1)")[0].score == 0
    assert of(both + "def task(n): return torch.zeros(n) if n == 2 else torch.ones(n)")[0].score == 1


def test_other_machines_are_asked_as_well(judged):
    """What a grader asks on machines with other numbers of accelerators is part of the precedent."""
    of = judged(
        "def test_values(submission):\n"
        "    for n in (0, 2):\n"
        "        expect(submission.machine(accelerators=n).call('task')).equals(n)\n"
    )
    count = "def task(): return torch.cuda.device_count()"
    assert of(count)[0].score == 1
    assert of(f"# again\n{count}")[1] == 1
    assert of("def task(): return 0")[0].score == 0


def test_whoever_wants_no_stored_results_is_judged_anew(judged):
    """Without the store nothing is taken over from anybody."""
    of = judged(TWICE)
    of(right("one"))
    assert of(right("two"), cache=False)[1] == 2


@pytest.mark.parametrize("change", [{"language": "zh"}, {"seed": 1}])
def test_what_a_verdict_depends_on_makes_other_precedents(judged, change):
    """Another language or other inputs have precedents of their own."""
    of, other = judged(TWICE), judged(TWICE, **change)
    of(right("one"))
    assert other(right("two"))[1] == 2


def test_precedents_take_no_more_than_they_may(judged, monkeypatch):
    """Beyond their limit they are collected anew."""
    monkeypatch.setattr(module, "MAX_BYTES", 0)
    of = judged(TWICE)
    assert [of(right(number))[1] for number in range(3)] == [1, 1, 1]
    of("def task(n): return torch.zeros(n)")
    assert of(right("again"))[1] == 3


@pytest.mark.parametrize(("most", "told"), [(1 << 20, True), (10, False)])
def test_news_are_told_once_and_no_more_than_they_may_be(judged, monkeypatch, most, told):
    """Who learns them judges no more what was judged; too many are left out, and found out again."""
    monkeypatch.setattr(module, "MAX_NEWS", most)
    teller, listener = Precedents(), Precedents()
    of, other = judged(TWICE, teller), judged(TWICE, listener)
    of(right("one"))
    of("def task(n): return 1 / 0")
    news = teller.news()
    assert (bool(news), teller.news()) == (told, b"")
    if told:
        listener.learn(news)
    assert other(right("two"))[1] == (2 if told else 3)
    assert listener.news() == b""
