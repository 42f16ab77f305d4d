"""The zygote: a process that has imported torch and IPython once and forks submission processes.

Untrusted side, but it runs no student code itself: ``python -P -s -m tensorgrade.zygote FD SITE`` is started by
`tensorgrade.supervisor` with a clean environment and one socket, and never sees graders, solutions, expected values or
the gradebook. It stays single-threaded and runs no torch operation that starts threads, so that its forks are sound.

It says ``settled`` when a fork on trial could be confined as its site (JSON) wants it, or ``refused`` and why; then
it waits for a first packet, imports what that names beside the usual, and says ``ready``. Requests on the socket (one
JSON packet each): ``fork`` with the descriptors of a submission process's socket, stdout and stderr, and of an archive
with its files, if it has any; ``end`` kills that process with all that it left, collects its status, and only then
frees its process id; ``zygote`` forks another zygote, which serves the socket that comes along, after it has imported
some modules more.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import random
import signal
import socket
import sys
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import heap, namespaces, sandbox

if TYPE_CHECKING:
    from .shell import Shell

ALLOCATION = {"PYTHONMALLOC": "malloc", "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Settings with which glibc keeps Python's objects in huge pages, if there are any. A fork then copies far fewer
entries of page tables, which is most of what it costs (https://docs.kernel.org/admin-guide/mm/transhuge.html)."""

ACCELERATORS = "tensorgrade.virtual_cuda"
"""The module that is not only imported but made ready, so that forks get accelerators at once."""

_PACKET = 1 << 16
_ROUNDS = 10
_TRIAL = sandbox.Confinement(name="trial", folder="", memory=1 << 30, cpu_seconds=60)


def main(descriptor: int, site: sandbox.Site) -> None:
    """Settle, preload, and answer requests until the other side closes the socket."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the trusted side, which ends us in order
    for name in ALLOCATION:  # for this process, not for the programs of submissions
        os.environ.pop(name, None)
    try:
        settled = sandbox.settle(site, descriptor)
        _try(settled)
    except (OSError, ImportError, RuntimeError, sandbox.NotConfined) as error:
        _send(socket.socket(fileno=descriptor), {"refused": f"{error}"})
        return
    control = socket.socket(fileno=descriptor)
    _send(control, {"settled": settled.runtime})
    told = _receive(control)
    if told is None:  # to be told to preload: a run that finds all results in the store needs no torch
        return
    with _imports_that_stay():
        shell = _preload(told[0]["import"])
    _send(control, {"ready": len(os.listdir("/proc/self/task"))})
    _serve(control, settled, shell)


def _serve(control: socket.socket, settled: sandbox.Settled, shell: Shell) -> None:
    submissions: set[int] = set()
    while request := _receive(control):
        message, descriptors = request
        if "fork" in message:
            submissions.add(_start(control, settled, shell, message["fork"], descriptors))
        elif "zygote" in message:
            _reap_all_but(submissions)
            control = _fork_zygote(control, settled, message, descriptors[0], submissions)
        else:
            submissions.discard(message["end"])
            _send(control, _end(settled, message["end"], submissions))
    while submissions:
        _end(settled, submissions.pop(), submissions)
    while children := sandbox.children():  # zygotes that were forked from this one
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)


def _fork_zygote(
    control: socket.socket, settled: sandbox.Settled, wanted: dict[str, Any], descriptor: int, submissions: set[int]
) -> socket.socket:
    """Fork a zygote as `wanted` that serves the socket `descriptor`; returns whose to serve."""
    child = os.fork()
    if child == 0:
        namespaces.die_with_parent()
        if settled.site.tier != "A":
            namespaces.adopt_orphans()
        control.close()
        submissions.clear()
        settled.site = replace(settled.site, user=wanted["zygote"])
        if wanted["import"]:
            with _imports_that_stay():
                _import(wanted["import"])
        own = socket.socket(fileno=descriptor)
        _send(own, {"ready": len(os.listdir("/proc/self/task"))})
        return own
    os.close(descriptor)
    handle = os.pidfd_open(child)
    _send(control, {"forked": child}, (handle,))
    os.close(handle)
    return control


def _reap_all_but(submissions: set[int]) -> None:
    """Collect the zygotes that have ended, and what they left."""
    for child in sandbox.children() - submissions:
        os.waitpid(child, os.WNOHANG)


def _try(settled: sandbox.Settled) -> None:
    """Confine a fork on trial; raises `NotConfined` when it could not be."""
    needs_folder = settled.site.tier != "A"
    with tempfile.TemporaryDirectory() if needs_folder else contextlib.nullcontext("") as folder:
        said, saying = os.pipe()
        child = _fork(settled)
        if child == 0:
            _run_trial(settled, replace(_TRIAL, folder=folder), saying)
        os.close(saying)
        with os.fdopen(said, errors="replace") as words:
            problem = words.read()
        _, status = os.waitpid(child, 0)
    if problem or status:
        raise sandbox.NotConfined(problem or f"a process on trial ended with status {status}")


def _run_trial(settled: sandbox.Settled, confinement: sandbox.Confinement, saying: int) -> None:
    """Confine this fork and end it; never returns."""
    try:
        sandbox.confine(settled, confinement, keep=frozenset({saying}))
    except BaseException as error:  # noqa: BLE001 - whatever it is must not run the zygote's loop
        os.write(saying, f"{error}".encode("utf-8", "replace"))
    finally:
        os._exit(0)


@contextlib.contextmanager
def _imports_that_stay() -> Iterator[None]:
    """Let what is imported be where forks need not write, for good."""
    gc.disable()
    yield
    gc.freeze()
    heap.fill_holes()
    gc.enable()


def _import(modules: list[str]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in modules:
            imported = importlib.import_module(module)
            if module == ACCELERATORS:
                imported.prepare()
    from . import footprint

    footprint.know_runtime()


def _preload(modules: list[str]) -> Shell:
    """Import what all forks need, and `modules`."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import torch

        torch.set_num_threads(1)  # before the first operation: a pool of threads would not survive the fork
        _import(modules)
        import torch.func
        import torch.fx.experimental.symbolic_shapes  # with sympy; the first backward() of a vector imports it
        import torch.utils.data

        from . import footprint, process, ranks  # noqa: F401 - what the forks run
        from .shell import Shell

        ranks.install()
        shell = Shell()
        footprint.know_runtime()
    return shell


