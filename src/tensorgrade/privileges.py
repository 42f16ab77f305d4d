"""What a submission process may ask of the kernel: files by Landlock, system calls by seccomp.

Untrusted side. The zygote builds the seccomp filters once, before it forks; Landlock's rules are made in the forked
process, whose folder they name. Both are for good: they hold for every process that is forked or run later.

The filter is a list of what is allowed. What is not on it fails as a call that the kernel does not have (ENOSYS), so
that libraries take their other ways, and what students know and may not use fails with EPERM, as a `PermissionError`.
Sources: seccomp(2), syscalls(2), landlock(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import signal
import socket
import stat
import tempfile
from collections.abc import Iterable

import pyseccomp as seccomp
from py_landlock import (
    AccessFs,
    PathBeneathAttr,
    RulesetAttr,
    RulesetFd,
    add_rule,
    create_ruleset,
    get_abi_version,
    restrict_self,
)
from py_landlock.abi import ABIVersion, get_supported_fs, get_supported_net, get_supported_scope
from py_landlock.errors import LandlockError

LANDLOCK_FILES = 3
"""The Landlock ABI that guards all that is done to files, truncation included (Linux 6.2)."""

LANDLOCK_SIGNALS = 6
"""The Landlock ABI that guards signals and abstract sockets (Linux 6.12)."""

READ = int(AccessFs.READ_FILE | AccessFs.READ_DIR)
RUN = int(READ | AccessFs.EXECUTE)
OWN = int(
    READ
    | AccessFs.WRITE_FILE
    | AccessFs.TRUNCATE
    | AccessFs.REMOVE_DIR
    | AccessFs.REMOVE_FILE
    | AccessFs.MAKE_DIR
    | AccessFs.MAKE_REG
    | AccessFs.MAKE_SYM
    | AccessFs.MAKE_SOCK
    | AccessFs.MAKE_FIFO
    | AccessFs.REFER
)
SHARED_MEMORY = int(
    AccessFs.READ_FILE | AccessFs.WRITE_FILE | AccessFs.TRUNCATE | AccessFs.REMOVE_FILE | AccessFs.MAKE_REG
)
DEVICE = int(AccessFs.READ_FILE | AccessFs.WRITE_FILE | AccessFs.IOCTL_DEV)
_OF_FILES = DEVICE | int(AccessFs.EXECUTE | AccessFs.TRUNCATE)

_ALLOWED = """
    read write readv writev pread64 pwrite64 preadv pwritev preadv2 pwritev2 open openat openat2 creat close close_range
    lseek stat fstat lstat newfstatat statx access faccessat faccessat2 readlink readlinkat getdents getdents64 mkdir
    mkdirat rmdir rename renameat renameat2 link linkat symlink symlinkat unlink unlinkat truncate ftruncate fallocate
    fsync fdatasync sync_file_range fadvise64 readahead sendfile copy_file_range splice tee vmsplice dup dup2 dup3 fcntl
    flock umask getcwd chdir fchdir statfs fstatfs getxattr lgetxattr fgetxattr listxattr llistxattr flistxattr ioctl

    mmap mprotect munmap mremap brk madvise mincore msync mlock munlock mlock2 membarrier get_mempolicy set_mempolicy
    mbind

    fork vfork wait4 waitid exit exit_group getpid getppid gettid getpgrp getpgid getsid getuid geteuid getgid getegid
    getresuid getresgid getgroups getrlimit setrlimit getrusage times sched_yield sched_getaffinity sched_getparam
    sched_getscheduler sched_get_priority_max sched_get_priority_min sched_rr_get_interval getpriority getcpu
    set_tid_address set_robust_list get_robust_list rseq arch_prctl futex futex_waitv futex_wake futex_wait
    futex_requeue capget sysinfo uname getrandom kill tgkill tkill restart_syscall

    rt_sigaction rt_sigprocmask rt_sigreturn rt_sigpending rt_sigtimedwait rt_sigsuspend sigaltstack pause alarm
    setitimer getitimer signalfd signalfd4 nanosleep clock_nanosleep clock_gettime clock_getres gettimeofday time
    timer_create timer_settime timer_gettime timer_delete timer_getoverrun timerfd_create timerfd_settime
    timerfd_gettime

    poll ppoll select pselect6 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_wait epoll_pwait epoll_pwait2
    eventfd eventfd2 pipe pipe2 sendto recvfrom recvmsg shutdown getsockopt setsockopt getsockname getpeername
