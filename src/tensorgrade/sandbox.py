"""The confinement of a submission process: the one place where its powers are taken away.

Untrusted side. A zygote is made for a `Site` and calls `settle` before it imports anything large; `confine` then runs
in each forked child before the first line of student code, and looks by itself whether everything holds. The tiers:

    A  a process tree, network, IPC and mounts of its own, a read-only root with nothing but the runtime, folders in
       memory of limited size; and everything of B
    B  Landlock, seccomp, no capabilities, and a user id of its own when root grades
    C  nothing but a process of its own: closed descriptors, a clean environment

All tiers have limits of resources, and death with the zygote. Linux only.
"""

from __future__ import annotations

import functools
import operator
import os
import resource
import socket
import sys
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TYPE_CHECKING, Literal

from . import namespaces
from .resources import MemoryInUse, close_all_but, limit_memory_and_time, limit_tasks, limit_the_rest

if TYPE_CHECKING:
    from .privileges import SystemCallFilter

Tier = Literal["A", "B", "C"]

_SYSTEM = (
    *("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64"),
    *("/usr/libexec", "/usr/share", "/usr/local/bin", "/usr/local/lib", "/usr/local/lib64"),
    *("/usr/local/share/fonts", "/usr/local/share/zoneinfo"),
    *("/etc/alternatives", "/etc/fonts", "/etc/ld.so.cache", "/etc/localtime", "/etc/mime.types"),
    *("/etc/ssl/certs", "/etc/ssl/openssl.cnf"),
)
"""Not all of /usr/local/share, where nbgrader's exchange lies, and not the keys in /etc/ssl/private."""

NOT_BESIDE_NOTEBOOKS = (".ipynb", "timestamp.txt")
"""Endings of files that a submission does not get copies of: notebooks, and what nbgrader's exchange puts there."""

_PROCESS_FACTS = ("/proc/cpuinfo", "/proc/meminfo", "/proc/stat", "/proc/sys/vm/overcommit_memory")
_READ_EVERYTHING = 1 << 2  # CAP_DAC_READ_SEARCH


@dataclass(frozen=True)
class Site:
    """What all submission processes of a zygote have in common.

    Attributes:
        tier: how strongly they are confined.
        user: the user id that they get when root grades; nobody else has it while the zygote lives.
        devices: files below /dev that they may use besides the harmless ones, such as ``/dev/nvidia0``.
    """

    tier: Tier
    user: int | None = None
    devices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Confinement:
    """What one submission process may use.

    Attributes:
        name: of its working folder.
        folder: where that folder is made in tiers B and C, private to this submission.
        memory: bytes that it may allocate on top of what the zygote has.
        cpu_seconds: processor time of each process.
        processes: processes and threads at a time.
        disk: bytes of all its files.
        files: number of its files.
        programs: whether it may run other programs.
        open_files: descriptors per process.
    """

    name: str
    folder: str
    memory: int
    cpu_seconds: int
    processes: int = 64
    disk: int = 64 << 20
    files: int = 1000
    programs: bool = False
    open_files: int = 512


@dataclass(frozen=True)
class Narrowed:
    """What a snapshot may use: not more than its process, and what one exercise allows; see `Confinement`."""

    memory: int
    cpu_seconds: int
    programs: bool = False


@dataclass
class Settled:
    """A zygote's place, after `settle`: what its forks need to confine themselves.

    Attributes:
        site: what was asked for.
        runtime: the paths that can be read, and from which programs can be run.
        trees: in tier A, what gives each fork a process tree of its own.
        filters: of system calls, by whether programs may be run; empty in tier C.
        kept_capabilities: a bit mask of those that the submissions need to read the runtime.
        shared: in tier A, the zygote's namespaces that a submission must not be in.
        programs: in a submission process, whether it may run programs.
    """

    site: Site
    runtime: tuple[str, ...]
    trees: namespaces.ProcessTrees | None = None
    filters: dict[bool, SystemCallFilter] = field(default_factory=dict)
    kept_capabilities: int = 0
    shared: frozenset[str] = frozenset()
    programs: bool = False

    @property
    def alone(self) -> bool:
        """Whether no process or file of others belongs to the user id of a submission process."""
        return self.site.tier == "A" or self.site.user is not None

    @property
    def own_terminals(self) -> bool:
        """Whether no terminal of others can be opened by a submission process that may open terminals."""
        return self.site.tier == "A" or (self.site.user is not None and not self.kept_capabilities)


