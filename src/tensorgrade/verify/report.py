"""What a proof comes to: a table and the problems on screen, and JSON.

Trusted side.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from .answers import Kind
from .proof import CourseProof, ExerciseProof


def table(proof: CourseProof) -> Table:
    """Return a table with a row for each exercise."""
    shown = Table(title="Proof of the graders", title_justify="left")
    shown.add_column("exercise")
    for name in ("accept", "reject", "again", "mutants", "killed", "equivalent", "tolerance used"):
        shown.add_column(name, justify="right")
    shown.add_column("holds")
    for one in proof.exercises:
        holds = "[green]yes[/]" if one.holds else f"[red]NO: {len(one.problems)} to mend[/]"
        shown.add_row(one.exercise, *_numbers(one), holds)
    return shown


def _numbers(one: ExerciseProof) -> tuple[str, ...]:
    accepted, rejected = (sum(answer.kind == kind for answer in one.answers) for kind in (Kind.ACCEPT, Kind.REJECT))
    killed = sum(mutant.killed for mutant in one.mutants)
    equivalent = sum(mutant.reason is not None for mutant in one.mutants)
    margin = f"{one.margin.used:.1%}" if one.margin is not None else "-"
    return tuple(map(str, (accepted, rejected, one.trials, len(one.mutants), killed, equivalent, margin)))


def tell(proof: CourseProof, console: Console) -> None:
    """Print the table, everything that has to be mended, and what it took."""
    console.print(table(proof))
    for problem in (*proof.problems, *(problem for one in proof.exercises for problem in one.problems)):
        console.print(from_here(problem), markup=False, highlight=False, soft_wrap=True)
    for one in proof.exercises:
        for line in survivors(one):
            console.print(line, markup=False, highlight=False, soft_wrap=True)
    console.print(summary(proof), highlight=False, soft_wrap=True)


def first_problem(proof: CourseProof) -> str | None:
    """What to mend first, or None when everything holds: the files, then answers, then mutants."""
    problems = [*proof.problems, *(problem for one in proof.exercises for problem in one.problems)]
    lines = [*map(from_here, problems[:1]), *(line for one in proof.exercises for line in survivors(one))]
    return "\n".join(lines[:3] if len(problems) == 1 else lines[:1]) or None


def survivors(one: ExerciseProof) -> Iterator[str]:
    """Yield the lines that show the survivors of an exercise by what they change, each as it would be declared."""
    places = [(mutant.answer, mutant.before) for mutant in one.mutants if mutant.survived]
    for answer, before in dict.fromkeys(places):
        yield f"{one.exercise}, {answer}: nobody notices a change of `{before}`"
        for mutant in one.mutants:
            if mutant.survived and (mutant.answer, mutant.before) == (answer, before):
                quoted = mutant.name.replace("'", "''")
                yield f"    - '{quoted}'"


def summary(proof: CourseProof) -> str:
    """One sentence on what was done, and how long it took."""
    mutants = [mutant for one in proof.exercises for mutant in one.mutants]
    killed, equivalent = sum(one.killed for one in mutants), sum(one.reason is not None for one in mutants)
    parts = [f"{sum(one.holds for one in proof.exercises)} of {len(proof.exercises)} exercises hold"]
    if mutants:
        parts.append(f"{len(mutants)} mutants, {killed} killed, {equivalent} declared equivalent")
    reused = f", {proof.reused} known" if proof.reused else ""
    known = f", {proof.known} proofs known" if proof.known else ""
    return f"{'; '.join(parts)}. {proof.computed} answers graded{reused}{known}, in {proof.seconds:.1f} s"


def from_here(problem: str) -> str:
    """A problem with its file named from the current folder."""
    return problem.replace(f"{Path.cwd()}{os.sep}", "")


def to_json(proof: CourseProof) -> dict[str, Any]:
    """Return everything that was found out, as plain data."""
    facts = asdict(proof)
    for one, plain in zip(proof.exercises, facts["exercises"], strict=True):
        plain["holds"] = one.holds
        for mutant, fields in zip(one.mutants, plain["mutants"], strict=True):
            fields["killed"], fields["survived"] = mutant.killed, mutant.survived
            del fields["code"]
    return {"holds": proof.holds, "summary": summary(proof), **facts}
