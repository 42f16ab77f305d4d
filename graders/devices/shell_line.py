"""What a line for the shell runs, and with which environment: as much of `sh` as launching a program takes.

The line is a student's. It is read here, on the trusted side, and never run; time and memory are bounded.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TypeAlias

Pieces: TypeAlias = "list[str]"
"""A word as it stands on the line, quotes and all, cut where quotes begin and end."""

MAX_TEXT = 4000
MAX_COMMANDS = 100

_TOKEN = re.compile(
    r"""(?P<blank>[ \t]+|(?<![^\s;&|()])\#[^\n]*)"""
    r"""|(?P<redirection>(?:(?<![^\s;&|()])[0-9]+)?(?:&>>?|>&|>>|>\||>|<)[ \t]*(?:[\w./&-]+|'[^']*'|"[^"$`\\]*"))"""
    r"""|(?P<operator>&&|\|\||[;&|()\n])"""
    r"""|(?P<piece>'[^']*'|"(?:[^"\\`]|\\.)*"|\\.|[^\s;&|()<>'"\\`]+)""",
    re.DOTALL,
)
_NAME = re.compile(r"([A-Za-z_]\w*)=")
_VARIABLE = re.compile(r"\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})|\$")
_SILENT = {"echo", "printf", "true", ":", "set"}
_TRANSPARENT = {"exec", "command", "nohup", "setsid", "time"}
_SHELLS = {"sh", "bash", "dash", "zsh"}


@dataclass(frozen=True)
class Group:
    """Commands in brackets; `apart` for round ones, whose variables are lost."""

    line: list[tuple[list[Group | list[Pieces]], str]]
    apart: bool


@dataclass
class Shell:
    """A shell that notes what it would run; every command is taken to succeed.

    Attributes:
        variables: all that are set; those in `exported` reach programs.
        runs: the programs that would run: their words, and the environment of each.
    """

    variables: dict[str, str] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    runs: list[tuple[list[str], dict[str, str]]] = field(default_factory=list)
    _left: Iterator[int] = field(default_factory=lambda: iter(range(MAX_COMMANDS)))

    def read(self, line: str) -> None:
        """Note what a line runs; raises `ValueError` for one with more in it than this shell knows."""
        tokens = _tokens(line.strip())
        self._follow(_parsed(tokens))
        if tokens:
            raise ValueError(f"{tokens[0]!r} has no counterpart")

    def _follow(self, line: list[tuple[list[Group | list[Pieces]], str]]) -> None:
        skipped = False
        for pipeline, end in line:
            for command in [] if skipped else pipeline:
                (self._inner() if len(pipeline) > 1 or end == "&" else self)._command(command)
            skipped = end == "||"

    def _inner(self) -> Shell:
        return Shell(dict(self.variables), set(self.exported), self.runs, self._left)

    def _command(self, command: Group | list[Pieces]) -> None:
        if next(self._left, None) is None:
            raise ValueError("more commands than a line has")
        if isinstance(command, Group):
            (self._inner() if command.apart else self)._follow(command.line)
            return
        given: dict[str, str] = {}
        while command and (named := _NAME.match(command[0][0])):
            given[named[1]] = self._text([command[0][0][named.end() :], *command[0][1:]], self.variables | given)
            command = command[1:]
        words = [text for word in command if (text := self._word(word)) is not None]
        if words:
            self._perform(words, given)
        else:
            self.variables |= given

    def _word(self, pieces: Pieces) -> str | None:
        """A word's text; None for one that vanishes since only an empty variable stands there."""
        text, bare = self._text(pieces, self.variables), pieces[0][:1] not in ("'", '"', "\\")
        if bare and "$" in pieces[0] and (not text or re.search(r"\s", text)):
            if text:
                raise ValueError("a variable of several words")
            return None
        return text

    def _text(self, pieces: Pieces, variables: dict[str, str]) -> str:
        text = "".join(_unquoted(piece, variables) for piece in pieces)
        if len(text) > MAX_TEXT:
            raise ValueError("more text than a line has")
        return text

    def _perform(self, words: list[str], given: dict[str, str]) -> None:
        name, rest = words[0], words[1:]
        exported = {name: self.variables[name] for name in self.exported if name in self.variables}
        if name in ("export", "declare", "typeset"):
            self._declare(rest, given, export=name == "export")
        elif name == "unset":
            self.variables = {name: value for name, value in self.variables.items() if name not in rest}
        elif name == "eval":
            self.variables |= given
            self.read(" ".join(rest))
        elif name not in _SILENT:
            self._start(words, exported | given)

    def _declare(self, words: list[str], given: dict[str, str], *, export: bool) -> None:
        if words[:1] == ["-x"] and not export:
            words, export = words[1:], True
        if any(word.startswith("-") for word in words):
            raise ValueError(f"{words} has an option that is not known")
        self.variables |= given | dict(word.split("=", 1) for word in words if "=" in word)
        if export:
            self.exported |= {word.split("=")[0] for word in words}

    def _start(self, words: list[str], environment: dict[str, str]) -> None:
        """Note a program, or what a program is asked to start."""
        name, rest = PurePosixPath(words[0]).name, words[1:]
        if name == "env":
            self._start_with_env(rest, environment)
        elif name in _TRANSPARENT and rest:
            self._start(rest[1:] if rest[0] == "--" else rest, environment)
        elif name == "nice" and rest:
            options = 2 if rest[0] == "-n" else 1 if rest[0].startswith("-") else 0
            self._start(rest[options:] or ["nice"], environment)
        elif name in _SHELLS and len(rest) > 1 and re.fullmatch("-[a-z]*c", rest[0]):
            Shell(dict(environment), set(environment), self.runs, self._left).read(rest[1])
        else:
            self.runs.append((words, environment))

    def _start_with_env(self, words: list[str], environment: dict[str, str]) -> None:
        while words and words[0].startswith("-"):
            option, words = words[0], words[1:]
            if option in ("-i", "-", "--ignore-environment"):
                environment = {}
            elif option == "-u" and words:
                environment = {name: value for name, value in environment.items() if name != words[0]}
                words = words[1:]
            elif option != "--":
                raise ValueError(f"env has an option {option} that is not known")
        while words and "=" in words[0]:
            environment = environment | dict([words[0].split("=", 1)])
            words = words[1:]
        if words:
            self._start(words, environment)


