"""The trusted side's handles of the untrusted one: `Zygote`, and `Process` for a submission process or a snapshot.

Promise: whatever a submission process does, each request returns an answer of the right form within its time limit
and grace, or raises a `SubmissionFailure`; after `Zygote.close`, and when the trusted process dies, no process is left.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

from .codec import FrameReader, Message, Plain, encode
from .errors import EngineError, ProcessEnded, ProtocolError, SubmissionFailure, TimeLimitExceeded
from .sandbox import Confinement

GRACE_SECONDS = 1.0
START_SECONDS = 120.0
STREAM_LIMIT = 1 << 20
_PACKET = 1 << 16
_CREDENTIALS = struct.Struct("3i")


class Zygote:
    """A running zygote; a context manager.

    Raises `EngineError` when it does not start or has died; its own messages are in the error.
    """

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._messages = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the zygote
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-Xfrozen_modules=off", "-m", "tensorgrade.zygote", str(theirs.fileno())],
            env=_clean_environment(),
            cwd="/",
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            stdout=self._messages,
            stderr=self._messages,
            start_new_session=True,
        )
        theirs.close()
        self._control.settimeout(START_SECONDS)
        self._ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait_until_ready(self) -> None:
        """Wait until the zygote has imported everything; it does so while its owner may do something else."""
        if self._ready:
            return
        if self._receive()[0].get("ready") != 1:
            self.close()
            raise EngineError("the zygote has more than one thread, so that its forks could hang; report this as a bug")
        self._ready = True

    def start(self, confinement: Confinement, seed: int) -> SubmissionProcess:
        """Fork a submission process that is confined as asked for, its `random` seeded."""
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
            reply, descriptors = self._ask(request, passed)
            ours_on_failure.pop_all()
        process = SubmissionProcess(self, reply["forked"], ours, descriptors[0], [_RawStream(r) for r, _ in streams])
        process.wait_until_confined()
        return process

    def end(self, pid: int) -> Message:
        """Kill the process group of the submission process `pid`; returns its wait status and CPU seconds."""
        if self._messages.closed:  # then it has ended all of them
            return {}
        return self._ask({"end": pid}, [])[0]

    def close(self) -> None:
        """End the zygote and every process it has forked."""
        self._control.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._messages.close()

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
        if self._messages.closed:
            return "it has been closed"
        self._messages.seek(0)
        return self._messages.read().decode("utf-8", "replace").strip()[-2000:] or "it said nothing"


def _clean_environment() -> dict[str, str]:
    """The environment of student code: nothing of ours, and nothing that says that it is being graded."""
    return {
        "PATH": f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": "/nonexistent",
        "CUDA_VISIBLE_DEVICES": "",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONHASHSEED": "0",
        **{name: os.environ[name] for name in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE") if name in os.environ},
    }


@dataclass
class _RawStream:
    """What a process writes to a descriptor behind Python's back; kept up to a limit, read on beyond it."""

    descriptor: int
    _kept: bytearray = field(default_factory=bytearray)
    open: bool = True

    def __post_init__(self) -> None:
        os.set_blocking(self.descriptor, False)

    def drain(self) -> None:
        try:
            data = os.read(self.descriptor, 1 << 16)
        except BlockingIOError:
            return
        self.open = bool(data)
        self._kept += data[: STREAM_LIMIT - len(self._kept)]

    def take(self) -> str:
        for _ in range(STREAM_LIMIT >> 12):  # a pipe holds 64 KiB; a flood must not keep us here
            before = len(self._kept)
            self.drain()
            if not self.open or len(self._kept) == before:
                break
        text = self._kept.decode("utf-8", "replace")
        self._kept.clear()
        return text


def _is_output(output: Plain) -> bool:
    return isinstance(output, dict) and isinstance(output.get("output_type"), str)


