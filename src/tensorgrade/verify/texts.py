"""What can be said of an exercise without running anything: what is missing in its file.

Trusted side. Names, graders, needs and stray files are `tensorgrade.course`'s matter, types and languages of texts that
of `tensorgrade.exercise`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..exercise import Exercise, Text
from ..fit import problem_at
from ..yamlfile import Key, Problem

TODO = "TODO"
"""What stands in a skeleton where an author has to write something."""

_CODE = re.compile(r"```.*?```|`[^`]*`|\$[^$]*\$", re.DOTALL)
_CHINESE = re.compile("[\u4e00-\u9fff]")
_PROSE = 3
"""From so many words outside of code a text is prose, which differs between languages."""


def incomplete(exercise: Exercise, grader: Path) -> Iterator[Problem]:
    """Yield what an exercise lacks: words to fill in, translations, and clauses that no wrong answer loses."""
    yield from _to_do(exercise, grader)
    yield from _untranslated(exercise)
    lost = {clause for answer in exercise.reject.values() for clause in answer.because}
    for clause in exercise.clauses:
        if clause not in lost:
            fault = "found no `reject` answer that loses this clause"
            remedy = f"write a wrong answer with `because: [{clause}]`, to show that the grader notices"
            yield problem_at(exercise.file, ("clauses", clause), fault, remedy)


def _to_do(exercise: Exercise, grader: Path) -> Iterator[Problem]:
    content = exercise.model_dump(mode="json", exclude={"name", "assignment", "file", "limits"})
    for key, text in _strings(content, ()):
        if TODO in text:
            yield problem_at(exercise.file, key, f"found {TODO}", "write what is asked for there")
    lines = grader.read_text(encoding="utf-8", errors="replace").splitlines() if grader.is_file() else []
    for number, line in enumerate(lines, start=1):
        if TODO in line:
            yield Problem(grader, number, f"found {TODO}", "write what is asked for there")


def _strings(content: object, key: Key) -> Iterator[tuple[Key, str]]:
    if isinstance(content, str):
        yield key, content
    elif isinstance(content, Mapping):
        for name, value in content.items():
            yield from _strings(value, (*key, name))
    elif isinstance(content, list):
        for number, value in enumerate(content):
            yield from _strings(value, (*key, number))


def _untranslated(exercise: Exercise) -> Iterator[Problem]:
    texts: dict[Key, Text] = {("prompt",): exercise.prompt}
    texts |= {("clauses", name, "text"): clause.text for name, clause in exercise.clauses.items()}
    texts |= {("hints", number): hint for number, hint in enumerate(exercise.hints)}
    for key, text in texts.items():
        if len(re.findall(r"[a-z]+", _CODE.sub("", text.en))) >= _PROSE and not _CHINESE.search(text.zh):
            yield problem_at(exercise.file, (*key, "zh"), "found no Chinese in the Chinese text", "translate it")
