"""Linux namespaces by system call: what tier A is made of, and what no kept library does after a fork.

Untrusted side, before student code. `isolate_zygote` gives the zygote a process tree of its own and a root that holds
nothing but the runtime; `isolate_submission` gives each fork of it an empty network, its own process tree, its own
``/proc`` and folders in memory. As an ordinary user both work inside of user namespaces.

Sources: namespaces(7), user_namespaces(7), mount_namespaces(7), pivot_root(2).
"""

from __future__ import annotations

import ctypes
import os
import signal
from collections.abc import Iterable
from pathlib import Path

HOME = "/student"
"""Where a submission lives: a file system in memory, the same path for everyone."""

ROOT_USER = 0

_NEWNS, _NEWUTS, _NEWIPC = 0x00020000, 0x04000000, 0x08000000
_NEWUSER, _NEWPID, _NEWNET = 0x10000000, 0x20000000, 0x40000000
_RDONLY, _NOSUID, _NODEV, _NOEXEC, _NOATIME = 0x1, 0x2, 0x4, 0x8, 0x400
_REMOUNT, _BIND, _REC, _PRIVATE, _RELATIME = 0x20, 0x1000, 0x4000, 0x40000, 0x200000
_DETACH = 2
_PR_SET_PDEATHSIG = 1
_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
_DEVICES = ("null", "zero", "full", "random", "urandom")

_libc = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent ends; a change of user undoes it."""
    _check(_libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0), "prctl(PR_SET_PDEATHSIG)")


def isolate_zygote(control: int, runtime: Iterable[str], devices: Iterable[str], temporary: str) -> None:
    """Go on in a child that is the first process of its own tree, below a root that holds `runtime` and `devices`.

    Everything there can only be read, but for the folder `temporary`. The parent stays behind without the descriptor
    `control`, and ends as the child does. When either ends, the kernel kills every process of the tree. Raises
    ``OSError`` where the machine does not allow it.
    """
    if os.getuid() != ROOT_USER:
        _enter_user_namespace()
    _unshare(_NEWPID)
    child = os.fork()
    if child:
        os.close(control)
        _, status = os.waitpid(child, 0)
        os._exit(max(0, os.waitstatus_to_exitcode(status)))
    die_with_parent()
    _unshare(_NEWNS)
    _mount(None, "/", None, _REC | _PRIVATE)
    _enter_root(runtime, devices, temporary)


class ProcessTrees:
    """Gives the next fork a process tree of its own, and takes the zygote back to its own afterwards."""

    def __init__(self) -> None:
        self._own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)

    def before_fork(self) -> None:
        """Let the next fork be the first process of a tree of its own."""
        _unshare(_NEWPID)

    def after_fork(self) -> None:
        """Go back, without which there could be no second `before_fork`; for the parent."""
        _check(_libc.setns(self._own, _NEWPID), "setns(pid)")


def isolate_submission(folders: Iterable[str], disk: int, files: int, user: int | None, *, terminals: bool) -> None:
    """Leave the zygote's network, messages, host name and mounts for others that nobody else is in.

    Args:
        folders: where to mount the folders of an empty file system in memory.
        disk: bytes that they may hold together.
        files: files and folders that they may hold together.
        user: who owns them, when this process is root's and will become that user; else None.
        terminals: whether programs may open terminals.
    """
    _unshare(_NEWNS | _NEWIPC | _NEWUTS | _NEWNET)
    _mount(None, "/", None, _REC | _PRIVATE)
    _mount("proc", "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    owner = f",uid={user},gid={user}" if user is not None else ""
    _mount_together(tuple(folders), disk, files, owner)
    if terminals:
        _mount("devpts", "/dev/pts", "devpts", _NOSUID | _NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    if user is None:
        # last of all: a namespace without power over the mounts above, with its own count of processes
        _enter_user_namespace()


def identities() -> frozenset[str]:
    """What identifies the mounts, messages, host name and network that this process sees."""
    return frozenset(str(Path(f"/proc/self/ns/{kind}").readlink()) for kind in ("mnt", "ipc", "uts", "net"))


def drop_capabilities(keep: int = 0) -> None:
    """Give up every capability except those in the bit mask `keep`."""
    _set_capabilities(keep)
    _check(_libc.prctl(47, 4, 0, 0, 0), "prctl(PR_CAP_AMBIENT_CLEAR_ALL)")


def bound_capabilities(keep: int = 0) -> None:
    """Let no program that is run have another capability than those in `keep`.

    This takes a capability itself. A process without it, an ordinary user's, has `set_no_new_privileges` instead.
    """
    for capability in range(64):
        if not keep >> capability & 1 and _libc.prctl(24, capability, 0, 0, 0) != 0:  # PR_CAPBSET_DROP
            break


def capabilities() -> int:
    """The bit mask of the capabilities in force."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapEff:")[1].split()[0], 16)


def keep_capabilities_over_change_of_user() -> None:
    """Let the permitted capabilities survive the next change of user."""
    _check(_libc.prctl(8, 1, 0, 0, 0), "prctl(PR_SET_KEEPCAPS)")


