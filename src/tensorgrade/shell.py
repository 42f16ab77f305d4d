"""Runs the cells of a notebook in this process and gives the outputs that a kernel would have given.

This is the untrusted side: a `Shell` is built once in the zygote, before anything of a student is there, and used in
the submission processes forked from it. Under it is ipykernel's own shell; what is replaced is what surrounds that:
the kernel, its ZeroMQ socket (`_Wire`), its streams and nbclient (`tensorgrade.outputs`). Promised is that a cell's
outputs are those that nbgrader's ``Execute`` gets, that building a shell starts no thread, prints nothing and writes
no file, and that `Shell.run_cell` returns whatever the cell raises. Nothing is promised about the outputs of code
that sets out to forge them: they are never graded.
"""

from __future__ import annotations

import asyncio
import atexit
import builtins
import contextlib
import functools
import getpass
import inspect
import linecache
import os
import pdb
import subprocess
import sys
import traceback
from collections.abc import Collection, Coroutine, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any, cast

from ipykernel import zmqshell
from ipykernel.compiler import XCachingCompiler
from ipykernel.eventloops import enable_gui
from ipykernel.kernelbase import Kernel
from ipykernel.zmqshell import ZMQInteractiveShell
from IPython.core import async_helpers, debugger
from IPython.core.profiledir import ProfileDir
from IPython.utils import process
from jupyter_client.session import Session
from traitlets.config import Config

from tensorgrade.outputs import CellOutputs, Header, OutStream
from tensorgrade.transformers import Transformers

IDLE_SECONDS = 0.01
"""How long a kernel's event loop goes on between two cells, while nbclient prepares the next one."""

HIDDEN_TRACEBACK = "ERROR: An error occurred while showtraceback was disabled"
"""What nbgrader's ``Execute`` writes for an error that was shown nowhere."""

ExceptionTuple = tuple[type[BaseException] | None, BaseException | None, TracebackType | None]

REHEARSAL = (
    "from IPython.display import HTML, display\ndisplay(HTML('<b>x</b>'))\nprint('x')\n1 + 1",
    "def f():\n    1 / 0\ntry:\n    f()\nexcept ZeroDivisionError as error:\n    raise ValueError('x') from error",
    "1 +",
    "import asyncio\nawait asyncio.sleep(0)",
    "%time 1",
    "%timeit -n1 -r1 pass",
    "%%capture\nprint('x')",
    "len?",
)
"""Cells that together import what cells need. None of them gives a warning, which Python would not repeat."""


@dataclass(frozen=True)
class CellResult:
    """What a cell gave.

    Attributes:
        outputs: nbformat 4 outputs, as plain JSON values.
        ok: whether a kernel would have replied "ok".
        execution_count: the number beside the cell, or None for an empty cell, which does not run.
    """

    outputs: list[dict[str, Any]]
    ok: bool
    execution_count: int | None


