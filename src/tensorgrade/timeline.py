"""Which exercises of a notebook find the same state, although cells run between them.

Trusted side; nothing is run here. A cell that only defines names, which nothing before it mentions, changes nothing for
the exercises above it: they can be judged in the state that it leaves. To be wrong would cost fairness and no more,
so whatever is not certain counts as a change: a statement that computes something, a name that was mentioned before, a
magic.
"""

from __future__ import annotations

import ast
import builtins
import functools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .job import CellJob

_WORD = re.compile(r"[^\W\d]\w*")
_LIBRARIES = frozenset({"torch", "nn", "F", "np", "numpy", "math"})
"""Names whose attributes can be looked up without running anything of the student's."""
_INSTALLED = frozenset({*sys.stdlib_module_names, "torch", "numpy"}) - {"this", "antigravity", "__main__"}
_DECORATORS = frozenset(
    {
        *("staticmethod", "classmethod", "property", "torch.no_grad", "torch.no_grad()", "torch.enable_grad()"),
        *("torch.inference_mode()", "torch.autograd.function.once_differentiable"),
    }
)
_VALUES = (ast.Constant, ast.Name, ast.Attribute, ast.Tuple, ast.List, ast.Set, ast.Dict, ast.UnaryOp, ast.Subscript)
_PARTS = (ast.expr_context, ast.unaryop)
_KNOWN = frozenset({*vars(builtins), "In", "Out", "get_ipython", "exit", "quit"})
"""Names that functions may use without a cell that mentions them."""


def states(cells: Sequence[CellJob], asked: Mapping[int, frozenset[str]]) -> tuple[int, ...]:
    """Number the states of a notebook: for each cell the one that it finds, and at last the one that all of them leave.

    `asked` has for each place where an exercise is judged the words of its grader, which may ask for them by name.
    """
    numbers, mentioned, imported = [0], set(_KNOWN), dict[str, str]()
    for place, cell in enumerate(cells):
        if cell.exercise is not None:
            mentioned |= asked.get(place, frozenset())
            numbers.append(numbers[-1])
            continue
        effect = _effect_of(cell.source)
        again = {name for name, module in effect.imports.items() if imported.get(name) == module}
        changes = effect.binds is None or bool((effect.binds - again) & mentioned)
        numbers.append(numbers[-1] + changes)
        imported = {name: module for name, module in imported.items() if name not in (effect.binds or imported)}
        imported |= effect.imports
        mentioned |= effect.mentions
    return tuple(numbers)


def words_of(text: str) -> frozenset[str]:
    """All that may be a name in a text."""
    return frozenset(_WORD.findall(text))


@dataclass(frozen=True)
class _Effect:
    """What a cell does to the names of a notebook.

    Attributes:
        mentions: all names that stand in it.
        binds: the names that it defines, when it does nothing else; None when it may do more.
        imports: those of them that stand for modules or what is in them, with what they stand for.
    """

    mentions: frozenset[str]
    binds: frozenset[str] | None
    imports: dict[str, str]


@functools.lru_cache(maxsize=1000)
def _effect_of(source: str) -> _Effect:
    mentions = words_of(source)
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return _Effect(mentions, None, {})
    bound = [_bound_by(statement) for statement in body]
    if any(names is None for names in bound):
        return _Effect(mentions, None, {})
    imports = dict(pair for statement in body for pair in _imports(statement))
    return _Effect(mentions, frozenset().union(*filter(None, bound)), imports)


def _imports(statement: ast.stmt) -> Iterator[tuple[str, str]]:
    """The names that a statement imports, each with what it stands for."""
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        origin = f"{statement.module}." if isinstance(statement, ast.ImportFrom) else ""
        for alias in statement.names:
            yield _name_of(alias), origin + (alias.name if alias.asname else alias.name.split(".")[0])


def _name_of(alias: ast.alias) -> str:
    return alias.asname or alias.name.split(".")[0]


def _bound_by(statement: ast.stmt) -> set[str] | None:
    """The names that a statement defines, or None when it may do something else."""
    bound: set[str] | None = None
    match statement:
        case ast.Pass() | ast.Expr(value=ast.Constant()):
            bound = set()
        case ast.Import() | ast.ImportFrom():
            bound = _imported(statement)
        case ast.Assign(targets=targets, value=value) if _are_values([value]):
            names = {target.id for target in targets if isinstance(target, ast.Name)}
            bound = names if len(names) == len(targets) else None
        case ast.AnnAssign(target=ast.Name(id=name), annotation=annotation) if _are_values(
            [annotation, statement.value]
        ):
            bound = {name}
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) if _is_plain_function(statement):
            bound = {name}
        case ast.ClassDef(name=name) if _is_plain_class(statement):
            bound = {name}
    return bound


def _imported(statement: ast.Import | ast.ImportFrom) -> set[str] | None:
    modules = [alias.name for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        if statement.level or "*" in modules:
            return None
        modules = [statement.module or ""]
    installed = all(module.split(".")[0] in _INSTALLED for module in modules)
    return {_name_of(alias) for alias in statement.names} if installed else None


def _is_plain_function(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    given = function.args
    parameters = [*given.posonlyargs, *given.args, *given.kwonlyargs, given.vararg, given.kwarg]
    annotations = [parameter.annotation for parameter in parameters if parameter is not None]
    evaluated = [*given.defaults, *given.kw_defaults, *annotations, function.returns]
    return _are_plain(function.decorator_list) and _are_values(evaluated)


def _is_plain_class(definition: ast.ClassDef) -> bool:
    bases = all(isinstance(base, ast.Attribute) or ast.unparse(base) == "object" for base in definition.bases)
    return (
        bases
        and _are_values(definition.bases)
        and not definition.keywords
        and not definition.decorator_list
        and all(_bound_by(statement) is not None for statement in definition.body)
    )


def _are_plain(decorators: Iterable[ast.expr]) -> bool:
    return all(ast.unparse(decorator) in _DECORATORS for decorator in decorators)


def _are_values(expressions: Iterable[ast.expr | None]) -> bool:
    """Whether to evaluate these runs no code of the student's: names, literals, and what libraries have."""
    return all(_is_value(node) for expression in expressions if expression for node in ast.walk(expression))


def _is_value(node: ast.AST) -> bool:
    if isinstance(node, ast.Attribute):
        return ast.unparse(node).split(".")[0] in _LIBRARIES
    return isinstance(node, (*_VALUES, *_PARTS))