def set_no_new_privileges() -> None:
    """Let no program that is run have more rights than this process."""
    _check(_libc.prctl(38, 1, 0, 0, 0), "prctl(PR_SET_NO_NEW_PRIVS)")


def adopt_orphans() -> None:
    """Become the parent of all descendants whose own parent ends."""
    _check(_libc.prctl(36, 1, 0, 0, 0), "prctl(PR_SET_CHILD_SUBREAPER)")


def _set_capabilities(mask: int) -> None:
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = (ctypes.c_uint32 * 6)(low, low, 0, high, high, 0)  # effective, permitted, inheritable; twice 32 bits
    _check(_libc.capset(header, data), "capset")


def _enter_user_namespace() -> None:
    user, group = os.getuid(), os.getgid()
    _unshare(_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        Path(f"/proc/self/{name}").write_text(text)


def _enter_root(runtime: Iterable[str], devices: Iterable[str], temporary: str) -> None:
    """Make a root of read-only views of the runtime, move into it and forget the old one."""
    root = "/tmp"  # any folder will do to mount on: this mount namespace is ours alone
    views = [(path, os.open(path, os.O_PATH | os.O_NOFOLLOW)) for path in runtime if os.path.lexists(path)]
    devices = [f"/dev/{name}" for name in _DEVICES] + list(devices)
    nodes = [(path, os.open(path, os.O_PATH)) for path in devices]
    _mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "size=1m,mode=755")
    for path, view in views:
        _show(path, view, root + path)
        os.close(view)
    for path, node in nodes:
        _make_file(root + path)
        _mount(f"/proc/self/fd/{node}", root + path, None, _BIND)
        os.close(node)
    for folder in (HOME, temporary, "/proc", "/dev/shm", "/dev/pts"):
        Path(root + folder).mkdir(parents=True, exist_ok=True)
    Path(root + "/dev/ptmx").symlink_to("pts/ptmx")
    _mount("tmpfs", root + temporary, "tmpfs", _NOSUID | _NODEV, "size=16m,mode=700")
    _mount("proc", root + "/proc", "proc", _NOSUID | _NODEV | _NOEXEC)
    os.chdir(root)
    _pivot_root(".", ".")  # the new root on top of the old one, which then goes
    _check(_libc.umount2(b".", _DETACH), "umount2 of the old root")
    os.chdir("/")
    _mount(None, "/", None, _REMOUNT | _BIND | _RDONLY | _NOSUID | _NODEV)


def _mount_together(folders: tuple[str, ...], disk: int, files: int, owner: str) -> None:
    """Mount the folders of one file system, so that its limits hold for them together."""
    own = len(folders) + 1
    _mount("tmpfs", folders[0], "tmpfs", _NOSUID | _NODEV, f"size={disk},nr_inodes={files + own},mode=700{owner}")
    views = []
    for number in range(len(folders)):
        place = Path(folders[0], str(number))
        place.mkdir(mode=0o700)
        os.chown(place, place.parent.stat().st_uid, place.parent.stat().st_gid)
        views.append(os.open(place, os.O_PATH))
    for view, folder in zip(views, folders, strict=True):
        _mount(f"/proc/self/fd/{view}", folder, None, _BIND)
        os.close(view)


def _show(path: str, view: int, target: str) -> None:
    """Mount a read-only view of `path` (or copy it, when it is a link) at `target`."""
    Path(target).parent.mkdir(parents=True, exist_ok=True)
    if (link := _link(view)) is not None:
        Path(target).symlink_to(link)
        return
    if Path(f"/proc/self/fd/{view}").is_dir():
        Path(target).mkdir(parents=True, exist_ok=True)
    else:
        _make_file(target)
    _mount(f"/proc/self/fd/{view}", target, None, _BIND | _REC)
    _mount(None, target, None, _BIND | _REMOUNT | _RDONLY | _NOSUID | _NODEV | _locked_flags(target))


def _link(view: int) -> str | None:
    """Where the link that `view` is open on leads, or None when it is not a link."""
    try:
        return os.readlink("", dir_fd=view)
    except OSError:
        return None


def _make_file(path: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).touch()


def _locked_flags(path: str) -> int:
    """The flags of a mount that a user namespace must not take away."""
    flags = os.statvfs(path).f_flag
    return sum(flag for flag, here in ((_NOEXEC, 0x8), (_NOATIME, 0x400), (_RELATIME, 0x1000)) if flags & here)


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _unshare(flags: int) -> None:
    names = {_NEWUSER: "user", _NEWPID: "pid", _NEWNS: "mount", _NEWNET: "net", _NEWIPC: "ipc", _NEWUTS: "uts"}
    _check(_libc.unshare(flags), f"unshare({', '.join(name for flag, name in names.items() if flags & flag)})")


def _mount(source: str | None, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    arguments = [text.encode() if text is not None else None for text in (source, target, kind)]
    options = data.encode() if data is not None else None
    result = _libc.mount(*arguments, ctypes.c_ulong(flags), options)
    _check(result, f"mount of {kind or source or 'flags'} on {target}")


def _pivot_root(new: str, old: str) -> None:
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(f"tier A is not known on {os.uname().machine} machines")
    _check(_libc.syscall(ctypes.c_long(number), new.encode(), old.encode()), "pivot_root")
