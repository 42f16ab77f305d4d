"""Specification of a zygote and its processes, by real ones."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tensorgrade.errors import EngineError, ProcessEnded, ProtocolError, SubmissionFailure, TimeLimitExceeded
from tensorgrade.sandbox import Confinement, Narrowed
from tensorgrade.supervisor import open_zygote
from tensorgrade.usage import descendants_of
from tensorgrade.zygote import ALLOCATION

LIMIT = 1 << 20


@pytest.fixture(params=["A", "B", "C"], scope="module")
def zygote(request, zygote_of):
    """A zygote of each tier: all that is said here holds in all of them."""
    return zygote_of(request.param)


# finds the socket that the process answers on: the one that another process has made
CONTROL = """
import os, socket, struct

def maker(fd):
    try:
        with socket.socket(fileno=os.dup(fd)) as end:
            return struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]
    except OSError:
        return os.getpid()

control = next(fd for fd in range(3, 512) if maker(fd) != os.getpid())
"""


def text_of(answer):
    return "".join(output.get("text", "") for output in answer["outputs"] if output["output_type"] == "stream")


def run(process, source, seconds=10.0):
    """What a cell printed."""
    return text_of(process.run_cell(textwrap.dedent(source), seconds, LIMIT))


def value_of(process, expression):
    """The value of an expression, by way of JSON."""
    return json.loads(run(process, f"import json, os; print(json.dumps({expression}))"))


def run_in_snapshot(snapshot, source, seconds=5.0):
    return text_of(snapshot.request({"do": "cell", "source": source, "output_limit": LIMIT}, seconds))


# ------------------------------------------------------------------------------------------ a cell's world


def test_a_cell_runs(process):
    """A cell gives its outputs, and its names stay for the next."""
    first = process.run_cell("x = 20\nprint('hello')\nx + 1", 5, LIMIT)
    assert (first["ok"], first["execution_count"], text_of(first)) == (True, 1, "hello\n")
    assert run(process, "print(x)") == "20\n"


def test_an_error_is_an_output(process):
    """A cell that raises answers with the error, and the process goes on."""
    answer = process.run_cell("1 / 0", 5, LIMIT)
    assert answer["ok"] is False
    assert answer["outputs"][-1]["ename"] == "ZeroDivisionError"
    assert process.alive


def test_the_environment_is_clean(process):
    """Nothing of the trusted side's environment is there, and nothing that tells of grading."""
    environment = value_of(process, "dict(os.environ)")
    assert not [name for name in environment if name.startswith(("TENSORGRADE", "NBGRADER", "PYTEST"))]
    assert not set(environment) & set(ALLOCATION)
    assert "canary" not in str(environment)
    assert value_of(process, "os.getcwd()") == f"{environment['HOME']}/demo"


def test_descriptors_are_few(process, tmp_path):
    """Inherited are the three standard streams and one socket; the rest is the event loop's own."""
    with (tmp_path / "held open").open("w") as held:
        os.set_inheritable(held.fileno(), True)
        places = value_of(
            process,
            "{fd: os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')"
            " if os.path.exists(f'/proc/self/fd/{fd}') or os.path.islink(f'/proc/self/fd/{fd}')}",
        )
    assert places.pop("0") == "/dev/null"
    assert places.pop("1").startswith("pipe:")
    assert places.pop("2").startswith("pipe:")
    kinds = sorted(place.partition(":")[0] for place in places.values() if not place.startswith("/proc/"))
    loop = ["anon_inode", "socket", "socket"]  # asyncio's epoll and its pair of sockets
    assert kinds == sorted([*loop, "socket"])


def test_warnings_are_shown_as_in_a_kernel(process):
    """Warnings meant for users are shown, those that Python hides by default are not."""
    shown = run(
        process, "import warnings\nfor kind in (ResourceWarning, ImportWarning, UserWarning): warnings.warn('w', kind)"
    )
    assert "UserWarning" in shown
    assert "ResourceWarning: w" not in shown
    assert "ImportWarning: w" not in shown


def test_it_has_a_session_of_its_own(process):
    """The process leads its own session and process group."""
    pid, group, session = value_of(process, "[os.getpid(), os.getpgrp(), os.getsid(0)]")
    assert pid == group == session
    assert os.getsid(process.pid) == os.getpgid(process.pid) == process.pid


# -------------------------------------------------------------------------------------------------- limits


def test_an_endless_loop_is_interrupted(process):
    """A cell over its time is interrupted like in a kernel, and the state it made stays."""
    answer = process.run_cell("x = 5\nwhile True: pass", 0.5, LIMIT)
    assert answer["interrupted"] is True
    assert answer["outputs"][-1]["ename"] == "KeyboardInterrupt"
    assert run(process, "print(x)") == "5\n"


def test_a_loop_that_ignores_interrupts_is_killed(process, is_gone):
    """What swallows the interrupt is killed after the grace."""
    source = """
        import signal
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        while True:
            try:
                while True: pass
            except BaseException:
                pass
    """
    with pytest.raises(TimeLimitExceeded):
        run(process, source, seconds=0.5)
    assert not process.alive
    assert is_gone(process.pid)


