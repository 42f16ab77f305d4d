"""Mutants: small changes to a right answer, each of which is a mistake that somebody makes.

Imports ``ast`` and its neighbours alone; runs nothing. `mutants` replaces one node of the syntax tree at a time, with
what `operators` has for it. A mutant is told by the statement that it changes, before and after, which stays the same
when the answer is formatted anew or moved.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .flow import Flow, called
from .operators import Change, changes

Step = tuple[str, int | None]
ARROW = " -> "
"""Parts what a statement was from what it is, in the name of a mutant."""

_LONGEST = 110
_SILENT = frozenset({"print", "warn"})
"""Calls that make no difference to an answer."""


@dataclass(frozen=True)
class Mutant:
    """A changed answer.

    Attributes:
        kind: of the change, such as ``operator`` or ``dropped-call``.
        change: the statement ``before -> after``; with a number when the answer has the same change twice.
        code: of the changed answer.
    """

    kind: str
    change: str
    code: str


def mutants(code: str, others: Iterable[str] = (), *, functions_only: bool = False) -> tuple[Mutant, ...]:
    """Return the mutants of an answer, without those that are one of the right answers in `others`.

    With `functions_only` what stands outside of functions and classes is left as it is.
    """
    tree = ast.parse(code)
    seen = {_normal(code), *map(_normal, others)}
    found = []
    for mutant in _all(tree, functions_only):
        normal = _normal(mutant.code)
        if normal not in seen:
            seen.add(normal)
            found.append(mutant)
    return tuple(_numbered(found))


def _numbered(found: list[Mutant]) -> Iterator[Mutant]:
    """Tell the same change to equal statements apart."""
    count: Counter[str] = Counter()
    for mutant in found:
        count[mutant.change] += 1
        number = count[mutant.change]
        yield mutant if number == 1 else replace(mutant, change=f"{mutant.change} ({number})")


def _normal(code: str) -> str:
    """The same text for code that differs in its layout and comments alone."""
    try:
        return ast.dump(ast.parse(code))
    except SyntaxError:
        return code


def _all(tree: ast.Module, functions_only: bool) -> Iterator[Mutant]:
    definitions = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for way, node, flow in _places(tree, (), Flow()):
        if functions_only and way and not isinstance(_child(tree, way[0]), definitions):
            continue
        for change in changes(node, flow):
            mutant = _applied(tree, way, change)
            if mutant is not None:
                yield mutant


def _places(node: ast.AST, way: tuple[Step, ...], flow: Flow) -> Iterator[tuple[tuple[Step, ...], ast.AST, Flow]]:
    """Each node that may be changed, with the way to it from the root, and what is known of its function."""
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
        flow = Flow.of(node)
    yield way, node, flow
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "type_params"):
            continue
        for number, child in enumerate(value) if isinstance(value, list) else [(None, value)]:
            if isinstance(child, ast.AST) and not _is_fixed(node, name, number, child):
                yield from _places(child, (*way, (name, number)), flow)


def _is_fixed(parent: ast.AST, name: str, number: int | None, child: ast.AST) -> bool:
    """Whether nothing is to be changed in a node: words for people, and what is imported."""
    if isinstance(child, (ast.Import, ast.ImportFrom, ast.expr_context)):
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
        return True
    if isinstance(child, ast.Expr) and isinstance(child.value, ast.Call) and called(child.value.func) in _SILENT:
        return True
    if isinstance(parent, ast.Raise):
        return True  # the statement itself is changed
    if isinstance(parent, ast.Subscript) and isinstance(child, ast.Constant) and isinstance(child.value, int):
        return True  # the subscript itself is changed
    return isinstance(parent, ast.Assert) and name == "msg"


def _applied(tree: ast.Module, way: tuple[Step, ...], change: Change) -> Mutant | None:
    """The mutant that has `change` in the place that `way` leads to; None when it is not Python."""
    changed = copy.deepcopy(tree)
    _put(changed, way, change.node)
    try:
        code = ast.unparse(ast.fix_missing_locations(changed))
        compile(code, "<mutant>", "exec")
        told = _told(tree, changed, way)
    except (SyntaxError, ValueError, TypeError, AttributeError):
        return None
    return Mutant(change.kind, told, code + "\n")


def _told(tree: ast.Module, changed: ast.Module, way: tuple[Step, ...]) -> str:
    """The statement before and after the change; of a long one the largest part that is short enough."""
    _, depth = _statement(tree, way)
    texts = {
        length: (_line(_at(tree, way[:length])), _line(_at(changed, way[:length])))
        for length in range(depth, len(way) + 1)
    }
    short = (length for length, (before, _) in texts.items() if len(before) <= _LONGEST)
    before, after = texts[next(short, depth)]
    return f"{before}{ARROW}{after}"


def _at(tree: ast.AST, way: tuple[Step, ...]) -> ast.AST:
    for step in way:
        tree = _child(tree, step)
    return tree


def _statement(tree: ast.AST, way: tuple[Step, ...]) -> tuple[ast.AST, int]:
    """The innermost statement on a way, and how many steps lead to it."""
    node, found, depth = tree, tree, 0
    for number, step in enumerate(way, start=1):
        node = _child(node, step)
        if isinstance(node, (ast.stmt, ast.excepthandler)):
            found, depth = node, number
    return found, depth


def _child(node: ast.AST, step: Step) -> ast.AST:
    name, number = step
    child = getattr(node, name)
    found: ast.AST = child if number is None else child[number]
    return found


def _put(tree: ast.Module, way: tuple[Step, ...], node: ast.AST) -> None:
    parent: ast.AST = tree
    for step in way[:-1]:
        parent = _child(parent, step)
    name, number = way[-1]
    if number is None:
        setattr(parent, name, node)
    else:
        getattr(parent, name)[number] = node


def _line(statement: ast.AST) -> str:
    """A statement in one line; of one that has a body, its head."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        decorators = "".join(f"@{ast.unparse(decorator)} " for decorator in statement.decorator_list)
        bare = copy.copy(statement)
        bare.decorator_list, bare.body = [], [ast.Pass()]
        return decorators + ast.unparse(bare).splitlines()[0]
    lines = [line.strip() for line in ast.unparse(statement).splitlines() if line.strip()]
    is_long = isinstance(statement, (ast.If, ast.For, ast.While, ast.With, ast.Try, ast.excepthandler))
    text = lines[0] if is_long else " ".join(lines)
    if isinstance(statement, ast.Try):
        text = "try: ... finally:" if statement.finalbody else "try: ... except:"
    return text
