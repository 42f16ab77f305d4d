"""The mistakes that mutants make: for each kind of node of the syntax tree, what may stand there by mistake.

Imports ``ast`` and `flow` alone. A change that cannot make a difference, such as to detach what has no graph, is left
out where the syntax shows it.
"""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator
from dataclasses import dataclass

from .flow import Flow, called, is_of_a_module


@dataclass(frozen=True)
class Change:
    """What to put in the place of a node."""

    kind: str
    node: ast.AST


def changes(node: ast.AST, flow: Flow) -> Iterator[Change]:  # noqa: PLR0912 - one branch for each kind of node
    """Yield what may stand in the place of `node` by mistake."""
    match node:
        case ast.Call():
            yield from _called_otherwise(node, flow)
        case ast.Attribute():
            yield from _another_attribute(node)
        case ast.BinOp():
            yield from _another_operator(node)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert(), operand=operand):
            yield Change("sign", operand)
        case ast.Compare():
            yield from _compared_otherwise(node)
        case ast.BoolOp(op=operator, values=values):
            yield Change("condition", ast.BoolOp(ast.And() if isinstance(operator, ast.Or) else ast.Or(), values))
            for value in values if len(values) == 2 else ():
                yield Change("condition", value)
        case ast.IfExp(body=body, orelse=orelse):
            yield Change("condition", body)
            yield Change("condition", orelse)
        case ast.Constant():
            yield from _another_constant(node)
        case ast.Subscript():
            yield from _indexed_otherwise(node)
        case ast.Slice():
            yield from _sliced_otherwise(node)
        case ast.comprehension(ifs=[_, *_]):
            yield Change("condition", _with(node, ifs=[]))
        case ast.stmt() | ast.excepthandler():
            yield from _another_statement(node, flow)


def _with(node: ast.AST, **fields: object) -> ast.AST:
    """The same node with other fields."""
    changed = copy.copy(node)
    for name, value in fields.items():
        setattr(changed, name, value)
    return changed


def _without(items: list[ast.expr], number: int) -> list[ast.expr]:
    return [*items[:number], *items[number + 1 :]]


# ------------------------------------------------------------------------------------------------------ calls

_SWAPS: dict[str, tuple[str, ...]] = {
    "eye": ("ones",),
    "cat": ("stack",),
    "stack": ("cat",),
    "softmax": ("log_softmax",),
    "log_softmax": ("softmax",),
    "norm": ("sum",),
    "randint": ("rand",),
    "round": ("floor",),
    "trunc": ("floor",),
    "sqrt": ("square",),
    "square": ("sqrt",),
}
_PAIRS = (
    *(("mean", "sum"), ("std", "var"), ("ones", "zeros"), ("ones_like", "zeros_like"), ("rand", "randn")),
    *(("argmax", "argmin"), ("amax", "amin"), ("max", "min"), ("maximum", "minimum"), ("floor", "ceil")),
    *(("tril", "triu"), ("any", "all"), ("view", "reshape"), ("hstack", "vstack"), ("cumsum", "cumprod")),
    *(("sin", "cos"), ("train", "eval"), ("no_grad", "enable_grad"), ("squeeze", "unsqueeze"), ("matmul", "mul")),
    *(("startswith", "endswith"), ("removeprefix", "removesuffix"), ("register_buffer", "register_parameter")),
    *(("keys", "values"), ("append", "extend"), ("parameters", "buffers"), ("chunk", "split"), ("isclose", "eq")),
    *(("named_parameters", "named_buffers"), ("min", "sum"), ("exp", "expm1")),
)
for _first, _second in _PAIRS:
    _SWAPS[_first] = (*_SWAPS.get(_first, ()), _second)
    _SWAPS[_second] = (*_SWAPS.get(_second, ()), _first)

_IN_PLACE = frozenset({"add", "sub", "mul", "div", "clamp", "neg", "copy", "zero", "fill", "pow", "exp", "round", "t"})

_DROPPED = frozenset(
    {
        *("clone", "detach", "requires_grad_", "contiguous", "eval", "train", "to", "cuda", "cpu", "item", "float"),
        *("double", "half", "long", "int", "bool", "type", "type_as", "squeeze", "unsqueeze", "abs", "sqrt", "t"),
        *("flatten", "reshape", "view", "expand", "copy", "deepcopy", "tolist", "transpose", "permute", "sorted"),
        *("reversed", "list", "tuple", "dict", "mean", "sum", "floor", "round", "exp", "log", "square", "conj"),
        *("strip", "lower", "retain_grad", "share_memory_", "removeprefix", "DataParallel", "clamp", "Parameter"),
        *("DistributedDataParallel", "DDP", "triu", "tril", "cumsum", "roll", "set", "str", "ModuleList", "DDP"),
    }
)
"""Calls that are forgotten, and leave what they work on."""

