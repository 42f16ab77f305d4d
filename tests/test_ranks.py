"""Specification of ranks, by real processes in tiers A and B."""

import socket
import textwrap

import pytest

from tensorgrade.usage import descendants_of

WORLD = """
import datetime, os, time
import torch, torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

def world(rank, size, init_method):
    dist.init_process_group("gloo", init_method=init_method, rank=rank, world_size=size)

def job(rank, size, init_method, *arguments):
    world(rank, size, init_method)
    try:
        return work(rank, size, *arguments)
    finally:
        dist.destroy_process_group()
"""

ALL = """
def test_values(submission):
    for size in (1, 2, 3):
        attempts = submission.ranks(size).call("job", lambda rank: (rank.rank, rank.size, rank.init_method))
        for rank, attempt in enumerate(attempts):
            value = attempt.returned()
            for key, wanted in EXPECTED(rank, size).items():
                expect(value[key], key).equals(wanted)

def EXPECTED(rank, size):
    total = size * (size + 1) // 2
    return {
        "backend": "gloo", "place": (rank, size), "sum": torch.tensor([total, 2 * total]),
        "max": torch.tensor(float(size)), "broadcast": torch.tensor([size - 1]),
        "gathered": [torch.tensor([other]) for other in range(size)], "into": torch.arange(size),
        "reduced": torch.tensor(float(total)) if rank == 0 else torch.tensor(float(rank + 1)),
        "scattered": torch.tensor([10 * rank]), "objects": [{"rank": other} for other in range(size)],
        "part": torch.tensor([size * rank]), "swapped": torch.arange(size) * 10 + rank,
        "neighbour": torch.full((300_000,), float((rank - 1) % size)), "async": torch.tensor(size),
        "halves": torch.tensor(sum(other + 1 for other in range(size) if other % 2 == rank % 2)),
    }
"""

COLLECTIVES = """
def work(rank, size):
    here = {"backend": dist.get_backend(), "place": (dist.get_rank(), dist.get_world_size())}
    here["sum"] = torch.tensor([rank + 1, 2 * (rank + 1)]); dist.all_reduce(here["sum"])
    here["max"] = torch.tensor(rank + 1.0); dist.all_reduce(here["max"], dist.ReduceOp.MAX)
    here["broadcast"] = torch.tensor([rank]); dist.broadcast(here["broadcast"], size - 1)
    here["gathered"] = [torch.zeros(1, dtype=torch.int64) for _ in range(size)]
    dist.all_gather(here["gathered"], torch.tensor([rank]))
    here["into"] = torch.zeros(size, dtype=torch.int64)
    dist.all_gather_into_tensor(here["into"], torch.tensor([rank]))
    here["reduced"] = torch.tensor(rank + 1.0); dist.reduce(here["reduced"], 0)
    here["scattered"] = torch.zeros(1, dtype=torch.int64)
    dist.scatter(here["scattered"], [torch.tensor([10 * r]) for r in range(size)] if rank == 0 else None, src=0)
    here["objects"] = [None] * size; dist.all_gather_object(here["objects"], {"rank": rank})
    here["part"] = torch.zeros(1, dtype=torch.int64)
    dist.reduce_scatter(here["part"], [torch.tensor([r]) for r in range(size)])
    here["swapped"] = torch.zeros(size, dtype=torch.int64)
    dist.all_to_all_single(here["swapped"], torch.arange(size) + 10 * rank)
    here["neighbour"] = torch.zeros(300_000)
    sent = dist.isend(torch.full((300_000,), float(rank)), (rank + 1) % size) if size > 1 else None
    if sent: dist.recv(here["neighbour"], (rank - 1) % size); sent.wait()
    here["async"] = torch.tensor(1); dist.all_reduce(here["async"], async_op=True).wait()
    groups = [dist.new_group([r for r in range(size) if r % 2 == odd]) for odd in (0, 1) if odd < size]
    here["halves"] = torch.tensor(rank + 1); dist.all_reduce(here["halves"], group=groups[rank % 2])
    dist.barrier()
    return here
"""

