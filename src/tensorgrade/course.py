"""A course on disk: the one owner of its folder and file names, and the judge of whether its files fit together.

Trusted side. ``Course.find`` locates a course, ``load`` reads an assignment, ``check`` refuses one whose exercises,
graders and needs do not belong together. Graders are read as text here, never imported.

Every problem is one line, ``file:line: what is wrong; what to do.``; all of them are reported at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel

from tensorgrade.errors import CourseError, ExerciseFileError
from tensorgrade.exercise import (
    ASSIGNMENT_FILE,
    COURSE_FILE,
    LANGUAGES,
    NAME,
    Assignment,
    AssignmentSettings,
    CourseSettings,
    Exercise,
    Text,
    read_course_settings,
    read_exercise,
    read_settings,
)
from tensorgrade.figures import figures, is_figure
from tensorgrade.fit import problem_at, unknown_concepts, wrong_grader, wrong_needs
from tensorgrade.limits import DEFAULT_LIMITS
from tensorgrade.model import FrozenMapping
from tensorgrade.yamlfile import Key, Problem, closest

__all__ = ["Assignment", "Course"]

CONFIG_FILE = "nbgrader_config.py"

Content = TypeVar("Content")


@dataclass(frozen=True)
class Course:
    """A course by its root folder, the one that holds ``nbgrader_config.py`` and ``assignments/``."""

    root: Path

    @classmethod
    def find(cls, start: Path) -> Course:
        """Return the course that ``start``, a file or folder, lies in.

        Raises:
            CourseError: no folder from ``start`` upwards is the root of a course.
        """
        start = start.resolve()
        for folder in (start, *start.parents):
            if (folder / CONFIG_FILE).is_file() and (folder / "assignments").is_dir():
                return cls(folder)
        raise CourseError(
            f"{start}: found no course here or in a folder above, expected one folder with both {CONFIG_FILE} and "
            "assignments/; change to the course's folder."
        )

    # ------------------------------------------------------------------------------------------- names

    @property
    def config_file(self) -> Path:
        """The configuration of nbgrader."""
        return self.root / CONFIG_FILE

    @property
    def assignments(self) -> Path:
        """The folder of the YAML files, solutions included; never nbgrader's source folder."""
        return self.root / "assignments"

    @property
    def graders(self) -> Path:
        """The folder of the hidden graders."""
        return self.root / "graders"

    @property
    def source(self) -> Path:
        """The folder of the generated instructor notebooks."""
        return self.root / "source"

    @property
    def release(self) -> Path:
        """The folder of the generated student notebooks."""
        return self.root / "release"

    @property
    def submitted(self) -> Path:
        """The folder nbgrader collects submissions in."""
        return self.root / "submitted"

    @property
    def autograded(self) -> Path:
        """The folder nbgrader puts graded notebooks in."""
        return self.root / "autograded"

    @property
    def results(self) -> Path:
        """Return the folder of stored results."""
        return self.root / ".tensorgrade" / "results"

    @property
    def feedback(self) -> Path:
        """The folder nbgrader puts feedback pages in."""
        return self.root / "feedback"

    def assignment_folder(self, assignment: str) -> Path:
        """Return the folder of an assignment's YAML and side files."""
        return self.assignments / assignment

    def settings_file(self, assignment: str) -> Path:
        """Return the ``assignment.yaml`` of an assignment."""
        return self.assignment_folder(assignment) / ASSIGNMENT_FILE

    def exercise_file(self, assignment: str, exercise: str) -> Path:
        """Return the YAML file of an exercise."""
        return self.assignment_folder(assignment) / f"{exercise}.yaml"

    def grader_file(self, assignment: str, exercise: str) -> Path:
        """Return the hidden grader of an exercise."""
        return self.graders / assignment / f"test_{exercise.replace('-', '_')}.py"

    def source_notebook(self, assignment: str) -> Path:
        """Return the instructor notebook of an assignment."""
        return self.source / assignment / f"{assignment}.ipynb"

    def release_notebook(self, assignment: str) -> Path:
        """Return the student notebook of an assignment."""
        return self.release / assignment / f"{assignment}.ipynb"

    def assignment_names(self) -> tuple[str, ...]:
        """Return the names of all assignments, sorted."""
        folders = self.assignments.iterdir() if self.assignments.is_dir() else ()
        return tuple(sorted(f.name for f in folders if f.is_dir() and not f.name.startswith((".", "_"))))

    # --------------------------------------------------------------------------------------- contents

    def load(self, name: str) -> Assignment:
        """Return an assignment with its exercises in the order of its ``assignment.yaml``.

        Raises:
            CourseError: there is no assignment ``name``.
            ExerciseFileError: all that is wrong with its YAML files, whether they are listed or not.
        """
        files = sorted((*self.assignment_folder(name).glob("*.yaml"), self.assignments / COURSE_FILE))
        facts = tuple((file, *_stamp(file)) for file in files)
        known = _loaded.get((self.root, name))
        if known is None or known[0] != facts:
            known = _loaded[self.root, name] = facts, self._load(name)
        return known[1]

    def _load(self, name: str) -> Assignment:
        reading = self._read(name)
        if reading.course is None or reading.settings is None or reading.problems:
            raise ExerciseFileError("\n".join(reading.problems))
        exercises = (reading.exercises[exercise] for exercise in reading.settings.exercises)
        settled = (_settled(exercise, reading.settings, reading.course) for exercise in exercises)
        return Assignment(name, reading.settings, tuple(settled))

    def problems(self, assignment: str) -> tuple[str, ...]:
        """Return all that is wrong with an assignment, one line each; needs are followed through the whole course.

        Raises:
            CourseError: there is no such assignment.
        """
        reading = self._read(assignment)
        fit = chain(
            self._stray_files(assignment, reading),
            self._missing_side_files(assignment, reading),
            self._missing_figures(assignment, reading),
            self._unlisted(reading),
            self._wrong_needs(assignment),
            self._unknown_concepts(reading),
            chain.from_iterable(wrong_grader(one, self.grader_file(assignment, one.name)) for one in reading.listed()),
            self._orphaned_graders(assignment),
        )
        return (*reading.problems, *map(str, fit))

    def check(self, assignment: str) -> None:
        """Make sure that the files of an assignment are valid and fit together.

        Raises:
            CourseError: all problems of the assignment.
        """
        problems = self.problems(assignment)
        if problems:
            raise CourseError("\n".join(problems))

    def _read(self, name: str) -> _Reading:
        names = self.assignment_names()
        if name not in names:
            remedy = closest(name, names) if names else f"write {self.settings_file(name)}"
            raise CourseError(f'{self.assignments}: found no assignment "{name}"; {remedy}.')
        problems = [] if re.fullmatch(NAME, name) else [str(self._misnamed(name))]
        course = _attempt(read_course_settings, self.assignments / COURSE_FILE, problems)
        settings = _attempt(read_settings, self.settings_file(name), problems)
        files = self._exercise_files(name)
        attempts = {file.stem: _attempt(read_exercise, file, problems) for file in files}
        exercises = {stem: exercise for stem, exercise in attempts.items() if exercise}
        missing = self._missing_exercises(name, settings, attempts)
        return _Reading(course, settings, exercises, (*problems, *map(str, missing)))

    def _exercise_files(self, assignment: str) -> list[Path]:
        files = self.assignment_folder(assignment).glob("*.yaml")
        return sorted(file for file in files if file.name != ASSIGNMENT_FILE)

    def _misnamed(self, name: str) -> Problem:
        fault = f'found the folder name "{name}", expected small letters, digits and -, beginning with a letter'
        return Problem(self.settings_file(name), 1, fault, "rename the folder, for example `create`")

    # ----------------------------------------------------------------------- what does not fit together

    def _missing_exercises(
        self, name: str, settings: AssignmentSettings | None, found: Iterable[str]
    ) -> Iterator[Problem]:
        for index, exercise in enumerate(settings.exercises if settings else ()):
            if exercise not in found:
                file = self.exercise_file(name, exercise)
                remedy = f"write {file}, or remove the name"
                fault = f'found "{exercise}", which has no file'
                yield problem_at(self.settings_file(name), ("exercises", index), fault, remedy)

    def _stray_files(self, assignment: str, reading: _Reading) -> Iterator[Problem]:
        folder = self.assignment_folder(assignment)
        declared = set(reading.settings.files if reading.settings else ())
        declared |= {name for _file, _key, name in self._figures(assignment, reading)}
        for file in sorted(path for path in folder.rglob("*") if not path.is_dir()):
            name = file.relative_to(folder).as_posix()
            if name not in declared and not ("/" not in name and file.suffix == ".yaml"):
                remedy = f"remove it, or name it under `files` in {self.settings_file(assignment)}"
                yield Problem(file, 1, "found a stray file", remedy)

    def _missing_side_files(self, assignment: str, reading: _Reading) -> Iterator[Problem]:
        for index, name in enumerate(reading.settings.files if reading.settings else ()):
            file = self.assignment_folder(assignment) / name
            if not file.is_file():
                remedy = f"add the file {file}, or remove the name"
                fault = f'found "{name}", which is no file'
                yield problem_at(self.settings_file(assignment), ("files", index), fault, remedy)

    def _missing_figures(self, assignment: str, reading: _Reading) -> Iterator[Problem]:
        for file, key, name in self._figures(assignment, reading):
            figure = self.assignment_folder(assignment) / name
            if not is_figure(name):
                remedy = "name an .svg, .png or .jpg below the assignment's folder, for example `figures/strides.svg`"
                yield problem_at(file, key, f'found the figure "{name}", which is no such path', remedy)
            elif not figure.is_file():
                remedy = f"add the file {figure}, or remove the figure"
                yield problem_at(file, key, f'found the figure "{name}", which is no file', remedy)

    def _figures(self, assignment: str, reading: _Reading) -> Iterator[tuple[Path, Key, str]]:
        """Each figure that a text shows, with the file and the key of that text."""
        texts: list[tuple[Path, str, Text]] = [(one.file, "prompt", one.prompt) for one in reading.exercises.values()]
        if reading.settings:
            texts.append((self.settings_file(assignment), "introduction", reading.settings.introduction))
        for file, key, text in texts:
            for language in LANGUAGES:
                yield from ((file, (key, language), name) for name in figures(text.get(language)))

    def _unlisted(self, reading: _Reading) -> Iterator[Problem]:
        listed = reading.settings.exercises if reading.settings else tuple(reading.exercises)
        for name, exercise in reading.exercises.items():
            if name not in listed:
                remedy = f"add `{name}` there, or remove the file"
                yield Problem(exercise.file, 1, f"found no mention under `exercises` in {ASSIGNMENT_FILE}", remedy)

    def _wrong_needs(self, assignment: str) -> Iterator[Problem]:
        files = [file for name in self.assignment_names() for file in self._exercise_files(name)]
        known = {f"{file.parent.name}/{file.stem}" for file in files}
        # A file with mistakes is reported when its own assignment is checked.
        exercises = {e.id: e for file in files if (e := _attempt(read_exercise, file, []))}
        return wrong_needs(exercises, known, assignment)

    def _unknown_concepts(self, reading: _Reading) -> Iterator[Problem]:
        known = reading.course.concepts if reading.course else ()
        for exercise in reading.exercises.values():
            yield from unknown_concepts(exercise, known)

    def _orphaned_graders(self, assignment: str) -> Iterator[Problem]:
        graded = {self.grader_file(assignment, file.stem) for file in self._exercise_files(assignment)}
        for grader in sorted((self.graders / assignment).glob("test_*.py")):
            if grader not in graded:
                fault = f"found a grader without an exercise in {self.assignment_folder(assignment)}"
                yield Problem(grader, 1, fault, "rename it after its exercise, or remove it")


