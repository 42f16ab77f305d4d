"""Training on virtual devices keeps nothing: not with the garbage collector off, and not over thousands of steps."""

import gc
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.virtual_machine import on_machine


class Halves(nn.Module):
    """A perceptron, half of it on each device."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(32, 64).to("cuda:0"), nn.Linear(64, 4).to("cuda:1")

    def forward(self, inputs):
        """Compute on one device after the other."""
        return self.second(torch.relu(self.first(inputs)).to("cuda:1"))


def whole():
    """The same perceptron on one device."""
    return nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4)).cuda()


TRAINED = {"plain": whole, "halves": Halves, "parallel": lambda: nn.DataParallel(whole())}


def memory():
    """The bytes in use on each device, and the KiB of this process."""
    status = Path("/proc/self/status").read_text().splitlines()
    resident = int(next(line for line in status if line.startswith("VmRSS")).split()[1])
    return [torch.cuda.memory_allocated(0), torch.cuda.memory_allocated(1), resident]


@pytest.mark.parametrize(("kind", "steps"), [("plain", 2000), ("halves", 300), ("parallel", 100)])
@on_machine(devices=2)
def test_training_keeps_nothing(kind, steps):
    """Objects, device memory and the process itself do not grow over so many steps without the garbage collector."""
    model = TRAINED[kind]()
    optimizer = torch.optim.Adam(model.parameters())

    def step():
        optimizer.zero_grad()
        inputs = torch.randn(32, 32).to("cuda", non_blocking=True)
        loss = model(inputs).pow(2).mean()
        loss.backward()
        optimizer.step()
        return loss.item()

    for _ in range(100):
        step()
    gc.collect()
    gc.disable()
    for _ in range(20):
        step()
    before = memory()  # torch's own statistics leave cycles behind: objects are counted between them
    objects = len(gc.get_objects())
    for _ in range(steps):
        step()
    grown = len(gc.get_objects()) - objects
    first, second, resident = (late - early for early, late in zip(before, memory(), strict=True))
    assert first == second == 0
    assert grown < 20
    assert resident < 16 * 1024