_SYMMETRIC = frozenset({"min", "max", "minimum", "maximum", "equal", "add", "mul", "dot", "logical_and", "logical_or"})
_MADE = frozenset({"arange", "linspace", "zeros", "ones", "full", "tensor", "randn", "rand", "contiguous", "randperm"})
_COUNTED = frozenset({"arange", "range", "linspace", "randperm", "randint", "chunk", "split"})
_NAMED_FOR_EACH_OTHER = {"min": "max", "max": "min", "rows": "columns"}


def _called_otherwise(call: ast.Call, flow: Flow) -> Iterator[Change]:
    name = called(call.func)
    yield from _another_function(call, name)
    yield from _not_called(call, name, flow)
    if name == "zeros" and not any(keyword.arg == "requires_grad" for keyword in call.keywords):
        garbage = ast.Call(ast.Attribute(call, "fill_", ast.Load()), [ast.Constant(7)], [])
        yield Change("uninitialised", garbage)  # torch.empty() holds anything, and often zeros
    for first, second in [(0, 1)] if len(call.args) == 2 else [(0, 1), (1, 2)] if len(call.args) > 2 else []:
        swapped = list(call.args)
        swapped[first], swapped[second] = swapped[second], swapped[first]
        if name not in _SYMMETRIC and not any(isinstance(argument, ast.Starred) for argument in swapped):
            yield Change("argument-order", _with(call, args=swapped))
    if len(call.args) > 1:
        yield Change("dropped-argument", _with(call, args=call.args[:-1]))
    for number, keyword in enumerate(call.keywords):
        if keyword.arg is not None:
            rest = [*call.keywords[:number], *call.keywords[number + 1 :]]
            yield Change("dropped-argument", _with(call, keywords=rest))
            other = _NAMED_FOR_EACH_OTHER.get(keyword.arg)
            if other is not None and other not in {rest.arg for rest in call.keywords}:
                yield Change("argument-order", _with(call, keywords=[*rest, ast.keyword(other, keyword.value)]))
    for number, argument in enumerate(call.args if name in _COUNTED else ()):
        if not isinstance(argument, (ast.Constant, ast.Starred)):
            for operator in (ast.Add(), ast.Sub()):
                shifted = list(call.args)
                shifted[number] = ast.BinOp(argument, operator, ast.Constant(1))
                yield Change("off-by-one", _with(call, args=shifted))


def _another_function(call: ast.Call, name: str) -> Iterator[Change]:
    others = _SWAPS.get(name, ())
    is_method = isinstance(call.func, ast.Attribute) and not is_of_a_module(call.func)
    if is_method and name in _IN_PLACE:
        others = (*others, f"{name}_")
    if name.endswith("_") and not name.endswith("__") and name != "requires_grad_":
        others = (*others, name.removesuffix("_"))
    for other in others:
        if other in ("view", "reshape") and _is_contiguous(call):
            continue
        if isinstance(call.func, ast.Attribute):
            yield Change("other-function", _with(call, func=_with(call.func, attr=other)))
        elif isinstance(call.func, ast.Name) and other in ("any", "all", "max", "min", "sum"):
            yield Change("other-function", _with(call, func=ast.Name(other, ast.Load())))


def _is_contiguous(call: ast.Call) -> bool:
    """Whether a method is called on what was just made, so that it is contiguous in any case."""
    subject = call.func.value if isinstance(call.func, ast.Attribute) else None
    return isinstance(subject, ast.Call) and called(subject.func) in _MADE


def _not_called(call: ast.Call, name: str, flow: Flow) -> Iterator[Change]:
    if name not in _DROPPED:
        return
    if isinstance(call.func, ast.Attribute) and not is_of_a_module(call.func):
        subject = call.func.value
    elif call.args and not isinstance(call.args[0], ast.Starred):
        subject = call.args[0]
    else:
        return
    if name == "detach" and not flow.may_require_grad(subject) and not flow.may_alias(subject):
        return
    if name == "clone" and not flow.may_alias(subject):
        return
    yield Change("dropped-call", subject)


# ------------------------------------------------------------------------------------- names, values, operators

_DTYPES = {
    "float32": "float64",
    "float64": "float32",
    "float": "double",
    "double": "float",
    "int64": "int32",
    "long": "int",
    "int32": "int64",
    "bool": "uint8",
    "uint8": "int64",
    "float16": "float32",
}


