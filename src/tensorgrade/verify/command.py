"""What ``tensorgrade verify`` does: proves what it is told to, once or after each save, and tells what came of it.

Trusted side.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from ..course import Course
from ..errors import TensorgradeError
from ..pool import POOL
from .page import write_page
from .proof import CourseProof
from .prover import Options, prove
from .report import first_problem, summary, tell, to_json
from .targets import Targets, targets
from .watching import saves


def verify(course: Course, names: Sequence[str], options: Options, *, as_json: bool, page: Path | None) -> bool:
    """Prove what `names` name and tell what came of it; returns whether everything holds.

    Raises:
        CourseError: there is no such assignment or exercise.
    """
    try:
        proof = _with_progress(course, targets(course, names), options)
    finally:
        POOL.close()
    if page is not None:
        write_page(proof, page)
    if as_json:
        Console(soft_wrap=True).print_json(json.dumps(to_json(proof), ensure_ascii=False))
    else:
        tell(proof, Console())
    return proof.holds


def watch(course: Course, names: Sequence[str], options: Options) -> None:
    """Prove what `names` name after each save, and show the first thing to mend; until it is interrupted."""
    console = Console()
    try:
        for _ in saves(course):
            try:
                proof = _with_progress(course, targets(course, names), options)
            except TensorgradeError as error:
                console.print(f"{error}", style="red", markup=False, highlight=False, soft_wrap=True)
                continue
            problem = first_problem(proof)
            told = f"Mend this first: {problem}" if problem else f"Everything holds. {summary(proof)}"
            console.print(told, style="red" if problem else "green", markup=False, highlight=False, soft_wrap=True)
    finally:
        POOL.close()


def _with_progress(course: Course, wanted: Targets, options: Options) -> CourseProof:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("proving", total=None)
        return prove(course, wanted, options, lambda done, asked: progress.update(task, completed=done, total=asked))
