"""devices/accelerator: torch's names of device types."""

from tensorgrade import expect

NAMES = {"gpu": "cuda", "apple": "mps", "intel-gpu": "xpu", "tpu": "xla", "npu": "npu", "cpu": "cpu"}
UNKNOWN = ["", "cuda", "mps", "xpu", "xla", "GPU", "gpu ", "gpu:0", "intel", "intel_gpu", "nvidia", "amd", "hpu", "pu"]


def test_names(submission):
    """The names are the same on a machine that has none of this hardware."""
    attempts = submission.machine(accelerators=0).calls("device_for", [(name,) for name in NAMES])
    for name, attempt in zip(NAMES.values(), attempts, strict=True):
        expect(attempt).equals(name)


def test_unknown(submission):
    for attempt in submission.calls("device_for", [(name,) for name in UNKNOWN]):
        expect(attempt).raises(ValueError)
