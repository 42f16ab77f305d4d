"""The trusted side's handles of the untrusted one: `Zygote`, and `ZygoteHandle` for what it forks as such.

After `Zygote.close`, and when the trusted process dies, no process is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import IO, Any, Literal, Self

from .errors import ConfinementError, EngineError
from .namespaces import HOME
from .processes import START_SECONDS, SubmissionProcess, process_id
from .rawstream import RawStream
from .sandbox import NOT_BESIDE_NOTEBOOKS, Confinement, Site, Tier
from .slots import UserSlot
from .usage import Usage, children_of
from .zygote import ALLOCATION

_PACKET = 1 << 16
_BLOCK = 4096  # what a file takes at least, in bytes


@dataclass(frozen=True)
class ZygoteFacts:
    """What is known of a zygote.

    Attributes:
        tier: how strongly its submission processes are confined.
        user: the user id that they get, or None for that of the zygote.
        runtime: what they can read.
        pid: the zygote's process id, as the trusted side sees it.
    """

    tier: Tier
    user: int | None
    runtime: tuple[str, ...] = ()
    pid: int = 0


class ZygoteHandle:
    """The trusted end of a zygote; a context manager.

    Raises `EngineError` when the zygote has died.
    """

    def __init__(self, facts: ZygoteFacts, control: socket.socket) -> None:
        self.facts = facts
        self._control = control
        self._control.settimeout(START_SECONDS)
        self._ready = False
        self._closed = False
        self._alive: set[int] = set()

    @property
    def tier(self) -> Tier:
        """How strongly its submission processes are confined."""
        return self.facts.tier

    @property
    def pid(self) -> int:
        """The zygote's process id; its descendants are the submissions."""
        return self.facts.pid

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def check_hides(self, folder: Path) -> None:
        """Raise `EngineError` when submissions could read `folder`, a course, because the runtime includes it."""
        place = folder.resolve()
        inside = [path for path in self.facts.runtime if place.is_relative_to(Path(path).resolve())]
        if inside and self.tier != "C":
            raise EngineError(
                f"{folder} lies in {inside[0]}, which submissions can read because Python or a library is there;"
                " move the course elsewhere"
            )

    def wait_until_ready(self) -> None:
        """Wait until the zygote has imported everything; it does so while its owner may do something else."""
        if self._ready:
            return
        if self._receive()[0].get("ready") != 1:
            self.close()
            raise EngineError("the zygote has more than one thread, so that its forks could hang; report this as a bug")
        self._ready = True

    def start(
        self,
        confinement: Confinement,
        seed: int,
        files: Path | None = None,
        read_only: Collection[str] = (),
    ) -> SubmissionProcess:
        """Fork a submission process that is confined as asked for, its `random` seeded.

        Its working folder gets copies of what lies in the folder `files` (no notebooks, links or special files, and
        no more than its disk holds), of which those that `read_only` names by their paths cannot be written.
        """
        self.wait_until_ready()
        with contextlib.ExitStack() as ours_on_failure, contextlib.ExitStack() as theirs:
            ours, protocol = socket.socketpair()
            ours_on_failure.callback(ours.close)
            theirs.callback(protocol.close)
            streams = []
            for _ in ("stdout", "stderr"):
                read, write = os.pipe()
                ours_on_failure.callback(os.close, read)
                theirs.callback(os.close, write)
                streams.append((read, write))
            request = {"fork": {"confinement": asdict(confinement), "seed": seed}}
            passed = [protocol.fileno(), *(write for _, write in streams)]
            if files is not None and (archive := _archive(files, confinement, read_only)) is not None:
                passed.append(theirs.enter_context(archive).fileno())
            reply, descriptors = self._ask(request, passed)
            ours_on_failure.pop_all()
        process = SubmissionProcess(
            lambda: self._end(reply["forked"], process.pid),
            ours,
            descriptors[0],
            [RawStream(read) for read, _ in streams],
            Usage(self.facts.pid, self.tier, confinement, self.facts.user, self._alive),
            home=HOME if self.tier == "A" else confinement.folder,
        )
        self._alive.add(process.pid)
        process.wait_until_confined()
        return process

    def fork(self, user: int | None, modules: Sequence[str] = ()) -> tuple[ZygoteFacts, socket.socket]:
        """Fork another zygote, which imports `modules`, and whose submissions get the user id `user`.

        What is returned makes a `ZygoteHandle` in whatever process. The new zygote ends with its socket, or with this.
        """
        self.wait_until_ready()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            _, descriptors = self._ask({"zygote": user, "import": modules}, [theirs.fileno()])
        pid = process_id(descriptors[0])
        os.close(descriptors[0])
        return replace(self.facts, user=user, pid=pid), ours

    def close(self) -> None:
        """End the zygote and every process it has forked."""
        self._closed = True
        self._control.close()
        for group in self._alive:  # what a zygote that was killed itself could not end
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
        self._alive.clear()

    def _end(self, number: int, pid: int) -> None:
        """Kill all that belongs to a submission process, `number` to the zygote."""
        self._alive.discard(pid)
        if not self._closed:  # else it has ended all of them
            self._ask({"end": number}, [])

    def _ask(self, request: dict[str, Any], descriptors: list[int]) -> tuple[dict[str, Any], list[int]]:
        try:
            socket.send_fds(self._control, [json.dumps(request).encode()], descriptors)
        except OSError as error:
            raise EngineError(f"the zygote is gone ({error}): {self._said()}") from error
        return self._receive()

    def _receive(self) -> tuple[dict[str, Any], list[int]]:
        try:
            packet, descriptors, _, _ = socket.recv_fds(self._control, _PACKET, 1)
        except OSError as error:
            raise EngineError(f"the zygote does not answer ({error}): {self._said()}") from error
        if not packet:
            raise EngineError(f"the zygote ended: {self._said()}")
        return json.loads(packet), descriptors

    def _said(self) -> str:
        """The zygote's last words."""
        return "it has been closed" if self._closed else "it said nothing"


