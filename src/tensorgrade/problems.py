"""What is wrong with a notebook itself, when an exercise is not fulfilled: told from the source of its cells.

Trusted side: sources are parsed here and never run, what running them gave is taken from the outputs, and nothing of a
grader is needed. A sentence holds therefore only what the student can see: their own names, lines and errors.

Cells are read with the sizes that `LONGEST` allows. IPython's magics are put aside by their looks; a cell in which
that is not enough is taken for one with unknown content, never for a wrong one.
"""

from __future__ import annotations

import ast
import difflib
import functools
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .exercise import Exercise, Language
from .job import CellJob, CellRun
from .verdict import Status, Verdict

LONGEST = 20_000
"""Characters of a cell that are parsed; Python's parser takes more memory than it has for some that are longer."""

MOST_CELLS = 500
_SIMILAR = 0.6
_LONGEST_ERROR = 200

_SYNTAX_ERRORS = ("SyntaxError", "IndentationError", "TabError")
_LINE = re.compile(r"Cell In\s?\[\d+\], line (\d+)")
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_CELL_MAGIC = re.compile(r"\A(\s*+)%%.*")
_ASSIGNED_MAGIC = re.compile(r"^([ \t]*+[\w, ]++=[ \t]*+)[%!].*$", re.MULTILINE)
_LINE_MAGIC = re.compile(r"^([ \t]*+)(?:[%!].*|\?{1,2}[\w.*%]++|[\w.*%]++\?{1,2})[ \t]*+$", re.MULTILINE)

_SENTENCES: dict[str, dict[Language, str]] = {
    "syntax": {
        "en": "Code cell {cell}, which is to define `{name}`, did not run: line {line} is not Python (`{error}`).",
        "zh": "应当定义 `{name}` 的第 {cell} 个代码单元格没有运行：第 {line} 行不是合法的 Python 代码（`{error}`）。",
    },
    "raised": {
        "en": "Code cell {cell}, which is to define `{name}`, stopped in line {line}: `{error}`.",
        "zh": "应当定义 `{name}` 的第 {cell} 个代码单元格在第 {line} 行中断：`{error}`。",
    },
    "raised-somewhere": {
        "en": "Code cell {cell}, which is to define `{name}`, stopped: `{error}`.",
        "zh": "应当定义 `{name}` 的第 {cell} 个代码单元格中断：`{error}`。",
    },
    "stopped": {
        "en": "Code cell {cell}, which is to define `{name}`, did not finish. {error}",
        "zh": "应当定义 `{name}` 的第 {cell} 个代码单元格没有运行完。{error}",
    },
    "similar": {
        "en": "`{name}` is not defined; code cell {cell} defines `{similar}`: is that what you mean?",
        "zh": "没有定义 `{name}`；第 {cell} 个代码单元格定义了 `{similar}`：是不是写错了名称？",
    },
    "nested": {
        "en": "`{name}` is defined inside something else in code cell {cell}: it has to begin at the start of a line.",
        "zh": "`{name}` 在第 {cell} 个代码单元格中定义在其他代码块内部：它应当从行首开始。",
    },
    "undefined": {
        "en": "No cell above this one defines `{name}`.",
        "zh": "此单元格之前没有单元格定义 `{name}`。",
    },
    "untouched": {
        "en": "`{name}` is still as it was handed out: its code has not been written yet.",
        "zh": "`{name}` 仍是发布时的样子：还没有编写代码。",
    },
    "no-return": {
        "en": "`{name}` has no `return` with a value, so that it gives None (code cell {cell}, line {line}).",
        "zh": "`{name}` 中没有带返回值的 `return`，因此结果是 None（第 {cell} 个代码单元格第 {line} 行）。",
    },
}


def problem_of(
    exercise: Exercise, cells: Sequence[CellJob], runs: Sequence[CellRun | None], verdict: Verdict
) -> str | None:
    """Return one sentence about the notebook that explains a verdict, in its language; or None.

    `cells` are those above the place where the exercise is judged, and `runs` what running them gave.
    """
    if all(clause.status is Status.PASSED for clause in verdict.clauses):
        return None
    read = [_Cell(number, cell.source, run) for number, (cell, run) in enumerate(zip(cells, runs, strict=True), 1)]
    gave_none = any(clause.code == "nothing" for clause in verdict.clauses)
    told = next(_problems(exercise, [cell for cell in read if cell.run is not None][-MOST_CELLS:], gave_none), None)
    return None if told is None else _SENTENCES[told.kind][verdict.language].format_map(told.facts)


@dataclass(frozen=True)
class _Problem:
    kind: str
    facts: dict[str, object]


@dataclass(frozen=True)
class _Cell:
    """A code cell, its number among them from 1, and what running it gave."""

    number: int
    source: str
    run: CellRun | None

    @property
    def tree(self) -> ast.Module | SyntaxError | None:
        """The syntax tree; an error when it is not Python; None when that is not known."""
        return _tree(self.source)

    @functools.cached_property
    def defined(self) -> dict[str, ast.stmt]:
        """The names that the cell assigns at its top, with the statements."""
        statements = self.tree.body if isinstance(self.tree, ast.Module) else []
        return {name: statement for statement in statements for name in _assigned(statement)}

    def is_to_define(self, name: str) -> bool:
        """Whether the cell defines a name, or would if it were Python."""
        if isinstance(self.tree, ast.Module):
            return name in self.defined
        beginning = rf"^(?:(?:async\s+)?def\s+|class\s+)?{re.escape(name)}\b\s*[(:=]"
        return len(self.source) <= LONGEST and re.search(beginning, self.source, re.MULTILINE) is not None

    def failure(self, name: str) -> _Problem | None:
        """What kept the cell from running to its end, or None when it did."""
        *_, last = [{}, *(self.run.outputs if self.run else ())]
        if last.get("output_type") != "error":
            return None
        facts: dict[str, object] = {"cell": self.number, "name": name}
        kind, message = str(last.get("ename")), str(last.get("evalue"))
        if self.run is not None and not self.run.repeatable:  # the sentence is ours
            return _Problem("stopped", {**facts, "error": message})
        if kind in _SYNTAX_ERRORS and isinstance(self.tree, SyntaxError):
            return _Problem("syntax", {**facts, "line": self.tree.lineno or 1, "error": _quoted(self.tree.msg)})
        facts["error"] = _quoted(f"{kind}: {message}" if message else kind)
        line = _line_of(last.get("traceback"))
        known = 0 < line <= self.source.count("\n") + 1
        return _Problem("raised", {**facts, "line": line}) if known else _Problem("raised-somewhere", facts)


