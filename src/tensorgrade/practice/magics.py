"""The line magics of ``%load_ext tensorgrade``.

Student's side: they run in the kernel, on the names that the notebook has defined so far.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from IPython.core.error import UsageError
from IPython.core.interactiveshell import InteractiveShell
from IPython.core.magic import Magics, line_magic, magics_class

from ..errors import HandoutError
from . import examples, handout
from .handout import Handout, Task
from .report import Progress, Report, say


@magics_class
class Practice(Magics):  # type: ignore[misc]
    """``%exercises``, ``%check``, ``%hint`` and ``%progress``."""

    def __init__(self, shell: InteractiveShell) -> None:
        super().__init__(shell)
        self._handout: Handout | None = None
        self._hints_given: dict[str, int] = {}

    @line_magic  # type: ignore[untyped-decorator]
    def exercises(self, line: str) -> str:
        """``%exercises [NOTEBOOK]``: list the exercises; with a notebook, take those of that file from now on."""
        with _told():
            if line.strip():
                self._handout = handout.read(Path(line.strip()))
            names = self._present().tasks.values()
        return _Text("\n".join(f"{task.name}: {task.title}" for task in names))

    @line_magic  # type: ignore[untyped-decorator]
    def check(self, line: str) -> Report | Progress:
        """``%check EXERCISE``: run its visible examples and say what is wrong; without a name, those of all."""
        name = line.strip()
        with _told():
            return self._report(self._present().task(name)) if name else self._progress()

    @line_magic  # type: ignore[untyped-decorator]
    def hint(self, line: str) -> str:
        """``%hint EXERCISE``: give a hint, one more each time."""
        with _told():
            task = self._present().task(line.strip())
        given = min(self._hints_given.get(task.name, 0) + 1, len(task.hints))
        self._hints_given[task.name] = given
        language = self._present().language
        if not task.hints:
            return _Text(say(language, "no-hint"))
        text = say(language, "hint-number", number=given, count=len(task.hints), hint=task.hints[given - 1])
        return _Text(f"{text}\n{say(language, 'last')}" if given == len(task.hints) else text)

    @line_magic  # type: ignore[untyped-decorator]
    def progress(self, line: str) -> Progress:
        """``%progress``: which exercises pass their examples, without what they print."""
        with _told(), contextlib.redirect_stdout(io.StringIO()):
            return self._progress()

    def _present(self) -> Handout:
        if self._handout is None:
            self._handout = handout.find(self.shell.user_ns, Path.cwd())
        return self._handout

    def _report(self, task: Task) -> Report:
        return Report(task, self._present().language, tuple(examples.run(task.examples, self.shell.user_ns)))

    def _progress(self) -> Progress:
        return Progress(self._present().language, tuple(map(self._report, self._present().tasks.values())))


class _Text(str):
    """A text that a notebook shows as it is, without quotes."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """Tell what is wrong with a notebook's file in one line, as IPython does for its own magics."""
    try:
        yield
    except HandoutError as error:
        raise UsageError(str(error)) from error


def load(shell: Any) -> None:
    """Add the magics to a shell."""
    shell.register_magics(Practice)