class Shell:
    """A shell for cells: build it in the zygote, then call `after_fork` in every process that runs cells."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._inherited_loops: list[asyncio.AbstractEventLoop] = []
        self._build()
        self._rehearse()
        self._build()

    @property
    def namespace(self) -> dict[str, Any]:
        """The student's names: the dictionary itself, not a copy."""
        namespace: dict[str, Any] = self._shell.user_ns
        return namespace

    @property
    def own_names(self) -> Collection[str]:
        """Those of the names that are the shell's, not the student's."""
        names: Collection[str] = self._shell.user_ns_hidden
        return names

    def after_fork(self) -> None:
        """Make the shell this process's own: its event loop, its streams and its right to publish.

        Call it in every forked process before `run_cell`, also in a fork of one that ran cells. The first call puts
        the notebook's streams in the place of ``sys.stdout`` and ``sys.stderr``, where they stay. What is printed
        while no cell runs is dropped.
        """
        self._wire.session.pid = os.getpid()
        for stream in self._streams:
            stream.after_fork()
        if self._loop is None:
            sys.stdout, sys.stderr = self._streams
            sys.breakpointhook = _pass_by
            _search_working_directory()
            sys.argv = ["ipykernel_launcher.py", "-f", f"{os.environ['HOME']}/kernel-{self._wire.session.session}.json"]
        self._renew_loop()

    def cell_of(self, file: str) -> int | None:
        """The number of the cell whose code has this file name, None for any other code."""
        return self._compiler.numbers.get(file)

    def run_cell(self, source: str, *, output_limit: int, number: int = 0) -> CellResult:
        """Run a cell, ``number`` of the notebook, and collect its outputs, at most ``output_limit`` bytes of them.

        Whatever escapes from the cell, and from IPython, becomes an error among the outputs. Only what ends the
        process prevents a result.
        """
        if not source.strip():
            return CellResult([], ok=True, execution_count=None)
        count: int | None = None
        self._compiler.running = (source, number)
        outputs = CellOutputs(output_limit)
        try:
            count = int(self._shell.execution_count)
            ok = self._run(self._execute(source, outputs))
        except BaseException as error:  # noqa: BLE001 - whatever a student's code raises is a result
            ok = _add_escaped(outputs, error)
        self._wire.hang_up()
        return CellResult(outputs.finished(), ok, count)

    def _build(self) -> None:
        self._wire = _Wire()
        self._streams = OutStream.pair(self._wire.publish_text, lambda: self._wire.outputs.room)
        self._kernel = _Kernel()
        self._shell = _make_ipython(self._wire, self._kernel)
        self._compiler: _Compiler = self._shell.compile
        takes_metadata = "cell_meta" in inspect.signature(self._shell.run_cell_async).parameters
        self._cell_options: dict[str, Any] = {"cell_meta": {}} if takes_metadata else {}

    def _rehearse(self) -> None:
        """Run the `REHEARSAL` in a first shell and forget that shell."""
        self._loop = asyncio.new_event_loop()
        with contextlib.redirect_stdout(self._streams[0]), contextlib.redirect_stderr(self._streams[1]):
            for source in REHEARSAL:
                self.run_cell(source, output_limit=100_000)
        self._loop.close()
        self._loop = None
        _forget_ipython(self._shell)

    def _renew_loop(self) -> None:
        """Give this process an event loop of its own.

        An inherited one is kept, neither closed nor collected: its epoll descriptor is the parent's as well, and
        closing the loop would take the parent's wake-up socket out of it.
        """
        if self._loop is not None:
            self._inherited_loops.append(self._loop)
        self._loop = asyncio.new_event_loop()
        asyncio.set_event_loop(self._loop)
        async_helpers._asyncio_event_loop = None

    def _run(self, cell: Coroutine[Any, Any, bool]) -> bool:
        if self._loop is None or self._loop.is_closed():
            self._renew_loop()
        assert self._loop is not None  # it was renewed above
        task = self._loop.create_task(cell)
        try:
            return self._loop.run_until_complete(task)
        except BaseException:
            # Another task raised SystemExit or KeyboardInterrupt, which a loop lets through; the cell still waits.
            task.cancel()
            with contextlib.suppress(BaseException):
                self._loop.run_until_complete(task)
            raise

    async def _execute(self, source: str, outputs: CellOutputs) -> bool:
        """Run a cell as ``IPythonKernel.do_execute`` does, inside a running event loop."""
        if len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(IDLE_SECONDS)
        self._shell.set_parent(self._wire.call(outputs))
        with self._kernel.forward_input():
            result = await self._run_in_ipython(source)
        self._shell.payload_manager.clear_payload()
        self._flush()
        return self._judge(result, outputs)

    async def _run_in_ipython(self, source: str) -> Any:
        """Run a cell that awaits as a task of the loop, any other one at once; an ``ExecutionResult``."""
        shell = self._shell
        problem: ExceptionTuple | None = None
        try:
            transformed = shell.transform_cell(source)
        except Exception:  # noqa: BLE001 - IPython shows it when it runs the cell
            transformed, problem = source, sys.exc_info()
        if not shell.should_run_async(source, transformed_cell=transformed, preprocessing_exc_tuple=problem):
            return shell.run_cell(source, store_history=True, **self._cell_options)
        result = None
        try:
            result = await asyncio.ensure_future(
                shell.run_cell_async(
                    source,
                    store_history=True,
                    transformed_cell=transformed,
                    preprocessing_exc_tuple=problem,
                    **self._cell_options,
                )
            )
        finally:
            shell.events.trigger("post_execute")
            shell.events.trigger("post_run_cell", result)
        return result

    def _flush(self) -> None:
        for stream in (sys.stdout, sys.stderr, *self._streams):
            if stream is not None:
                stream.flush()

    def _judge(self, result: Any, outputs: CellOutputs) -> bool:
        """Whether the cell succeeded; adds an error that was not shown, as nbgrader's ``Execute`` does."""
        if result.success and not getattr(self._shell, "_last_traceback_during_displayhook", False):
            return True
        before = result.error_before_exec
        error = before if before is not None else result.error_in_exec
        if not outputs.has_error(type(error).__name__):
            lines = self._shell._last_traceback or [HIDDEN_TRACEBACK]
            outputs.add_error(type(error).__name__, str(error), lines)
        return False


class _Compiler(XCachingCompiler):  # type: ignore[misc]
    """Notes which file names of compiled code stand for which cells.

    Attributes:
        running: the source and the number of the cell that runs.
        numbers: of cells by file name; what a magic compiles has another one.
    """

    def __init__(self) -> None:
        super().__init__()
        self.running = ("", 0)
        self.numbers: dict[str, int] = {}

    def cache(self, transformed_code: str, number: int = 0, raw_code: str | None = None) -> str:
        """Name the code, as for every shell."""
        name: str = super().cache(transformed_code, number, raw_code)
        source, cell = self.running
        if raw_code == source:
            self.numbers[name] = cell
        return name


