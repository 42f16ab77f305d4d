"""Runs each task in a process of its own, several at a time, so that a crash or an endless loop costs that one only."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any


@dataclass(frozen=True)
class Running:
    """A process that works on one task."""

    task: str
    process: int
    deadline: float


def run_all(tasks: Sequence[str], work: Callable[[str], Any], jobs: int, seconds: float) -> Iterator[tuple[str, Any]]:
    """Yield each task with the result of `work`, as they end; a process that ends without one gives a sentence.

    The processes are forked, so that nothing is imported twice. They end with the generator, also on Ctrl-C.
    """
    waiting, running = list(reversed(tasks)), dict[Connection, Running]()
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                connection, process = start(work, waiting[-1])
                running[connection] = Running(waiting.pop(), process, time.monotonic() + seconds)
            done = {*wait(list(running), timeout=0.5), *overdue(running)}
            for connection in [one for one in running if one in done]:
                yield running[connection].task, result_of(connection, running)
    finally:
        for connection in list(running):
            end(connection, running)


def start(work: Callable[[str], Any], task: str) -> tuple[Connection, int]:
    """Fork a process that does one task and sends the result."""
    receiving, sending = Pipe(duplex=False)
    process = os.fork()
    if process:
        sending.close()
        return receiving, process
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        receiving.close()
        sending.send(work(task))
        code = 0
    finally:
        os._exit(code)


def overdue(running: dict[Connection, Running]) -> list[Connection]:
    """Those that had their time."""
    return [connection for connection, one in running.items() if time.monotonic() > one.deadline]


def result_of(connection: Connection, running: dict[Connection, Running]) -> Any:
    """What a process sent, or how it ended."""
    late = time.monotonic() > running[connection].deadline
    try:
        return connection.recv() if connection.poll() else "it took too long"
    except EOFError:
        return "it took too long" if late else "the process crashed"
    finally:
        end(connection, running)


def end(connection: Connection, running: dict[Connection, Running]) -> None:
    """End a process if it still runs, and forget it."""
    process = running.pop(connection).process
    connection.close()
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
