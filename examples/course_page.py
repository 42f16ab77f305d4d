"""Writes docs/course.md and its concept map: the exercises of this course, what each needs, and what they settle.

python -m examples.course_page
"""

from __future__ import annotations

from pathlib import Path

from examples.concept_map import concept_map
from tensorgrade.course import Course
from tensorgrade.exercise import Assignment

PAGE = Path(__file__).parents[1] / "docs" / "course.md"
MAP = PAGE.parent / "figures" / "concepts.svg"
MINUTES = 5
"""What an exercise takes a student, for each step of its difficulty."""

MISCONCEPTIONS = [
    ("`x[:1]` is the second column", "it is the first row, still with two dimensions", "operate/index"),
    ("tensors have `.copy()`", "they have `.clone()`; `.copy()` is NumPy's", "operate/copy"),
    ("`reshape` always copies", "it is a view whenever strides allow one", "operate/flat-copy"),
    ("`clone()` then `view()` always works", "a clone keeps the strides", "operate/non-contiguous"),
    ("`torch.tensor([1, 2])` is float", "it is int64: integers stay integers", "create/from-data"),
    ("`linspace`'s steps are gaps", "they are points; there is one gap less", "create/linspace"),
    ("images are stored channels-last", "torch's layers take (batch, channels, height, width)", "operate/layout"),
    ("non-leaves have a `.grad`", "only leaves do, unless one asks to retain it", "autograd/predict-flags"),
    ("`x.grad.data.zero_()` before the first backward", "`.grad` is `None` until then", "autograd/accumulate"),
    ("`no_grad` is `eval()`", "one stops recording, the other changes layers", "autograd/evaluate"),
    ("`backward(v)` is a Jacobian-vector product", "it is a vector-Jacobian product, `vᵀJ`", "autograd/vjp"),
    ("autograd cannot compute a full Jacobian", "a product for each row gives it", "autograd/jacobian"),
    ("`.data` is safe", "autograd cannot notice what is changed through it", "autograd/rescale"),
    (
        "`CUDA_VISBLE_DEVICE`, `CUDA_VISIBLE_DEVICE`",
        "others than `CUDA_VISIBLE_DEVICES` are ignored",
        "devices/visible",
    ),
    ("hidden GPUs leave the others' numbers alone", "the visible ones are numbered anew from 0", "devices/visible"),
    ("DataParallel helps on one GPU", "there is nothing to split, and names change", "parallel/wrap"),
    ("DDP needs several machines", "it takes processes, on one machine as well", "parallel/ddp"),
]


def page(course: Course) -> str:
    """The text of the page."""
    assignments = [course.load(name) for name in ORDER]
    exercises = [exercise for assignment in assignments for exercise in assignment.exercises]
    minutes = sum(MINUTES * exercise.difficulty for exercise in exercises)
    return "\n\n".join(
        [
            "# The course: PyTorch basics",
            f"{len(assignments)} assignments with {len(exercises)} exercises, about {minutes // 60} hours. This page is"
            " written by\n`python -m examples.course_page`.",
            *map(_assignment, assignments),
            "## Where common notes are wrong\n\nEach of these has an exercise whose hidden grader catches it.",
            _rows(("often read", "what is true", "settled by"), MISCONCEPTIONS),
            "## What builds on what\n\nA box has the name of an exercise and the concepts that it teaches. An arrow"
            " leads from an exercise to one that needs it;\nwhat is needed from farther away is named in the box."
            " The tables above say the same in words.",
            "![The exercises of each assignment from left to right, with arrows from each to those that need it.]"
            f"({MAP.relative_to(PAGE.parent).as_posix()})",
        ]
    ).rstrip() + "\n"  # fmt: skip


def drawn_map(course: Course) -> str:
    """The text of the concept map's file."""
    return concept_map([course.load(name) for name in ORDER])


ORDER = ("create", "operate", "broadcast", "autograd", "devices", "parallel")


def _assignment(assignment: Assignment) -> str:
    rows = [
        (
            f"`{exercise.id}`",
            exercise.title.en,
            ", ".join(exercise.teaches),
            f"{exercise.difficulty}",
            f"{exercise.points:g}",
            f"{MINUTES * exercise.difficulty}",
            ", ".join(f"`{need}`" for need in exercise.needs),
        )
        for exercise in assignment.exercises
    ]
    head = ("exercise", "asks for", "concepts", "difficulty", "points", "minutes", "needs")
    return f"## {assignment.settings.title.en}\n\n{_rows(head, rows)}"


def _rows(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


if __name__ == "__main__":
    written = Course.find(Path(__file__))
    MAP.parent.mkdir(exist_ok=True)
    MAP.write_text(drawn_map(written), encoding="utf-8")
    PAGE.write_text(page(written), encoding="utf-8")