@dataclass(frozen=True)
class _Reading:
    """What could be read of an assignment, and what could not."""

    course: CourseSettings | None
    settings: AssignmentSettings | None
    exercises: Mapping[str, Exercise]
    problems: tuple[str, ...]

    def listed(self) -> Iterator[Exercise]:
        names = self.settings.exercises if self.settings else tuple(self.exercises)
        return (self.exercises[name] for name in names if name in self.exercises)


_loaded: dict[tuple[Path, str], tuple[object, Assignment]] = {}
"""Assignments by course and name, with the stamps of the files that they were read from."""


def _stamp(file: Path) -> tuple[int, int]:
    """What changes when a file is written: its time and its size."""
    try:
        facts = file.stat()
    except OSError:
        return (0, 0)
    return facts.st_mtime_ns, facts.st_size


def _attempt(reader: Callable[[Path], Content], file: Path, problems: list[str]) -> Content | None:
    """Return what ``reader`` makes of ``file``, or add its problems to ``problems``."""
    try:
        return reader(file)
    except ExerciseFileError as error:
        problems += str(error).splitlines()
        return None


def _settled(exercise: Exercise, settings: AssignmentSettings, course: CourseSettings) -> Exercise:
    """Return the exercise with its final limits, accelerators and levels of disclosure; an explicit 0 stays 0."""
    files = (exercise, settings, course)
    limits = exercise.limits.over(settings.limits).over(course.limits).over(DEFAULT_LIMITS)
    level = _stated("disclosure", files)
    clauses = {
        name: clause.model_copy(update={"disclosure": _stated("disclosure", (clause, *files))})
        for name, clause in exercise.clauses.items()
    }
    settled = {"limits": limits, "accelerators": _stated("accelerators", files), "disclosure": level}
    return exercise.model_copy(update={**settled, "clauses": FrozenMapping(clauses)})


def _stated(key: str, contents: Sequence[BaseModel]) -> object:
    """What the first of `contents` that has `key` says, or the default of all."""
    return getattr(next((one for one in contents if key in one.model_fields_set), contents[-1]), key)