DDP = """
def test_values(submission):
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    x, y = torch.randn(6, 3), torch.randn(6, 1)
    attempts = submission.ranks(2, accelerators={accelerators}).call(
        "job", lambda rank: (rank.rank, rank.size, rank.init_method, model, x[rank.rank::2], y[rank.rank::2])
    )
    grads = []
    for rank in range(2):
        model.zero_grad()
        F.mse_loss(model(x[rank::2]), y[rank::2]).backward()
        grads.append([p.grad for p in model.parameters()])
    for attempt in attempts:
        for got, *wanted in zip(attempt.returned(), *grads):
            expect(got).close_to(sum(wanted) / 2, terms=8).on_device("{device}")
"""

TRAIN = """
def work(rank, size, model, x, y):
    device = {device}
    wrapped = DistributedDataParallel(model.to(device), **{options})
    nn.functional.mse_loss(wrapped(x.to(device)), y.to(device)).backward()
    return [p.grad for p in model.parameters()]
"""


@pytest.fixture(params=["A", "B"])
def verdict(request, zygote_of, make_course, exercise_text, run_notebook):
    """The verdict on an answer in a tier."""

    def of(code, grader, clauses=("values",), limits="", **options):
        course = make_course({"task": (exercise_text(*clauses) + limits, "import torch.nn.functional as F\n" + grader)})
        zygote = zygote_of(request.param)
        judged = run_notebook(course, WORLD + code, "judge:task", on=zygote, **options).verdicts["task"]
        assert judged.flagged is None, judged.flagged
        return judged

    return of


def test_the_collectives_work(verdict):
    """What gloo offers works among 1, 2 and 3 ranks, in groups of some of them, and for large messages both ways."""
    result = verdict(COLLECTIVES, ALL)
    assert result.score == 1, result.to_text()


@pytest.mark.parametrize("before", ["", "nn.Linear(9, 9)(torch.ones(2, 9)).sum().backward()\n"], ids=["", "backward"])
@pytest.mark.parametrize(("device", "options"), [("'cpu'", "{}"), ("f'cuda:{rank}'", "{'device_ids': [rank]}")])
def test_ddp_averages_gradients(verdict, device, options, before):
    """DistributedDataParallel works on the CPU and on a device per rank, also after a backward in a cell."""
    count = 2 if "cuda" in device else 0
    grader = DDP.format(accelerators=count, device="cpu")
    code = TRAIN.replace("{device}", device).replace("{options}", options)
    code = code.replace("[p.grad for", "[p.grad.cpu() for")
    result = verdict(before + code, grader, seconds=40.0)
    assert result.score == 1, result.to_text()


MEETS = """
def test_values(submission):
    for address in ("tcp://127.0.0.1:23456", "env://", None):
        attempts = submission.ranks(2).call("meet", lambda rank: (address or rank.init_method, rank.rank, rank.size))
        assert [attempt.returned() for attempt in attempts] == [[1.0], [1.0]]
"""

MEET = """
def meet(address, rank, size):
    place = {} if address == "env://" else {"rank": rank, "world_size": size}
    for _ in range(1 if address.startswith("file") else 2):
        dist.init_process_group("gloo", init_method=address, **place)
        tensor = torch.tensor([float(rank)])
        dist.all_reduce(tensor)
        dist.destroy_process_group()
    return tensor.tolist()
"""


def test_ranks_meet_wherever_they_are_told_to(verdict):
    """A file, an address and the environment lead ranks together, and an address more than once."""
    result = verdict(MEET, MEETS)
    assert result.score == 1, result.to_text()


