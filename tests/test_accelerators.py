"""Specification of machines with accelerators, by real notebooks of small courses."""

import re
from pathlib import Path

import pytest

from tensorgrade.job import Settings
from tensorgrade.late import LateImports
from tensorgrade.supervisor import open_zygote

TOP_LEVEL = (
    "import torch\nseen = torch.cuda.device_count()\nprint(seen)\ndef one(): return seen, torch.cuda.device_count()"
)
SEES = """
def test_values(submission):
    for count in {counts}:
        expect(submission.machine(accelerators=count).call("one")).equals((count, count))
"""


def text_of(run):
    return "".join(output.get("text", "") for output in run.outputs)


@pytest.fixture
def exercise_on(make_course, exercise_text):
    """A course with one exercise that has so many accelerators, and this grader."""

    def make(accelerators, grader):
        return make_course({"one": (exercise_text("values") + f"accelerators: {accelerators}\n", grader)})

    return make


def verdict_of(graded):
    verdict = graded.verdicts["one"]
    assert verdict.flagged is None, verdict.flagged
    return verdict


@pytest.mark.parametrize("accelerators", [0, 2])
def test_a_machine_has_the_accelerators_that_are_asked_for(exercise_on, run_notebook, accelerators):
    """Code at the top level of the notebook sees as many as its functions do, on each machine."""
    course = exercise_on(accelerators, SEES.format(counts="0, 1, 2, 4, 2, 0, 8"))
    assert verdict_of(run_notebook(course, TOP_LEVEL, "judge:one")).score == 1


def test_the_notebook_runs_on_the_machine_of_its_exercises(exercise_on, run_notebook):
    """The outputs are those of a machine with as many accelerators as the exercise has."""
    course = exercise_on(2, SEES.format(counts="1, 0"))
    graded = run_notebook(course, TOP_LEVEL, "judge:one")
    assert text_of(graded.runs[1]) == "2\n"
    assert verdict_of(graded).score == 1


def test_an_exercise_has_its_own_number(make_course, exercise_text, run_notebook):
    """Where exercises differ, the cells run with the most accelerators, and each is judged with its own."""
    grader = "def test_values(submission): expect(submission.call('one')).equals(({0}, {0}))\n"
    exercises = {
        name: (exercise_text("values") + f"accelerators: {count}\n", grader.format(count))
        for name, count in (("a", 0), ("b", 2), ("c", 1))
    }
    graded = run_notebook(make_course(exercises), TOP_LEVEL, "judge:a", "judge:b", "judge:c")
    assert text_of(graded.runs[1]) == "2\n"
    assert {name: verdict.score for name, verdict in graded.verdicts.items()} == {"a": 1, "b": 1, "c": 1}


DEVICES = """
def test_values(submission):
    machine = submission.machine(accelerators=2)
    result, linear = machine.call("one", torch.arange(6.).reshape(2, 3), nn.Linear(3, 1))
    expect(result).on_device("cuda:1").has_dtype(torch.float32).equals(torch.arange(6.).reshape(2, 3).t() * 2)
    assert result.stride == (1, 3)
    expect(linear).on_device("cuda:0")
    expect(linear.parameters["weight"].grad).on_device("cuda:0").equals(torch.ones(1, 3))
    expect(machine.vectorised("one", *((torch.ones(n, 3), nn.Linear(3, 1)) for n in (2, 3, 9)))[0]).has_shape(3, 9)
    for attempt in machine.calls("one", [(torch.ones(2, 3), nn.Linear(3, 1))] * 3):
        expect(attempt.returned()[0]).on_device("cuda:1")
    base, view, other = machine.run(views)
    expect(view).shares_storage_with(base)
    expect(other).shares_storage_with(base, False)

def views(student):
    base = torch.zeros(4, device="cuda:1")
    return base, base[1:], base.cpu()
"""


def test_tensors_of_devices_are_observed(exercise_on, run_notebook):
    """Values, strides, gradients and memory come back as those of the CPU's, with the device's name."""
    answer = """
    import torch
    def one(x, linear):
        linear.to("cuda:0")
        linear(torch.ones(1, 3, device="cuda:0")).sum().backward()
        return (x.to("cuda:1") * 2).t(), linear
    """
    verdict = verdict_of(run_notebook(exercise_on(0, DEVICES), answer, "judge:one"))
    assert verdict.score == 1, verdict.to_text()


