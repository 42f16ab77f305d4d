"""What a cell's outputs become: a kernel's messages turned into the outputs of a notebook, within a limit.

This is the untrusted side: it runs in the submission process, beside the student's code. `CellOutputs` does what
nbclient does with the messages of a kernel, `OutStream` is what ipykernel puts in the place of ``sys.stdout`` and
``sys.stderr``. Promised are outputs that are valid in nbformat 4 and plain JSON, and that what is held for a cell
stays near its limit, whatever the cell prints. Nothing is promised about who made an output: a student's code can
forge any of them.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

CUT_ERROR_CHARACTERS = 1_000
"""How much of an error's message is kept when a cell fails after its output was cut."""

FLUSH_SECONDS = 0.2
"""The age at which ipykernel publishes what a stream has buffered (`OutStream.flush_interval` there)."""

Header = dict[str, Any]
Publish = Callable[[str, str, Header], None]
"""Publishes a stream's text: its name, the text, and the header of the request that it answers."""


@dataclass
class _Held:
    """An output while its cell runs: a stream's text grows in a buffer of its own."""

    output: dict[str, Any]
    size: int
    text: io.StringIO | None = None

    def finished(self) -> dict[str, Any]:
        return self.output if self.text is None else {**self.output, "text": self.text.getvalue()}

    def takes(self, stream: str) -> bool:
        return self.text is not None and self.output["name"] == stream


@dataclass
class CellOutputs:
    """The outputs of one cell, at most ``limit`` bytes of them as UTF-8 encoded JSON contents.

    What is beyond the limit is dropped and a notice on stdout says so, once. One error is still kept after the cut,
    without its traceback, so that a student sees why the cell ended.
    """

    limit: int
    _held: list[_Held] = field(default_factory=list)
    _displayed: dict[str, list[_Held]] = field(default_factory=dict)
    _used: int = 0
    _cut: bool = False
    _clear_next: bool = False

    @property
    def room(self) -> int:
        """The bytes that still fit; -1 when the output was cut, so that not even the next byte tells news."""
        if self._clear_next:
            return self.limit
        return -1 if self._cut else self.limit - self._used

    def finished(self) -> list[dict[str, Any]]:
        """The outputs as they are written to the notebook."""
        return [held.finished() for held in self._held]

    def receive(self, kind: str, content: dict[str, Any], size: int) -> None:
        """Take one message of the kernel, as nbclient's ``process_message`` does.

        Args:
            kind: the message's type.
            content: its content, as decoded from JSON.
            size: the bytes of that JSON.
        """
        display_id = _display_id(content)
        if display_id is not None and kind in ("display_data", "update_display_data", "execute_result"):
            self._update(display_id, content, size)
        if kind == "clear_output":
            self._clear(wait=bool(content.get("wait")))
        elif kind in ("stream", "display_data", "execute_result", "error"):
            self._append(kind, content, size, display_id)

    def add_error(self, ename: str, evalue: str, traceback: Iterable[str]) -> None:
        """Append an error that no message told of; lone surrogates in it become question marks."""
        texts = [text.encode("utf-8", "replace") for text in (ename, evalue, *traceback)]
        name, message, *lines = [text.decode() for text in texts]
        self._append("error", _error(name, message, lines), sum(map(len, texts)), None)

    def has_error(self, ename: str) -> bool:
        """Whether an error of this name was shown."""
        return any(held.output.get("ename") == ename for held in self._held)

    def _append(self, kind: str, content: dict[str, Any], size: int, display_id: str | None) -> None:
        if self._clear_next:
            self._clear(wait=False)
        if kind == "stream":
            self._append_text(str(content["name"]), str(content["text"]))
        elif self._fits(size):
            held = _Held(_output(kind, content), size)
            self._hold(held)
            if display_id is not None:
                self._displayed.setdefault(display_id, []).append(held)
        elif kind == "error" and not any(held.output["output_type"] == "error" for held in self._held):
            self._hold(_Held(_short_error(content), 0))

    def _append_text(self, name: str, text: str) -> None:
        # A character is at least one byte: nothing much larger than the room is ever encoded.
        encoded = text[: self.room + 1].encode("utf-8", "replace")
        if len(encoded) > self.room:
            self._add_text(name, encoded[: max(self.room, 0)].decode("utf-8", "ignore"))
            self._cut_here()
        else:
            self._add_text(name, text, len(encoded))

    def _add_text(self, name: str, text: str, size: int = 0) -> None:
        if not text:
            return
        if not (self._held and self._held[-1].takes(name)):
            self._hold(_Held({"output_type": "stream", "name": name}, 0, io.StringIO()))
        last = self._held[-1]
        assert last.text is not None  # `takes` said so, or it was made above
        last.text.write(text)
        last.size += size
        self._used += size

    def _hold(self, held: _Held) -> None:
        self._held.append(held)
        self._used += held.size

    def _fits(self, size: int) -> bool:
        if size <= self.room:
            return True
        self._cut_here()
        return False

    def _cut_here(self) -> None:
        if not self._cut:
            self._cut = True
            self._add_text("stdout", f"\n[The output of this cell was cut at the limit of {self.limit} bytes.]\n")

    def _update(self, display_id: str, content: dict[str, Any], size: int) -> None:
        for held in self._displayed.get(display_id, ()):
            if self._fits(size - held.size):
                held.output.update(_bundle(content))
                self._used += size - held.size
                held.size = size

    def _clear(self, *, wait: bool) -> None:
        self._clear_next = wait
        if not wait:
            self._held.clear()
            self._displayed.clear()
            self._used, self._cut = 0, False


