"""Which devices there are, and what torch.cuda and torch.accelerator say of them."""

import copy
import os
import pickle
import subprocess
import sys
import threading

import pytest
import torch

from tensorgrade import virtual_cuda
from tests.virtual_machine import on_machine

FIRST, SECOND, CPU = torch.device("cuda:0"), torch.device("cuda:1"), torch.device("cpu")


@on_machine(devices=2)
def test_devices_are_there():
    """torch.cuda tells of as many devices as were enabled, the first being current."""
    assert torch.cuda.is_available()
    assert (torch.cuda.device_count(), torch.cuda.current_device()) == (2, 0)
    assert torch.cuda.get_device_name(1) == "Virtual CUDA device"
    assert torch.cuda.get_device_properties(0).total_memory == 16 << 30
    assert torch.cuda.get_device_capability() == (8, 0)
    assert torch.cuda.is_bf16_supported()
    assert virtual_cuda.enabled_devices() == 2


@on_machine(devices=2)
def test_the_accelerator_is_cuda():
    """torch.accelerator tells of the same devices."""
    accelerator = torch.accelerator
    assert accelerator.is_available()
    assert accelerator.device_count() == 2
    assert accelerator.current_accelerator() == torch.device("cuda")
    accelerator.set_device_index(1)
    assert accelerator.current_device_index() == torch.cuda.current_device() == 1
    with accelerator.device_index(0):
        assert torch.zeros(1, device="cuda").device == FIRST
    assert accelerator.current_device_index() == 1
    accelerator.synchronize()
    accelerator.empty_cache()
    assert accelerator.memory_allocated() == 0
    assert accelerator.current_stream().device == SECOND


@on_machine(devices=None)
def test_prepare_changes_nothing():
    """After prepare, torch is as on a machine without a GPU, and the process has one thread."""
    virtual_cuda.prepare()
    assert len(os.listdir("/proc/self/task")) == 1
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    assert not torch.accelerator.is_available()
    assert virtual_cuda.enabled_devices() is None
    assert torch.Generator is torch._C.Generator
    with pytest.raises((AssertionError, RuntimeError), match=r"Torch not compiled with CUDA enabled|NVIDIA driver"):
        torch.zeros(1, device="cuda")


@on_machine(devices=0)
def test_no_devices():
    """With 0 devices torch stays as on a machine without a GPU."""
    assert virtual_cuda.enabled_devices() == 0
    assert not torch.cuda.is_available()
    assert torch.cuda.device_count() == 0
    assert torch.device("cuda" if torch.cuda.is_available() else "cpu") == CPU
    with pytest.raises((AssertionError, RuntimeError), match=r"Torch not compiled with CUDA enabled|NVIDIA driver"):
        torch.ones(1).cuda()


@on_machine(devices=2)
def test_enabling_twice():
    """A second call with the same arguments does nothing; another number is refused."""
    virtual_cuda.enable(devices=2)
    with pytest.raises(virtual_cuda.AlreadyEnabled, match="already has 2 virtual CUDA devices"):
        virtual_cuda.enable(devices=3)
    with pytest.raises(ValueError, match="devices >= 0"):
        virtual_cuda.enable(devices=-1)


@on_machine(devices=2)
def test_numbers_are_devices():
    """A number is a device, wherever a device is expected."""
    assert torch.device(1) == SECOND
    assert torch.zeros(1, device=1).device == torch.zeros(1).to(1).device == torch.zeros(1).cuda(1).device == SECOND
    assert torch.nn.Linear(1, 1).to(1).weight.device == SECOND


@on_machine(devices=2)
def test_current_device():
    """set_device and torch.cuda.device choose the device that "cuda" means, in this thread."""
    torch.cuda.set_device(1)
    assert torch.zeros(1, device="cuda").device == torch.zeros(1).cuda().device == torch.zeros(1).to("cuda").device
    assert torch.zeros(1).to("cuda").device == torch.tensor([1], device="cuda").device == SECOND
    with torch.cuda.device(0):
        assert torch.zeros(1).to("cuda").device == FIRST
    with torch.cuda.device_of(torch.zeros(1, device="cuda:0")):
        assert torch.cuda.current_device() == 0
    assert torch.cuda.current_device() == 1
    others = []
    thread = threading.Thread(target=lambda: others.append(torch.cuda.current_device()))
    thread.start()
    thread.join()
    assert others == [0]


@pytest.mark.parametrize(
    "use",
    [
        "torch.ones(1).to('cuda:7')",
        "torch.ones(1, device='cuda:7')",
        "torch.tensor([1], device='cuda:7')",
        "torch.ones(1).cuda(7)",
        "torch.cuda.set_device(7)",
        "torch.cuda.device(7).__enter__()",
        "torch.nn.Linear(1, 1).to('cuda:2')",
        "torch.Generator('cuda:5')",
    ],
)
@on_machine(devices=2)
def test_a_device_that_is_not_there(use):
    """A number without a device raises what CUDA raises, and leaves the current device as it was."""
    with pytest.raises(torch.AcceleratorError, match="CUDA error: invalid device ordinal"):
        eval(use)
    assert torch.cuda.current_device() == 0