def runtime_paths() -> tuple[str, ...]:
    """What Python, torch and this package are made of, as far as it exists; no path lies inside of another."""
    prefixes = {str(Path(prefix).resolve()) for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    prefixes |= {sys.prefix, sys.base_prefix}
    own = str(Path(__file__).resolve().parent)
    found = [path for path in (*_SYSTEM, *sorted(prefixes - {"/usr", "/usr/local", "/"}), own) if os.path.lexists(path)]
    return tuple(path for path in found if not any(path.startswith(f"{other}/") for other in found))


def temporary_folder(runtime: tuple[str, ...]) -> str:
    """Where temporary files go in tier A: a folder that hides nothing of the runtime."""
    return "/var/tmp" if any(path.startswith("/tmp/") for path in runtime) else "/tmp"


def settle(site: Site, control: int) -> Settled:
    """Prepare this process, which is to become the zygote, for its site; `control` is its only other descriptor.

    In tier A this returns in a child. Raises ``OSError`` when the machine does not allow what the tier needs.
    """
    settled = Settled(site, runtime_paths())
    if site.tier == "C":
        namespaces.adopt_orphans()
        return settled
    from .privileges import system_call_filter  # here, because not every machine of tier C has these libraries

    for programs in (False, True):
        sockets = site.tier == "A" or (settled.alone and programs)
        settled.filters[programs] = system_call_filter(alone=settled.alone, programs=programs, sockets=sockets)
    if site.tier == "A":
        temporary = temporary_folder(settled.runtime)
        namespaces.isolate_zygote(control, settled.runtime, site.devices, temporary)
        settled.trees = namespaces.ProcessTrees()
        tempfile.tempdir = None  # what was chosen outside may not be there, or not be writable
        settled.shared = namespaces.identities()
    else:
        namespaces.adopt_orphans()
        if site.user is not None and not _is_public(settled.runtime):
            # a runtime that only root can read; Landlock sees to it that nothing else is read
            settled.kept_capabilities = namespaces.capabilities() & _READ_EVERYTHING
    return settled


def confine(settled: Settled, confinement: Confinement, keep: frozenset[int], files: IO[bytes] | None = None) -> None:
    """Take the powers away from this process; only the descriptors 0, 1, 2 and `keep` stay open.

    The process's working folder then holds copies of `files` (a tar archive). Raises ``OSError`` or
    `NotConfined` when anything of what the tier promises does not hold.
    """
    os.setsid()
    namespaces.die_with_parent()
    close_all_but(keep | {0, 1, 2} | ({files.fileno()} if files else set()))
    home = confinement.folder
    if settled.site.tier == "A":
        home = namespaces.HOME
        folders = (namespaces.HOME, "/dev/shm", temporary_folder(settled.runtime))
        namespaces.isolate_submission(
            folders, confinement.disk, confinement.files, settled.site.user, terminals=confinement.programs
        )
    reserves = bool(settled.site.devices)
    limit_memory_and_time(MemoryInUse.now(), confinement.memory, confinement.cpu_seconds, reserves=reserves)
    limit_the_rest(confinement.disk, confinement.open_files)
    limit_tasks(confinement.processes, alone=settled.alone)
    _become(settled, home)
    namespaces.die_with_parent()  # again: the change of user has undone it
    _enter_folder(settled, home, confinement.name)
    if files is not None:
        _unpack(files)
    settled.programs = confinement.programs
    if settled.site.tier != "C":
        _restrict(settled, confinement, home)
        _verify(settled, confinement)


def narrow(settled: Settled, narrowed: Narrowed, inherited: MemoryInUse) -> None:
    """Lower the limits of this confined process, a snapshot that has `inherited` memory from the one it copies."""
    reserves = bool(settled.site.devices)
    limit_memory_and_time(inherited, narrowed.memory, narrowed.cpu_seconds, reserves=reserves)
    if settled.programs and not narrowed.programs and settled.filters:
        settled.filters[False].load()


class NotConfined(Exception):
    """A protection that should hold does not."""


def children() -> set[int]:
    """The process ids of this process's children."""
    lists = (Path(f"/proc/self/task/{task}/children").read_text() for task in os.listdir("/proc/self/task"))
    return {int(pid) for pids in lists for pid in pids.split()}


# -------------------------------------------------------------------------------------------- the steps


def _become(settled: Settled, home: str) -> None:
    """Become the site's user, if it has one, and give up all capabilities."""
    user, tier = settled.site.user, settled.site.tier
    if tier != "C":
        namespaces.bound_capabilities(settled.kept_capabilities)
    if user is None:
        if tier != "C":
            namespaces.drop_capabilities()
        return
    if tier != "A":
        os.chown(home, user, user)
    if settled.kept_capabilities:
        namespaces.keep_capabilities_over_change_of_user()
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    namespaces.drop_capabilities(settled.kept_capabilities)


def _enter_folder(settled: Settled, home: str, name: str) -> None:
    """Make the working folder and go there."""
    os.umask(0o077)
    Path(home, name).mkdir()
    os.chdir(Path(home, name))
    temporary = temporary_folder(settled.runtime) if settled.site.tier == "A" else home
    os.environ.update(HOME=home, TMPDIR=temporary)
    tempfile.tempdir = None  # it may have been chosen before the fork


def _unpack(files: IO[bytes]) -> None:
    """Put copies of the files into the working folder."""
    with files, tarfile.open(fileobj=files) as archive:  # made by the trusted side, of ordinary files alone
        for member in archive:
            content = archive.extractfile(member)
            assert content is not None  # it is an ordinary file
            Path(member.name).parent.mkdir(parents=True, exist_ok=True)
            Path(member.name).write_bytes(content.read())
            Path(member.name).chmod(member.mode)


def _restrict(settled: Settled, confinement: Confinement, home: str) -> None:
    from . import privileges

    rights = [(path, privileges.RUN) for path in settled.runtime]
    rights += [(f"/dev/{name}", privileges.DEVICE) for name in ("null", "zero", "full", "random", "urandom")]
    rights += [(path, privileges.DEVICE) for path in settled.site.devices]
    rights += [(path, privileges.READ) for path in _PROCESS_FACTS]
    rights += [(home, privileges.OWN)]
    if confinement.programs and settled.own_terminals:
        rights += [(path, privileges.DEVICE) for path in ("/dev/ptmx", "/dev/pts", "/dev/tty")]
    if settled.site.tier == "A":
        folders = ("/dev/shm", temporary_folder(settled.runtime))
        rights += [*((path, privileges.OWN) for path in folders), ("/proc", privileges.READ)]
    else:
        rights += [(f"/proc/{os.getpid()}", privileges.READ)]
        if settled.alone and confinement.programs:  # files of others may be there that everybody can read
            rights += [("/dev/shm", privileges.SHARED_MEMORY)]
        if not settled.alone and privileges.LANDLOCK < privileges.LANDLOCK_SIGNALS:
            raise NotConfined("signals to other processes of this user are not stopped before Linux 6.12 (Landlock 6)")
    namespaces.set_no_new_privileges()
    privileges.restrict_files(rights)
    settled.filters[confinement.programs].load()


def _is_public(runtime: tuple[str, ...]) -> bool:
    """Whether every user can reach the runtime."""
    folders = {folder for path in runtime for folder in Path(path, "x").parents if folder.is_dir()}
    return all(folder.stat().st_mode & 0o001 for folder in folders)


# ------------------------------------------------------------------------------------------ verification


def _verify(settled: Settled, confinement: Confinement) -> None:
    """Look from the inside whether the protections hold; raises `NotConfined` naming the first that does not."""
    status = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    isolated = settled.site.tier == "A"
    for protection, holds in (
        ("no new privileges", status["NoNewPrivs"] == "1"),
        ("seccomp", status["Seccomp"] == "2"),
        ("capabilities are dropped", _capabilities(status, settled) & ~settled.kept_capabilities == 0),
        ("an own user id", settled.site.user in (None, os.getuid()) and os.getuid() != namespaces.ROOT_USER),
        ("no groups of others", settled.site.user is None or not os.getgroups()),
        ("an own process tree", not isolated or os.getpid() == 1),
        ("namespaces of its own", not settled.shared & namespaces.identities()),
        ("a read-only root", not isolated or bool(os.statvfs("/").f_flag & os.ST_RDONLY)),
        ("a file system of limited size", not isolated or _file_system_is_limited(confinement)),
        ("the limit of memory", resource.getrlimit(resource.RLIMIT_DATA)[0] != resource.RLIM_INFINITY),
        ("the limit of processes", resource.getrlimit(resource.RLIMIT_NPROC)[0] >= confinement.processes),
        ("a readable runtime", _runtime_is_readable()),
        ("Landlock", _refused(lambda: os.listdir("/"))),
        ("no network", _refused(lambda: socket.socket(socket.AF_INET).close())),
    ):
        if not holds:
            raise NotConfined(f"this protection does not hold: {protection}")


def _capabilities(status: dict[str, str], settled: Settled) -> int:
    """The capabilities that this process has, could take up or, but for an ordinary user's, get from a program."""
    sets = ["CapEff", "CapPrm", *(["CapBnd"] if settled.alone else [])]
    return functools.reduce(operator.or_, (int(status[name], 16) for name in sets))


def _file_system_is_limited(confinement: Confinement) -> bool:
    room = os.statvfs(".")
    return 0 < room.f_blocks * room.f_frsize <= confinement.disk + resource.getpagesize()


def _runtime_is_readable() -> bool:
    """Whether what may still have to be imported can be."""
    places = [getattr(sys.modules.get(name), "__file__", None) for name in ("os", "torch", "IPython", __name__)]
    try:
        return all(place is None or bool(Path(place).read_bytes()) for place in places)
    except OSError:
        return False


def _refused(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except PermissionError:
        return True
    except OSError:
        return False
    return False