"""

_REFUSED = """
    unshare setns mount umount2 pivot_root chroot ptrace process_vm_readv process_vm_writev pidfd_open pidfd_getfd
    pidfd_send_signal rt_sigqueueinfo rt_tgsigqueueinfo bpf perf_event_open userfaultfd keyctl add_key request_key
    memfd_create memfd_secret shmget semget msgget mq_open open_by_handle_at name_to_handle_at mknod mknodat
    inotify_init inotify_init1 fanotify_init setpriority sched_setscheduler sched_setparam sched_setattr ioprio_set
    setxattr lsetxattr fsetxattr removexattr lremovexattr fremovexattr sethostname setdomainname reboot kexec_load
    init_module finit_module delete_module swapon swapoff acct syslog settimeofday clock_settime adjtimex
    setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset vhangup quotactl
"""

_CHANGES_OF_FILES = """
    chmod fchmod fchmodat fchmodat2 chown fchown lchown fchownat utime utimes utimensat futimesat
"""

_PROGRAMS = "execve execveat"
_SESSIONS = "setsid setpgid"
_SOCKETS = "connect bind listen accept accept4"

_NAMESPACES = 0x7E020080
"""All CLONE_NEW... flags of clone(2) and unshare(2)."""

_PR_SET_SECCOMP = 22
_PRCTL = {3: None, 15: None, 16: None, 21: None, 38: None, 39: None, 0x53564D41: None, 1: signal.SIGKILL, 2: None}
"""The options of prctl(2) that are allowed, by number, and the argument when only one is."""


class _Program(ctypes.Structure):
    """``struct sock_fprog`` of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


class SystemCallFilter:
    """A filter as the kernel takes it: libseccomp makes it once, each fork loads it in a fraction of the time."""

    def __init__(self, rules: seccomp.SyscallFilter) -> None:
        with tempfile.TemporaryFile() as file:
            rules.export_bpf(file)
            file.seek(0)
            self._instructions = file.read()

    def load(self) -> None:
        """Let this process, which must have no new privileges, and all its descendants be filtered for good."""
        program = _Program(len(self._instructions) // 8, self._instructions)
        if _libc.prctl(_PR_SET_SECCOMP, 2, ctypes.byref(program), 0, 0) != 0:  # SECCOMP_MODE_FILTER
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_SECCOMP)")


def system_call_filter(*, alone: bool, programs: bool, sockets: bool) -> SystemCallFilter:
    """Return a filter of system calls, to be loaded after the fork.

    Args:
        alone: whether the user id is the submission's own, so that changes to its files harm nobody; else such
            changes only seem to succeed.
        programs: whether other programs may be run.
        sockets: whether processes may connect by path. The kernel cannot tell the submission's own sockets from
            those of others, so that it may do so only where there are no others, or where programs may be run.
    """
    rules = seccomp.SyscallFilter(seccomp.ERRNO(errno.ENOSYS))
    rules.set_attr(seccomp.Attr.ACT_BADARCH, seccomp.KILL_PROCESS)
    _add(rules, seccomp.ALLOW, _ALLOWED)
    _add(rules, seccomp.ERRNO(errno.EPERM), _REFUSED)
    _add(rules, seccomp.ALLOW if alone else seccomp.ERRNO(0), _CHANGES_OF_FILES)
    _add(rules, seccomp.ALLOW if programs else seccomp.ERRNO(errno.EPERM), _PROGRAMS)
    _add(rules, seccomp.ALLOW if programs and alone else seccomp.ERRNO(errno.EPERM), _SESSIONS)
    _add(rules, seccomp.ALLOW if sockets else seccomp.ERRNO(errno.EPERM), _SOCKETS)
    # sends descriptors: an open file without a name that is on its way belongs to no process, and counts for none
    _add(rules, seccomp.ALLOW if sockets else seccomp.ERRNO(errno.EPERM), "sendmsg")
    _allow_some_sockets(rules, by_path=sockets)
    _allow_one(rules, "clone", seccomp.Arg(0, seccomp.MASKED_EQ, _NAMESPACES, 0))
    _allow_one(rules, "prlimit64", seccomp.Arg(0, seccomp.EQ, 0))
    _allow_one(rules, "sched_setaffinity", *([] if alone else [seccomp.Arg(0, seccomp.EQ, 0)]))
    _allow_one(rules, "personality", seccomp.Arg(0, seccomp.EQ, 0xFFFFFFFF))
    for option, argument in _PRCTL.items():
        second = [] if argument is None else [seccomp.Arg(1, seccomp.EQ, argument)]
        _allow_one(rules, "prctl", seccomp.Arg(0, seccomp.EQ, option), *second)
    if programs:  # so that a snapshot for an exercise without programs can give them up
        _allow_one(rules, "prctl", seccomp.Arg(0, seccomp.EQ, _PR_SET_SECCOMP))
    return SystemCallFilter(rules)