TWO = """
def test_broken(submission):
    submission.ranks(2).call("broken", lambda rank: (rank.rank, rank.size, rank.init_method))[1].returned()

def test_fine(submission):
    for rank, found in enumerate(submission.ranks(2).run(place)):
        expect(found).equals((rank, 2, True))

def place(student, rank):
    student.world(rank.rank, rank.size, rank.init_method)
    return dist.get_rank(), dist.get_world_size(), student.fine
"""

BROKEN = {
    "hangs": ("while rank: time.sleep(0.1)", "rank-hung"),
    "waits in vain": ("world(rank, size, init)\n    if rank: dist.barrier()\n    time.sleep(9)", "rank-hung"),
    "dies": ("rank and os._exit(1)", "rank-ended"),
    "raises": ("1 / (1 - rank)", "raised"),
    "is left": ("world(rank, size, init)\n    if rank: dist.barrier()", "raised"),
    "is left by one that dies": ("world(rank, size, init)\n    dist.barrier() if rank else os._exit(1)", "rank-ended"),
    "cannot agree": (
        "world(rank, size, init)\n    dist.barrier() if rank else dist.broadcast(torch.ones(1), 0)",
        "raised",
    ),
    "takes another's place": ("world(1, 2, init)", "rank-hung"),
}


@pytest.mark.parametrize(("body", "code"), BROKEN.values(), ids=BROKEN)
def test_a_broken_rank_costs_its_clause_only(verdict, body, code):
    """A rank that hangs, dies, raises or leaves is told of, and the other clauses are judged."""
    answer = f"fine = True\ndef broken(rank, size, init):\n    {body}\n    return rank"
    grader = "import torch.distributed as dist\n" + TWO
    result = verdict(answer, grader, clauses=("broken", "fine"), seconds=3.0)
    assert [(str(clause.status), clause.code) for clause in result.clauses] == [("failed", code), ("passed", None)]


REACH = """
def test_values(submission):
    for found in submission.ranks(2).run(reach, PORT):
        assert set(found.values()) <= {"PermissionError", "OSError"}, found

def reach(student, rank, port):
    import os, signal, socket
    def attempt(function):
        try: return str(function())
        except Exception as error: return type(error).__name__
    return {
        "tcp": attempt(lambda: socket.create_connection(("127.0.0.1", port), timeout=2)),
        "udp": attempt(lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM)),
        "listen": attempt(lambda: socket.create_server(("127.0.0.1", 0))),
        "memory": attempt(lambda: open(f"/proc/{os.getppid()}/mem", "rb").read(1)),
        "run": attempt(lambda: os.execv("/bin/true", ["true"])),
    }
"""


def test_ranks_reach_nothing_else(verdict):
    """A rank has no network, not even that of its own machine, and runs no programs."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        result = verdict("", REACH.replace("PORT", str(listener.getsockname()[1])))
        assert result.score == 1, result.to_text()
        with pytest.raises(BlockingIOError):
            listener.accept()


LEFT = """
def test_values(submission):
    pids = submission.ranks(3).run(own)
    assert len(set(pids)) == 3
    submission.ranks(1).run(own)

def own(student, rank):
    import os
    if os.fork() == 0:
        import time; time.sleep(60)
    return os.getpid()