class Zygote(ZygoteHandle):
    """A zygote in a process of its own, started here; others can be forked from it.

    Args:
        tier: how strongly its submission processes are confined.
        devices: files below /dev that they may use.

    Raises `EngineError` when it does not start or has died; its own messages are in the error.
    """

    def __init__(self, tier: Tier, devices: tuple[str, ...] = ()) -> None:
        self._slot = UserSlot() if os.getuid() == 0 and tier != "C" else None
        site = Site(tier, self._slot.user if self._slot else None, devices)
        self._settled = self._preloading = False
        control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(ZygoteFacts(tier, site.user), control)
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the zygote
        module = ["-m", "tensorgrade.zygote", str(theirs.fileno()), json.dumps(asdict(site))]
        with theirs, contextlib.ExitStack() as on_failure:
            if self._slot is not None:
                on_failure.callback(self._slot.release)
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-s", "-Xfrozen_modules=off", *module],
                env=_clean_environment(devices),
                cwd="/",
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=self._messages,
                stderr=self._messages,
                umask=0o022,  # with a stricter one of ours, submissions could not read their root in tier A
                start_new_session=True,
            )
            on_failure.pop_all()

    def wait_until_settled(self) -> None:
        """Wait until the zygote has tried whether it can confine; raises `ConfinementError` when it cannot."""
        if self._settled:
            return
        answer = self._receive()[0]
        if "refused" in answer:
            self.close()
            raise ConfinementError(self.tier, answer["refused"])
        self._settled = True
        # in tier A what we started only waits for the zygote proper
        pid = next(iter(children_of(self._process.pid)), 0) if self.tier == "A" else self._process.pid
        self.facts = replace(self.facts, runtime=tuple(answer["settled"]), pid=pid)

    def has_ended(self) -> bool:
        """Whether its process is gone, as after it was killed."""
        return self._process.poll() is not None

    def preload(self, modules: Sequence[str] = ()) -> None:
        """Let it import what submissions need, and `modules`: for seconds, while its owner does something else."""
        self.wait_until_settled()
        if not self._preloading:
            self._preloading = True
            try:
                self._control.send(json.dumps({"import": modules}).encode())
            except OSError as error:
                raise EngineError(f"the zygote is gone ({error}): {self._said()}") from error

    def wait_until_ready(self) -> None:
        """Wait until it has settled, and then as every handle does."""
        self.preload()
        super().wait_until_ready()

    def close(self) -> None:
        """End it, the zygotes forked from it, and all their submissions."""
        super().close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._messages.close()
        if self._slot is not None:
            self._slot.release()

    def _said(self) -> str:
        if self._messages.closed:
            return super()._said()
        self._messages.seek(0)
        return self._messages.read().decode("utf-8", "replace").strip()[-2000:] or super()._said()


