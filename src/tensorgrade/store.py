"""A store of results on disk: what was computed once for the same inputs is not computed again.

Trusted side. Values are JSON under keys that name everything they depend on (`tensorgrade.keys`). Promised is that a
value comes back as it was put or not at all, whatever happens to the disk: files are written aside and moved into
place, carry a checksum, and a damaged one counts as missing. Several processes may use a store at the same time. It
is bounded in size; what was not used for the longest time goes first.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import logging
import os
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LIMIT = 1 << 30
"""Bytes of a store, unless it is told otherwise."""

_SWEEP_EVERY = 200
_DIGEST = hashlib.sha256().digest_size
_log = logging.getLogger(__name__)


class Store:
    """A folder of results.

    Args:
        folder: is made with the first value.
        limit: bytes of all values together.
    """

    def __init__(self, folder: Path, limit: int = LIMIT) -> None:
        self._folder = folder
        self._limit = limit
        self._puts = 0
        self._complained = False

    def get(self, key: str) -> Any:
        """Return the value of `key`, or None."""
        file = self._file(key)
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError:  # a disk that fails, or something else in the file's place
            content = b""
        digest, packed = content[:_DIGEST], content[_DIGEST:]
        if hashlib.sha256(key.encode() + packed).digest() != digest:
            _log.warning("A stored result was damaged and is computed again: %s", file)
            _remove(file)
            return None
        with contextlib.suppress(OSError):
            os.utime(file)
        return json.loads(zlib.decompress(packed))

    def put(self, key: str, value: Any) -> None:
        """Keep `value`, plain data; a disk that is full is told once and does no harm."""
        packed = zlib.compress(json.dumps(value).encode(), 1)
        content = hashlib.sha256(key.encode() + packed).digest() + packed
        try:
            self._write(self._file(key), content)
            self._puts += 1
            if self._puts % _SWEEP_EVERY == 1:
                self._sweep()
        except OSError as error:
            if not self._complained:
                self._complained = True
                _log.warning("Results cannot be stored in %s (%s); grading goes on without", self._folder, error)

    @contextlib.contextmanager
    def computing(self, key: str) -> Iterator[None]:
        """Let one process at a time compute the value of `key`; the others then find it."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:  # a disk that is full; then the same is computed twice
            yield
            return
        place = int(key[:15], 16)  # of the byte that stands for the key: a file's bytes can be locked one by one
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.lockf(descriptor, fcntl.LOCK_EX, 1, place)
            yield
        finally:
            os.close(descriptor)

    def clear(self) -> int:
        """Remove all values; returns how many bytes they took."""
        size = self.size()
        shutil.rmtree(self._folder, ignore_errors=True)
        return size

    def size(self) -> int:
        """The bytes of all values."""
        return sum(size for _, size, _ in self._values())

    def __len__(self) -> int:
        return sum(1 for _ in self._values())

    def _file(self, key: str) -> Path:
        return self._folder / key[:2] / key

    def _write(self, file: Path, content: bytes) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor, temporary = tempfile.mkstemp(dir=file.parent, prefix=".")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            Path(temporary).replace(file)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def _sweep(self) -> None:
        """Remove the values that were not used for the longest time until the rest fits."""
        values = sorted(self._values())
        total = sum(size for _, size, _ in values)
        for _, size, file in values:
            if total <= self._limit:
                return
            with contextlib.suppress(OSError):
                file.unlink()
            total -= size

    def _values(self) -> Iterator[tuple[float, int, Path]]:
        for folder, _, names in os.walk(self._folder):
            for name in names if Path(folder) != self._folder else ():  # where the locks are
                file = Path(folder, name)
                with contextlib.suppress(OSError):  # another process may have removed it, or its folder
                    facts = file.stat()
                    yield facts.st_mtime, facts.st_size, file


def _remove(place: Path) -> None:
    """Remove a file, or a folder that is where a file should be."""
    with contextlib.suppress(OSError):
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        else:
            place.unlink()
