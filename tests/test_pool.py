"""Workers: real processes, killed by real graders."""

import multiprocessing
import os
from dataclasses import replace

import pytest

from tensorgrade.job import CellJob, Job, Settings
from tensorgrade.pool import WorkerPool
from tensorgrade.usage import memory_of
from tensorgrade.worker import JOBS

DIES_ONCE = """
    import os
    from pathlib import Path

    def test_values(submission):
        died = Path({died!r})
        if not died.exists():
            died.write_text(str(os.getppid()))
            os._exit(1)
        expect(submission.call("task")).equals(42)
"""

DIES = "import os\n\ndef test_values(submission):\n    os._exit(1)\n"


@pytest.fixture(scope="module")
def pool():
    """A pool that goes on, whatever the tests do to its processes."""
    pool = WorkerPool()
    yield pool
    pool.close()


def job(course):
    cells = (CellJob("def task():\n    return 42", 5.0), CellJob("", 5.0, "task"))
    return Job(cells, course.root, "demo", "en", None, seconds=60.0, cache=False)


def test_worker_that_dies_once_is_replaced(pool, make_course, exercise_text, tmp_path):
    """A job whose worker dies is graded by a new worker."""
    grader = DIES_ONCE.format(died=str(tmp_path / "died"))
    course = make_course({"task": (exercise_text("values"), grader)})
    assert pool.grade(job(course)).verdicts["task"].score == 1
    assert (tmp_path / "died").exists()


def test_grader_that_always_kills_its_worker_is_abandoned(pool, make_course, exercise_text):
    """A grader that ends its worker twice is named and flags its exercise, and the pool stays usable."""
    course = make_course({"task": (exercise_text("values"), DIES)})
    verdict = pool.grade(job(course)).verdicts["task"]
    assert verdict.score == 0
    assert str(course.grader_file("demo", "task")) in verdict.flagged
    course.grader_file("demo", "task").write_text(
        "def test_values(submission):\n    assert submission.call('task') == 42\n"
    )
    assert pool.grade(job(course)).verdicts["task"].score == 1


def test_memory_of_a_worker_stays(make_course, exercise_text):
    """What a grader leaves that only garbage collection finds, here 4 MiB in each job, does not add up."""
    grader = "kept = torch.ones(1 << 20)\n\ndef test_values(submission):\n    assert submission.call('task') == 42\n"
    course = make_course({"task": (exercise_text("values"), grader)})
    pool = WorkerPool(workers=1)
    try:
        memory = []
        for _ in range(2 * JOBS):
            assert pool.grade(job(course)).verdicts["task"].score == 1
            memory.append(memory_of(pool._workers[0]._pid))
        assert max(memory[JOBS:]) - max(memory[:JOBS]) < 20 << 20
    finally:
        pool.close()


def test_workers_tell_each_other_what_graders_concluded(make_course, exercise_text, tmp_path):
    """What one worker has judged, the others need not judge again."""
    runs = tmp_path / "runs"
    grader = f"from pathlib import Path\nwith Path({str(runs)!r}).open('a') as runs: runs.write('x')\n"
    grader += "def test_values(submission): expect(submission.call('task')).equals(42)\n"
    course = make_course({"task": (exercise_text("values"), grader)})
    pool = WorkerPool(workers=2)

    def scores(*answers):
        """Those of notebooks that take so long that each worker gets one."""
        jobs = []
        for number, answer in enumerate(answers):
            cells = [f"# {number}\nimport time\ntime.sleep(2)", f"def task(): return {answer}"]
            given = (*(CellJob(cell, 5.0) for cell in cells), CellJob("", 5.0, "task"))
            jobs.append(pool.submit(replace(job(course), cells=given, cache=True)))
        return [done.result().verdicts["task"].score for done in jobs], len(pool._workers), runs.read_text()

    try:
        assert scores("42", "3") == ([1, 0], 2, "xx")
        assert scores("6 * 7", "21 * 2") == ([1, 1], 2, "xx")
        assert scores("5 - 2", "1 + 2") == ([0, 0], 2, "xx")
    finally:
        pool.close()


ORIGINS = {"zygote": lambda origin: origin.zygote._process, "template": lambda origin: origin._template}


@pytest.mark.parametrize("process", ORIGINS.values(), ids=ORIGINS)
def test_a_pool_whose_origin_was_killed_starts_another(pool, make_course, exercise_text, process):
    """When the zygote or the template that workers are forked from is gone, the next job is graded all the same."""
    grader = "def test_values(submission):\n    assert submission.call('task') == 42\n"
    course = make_course({"task": (exercise_text("values"), grader)})
    assert pool.grade(job(course)).verdicts["task"].score == 1
    killed = process(pool._origin)
    killed.kill()
    killed.wait()
    assert pool.grade(job(course)).verdicts["task"].score == 1


def test_auto_and_the_tier_that_it_gives_are_the_same():
    """A pool that was prepared with one is not started anew for the other."""
    pool = WorkerPool(workers=1)
    try:
        tier = pool.prepare(Settings("auto"), 1)
        zygote = pool._started().zygote
        assert pool.prepare(Settings(tier), 1) == pool.prepare(Settings("auto"), 1) == tier
        assert pool._started().zygote is zygote
        assert pool.prepare(Settings("C"), 1) == "C"
        assert pool._started().zygote is not zygote
    finally:
        pool.close()


def test_close_leaves_no_process(make_course, exercise_text, is_gone):
    """After ``close`` the worker, its zygote and all submission processes are gone; closing again is harmless."""
    grader = "def test_values(submission):\n    assert submission.call('task') == 42\n"
    course = make_course({"task": (exercise_text("values"), grader)})
    pool, before = WorkerPool(), set(descendants(os.getpid()))
    pool.grade(job(course))
    started = set(descendants(os.getpid())) - before
    assert len(started) >= 2
    pool.close()
    pool.close()
    assert not [process for process in started if not is_gone(process)]
    assert not multiprocessing.active_children()


def descendants(process):
    """The ids of all processes below `process`, from /proc."""
    children = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as stat:  # noqa: PTH123 - a process may be gone at any time
                parent = int(stat.read().rpartition(")")[2].split()[1])
        except OSError:
            continue
        children.setdefault(parent, []).append(int(name))
    below = list(children.get(process, ()))
    for child in below:
        below += children.get(child, ())
    return below
