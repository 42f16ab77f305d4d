"""The trusted side's handles of submission processes and of snapshots of them.

Promise: whatever a submission process does, each request returns an answer of the right form within its time limit
and grace, or raises a `SubmissionFailure`.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import struct
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from nbformat import ValidationError, validate

from .codec import FrameReader, Message, Plain, encode
from .errors import EngineError, LimitExceeded, ProcessEnded, ProtocolError, SubmissionFailure, TimeLimitExceeded
from .rawstream import RawStream
from .sandbox import Narrowed
from .usage import Usage, memory_of, runs_alone

GRACE_SECONDS = 1.0
START_SECONDS = 120.0
FOOTPRINT_SECONDS = 10.0
WATCH_SECONDS = 0.2
"""How often it is looked at what a submission uses, while an answer is awaited."""
_CREDENTIALS = struct.Struct("3i")


def _is_output(output: Plain) -> bool:
    """Whether nbformat takes it for an output, and JSON can hold it."""
    try:
        validate(output, ref="output", version=4, version_minor=5)
        json.dumps(output)
    except (ValidationError, TypeError):
        return False
    return True


class Process:
    """A submission process or a snapshot of one: answers one request at a time.

    Attributes:
        alive: whether it may be asked.
        digest: of its last answer, see `tensorgrade.codec.FrameReader`.
    """

    def __init__(self, control: socket.socket, handle: int, streams: list[RawStream], usage: Usage) -> None:
        self._control = control
        self._handle = handle
        self._streams = streams
        self._usage = usage
        self._next_look = 0.0
        self._requests = 0
        self.alive = True
        self.digest: bytes | None = None

    def request(self, message: Message, seconds: float, most: int | None = None) -> Message:
        """Send `message` and return the answer, of at most `most` bytes if that is given.

        After `seconds` the process is interrupted (SIGINT); an answer within the grace is returned with the key
        ``interrupted``. Raises `TimeLimitExceeded`, `LimitExceeded`, `ProcessEnded` or `ProtocolError`, and has killed
        the process then.
        """
        self._requests += 1
        frame = encode({**message, "id": self._requests})
        try:
            return self._exchange(frame, seconds, FrameReader(most))
        except SubmissionFailure:
            self.kill()
            raise

    def begin(self, message: Message, deadline: float) -> None:
        """Send `message`, without waiting for the answer; a process that is gone tells so when it is waited for."""
        self._requests += 1
        self._next_look = time.monotonic() + WATCH_SECONDS
        with contextlib.suppress(ProcessEnded, TimeoutError):
            self._send(encode({**message, "id": self._requests}), deadline)

    def answer(self, deadline: float, most: int | None = None) -> Message:
        """The answer to what was sent last; raises a `SubmissionFailure`, `TimeLimitExceeded` at the deadline."""
        try:
            return self._answer(FrameReader(most), deadline)
        except TimeoutError:
            raise TimeLimitExceeded("it did not answer in time") from None

    def processor_seconds(self) -> float:
        """The processor time that this process has used, as the kernel counts it for limits; 0 when it is gone.

        Limits count whole ticks of whoever runs when the clock ticks, a fifth more at times than `getrusage` and
        ``/proc`` tell: this is the clock that limits go by, CPUCLOCK_PROF of clock_getcpuclockid(3).
        """
        pid = process_id(self._handle)
        if pid <= 0:
            return 0.0
        try:
            return time.clock_gettime(~pid << 3)
        except OSError:
            return 0.0

    def has_ended(self) -> bool:
        """Whether this process is gone, also when nobody has asked it since."""
        return not self.alive or bool(select.select([self._handle], [], [], 0)[0])

    def is_as_it_was(self) -> bool:
        """Whether nothing has changed in this process since it was asked this first.

        That is its own word (see `tensorgrade.footprint`); one that gives none in time is killed.
        """
        try:
            answer = self.request({"do": "footprint"}, FOOTPRINT_SECONDS)
        except SubmissionFailure:
            return False
        return answer.get("same") is True and "interrupted" not in answer

    def runs_alone(self) -> bool:
        """Whether this process has one thread, and there are no others that it has started; also when it is gone."""
        return not self.alive or runs_alone(process_id(self._handle))

    def memory(self) -> int:
        """Bytes of memory that this process has in use; 0 when it is gone."""
        return memory_of(process_id(self._handle))

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

    def _exchange(self, frame: bytes, seconds: float, reader: FrameReader) -> Message:
        deadline = time.monotonic() + seconds
        self._next_look = time.monotonic() + WATCH_SECONDS
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
        if type(message.get("id")) is not int or message["id"] != self._requests:
            raise ProtocolError("an answer to no request")
        self.digest = reader.digest
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
            ready, writable, _ = select.select(reading, [control] if writing else [], [], min(left, WATCH_SECONDS))
            if time.monotonic() > self._next_look:
                self._next_look = time.monotonic() + WATCH_SECONDS
                self._usage.check()
            for descriptor in ready:
                if descriptor in streams:
                    streams[descriptor].drain()
            if writable or control in ready:
                return
            if self._handle in ready:
                raise ProcessEnded("the process ended")


class SubmissionProcess(Process):
    """The process that runs a notebook's cells; owns its snapshots and everything else in its process group.

    Attributes:
        home: its folder, as it sees it.
    """

    def __init__(
        self,
        end: Callable[[], None],
        control: socket.socket,
        handle: int,
        streams: list[RawStream],
        usage: Usage,
        *,
        home: str,
    ) -> None:
        super().__init__(control, handle, streams, usage)
        self._end = end
        self.home = home
        self.pid = process_id(handle)

    def wait_until_confined(self) -> None:
        """Wait for the process to say that it is confined; raises `EngineError` with its own words when it fails."""
        try:
            self.request({"do": "ready"}, START_SECONDS)
        except SubmissionFailure as failure:
            said = self._streams[1].take().strip()
            self.close()
            raise EngineError(f"a submission process could not be confined: {said or failure}") from failure

    def run_cell(self, source: str, seconds: float, output_limit: int, number: int = 0) -> Message:
        """Run one cell; the answer has ``outputs``, ``ok`` and ``execution_count`` (see `tensorgrade.shell`).

        By its `number`, traces of exceptions tell it from other cells.
        """
        request: Message = {"do": "cell", "source": source, "output_limit": output_limit, "number": number}
        answer = self.request(request, seconds)
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

    def snapshot(self, narrowed: Narrowed, seconds: float = 10.0) -> Process:
        """Fork this process as it is now, with limits of its own; raises a `SubmissionFailure` when it cannot."""
        return self._copy({"do": "snapshot", "narrowed": asdict(narrowed)}, [], seconds)

    def ranks(self, narrowed: Narrowed, count: int, seconds: float = 10.0) -> list[Process]:
        """Fork this process `count` times, and let each of the copies have a connection to each other.

        Raises a `SubmissionFailure` when it cannot.
        """
        ranks: list[Process] = []
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as given:
            ends = _connected(count, given)
            for rank, peers in enumerate(ends):
                request: Message = {"do": "snapshot", "narrowed": asdict(narrowed), "rank": rank, "ranks": count}
                ranks.append(self._copy(request, peers, seconds))
                on_failure.callback(ranks[-1].close)
            on_failure.pop_all()
        return ranks

    def _copy(self, request: Message, sockets: list[socket.socket], seconds: float) -> Process:
        ours, theirs = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        try:
            self._send_descriptors_after_request(request, [theirs, *sockets], seconds)
        except SubmissionFailure:
            ours.close()
            raise
        finally:
            theirs.close()
        return Process(ours, self._handle_of_peer(ours, seconds), [], self._usage)

    def close(self) -> None:
        """Kill the whole process group and free what belongs to it."""
        if self._handle < 0:
            return
        super().close()
        for stream in self._streams:
            os.close(stream.descriptor)
        self._end()

    def _send_descriptors_after_request(self, request: Message, theirs: list[socket.socket], seconds: float) -> None:
        self._requests += 1
        frame = encode({**request, "id": self._requests})
        try:
            self._send(frame, time.monotonic() + seconds)
            socket.send_fds(self._control, [b"s"], [end.fileno() for end in theirs])
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


def _connected(count: int, closing: contextlib.ExitStack) -> list[list[socket.socket]]:
    """For each of `count` processes its ends of connections to the others, in their order."""
    ends: dict[tuple[int, int], socket.socket] = {}
    for one in range(count):
        for other in range(one):
            ends[one, other], ends[other, one] = map(closing.enter_context, socket.socketpair())
    return [[ends[one, other] for other in range(count) if other != one] for one in range(count)]


def request_together(
    processes: Sequence[Process], messages: Sequence[Message], seconds: float, most: int | None = None
) -> list[Message | SubmissionFailure]:
    """Send each process its message; return what each of them answered within `seconds`, or why it did not.

    A process without an answer is killed. Raises `LimitExceeded` when they use too much together.
    """
    deadline = time.monotonic() + seconds
    answers: list[Message | SubmissionFailure] = []
    for process, message in zip(processes, messages, strict=True):
        process.begin(message, deadline)
    for process in processes:
        try:
            answers.append(process.answer(deadline, most))
        except LimitExceeded:
            raise
        except SubmissionFailure as failure:
            process.kill()
            answers.append(failure)
    return answers


def process_id(handle: int) -> int:
    """The process id that a pidfd stands for, as this process sees it."""
    facts = Path(f"/proc/self/fdinfo/{handle}").read_text()
    return int(facts.split("\nPid:")[1].split()[0])
