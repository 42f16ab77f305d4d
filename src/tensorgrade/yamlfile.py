"""Read a YAML file so that every mistake in it can be reported with its line, its key and a remedy.

Trusted side; knows nothing about exercises. `read` turns a file into a `Document`, plain values plus the line of each
key, or raises an `ExerciseFileError`; `validation.validate` makes a model of the document. Anchors and aliases are
refused: every value stands on a line of its own.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from yaml.composer import Composer
from yaml.constructor import SafeConstructor
from yaml.resolver import Resolver

from tensorgrade.errors import ExerciseFileError

Key = tuple[str | int, ...]
"""The way to a value: ``("hints", 0, "en")`` is written ``hints[0].en``."""

_PARSER_IN_C: tuple[Any, ...] = (yaml.cyaml.CParser,) if yaml.__with_libyaml__ else ()  # type: ignore[attr-defined]
_PLAIN_TAGS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_LONGEST_QUOTE = 40


@dataclass(frozen=True)
class Problem:
    """One mistake of an author: where it is, what was found, and what to write instead."""

    file: Path
    line: int
    fault: str
    remedy: str
    key: str = ""

    def __str__(self) -> str:
        """Return one line, such as ``eye.yaml:12: points: found "two", expected a number; write `points: 1`.``."""
        subject = f"{self.key}: " if self.key else ""
        return " ".join(f"{self.file}:{self.line}: {subject}{self.fault}; {self.remedy}.".splitlines())


@dataclass(frozen=True)
class Document:
    """A YAML mapping with the positions of its keys; treat ``content`` as read-only."""

    file: Path
    content: Mapping[str, object]
    lines: Mapping[Key, int]
    """The line of each key and list item, counted from 1."""
    blocks: Mapping[Key, int]
    """The line on which the text of each literal block (``|``) begins."""
    problems: tuple[Problem, ...] = ()
    """What is wrong with the YAML itself, such as a key that is given twice."""

    def line(self, key: Key, text_line: int | None = None) -> int:
        """Return the line of ``key`` or of what holds it; with ``text_line``, that line of its literal block."""
        if text_line is not None and key in self.blocks:
            return self.blocks[key] + text_line - 1
        while key and key not in self.lines:
            key = key[:-1]
        return self.lines.get(key, 1)

    def problem(self, key: Key, fault: str, remedy: str, text_line: int | None = None) -> Problem:
        """Return a problem at ``key``."""
        return Problem(self.file, self.line(key, text_line), fault, remedy, _written(key))


def refusal(problems: Iterable[Problem]) -> ExerciseFileError:
    """Return the error that reports all ``problems``, by line."""
    return ExerciseFileError("\n".join(str(problem) for problem in sorted(problems, key=lambda p: p.line)))


def closest(name: str, known: Iterable[str]) -> str:
    """Return the remedy for a name that is not ``known``: the one that was probably meant, or all there are."""
    names = list(known)
    close = difflib.get_close_matches(name.lower(), names, n=1)
    return f"write `{close[0]}` instead" if close else f"write one of: {', '.join(names)}"


# ---------------------------------------------------------------------------------------------- reading


def read(file: Path) -> Document:
    """Return the mapping in a UTF-8 YAML file, with the lines of its keys.

    Raises:
        ExerciseFileError: the file cannot be read or is not a YAML mapping. Duplicate keys and the like do not
            raise here: they are the document's ``problems``, for `validation.validate` to report with all others.
    """
    try:
        return _parse(file, file.read_bytes())
    except FileNotFoundError:
        problem = Problem(file, 1, "there is no such file", "write it, or mend the name where it is listed")
    except OSError as error:
        problem = Problem(file, 1, f"cannot be read ({error.strerror})", "make it a readable file")
    raise refusal([problem]) from None


@lru_cache(maxsize=2048)  # checks across a course meet every file again and again; the key is the whole content
def _parse(file: Path, encoded: bytes) -> Document:
    text = _decode(file, encoded)
    if (document := _parsed_in_c(file, text)) is not None:
        return document
    try:
        return _Reader(file).document(_Loader(text))
    except yaml.YAMLError as error:
        problem = _malformed(file, text, error)
    except RecursionError:
        problem = Problem(file, 1, "the brackets are nested too deeply", "write keys and values on lines")
    raise refusal([problem]) from None


def _decode(file: Path, encoded: bytes) -> str:
    try:
        return encoded.decode("utf-8")
    except UnicodeDecodeError as error:
        line = encoded.count(b"\n", 0, error.start) + 1
        fault = f"found the byte 0x{encoded[error.start]:02x}, which is not UTF-8"
        raise refusal([Problem(file, line, fault, "save the file with the encoding UTF-8")]) from None


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader without aliases."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.MarkedYAMLError(problem="found an alias", problem_mark=self.get_mark())
        return super().compose_node(parent, index)


def _parsed_in_c(file: Path, text: str) -> Document | None:
    """What libyaml makes of a file in which nothing is wrong, in a fifth of the time; None for another file.

    What is wrong is for PyYAML to tell, which may be without libyaml.
    """
    if not yaml.__with_libyaml__:
        return None
    try:
        document = _Reader(file).document(_LoaderInC(text))
    except (yaml.YAMLError, ExerciseFileError, RecursionError):
        return None
    return None if document.problems else document


class _LoaderInC(Composer, *_PARSER_IN_C, SafeConstructor, Resolver):  # type: ignore[misc]
    """The same with libyaml's parser."""

    def __init__(self, text: str) -> None:
        _PARSER_IN_C[0].__init__(self, text)
        for base in (Composer, SafeConstructor, Resolver):
            base.__init__(self)

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError
        return super().compose_node(parent, index)


