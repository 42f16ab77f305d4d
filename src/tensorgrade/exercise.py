"""What an author writes about an exercise and an assignment, as frozen values.

Trusted side. `read_exercise` and `read_settings` turn one YAML file each into a value, once, at the edge: nothing
else passes dicts on, and nothing else needs to check again what is checked here. The same models give the JSON
Schemas that editors complete and check the files with (`json_schema`).

The ``description`` and ``examples`` of a field are what an error message says was expected, and what to write.
"""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import AfterValidator, BaseModel, Field, ValidationInfo

from tensorgrade.equivalence import EQUIVALENT, EquivalentMutants
from tensorgrade.errors import CourseError
from tensorgrade.limits import Limits
from tensorgrade.model import EACH_ONCE, FROZEN, LISTED, FrozenMapping, Model, said
from tensorgrade.validation import complaint, validate
from tensorgrade.yamlfile import Problem, closest, read

Language = Literal["en", "zh"]
LANGUAGES: tuple[Language, ...] = get_args(Language)


class Level(StrEnum):
    """How much a student is told of a clause that failed, from the least to the most; each tells what the former do."""

    VERDICT = "verdict"
    """That it failed."""
    CLAUSE = "clause"
    """What it asks for, and what is wrong with the answer."""
    CASE = "case"
    """For which input."""
    FULL = "full"
    """What the answer gave and what is right."""


SCHEMA = 1
"""The number of the YAML schema this version reads."""

ASSIGNMENT_FILE = "assignment.yaml"
"""The name of the file in an assignment's folder that is not an exercise."""

COURSE_FILE = "course.yaml"
"""The name of the file beside the assignments' folders that says what holds for all of them."""

_CLAUSE_NAME = "^[a-z][a-z0-9]*(_[a-z0-9]+)*$"  # `__` parts it from the rest of a test's name
NAME = "[a-z][a-z0-9-]*"  # of an exercise or an assignment: part of file names and of nbgrader's cell ids


# ------------------------------------------------------------------------------------- checks of values