def _allow_some_sockets(rules: seccomp.SyscallFilter, *, by_path: bool) -> None:
    unix = seccomp.Arg(0, seccomp.EQ, socket.AF_UNIX)
    others = seccomp.Arg(0, seccomp.NE, socket.AF_UNIX)
    refused = seccomp.ERRNO(errno.EPERM)
    # a pair of datagram sockets could send to the path of any other one
    _allow_one(rules, "socketpair", unix, seccomp.Arg(1, seccomp.MASKED_EQ, 0xF, socket.SOCK_STREAM))
    rules.add_rule(refused, "socketpair", others)
    rules.add_rule(refused, "socket", others)
    rules.add_rule(seccomp.ALLOW if by_path else refused, "socket", unix)


def _add(rules: seccomp.SyscallFilter, action: int, names: str) -> None:
    for name in names.split():
        if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) >= 0:  # else this kind of machine does not have it
            rules.add_rule(action, name)


def _allow_one(rules: seccomp.SyscallFilter, name: str, *arguments: seccomp.Arg) -> None:
    rules.add_rule(seccomp.ALLOW, name, *arguments)


def restrict_files(rights: Iterable[tuple[str, int]]) -> None:
    """Allow nothing of the file system but `rights` (paths that do not exist are left out); no TCP, no signals out.

    Raises ``OSError`` when the kernel has no Landlock, or too old a one to guard files.
    """
    if LANDLOCK < LANDLOCK_FILES:
        raise OSError(f"Landlock ABI {LANDLOCK_FILES} (Linux 6.2) is needed and this kernel has {LANDLOCK}")
    try:
        ruleset = create_ruleset(RulesetAttr(_HANDLED, _HANDLED_OF_NET, _HANDLED_OF_PROCESSES))
        for path, access in rights:
            _allow_path(ruleset, path, access & _HANDLED)
        restrict_self(ruleset, None)
        os.close(ruleset)
    except LandlockError as error:
        raise OSError(f"Landlock: {error}") from error


def _allow_path(ruleset: RulesetFd, path: str, access: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            access &= _OF_FILES
        add_rule(ruleset, PathBeneathAttr(access, place))
    finally:
        os.close(place)


def _landlock_version() -> int:
    """The ABI of the kernel's Landlock, 0 when it has none."""
    try:
        return int(get_abi_version())
    except LandlockError:
        return 0


LANDLOCK = _landlock_version()
"""The ABI of this kernel's Landlock, 0 when it has none."""

_HANDLED = int(get_supported_fs(ABIVersion(LANDLOCK)))
_HANDLED_OF_NET = int(get_supported_net(ABIVersion(LANDLOCK)))
_HANDLED_OF_PROCESSES = int(get_supported_scope(ABIVersion(LANDLOCK)))
_libc = ctypes.CDLL(None, use_errno=True)
