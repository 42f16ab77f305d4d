"""What the syntax of a function says of its values: may this be memory of somebody else's, may it carry a graph?

Imports ``ast`` alone. Both questions are answered yes in doubt, so that no mutant is left out that makes a difference.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

_VIEWS = frozenset(
    {
        *(
            "view",
            "view_as",
            "reshape",
            "t",
            "transpose",
            "permute",
            "expand",
            "expand_as",
            "detach",
            "narrow",
            "select",
        ),
        *(
            "squeeze",
            "unsqueeze",
            "diagonal",
            "diag",
            "contiguous",
            "flatten",
            "ravel",
            "unflatten",
            "unfold",
            "swapaxes",
        ),
        *("movedim", "to", "cpu", "cuda", "float", "double", "half", "long", "int", "bool", "type", "as_strided"),
        *("chunk", "split", "unbind", "as_tensor", "from_numpy", "asarray", "identity", "get", "pop", "state_dict"),
        *("train", "eval", "list", "dict", "tuple", "swapdims", "broadcast_to", "real", "imag", "numpy", "mT"),
    }
)
"""Calls whose result may be, or may hold, what they are given."""

_CREATIONS = frozenset(
    {
        *("zeros", "ones", "full", "empty", "eye", "arange", "linspace", "logspace", "rand", "randn", "randint"),
        *("randperm", "tensor", "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like"),
        *("tril_indices", "triu_indices", "argmax", "argmin", "argsort", "detach", "grad", "tolist", "item", "numel"),
        *("Generator", "len", "int", "float", "range", "long", "bool", "device_count", "is_available"),
    }
)
"""Calls whose result has no graph, unless they are told to make one."""

_DEEPEST = 8


@dataclass
class Flow:
    """What the names of one function are bound to.

    Attributes:
        parameters: of the function.
        bound: what is assigned to each local name.
    """

    parameters: frozenset[str] = frozenset()
    bound: dict[str, list[ast.expr]] = field(default_factory=dict)

    @classmethod
    def of(cls, function: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> Flow:
        """Read a function."""
        arguments = function.args
        given = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
        flow = cls(frozenset(argument.arg for argument in given if argument is not None))
        for node in ast.walk(function):
            if isinstance(node, ast.Assign):
                for target in node.targets:
                    flow._bind(target, node.value)
            elif isinstance(node, (ast.For, ast.comprehension)):
                flow._bind(node.target, node.iter)
            elif isinstance(node, (ast.AugAssign, ast.AnnAssign, ast.NamedExpr)) and node.value is not None:
                flow._bind(node.target, node.value)
        return flow

    def _bind(self, target: ast.expr, value: ast.expr) -> None:
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                self.bound.setdefault(node.id, []).append(value)

    def may_alias(self, value: ast.expr, depth: int = 0) -> bool:  # noqa: PLR0911 - one for each kind of node
        """Whether `value` may be, or share memory with, something that existed before the call."""
        if depth > _DEEPEST:
            return True
        match value:
            case ast.Name(id=name):
                if name in self.parameters or name not in self.bound:
                    return True
                return any(self.may_alias(bound, depth + 1) for bound in self.bound[name])
            case ast.Attribute(value=inner) | ast.Subscript(value=inner) | ast.Starred(value=inner):
                return self.may_alias(inner, depth + 1)
            case ast.IfExp(body=first, orelse=second):
                return self.may_alias(first, depth + 1) or self.may_alias(second, depth + 1)
            case ast.Tuple(elts=items) | ast.List(elts=items) | ast.BoolOp(values=items):
                return any(self.may_alias(item, depth + 1) for item in items)
            case ast.Call(func=function, args=arguments):
                return self._call_may_alias(function, arguments, depth)
        return False

    def _call_may_alias(self, function: ast.expr, arguments: list[ast.expr], depth: int) -> bool:
        name = called(function)
        if name in _VIEWS or (name.endswith("_") and not name.endswith("__")):
            return any(self.may_alias(part, depth + 1) for part in _inputs(function, arguments)[:1])
        return not name or name in self.parameters or name[0].isupper()  # a module may return its argument

    def may_require_grad(self, value: ast.expr, depth: int = 0) -> bool:  # noqa: PLR0911 - as above
        """Whether `value` may be a part of an autograd graph."""
        if depth > _DEEPEST:
            return True
        match value:
            case ast.Constant() | ast.Compare() | ast.Dict() | ast.JoinedStr():
                return False
            case ast.Name(id=name):
                if name in self.parameters or name not in self.bound:
                    return name not in _MODULES
                return any(self.may_require_grad(bound, depth + 1) for bound in self.bound[name])
            case ast.Attribute(attr="grad" | "data" | "shape" | "dtype" | "device"):
                return False
            case ast.Attribute(value=inner):
                return self.may_require_grad(inner, depth + 1)
            case ast.Call(func=function, args=arguments, keywords=keywords):
                name = called(function)
                if name in _CREATIONS and not {"requires_grad", "create_graph"} & {key.arg for key in keywords}:
                    return False
                if not name or name in self.parameters or name == "requires_grad_" or name[0].isupper():
                    return True
                inputs = _inputs(function, arguments)
                given = inputs[:1] if name in _VIEWS else [*inputs, *(keyword.value for keyword in keywords)]
                return any(self.may_require_grad(part, depth + 1) for part in given)
        children = [child for child in ast.iter_child_nodes(value) if isinstance(child, ast.expr)]
        return any(self.may_require_grad(child, depth + 1) for child in children)


_MODULES = frozenset({"torch", "F", "nn", "math", "copy", "np"})


def called(function: ast.expr) -> str:
    """The last name of what is called: ``zeros`` of ``torch.zeros``; empty when it has none."""
    if isinstance(function, ast.Name):
        return function.id
    return function.attr if isinstance(function, ast.Attribute) else ""


def is_of_a_module(function: ast.expr) -> bool:
    """Whether a function is looked up in a module, as ``torch.zeros`` or ``torch.cuda.device_count``."""
    while isinstance(function, ast.Attribute):
        function = function.value
    return isinstance(function, ast.Name) and function.id in _MODULES


def _inputs(function: ast.expr, arguments: list[ast.expr]) -> list[ast.expr]:
    """What a call works on: the object of a method, and its arguments."""
    if isinstance(function, ast.Attribute) and not is_of_a_module(function):
        return [function.value, *arguments]
    return arguments