def open_zygote(tier: Tier | Literal["auto"], devices: tuple[str, ...] = ()) -> Zygote:
    """Return a zygote of a tier that this machine can give; ``"auto"`` is A, or else B.

    Raises `ConfinementError` with what stands in the way, and how to go on.
    """
    wanted: tuple[Tier, ...] = ("A", "B") if tier == "auto" else (tier,)
    failures = []
    for candidate in wanted:
        zygote = Zygote(candidate, devices)
        try:
            zygote.wait_until_settled()
        except ConfinementError as error:
            failures.append(error)
        else:
            return zygote
    raise failures[0] if len(failures) == 1 else ConfinementError("B", "; ".join(map(str, failures)))


def _archive(folder: Path, confinement: Confinement, read_only: Collection[str]) -> IO[bytes] | None:
    """An archive of the ordinary files in `folder` that are no notebooks, as far as they fit; None without any.

    They take half of what the submission may have at most, so that it can write something itself.
    """
    disk, files = confinement.disk // 2, confinement.files // 2
    chosen: list[Path] = []
    folders: set[Path] = {folder}
    for path in _ordinary_files(folder):
        size = -(-path.stat().st_size // _BLOCK) * _BLOCK
        above = {parent for parent in path.parents if parent.is_relative_to(folder)} - folders
        if size <= disk and 1 + len(above) <= files:
            disk, files = disk - size, files - 1 - len(above)
            folders |= above
            chosen.append(path)
    if not chosen:
        return None
    file = tempfile.TemporaryFile()  # noqa: SIM115 - the caller closes it
    with tarfile.open(fileobj=file, mode="w") as archive:
        for path in chosen:
            name = path.relative_to(folder).as_posix()
            member = archive.gettarinfo(path, arcname=name)
            member.mode = 0o400 if name in read_only else 0o600
            with path.open("rb") as content:
                archive.addfile(member, content)
    file.seek(0)
    return file


def _ordinary_files(folder: Path) -> Iterator[Path]:
    """The files in `folder` and below that submissions get: no links or special files, and none that cannot be read."""
    for root, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(root, name)
            if (
                not name.endswith(NOT_BESIDE_NOTEBOOKS)
                and stat.S_ISREG(path.lstat().st_mode)
                and os.access(path, os.R_OK)
            ):
                yield path


def _has_huge_pages() -> bool:
    """Whether the kernel gives them to whoever asks, and the C library asks when told to."""
    try:
        library = os.confstr("CS_GNU_LIBC_VERSION") or ""
        available = "[never]" not in Path("/sys/kernel/mm/transparent_hugepage/enabled").read_text()
    except (OSError, ValueError):  # no such kernel, no such library
        return False
    version = re.fullmatch(r"glibc (\d+)\.(\d+)", library)
    return available and version is not None and (int(version[1]), int(version[2])) >= (2, 35)


def _clean_environment(devices: tuple[str, ...]) -> dict[str, str]:
    """The environment of student code: nothing of ours, and nothing that says that it is being graded."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "USER": "student",
        "LOGNAME": "student",
        **({} if devices else {"CUDA_VISIBLE_DEVICES": ""}),
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONDONTWRITEBYTECODE": "1",
        **(ALLOCATION if _has_huge_pages() else {}),
        "PYTHONHASHSEED": "0",
        "JPY_PARENT_PID": "1",
        **{name: os.environ[name] for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ},
    }
