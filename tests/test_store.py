"""Specification of the store: a value comes back as it was put or not at all, on real disks, full ones included."""

import contextlib
import hashlib
import logging
import multiprocessing
import os
import random
import shutil
import signal
import subprocess
import time

import pytest

from tensorgrade.store import Store

VALUE = {"outputs": [{"text": "1 + 1 = 2 等于二\n"}], "count": 1, "score": 0.5, "none": None}
ROUNDS = 60
SPAWNED = multiprocessing.get_context("spawn")


def key(name):
    return hashlib.sha256(str(name).encode()).hexdigest()


def file_of(folder, name):
    (file,) = folder.glob(f"*/{key(name)}")
    return file


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "results"


@pytest.fixture
def store(folder):
    return Store(folder)


def test_a_value_comes_back_as_it_was_put(store, folder):
    """In the same process and in another, until another value is put in its place."""
    store.put(key(1), VALUE)
    assert store.get(key(1)) == VALUE
    assert Store(folder).get(key(1)) == VALUE
    store.put(key(1), [2])
    assert store.get(key(1)) == [2]
    assert len(store) == 1
    assert store.size() == file_of(folder, 1).stat().st_size


def test_what_was_not_put_is_missing(store, folder):
    """A store that was never written to has no values and makes no folder."""
    assert store.get(key(1)) is None
    assert (len(store), store.size(), store.clear()) == (0, 0, 0)
    assert not folder.exists()


def test_clear_removes_all_values(store):
    """``clear`` says how many bytes it has removed, and the store can be used again."""
    store.put(key(1), VALUE)
    size = store.size()
    assert store.clear() == size > 0
    assert (store.get(key(1)), len(store)) == (None, 0)
    store.put(key(1), VALUE)
    assert store.get(key(1)) == VALUE


def flipped(file, _other):
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def as_folder(file, _other):
    file.unlink()
    file.mkdir()
    (file / "inside").write_text("x")


