"""Programs in the manner of PyTorch's public examples run on virtual devices, with one line before their first."""

import contextlib
import io
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.virtual_machine import on_machine

PROGRAMS = Path(__file__).parent / "cuda_programs"
FIRST_LINE = "from tensorgrade import virtual_cuda; virtual_cuda.enable(devices=2)\n"


def written(name, folder):
    """A program with the line before its first, as a file."""
    file = Path(folder) / name
    file.write_text(FIRST_LINE + (PROGRAMS / name).read_text(encoding="utf-8"), encoding="utf-8")
    return file


def run(name, folder, *arguments):
    """What a program prints that is started on its own."""
    command = [sys.executable, "-W", "error", str(written(name, folder)), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=folder, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run_here(name):
    """What a program prints that is run in this process, which has torch already."""
    printed = io.StringIO()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(printed):
        runpy.run_path(str(written(name, folder)), run_name="__main__")
    return printed.getvalue()


def test_mnist(tmp_path):
    """A training loop with device selection, DataLoader workers, pinned memory, dropout and a scheduler learns."""
    assert run("mnist.py", tmp_path).endswith("done on cuda:0\n")


@on_machine(devices=None)
def test_data_parallel():
    """nn.DataParallel splits each batch over both devices and learns what one CPU learns."""
    printed = run_here("data_parallel.py")
    assert "let's use 2 GPUs" in printed
    assert {"  inside: 15 samples on cuda:0", "  inside: 15 samples on cuda:1"} < set(printed.splitlines())


@on_machine(devices=None)
def test_model_parallel():
    """A network on two devices trains, plain and as a pipeline; forgetting a transfer raises."""
    assert "done" in run_here("model_parallel.py")


def test_distributed(tmp_path):
    """DistributedDataParallel trains with a spawned process for each device."""
    assert "done on 2 ranks with nccl" in run("distributed.py", tmp_path, "nccl")


@on_machine(devices=None)
def test_mixed_precision():
    """Training with autocast and gradient scaling works in both half precisions; overflow skips a step."""
    assert run_here("mixed_precision.py").endswith("done\n")


@on_machine(devices=None)
def test_checkpointing():
    """A run that was saved on one device goes on equally on the CPU and on the other device."""
    assert "done" in run_here("checkpointing.py")


@on_machine(devices=None)
def test_per_sample_gradients():
    """torch.func gives on a device what a loop over the samples gives."""
    assert run_here("per_sample_gradients.py").endswith("done\n")