@pytest.mark.parametrize(
    ("named", "names"),
    [
        ("0", [0]),
        ("1", [1]),
        ("1,0", [1, 0]),
        ("0,1,2,3", [0, 1, 2, 3]),
        ("2,7,1", [2]),
        ("1,-1,0", [1]),
        ("3,x,1", [3]),
        (" 1 , 2", [1, 2]),
        ("1st", [1]),
        ("1,1", []),
        ("-1", []),
        ("", []),
        ("none", []),
    ],
)
@on_machine(devices=4)
def test_visible_devices(named, names):
    """CUDA_VISIBLE_DEVICES hides and renumbers, and the first entry that is no device ends it."""
    os.environ["CUDA_VISIBLE_DEVICES"] = named
    assert torch.cuda.device_count() == len(names)
    assert torch.cuda.is_available() == bool(names)
    seen = [torch.cuda.get_device_properties(k).uuid for k in range(len(names))]
    assert [int(uuid[-2:], 16) for uuid in seen] == names


@on_machine(devices=2)
def test_visible_devices_are_read_once():
    """What CUDA_VISIBLE_DEVICES says after the first use of a device does not matter."""
    os.environ["CUDA_VISIBLE_DEVICES"] = "0"
    torch.zeros(1, device="cuda")
    os.environ["CUDA_VISIBLE_DEVICES"] = "0,1"
    assert torch.cuda.device_count() == 1
    with pytest.raises(torch.AcceleratorError, match="invalid device ordinal"):
        torch.zeros(1, device="cuda:1")


@on_machine(devices=2, environment={"CUDA_VISIBLE_DEVICES": ""})
def test_all_devices_hidden():
    """With all devices hidden the machine has CUDA, but no GPU."""
    assert not torch.cuda.is_available()
    with pytest.raises(RuntimeError, match="No CUDA GPUs are available"):
        torch.zeros(1, device="cuda")


@on_machine(devices=2)
def test_no_internal_name_shows():
    """A tensor, its storage, its type, its parameter and its device say cuda, also after pickling."""
    tensor = torch.arange(3.0, device="cuda:1")
    assert repr(tensor) == "tensor([0., 1., 2.], device='cuda:1')"
    assert "device='cuda:1'" in repr(torch.nn.Parameter(tensor))
    assert repr(tensor.device) == "device(type='cuda', index=1)"
    assert tensor.type() == "torch.cuda.FloatTensor"
    assert isinstance(tensor, torch.cuda.FloatTensor)
    assert type(tensor) is torch.Tensor
    assert tensor.untyped_storage().device == SECOND
    assert "device=cuda:1" in repr(tensor.untyped_storage())
    assert repr(pickle.loads(pickle.dumps(tensor))) == repr(copy.deepcopy(tensor)) == repr(tensor)
    assert f"{torch.tensor(1.5, device='cuda'):.1f}" == "1.5"


@on_machine(devices=2)
def test_default_device():
    """torch.device as a context and set_default_device place what factories make."""
    with SECOND:
        assert torch.zeros(2).device == torch.nn.Linear(2, 2).weight.device == SECOND
    torch.set_default_device("cuda")
    assert torch.zeros(2).device == torch.get_default_device() == FIRST
    torch.set_default_device(None)
    assert torch.zeros(2).device == CPU


def test_old_torch_is_refused(monkeypatch):
    """A torch older than the oldest tested is refused with what to do."""
    from tensorgrade.virtual_cuda import enabling

    monkeypatch.setattr(torch, "__version__", "2.9.1")
    with pytest.raises(virtual_cuda.UnsupportedTorch, match=r"need torch 2\.10 or newer; this is torch 2\.9\.1"):
        enabling._require_torch()


def test_a_torch_with_other_tables_is_refused(monkeypatch):
    """A torch whose C++ objects are laid out otherwise than those tested is refused before anything is touched."""
    from tensorgrade.virtual_cuda import cpp_objects

    monkeypatch.setitem(cpp_objects._GUARD, "getDevice", 7)
    with pytest.raises(virtual_cuda.UnsupportedTorch, match=r"declares getDevice elsewhere .* install one of those"):
        cpp_objects.check()


def test_a_plain_script(tmp_path):
    """A script that enables devices on its first line needs nothing else of tensorgrade."""
    script = tmp_path / "script.py"
    script.write_text(
        "from tensorgrade import virtual_cuda; virtual_cuda.enable(devices=2)\n"
        "import sys, torch\n"
        "assert torch.ones(2, device='cuda:1').sum().item() == 2\n"
        "loaded = {name for name in sys.modules if name.startswith('tensorgrade')}\n"
        "assert all(name.startswith('tensorgrade.virtual_cuda') for name in loaded - {'tensorgrade'}), loaded\n"
        "import torch._dynamo, torch.distributed.tensor\n",
        encoding="utf-8",
    )
    done = subprocess.run([sys.executable, "-W", "error", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_other_systems_are_refused(monkeypatch):
    """On macOS and Windows the error says that Linux is needed, before anything is touched."""
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(virtual_cuda.VirtualCudaError, match="need Linux; on darwin, notebooks run on the CPU"):
        virtual_cuda.prepare()
    assert virtual_cuda.enabled_devices() is None