def _send(control: socket.socket, message: dict[str, Any], descriptors: tuple[int, ...] = ()) -> None:
    socket.send_fds(control, [json.dumps(message).encode()], descriptors)


def _receive(control: socket.socket) -> tuple[dict[str, Any], list[int]] | None:
    packet, descriptors, _, _ = socket.recv_fds(control, _PACKET, 4)
    return (json.loads(packet), descriptors) if packet else None


def _fork(settled: sandbox.Settled) -> int:
    """``os.fork``, in tier A into a process tree of its own."""
    if settled.trees is None:
        return os.fork()
    settled.trees.before_fork()
    child = os.fork()
    if child:
        settled.trees.after_fork()
    return child


def _start(
    control: socket.socket, settled: sandbox.Settled, shell: Shell, job: dict[str, Any], descriptors: list[int]
) -> int:
    child = _fork(settled)
    if child == 0:
        _become_submission(settled, shell, job, descriptors)
    for descriptor in descriptors:
        os.close(descriptor)
    handle = os.pidfd_open(child)
    _send(control, {"forked": child}, (handle,))
    os.close(handle)
    return child


def _become_submission(settled: sandbox.Settled, shell: Shell, job: dict[str, Any], descriptors: list[int]) -> None:
    """Turn this fork into a submission process; never returns."""
    from .process import serve

    status = 70
    try:
        protocol, stdout, stderr, *archive = descriptors
        null = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((null, 0), (stdout, 1), (stderr, 2)):
            os.dup2(source, target)
        files = os.fdopen(archive[0], "rb") if archive else None
        sandbox.confine(settled, sandbox.Confinement(**job["confinement"]), keep=frozenset({protocol}), files=files)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        random.seed(job["seed"])
        shell.after_fork()
        serve(socket.socket(fileno=protocol), shell, settled)
        status = 0
    except BaseException as error:  # noqa: BLE001 - whatever it is must not run the zygote's loop
        os.write(2, f"{type(error).__name__}: {error}\n".encode("utf-8", "replace"))
    finally:
        os._exit(status)


def _end(settled: sandbox.Settled, child: int, others: set[int]) -> dict[str, Any]:
    """Kill a submission process and all that it left.

    In tier A the kernel ends its whole process tree. In the others its process group, which nothing can leave that may
    not run programs, and then whatever has become a child of ours because its parent is gone.
    """
    try:
        os.killpg(child, signal.SIGKILL)
    except ProcessLookupError:  # it died before it had a group of its own
        os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    for round_ in range(1 << 10):
        orphans = sandbox.children() - others
        if not orphans:
            break
        if round_ == _ROUNDS and settled.site.user is not None:
            _kill_all_of(settled.site.user)
        for orphan in orphans:
            os.kill(orphan, signal.SIGKILL)
            os.waitpid(orphan, 0)
    if settled.site.user is not None and settled.site.tier == "B":
        _remove_shared_memory(settled.site.user)
    return {"ended": child}


def _kill_all_of(user: int) -> None:
    """Kill every process of a user id that submissions alone have: at once, so that none can fork ahead of us."""
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(user, user, user)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(child, 0)


def _remove_shared_memory(user: int) -> None:
    for file in Path("/dev/shm").iterdir():
        with contextlib.suppress(OSError):
            if file.lstat().st_uid == user:
                file.unlink()


if __name__ == "__main__":
    settings = json.loads(sys.argv[2])
    main(int(sys.argv[1]), sandbox.Site(**{**settings, "devices": tuple(settings["devices"])}))
    os._exit(0)  # all is said; taking this interpreter apart would take a while
