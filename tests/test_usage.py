"""Specification of what is seen of a submission from the outside, and of the user ids of submissions."""

import itertools
import os
import subprocess
import sys

import pytest

from tensorgrade import slots
from tensorgrade.errors import LimitExceeded
from tensorgrade.sandbox import Confinement
from tensorgrade.slots import FIRST, LAST, UserSlot
from tensorgrade.usage import Usage, children_of, descendants_of
from tests import machine

FAMILY = """
import os, sys, time
held = bytearray(int(sys.argv[2]))
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        break
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def family():
    """Starts a process with some children, whose memory is shared among them: ``family(children, bytes)``."""
    started = []

    def start(children, size):
        command = [sys.executable, "-c", FAMILY, str(children), str(size)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        started.append(process)
        for _ in range(children + 1):
            process.stdout.readline()
        return process

    yield start
    for process in started:
        os.killpg(process.pid, 9)
        process.communicate()


def usage(folder, tier="B", **limits):
    """What this test's own children use, compared with limits that are generous where none is given."""
    most = {"memory": 1 << 40, "cpu_seconds": 1, "processes": 1000, "disk": 1 << 40, "files": 1000, **limits}
    return Usage(os.getpid(), tier, Confinement("demo", str(folder), **most))


def exceeded(seen):
    """The limit that is exceeded, or None."""
    try:
        seen.check()
    except LimitExceeded as failure:
        return failure.limit
    return None


def test_children_and_their_children_are_known(family):
    """The descendants of a process are found at any depth; a process that is gone has none."""
    process = family(3, 1)
    assert process.pid in children_of(os.getpid())
    assert len(descendants_of(process.pid)) == 3
    assert descendants_of(process.pid) < descendants_of(os.getpid())
    assert descendants_of(4_000_000) == set()


def test_memory_that_forks_share_counts_once(family, tmp_path):
    """Ten forks that share a hundred MiB use a hundred MiB together, and their own."""
    before = usage(tmp_path)._inherited
    family(10, 100 << 20)
    assert exceeded(usage(tmp_path, memory=900 << 20)) is None
    assert exceeded(usage(tmp_path, memory=(60 << 20))) == "memory" or before > 60 << 20


def test_tasks_are_counted_together(family, tmp_path):
    """Processes and threads of all processes are compared with the limit."""
    others = len(descendants_of(os.getpid()))
    family(5, 1)
    assert exceeded(usage(tmp_path, processes=others + 20)) is None
    assert exceeded(usage(tmp_path, processes=others + 5)) == "processes"


@pytest.mark.parametrize(("tier", "seen"), [("B", True), ("C", True), ("A", False)])
def test_files_are_counted_where_they_have_no_file_system_of_their_own(tmp_path, tier, seen):
    """Outside of tier A the sum of all files is compared with the limits; holes in them do not count."""
    (tmp_path / "folder").mkdir()
    for number in range(10):
        (tmp_path / "folder" / str(number)).write_bytes(bytes(100_000))
    with (tmp_path / "hole").open("wb") as hole:
        hole.truncate(1 << 30)
    assert exceeded(usage(tmp_path, tier, disk=2_000_000)) is None
    assert exceeded(usage(tmp_path, tier, disk=500_000)) == ("disk" if seen else None)
    assert exceeded(usage(tmp_path, tier, files=11)) == ("files" if seen else None)


