"""What a run found: the table for people, the JSON file for programs, and whether it is good enough."""

from __future__ import annotations

import json
import platform
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from .agreement import Outcome

ENTRIES, AGREE, RAISE = 660, 0.99, 0.95
"""At least so many entries run, such a part of them agrees, and such a part raises for misplaced tensors.

The last holds for entries (for some misplaced tensor) and for calls; what is silent has its reason in `accepted`.
"""
MEANING = {
    "agrees": "the same as on the CPU, forward and backward",
    "disagrees": "differs from the CPU",
    "refused": "says that it is not simulated",
    "raises": "raises as CUDA does, naming devices",
    "raises otherwise": "raises, and the text names no device",
    "accepted": "silent, as CUDA is: the reason is in accepted.py",
    "silent": "silent, and nobody says why",
    "leaks": "an error text has an internal name",
    "skipped": "nothing to compare",
    "lost": "the process crashed or took too long",
}


@dataclass(frozen=True)
class Findings:
    """The outcomes of all entries, by name, for both questions."""

    agreement: dict[str, Outcome]
    misplacement: dict[str, Outcome]

    def ran(self, outcomes: dict[str, Outcome]) -> list[Outcome]:
        """Those with something to compare."""
        return [outcome for outcome in outcomes.values() if outcome.verdict != "skipped"]

    def agreeing(self) -> float:
        """Which part of the entries that ran agrees with the CPU."""
        ran = self.ran(self.agreement)
        return sum(outcome.verdict == "agrees" for outcome in ran) / max(len(ran), 1)

    def raising(self) -> float:
        """Which part of the entries raises for a misplaced tensor."""
        ran = self.ran(self.misplacement)
        return sum(bool(outcome.counts.get("raised")) for outcome in ran) / max(len(ran), 1)

    def raising_calls(self) -> float:
        """Which part of the calls with a misplaced tensor raises."""
        counts = sum((Counter(outcome.counts) for outcome in self.misplacement.values()), Counter[str]())
        return counts["raised"] / max(counts["cases"], 1)

    def faults(self, *, whole: bool) -> list[str]:
        """What keeps this run from being good enough; in a part of the entries, none may differ."""
        agree, raising = self.agreeing(), min(self.raising(), self.raising_calls())
        counts = Counter(outcome.verdict for outcome in self.misplacement.values())
        faults = [f"{counts[kind]} entries: {MEANING[kind]}" for kind in ("silent", "leaks", "lost") if counts[kind]]
        if whole and len(self.ran(self.agreement)) < ENTRIES:
            faults.append(f"{len(self.ran(self.agreement))} entries ran, fewer than {ENTRIES}")
        differing = [name for name, outcome in self.agreement.items() if outcome.verdict in {"disagrees", "lost"}]
        if differing and not whole:
            faults.append(f"{', '.join(differing)}: {MEANING['disagrees']}")
        if whole and agree < AGREE:
            faults.append(f"{agree:.2%} of the entries agree")
        if whole and raising < RAISE:
            faults.append(f"{raising:.2%} of the entries or calls raise for misplaced tensors")
        return faults


def show(console: Console, findings: Findings, faults: list[str]) -> None:
    """Print what stands out, then the numbers, then the faults."""
    for title, outcomes, quiet in (
        ("cuda:1 against the CPU", findings.agreement, {"agrees"}),
        ("one tensor on the wrong device", findings.misplacement, {"raises", "skipped"}),
    ):
        details = Table("entry", "outcome", "reason", title=title, title_justify="left")
        for name, outcome in sorted(outcomes.items(), key=lambda item: (item[1].verdict, item[0])):
            if outcome.verdict not in quiet:
                details.add_row(name, outcome.verdict, outcome.reason[:400])
        if details.row_count:
            console.print(details, markup=False)
    numbers = Table("", "entries", "meaning")
    for title, outcomes in (("agreement", findings.agreement), ("misplacement", findings.misplacement)):
        numbers.add_section()
        for verdict, count in Counter(outcome.verdict for outcome in outcomes.values()).most_common():
            numbers.add_row(f"{title}: {verdict}", str(count), MEANING[verdict])
    console.print(numbers)
    for line in sentences(findings):
        console.print(line)
    for fault in faults:
        console.print(f"[red]not good enough[/red]: {fault}")


def sentences(findings: Findings) -> tuple[str, str]:
    """The numbers in words."""
    agree, misplaced = len(findings.ran(findings.agreement)), len(findings.ran(findings.misplacement))
    return (
        f"{findings.agreeing():.2%} of {agree} entries agree with the CPU",
        f"{findings.raising():.2%} of {misplaced} entries raise for a misplaced tensor, "
        f"{findings.raising_calls():.2%} of the calls",
    )


def write(path: Path, findings: Findings, faults: list[str]) -> None:
    """Write the numbers, and each outcome that is not the usual one."""
    document = {
        "torch": torch.__version__,
        "cuda_build": torch.version.cuda,
        "python": platform.python_version(),
        "entries": len(findings.agreement),
        "ran": len(findings.ran(findings.agreement)),
        "agree": round(findings.agreeing(), 4),
        "misplaced": len(findings.ran(findings.misplacement)),
        "raise": round(findings.raising(), 4),
        "raise_calls": round(findings.raising_calls(), 4),
        "faults": faults,
        "samples": dict(sum((Counter(one.counts) for one in findings.agreement.values()), Counter())),
        "misplaced_calls": dict(sum((Counter(one.counts) for one in findings.misplacement.values()), Counter())),
        "agreement": {name: asdict(one) for name, one in findings.agreement.items() if one.verdict != "agrees"},
        "misplacement": {
            name: asdict(one) for name, one in findings.misplacement.items() if one.verdict not in {"raises", "skipped"}
        },
    }
    path.write_text(json.dumps(document, indent=2, sort_keys=True) + "\n", encoding="utf-8")