DAMAGES = {
    "truncated": lambda file, other: os.truncate(file, file.stat().st_size // 2),
    "empty": lambda file, other: os.truncate(file, 0),
    "byte flipped": flipped,
    "text": lambda file, other: file.write_text("not a value"),
    "the value of another key": shutil.copyfile,
    "a folder in its place": as_folder,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_value_counts_as_missing(store, folder, caplog, damage):
    """It is named in a warning, the other values are as they were, and a new value takes its place."""
    store.put(key(1), VALUE)
    store.put(key(2), [2])
    file = file_of(folder, 1)
    other = file_of(folder, 2)
    if damage is shutil.copyfile:
        shutil.copyfile(other, file)
    else:
        damage(file, other)
    assert store.get(key(1)) is None
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert str(file) in record.getMessage()
    assert store.get(key(2)) == [2]
    store.put(key(1), VALUE)
    assert store.get(key(1)) == VALUE
    assert len(caplog.records) == 1


@pytest.fixture
def full_disk(tmp_path):
    """A folder on a disk without room: a small tmpfs when we may mount one."""
    if os.getuid() != 0:
        pytest.skip("only root can mount a disk")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", folder], check=False)
    if mounted.returncode != 0:
        pytest.skip("a disk cannot be mounted here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_a_full_disk_does_no_harm(full_disk, caplog):
    """What did not fit is missing, what fitted is there, nothing half-written stays, and it is told once."""
    store = Store(full_disk / "results")
    store.put(key("small"), VALUE)
    for name in range(3):
        store.put(key(name), random.Random(name).randbytes(100_000).hex())
    assert [store.get(key(name)) for name in range(3)] == [None] * 3
    assert store.get(key("small")) == VALUE
    assert len(store) == 1
    (record,) = caplog.records
    assert str(full_disk) in record.getMessage()
    with store.computing(key(1)):
        pass


def test_a_file_in_the_place_of_the_folder_does_no_harm(folder, store, caplog):
    """Then nothing is stored, which is told once, and everything is computed."""
    folder.write_text("not a folder")
    for name in range(3):
        store.put(key(name), VALUE)
        assert store.get(key(name)) is None
        with store.computing(key(name)):
            pass
    told = [record.getMessage() for record in caplog.records if "cannot be stored" in record.getMessage()]
    assert len(told) == 1
    assert folder.read_text() == "not a folder"


def test_the_least_recently_used_go_first(folder):
    """A store that has grown over its limit loses the values that were not used for the longest time."""
    content = random.Random(0).randbytes(10_000).hex()
    for name in range(10):
        Store(folder).put(key(name), content)
        os.utime(file_of(folder, name), (name, name))
    used = Store(folder)
    assert used.get(key(0)) == content  # which is now the one that was used last
    room = 4 * file_of(folder, 0).stat().st_size
    Store(folder, limit=room + 1000).put(key("new"), VALUE)
    left = {name for name in (*range(10), "new") if used.get(key(name)) is not None}
    assert left == {0, 7, 8, 9, "new"}
    assert used.size() <= room + 1000


def test_a_store_that_is_used_for_long_stays_bounded(folder):
    """Also without being opened anew."""
    store, content = Store(folder, limit=20_000), random.Random(0).randbytes(400).hex()
    for name in range(450):
        store.put(key(name), content)
    one = file_of(folder, 449).stat().st_size
    assert store.size() <= 20_000 + 200 * one
    assert store.get(key(449)) == content


def use(folder, seed):
    """Use a store in all ways at random; every value that is found has to be the one of its key."""
    store, choice = Store(folder, limit=5_000), random.Random(seed)
    for _ in range(ROUNDS):
        name = choice.randrange(20)
        with store.computing(key(name)):
            found = store.get(key(name))
            assert found in (None, [name] * 200)
            store.put(key(name), [name] * 200)
        if choice.random() < 0.1:
            store._sweep()
        if choice.random() < 0.02:
            store.clear()


def test_several_processes_use_a_store_at_once(folder):
    """They put, get, sweep and clear as they like: none fails, and none finds a value that is not its key's."""
    processes = [SPAWNED.Process(target=use, args=(folder, seed)) for seed in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4


def hold(folder, name, connection):
    """Hold the place of a value until told to go on."""
    with Store(folder).computing(key(name)):
        connection.send("holds")
        connection.recv()
    connection.send("released")


@contextlib.contextmanager
def holding(folder, name):
    """A process that computes a value, and our end of its pipe."""
    ours, theirs = SPAWNED.Pipe()
    process = SPAWNED.Process(target=hold, args=(folder, name, theirs))
    process.start()
    theirs.close()
    try:
        yield process, ours
    finally:
        process.kill()
        process.join()
        ours.close()


def test_one_at_a_time_computes_a_value(folder):
    """A second process waits until the first has computed it; another value is computed at once."""
    with holding(folder, 1) as (_, first):
        assert first.recv() == "holds"
        with holding(folder, 1) as (_, second), holding(folder, 2) as (_, other):
            assert other.recv() == "holds"
            assert not second.poll(0.3)
            first.send("go on")
            assert first.recv() == "released"
            assert second.poll(30)
            assert second.recv() == "holds"


def test_a_process_that_is_killed_holds_nothing(folder):
    """What it was computing is computed by the next."""
    with holding(folder, 1) as (process, first):
        assert first.recv() == "holds"
        with holding(folder, 1) as (_, second):
            time.sleep(0.2)
            os.kill(process.pid, signal.SIGKILL)
            assert second.poll(30)
            assert second.recv() == "holds"


def test_an_error_while_computing_gives_the_place_free(folder, store):
    """What was not computed then can be by the next."""
    with pytest.raises(ZeroDivisionError), store.computing(key(1)):
        _ = 1 / 0
    with holding(folder, 1) as (_, next_one):
        assert next_one.recv() == "holds"
