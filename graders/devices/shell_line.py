"""What a line for the shell runs, and with which environment: as much of `sh` as launching a program takes.

The line is a student's. It is read here, on the trusted side, and never run.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field

_SEPARATORS = {";", "&&", "&"}
_WRAPPERS = {"env", "exec", "command", "nohup", "time", "nice"}
_SHELLS = {"sh", "bash", "/bin/sh", "/bin/bash"}
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)


@dataclass
class Shell:
    """A shell that notes what it would run.

    Attributes:
        variables: all that are set; those in `exported` reach programs.
        runs: the programs that would run: their words, and the environment of each.
    """

    variables: dict[str, str] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    runs: list[tuple[list[str], dict[str, str]]] = field(default_factory=list)

    def read(self, line: str) -> None:
        """Note what a line runs; raises `ValueError` for one with more in it than this shell knows."""
        command: list[str] = []
        for word in [*_words(line), ";"]:
            if word in _SEPARATORS:
                self._command(command)
                command = []
            else:
                command.append(word)

    def _command(self, words: list[str]) -> None:
        given, words = _assignments(words)
        if words[:1] == ["export"]:
            named, names = _assignments(words[1:])
            self.variables |= given | named
            self.exported |= {*named, *names}
        elif words:
            exported = {name: self.variables[name] for name in self.exported if name in self.variables}
            self._run(words, exported | given)
        else:
            self.variables |= given

    def _run(self, words: list[str], environment: dict[str, str]) -> None:
        if words[0] in _WRAPPERS:
            given, rest = _assignments(words[1:])
            if rest:
                self._run(rest, environment | given)
        elif words[0] in _SHELLS and words[1:2] == ["-c"]:
            inner = Shell(dict(environment), set(environment))
            inner.read("".join(words[2:3]))
            self.runs += inner.runs
        else:
            self.runs.append((words, environment))


def _words(line: str) -> list[str]:
    lexer = shlex.shlex(line.strip().replace("\\\n", " ").replace("\n", ";"), posix=True, punctuation_chars=";&|<>()")
    lexer.whitespace_split = True
    words = list(lexer)
    for word in words:
        if set(word) & set("|<>()`$"):
            raise ValueError(f"{word!r} is more than this shell knows")
    return words


def _assignments(words: list[str]) -> tuple[dict[str, str], list[str]]:
    """The assignments in front of a command, and the words behind them."""
    given: dict[str, str] = {}
    for place, word in enumerate(words):
        found = _ASSIGNMENT.fullmatch(word)
        if found is None:
            return given, words[place:]
        given[found[1]] = found[2]
    return given, []
