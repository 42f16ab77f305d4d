"""Operators on virtual devices give what they give on the CPU: a sample of ``make conformance``, and how it reports."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from conformance.accepted import ACCEPTED, reason_for
from conformance.workers import run_all

REPOSITORY = Path(__file__).parents[1]
SAMPLE = 60


@pytest.fixture(scope="module")
def sampled(tmp_path_factory):
    """The exit status and the findings of a run on a sample of PyTorch's operator database."""
    file = tmp_path_factory.mktemp("conformance") / "results.json"
    command = [sys.executable, "-m", "conformance", "--sample", str(SAMPLE), "--jobs", "1", "--json", str(file)]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300, check=False)
    return done, json.loads(file.read_text(encoding="utf-8"))


def test_a_sample_agrees_with_the_cpu(sampled):
    """All of a sample of operators agree with the CPU, forward and backward, or say that they are not simulated."""
    done, found = sampled
    assert done.returncode == 0, done.stdout + done.stderr
    assert found["faults"] == []
    assert found["ran"] >= SAMPLE - 5
    assert found["samples"]["backward"] > found["ran"]


def test_misplaced_tensors_raise(sampled):
    """One tensor on the wrong device raises, but for what CUDA accepts, and no text has an internal name."""
    _, found = sampled
    assert found["misplaced"] > 10
    assert {one["verdict"] for one in found["misplacement"].values()} <= {"accepted"}


def test_each_accepted_argument_has_a_reason():
    """Nothing is silent without a reason, and the patterns match as they are meant to."""
    assert all(len(reason) > 20 for reason in ACCEPTED.values())
    assert reason_for("index_put", "args[0][1]", "cpu") is not None
    assert reason_for("index_put", "args[1]", "cpu") is None
    assert reason_for("index_put", "args[0][1]", "cuda:1") is None
    assert reason_for("add", "input", "cpu") is None


def test_a_crash_or_a_stall_costs_one_entry():
    """A process that dies or takes too long is reported, and the others go on."""
    results = dict(run_all(["fine", "crash", "stall"], play, jobs=2, seconds=1.0))
    assert results == {"fine": "played fine", "crash": "the process crashed", "stall": "it took too long"}


def play(task):
    if task == "crash":
        os.kill(os.getpid(), signal.SIGKILL)
    if task == "stall":
        time.sleep(60)
    return f"played {task}"