def _tokens(line: str) -> list[Pieces | str]:
    """The words of a line as lists, its operators as texts; redirections are left out."""
    if len(line) > MAX_TEXT:
        raise ValueError("more text than a line has")
    line = line.replace("\\\n", "")
    tokens: list[Pieces | str] = []
    place, joins = 0, False
    while place < len(line):
        found = _TOKEN.match(line, place)
        if found is None:
            raise ValueError(f"{line[place:]!r} is more than this shell knows")
        if found["piece"] and joins and isinstance(tokens[-1], list):
            tokens[-1].append(found["piece"])
        elif found["piece"]:
            tokens.append([found["piece"]])
        elif found["operator"]:
            tokens.append(";" if found["operator"] == "\n" else found["operator"])
        place, joins = found.end(), found["piece"] is not None
    return tokens


def _parsed(tokens: list[Pieces | str]) -> list[tuple[list[Group | list[Pieces]], str]]:
    """The pipelines up to a closing bracket, each with the operator behind it; they are taken from `tokens`."""
    line: list[tuple[list[Group | list[Pieces]], str]] = []
    pipeline: list[Group | list[Pieces]] = []
    while tokens and tokens[0] != ")" and tokens[0] != ["}"]:
        if tokens[0] == "(" or tokens[0] == ["{"]:
            pipeline.append(_group(tokens))
        elif isinstance(tokens[0], list):
            pipeline.append(_words(tokens))
        end = tokens.pop(0) if tokens and isinstance(tokens[0], str) and tokens[0] != ")" else ";"
        if end == "(":
            raise ValueError("a bracket behind a word")
        if end != "|":
            line.append((pipeline, str(end)))
            pipeline = []
    return [*line, (pipeline, ";")]


def _group(tokens: list[Pieces | str]) -> Group:
    opening = tokens.pop(0)
    group = Group(_parsed(tokens), apart=opening == "(")
    if not tokens or tokens.pop(0) != (")" if group.apart else ["}"]):
        raise ValueError("a bracket is not closed")
    return group


def _words(tokens: list[Pieces | str]) -> list[Pieces]:
    words: list[Pieces] = []
    while tokens and isinstance(word := tokens[0], list):
        tokens.pop(0)
        if words or word not in (["time"], ["!"]):
            words.append(word)
    return words


def _unquoted(piece: str, variables: dict[str, str]) -> str:
    """What a piece stands for; raises `ValueError` for substitutions other than of variables."""
    if piece[:1] == "'":
        return piece[1:-1]
    if piece[:1] == "\\":
        return piece[1:]

    def value(found: re.Match[str]) -> str:
        if found.lastindex is None:
            raise ValueError("a substitution that this shell does not know")
        return variables.get(found[found.lastindex], "")

    if piece[:1] != '"':
        return _VARIABLE.sub(value, piece)
    return re.sub(
        r'\\([$"\\\n])|\$\w+|\$\{\w+\}|\$', lambda found: found[1] or _VARIABLE.sub(value, found[0]), piece[1:-1]
    )
