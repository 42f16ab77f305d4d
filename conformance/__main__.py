"""The command: enable virtual accelerators, run the entries, report."""

from __future__ import annotations

import argparse
import gc
import os
import sys
import warnings
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

SECONDS = 180.0
"""An entry that takes longer is lost."""


def main() -> int:
    """Run; the exit status is 0 when all that is promised holds, 1 when it does not, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="conformance", description=__doc__)
    parser.add_argument("--sample", type=int, metavar="N", help="run N entries only, always the same ones")
    parser.add_argument("--only", metavar="TEXT", help="run entries whose name contains TEXT")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at a time")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what was found")
    options = parser.parse_args()
    try:
        return run(options)
    except KeyboardInterrupt:
        return 130


def run(options: argparse.Namespace) -> int:
    """Enable two devices before the database is imported, as a user's code would find them."""
    warnings.simplefilter("ignore")  # the database warns about what it tries on purpose
    import torch

    from tensorgrade import virtual_cuda

    torch.set_num_threads(1)
    virtual_cuda.enable(devices=2)
    from .agreement import Outcome, agreement
    from .entries import all_entries
    from .misplacement import misplacement
    from .report import Findings, show, write
    from .workers import run_all

    entries = all_entries()
    gc.freeze()  # nothing of this is garbage, and forks copy what the collector touches
    names = chosen(sorted(entries), options)
    findings = Findings({}, {})
    tasks = [f"{question} {name}" for name in names for question in ("agreement", "misplacement")]

    def work(task: str) -> Outcome:
        question, _, name = task.partition(" ")
        return agreement(entries[name]) if question == "agreement" else misplacement(name, entries[name])

    console = Console()
    with Progress(console=Console(stderr=True), transient=True) as progress:
        bar = progress.add_task(f"{len(names)} entries", total=len(tasks))
        for task, result in run_all(tasks, work, options.jobs, SECONDS):
            question, _, name = task.partition(" ")
            outcome = result if isinstance(result, Outcome) else Outcome("lost", result)
            getattr(findings, question)[name] = outcome
            progress.advance(bar)
            if (
                not progress.console.is_terminal
                and len(findings.misplacement) % 100 == 0
                and question == "misplacement"
            ):
                progress.console.print(f"{len(findings.misplacement)} of {len(names)} entries")
    faults = findings.faults(whole=not (options.sample or options.only))
    show(console, findings, faults)
    if options.json:
        write(options.json, findings, faults)
    return 1 if faults else 0


def chosen(names: list[str], options: argparse.Namespace) -> list[str]:
    """The entries to run: all, those with a text in their name, or every n-th."""
    if options.only:
        names = [name for name in names if options.only in name]
    if options.sample and options.sample < len(names):
        return [names[at * len(names) // options.sample] for at in range(options.sample)]
    return names


if __name__ == "__main__":
    sys.exit(main())