class _Wire:
    """Stands where a kernel has its ZeroMQ socket, and hands on the messages about the cell that runs."""

    def __init__(self) -> None:
        self.session = Session()
        self.outputs = CellOutputs(limit=0)
        self._request: str | None = None

    def call(self, outputs: CellOutputs) -> dict[str, Any]:
        """Begin a cell whose messages go to ``outputs``; returns the request that its messages answer."""
        request = self.session.msg("execute_request")
        self.outputs, self._request = outputs, request["msg_id"]
        return request

    def hang_up(self) -> None:
        """End the cell: what comes later is dropped, as by nbclient."""
        self._request = None

    def publish_text(self, name: str, text: str, parent: Header) -> None:
        """Send a stream's text; a lone surrogate, which no message can carry, becomes a question mark."""
        try:
            self.session.send(cast("Any", self), "stream", {"name": name, "text": text}, parent=parent)
        except UnicodeEncodeError:
            self.publish_text(name, text.encode("utf-8", "replace").decode(), parent)

    def send_multipart(self, frames: list[bytes], **_options: Any) -> None:
        """Take a message from ``Session.send``."""
        _, (_signature, header, parent, _metadata, content, *_buffers) = self.session.feed_identities(frames)
        if self._request is not None and self.session.unpack(parent).get("msg_id") == self._request:
            kind = self.session.unpack(header)["msg_type"]
            self.outputs.receive(kind, self.session.unpack(content), len(content))


class _Kernel:
    """What ipykernel's shell asks of its kernel: no toolkit's event loop runs, and nobody can be asked for input."""

    eventloop: Any = None
    _allow_stdin = False
    raw_input = Kernel.raw_input
    getpass = Kernel.getpass

    @contextlib.contextmanager
    def forward_input(self) -> Iterator[None]:
        """Let ``input`` and ``getpass`` raise ``StdinNotImplementedError`` while a cell runs."""
        before = builtins.input, getpass.getpass
        builtins.input, getpass.getpass = self.raw_input, self.getpass
        try:
            yield
        finally:
            builtins.input, getpass.getpass = before


def _make_ipython(wire: _Wire, kernel: _Kernel) -> Any:
    """Make ipykernel's shell, without a profile's directory and without a history database."""
    config = Config()
    config.HistoryManager.enabled = False
    config.HistoryManager.hist_file = ":memory:"
    shell = ZMQInteractiveShell.instance(
        config=config, kernel=kernel, compiler_class=_Compiler, ipython_dir="", profile_dir=ProfileDir()
    )
    _replace_debugger()
    vars(zmqshell)["system"] = _run_program
    shell.input_transformer_manager = Transformers()
    shell.enable_gui = functools.partial(enable_gui, kernel=kernel)
    shell.history_manager.outputs = _NoOutputHistory()
    shell.extension_manager.load_extension("storemagic")
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    for publisher in (shell.displayhook, shell.display_pub):
        publisher.session, publisher.pub_socket = wire.session, wire
    return shell


def _replace_debugger() -> None:
    """Let ``pdb`` be IPython's, as ``IPKernelApp.init_pdb`` does."""
    vars(debugger)["Pdb"] = vars(pdb)["Pdb"] = debugger.InterruptiblePdb
    vars(pdb)["set_trace"] = debugger.set_trace


def _run_program(command: str) -> int:
    """Run a shell command, ``!command`` in a cell; its output comes by a pipe where no terminal can be opened."""
    try:
        os.close(os.open("/dev/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC))
    except OSError:
        return _run_by_pipe(command)
    return int(process.system(command))


def _run_by_pipe(command: str) -> int:
    with subprocess.Popen(
        ["/bin/sh", "-c", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as program:
        assert program.stdout is not None  # it is the pipe
        for line in program.stdout:
            sys.stdout.write(line.decode("utf-8", "replace"))
            sys.stdout.flush()
    return program.returncode


def _forget_ipython(shell: Any) -> None:
    """Remove what a shell and its cells left in the process."""
    type(shell).clear_instance()
    atexit.unregister(shell.atexit_operations)
    linecache.clearcache()
    for name in ("last_type", "last_value", "last_traceback", "last_exc"):
        if hasattr(sys, name):
            delattr(sys, name)


class _NoOutputHistory(dict[int, list[Any]]):
    """Stands in for IPython's history of outputs, which would hold a copy of everything that is printed."""

    def __missing__(self, _execution_count: int) -> list[Any]:
        return []


def _pass_by(*_arguments: Any, **_keywords: Any) -> None:
    """Go past a ``breakpoint()``, as a kernel does to which no debugger is attached."""


def _search_working_directory() -> None:
    """Let cells import modules that lie beside the notebook, after the standard library, as ipykernel does."""
    if "" not in sys.path:
        places = (index for index, path in enumerate(sys.path) if path.endswith("-packages"))
        sys.path.insert(next(places, len(sys.path)), "")


def _add_escaped(outputs: CellOutputs, error: BaseException) -> bool:
    """Add an error that IPython did not show; never raises, even when the error's own methods do. Gives False."""
    try:
        outputs.add_error(type(error).__name__, str(error), traceback.format_exception(error))
    except BaseException:  # noqa: BLE001 - a student's __str__ may raise anything
        outputs.add_error("BaseException", "the message of this error cannot be shown", [])
    return False
