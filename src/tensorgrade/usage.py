"""What a submission uses, as the trusted side sees it from the outside.

The kernel's limits hold for each process; a submission may consist of many, and where it has no file system of its own
nothing limits the sum of its files. `Usage.check` is called while an answer is awaited.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import secrets
import stat
import tempfile
from collections.abc import Collection, Iterator
from pathlib import Path

from .errors import LimitExceeded
from .sandbox import Confinement, Tier

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Usage:
    """Compares what the submissions of a zygote use with a confinement.

    Args:
        zygote: the process whose descendants the submissions are.
        tier: of their confinement.
        confinement: what they may use.
        user: their user id, when nobody else has it.
        running: the first processes of all submissions of the zygote, as time goes by. Several are machines of one
            notebook: each may use the memory, whichever of them is asked at the moment.
    """

    def __init__(
        self,
        zygote: int,
        tier: Tier,
        confinement: Confinement,
        user: int | None = None,
        running: Collection[int] = (),
    ) -> None:
        self._zygote = zygote
        self._tier = tier
        self._confinement = confinement
        self._user = user
        self._running = running
        self._inherited = memory_of(zygote)
        self._inherited_files = {} if tier == "A" else _unlinked(zygote)

    def check(self) -> None:
        """Raise `LimitExceeded` when the processes together use too much memory, tasks or disk."""
        processes = descendants_of(self._zygote)
        own = sum(max(0, memory_of(process) - self._inherited) for process in processes)
        # the first sum counts what a fork shares with its parent twice, the second one does not and takes longer
        most = self._confinement.memory * max(1, len(self._running))
        if own > most and self._proportional(processes) > most:
            raise LimitExceeded("memory")
        if sum(map(_tasks, processes)) > self._confinement.processes:
            raise LimitExceeded("processes")
        if self._tier != "A":
            self._check_disk(processes)

    def _proportional(self, processes: set[int]) -> int:
        """What the processes use together, pages that they share counted once as far as the kernel tells that."""
        shares = [_proportional_memory(process) for process in processes]
        known = [share for share in shares if share is not None]
        if len(known) == len(shares):
            return sum(known) - self._inherited
        return sum(_memory_since_fork(process) for process in processes)

    def _check_disk(self, processes: set[int]) -> None:
        shared = [] if self._user is None else shared_memory_of(self._user)
        unlinked: dict[_Inode, int] = {}
        for process in processes:
            for inode, size in _unlinked(process).items():
                if inode not in self._inherited_files:
                    unlinked[inode] = max(size, unlinked.get(inode, 0))
        bytes_used, files = sum(map(_disk, shared)) + sum(unlinked.values()), len(shared) + len(unlinked)
        for facts in _contents_of(self._confinement.folder):
            files += 1
            # as in a limited file system: what a folder itself takes is bounded by the number of files
            bytes_used += 0 if stat.S_ISDIR(facts.st_mode) else facts.st_blocks * 512
            if files > self._confinement.files:
                raise LimitExceeded("files")
        if bytes_used > self._confinement.disk:
            raise LimitExceeded("disk")
        if files > self._confinement.files:
            raise LimitExceeded("files")


def _contents_of(folder: str) -> Iterator[os.stat_result]:
    """The facts of all files and folders below.

    By descriptors, one level at a time: a student can make paths that are too long to be opened, and trees that are too
    deep for `os.walk`.
    """
    waiting = [os.open(folder, _FOLDER)]
    try:
        while waiting:
            level = waiting.pop()
            try:
                for name in os.listdir(level):
                    try:
                        facts = os.stat(name, dir_fd=level, follow_symlinks=False)
                        yield facts
                        if stat.S_ISDIR(facts.st_mode):
                            waiting.append(os.open(name, _FOLDER, dir_fd=level))
                    except OSError as error:  # it is gone, or something else by now
                        if error.errno == errno.EMFILE:
                            raise LimitExceeded("files") from error
            finally:
                os.close(level)
    finally:
        for level in waiting:
            os.close(level)


@contextlib.contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder for the working folders of submissions, which is removed whatever they leave in it."""
    folder = tempfile.mkdtemp()
    # a submission with a user id of its own must get to its folder in there
    Path(folder).chmod(0o711)
    try:
        yield Path(folder)
    finally:
        _remove(folder)


def _remove(folder: str) -> None:
    """Remove a folder level by level: each one's content is moved up before it goes, however deep it was."""
    top = os.open(folder, _FOLDER)
    try:
        while names := os.listdir(top):
            for name in names:
                _unpack_or_unlink(top, name)
    finally:
        os.close(top)
    Path(folder).rmdir()