def test_what_fails_on_one_machine_is_no_matter_on_another(exercise_on, run_notebook):
    """A cell that ends the process where there are devices costs itself there, and nothing where there are none."""
    answer = "import os, torch\ndef one(): return torch.cuda.device_count(), torch.cuda.device_count()"
    crash = "if torch.cuda.device_count() == 1: os._exit(1)"
    course = exercise_on(0, SEES.format(counts="0, 1, 2"))
    graded = run_notebook(course, answer, crash, "one = one", "judge:one")
    assert verdict_of(graded).score == 1
    assert graded.runs[2].outputs == ()


def test_accelerators_are_what_results_depend_on(exercise_on, run_notebook):
    """Asking for another number of accelerators is another result, also where the grader is the same."""
    grader = "def test_values(submission): expect(submission.call('one')).equals((2, 2))\n"
    assert verdict_of(run_notebook(exercise_on(0, grader), TOP_LEVEL, "judge:one")).score == 0
    assert verdict_of(run_notebook(exercise_on(2, grader), TOP_LEVEL, "judge:one")).score == 1


@pytest.mark.parametrize("count", [-1, 9, "'2'", True])
def test_a_machine_that_cannot_be_is_the_graders_fault(exercise_on, run_notebook, count):
    """Fewer than no accelerators, more than 8 and what is no number flag the exercise."""
    course = exercise_on(0, SEES.format(counts=f"[{count}]"))
    flagged = run_notebook(course, TOP_LEVEL, "judge:one").verdicts["one"].flagged
    assert "a machine can have 0 to 8 accelerators" in flagged


def test_real_ones_that_are_not_there_are_nobodys_fault(exercise_on, run_notebook):
    """Without the real GPUs that an exercise needs it is flagged, and neither passed nor failed."""
    course = exercise_on(0, SEES.format(counts="0, 2"))
    graded = run_notebook(course, TOP_LEVEL, "judge:one", settings=Settings(accelerators="real"))
    verdict = graded.verdicts["one"]
    assert "needs a machine with 2 GPUs, and 0 are configured" in verdict.flagged
    assert [clause.status for clause in verdict.clauses] == ["not run"]


def test_the_zygote_is_prepared_where_accelerators_are_asked_for(exercise_on):
    """Submissions of other assignments need not wait for it."""
    counted = LateImports.of(exercise_on(1, "def test_values(submission): ..."), "demo")
    asked = LateImports.of(exercise_on(0, SEES.format(counts="1,")), "demo")
    neither = LateImports.of(exercise_on(0, "def test_values(submission): ..."), "demo")
    found = ["tensorgrade.virtual_cuda" in late.submissions for late in (counted, asked, neither)]
    assert found == [True, True, False]


STATE = "state = torch.ones(200 << 20, dtype=torch.uint8)\ndef one(): return (torch.cuda.device_count(),) * 2"


def test_each_machine_may_use_the_memory(exercise_on, run_notebook):
    """A state of 200 MiB at the top level is no matter at the default limit, on however many machines."""
    course = exercise_on(0, SEES.format(counts="0, 1, 2, 3, 4, 1, 0"))
    verdict = verdict_of(run_notebook(course, "import torch", STATE, "judge:one", seconds=30.0))
    assert verdict.score == 1, verdict.to_text()


def test_a_machine_that_was_ended_for_others_is_started_again(exercise_on, run_notebook):
    """A grader may go back to a machine, and ask it in turn with others, in the state that its cells have made."""
    machines = "{count: submission.machine(accelerators=count) for count in (1, 2, 3, 4)}"
    grader = f"""
    def test_values(submission):
        machines = {machines}
        for count in (1, 2, 3, 4, 1, 2, 3, 4):
            expect(machines[count].call("one")).equals((count, count))
    """
    assert verdict_of(run_notebook(exercise_on(0, grader), TOP_LEVEL, "judge:one")).score == 1