@functools.lru_cache(maxsize=64)  # each exercise of a notebook is told about the cells above it
def _tree(source: str) -> ast.Module | SyntaxError | None:
    if len(source) > LONGEST:
        return None
    magic = _CELL_MAGIC.match(source)
    python = _CELL_MAGIC.sub(r"\1", source, count=1)
    python = _LINE_MAGIC.sub(r"\1pass", _ASSIGNED_MAGIC.sub(r"\1None", python))
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(python)
    except SyntaxError as error:
        return None if magic else error.with_traceback(None)
    except (ValueError, RecursionError, MemoryError):
        return None


def _problems(exercise: Exercise, cells: list[_Cell], gave_none: bool) -> Iterator[_Problem]:
    """What can be said, the most telling first."""
    starter, solution = (_definitions(code) for code in (exercise.starter, exercise.solution))
    names = list(starter or solution)
    own = {name: cell for cell in cells for name in names if cell.is_to_define(name)}  # the last one counts
    for name, cell in own.items():
        if (failure := cell.failure(name)) is not None:
            yield failure
    for name in names:
        if name not in own:
            yield _undefined(name, names, cells)
    written = {name: cell.defined[name] for name, cell in own.items() if name in cell.defined}
    if names and all(name in written and _same(written[name], starter.get(name)) for name in names):
        yield _Problem("untouched", {"name": names[0]})
    for name, statement in written.items():
        if gave_none and _gives_value(solution.get(name)) and _gives_value(statement) is False:
            yield _Problem("no-return", {"name": name, "cell": own[name].number, "line": statement.lineno})
    yield from _failures_above(own, written, cells)


def _undefined(name: str, names: Sequence[str], cells: list[_Cell]) -> _Problem:
    places = {other: cell for cell in cells for other in cell.defined if other not in names}
    similar = difflib.get_close_matches(name, places, n=1, cutoff=_SIMILAR)
    if similar:
        return _Problem("similar", {"name": name, "similar": similar[0], "cell": places[similar[0]].number})
    for cell in cells:
        if isinstance(cell.tree, ast.Module) and name in map(_name_of, ast.walk(cell.tree)):
            return _Problem("nested", {"name": name, "cell": cell.number})
    return _Problem("undefined", {"name": name})


def _failures_above(own: dict[str, _Cell], written: dict[str, ast.stmt], cells: list[_Cell]) -> Iterator[_Problem]:
    """Cells that failed and define, or would define, what the answer uses."""
    used = {node.id for statement in written.values() for node in ast.walk(statement) if isinstance(node, ast.Name)}
    for cell in cells:
        if cell in own.values():
            continue
        needed = sorted(name for name in used if cell.is_to_define(name))
        if needed and (failure := cell.failure(needed[0])) is not None:
            yield failure


@functools.lru_cache(maxsize=64)
def _definitions(code: str) -> dict[str, ast.stmt]:
    """The names that the author's code defines at its top."""
    statements = ast.parse(code).body
    return {name: statement for statement in statements for name in _assigned(statement)}


def _assigned(statement: ast.stmt) -> Iterator[str]:
    if (name := _name_of(statement)) is not None:
        yield name
    elif isinstance(statement, (ast.Import, ast.ImportFrom)):
        yield from (alias.asname or alias.name.split(".")[0] for alias in statement.names)
    elif isinstance(statement, (ast.Assign, ast.AnnAssign)):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        nodes = (node for target in targets for node in ast.walk(target))
        yield from (node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store))


def _name_of(node: ast.AST) -> str | None:
    return node.name if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) else None


def _same(statement: ast.stmt, other: ast.stmt | None) -> bool:
    try:
        return other is not None and ast.dump(statement) == ast.dump(other)
    except RecursionError:
        return False


def _gives_value(statement: ast.stmt | None) -> bool | None:
    """Whether a function returns or yields something; None when the statement is no function with a body of its own."""
    if not isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef)) or statement.decorator_list:
        return None
    waiting: list[ast.AST] = list(statement.body)
    while waiting:
        node = waiting.pop()
        if (isinstance(node, ast.Return) and node.value is not None) or isinstance(node, (ast.Yield, ast.YieldFrom)):
            return True
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)):
            waiting += ast.iter_child_nodes(node)
    return False


def _line_of(traceback: object) -> int:
    """The line of the cell in which it stopped, as IPython tells it; 0 when that is not known."""
    lines = traceback if isinstance(traceback, list) else []
    found = _LINE.search(_COLOURS.sub("", "\n".join(map(str, lines[:100]))[:100_000]))
    return int(found[1][:9]) if found else 0


def _quoted(message: str) -> str:
    """The first line of an error's message, as it may stand between backticks."""
    line = (message.splitlines() or [""])[0].replace("`", "'")
    return line if len(line) <= _LONGEST_ERROR else f"{line[:_LONGEST_ERROR]} …"
