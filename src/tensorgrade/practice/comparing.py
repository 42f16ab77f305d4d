"""Comparisons in examples: which two values a statement compares, and what to say when they differ.

Student's side.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from ..diagnosis.difference import diagnose
from ..diagnosis.pair import Diagnosis
from ..exercise import Text
from ..findings import finding

_CLOSE = "torch.testing.assert_close"
_PREDICATES = {"torch.equal": torch.equal, "torch.allclose": torch.allclose}


@dataclass(frozen=True)
class Comparison:
    """A statement that compares what was got with what is expected.

    Attributes:
        got, expected: the two expressions.
        verdict: gives whether two values pass; raises or returns False when they do not.
    """

    got: ast.expr
    expected: ast.expr
    verdict: Callable[[Any, Any], bool]


def comparison_in(statement: ast.stmt) -> Comparison | None:
    """The comparison that `statement` is, or None."""
    if isinstance(statement, ast.Expr) and (pair := _arguments(statement.value, _CLOSE)):
        return Comparison(*pair, _are_close)
    if not isinstance(statement, ast.Assert):
        return None
    test = statement.test
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq):
        return Comparison(test.left, test.comparators[0], lambda got, expected: bool(got == expected))
    for name, function in _PREDICATES.items():
        if pair := _arguments(test, name):
            return Comparison(*pair, function)
    return None


def difference(comparison: Comparison, value: Callable[[ast.expr], Any]) -> tuple[Any, Any] | None:
    """Evaluate both sides and compare them; returns what was got and expected, or None when it passes."""
    got, expected = value(comparison.got), value(comparison.expected)
    return None if comparison.verdict(got, expected) else (got, expected)


def told(got: Any, expected: Any) -> Text:
    """What differs."""
    found = diagnose(got, expected) or Diagnosis("unequal")
    return finding(found.code, **found.subjects(), **found.facts).text


def _are_close(got: Any, expected: Any) -> bool:
    try:
        torch.testing.assert_close(got, expected)
    except (AssertionError, TypeError):
        return False
    return True


def _arguments(expression: ast.expr, function: str) -> tuple[ast.expr, ast.expr] | None:
    """The two arguments of a call of `function` that has no others."""
    if not isinstance(expression, ast.Call) or expression.keywords or ast.unparse(expression.func) != function:
        return None
    return (expression.args[0], expression.args[1]) if len(expression.args) == 2 else None