def _unpack_or_unlink(top: int, name: str) -> None:
    if not _opened_up(top, name):
        os.unlink(name, dir_fd=top)
        return
    level = os.open(name, _FOLDER, dir_fd=top)
    try:
        for inner in os.listdir(level):
            _opened_up(level, inner)
            os.rename(inner, secrets.token_hex(16), src_dir_fd=level, dst_dir_fd=top)
    finally:
        os.close(level)
    os.rmdir(name, dir_fd=top)


def _opened_up(level: int, name: str) -> bool:
    """Whether this is a folder, which then can be read and moved, although it may have been made without any rights."""
    is_folder = stat.S_ISDIR(os.stat(name, dir_fd=level, follow_symlinks=False).st_mode)
    if is_folder:
        os.chmod(name, 0o700, dir_fd=level)
    return is_folder


def shared_memory_of(user: int) -> list[Path]:
    """The files below /dev/shm that belong to a user id."""
    return [file for file in Path("/dev/shm").iterdir() if _owner(file) == user]


def children_of(process: int) -> set[int]:
    """The ids of a process's children; empty when it has ended."""
    try:
        tasks = os.listdir(f"/proc/{process}/task")
        lists = [Path(f"/proc/{process}/task/{task}/children").read_text() for task in tasks]
    except OSError:
        return set()
    return {int(child) for children in lists for child in children.split()}


def descendants_of(process: int) -> set[int]:
    """The ids of a process's children, their children, and so on."""
    found: set[int] = set()
    waiting = children_of(process)
    while waiting:
        found |= waiting
        waiting = set().union(*map(children_of, waiting)) - found
    return found


def memory_of(process: int) -> int:
    """Bytes of memory, not of files on disk, that a process has in use, also those that it shares with others."""
    return _kilobytes(f"{_living(process)}/status", ("RssAnon:", "RssShmem:")) << 10


def _living(process: int) -> str:
    """Where the kernel tells of a process: of one whose first thread has ended, at another of its threads."""
    try:
        threads = os.listdir(f"/proc/{process}/task")
    except OSError:
        threads = []
    return f"/proc/{process}/task/{threads[-1]}" if len(threads) > 1 else f"/proc/{process}"


def _proportional_memory(process: int) -> int | None:
    """The same with shared pages divided by the number of processes that share them; slower to find out.

    None where this is not told: to a root without the power to trace, as containers have it.
    """
    place = _living(process)
    try:
        Path(f"{place}/smaps_rollup").open().close()
    except PermissionError:
        return None
    except OSError:
        return 0
    return _kilobytes(f"{place}/smaps_rollup", ("Pss_Anon:", "Pss_Shmem:")) << 10


def _memory_since_fork(process: int) -> int:
    """About the bytes that a process does not share with its parent, from what everybody may know.

    It shares no page that it has faulted in, and none that it has beyond those of its parent.
    """
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    parent, faults = int(fields[1]), int(fields[7])
    used = memory_of(process)
    return max(used - memory_of(parent), min(used, faults * resource.getpagesize()), 0)


_Inode = tuple[int, int]
"""The numbers of a file's device and of the file there."""


def _unlinked(process: int) -> dict[_Inode, int]:
    """The files that a process has open or mapped although they have no name any more, and their bytes.

    Empty where this is not told: to a root without the power to trace, as containers have it.
    """
    found: dict[_Inode, int] = {}
    living = _living(process)
    with contextlib.suppress(OSError):
        for line in Path(f"{living}/maps").read_text().splitlines():
            if line.endswith(" (deleted)") and not line.endswith(" /dev/zero (deleted)"):  # that is shared memory
                place, _, _, device, inode, *_ = line.split()
                begin, end = (int(address, 16) for address in place.split("-"))
                major, minor = (int(number, 16) for number in device.split(":"))
                key = os.makedev(major, minor), int(inode)
                found[key] = found.get(key, 0) + end - begin
    with contextlib.suppress(OSError):
        for descriptor in os.listdir(f"{living}/fd"):
            with contextlib.suppress(OSError):
                facts = Path(f"{living}/fd/{descriptor}").stat()
                if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 0:
                    found[facts.st_dev, facts.st_ino] = facts.st_blocks * 512
    return found


def _kilobytes(file: str, keys: tuple[str, ...]) -> int:
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(keys))


def runs_alone(process: int) -> bool:
    """Whether a process has one thread, and no processes that it started; also when it is gone."""
    return _tasks(process) <= 1 and not children_of(process)


def _tasks(process: int) -> int:
    try:
        return len(os.listdir(f"/proc/{process}/task"))
    except OSError:
        return 0


def _owner(file: Path) -> int | None:
    try:
        return file.lstat().st_uid
    except OSError:
        return None


def _disk(file: Path) -> int:
    try:
        return file.lstat().st_blocks * 512
    except OSError:
        return 0