def _another_attribute(attribute: ast.Attribute) -> Iterator[Change]:
    if isinstance(attribute.value, ast.Name) and attribute.value.id == "torch" and attribute.attr in _DTYPES:
        yield Change("dtype", _with(attribute, attr=_DTYPES[attribute.attr]))
    elif attribute.attr in ("T", "mT", "data", "H") and isinstance(attribute.ctx, ast.Load):
        yield Change("dropped-call", attribute.value)
    elif attribute.attr in ("float", "double", "long", "int") and not is_of_a_module(attribute):
        other = {"float": "double", "double": "float", "long": "int", "int": "long"}[attribute.attr]
        yield Change("dtype", _with(attribute, attr=other))


_OPERATORS: dict[type[ast.operator], tuple[type[ast.operator], ...]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div, ast.Add),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div,),
    ast.MatMult: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
}


def _another_operator(node: ast.BinOp) -> Iterator[Change]:
    for operator in _OPERATORS.get(type(node.op), ()):
        yield Change("operator", ast.BinOp(node.left, operator(), node.right))
    if not isinstance(node.op, (ast.Add, ast.Mult, ast.BitAnd, ast.BitOr)):
        yield Change("argument-order", ast.BinOp(node.right, node.op, node.left))
    yield Change("dropped-operand", node.left)
    yield Change("dropped-operand", node.right)


_COMPARISONS: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}


def _compared_otherwise(node: ast.Compare) -> Iterator[Change]:
    for number, operator in enumerate(node.ops):
        for other in _COMPARISONS.get(type(operator), ()):
            operators = [*node.ops[:number], other(), *node.ops[number + 1 :]]
            yield Change("comparison", _with(node, ops=operators))


def _another_constant(node: ast.Constant) -> Iterator[Change]:
    value = node.value
    if isinstance(value, bool):
        yield Change("constant", ast.Constant(not value))
    elif isinstance(value, (int, float)):
        yield Change("constant", ast.Constant(value + 1))
        if isinstance(value, int):
            yield Change("constant", ast.Constant(value - 1))
    elif isinstance(value, str):
        yield Change("constant", ast.Constant(_OTHER_STRINGS.get(value, f"{value}_")))


_OTHER_STRINGS = {"cuda": "cpu", "cpu": "cuda", "cuda:0": "cuda:1", "cuda:1": "cuda:0"}


def _indexed_otherwise(node: ast.Subscript) -> Iterator[Change]:
    match node.slice:
        case ast.Constant(value=int(index)) if not isinstance(index, bool):
            others: list[int] = (
                [index + 1] if index == 0 and isinstance(node.value, ast.Call) else [index + 1, index - 1]
            )
            for shifted in others:  # of an only item, -1 is the index as well
                yield Change("constant", _with(node, slice=ast.Constant(shifted)))
    if isinstance(node.slice, ast.Tuple) and len(node.slice.elts) > 1:
        items = node.slice.elts
        yield Change("index-order", _with(node, slice=ast.Tuple(items[::-1], ast.Load())))
        last_is_all = ast.unparse(items[-1]) == ":"  # which may be left out
        for number in range(len(items) - last_is_all):
            rest = _without(items, number)
            kept = rest[0] if len(rest) == 1 else ast.Tuple(rest, ast.Load())
            yield Change("dropped-index", _with(node, slice=kept))
    elif isinstance(node.slice, ast.Slice):
        yield Change("dropped-index", node.value)


def _sliced_otherwise(node: ast.Slice) -> Iterator[Change]:
    for name in ("lower", "upper", "step"):
        bound = getattr(node, name)
        if bound is None:
            continue
        yield Change("dropped-bound", _with(node, **{name: None}))
        if not isinstance(bound, ast.Constant) and name != "step":
            yield Change("off-by-one", _with(node, **{name: ast.BinOp(bound, ast.Add(), ast.Constant(1))}))


# ------------------------------------------------------------------------------------------------- statements


