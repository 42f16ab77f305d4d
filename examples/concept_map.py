"""The concept map of a course: what each exercise teaches, and which one builds on which.

One band per assignment. In a band an exercise stands to the right of all that it needs there, and arrows lead to it;
what it needs of another assignment, or of a column farther away, is named in its box, since arrows across others would
hide more than they show.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from examples.drawing import BLUE, FAINT, GREEN, GREY, INK, ORANGE, PURPLE, RED, TINTS, box, drawing, text
from tensorgrade.exercise import Assignment, Exercise

COLOURS = (BLUE, ORANGE, GREEN, PURPLE, RED, GREY)
WIDTH, GAP = 148, 34
"""Of a box, and between two columns of them."""
LETTERS = 23
"""In one line of a box."""
LEFT, HEAD, BETWEEN, LINE = 20, 34, 12, 14


@dataclass(frozen=True)
class Place:
    """Where the box of an exercise is, and what stands in it below the name."""

    x: float
    y: float
    height: float
    lines: tuple[tuple[str, str], ...]
    """Text and colour of each line."""


def concept_map(assignments: Sequence[Assignment]) -> str:
    """Return the map as the text of an SVG file."""
    colours = {assignment.name: colour for assignment, colour in zip(assignments, COLOURS, strict=True)}
    parts: list[str] = []
    columns, top = 0, 16.0
    for assignment in assignments:
        places = _places(assignment, colours, top + HEAD)
        columns = max(columns, max(_depth(exercise, assignment) for exercise in assignment.exercises) + 1)
        bottom = max(place.y + place.height for place in places.values())
        colour = colours[assignment.name]
        parts += [text(LEFT, top + 16, assignment.settings.title.en, anchor="start", bold=True, colour=colour)]
        parts += _arrows(assignment, places, colour)
        for exercise in assignment.exercises:
            parts += _node(exercise.name, places[exercise.id], colour)
        top = bottom + 26
    width = 2 * LEFT + columns * WIDTH + (columns - 1) * GAP
    return drawing(width, round(top), "What the exercises teach, and which builds on which", parts)


def _places(assignment: Assignment, colours: Mapping[str, str], top: float) -> dict[str, Place]:
    """The places of an assignment's boxes: a column for each depth, the shorter ones in the middle of the band."""
    columns: dict[int, list[Exercise]] = {}
    for exercise in assignment.exercises:
        columns.setdefault(_depth(exercise, assignment), []).append(exercise)
    lines = {exercise.id: _lines(exercise, assignment, colours) for exercise in assignment.exercises}
    heights = {name: 30 + LINE * len(inside) for name, inside in lines.items()}
    tall = {depth: sum(heights[one.id] + BETWEEN for one in column) - BETWEEN for depth, column in columns.items()}
    places: dict[str, Place] = {}
    for depth in sorted(columns):
        y = top + (max(tall.values()) - tall[depth]) / 2
        for exercise in sorted(columns[depth], key=lambda one: _middle(one, places)):  # lest arrows cross
            height = heights[exercise.id]
            places[exercise.id] = Place(LEFT + depth * (WIDTH + GAP), y, height, lines[exercise.id])
            y += height + BETWEEN
    return places


def _depth(exercise: Exercise, assignment: Assignment) -> int:
    """How many exercises of its own assignment must come before, one after the other."""
    within = [assignment.exercise(need.split("/")[1]) for need in _within(exercise)]
    return max((_depth(need, assignment) + 1 for need in within), default=0)


def _middle(exercise: Exercise, places: Mapping[str, Place]) -> float:
    """How far down what an exercise needs is on average."""
    needs = [places[need] for need in _within(exercise)]
    return sum(need.y + need.height / 2 for need in needs) / max(len(needs), 1)


def _within(exercise: Exercise) -> list[str]:
    return [need for need in exercise.needs if need.startswith(f"{exercise.assignment}/")]


def _lines(exercise: Exercise, assignment: Assignment, colours: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    concepts = textwrap.wrap(", ".join(exercise.teaches), LETTERS, break_long_words=False, break_on_hyphens=False)
    far = [need for need in exercise.needs if need not in _near(exercise, assignment)]
    after = [(f"after {need.removeprefix(f'{assignment.name}/')}", colours[need.split("/")[0]]) for need in far]
    return (*((words, FAINT) for words in concepts), *after)


def _near(exercise: Exercise, assignment: Assignment) -> list[str]:
    """What an exercise needs of the column to its left."""
    depth = _depth(exercise, assignment) - 1
    return [need for need in _within(exercise) if _depth(assignment.exercise(need.split("/")[1]), assignment) == depth]


def _arrows(assignment: Assignment, places: Mapping[str, Place], colour: str) -> list[str]:
    parts = []
    for exercise in assignment.exercises:
        end = places[exercise.id]
        for need in _near(exercise, assignment):
            start = places[need]
            x, y = start.x + WIDTH, start.y + start.height / 2
            to_x, to_y = end.x - 2, end.y + end.height / 2
            way = f"M{x:g} {y:g} C{x + GAP:g} {y:g} {to_x - GAP:g} {to_y:g} {to_x:g} {to_y:g}"
            head = f'marker-end="url(#head{colour[1:]})"'
            parts.append(f'<path d="{way}" fill="none" stroke="{colour}" stroke-width="1.4" {head}/>')
    return parts


def _node(name: str, place: Place, colour: str) -> list[str]:
    parts = [box(place.x, place.y, WIDTH, place.height, fill=TINTS[colour], edge=colour, corner=6)]
    middle = place.x + WIDTH / 2
    parts += [text(middle, place.y + 19, name, bold=True, size=13, colour=INK)]
    for number, (words, ink) in enumerate(place.lines):
        parts += [text(middle, place.y + 35 + LINE * number, words, size=11, colour=ink)]
    return parts
