"""Training on virtual devices keeps nothing: not with the garbage collector off, and not over thousands of steps."""

import json
import subprocess
import sys

import pytest

TRAINING = """
import gc, json
import torch
from torch import nn
from tensorgrade import virtual_cuda

virtual_cuda.enable(devices=2)
torch.set_num_threads(1)


class Halves(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Linear(32, 64).to("cuda:0"), nn.Linear(64, 4).to("cuda:1")

    def forward(self, inputs):
        return self.second(torch.relu(self.first(inputs)).to("cuda:1"))


kind, steps = {kind!r}, {steps}
model = Halves() if kind == "halves" else nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 4)).cuda()
trained = nn.DataParallel(model) if kind == "parallel" else model
optimizer = torch.optim.Adam(model.parameters())


def step():
    optimizer.zero_grad()
    inputs = torch.randn(32, 32).to("cuda", non_blocking=True)
    loss = trained(inputs).pow(2).mean()
    loss.backward()
    optimizer.step()
    return loss.item()


def memory():
    resident = int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
    return [torch.cuda.memory_allocated(0), torch.cuda.memory_allocated(1), resident]


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
print(json.dumps([grown, *(late - early for early, late in zip(before, memory(), strict=True))]))
"""


def growth(kind, steps):
    """How many objects, bytes on each device and KiB of the process came to stay."""
    code = TRAINING.replace("{kind!r}", repr(kind)).replace("{steps}", str(steps))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(("kind", "steps"), [("plain", 2000), ("halves", 300), ("parallel", 100)])
def test_training_keeps_nothing(kind, steps):
    """Objects, device memory and the process itself do not grow over so many steps without the garbage collector."""
    objects, first, second, resident = growth(kind, steps)
    assert first == second == 0
    assert objects < 20
    assert resident < 16 * 1024