HOARD = """
import mmap, os, sys, time
for number in range(10):
    with open(f"{sys.argv[1]}/{number}", "w+b") as file:
        file.write(bytes(100_000))
        file.flush()
        if sys.argv[2] == "mapped":
            globals()[f"kept{number}"] = mmap.mmap(file.fileno(), 100_000)
        else:
            globals()[f"kept{number}"] = os.dup(file.fileno())
    os.unlink(file.name)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("how", ["open", "mapped"])
def test_files_without_a_name_are_counted(tmp_path, how):
    """A file that was removed takes its room for as long as a process has it open or mapped."""
    with subprocess.Popen([sys.executable, "-c", HOARD, str(tmp_path), how], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert exceeded(usage(tmp_path, disk=2_000_000)) is None
        assert exceeded(usage(tmp_path, disk=500_000)) == "disk"
        assert exceeded(usage(tmp_path, files=9)) == "files"
        assert exceeded(usage(tmp_path, "A", disk=500_000)) is None
        process.kill()


def test_what_the_zygote_has_without_a_name_is_nobodys(tmp_path):
    """Files that a submission inherits, such as a library that was exchanged meanwhile, do not count."""
    with (tmp_path / "gone").open("wb") as file:
        file.write(bytes(1_000_000))
        (tmp_path / "gone").unlink()
        seen = usage(tmp_path, disk=500_000)
        with subprocess.Popen(["sleep", "60"], pass_fds=[file.fileno()]) as process:
            assert exceeded(seen) is None
            process.kill()


def test_shared_memory_is_no_file(tmp_path):
    """Memory that processes share, which the kernel calls a removed file, does not count as one."""
    script = "import mmap, sys; held = mmap.mmap(-1, 10_000_000); print(flush=True); sys.stdin.read()"
    streams = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", script], **streams) as process:
        process.stdout.readline()
        assert exceeded(usage(tmp_path, disk=500_000)) is None
        process.communicate()


MEMORY = """
import os, sys, tempfile
from pathlib import Path
from tensorgrade.errors import LimitExceeded
from tensorgrade.sandbox import Confinement
from tensorgrade.supervisor import open_zygote
with open_zygote("B") as zygote, tempfile.TemporaryDirectory() as folder:
    Path(folder).chmod(0o711)
    Path(folder, "own").mkdir()
    limits = {"memory": 256 << 20, "cpu_seconds": 60, "processes": 40}
    process = zygote.start(Confinement("demo", f"{folder}/own", **limits), seed=0)
    try:
        print(process.run_cell(sys.argv[1], seconds=20, output_limit=1000)["outputs"][0]["text"])
    except LimitExceeded as failure:
        print(failure.limit)
    process.close()
"""
FORKS = """
import os, time
held = bytearray({own} << 20)
for _ in range(8):
    if os.fork() == 0:
        {then}
        time.sleep(3)
        os._exit(0)
time.sleep(2)
print("within")
"""


@pytest.mark.skipif(not machine.available(), reason="other machines are made by root")
@pytest.mark.parametrize(
    ("own", "then", "said"),
    [
        (1, "more = bytearray(100 << 20)", "memory"),
        (120, "held[::4096] = b'x' * len(held[::4096])", "memory"),
        (120, "pass", "within"),
    ],
)
def test_memory_is_summed_where_root_may_not_look_into_processes(own, then, said):
    """Root of a container has no power to trace; what forks take for themselves is counted all the same."""
    assert machine.run(MEMORY, FORKS.format(own=own, then=then), container=True).strip() == said


# ------------------------------------------------------------------------------------------- user ids


def test_two_slots_differ_and_are_free_again(monkeypatch):
    """Two zygotes at once have different user ids; one that is released can be had again."""
    first, second = UserSlot(), UserSlot()
    assert first.user != second.user
    assert all(FIRST <= slot.user <= LAST for slot in (first, second))
    first.release()
    monkeypatch.setattr(slots, "_starts", itertools.count(first.user - FIRST))
    third = UserSlot()
    assert third.user == first.user
    second.release()
    third.release()


def test_a_slot_is_free_when_its_holder_is_killed(monkeypatch):
    """The kernel frees the user id of a process that did not come to release it."""
    script = "import time; from tensorgrade.slots import UserSlot; slot = UserSlot(); print(slot.user, flush=True)"
    command = [sys.executable, "-c", f"{script}; time.sleep(60)"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        taken = int(holder.stdout.readline())
        assert _slot_from(taken, monkeypatch) != taken
        holder.kill()
    assert _slot_from(taken, monkeypatch) == taken


def _slot_from(user, monkeypatch):
    """The user id that is given when the search begins at `user`."""
    monkeypatch.setattr(slots, "_starts", itertools.count(user - FIRST))
    slot = UserSlot()
    slot.release()
    return slot.user
