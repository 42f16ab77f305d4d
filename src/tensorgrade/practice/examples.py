"""Runs the visible examples of an exercise, statement by statement, and says of each what came of it.

Student's side, in the student's namespace. A comparison that fails is diagnosed: ``torch.testing.assert_close(got,
expected)``, ``assert got == expected`` and ``assert torch.equal(got, expected)`` all tell what was got and expected.
"""

from __future__ import annotations

import ast
import builtins
import difflib
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..exercise import Text
from .comparing import Comparison, comparison_in, difference, told

_FILE = "<example>"
_CLOSE = 0.6
_LIBRARIES = ("site-packages", "dist-packages", str(Path(ast.__file__).parent))


@dataclass(frozen=True)
class Result:
    """What one statement of the examples came to.

    Attributes:
        source: the statement.
        problem: what is wrong, in both languages; None when it passed.
        where: the line of the student's own code that raised, if one did.
    """

    source: str
    problem: Text | None = None
    where: str = ""


def run(source: str, namespace: dict[str, Any]) -> Iterator[Result]:
    """Run the statements of `source` one after the other; ends behind one that failed and is no comparison."""
    scope = dict(namespace)  # what examples define is not the student's
    for statement in ast.parse(source).body:
        text = ast.get_source_segment(source, statement) or ""
        comparison = comparison_in(statement)
        try:
            pair = _run(statement, comparison, scope)
        except Exception as error:  # noqa: BLE001 - student code may raise anything
            yield Result(text, _of_error(error, scope), _where(error))
            if comparison is None and not isinstance(statement, ast.Assert):
                return
        else:
            yield Result(text, told(*pair) if pair else None)


def _run(statement: ast.stmt, comparison: Comparison | None, scope: dict[str, Any]) -> tuple[Any, Any] | None:
    if comparison is None:
        exec(compile(ast.Module([statement], []), _FILE, "exec"), scope)
        return None
    return difference(comparison, lambda part: eval(compile(ast.Expression(part), _FILE, "eval"), scope))


def _of_error(error: Exception, scope: dict[str, Any]) -> Text:
    if isinstance(error, NameError) and error.name and error.name not in scope:
        return _undefined(error.name, scope)
    if isinstance(error, AssertionError) and not str(error):
        return Text(en="This is not fulfilled.", zh="这一条没有满足。")
    kind = type(error).__name__
    return Text(en=f"{kind}: {error}", zh=f"{kind}：{error}")


def _undefined(name: str, scope: dict[str, Any]) -> Text:
    known = [known for known in scope if not known.startswith("_") and not hasattr(builtins, known)]
    similar = difflib.get_close_matches(name, known, n=1, cutoff=_CLOSE)
    english = f"`{name}` is not defined; did you mean `{similar[0]}`?" if similar else f"`{name}` is not defined."
    chinese = f"没有定义 `{name}`；是不是 `{similar[0]}`？" if similar else f"没有定义 `{name}`。"
    return Text(en=f"{english} Has its cell been run?", zh=f"{chinese}它的单元格运行过吗？")


def _where(error: Exception) -> str:
    """The innermost line of the student's own code, with its number in its cell."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if frame.filename != _FILE and not _is_library(frame.filename)]
    return f"{own[-1].name}, {own[-1].lineno}: {own[-1].line}" if own else ""


def _is_library(file: str) -> bool:
    return any(library in file for library in _LIBRARIES) or str(Path(__file__).parent) in file