"""


def test_ranks_leave_nothing(verdict, zygote_of, request):
    """Ranks and what they forked are gone when the notebook is graded."""
    assert verdict("", LEFT).score == 1
    assert all(not descendants_of(zygote_of(tier).pid) for tier in "AB" if tier in request.node.name)


def test_memory_is_that_of_all_ranks(verdict):
    """Ranks that together use more than a submission may are stopped."""
    grader = """
    def test_values(submission):
        submission.ranks(4).run(greedy)

    def greedy(student, rank):
        import time
        kept = torch.ones(120 << 20, dtype=torch.uint8)
        time.sleep(2)
        return int(kept[0])
    """
    limited = verdict("", textwrap.dedent(grader), limits="limits: {memory: 300 MiB}\n")
    assert [clause.code for clause in limited.clauses] == ["limit-memory"]


def test_ranks_at_an_earlier_exercise_share_one_state(make_course, exercise_text, run_notebook):
    """However often ranks are asked at an exercise that is not the last, the notebook runs again only once."""
    state = "import time, torch\nstate = torch.ones(200 << 20, dtype=torch.uint8)\nran = time.monotonic_ns()"
    grader = """
    def test_values(submission):
        times = {submission.ranks(1).run(began)[0] for _ in range(8)}
        assert len(times) == 1, times

    def began(student, rank): return student.ran
    """
    last = "def test_values(submission): submission.ranks(2).run(lambda student, rank: student.ran)[1]"
    course = make_course({"early": (exercise_text("values"), grader), "late": (exercise_text("values"), last)})
    verdicts = run_notebook(course, state, "judge:early", "ran = 2", "judge:late", seconds=30.0).verdicts
    assert {name: verdict.score for name, verdict in verdicts.items()} == {"early": 1, "late": 1}


def test_ranks_that_hang_cost_their_clause_once(verdict):
    """The other tests of a clause in which ranks hang are not run, so that time is left for the other clauses."""
    many = "import pytest\n@pytest.mark.parametrize('case', range(90))\ndef test_broken(submission, case):"
    grader = TWO.replace("def test_broken(submission):", many)
    answer = "fine = True\ndef broken(rank, size, init): time.sleep(9)"
    result = verdict(answer, "import torch.distributed as dist\n" + grader, clauses=("broken", "fine"), seconds=3.0)
    assert [(str(clause.status), clause.code) for clause in result.clauses] == [
        ("failed", "rank-hung"),
        ("passed", None),
    ]


LIES = """
def test_values(submission):
    first, second = submission.ranks(2).call("rank", lambda rank: (rank.rank, rank.init_method))
    expect(second.returned()).equals("second")
    expect(first.returned()).equals("first")

def test_other(submission):
    expect(submission.ranks(2).call("honest", lambda rank: (rank.rank,))[1].returned()).equals(1)
"""
LIARS = {
    "answers the other's question": """
        for number in sockets():
            try: os.write(number, frame("second"))
            except OSError: pass
        return "first"
    """,
    "answers twice": "for number in sockets(): [os.write(number, frame('first')) for _ in range(2)]",
    "answers another id": "for number in sockets(): os.write(number, frame('first', 7))",
    "floods": """
        for number in sockets():
            os.set_blocking(number, False)
            try:
                while True: os.write(number, bytes(1 << 16))
            except OSError: pass
    """,
}


@pytest.mark.parametrize("body", LIARS.values(), ids=LIARS)
def test_a_rank_cannot_answer_for_another(verdict, body):
    """What a rank writes to any of its sockets is no answer of the other one, and flags nothing."""
    answer = f"""
import stat
from tensorgrade.codec import encode
def honest(rank): return rank
def sockets(): return [n for n in range(3, 64) if is_socket(n)]
def is_socket(number):
    try: return stat.S_ISSOCK(os.fstat(number).st_mode)
    except OSError: return False
def frame(value, request=1): return encode({{"id": request, "value": value, "arguments": [0, ""], "keywords": {{}}}})
def lie():
{textwrap.indent(textwrap.dedent(body), "    ")}
def rank(rank, init):
    if rank: time.sleep(0.5)
    else: lie()
    return "wrong"
"""
    result = verdict(answer, LIES, clauses=("values", "other"), seconds=3.0)
    assert [str(clause.status) for clause in result.clauses] == ["failed", "passed"], result.to_text()


def test_a_grader_cannot_ask_for_too_many(judged):
    """More than 8 ranks, or none, are the grader's fault."""
    for count in (0, 9):
        grader = f"def test_values(submission): submission.ranks({count}).call('one', lambda rank: ())"
        assert "there can be 1 to 8 ranks" in judged("def one(): ...", grader).flagged