@pytest.mark.parametrize(
    "source",
    [
        "import os; os._exit(0)",
        "import ctypes; ctypes.string_at(0)",
        "import os; os.abort()",
        "import os, signal; os.kill(os.getpid(), signal.SIGKILL)",
        "import os; os.closerange(3, 100)",
    ],
    ids=["exit", "segfault", "abort", "sigkill", "closed-socket"],
)
def test_a_process_that_ends_is_noticed(zygote, process, source):
    """An exit, a crash, a kill or a closed socket raises ProcessEnded, and so does every later request."""
    if zygote.tier == "A" and "SIGKILL" in source:
        pytest.skip("the first process of a tree cannot be killed from inside of it, see pid_namespaces(7)")
    with pytest.raises(ProcessEnded):
        run(process, source)
    assert not process.alive
    with pytest.raises(SubmissionFailure):
        run(process, "1", seconds=1)


@pytest.mark.parametrize(
    ("source", "error"),
    [("bytearray(10 << 30)", "MemoryError"), ("import torch; torch.empty(10 << 30)", "RuntimeError")],
)
def test_too_much_memory_is_an_error_of_the_cell(process, source, error):
    """An allocation beyond the limit raises in the cell, while the process lives."""
    assert process.run_cell(source, 10, LIMIT)["outputs"][-1]["ename"] == error
    assert run(process, "print(1)") == "1\n"


@pytest.mark.parametrize(
    "source",
    [
        "for _ in range(100): print('x' * (1 << 20))",
        "import os\nfor _ in range(100): os.write(1, b'x' * (1 << 20))",
        "import os\nfor _ in range(100): os.write(2, b'x' * (1 << 20))",
    ],
    ids=["print", "stdout", "stderr"],
)
def test_floods_stay_bounded(process, source):
    """A hundred megabytes of output, by print or behind Python's back, are cut off; the next cell has none of it."""
    answer = process.run_cell(source, 20, LIMIT)
    assert len(text_of(answer)) < 3 * LIMIT
    assert run(process, "print('next')") == "next\n"


def test_what_is_written_to_descriptors_is_an_output(process):
    """What a C library or a child writes to 1 and 2 comes with the cell."""
    outputs = process.run_cell("import os\nos.write(1, b'out'); os.write(2, b'err');", 5, LIMIT)["outputs"]
    raw = {output["name"]: output["text"] for output in outputs}
    assert raw == {"stdout": "out", "stderr": "err"}


# ------------------------------------------------------------------------------------------------ forgeries

FRAME = CONTROL + "frame = lambda header, body=b'': struct.pack('<II', len(header), len(body)) + header + body\n"


@pytest.mark.parametrize(
    "forged",
    [
        "b'\\xff' * 100",
        "struct.pack('<II', 1 << 31, 0)",
        "frame(b'not json')",
        "frame(b'[1]')",
        "frame(b'{}')",
        'frame(b\'{"id": 999, "outputs": []}\')',
        'frame(b\'{"id": true, "outputs": []}\')',
        'frame(b\'{"$buffer": [0, 1]}\', b"x")',
    ],
)
def test_forged_bytes_are_a_protocol_error(process, forged):
    """Whatever but an answer comes from the control socket ends the process with ProtocolError."""
    run(process, FRAME)
    with pytest.raises(ProtocolError):
        run(process, f"os.write(control, {forged})")
    assert not process.alive


@pytest.mark.parametrize("outputs", ["1", "null", "[1]", '["text"]', "[[]]", "[{}]"])
def test_a_forged_cells_answer_has_outputs_or_is_a_protocol_error(process, outputs):
    """An answer with the right id is believed only when each output is an object with a type."""
    run(process, FRAME)
    with pytest.raises(ProtocolError):
        run(process, f'os.write(control, frame(b\'{{"id": 3, "outputs": {outputs}}}\'))')


def test_an_answer_too_many_is_a_protocol_error(process):
    """A forged answer costs the process, since the true one follows."""
    run(process, FRAME)
    process.run_cell('os.write(control, frame(b\'{"id": 3, "outputs": []}\'))', 5, LIMIT)
    with pytest.raises(ProtocolError):
        run(process, "1")


def test_half_an_answer_is_a_time_out(process):
    """A frame that never ends costs its time and nothing else."""
    run(process, FRAME)
    with pytest.raises(SubmissionFailure):
        run(process, "os.write(control, struct.pack('<II', 100, 0)); import time; time.sleep(60)", seconds=0.5)
    assert not process.alive


# ------------------------------------------------------------------------------------------------ snapshots


def test_a_snapshot_sees_the_state_and_changes_nothing(process):
    """A snapshot has the parent's names as they were; what it does to them stays with it."""
    run(process, "x = [1]")
    first, second = process.snapshot(Narrowed(1 << 30, 60)), process.snapshot(Narrowed(1 << 30, 60))
    assert run_in_snapshot(first, "x.append(2); print(x)") == "[1, 2]\n"
    assert run(process, "print(x); x.append(3)") == "[1]\n"
    assert run_in_snapshot(second, "print(x)") == "[1]\n"
    first.close()
    second.close()


