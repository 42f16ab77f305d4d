"""What virtual CUDA devices cost: per operator, for a training step, and for code that does not use them.

    python bench/virtual_cuda.py [--json FILE]

Three processes take turns, so that a slower phase of the machine slows all of them: `plain` is torch as it is,
`enabled` the same code on the CPU in a process that has virtual devices, `virtual` the same code on one of them.
Counted is the CPU time of the process, so that others on the machine hardly matter. All numbers are medians; of
differences and ratios, those of each turn.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from time import process_time

ROUNDS, TURNS = 25, 3
"""So often is each process asked, and so often is the code timed each time."""


def main() -> int:
    """Measure, print and judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="write the numbers")
    parser.add_argument("--serve", choices=["plain", "enabled", "virtual"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    results = measure()
    for name, value in results.items():
        print(f"{name:40}{value:12.3f}")
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")
    return report(results)


def report(results: dict[str, float]) -> int:
    """Say which promise does not hold; 1 if there is one."""
    promises = {
        "overhead per operator, µs (median)": 30.0,
        "784-512-512-10 MLP step, virtual / plain": 2.0,
        "CPU code, enabled / plain": 1.05,
    }
    broken = [
        f"{name}: {results[name]:.3f}, promised {limit}" for name, limit in promises.items() if results[name] > limit
    ]
    for sentence in broken:
        print(f"not as promised: {sentence}")
    return 1 if broken else 0


def measure() -> dict[str, float]:
    """All numbers."""
    servers = {kind: start(kind) for kind in ("plain", "enabled", "virtual")}
    try:
        rounds = [{kind: ask(server) for kind, server in servers.items()} for _ in range(ROUNDS)]
    finally:
        for server in servers.values():
            server.kill()
            server.wait()
    return numbers(rounds)


def numbers(rounds: list[dict[str, dict[str, float]]]) -> dict[str, float]:
    """What the times of all rounds, by process and code, amount to."""

    def over(name: str, formula: Callable[[float, float, float], float]) -> float:
        return statistics.median(formula(*(times[kind][name] for kind in times)) for times in rounds)

    names = list(rounds[0]["plain"])
    operators = [name for name in names if name.startswith("op ")]
    steps = [name for name in names if not name.startswith("op ")]
    overheads = {name: 1e6 * over(name, lambda plain, _, virtual: virtual - plain) for name in operators}
    slowdowns = {name: over(name, lambda plain, enabled, _: enabled / plain) for name in names}
    return {
        "overhead per operator, µs (median)": statistics.median(overheads.values()),
        **{f"overhead of {name.removeprefix('op ')}, µs": value for name, value in overheads.items()},
        **{f"{name}, plain, ms": 1e3 * over(name, lambda plain, _, __: plain) for name in steps},
        **{f"{name}, virtual / plain": over(name, lambda plain, _, virtual: virtual / plain) for name in steps},
        "CPU code, enabled / plain": statistics.median(slowdowns.values()),
        **{f"enabled / plain: {name.removeprefix('op ')}": value for name, value in slowdowns.items()},
    }


def start(kind: str) -> subprocess.Popen[str]:
    """Start a process that times the code whenever it is asked."""
    command = [sys.executable, "-W", "ignore", __file__, "--serve", kind]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def ask(server: subprocess.Popen[str]) -> dict[str, float]:
    """The seconds of one turn, by what was timed."""
    assert server.stdin is not None
    assert server.stdout is not None
    print("again", file=server.stdin, flush=True)
    times: dict[str, float] = json.loads(server.stdout.readline())
    return times


def serve(kind: str) -> None:
    """Time the code for each line that comes."""
    import torch

    torch.set_num_threads(1)
    if kind != "plain":
        from tensorgrade import virtual_cuda

        virtual_cuda.enable(devices=2)
    device = "cuda:0" if kind == "virtual" else "cpu"
    work = {**operators(device), **steps(device)}
    for _ in sys.stdin:
        print(json.dumps({name: timed(*one) for name, one in work.items()}), flush=True)


def timed(call: Callable[[], object], times: int) -> float:
    """Seconds of one call: the median of some measurements of `times` calls each."""
    call()
    seconds = []
    for _ in range(TURNS):
        began = process_time()
        for _ in range(times):
            call()
        seconds.append((process_time() - began) / times)
    return statistics.median(seconds)


def operators(device: str) -> dict[str, tuple[Callable[[], object], int]]:
    """Small operators, whose time is all overhead."""
    import torch
    import torch.nn.functional as F  # noqa: N812  (its usual name)

    x, weight, bias = torch.randn(16, 16), torch.randn(16, 16), torch.randn(16)
    x, weight, bias = x.to(device), weight.to(device), bias.to(device)
    leaf = torch.randn(16, 16, device=device, requires_grad=True)
    calls = {
        "add": lambda: x + x,
        "add a number": lambda: x + 1.0,
        "mul in place": lambda: x.mul_(1.0),
        "matmul": lambda: x @ weight,
        "linear": lambda: F.linear(x, weight, bias),
        "relu": lambda: F.relu(x),
        "softmax": lambda: x.softmax(-1),
        "sum": lambda: x.sum(0),
        "mul with grad": lambda: leaf * 2.0,
        "cat": lambda: torch.cat([x, x]),
        "index": lambda: x[:, 1:],
        "view": lambda: x.view(-1),
        "zeros": lambda: torch.zeros(16, device=device),
        "item": lambda: float(bias[0]),
    }
    return {f"op {name}": (call, 100) for name, call in calls.items()}


def steps(device: str) -> dict[str, tuple[Callable[[], object], int]]:
    """Training steps of networks of several sizes."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    small = nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 10))
    large = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    images = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.Flatten(), nn.Linear(10816, 10))
    layers = nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
    replicated = nn.DataParallel(nn.Sequential(*layers)) if device != "cpu" else nn.Sequential(*layers)
    return {
        "32-64-10 MLP step": (step(small, (64, 32), device), 10),
        "784-512-512-10 MLP step": (step(large, (64, 784), device), 3),
        "convolution step": (step(images, (32, 1, 28, 28), device), 2),
        "DataParallel step": (step(replicated, (64, 784), device), 2),
    }


def step(model, shape: tuple[int, ...], device: str) -> Callable[[], object]:
    """One step of training with Adam on a fixed batch."""
    import torch
    from torch import nn

    model = model.to(device)
    optimizer = torch.optim.Adam(model.parameters())
    inputs, targets = torch.randn(shape).to(device), torch.randint(0, 10, shape[:1]).to(device)

    def run() -> None:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(inputs), targets).backward()
        optimizer.step()

    return run


if __name__ == "__main__":
    sys.exit(main())
