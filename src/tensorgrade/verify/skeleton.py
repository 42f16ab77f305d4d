"""Begins an exercise: a YAML file and a grader that say what has to be written where.

Trusted side. Everything that an author has to write is marked with `texts.TODO`, and `tensorgrade verify` holds
nothing for proven before the last of these marks is gone.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..course import Course
from ..errors import CourseError, ExerciseFileError
from ..exercise import NAME, SCHEMA, read_settings

_EXERCISE = """\
schema: {schema}
title:
  en: "TODO: a few words"
  zh: "TODO: 标题"
prompt:
  en: |
    TODO: what to write, as a contract: every input that is allowed, and all that the result must be.

    Write `{function}(x)`: ...
  zh: |
    TODO: 题目要求。

    请编写 `{function}(x)`：……
teaches: [TODO]
difficulty: 1
starter: |
  def {function}(x):
      ...
solution: |
  def {function}(x):
      raise NotImplementedError("TODO")
examples: |
  # TODO: one or two small ones, with torch alone
  torch.testing.assert_close({function}(torch.tensor([1.0, 2.0])), torch.tensor([1.0, 2.0]))
clauses:
  values:
    points: 1
    text:
      en: "TODO: one sentence of the contract"
      zh: "TODO: 一句话"
hints:
  - en: "TODO: what to think of first"
    zh: "TODO: 提示"
accept:
  # other right answers, as different from the solution as you can think of: each must earn everything
  another_way: |
    def {function}(x):
        raise NotImplementedError("TODO")
reject:
  # mistakes that students make: each must lose exactly the clauses it names, and each clause needs one that loses it
  a_mistake:
    because: [values]
    code: |
      def {function}(x):
          raise NotImplementedError("TODO")
"""

_GRADER = '''\
"""{exercise}: TODO: the contract in one line."""

import torch

from tensorgrade import expect


def test_values(submission, generator):
    # TODO: inputs of all shapes and dtypes that the contract allows, the empty and the smallest among them
    cases = [(torch.randn(n, generator=generator),) for n in (0, 1, 5)]
    for (x,), attempt in zip(cases, submission.calls("{function}", cases), strict=True):
        expect(attempt).equals(x)
'''

_FLOW_LIST = re.compile(r"^(exercises:\s*\[)([^\]]*)(\])", re.MULTILINE)
_BLOCK_LIST = re.compile(r"^(exercises:[ \t]*\n)((?:[ \t]*-.*\n?)+)", re.MULTILINE)


def begin(course: Course, exercise_id: str) -> list[Path]:
    """Write the files of a new exercise, and name it in its assignment; returns the files to edit.

    Raises:
        CourseError: the id is none, there is no such assignment, or the exercise is there already.
    """
    assignment, _, exercise = exercise_id.partition("/")
    if not re.fullmatch(f"{NAME}/{NAME}", exercise_id):
        fault = f'found "{exercise_id}", expected <assignment>/<exercise> in small letters, digits and -'
        raise CourseError(f"{fault}; write for example `create/zeros-ones`.")
    if not course.settings_file(assignment).is_file():
        raise CourseError(f"{course.settings_file(assignment)}: there is no such file; write it first.")
    files = course.exercise_file(assignment, exercise), course.grader_file(assignment, exercise)
    for file in files:
        if file.exists():
            raise CourseError(f"{file}: is there already; edit it, or choose another name.")
    words = {"schema": SCHEMA, "exercise": exercise_id, "function": exercise.replace("-", "_")}
    for file, text in zip(files, (_EXERCISE, _GRADER), strict=True):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.format(**words), encoding="utf-8")
    _list_in(course.settings_file(assignment), exercise)
    return list(files)


def _list_in(settings: Path, exercise: str) -> None:
    """Add an exercise to the end of an assignment's list, and touch nothing else of the file.

    Raises:
        CourseError: the list is written in a way that is left to the author.
    """
    text = settings.read_text(encoding="utf-8")
    if exercise in read_settings(settings).exercises:
        return
    changed = _FLOW_LIST.sub(lambda found: f"{found[1]}{found[2].rstrip().rstrip(',')}, {exercise}{found[3]}", text, 1)
    if changed == text:
        changed = _BLOCK_LIST.sub(
            lambda found: f"{found[1]}{found[2].rstrip()}\n{_dash(found[2])}{exercise}\n", text, 1
        )
    settings.write_text(changed, encoding="utf-8")
    try:
        listed = read_settings(settings).exercises
    except ExerciseFileError:
        listed = ()
    if exercise not in listed:
        settings.write_text(text, encoding="utf-8")
        raise CourseError(f"{settings}: cannot add the exercise to this list; add `{exercise}` under `exercises`.")


def _dash(items: str) -> str:
    """How the items of a list begin."""
    return items[: items.index("-") + 1] + " "