def _output(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    """The output that a message becomes, valid in nbformat even where the message was not."""
    if kind == "error":
        traceback = content["traceback"]
        lines = traceback if isinstance(traceback, list) else [traceback]
        return _error(str(content["ename"]), str(content["evalue"]), [str(line) for line in lines])
    output = {"output_type": kind, **_bundle(content)}
    if kind == "execute_result":
        count = content["execution_count"]
        output["execution_count"] = count if isinstance(count, int) else None
    return output


def _error(ename: str, evalue: str, traceback: list[str]) -> dict[str, Any]:
    return {"output_type": "error", "ename": ename, "evalue": evalue, "traceback": traceback}


def _short_error(content: dict[str, Any]) -> dict[str, Any]:
    cut = CUT_ERROR_CHARACTERS
    return _error(str(content["ename"])[:cut], str(content["evalue"])[:cut], [])


def _bundle(content: dict[str, Any]) -> dict[str, Any]:
    metadata = content.get("metadata")
    data = {mime: _mime_value(mime, value) for mime, value in content["data"].items()}
    return {"data": data, "metadata": metadata if isinstance(metadata, dict) else {}}


def _mime_value(mime: str, value: Any) -> Any:
    """The value as it is when nbformat allows it for this type, as text when not."""
    is_lines = isinstance(value, list) and all(isinstance(line, str) for line in value)
    is_json = mime == "application/json" or (mime.startswith("application/") and mime.endswith("+json"))
    return value if is_json or is_lines or isinstance(value, str) else str(value)


def _display_id(content: dict[str, Any]) -> str | None:
    transient = content.get("transient")
    display_id = transient.get("display_id") if isinstance(transient, dict) else None
    return str(display_id) if display_id else None


class OutStream(io.TextIOBase):
    """``sys.stdout`` or ``sys.stderr`` of a notebook, as ipykernel's class of this name.

    Text is buffered and published when it is flushed, before a display, at the end of the cell, or when it is
    `FLUSH_SECONDS` old. There is no thread to do the last: the next write to either stream notices. A process
    forked by the student's code writes to the file descriptor instead, since nobody would see its buffer.
    """

    encoding = "UTF-8"

    def __init__(self, name: str, descriptor: int, publish: Publish, room: Callable[[], int]) -> None:
        self.name = name
        self._descriptor = descriptor
        self._publish = publish
        self._room = room
        self._siblings: tuple[OutStream, ...] = (self,)
        self._parent: ContextVar[Header] = ContextVar("parent")
        self._latest_parent: Header = {}
        self._is_closed = False
        self._pending = io.StringIO()
        self._pending_parent: Header = {}
        self._pending_since: float | None = None
        self.after_fork()

    @staticmethod
    def pair(publish: Publish, room: Callable[[], int]) -> tuple[OutStream, OutStream]:
        """Standard output and standard error, which keep their common order; ``room`` bounds what they buffer."""
        pair = OutStream("stdout", 1, publish, room), OutStream("stderr", 2, publish, room)
        for stream in pair:
            stream._siblings = pair
        return pair

    def after_fork(self) -> None:
        """Make this process the one whose text belongs to the notebook."""
        self._owner = os.getpid()
        self._lock = threading.RLock()

    @property
    def closed(self) -> bool:
        """Whether writing is an error."""
        return self._is_closed

    def close(self) -> None:
        """Refuse what is written from now on; what was written is kept."""
        self._is_closed = True

    def fileno(self) -> int:
        """The descriptor below, for the programs that a cell starts."""
        return self._descriptor

    def isatty(self) -> bool:
        """Never: a notebook is no terminal."""
        return False

    def writable(self) -> bool:
        """Always."""
        return True

    def set_parent(self, parent: dict[str, Any]) -> None:
        """Attribute what follows to a request; text from elsewhere (a thread) belongs to the latest one."""
        self._latest_parent = parent["header"]
        self._parent.set(self._latest_parent)

    def write(self, string: str) -> int:
        """Buffer the text.

        Raises:
            TypeError: it is not a string.
            ValueError: the stream was closed.
        """
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string)}")
        if self._is_closed:
            raise ValueError("I/O operation on closed file")
        if os.getpid() == self._owner:
            self._buffer(string)
        else:
            self._write_through(string.encode("utf-8", "replace"))
        return len(string)

    def flush(self) -> None:
        """Publish what is buffered."""
        if os.getpid() == self._owner:
            self._publish_overdue()
            self._publish_pending()

    def _buffer(self, string: str) -> None:
        room = self._room()
        if room < 0:
            return
        self._publish_overdue()
        parent = self._parent.get(self._latest_parent)
        with self._lock:
            if parent is not self._pending_parent:
                self._publish_pending()
                self._pending_parent = parent
            if self._pending.write(string[: room + 1]) and self._pending_since is None:
                self._pending_since = time.monotonic()
            if self._pending.tell() > room:
                self._publish_pending()

    def _publish_overdue(self) -> None:
        newest = time.monotonic() - FLUSH_SECONDS
        overdue = [(stream._pending_since, stream) for stream in self._siblings if stream._pending_since]
        for since, stream in sorted(overdue, key=lambda pair: pair[0]):
            if since <= newest:
                stream._publish_pending()

    def _publish_pending(self) -> None:
        with self._lock:
            text, self._pending = self._pending.getvalue(), io.StringIO()
            self._pending_since = None
            if text:
                self._publish(self.name, text, self._pending_parent)

    def _write_through(self, data: bytes) -> None:
        while data:
            data = data[os.write(self._descriptor, data) :]
