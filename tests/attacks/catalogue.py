"""All attacks, and the table of them in the documentation: ``python -m tests.attacks.catalogue`` writes it."""

from collections import Counter
from pathlib import Path

from tests.attacks import harms, leaks, ranks, scores, stalls
from tests.attacks.attack import Control, Goal

ATTACKS = (*scores.ATTACKS, *leaks.ATTACKS, *harms.ATTACKS, *stalls.ATTACKS, *ranks.ATTACKS)
PAGE = Path(__file__).parents[2] / "docs" / "attacks.md"

HEAD = """\
# Attacks

<!-- Generated: python -m tests.attacks.catalogue -->

{total} attacks ({counts}) are handed in by students of a real course,
and `nbgrader autograde` grades them in tier A and in tier B ([security](security.md)), between honest students whose
scores must stay what they are. What became of each is looked at from the outside: the gradebook, what students get to
read, listeners on this machine, files and processes that must stay as they are, time, and what the processes used.

An attack proves something only if it works where nothing stops it. Each has such a control:

- **naive test**: the attack's cells and a test cell run in one interpreter, nbgrader judges the outputs;
- **stock nbgrader**: `nbgrader autograde` without tensorgrade;
- **tier C**: tensorgrade without confinement, the limits lifted;
- **none**, with the reason.

`make attacks` runs them all.
"""
CONTROLS = {Control.INTERPRETER: "naive test", Control.STOCK: "stock nbgrader", Control.UNCONFINED: "tier C"}


def page() -> str:
    """The documentation of all attacks."""
    counts = Counter(attack.goal for attack in ATTACKS)
    told = ", ".join(f"{counts[goal]} {goal}" for goal in Goal)
    lines = [HEAD.format(total=len(ATTACKS), counts=told)]
    for goal in Goal:
        lines += [
            f"## {goal.capitalize()}",
            "",
            "| attack | what it does | what stops it | control |",
            "|---|---|---|---|",
        ]
        for attack in ATTACKS:
            if attack.goal is goal:
                stopped = attack.stopped if not attack.stopped_b else f"A: {attack.stopped}; B: {attack.stopped_b}"
                control = CONTROLS.get(attack.control, f"none: {attack.why_no_control}")
                cells = (f"`{attack.name}`", attack.does, stopped, control)
                lines.append(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |")
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
