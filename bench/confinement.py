"""What the confinement costs: the time of a submission process from request to end, with and without it.

    python bench/confinement.py [rounds]

Each round starts and ends one process of each tier in turn, so that a busy machine slows all of them alike. Tier C,
which confines nothing, is what the others are compared with. Printed are medians and their difference from C's.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from contextlib import ExitStack

from tensorgrade.errors import ConfinementError
from tensorgrade.sandbox import Confinement
from tensorgrade.supervisor import Zygote, open_zygote

CELL = "x = 1"


def main(rounds: int) -> None:
    """Measure and print."""
    with ExitStack() as stack:
        zygotes = {}
        for tier in ("A", "B", "C"):
            try:
                zygotes[tier] = stack.enter_context(open_zygote(tier))
            except ConfinementError as error:
                print(error)
        for zygote in zygotes.values():
            run(zygote)  # warm up
        times = {tier: [] for tier in zygotes}
        for _ in range(rounds):
            for tier, zygote in zygotes.items():
                times[tier].append(run(zygote))
    base = statistics.median(times["C"])
    print(f"{'tier':6}{'median ms':>12}{'more than C':>14}   ({rounds} rounds)")
    for tier, values in times.items():
        middle = statistics.median(values)
        print(f"{tier:6}{middle:12.1f}{middle - base:14.1f}")


def run(zygote: Zygote) -> float:
    """Start a process, run a cell and end it; returns milliseconds."""
    with tempfile.TemporaryDirectory() as folder:
        begin = time.perf_counter()
        process = zygote.start(Confinement("bench", folder, memory=1 << 30, cpu_seconds=60), seed=0)
        process.run_cell(CELL, seconds=5.0, output_limit=1000)
        process.close()
        return (time.perf_counter() - begin) * 1000


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 60)
