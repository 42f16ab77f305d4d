"""`tensorgrade doctor`: what this machine really enforces, found out by trying it.

Trusted side. A zygote of the strongest tier that the machine gives forks a submission process, and that runs small
attacks: on files, a listener and a process that the doctor sets up for them, and on the course's own hidden files. A
protection counts when its attack fails; a version number proves nothing, and only says what is supported.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from packaging.specifiers import SpecifierSet

from .errors import ConfinementError, SubmissionFailure
from .processes import SubmissionProcess
from .sandbox import Confinement, Tier
from .supervisor import Zygote, open_zygote

SUPPORTED = {"torch": ">=2.10", "nbgrader": ">=0.9.6", "ipykernel": ">=6.29,<8", "ipython": ">=8.20"}
PYTHON = ">=3.11,<3.14"

_TIERS: tuple[Tier, ...] = ("A", "B", "C")
_PROMISES = {
    "A": "namespaces, Landlock, seccomp and limits of resources",
    "B": "Landlock, seccomp and limits of resources",
    "C": "no more than a process of their own: for code that you trust",
}
_TO_GET = {
    "A": (
        "as root nothing is needed outside of containers; in Docker, start it with `--cap-add SYS_ADMIN --security-opt"
        " seccomp=unconfined --security-opt apparmor=unconfined --security-opt systempaths=unconfined`; as an ordinary"
        " user, allow user namespaces (`sysctl user.max_user_namespaces=10000`, on Ubuntu also `sysctl"
        " kernel.apparmor_restrict_unprivileged_userns=0`); or be content with tier B"
    ),
    "B": (
        "Linux 6.2 or newer with Landlock (6.12 unless root grades), libseccomp (`apt install libseccomp2`), and a"
        " Python that every user can read"
    ),
    "C": "Linux",
}
_TO_GET_PYTHON = "install Python and tensorgrade where this user can read and run them, not in another's home folder"


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: whether it holds, what was seen, and what to do when it does not."""

    name: str
    holds: bool
    seen: str
    fix: str = ""


@dataclass(frozen=True)
class Report:
    """What a machine can give.

    Attributes:
        tier: the strongest tier that is possible, or the one that was asked for if it is; else None.
        checks: all that was looked at.
    """

    tier: Tier | None
    checks: tuple[Check, ...]

    @property
    def healthy(self) -> bool:
        """Whether everything holds that the tier promises."""
        broken = [check for check in self.checks if not check.holds and not check.name.startswith("tier")]
        return self.tier is not None and not (broken and self.tier != "C")

    def to_json(self) -> dict[str, Any]:
        """The report as plain data."""
        return {"tier": self.tier, "healthy": self.healthy, "checks": [asdict(check) for check in self.checks]}


_ATTACKS = {
    "hidden files cannot be read": "result = readable(hidden)",
    "folders outside cannot be listed": "result = os.listdir(outside)",
    "nothing can be written outside": "result = open(outside + '/written', 'w')",
    "other processes cannot be seen into": "result = readable([f'/proc/{process}/environ', f'/proc/{process}/mem'])",
    "other processes cannot be signalled": "os.kill(process, 15); result = True",
    "there is no network": "result = socket.create_connection(('127.0.0.1', port), 2)",
    "sockets of others cannot be reached": "s = socket.socket(socket.AF_UNIX); s.connect(listener); result = True",
    "programs cannot be run": "result = subprocess.run(['/bin/true'])",
    "namespaces cannot be entered": "result = libc.unshare(0x10000000) == 0",
    "there are no capabilities": "result = capabilities() & ~4",  # 4 reads files, which Landlock rules
    "the environment is clean": "result = [name for name in os.environ if name.startswith(('NBGRADER', 'TENSOR'))]",
    "accelerators are invisible": "result = readable(devices)",
    "memory is limited": "result = len(bytearray(1 << 30))",
    "processes are limited": "result = fork_many(40)",
    "the size of files is limited": "result = write_many(64, 1 << 20)",
    "the number of files is limited": "result = write_many(400, 1)",
}
"""Protections, and code that gets around each where it is missing; it uses the names of `_bait` and `_PRELUDE`."""

_PRELUDE = """
import ctypes, os, socket, subprocess, time
libc = ctypes.CDLL(None)
def readable(paths):
    found = []
    for path in paths:
        try:
            open(path, 'rb').close()
            found.append(path)
        except OSError:
            pass
    return found
def capabilities():
    return int(open('/proc/self/status').read().split('CapEff:')[1].split()[0], 16)
def fork_many(count):
    for _ in range(count):
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
    time.sleep(0.6)
    return count
def write_many(count, size):
    for index in range(count):
        open(f'file-{size}-{index}', 'wb').write(bytes(size))
    time.sleep(0.6)
    return count
"""

_TRY = """
result = None
try:
    {code}
except (OSError, MemoryError) as error:
    print('refused', type(error).__name__, error)
else:
    print('reached' if result else 'refused')
"""

_WORKERS = "DataLoader workers run where the exercise allows subprocesses"
_USES = {
    "the runtime can be read": "import torch.distributions, torch.utils.data, sqlite3, wave; result = True",
    "files can be written in the own folder": "open('own', 'w').write('x'); result = open('own').read()",
    "programs run where the exercise allows subprocesses": (
        "import subprocess; result = subprocess.run(['true'], check=True).returncode == 0"
    ),
    _WORKERS: (
        "from torch.utils.data import DataLoader;"
        " result = len(list(DataLoader(torch.arange(4), batch_size=2, num_workers=1))) == 2"
    ),
}
"""What a submission must be able to do, and code that does it."""