_AnyLoader = _Loader | _LoaderInC


class _Reader:
    """Builds plain values from YAML nodes and notes where each of them stands."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._lines: dict[Key, int] = {}
        self._blocks: dict[Key, int] = {}
        self._problems: list[Problem] = []

    def document(self, loader: _AnyLoader) -> Document:
        node = loader.get_single_node()
        if isinstance(node, yaml.MappingNode):
            content = self._mapping(loader, node, ())
            return Document(self._file, content, self._lines, self._blocks, tuple(self._problems))
        found = "an empty file" if node is None else "a list" if isinstance(node, yaml.SequenceNode) else "plain text"
        remedy = "begin the file with `schema: 1` and write the other keys below it"
        raise refusal([Problem(self._file, 1, f"found {found}, expected keys with values", remedy)])

    def _value(self, loader: _AnyLoader, node: yaml.Node, key: Key) -> object:
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(loader, node, key)
        if node.tag not in _PLAIN_TAGS:
            self._note(key, node, f"found the tag {node.tag}", "remove the tag")
        if isinstance(node, yaml.MappingNode):
            return self._mapping(loader, node, key)
        return [self._item(loader, item, (*key, index)) for index, item in enumerate(node.value)]

    def _item(self, loader: _AnyLoader, node: yaml.Node, key: Key) -> object:
        self._lines[key] = _line(node.start_mark)
        return self._value(loader, node, key)

    def _mapping(self, loader: _AnyLoader, node: yaml.MappingNode, key: Key) -> dict[str, object]:
        content: dict[str, object] = {}
        for name_node, value_node in node.value:
            name = self._name(name_node, key)
            if name is None or self._is_duplicate(name, name_node, key):
                continue
            self._lines[*key, name] = _line(name_node.start_mark)
            content[name] = self._value(loader, value_node, (*key, name))
        return content

    def _name(self, node: yaml.Node, key: Key) -> str | None:
        if isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:str":
            return str(node.value)
        written = str(node.value) if isinstance(node, yaml.ScalarNode) else "in brackets"
        remedy = f'put it in quotes: `"{written}":`' if isinstance(node, yaml.ScalarNode) else "write a name"
        self._note(key, node, f"found the key {written}, which is not text", remedy)
        return None

    def _is_duplicate(self, name: str, node: yaml.Node, key: Key) -> bool:
        first = self._lines.get((*key, name))
        if first is not None:
            self._note((*key, name), node, f"found twice, first on line {first}", "keep one of the two")
        return first is not None

    def _scalar(self, loader: _AnyLoader, node: yaml.ScalarNode, key: Key) -> object:
        if node.style == "|":
            self._blocks[key] = _line(node.start_mark) + 1
        try:
            value: object = loader.construct_object(node)
            str(value)  # raises for a number too long to be quoted in a message
        except (yaml.YAMLError, ValueError):  # an unknown tag; a date or number that cannot be
            self._note(key, node, f"found {as_found(node.value)}, which YAML cannot read", "put it in quotes")
            return str(node.value)
        return value

    def _note(self, key: Key, node: yaml.Node, fault: str, remedy: str) -> None:
        self._problems.append(Problem(self._file, _line(node.start_mark), fault, remedy, _written(key)))


_YAML_REMEDIES = {
    r"character '\t'": "indent with spaces, not with tabs",
    "mapping values are not allowed": (
        "indent the keys of one mapping equally, put text that holds `: ` in quotes, and code below `|`"
    ),
    "<block end>": "indent the keys of one mapping equally, and the lines of one text too",
    "could not find expected ':'": "write `key: value`, or indent the line below the key it belongs to",
    "end of stream": "close the quotes",
    "expected ',' or": "close the bracket and put commas between its items",
    "alias": "write the value itself; a text that begins with `*` belongs in quotes",
    "cannot start any token": "put the text in quotes",
    "another document": "remove the line `---`: one file holds one mapping",
    "escape character": "use single quotes, in which a backslash is plain",
    "not allowed in YAML": "remove the character",
}


def _malformed(file: Path, text: str, error: yaml.YAMLError) -> Problem:
    """Return a YAML syntax error with the line PyYAML stopped at and the remedy that helps most often."""
    fault, line = "a character is not allowed in YAML", 1
    if isinstance(error, yaml.MarkedYAMLError):
        mark = error.problem_mark or error.context_mark
        context = f"{error.context}, " if error.context else ""
        fault, line = f"{context}{error.problem}", 1 if mark is None else _line(mark)
    elif isinstance(error, yaml.reader.ReaderError):
        fault = f"the character U+{ord(text[error.position]):04X} is not allowed in YAML"
        line = text.count("\n", 0, error.position) + 1
    remedy = next((remedy for part, remedy in _YAML_REMEDIES.items() if part in fault), "mend the YAML here")
    return Problem(file, min(line, max(1, len(text.splitlines()))), f"not YAML: {fault}", remedy)


def _line(mark: yaml.Mark) -> int:
    return mark.line + 1


# --------------------------------------------------------------------------------------------- wording


def _written(key: Key) -> str:
    """Return a key path as an author reads it: ``hints[0].en``."""
    parts = [f"[{part}]" if isinstance(part, int) else f".{part}" for part in key]
    return "".join(parts).removeprefix(".")


def as_found(value: object) -> str:
    """Return a value much as it stands in the file, short and on one line."""
    if value is None:
        return "nothing"
    if isinstance(value, Mapping):
        return "keys with values" if value else "no keys"
    if isinstance(value, list | tuple):
        return "a list" if value else "an empty list"
    if isinstance(value, str):
        return _quoted(value)
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf"
    return str(value).lower() if isinstance(value, bool) else str(value)[:_LONGEST_QUOTE]


def _quoted(text: str) -> str:
    short = text if len(text) <= _LONGEST_QUOTE else text[: _LONGEST_QUOTE - 1] + "…"
    return json.dumps(short, ensure_ascii=False)
