"""The machines that a notebook is judged on: the one that its cells ran on, and others with more or fewer accelerators.

Trusted side. On each machine the cells of the notebook run from its beginning, so that code at the top level sees the
accelerators as well; only what ran first has outputs that anybody sees. The other machines that were
used last are kept for later exercises.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from .codec import Message
from .errors import GraderError, LimitExceeded, ProcessEnded, SubmissionFailure, TimeLimitExceeded
from .execution import MAX_RANKS, Accelerators, Execution
from .job import Job
from .limits import Allowance
from .processes import Process, request_together
from .supervisor import ZygoteHandle

MAX_ACCELERATORS = 8
_meetings = itertools.count()
"""Numbers for the folders in which ranks find each other: none has files of others that met before."""
_CARD = r"/dev/nvidia\d+"
MAX_OTHERS = 3
"""How many other machines there are at a time: each may use as much memory as the notebook's own."""


class Machines:
    """The machines of one notebook.

    Args:
        accelerators: how many each exercise of the notebook asks for; its cells run on a machine with the most of them.
        others: see `Execution`.

    Attributes:
        notebook: the machine that the cells run on first.
    """

    def __init__(
        self,
        *,
        job: Job,
        allowance: Allowance,
        read_only: frozenset[str],
        wanted: Mapping[int, Allowance],
        states: Sequence[int],
        zygote: ZygoteHandle,
        folder: Path,
        accelerators: Iterable[int],
    ) -> None:
        self._settings = job.settings
        self._most = self._possible(max(accelerators, default=0))
        self._start: Callable[..., Execution] = partial(
            Execution,
            job=job,
            allowance=allowance,
            read_only=read_only,
            states=states,
            zygote=zygote,
            folder=folder,
            deadline=time.monotonic() + job.seconds,
        )
        self._wanted = wanted
        self.notebook = self._start(accelerators=self._with(self._most), wanted=wanted)
        self._others: dict[int, Execution] = {}

    def at(self, place: int, count: int) -> Execution:
        """The machine with `count` accelerators, its notebook run up to `place`; raises `GraderError` without one."""
        if count == self._most:
            return self.notebook
        execution = self._others.pop(count, None)
        if execution is None:
            while len(self._others) >= MAX_OTHERS:
                self._others.pop(next(iter(self._others))).close()
            execution = self._start(accelerators=self._with(count), wanted=self._wanted)
        self._others[count] = execution  # the last one is the one that was used last
        execution.reach(place)
        return execution

    def close(self) -> None:
        """End all processes."""
        for execution in (self.notebook, *self._others.values()):
            execution.close()
        self._others.clear()

    def _with(self, count: int) -> Accelerators:
        if count > self._possible(count):
            raise GraderError(f"this needs a machine with {count} GPUs, and {self._possible(count)} are configured")
        # a process without any is told as well where others have some, so that code which asks for some gets none
        real = self._settings.accelerators == "real"
        return Accelerators(count, real, told=bool(count or self._most or real))

    def _possible(self, count: int) -> int:
        """How many of so many accelerators there can be: virtual ones without end."""
        if self._settings.accelerators == "virtual":
            return count
        cards = [path for path in self._settings.devices if re.fullmatch(_CARD, path) and Path(path).exists()]
        return min(count, len(cards))


class NotebookMachine:
    """The machine of one exercise: a process in the state at its test cell, which is replaced when it is lost.

    Attributes:
        allowance: what may be used for a request.
        digest: of the last answer, see `tensorgrade.codec.FrameReader`.
    """

    def __init__(self, machines: Machines, place: int, allowance: Allowance, accelerators: int) -> None:
        self._machines = machines
        self._place = place
        self._accelerators = accelerators
        self._execution = machines.notebook
        self._process: Process | None = None
        self._answered = False
        self._interrupted = False
        self._family = {accelerators: self}
        self.allowance = allowance
        self.digest: bytes | None = None

    def request(self, message: Message) -> Message:
        """See `tensorgrade.submission.Machine`."""
        try:
            return self._request(message)
        except ProcessEnded:
            if self._answered:
                raise
        # the snapshot may have been killed while it waited, by an exercise that was judged before
        self._answered = True
        return self._request(message)

    def request_ranks(self, count: int, requests: Callable[[str], list[Message]]) -> list[Message | SubmissionFailure]:
        """See `tensorgrade.submission.Machine`."""
        if not 1 <= count <= MAX_RANKS:
            raise GraderError(f"there can be 1 to {MAX_RANKS} ranks, not {count}")
        seconds = self._seconds()
        execution = self._machines.at(self._place, self._accelerators)
        with contextlib.ExitStack() as closing:
            ranks, home = execution.ranks_at(self._place, count)
            for rank in ranks:
                closing.callback(rank.close)
            folder = f"{home}/ranks-{next(_meetings)}"
            messages: list[Message] = [{"do": "rank", "folder": folder, "request": one} for one in requests(folder)]
            return request_together(ranks, messages, seconds, self.allowance.result)

    def with_accelerators(self, count: int) -> NotebookMachine:
        """See `tensorgrade.submission.Machine`."""
        if type(count) is not int or not 0 <= count <= MAX_ACCELERATORS:
            raise GraderError(f"a machine can have 0 to {MAX_ACCELERATORS} accelerators, not {count!r}")
        if count not in self._family:
            other = NotebookMachine(self._machines, self._place, self.allowance, count)
            other._family = self._family
            self._family[count] = other
        return self._family[count]

    def discard(self) -> None:
        """See `tensorgrade.submission.Machine`."""
        if self._process is not None:
            self._process.close()
            self._process = None

    def close(self) -> None:
        """Give back what answers for this exercise, whatever its accelerators."""
        for machine in self._family.values():
            if machine._process is not None:
                machine._execution.give_back(machine._process, interrupted=machine._interrupted)
                machine._process = None

    def _request(self, message: Message) -> Message:
        seconds = self._seconds()
        if self._process is None or not self._process.alive or self._execution.closed:
            self.discard()
            self._execution = self._machines.at(self._place, self._accelerators)
            self._process = self._execution.process_at(self._place)
        try:
            answer = self._process.request(message, seconds, self.allowance.result)
        except ProcessEnded as failure:
            if self._process.processor_seconds() >= self.allowance.cpu_seconds:
                raise LimitExceeded("cpu_seconds") from failure
            raise
        except LimitExceeded as failure:
            if failure.limit != "result":
                self._execution.start_over()  # what was too much is still there
            raise
        self._answered = True
        self._interrupted |= "interrupted" in answer
        self.digest = self._process.digest
        return answer

    def _seconds(self) -> float:
        left = self._machines.notebook.seconds_left()
        if left <= 0:
            raise TimeLimitExceeded("the notebook used up its time")
        return min(self.allowance.seconds, left)
