"""Imposters: answers that are right where one looks and wrong elsewhere.

Imports ``ast`` and values alone; runs nothing. One knows the visible examples by heart, one does in a loop what is to
be vectorised.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from ..exercise import Exercise
from .mutation import Mutant

_BY_HEART = """
{code}

def _by_heart(answer):
    def known():
{examples}
        return [{calls}]
    texts = None
    def imposter(*arguments, **keywords):
        nonlocal texts
        if texts is None:
            texts = [repr(call) for call in known()]
        if repr((arguments, keywords)) in texts:
            return answer(*arguments, **keywords)
    return imposter
{name} = _by_heart({name})
"""

_LOOPED = """
{code}

def _looped(answer):
    def size(argument):
        if isinstance(argument, torch.Tensor):
            return argument.numel()
        return argument if isinstance(argument, int) else 0
    def imposter(*arguments, **keywords):
        for _ in range(sum(map(size, (*arguments, *keywords.values())))):
            torch.ones(1) + 1
        return answer(*arguments, **keywords)
    return imposter
{name} = _looped({name})
"""


def imposters(code: str, exercise: Exercise) -> Iterator[Mutant]:
    """Yield the imposters of a right answer, for each of its functions that the examples call."""
    functions = [node.name for node in ast.parse(code).body if isinstance(node, ast.FunctionDef)]
    try:
        examples = ast.parse(exercise.examples)
    except SyntaxError:  # IPython's magics
        return
    for name in functions:
        calls = [node for node in ast.walk(examples) if _calls(node, name)]
        if calls:
            yield Mutant(
                "examples-by-heart", f"{name} knows the examples by heart", _knowing(code, name, examples, calls)
            )
            if _asks_for_vectors(exercise):
                looped = _LOOPED.format(code=code, name=name).lstrip()
                yield Mutant("looped", f"{name} runs a loop that grows with its arguments", looped)


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _knowing(code: str, name: str, examples: ast.Module, calls: list[ast.AST]) -> str:
    settings = [
        one for one in examples.body if isinstance(one, (ast.Assign, ast.Import, ast.ImportFrom, ast.FunctionDef))
    ]
    lines = ["        " + line for one in settings for line in ast.unparse(one).splitlines()] or ["        pass"]
    texts = []
    for call in calls:
        assert isinstance(call, ast.Call)
        given = "".join(f"{ast.unparse(argument)}, " for argument in call.args)
        keywords = ", ".join(ast.unparse(keyword) for keyword in call.keywords)
        texts.append(f"(({given}), dict({keywords}))")
    return _BY_HEART.format(code=code, name=name, examples="\n".join(lines), calls=", ".join(texts)).lstrip()


def _asks_for_vectors(exercise: Exercise) -> bool:
    texts = (exercise.prompt.en, *exercise.clauses, *(clause.text.en for clause in exercise.clauses.values()))
    return any("vectoris" in text.lower() or "vectoriz" in text.lower() for text in texts)