def examine(hidden: list[Path], wanted: Tier | None = None) -> Report:
    """Return what this machine can give.

    Args:
        hidden: files and folders that no submission may read, such as a course's graders.
        wanted: the tier to examine; the strongest one that is possible if not given.
    """
    checks = list(_versions())
    for tier in (wanted,) if wanted else _TIERS:
        if not os.access(sys.executable, os.X_OK):
            checks.append(Check(f"tier {tier}", False, f"{sys.executable} cannot be run", _TO_GET_PYTHON))
            continue
        try:
            zygote = open_zygote(tier)
        except ConfinementError as error:
            checks.append(Check(f"tier {tier}", False, error.reason, _TO_GET[tier]))
            continue
        checks.append(Check(f"tier {tier}", True, _PROMISES[tier]))
        with zygote:
            checks += _protections(zygote, hidden)
        return Report(tier, tuple(checks))
    return Report(None, tuple(checks))


def _versions() -> Iterator[Check]:
    python = platform.python_version()
    yield Check("Python", python in SpecifierSet(PYTHON), python, f"use Python {PYTHON}")
    for name, supported in SUPPORTED.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Check(name, False, "not installed", f"pip install '{name}{supported}'")
            continue
        holds = SpecifierSet(supported).contains(version.partition("+")[0], prereleases=True)
        yield Check(name, holds, version, f"pip install '{name}{supported}'")


def _protections(zygote: Zygote, hidden: list[Path]) -> Iterator[Check]:
    with _bait(hidden) as bait:
        for protection, code in _ATTACKS.items():
            # a process for each: one that went over a limit may be gone
            said = _run(zygote, f"{_PRELUDE}\n{bait}", _TRY.format(code=code))
            yield Check(protection, said.startswith("refused"), said, _fix(zygote.tier))
        for use, code in _USES.items():
            if use == _WORKERS and zygote.tier == "B" and os.getuid() != 0:
                continue  # their semaphores lie in /dev/shm, with files of the person's that nothing else guards
            said = _run(zygote, "import torch", _TRY.format(code=code), programs=True)
            yield Check(use, said.startswith("reached"), said, _fix(zygote.tier))
    yield _nothing_is_left(zygote)


def _fix(tier: Tier) -> str:
    if tier == "C":
        return "tier C does not protect from this; use tier A or B for code that you do not trust"
    return "report this as a bug, with the output of `tensorgrade doctor --json`"


def _run(zygote: Zygote, *cells: str, programs: bool = False) -> str:
    """Run cells as a submission; returns what they say in the end, or why they could not."""
    with tempfile.TemporaryDirectory() as folder:
        confinement = Confinement(
            "doctor", folder, memory=256 << 20, cpu_seconds=60, processes=16, disk=8 << 20, files=100, programs=programs
        )
        process = zygote.start(confinement, seed=0)
        try:
            return [_said(process, cell) for cell in cells][-1]
        except SubmissionFailure as failure:
            return f"refused {failure}"
        finally:
            process.close()


def _said(process: SubmissionProcess, cell: str) -> str:
    answer = process.run_cell(cell, seconds=30.0, output_limit=10_000)
    outputs = cast("list[dict[str, Any]]", answer["outputs"])
    return "".join(str(output.get("text") or output.get("evalue") or "") for output in outputs).strip()


@contextlib.contextmanager
def _bait(hidden: list[Path]) -> Iterator[str]:
    """Set up what the attacks go for; gives the assignments of its names."""
    with (
        tempfile.TemporaryDirectory() as outside,
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as listener,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as process,
    ):
        Path(outside).chmod(0o777)
        secret = Path(outside) / "secret"
        secret.write_text("secret")
        secret.chmod(0o644)
        listener.bind(f"{outside}/listener")
        Path(outside, "listener").chmod(0o777)
        listener.listen()
        patterns = ("nvidia*", "kfd", "dri/*", "accel*", "habanalabs*", "neuron*")
        names = {
            "outside": outside,
            "hidden": [*_files(hidden), str(secret)],
            "port": server.getsockname()[1],
            "listener": f"{outside}/listener",
            "process": process.pid,
            "devices": [str(path) for pattern in patterns for path in Path("/dev").glob(pattern)],
        }
        try:
            yield "\n".join(f"{name} = {value!r}" for name, value in names.items())
        finally:
            process.kill()


def _files(places: list[Path]) -> list[str]:
    """A file of each place, itself if it is one."""
    found = [next((file for file in [place, *sorted(place.rglob("*"))] if file.is_file()), None) for place in places]
    return [str(file.resolve()) for file in found if file is not None]


def _nothing_is_left(zygote: Zygote) -> Check:
    """Whether a process that a submission leaves behind ends with it."""
    from .usage import descendants_of

    daemon = "import os, time\nif os.fork() == 0:\n    for n in (1, 2):\n        os.fork()\n    time.sleep(600)"
    _run(zygote, daemon)
    deadline = time.monotonic() + 5
    while (left := descendants_of(zygote.pid)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return Check("processes end with their submission", not left, f"{len(left)} are left", _fix(zygote.tier))
