"""The kernel's limits of resources for submission processes, and the descriptors that they keep.

Untrusted side: these functions limit the process that calls them, before it runs student code.
"""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass
from pathlib import Path

_MARGIN = 512 << 20
"""Address space beyond the memory limit, in bytes: threads and allocators reserve more than they use."""


@dataclass(frozen=True)
class MemoryInUse:
    """The bytes of address space that this process has mapped, and those of them that count as its data."""

    mapped: int
    data: int

    @classmethod
    def now(cls) -> MemoryInUse:
        """As it is; a fork, which may not be able to read this of itself, begins with the same."""
        pages = Path("/proc/self/statm").read_text().split()
        return cls(int(pages[0]) * resource.getpagesize(), int(pages[5]) * resource.getpagesize())


def limit_memory_and_time(inherited: MemoryInUse, memory: int, cpu_seconds: int, *, reserves: bool = False) -> None:
    """Let this process allocate `memory` bytes on top of what it has `inherited`, and use so much processor time.

    One that `reserves` address space far beyond that, as GPU drivers do, may; only what it can write then counts.
    """
    if not reserves:
        _limit(resource.RLIMIT_AS, inherited.mapped + memory + _MARGIN)
    _limit(resource.RLIMIT_DATA, inherited.data + memory)
    _limit(resource.RLIMIT_CPU, cpu_seconds)


def limit_the_rest(file_size: int, open_files: int) -> None:
    """Limit the bytes of a file and the number of open ones; no core dumps, locked memory or message queues."""
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_FSIZE, file_size)
    _limit(resource.RLIMIT_NOFILE, open_files)
    _limit(resource.RLIMIT_MEMLOCK, 0)
    _limit(resource.RLIMIT_MSGQUEUE, 0)
    _limit(resource.RLIMIT_SIGPENDING, 256)


def limit_tasks(processes: int, *, alone: bool) -> None:
    """Limit processes and threads; `alone` is a user id or a user namespace of one's own, which counts from nought."""
    _limit(resource.RLIMIT_NPROC, processes if alone else _tasks_of_user() + processes)


def _limit(kind: int, value: int) -> None:
    hard = resource.getrlimit(kind)[1]
    value = value if hard == resource.RLIM_INFINITY else min(value, hard)
    resource.setrlimit(kind, (value, value))


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


def close_all_but(keep: frozenset[int]) -> None:
    """Close every descriptor of this process that is not in `keep`."""
    start = 0
    for descriptor in sorted(keep):
        if start < descriptor:  # an empty range makes some versions of CPython close every descriptor
            os.closerange(start, descriptor)
        start = descriptor + 1
    os.closerange(start, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
