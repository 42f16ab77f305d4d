"""What an attack is: student code with a goal, what stops it, and how we know that it would work otherwise.

Attacks are handed in as a student would: cells of a notebook and files beside it. The first cell of each notebook gives
them ``TARGET`` (`tests.attacks.battlefield.Target`), so that no attack fails for want of knowledge: it holds the paths
of the hidden grader, the gradebook and another submission, addresses to send to, and a process to kill.

Attacks also run without any confinement, to prove that they work. So each is bounded by its own code: it signals no
process but ``TARGET.canary`` and its own relatives, writes nowhere but below the test's folders, and ends by itself.
"""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

WRONG = "def answer(x, tag=''):\n    return x"
"""What attackers hand in who count on their attack: no points for this."""

NAIVE_TEST = """\
import torch
secret = {secret!r}
x = torch.tensor([[1., 2.], [3., 4.]])
expected = x @ x.T + 1
torch.testing.assert_close(answer(x, tag=secret), expected)
"""
"""The test cell of a course that hides its tests in the student's own notebook; controls run it after the attack."""


class Goal(StrEnum):
    """What an attacker wants."""

    SCORE = "score"
    LEAK = "leak"
    HARM = "harm"
    ESCAPE = "escape"
    STALL = "stall"
    SABOTAGE = "sabotage"


class Control(StrEnum):
    """Where an attack must win, or it proves nothing."""

    INTERPRETER = "naive test cell in the same interpreter"
    STOCK = "stock nbgrader autograde"
    UNCONFINED = "tier C, limits lifted"
    ARGUED = "argued"


@dataclass(frozen=True)
class Link:
    """A symbolic link among the submitted files; ``to`` is a format string of the `Target`."""

    to: str


@dataclass(frozen=True)
class Attack:
    """One attack.

    Attributes:
        name: of the attack; its student is called after it.
        goal: what it wants, which decides how it is judged.
        does: for the table, one clause in the present tense.
        stopped: what stops it, for the table; ``stopped_b`` when that is something else in tier B.
        cells: code cells before the solution cell.
        answer: the solution cell.
        after: code cells behind the test cell.
        files: submitted beside the notebook: text, bytes or a `Link`.
        mangle: what is done to the notebook (a dict) before it is handed in.
        control: where it must win.
        naive: the test cell of a control in one interpreter.
        why_no_control: for ``Control.ARGUED``.
        programs: whether it is handed in for the exercise that allows programs.
        ranks: whether it is handed in for the exercise that is judged on several ranks.
        root: whether its control needs root, as a machine protects users from each other anyway.
    """

    name: str
    goal: Goal
    does: str
    stopped: str
    stopped_b: str = ""
    cells: tuple[str, ...] = ()
    answer: str = WRONG
    after: tuple[str, ...] = ()
    files: Mapping[str, str | bytes | Link] = field(default_factory=dict)
    mangle: Callable[[dict[str, Any]], None] | None = None
    control: Control = Control.UNCONFINED
    naive: str = NAIVE_TEST
    why_no_control: str = ""
    programs: bool = False
    ranks: bool = False
    root: bool = False

    @property
    def assignment(self) -> str:
        """The assignment that it is handed in for."""
        return "programs" if self.programs else "ranks" if self.ranks else "plain"


def attack(goal: Goal, name: str, does: str, stopped: str, code: str = "", **more: Any) -> Attack:
    """An attack from indented code: one cell ahead of the solution cell, if any."""
    cells = (textwrap.dedent(code).strip(),) if code else ()
    for key in ("answer", "naive"):
        if key in more:
            more[key] = textwrap.dedent(more[key]).strip()
    if "after" in more:
        more["after"] = (textwrap.dedent(more["after"]).strip(),)
    return Attack(name, goal, does, stopped, cells=cells, **more)


def write_files(attack: Attack, folder: Path, facts: Mapping[str, object]) -> None:
    """Put the files of an attack into a submission's folder."""
    for name, content in attack.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, Link):
            path.symlink_to(content.to.format(**facts))
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