def _another_statement(node: ast.AST, flow: Flow) -> Iterator[Change]:  # noqa: PLR0912 - as above
    match node:
        case ast.Return(value=ast.expr() as value):
            yield from _returned_otherwise(value, flow)
        case ast.Expr() | ast.Raise() | ast.Delete() | ast.Assert():
            yield Change("dropped-statement", ast.Pass())
            if isinstance(node, ast.Raise) and node.exc is not None:
                yield Change("other-error", _with(node, exc=ast.Name("KeyboardInterrupt", ast.Load()), cause=None))
        case ast.Assign(targets=[ast.Subscript() | ast.Attribute(), *_]):
            yield Change("dropped-statement", ast.Pass())
        case ast.Assign(targets=[ast.Name(id=name)], value=value) if name in _names(value):
            yield Change("dropped-statement", ast.Pass())
        case ast.AugAssign(target=target, op=operator, value=value):
            yield Change("dropped-statement", ast.Pass())
            read = copy.deepcopy(target)
            read.ctx = ast.Load()  # what is read and written is told apart by its context
            if not _is_number(target, flow):
                yield Change("not-in-place", ast.Assign([target], ast.BinOp(read, operator, value), lineno=node.lineno))
            for other in _OPERATORS.get(type(operator), ()):
                yield Change("operator", _with(node, op=other()))
        case ast.If(test=test):
            for outcome in (True, False):
                if not isinstance(test, ast.Constant):
                    yield Change("condition", _with(node, test=ast.Constant(outcome)))
        case ast.While(body=body, orelse=orelse, test=test):
            yield Change("condition", ast.If(test, body, orelse))
        case ast.With(body=body) | ast.AsyncWith(body=body):
            yield Change("dropped-with", ast.If(ast.Constant(True), body, []))
        case ast.Try(body=body, finalbody=finally_):
            yield Change("dropped-try", ast.If(ast.Constant(True), [*body, *finally_], []))
        case ast.FunctionDef(decorator_list=[_, *_] as decorators):
            for number, decorator in enumerate(decorators):
                if called(decorator) == "staticmethod":  # what is called through its class needs none
                    continue
                yield Change("dropped-decorator", _with(node, decorator_list=_without(decorators, number)))
        case ast.Break() | ast.Continue():
            yield Change("dropped-statement", ast.Pass())


def _is_number(target: ast.expr, flow: Flow) -> bool:
    """Whether a name is bound to nothing but numbers, which cannot be changed in place."""
    bound = flow.bound.get(target.id, []) if isinstance(target, ast.Name) else []
    return bool(bound) and all(isinstance(value, ast.Constant) for value in bound)


def _names(value: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}


def _returned_otherwise(value: ast.expr, flow: Flow) -> Iterator[Change]:
    if isinstance(value, ast.Tuple):
        yield Change("argument-order", ast.Return(ast.Tuple(value.elts[::-1], ast.Load())))
        for number, item in enumerate(value.elts):
            for kind, wrapped in _wrapped(item, flow):
                items = [*value.elts[:number], wrapped, *value.elts[number + 1 :]]
                yield Change(kind, ast.Return(ast.Tuple(items, ast.Load())))
        return
    if not (isinstance(value, ast.Constant) and value.value is None):
        yield Change("result-none", ast.Return(ast.Constant(None)))
    for kind, wrapped in _wrapped(value, flow):
        yield Change(kind, ast.Return(wrapped))


_NO_TENSORS = (ast.Constant, ast.Compare, ast.Dict, ast.List, ast.ListComp, ast.DictComp, ast.JoinedStr, ast.Set)
_PYTHON_VALUES = frozenset({"int", "float", "len", "list", "tuple", "dict", "sorted", "str", "item", "tolist", "bool"})


def _wrapped(value: ast.expr, flow: Flow) -> Iterator[tuple[str, ast.expr]]:
    """What may be returned in the place of a tensor."""
    name = called(value.func) if isinstance(value, ast.Call) else ""
    if isinstance(value, _NO_TENSORS) or name in _PYTHON_VALUES or isinstance(value, ast.Starred):
        return
    yield "result-double", _method(value, "double")
    yield "result-unsqueezed", _method(value, "unsqueeze", 0)
    yield "result-transposed", ast.Attribute(value, "mT", ast.Load())
    if not _is_uniform(value):
        yield "result-flipped", _method(value, "flip", 0)
    yield "result-list", _method(value, "tolist")
    if flow.may_require_grad(value):
        yield "result-detach", _method(value, "detach")
    if flow.may_alias(value) and name != "clone":
        yield "result-clone", _method(value, "clone")


def _is_uniform(value: ast.expr) -> bool:
    """Whether all values are the same, so that their order does not matter."""
    while isinstance(value, ast.Call) and called(value.func) in ("detach", "clone", "to", "requires_grad_"):
        value = value.func.value if isinstance(value.func, ast.Attribute) else value.func
    return isinstance(value, ast.Call) and called(value.func).removesuffix("_like") in ("zeros", "ones", "full")


def _method(value: ast.expr, name: str, *arguments: object) -> ast.expr:
    given: list[ast.expr] = [ast.Constant(argument) for argument in arguments]  # type: ignore[arg-type]
    return ast.Call(ast.Attribute(value, name, ast.Load()), given, [])
