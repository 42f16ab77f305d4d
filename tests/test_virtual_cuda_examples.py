"""Programs in the manner of PyTorch's public examples run on virtual devices, with one line before their first."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parent / "cuda_programs"
FIRST_LINE = "from tensorgrade import virtual_cuda; virtual_cuda.enable(devices=2)\n"


@pytest.fixture
def run(tmp_path):
    """Runs a program in a process of its own, with two virtual devices; gives what it printed."""

    def program(name, *arguments):
        file = tmp_path / name
        file.write_text(FIRST_LINE + (PROGRAMS / name).read_text(encoding="utf-8"), encoding="utf-8")
        command = [sys.executable, "-W", "error", str(file), *arguments]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path, env=environment
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return program


def test_mnist(run):
    """A training loop with device selection, DataLoader workers, pinned memory, dropout and a scheduler learns."""
    assert run("mnist.py").endswith("done on cuda:0\n")


def test_data_parallel(run):
    """nn.DataParallel splits each batch over both devices and learns what one CPU learns."""
    printed = run("data_parallel.py")
    assert "let's use 2 GPUs" in printed
    assert {"  inside: 15 samples on cuda:0", "  inside: 15 samples on cuda:1"} < set(printed.splitlines())


def test_model_parallel(run):
    """A network on two devices trains, plain and as a pipeline; forgetting a transfer raises."""
    assert "done" in run("model_parallel.py")


@pytest.mark.parametrize("backend", ["gloo", "nccl"])
def test_distributed(run, backend):
    """DistributedDataParallel trains with a spawned process for each device, under either name of the backend."""
    assert f"done on 2 ranks with {backend}" in run("distributed.py", backend)


def test_mixed_precision(run):
    """Training with autocast and gradient scaling works in both half precisions; overflow skips a step."""
    assert run("mixed_precision.py").endswith("done\n")


def test_checkpointing(run):
    """A run that was saved on one device goes on equally on the CPU and on the other device."""
    assert "done" in run("checkpointing.py")


def test_per_sample_gradients(run):
    """torch.func gives on a device what a loop over the samples gives."""
    assert run("per_sample_gradients.py").endswith("done\n")