class Process:
    """A submission process or a snapshot of one: answers one request at a time."""

    def __init__(self, control: socket.socket, handle: int, streams: list[_RawStream]) -> None:
        self._control = control
        self._handle = handle
        self._streams = streams
        self._requests = 0
        self.alive = True

    def request(self, message: Message, seconds: float) -> Message:
        """Send `message` and return the answer.

        After `seconds` the process is interrupted (SIGINT); an answer within the grace is returned with the key
        ``interrupted``. Raises `TimeLimitExceeded` (the process has been killed), `ProcessEnded` or `ProtocolError`.
        """
        self._requests += 1
        frame = encode({**message, "id": self._requests})
        try:
            return self._exchange(frame, seconds)
        except SubmissionFailure:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill this process at once."""
        self.alive = False
        self._signal(signal.SIGKILL)

    def close(self) -> None:
        """Kill this process and free what belongs to it."""
        if self._handle < 0:
            return
        self.kill()
        self._control.close()
        os.close(self._handle)
        self._handle = -1

    def _signal(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._handle, number)

    def _exchange(self, frame: bytes, seconds: float) -> Message:
        deadline = time.monotonic() + seconds
        reader = FrameReader()
        try:
            self._send(frame, deadline)
            return self._answer(reader, deadline)
        except TimeoutError:
            self._signal(signal.SIGINT)
        try:
            return {**self._answer(reader, time.monotonic() + GRACE_SECONDS), "interrupted": True}
        except TimeoutError:
            raise TimeLimitExceeded(f"it ran longer than {seconds:g} s and had to be killed") from None

    def _send(self, frame: bytes, deadline: float) -> None:
        view = memoryview(frame)
        while view:
            self._wait(deadline, writing=True)
            try:
                view = view[self._control.send(view, socket.MSG_DONTWAIT) :]
            except BlockingIOError:
                continue
            except OSError as error:
                raise ProcessEnded("the process ended") from error

    def _answer(self, reader: FrameReader, deadline: float) -> Message:
        while (message := reader.pop()) is None:
            self._wait(deadline)
            try:
                data = self._control.recv(min(reader.missing(), 1 << 20), socket.MSG_DONTWAIT)
            except BlockingIOError:
                continue
            except OSError:
                data = b""
            if not data:
                raise ProcessEnded("the process ended")
            reader.feed(data)
        if message.get("id") != self._requests:
            raise ProtocolError("an answer to no request")
        return message

    def _wait(self, deadline: float, *, writing: bool = False) -> None:
        """Wait until the socket is ready, keeping the raw streams empty; raises TimeoutError, ProcessEnded."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError
            streams = {stream.descriptor: stream for stream in self._streams if stream.open}
            control = self._control.fileno()
            reading = [*streams, self._handle, *([] if writing else [control])]
            ready, writable, _ = select.select(reading, [control] if writing else [], [], left)
            for descriptor in ready:
                if descriptor in streams:
                    streams[descriptor].drain()
            if writable or control in ready:
                return
            if self._handle in ready:
                raise ProcessEnded("the process ended")


class SubmissionProcess(Process):
    """The process that runs a notebook's cells; owns its snapshots and everything else in its process group."""

    def __init__(
        self, zygote: Zygote, pid: int, control: socket.socket, handle: int, streams: list[_RawStream]
    ) -> None:
        super().__init__(control, handle, streams)
        self._zygote = zygote
        self.pid = pid

    def wait_until_confined(self) -> None:
        """Wait for the process to say that it is confined; raises `EngineError` with its own words when it fails."""
        try:
            self.request({"do": "ready"}, START_SECONDS)
        except SubmissionFailure as failure:
            said = self._streams[1].take().strip()
            self.close()
            raise EngineError(f"a submission process could not be confined: {said or failure}") from failure

    def run_cell(self, source: str, seconds: float, output_limit: int) -> Message:
        """Run one cell; the answer has ``outputs``, ``ok`` and ``execution_count`` (see `tensorgrade.shell`)."""
        answer = self.request({"do": "cell", "source": source, "output_limit": output_limit}, seconds)
        outputs = answer.get("outputs")
        if not isinstance(outputs, list) or not all(map(_is_output, outputs)):
            self.kill()
            raise ProtocolError("a cell's answer has no outputs")
        raw = [(name, stream.take()) for name, stream in zip(("stdout", "stderr"), self._streams, strict=True)]
        extra: list[Plain] = [{"output_type": "stream", "name": name, "text": text} for name, text in raw if text]
        return {**answer, "outputs": [*outputs, *extra]}

    def can_fork(self) -> bool:
        """Whether a snapshot can work: a forked copy of a process that has more threads could hang."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/task")) == 1
        except OSError:
            return False

    def snapshot(self, seconds: float = 10.0) -> Process:
        """Fork this process as it is now; raises a `SubmissionFailure` when it does not answer."""
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            self._send_descriptor_after_request(theirs, seconds)
        except SubmissionFailure:
            ours.close()
            raise
        finally:
            theirs.close()
        return Process(ours, self._handle_of_peer(ours, seconds), [])

    def close(self) -> None:
        """Kill the whole process group and free what belongs to it."""
        if self._handle < 0:
            return
        super().close()
        for stream in self._streams:
            os.close(stream.descriptor)
        self._zygote.end(self.pid)

    def _send_descriptor_after_request(self, theirs: socket.socket, seconds: float) -> None:
        self._requests += 1
        frame = encode({"do": "snapshot", "id": self._requests})
        try:
            self._send(frame, time.monotonic() + seconds)
            socket.send_fds(self._control, [b"s"], [theirs.fileno()])
            self._answer(FrameReader(), time.monotonic() + seconds)
        except (TimeoutError, OSError) as error:
            self.kill()
            raise ProcessEnded("the process did not answer") from error
        except SubmissionFailure:
            self.kill()
            raise

    def _handle_of_peer(self, ours: socket.socket, seconds: float) -> int:
        """A pidfd of the snapshot: its first message carries its process id, vouched for by the kernel."""
        ours.settimeout(seconds)
        try:
            data, ancillary, _, _ = ours.recvmsg(1 << 10, socket.CMSG_SPACE(_CREDENTIALS.size))
            ours.settimeout(None)
            if not data or not ancillary:
                raise ProcessEnded("the process could not be copied")
            pid = _CREDENTIALS.unpack(ancillary[0][2])[0]
            handle = os.pidfd_open(pid)
            if os.getsid(pid) != self.pid:
                os.close(handle)
                raise ProtocolError("an answer from a foreign process")
        except (OSError, TimeoutError, SubmissionFailure) as error:
            ours.close()
            self.kill()
            raise ProcessEnded("the process could not be copied") from error
        return handle
