"""Mutants: the mistakes that are made of a right answer, and how they are named."""

import ast
import textwrap
from pathlib import Path

import pytest

import tensorgrade.verify.flow
import tensorgrade.verify.mutation
import tensorgrade.verify.operators
from tensorgrade.verify.mutation import mutants


def changes(code, **options):
    """The changes of all mutants of a function's body by kind: ``{("sign", "return -x -> return x"), ...}``."""
    return {(mutant.kind, mutant.change) for mutant in mutants(textwrap.dedent(code), **options)}


def of_body(*lines, parameters="x, y"):
    return changes("\n    ".join([f"def f({parameters}):", *lines]))


EXPECTED = [
    ("return x.mean(dim=0)", "other-function", "return x.sum(dim=0)"),
    ("return x.std(0)", "other-function", "return x.var(0)"),
    ("return torch.eye(x)", "other-function", "return torch.ones(x)"),
    ("return torch.rand(x)", "other-function", "return torch.randn(x)"),
    ("return torch.zeros(x)", "uninitialised", "return torch.zeros(x).fill_(7)"),
    ("return x.add_(y)", "other-function", "return x.add(y)"),
    ("return x.add(y)", "other-function", "return x.add_(y)"),
    ("return x.view(3)", "other-function", "return x.reshape(3)"),
    ("return nn.DataParallel(x, y)", "dropped-call", "return x"),
    ("return x.clone()", "dropped-call", "return x"),
    ("return x.detach()", "dropped-call", "return x"),
    ("z = x.requires_grad_()", "dropped-call", "z = x"),
    ("return x.to(y)", "dropped-call", "return x"),
    ("x.zero_grad()", "dropped-statement", "pass"),
    ("x.eval()", "dropped-statement", "pass"),
    ("with torch.no_grad(): x.add_(y)", "dropped-with", "if True:"),
    ("x[0] = y", "dropped-statement", "pass"),
    ("return x.sum(dim=1)", "constant", "return x.sum(dim=0)"),
    ("return x.sum(dim=1)", "dropped-argument", "return x.sum()"),
    ("return x.sum(1, keepdim=True)", "constant", "return x.sum(1, keepdim=False)"),
    ("return x.var(unbiased=False)", "constant", "return x.var(unbiased=True)"),
    ("return torch.full(x, y)", "argument-order", "return torch.full(y, x)"),
    ("return torch.arange(x)", "off-by-one", "return torch.arange(x - 1)"),
    ("return x[:y]", "off-by-one", "return x[:y + 1]"),
    ("return x + y", "operator", "return x - y"),
    ("return x @ y", "operator", "return x * y"),
    ("return x - y", "argument-order", "return y - x"),
    ("return -x", "sign", "return x"),
    ("return x[0, y]", "index-order", "return x[y, 0]"),
    ("return x[0]", "constant", "return x[1]"),
    ("return torch.ones(x, dtype=torch.float32)", "dtype", "return torch.ones(x, dtype=torch.float64)"),
    ("return x.long()", "dtype", "return x.int()"),
    ("return x.to('cuda:0')", "constant", "return x.to('cuda:1')"),
    ("return x * y", "result-double", "return (x * y).double()"),
    ("return x * y", "result-transposed", "return (x * y).mT"),
    ("return x * y", "result-unsqueezed", "return (x * y).unsqueeze(0)"),
    ("return x * y", "result-detach", "return (x * y).detach()"),
    ("return x * y", "result-list", "return (x * y).tolist()"),
    ("return x[0]", "result-clone", "return x[0].clone()"),
    ("return x * y", "result-none", "return None"),
    ("return torch.zeros(x).add_(y)", "result-flipped", "return torch.zeros(x).add_(y).flip(0)"),
    ("x += y", "not-in-place", "x = x + y"),
    ("if x < y: raise ValueError('small')", "condition", "if False:"),
    ("if x < y: raise ValueError('small')", "comparison", "if x <= y:"),
    ("raise ValueError('small')", "other-error", "raise KeyboardInterrupt"),
    ("return x if y else -x", "condition", "return x"),
]


@pytest.mark.parametrize(("line", "kind", "after"), EXPECTED)
def test_a_mistake_is_made(line, kind, after):
    """Each mistake is made where it can be, and told as the statement before and after."""
    before = ast.unparse(ast.parse(line)).splitlines()[0]
    assert (kind, f"{before} -> {after}") in of_body(line)