@pytest.mark.parametrize("source", ["import os; os._exit(1)", "import ctypes; ctypes.string_at(0)"])
def test_a_crash_of_a_snapshot_leaves_the_parent_alive(process, source):
    """A snapshot that ends raises ProcessEnded; the parent goes on."""
    snapshot = process.snapshot(Narrowed(1 << 30, 60))
    with pytest.raises(ProcessEnded):
        run_in_snapshot(snapshot, source)
    snapshot.close()
    assert run(process, "print(1)") == "1\n"


def test_a_snapshot_goes_with_its_parent(process, is_gone):
    """Closing a process ends its snapshots."""
    snapshot = process.snapshot(Narrowed(1 << 30, 60))
    (pid,) = descendants_of(process.pid)
    process.close()
    assert is_gone(pid)
    with pytest.raises(ProcessEnded):
        run_in_snapshot(snapshot, "1")
    snapshot.close()


# --------------------------------------------------------------------------------------------- no process left

CHILDREN = {
    "fork": "import os, time\nif not os.fork(): time.sleep(600)",
    "family": "import os, time\nfor _ in range(3): os.fork()\nif os.getppid() != parent: time.sleep(600)",
    "orphan": """
        import os, time
        if not os.fork():
            if not os.fork(): time.sleep(600)
            os._exit(0)
        os.wait()
    """,
}
PROGRAMS = {
    "subprocess": "import subprocess\nchild = subprocess.Popen(['sleep', '600'])",
    "session": "import subprocess\nchild = subprocess.Popen(['sleep', '600'], start_new_session=True)",
    "daemon": """
        import os, time
        reading, writing = os.pipe()
        if not os.fork():
            os.setsid()
            if os.fork(): os._exit(0)
            os.write(writing, b"x")
            time.sleep(600)
        os.read(reading, 1)
    """,
}
LEFT_OVER = [
    *(pytest.param(source, False, id=name) for name, source in CHILDREN.items()),
    *(pytest.param(source, True, id=name) for name, source in PROGRAMS.items()),
]


@pytest.mark.parametrize(("source", "programs"), LEFT_OVER)
def test_children_of_a_cell_go_with_the_process(zygote, start, is_gone, source, programs):
    """Whatever process a cell started, in whatever session, has ended when its submission process is closed."""
    process = start(programs=programs)
    before = descendants_of(zygote.pid)
    run(process, "import os; parent = os.getppid()")
    run(process, textwrap.dedent(source))
    children = descendants_of(zygote.pid) - before
    assert children
    process.close()
    left = [pid for pid in children if not is_gone(pid, seconds=2)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_a_closed_zygote_leaves_nothing(tmp_path, is_gone):
    """After close the zygote and its processes are gone, and it forks no more."""
    zygote = open_zygote("auto")
    confinement = Confinement("demo", str(tmp_path), memory=1 << 30, cpu_seconds=10)
    process = zygote.start(confinement, seed=0)
    pids = {zygote.pid, *descendants_of(zygote.pid)}
    assert process.pid in pids
    zygote.close()
    process.close()
    assert all(map(is_gone, pids))
    with pytest.raises((EngineError, OSError)):
        zygote.start(confinement, seed=0)


def test_the_death_of_the_trusted_process_ends_all_others(zygote, is_gone):
    """When the trusted process is killed, its zygote, submission process, snapshot and their children end too."""
    script = """
        import os, sys, tempfile, time
        from tensorgrade.sandbox import Confinement, Narrowed
        from tensorgrade.supervisor import open_zygote
        from tensorgrade.usage import descendants_of
        with tempfile.TemporaryDirectory() as folder:
            confinement = Confinement("demo", folder, memory=1 << 30, cpu_seconds=10, programs=True)
            process = open_zygote(sys.argv[1]).start(confinement, seed=0)
            process.run_cell("import subprocess; child = subprocess.Popen(['sleep', '600'])", 10, 1000)
            snapshot = process.snapshot(Narrowed(1 << 30, 60))
            print(*descendants_of(os.getpid()), flush=True)
            time.sleep(600)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), zygote.tier]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path.cwd()) as trusted:
        pids = [int(pid) for pid in trusted.stdout.readline().split()]
        trusted.kill()
    assert len(pids) >= 4
    left = [pid for pid in pids if not is_gone(pid, seconds=5)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_work_is_seeded(start):
    """Two processes with the same seed draw the same numbers."""
    drawn = []
    for _ in range(2):
        process = start()
        drawn.append(run(process, "import random, torch; print(random.random(), torch.rand(1).item())"))
        process.close()
    assert drawn[0] == drawn[1]


def test_plots_appear_inline(process):
    """Matplotlib draws into the notebook, with nothing configured and nowhere to keep its caches."""
    pytest.importorskip("matplotlib")
    cell = "import matplotlib.pyplot as plt\nplt.plot([1, 3, 2])\nplt.show()"
    answer = process.run_cell(cell, 60.0, 1 << 20)
    assert answer["ok"], answer["outputs"]
    (plot,) = [output for output in answer["outputs"] if "image/png" in output.get("data", {})]
    assert plot["output_type"] == "display_data"
