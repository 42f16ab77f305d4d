"""The confinement of a submission process: the one place where its powers are taken away.

Untrusted side: `confine` runs in the forked child before the first line of student code. At present: a session and
process group of its own, no inherited file descriptors, a private working folder, resource limits, and death with its
zygote. Linux only.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Confinement:
    """What a submission process may use.

    Attributes:
        folder: the working folder, private to this submission; also its HOME and TMPDIR.
        memory: bytes of address space on top of what the zygote maps already.
        cpu_seconds: processor time of each process.
        processes: processes and threads beyond those that the user runs already.
        file_bytes: size of the largest file it may write.
        open_files: descriptors per process.
    """

    folder: str
    memory: int
    cpu_seconds: int
    processes: int = 64
    file_bytes: int = 256 << 20
    open_files: int = 512


def confine(confinement: Confinement, keep: frozenset[int]) -> None:
    """Take the powers away from this process; only the descriptors 0, 1, 2 and `keep` stay open."""
    os.setsid()
    die_with_parent()
    _close_all_but(keep | {0, 1, 2})
    os.umask(0o077)
    os.chdir(confinement.folder)
    os.environ.update(HOME=confinement.folder, TMPDIR=confinement.folder)
    _limit_resources(confinement)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends."""
    if _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG)")


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends."""
    if _LIBC.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def children() -> set[int]:
    """The process ids of this process's children."""
    lists = (Path(f"/proc/self/task/{task}/children").read_text() for task in os.listdir("/proc/self/task"))
    return {int(pid) for pids in lists for pid in pids.split()}


def _close_all_but(keep: frozenset[int]) -> None:
    start = 0
    for descriptor in sorted(keep):
        if start < descriptor:  # an empty range makes some versions of CPython close every descriptor
            os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, resource.getrlimit(resource.RLIMIT_NOFILE)[0])


def _limit_resources(confinement: Confinement) -> None:
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_AS, _mapped_bytes() + confinement.memory)
    _limit(resource.RLIMIT_CPU, confinement.cpu_seconds)
    _limit(resource.RLIMIT_FSIZE, confinement.file_bytes)
    _limit(resource.RLIMIT_NOFILE, confinement.open_files)
    if os.getuid() != 0:  # the kernel does not count root's processes
        _limit(resource.RLIMIT_NPROC, _tasks_of_user() + confinement.processes)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


def _mapped_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _tasks_of_user() -> int:
    """How many tasks run under this user id: RLIMIT_NPROC counts them all, not only ours."""
    user, tasks = os.getuid(), 0
    for entry in os.scandir("/proc"):
        try:
            if entry.name.isdigit() and entry.stat().st_uid == user:
                tasks += len(os.listdir(f"/proc/{entry.name}/task"))
        except OSError:  # the process ended meanwhile
            continue
    return tasks