def test_what_one_exercise_asks_is_unknown_on_a_kept_machine(make_course, exercise_text, run_notebook):
    """A machine that is kept answers each exercise in the state that the cells have made, and so do its outputs."""
    answer = """
    import torch
    told = []
    def one(x): told.append(x); return len(told)
    """
    grader = """
    def test_values(submission):
        for count in (0, 1, 2):
            expect(submission.machine(accelerators=count).call("one", SECRET)).equals(1)
            expect(submission.ranks(2, accelerators=count).run(ask)[1]).equals(1)

    def ask(student, rank): return student.one(SECRET)

    SECRET = "hidden-input"
    """
    course = make_course({name: (exercise_text("values"), grader) for name in ("a", "b", "c")})
    graded = run_notebook(course, answer, "judge:a", "print(told)", "judge:b", "print(told)", "judge:c")
    assert [verdict.score for verdict in graded.verdicts.values()] == [1, 1, 1]
    assert [text_of(run) for run in graded.runs if run and run.outputs] == ["[]\n", "[]\n"]


def test_devices_lift_the_limit_of_address_space_alone(make_course, exercise_text, run_notebook):
    """A driver may reserve far more than there is; what can be written stays limited, in cells and calls."""
    answer = """
    import mmap
    def one():
        mmap.mmap(-1, 1 << 40, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, prot=0)
        try: mmap.mmap(-1, 2 << 30, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError: return "limited"
    print(one())
    """
    grader = "def test_values(submission): expect(submission.call('one')).equals('limited')"
    course = make_course({"one": (exercise_text("values"), grader)})
    with open_zygote("auto", ("/dev/tty",)) as zygote:
        graded = run_notebook(course, answer, "judge:one", on=zygote)
    assert text_of(graded.runs[1]) == "limited\n", graded.runs[1]
    assert verdict_of(graded).score == 1


# -------------------------------------------------------------------------------------- where there are real GPUs


def cards():
    return sorted(path for path in map(str, Path("/dev").glob("nvidia*")) if not path.endswith("caps"))


def real():
    return Settings(devices=tuple(cards()), accelerators="real")


HAS_GPU = any(re.fullmatch(r"/dev/nvidia\d+", card) for card in cards())
needs_gpu = pytest.mark.skipif(not HAS_GPU, reason="no CUDA device is present")


@pytest.fixture
def gpu_zygote():
    """A zygote whose submissions may use the GPUs of this machine."""
    with open_zygote("auto", tuple(cards())) as zygote:
        yield zygote


REAL = """
def test_values(submission):
    found = submission.call("one")
    expect(found[0]).on_device("cuda:0").equals(torch.arange(4.0) * 2)
    expect(found[1]).equals(1)
    expect(submission.machine(accelerators=0).run(count)).equals((False, 0))

def count(student): return torch.cuda.is_available(), torch.cuda.device_count()
"""


@pytest.mark.parametrize("top_level", ["", "torch.ones(2, device='cuda').sum()\n"], ids=["", "used-by-a-cell"])
@pytest.mark.parametrize("limits", ["", "limits: {memory: 4 GiB}\n"], ids=["default", "4GiB"])
@pytest.mark.gpu
@needs_gpu
def test_real_gpus_work(make_course, exercise_text, run_notebook, gpu_zygote, top_level, limits):
    """CUDA starts within the limits of a submission, also after a cell has used it, and sees what is asked for."""
    answer = """
    def one():
        if not torch.cuda.is_available(): return torch.zeros(4), 0
        return torch.arange(4.0, device="cuda") * 2, torch.cuda.device_count()
    """
    course = make_course({"one": (exercise_text("values") + "accelerators: 1\n" + limits, REAL)})
    cells = ("import torch\n" + top_level, answer, "judge:one")
    verdict = verdict_of(run_notebook(course, *cells, settings=real(), on=gpu_zygote, seconds=60.0))
    assert verdict.score == 1, verdict.to_text()


@pytest.mark.gpu
@needs_gpu
def test_ranks_use_real_gpus(make_course, exercise_text, run_notebook, gpu_zygote):
    """Ranks reduce tensors of a real GPU, where no cell has used one before."""
    grader = """
    def test_values(submission):
        for found in submission.ranks(2).run(reduced):
            expect(found).on_device("cuda:0").equals(torch.tensor([3.0]))

    def reduced(student, rank):
        import torch.distributed as dist
        dist.init_process_group("gloo", init_method=rank.init_method, rank=rank.rank, world_size=rank.size)
        tensor = torch.tensor([rank.rank + 1.0], device="cuda")
        dist.all_reduce(tensor)
        return tensor
    """
    course = make_course({"one": (exercise_text("values") + "accelerators: 1\n", grader)})
    verdict = verdict_of(run_notebook(course, "judge:one", settings=real(), on=gpu_zygote, seconds=60.0))
    assert verdict.score == 1, verdict.to_text()