@pytest.mark.parametrize(
    ("line", "kind", "after"),
    [
        ("return torch.zeros_like(x).detach()", "dropped-call", "return torch.zeros_like(x)"),
        ("return (x * y).clone()", "dropped-call", "return x * y"),
        ("return x * y", "result-clone", "return (x * y).clone()"),
        ("return torch.eye(3)", "result-detach", "return torch.eye(3).detach()"),
        ("return torch.zeros(x, y)", "result-flipped", "return torch.zeros(x, y).flip(0)"),
        ("return torch.ones_like(x).detach()", "result-flipped", "return torch.ones_like(x).detach().flip(0)"),
        ("return x[0, :]", "dropped-index", "return x[0]"),
        ("return max(x, y)", "argument-order", "return max(y, x)"),
        ("return torch.arange(6).view(2, 3)", "other-function", "return torch.arange(6).reshape(2, 3)"),
    ],
)
def test_no_mistake_where_it_cannot_matter(line, kind, after):
    """What the syntax shows to be the same is no mutant."""
    assert (kind, f"{line} -> {after}") not in of_body(line)


def test_words_for_people_stay():
    """Docstrings, comments, messages, annotations, imports and prints are not changed."""
    code = '''
    import torch

    def f(x: int = None) -> "Tensor":
        """Text."""
        print("text", 1)
        raise ValueError("text", 1 + 1)
    '''
    told = {change for _, change in changes(code)}
    assert not any(
        "text_" in change or "Text._" in change or "print" in change or "import" in change for change in told
    )
    assert not any("2" in change for change in told)


def test_each_mutant_is_python_and_comes_once():
    """All mutants compile, differ from the answer and from each other, also in their names."""
    code = textwrap.dedent("""
        def f(x, n):
            for i in range(n):
                x = x + 1
                x = x + 1
            return x
    """)
    made = mutants(code)
    sources = [ast.dump(ast.parse(mutant.code)) for mutant in made]
    assert len(made) > 10
    assert len({*sources, ast.dump(ast.parse(code))}) == len(made) + 1
    assert len({mutant.change for mutant in made}) == len(made)
    assert {"x = x + 1 -> x = x - 1", "x = x + 1 -> x = x - 1 (2)"} <= {mutant.change for mutant in made}


def test_another_right_answer_is_no_mutant():
    """A change that makes one right answer of another is left out, however that one is laid out."""
    other = "def f(x):\n    # the same\n    return (x.sum())\n"
    assert ("other-function", "return x.mean() -> return x.sum()") not in changes(
        "def f(x): return x.mean()", others=[other]
    )


def test_names_do_not_depend_on_layout():
    """Comments, blank lines and line breaks change no mutant's name."""
    plain = "def f(x):\n    return x.sum(dim=0)\n"
    laid_out = "# text\n\n\ndef f(\n    x,\n):\n    # text\n    return x.sum(\n        dim=0\n    )\n"
    assert changes(plain) == changes(laid_out)


def test_a_long_statement_is_told_by_the_part_that_changes():
    """The name of a mutant stays short where a statement is long."""
    items = ", ".join(f"'key{number}': flags(x + {number})" for number in range(40))
    told = {change for _, change in changes(f"FLAGS = {{{items}}}")}
    assert "flags(x + 7) -> flags(x - 7)" in told


def test_functions_only():
    """What stands outside of functions and classes can be left as it is."""
    code = "SCALE = 2\n\ndef f(x):\n    return x * 2\n"
    told = {change for _, change in changes(code, functions_only=True)}
    assert "return x * 2 -> return x / 2" in told
    assert not any(change.startswith("SCALE") for change in told)


@pytest.mark.parametrize("module", ["mutation", "operators", "flow"])
def test_the_engine_needs_nothing_but_ast(module):
    """The engine imports Python's ``ast`` and what belongs to any program, and neither torch nor the rest of us."""
    tree = ast.parse(Path(getattr(tensorgrade.verify, module).__file__).read_text(encoding="utf-8"))
    roots = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    roots |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert roots <= {"__future__", "ast", "copy", "collections", "collections.abc", "dataclasses", "flow", "operators"}
