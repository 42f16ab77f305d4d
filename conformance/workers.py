"""Runs tasks in other processes, several at a time, so that a crash or an endless loop costs one task only.

A process does some tasks before it ends, since forking one takes longer than most tasks.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import Any

BATCH = 20
"""So many tasks a process does."""


@dataclass
class Running:
    """A process, the tasks that it has not answered yet, and until when it has to answer the first."""

    tasks: list[str]
    process: int
    deadline: float


def run_all(tasks: Sequence[str], work: Callable[[str], Any], jobs: int, seconds: float) -> Iterator[tuple[str, Any]]:
    """Yield each task with the result of `work`, as they end; one that ends its process, or not at all, a sentence.

    The processes are forked, so that nothing is imported twice. They end with the generator, also on Ctrl-C.
    """
    waiting = [list(tasks[begin : begin + BATCH]) for begin in range(0, len(tasks), BATCH)][::-1]
    running: dict[Connection, Running] = {}
    try:
        while waiting or running:
            while waiting and len(running) < jobs:
                connection, process = start(work, waiting[-1])
                running[connection] = Running(waiting.pop(), process, time.monotonic() + seconds)
            done = {*wait(list(running), timeout=0.5), *overdue(running)}
            for connection in [one for one in running if one in done]:
                one = running[connection]
                result, is_lost = result_of(connection, one)
                yield one.tasks.pop(0), result
                one.deadline = time.monotonic() + seconds
                if is_lost or not one.tasks:
                    end(connection, running)
                    waiting += [one.tasks] if one.tasks else []
    finally:
        for connection in list(running):
            end(connection, running)


def start(work: Callable[[str], Any], tasks: Sequence[str]) -> tuple[Connection, int]:
    """Fork a process that does tasks and sends their results."""
    receiving, sending = Pipe(duplex=False)
    process = os.fork()
    if process:
        sending.close()
        return receiving, process
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        receiving.close()
        for task in tasks:
            sending.send(work(task))
        code = 0
    finally:
        os._exit(code)


def overdue(running: dict[Connection, Running]) -> list[Connection]:
    """Those that had their time."""
    return [connection for connection, one in running.items() if time.monotonic() > one.deadline]


def result_of(connection: Connection, one: Running) -> tuple[Any, bool]:
    """What a process sent, or how it ended; and whether it did."""
    late = time.monotonic() > one.deadline
    try:
        return (connection.recv(), False) if connection.poll() else ("it took too long", True)
    except EOFError:
        return ("it took too long" if late else "the process crashed"), True


def end(connection: Connection, running: dict[Connection, Running]) -> None:
    """End a process if it still runs, and forget it."""
    process = running.pop(connection).process
    connection.close()
    os.kill(process, signal.SIGKILL)
    os.waitpid(process, 0)