def _syntax_error(code: str) -> SyntaxError | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # style of the author's code, and no reason to refuse it
        try:
            compile(code, "<yaml>", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        except SyntaxError as error:
            return error
        except ValueError as error:  # a NUL character, before Python 3.12
            return SyntaxError(str(error))
    return None


def _valid_python(code: str) -> str:
    error = _syntax_error(code)
    if error is not None:
        line = min(error.lineno or 1, max(1, len(code.splitlines())))
        fault = f"found code that is not Python ({error.msg})"
        raise complaint(fault, "mend the code on this line or just above it", text_line=line)
    return code


def _valid_cell(code: str) -> str:
    if _syntax_error(code) is not None:  # it may have IPython's magics, or what only looks like one
        _valid_python(re.sub(r"^([ \t]*)[%!].*$", r"\1pass", code, flags=re.MULTILINE))
    return code


def _known_version(number: int) -> int:
    remedy = f"write `schema: {SCHEMA}`"
    if number < SCHEMA:
        raise complaint(f"found {number}, older than the oldest schema there is, {SCHEMA}", remedy)
    if number > SCHEMA:
        fault = f"found {number}, newer than schema {SCHEMA}, the newest this tensorgrade reads"
        raise complaint(fault, f"upgrade with `pip install --upgrade tensorgrade`, or {remedy} and use its keys")
    return number


def _known_clause(name: str, info: ValidationInfo) -> str:
    """Refuse a clause the exercise does not have; the clauses of a file come as the validation's context."""
    known: tuple[str, ...] | None = (info.context or {}).get("clauses")
    if known is not None and name not in known:
        raise complaint(f'found "{name}", which is no clause of this exercise', closest(name, known))
    return name


def _known_hint(number: int | None, info: ValidationInfo) -> int | None:
    """Refuse a hint the exercise does not have; their number comes as the validation's context."""
    known: int | None = (info.context or {}).get("hints")
    if known is not None and number is not None and number > known:
        counted = f"the exercise has {known}" if known else "the exercise has none"
        raise complaint(f"found the hint {number}, but {counted}", "write the number of one, or add a hint")
    return number


def _not_the_assignment_file(name: str) -> str:
    if name == Path(ASSIGNMENT_FILE).stem:
        raise complaint(f"found {name}, the name of {ASSIGNMENT_FILE} itself", "give the exercise another name")
    return name


def _safe_to_hand_out(path: str) -> str:
    """Refuse what leads out of the assignment's folder, and the exercises, which hold the solutions."""
    parts = path.split("/")
    if {"", ".", ".."} & set(parts) or "\\" in path or ":" in path:
        fault = f'found "{path}", which is no plain path below the assignment\'s folder'
        raise complaint(fault, "write for example `data/points.csv`")
    if len(parts) == 1 and Path(path).suffix.lower() == ".yaml":
        raise complaint(f'found "{path}", but exercises hold the solutions', "remove it; students get a notebook")
    return path


# ----------------------------------------------------------------------------------------------- models


_TEXT = {"en": "Identity matrix", "zh": "单位矩阵"}
_CODE = "def identity(n):\n    ...\n"
_CLAUSE = {"points": 1, "text": {"en": "ones on the main diagonal", "zh": "主对角线上为 1"}}
_REJECTED = {"because": ["values"], "code": "def identity(n): return n"}

_Code = Annotated[str, said("Python code", _CODE, pattern=r"\S"), AfterValidator(_valid_python)]
_Concept = Annotated[str, said("a concept in a word", "dtype", pattern=r"\S")]
_ClauseName = Annotated[str, said("a-z, 0-9 and single _ between words", "values", pattern=_CLAUSE_NAME)]
_AnswerName = Annotated[str, said("a-z, 0-9, _ and -, first a letter", "square_only", pattern="^[a-z][a-z0-9_-]*$")]
_ExerciseId = Annotated[str, said("<assignment>/<exercise>", "create/eye", pattern=f"^{NAME}/{NAME}$")]
_ExerciseName = Annotated[
    str,
    said("an exercise: a-z, 0-9 and -, first a letter", "zeros-ones", pattern=f"^{NAME}$"),
    AfterValidator(_not_the_assignment_file),
]
_Text = Annotated["Text", said("a text in English and Chinese", _TEXT)]
_Clause = Annotated["Clause", said("points and text of a clause", _CLAUSE)]
_Disclosure = Annotated[
    Level, said("how much students are told: verdict, clause, case or full", "case"), Field(strict=False)
]
_Rejected = Annotated["RejectedAnswer", said("code, and the clauses it must lose", _REJECTED)]
_Equivalent = Annotated[EquivalentMutants, said("mutants, and a reason", EQUIVALENT)]
_KnownClause = Annotated[str, said("a clause of this exercise", "values"), AfterValidator(_known_clause)]
_HintNumber = Annotated[
    int | None, said("the number of a hint of this exercise, from 1", 1, ge=1), AfterValidator(_known_hint)
]
_SideFile = Annotated[
    str, said("a path below the assignment's folder", "data/points.csv"), AfterValidator(_safe_to_hand_out)
]


class Text(Model):
    """A text in every language of the course; Markdown where it is shown as such."""

    en: Annotated[str, said("English text", _TEXT["en"], pattern=r"\S")]
    zh: Annotated[str, said("Chinese text", _TEXT["zh"], pattern=r"\S")]

    def get(self, lang: Language) -> str:
        """Return the text in the language ``lang``."""
        return {"en": self.en, "zh": self.zh}[lang]


class Clause(Model):
    """One sentence of an exercise's contract, and what keeping it is worth."""

    points: Annotated[float, said("a number greater than 0", 1, gt=0, allow_inf_nan=False)]
    text: Annotated[Text, said("the sentence in English and Chinese", _CLAUSE["text"])]
    hint: _HintNumber = None
    disclosure: _Disclosure = Level.CLAUSE


class RejectedAnswer(Model):
    """A wrong answer that must lose exactly the clauses it names."""

    because: Annotated[
        tuple[_KnownClause, ...], said("a list of clauses, one or more", ["values"], min_length=1), *EACH_ONCE
    ]
    code: _Code
    diagnosis: Annotated[str | None, said("the code of a finding", "shape", pattern="^[a-z][a-z0-9-]*$")] = None


class _Limited(Model):
    """The keys that all files have in common."""

    schema_: Annotated[int, AfterValidator(_known_version)] = Field(
        alias="schema", description="the number 1", examples=[SCHEMA], json_schema_extra={"const": SCHEMA}
    )
    limits: Annotated[Limits, said("limits of time, memory and more", {"seconds": 10, "memory": "1 GiB"})] = Limits()
    accelerators: Annotated[
        int, said("a whole number of virtual devices the graded machine has, 0 or more", 2, ge=0)
    ] = 0
    disclosure: _Disclosure = Level.CLAUSE


class CourseSettings(_Limited):
    """What a course's ``assignments/course.yaml`` says.

    Its limits and the like hold where assignments and exercises say nothing. If it lists concepts, exercises teach
    these and no others.
    """

    concepts: Annotated[
        tuple[_Concept, ...], said("a list of all concepts that exercises teach", ["eye", "dtype"]), *EACH_ONCE
    ] = ()


class _Graded(_Limited):
    """The keys that exercises and assignments have in common."""

    title: Annotated[Text, said("a title in English and Chinese", _TEXT)]


class ExerciseContent(_Graded):
    """What an exercise's YAML file says."""

    prompt: Annotated[Text, said("the task in English and Chinese Markdown", _TEXT)]
    teaches: Annotated[tuple[_Concept, ...], said("a list of concepts", ["eye", "dtype"]), *EACH_ONCE] = ()
    needs: Annotated[tuple[_ExerciseId, ...], said("a list of exercises", ["create/eye"]), *EACH_ONCE] = ()
    difficulty: Annotated[int, said("a whole number from 1 to 5", 1, ge=1, le=5)]
    starter: Annotated[_Code, said("the Python code the student begins with", _CODE)]
    solution: Annotated[_Code, said("a right answer in Python", _CODE)]
    examples: Annotated[
        str,
        said("visible checks: plain Python asserts", "assert f(1) == 1", pattern=r"\S"),
        AfterValidator(_valid_cell),
    ]
    clauses: Annotated[
        Mapping[_ClauseName, _Clause],
        said("the graded clauses by name, one or more", {"values": _CLAUSE}, min_length=1),
        *FROZEN,
    ]
    hints: Annotated[tuple[_Text, ...], said("a list of texts", [_TEXT]), LISTED] = ()
    accept: Annotated[Mapping[_AnswerName, _Code], said("other right answers by name", {"compare": "..."}), *FROZEN] = (
        Field(default_factory=FrozenMapping)
    )
    reject: Annotated[
        Mapping[_AnswerName, _Rejected], said("wrong answers by name", {"square_only": _REJECTED}), *FROZEN
    ] = Field(default_factory=FrozenMapping)
    equivalent: Annotated[
        tuple[_Equivalent, ...], said("a list of changes that leave right answers right", [EQUIVALENT]), LISTED
    ] = ()


class Exercise(ExerciseContent):
    """One exercise: what its file says, and where the file is."""

    name: str
    """The stem of the file."""
    assignment: str
    file: Path

    @property
    def id(self) -> str:
        """The name among all exercises of the course: ``<assignment>/<name>``."""
        return f"{self.assignment}/{self.name}"

    @property
    def points(self) -> float:
        """What a full solution is worth."""
        return sum(clause.points for clause in self.clauses.values())


class AssignmentSettings(_Graded):
    """What an assignment's ``assignment.yaml`` says."""

    introduction: Annotated[Text, said("the first words of the notebook in English and Chinese", _TEXT)]
    exercises: Annotated[
        tuple[_ExerciseName, ...],
        said("a list of exercises in order, one or more", ["zeros-ones", "eye"], min_length=1),
        *EACH_ONCE,
    ]
    setup: Annotated[
        str, said("the code of the notebook's first code cell", "import torch"), AfterValidator(_valid_cell)
    ] = "import torch\nimport torch.nn.functional as F\nfrom torch import nn"
    files: Annotated[tuple[_SideFile, ...], said("a list of files", ["data/points.csv"]), *EACH_ONCE] = ()


@dataclass(frozen=True)
class Assignment:
    """An assignment with its exercises in order, each with its final limits and accelerators."""

    name: str
    settings: AssignmentSettings
    exercises: tuple[Exercise, ...]

    def exercise(self, name: str) -> Exercise:
        """Return one exercise.

        Raises:
            CourseError: the assignment has no exercise ``name``.
        """
        exercises = {exercise.name: exercise for exercise in self.exercises}
        if name not in exercises:
            raise CourseError(f'found "{name}", no exercise of {self.name}; {closest(name, exercises)}.')
        return exercises[name]


# ---------------------------------------------------------------------------------------------- reading


def read_exercise(file: Path) -> Exercise:
    """Return the exercise in ``assignments/<assignment>/<exercise>.yaml``, its limits as the file has them.

    Raises:
        ExerciseFileError: all that is wrong with the file.
    """
    document = read(file)
    clauses, hints = document.content.get("clauses"), document.content.get("hints", ())
    context: dict[str, object] = {"clauses": tuple(clauses)} if isinstance(clauses, Mapping) else {}
    if isinstance(hints, Sequence):
        context["hints"] = len(hints)
    content = validate(document, ExerciseContent, context=context, also=_misnamed(file))
    place = {"name": file.stem, "assignment": file.parent.name, "file": file}
    # The content is valid already, and must keep note of the keys that were set.
    return Exercise.model_construct({*content.model_fields_set, *place}, **dict(content), **place)


def read_settings(file: Path) -> AssignmentSettings:
    """Return what an ``assignment.yaml`` says.

    Raises:
        ExerciseFileError: all that is wrong with the file.
    """
    return validate(read(file), AssignmentSettings)


def read_course_settings(file: Path) -> CourseSettings:
    """Return what a ``course.yaml`` says; nothing when there is none.

    Raises:
        ExerciseFileError: all that is wrong with the file.
    """
    return validate(read(file), CourseSettings) if file.is_file() else CourseSettings(schema=SCHEMA)


def _misnamed(file: Path) -> list[Problem]:
    if re.fullmatch(NAME, file.stem):
        return []
    fault = f'found the file name "{file.name}", expected small letters, digits and -, beginning with a letter'
    return [Problem(file, 1, fault, "rename the file, for example `zeros-ones.yaml`")]


# ---------------------------------------------------------------------------------------------- schemas


def exercise_schema() -> dict[str, object]:
    """Return the JSON Schema of an exercise's YAML file."""
    return _schema_of(ExerciseContent, "Exercise")


def assignment_schema() -> dict[str, object]:
    """Return the JSON Schema of an ``assignment.yaml``."""
    return _schema_of(AssignmentSettings, "Assignment")


def course_schema() -> dict[str, object]:
    """Return the JSON Schema of a ``course.yaml``."""
    return _schema_of(CourseSettings, "Course")


def _schema_of(model: type[BaseModel], title: str) -> dict[str, object]:
    dialect = "https://json-schema.org/draft/2020-12/schema"
    return {"$schema": dialect, **model.model_json_schema(), "title": title}


def json_schema() -> dict[str, str]:
    """Return the text of each JSON Schema file by its name; the same on every run."""
    schemas = {
        "exercise.schema.json": exercise_schema(),
        "assignment.schema.json": assignment_schema(),
        "course.schema.json": course_schema(),
    }
    return {name: json.dumps(schema, indent=2, ensure_ascii=False) + "\n" for name, schema in schemas.items()}
