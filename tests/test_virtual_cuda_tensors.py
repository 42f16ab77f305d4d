"""Making, moving, viewing, saving and drawing tensors of virtual devices."""

import copy
import io
import pickle
import threading
import time

import pytest
import torch
from torch import nn

from tensorgrade import virtual_cuda
from tests.virtual_machine import on_machine

FIRST, SECOND, CPU = torch.device("cuda:0"), torch.device("cuda:1"), torch.device("cpu")


@on_machine(devices=2)
def test_factories():
    """Everything that takes a device makes tensors there."""
    for make in (torch.zeros, torch.ones, torch.empty, torch.rand, torch.randn):
        assert make(3, device="cuda").device == FIRST
        assert make(2, 2, device=SECOND).device == SECOND
    assert torch.tensor([1, 2], device="cuda").device == FIRST
    assert torch.arange(5, device="cuda:1").tolist() == [0, 1, 2, 3, 4]
    assert torch.full((2,), 7.0, device="cuda:1").tolist() == [7, 7]
    assert torch.eye(3, device="cuda").trace().item() == 3
    assert torch.linspace(0, 1, 3, device=1).device == SECOND
    tensor = torch.ones(2, device="cuda:1")
    assert torch.zeros_like(tensor).device == tensor.new_zeros(3).device == tensor.new_tensor([1.0]).device == SECOND
    assert tensor.new_ones(2, device="cuda:0").device == FIRST
    assert nn.Linear(2, 2, device="cuda:1").weight.device == SECOND
    assert nn.Linear(2, 2, device="meta").to_empty(device="cuda").weight.device == FIRST


@on_machine(devices=2)
def test_moving():
    """to, cuda and cpu copy where needed, and give the tensor itself where not."""
    tensor = torch.ones(3)
    moved = [tensor.cuda(), tensor.to("cuda"), tensor.to(device="cuda:0", non_blocking=True), tensor.to(0)]
    assert [each.device for each in moved] == [FIRST] * 4
    first, second = tensor.cuda(), tensor.cuda(1)
    assert first.cuda() is first.to("cuda") is first
    assert second.to(first).device == FIRST
    assert second.cpu().device == second.to("cpu", non_blocking=True).device == CPU
    assert first.to("cuda:1", torch.float64).dtype is torch.float64
    assert (first.is_cuda, first.is_cpu, first.get_device(), tensor.get_device()) == (True, False, 0, -1)


@on_machine(devices=2)
def test_copies_are_copies():
    """A tensor and its copy on a device share no memory; a view on a device shares its tensor's."""
    tensor = torch.zeros(2, 3)
    moved = tensor.cuda()
    moved += 1
    assert tensor.sum() == 0
    view = moved.view(6)
    view[0] = 5
    moved.t()[2, 1] = 9
    assert moved.tolist() == [[5, 1, 1], [1, 1, 9]]
    assert view._base is moved
    assert view.data_ptr() == moved.data_ptr()
    assert moved[1:].storage_offset() == 3
    version = moved._version
    moved.mul_(2)
    assert moved._version == version + 1


@on_machine(devices=2)
def test_resizing_and_out():
    """resize_, set_ and out= give a tensor of a device new memory or another shape."""
    tensor = torch.arange(4.0, device="cuda")
    assert tensor.resize_(2, 3).flatten()[:4].tolist() == [0, 1, 2, 3]
    assert tensor.resize_(2).tolist() == [0, 1]
    assert torch.empty(0, device="cuda").set_(tensor).data_ptr() == tensor.data_ptr()
    out = torch.empty(0, device="cuda")
    assert torch.add(tensor, 1, out=out) is out
    assert (out.tolist(), out.device) == ([1, 2], FIRST)
    full = torch.zeros(2, device="cuda")
    address = full.data_ptr()
    torch.mul(tensor, 3, out=full)
    assert (full.tolist(), full.data_ptr()) == ([0, 3], address)
    with pytest.warns(UserWarning, match="An output with one or more elements was resized"):
        torch.cat([tensor, tensor], out=full)
    assert full.tolist() == [0, 1, 0, 1]
    empty = torch.empty(0, 3, 2, device="cuda")
    torch.add(empty, 1, out=empty)
    assert (empty.shape, empty.stride()) == ((0, 3, 2), (6, 2, 1))
    grown = torch.ones((), device="cuda").addbmm_(
        torch.ones(1, 2, 3, device="cuda"), torch.ones(1, 3, 2, device="cuda")
    )
    assert grown.tolist() == [[4, 4], [4, 4]]


@pytest.mark.parametrize(
    "dtype",
    ["float16", "bfloat16", "float64", "complex64", "bool", "uint8", "int16", "uint16", "float8_e4m3fn"],
)
@on_machine(devices=2)
def test_dtypes(dtype):
    """Every dtype goes to a device and back."""
    tensor = torch.ones(2, 2).to(getattr(torch, dtype))
    moved = tensor.to("cuda:1")
    assert (moved.dtype, moved.device) == (tensor.dtype, SECOND)
    assert moved.cpu().view(torch.uint8).equal(tensor.view(torch.uint8))


@on_machine(devices=1)
def test_lazy_conjugation():
    """Conjugated and negated views keep their values on a device."""
    tensor = torch.tensor([1 + 2j, 3 - 4j])
    moved = tensor.cuda()
    assert moved.conj().cpu().equal(tensor.conj())
    assert (moved.conj() * moved).cpu().equal(tensor.conj() * tensor)
    assert moved.conj().imag.cpu().equal(tensor.conj().imag)


@on_machine(devices=2)
def test_saving_and_loading():
    """torch.save keeps devices, and map_location changes them."""
    model, file = nn.Linear(2, 2).cuda(1), io.BytesIO()
    torch.save(model.state_dict(), file)
    places = [(None, SECOND), ("cpu", CPU), ("cuda:0", FIRST), (FIRST, FIRST), ({"cuda:1": "cuda:0"}, FIRST)]
    for location, expected in places:
        file.seek(0)
        loaded = torch.load(file, map_location=location)
        assert {each.device for each in loaded.values()} == {expected}
        assert loaded["weight"].cpu().equal(model.weight.detach().cpu())
    file.seek(0)
    with pytest.raises(RuntimeError, match=r"on CUDA device 9 but torch\.cuda\.device_count\(\) is 2"):
        torch.load(file, map_location="cuda:9")
    assert copy.deepcopy(model).weight.device == pickle.loads(pickle.dumps(model)).weight.device == SECOND
    other = nn.Linear(2, 2)
    other.load_state_dict(model.state_dict())
    assert other.weight.device == CPU


@on_machine(devices=2)
def test_random_numbers():
    """Each device has a generator of its own, seeded with the others by manual_seed."""
    torch.manual_seed(1)
    drawn, on_cpu = torch.randn(3, device="cuda"), torch.randn(3)
    torch.manual_seed(1)
    assert torch.randn(3).equal(on_cpu), "drawing on a device does not change what the CPU draws"
    assert torch.randn(3, device="cuda").equal(drawn)
    torch.cuda.manual_seed_all(5)
    assert torch.rand(2, device="cuda").tolist() == torch.rand(2, device="cuda:1").tolist()
    state = torch.cuda.get_rng_state()
    dropped = nn.functional.dropout(torch.ones(50, device="cuda"))
    torch.cuda.set_rng_state(state)
    assert nn.functional.dropout(torch.ones(50, device="cuda")).equal(dropped)
    with torch.random.fork_rng(devices=[0]):
        torch.rand(2, device="cuda")
    before = torch.get_rng_state()
    nn.LSTM(2, 2, 2, dropout=0.5).cuda()
    layers, after = nn.LSTM(2, 2, 2, dropout=0.5, device="cuda"), torch.get_rng_state()
    layers(torch.ones(3, 2, device="cuda"))
    assert torch.get_rng_state().equal(after)
    assert not before.equal(after)


@on_machine(devices=2)
def test_generators():
    """A generator of a device draws there, can be copied and pickled, and is a torch.Generator."""
    generator = torch.Generator(device="cuda:1").manual_seed(3)
    assert (generator.device, generator.initial_seed()) == (SECOND, 3)
    assert isinstance(generator, torch.Generator)
    assert isinstance(torch.default_generator, torch.Generator)
    twin = pickle.loads(pickle.dumps(generator))
    drawn = torch.randn(2, device="cuda:1", generator=generator)
    assert torch.randn(2, device="cuda:1", generator=twin).equal(drawn)
    assert twin.device == SECOND
    assert torch.randperm(5, device="cuda:1", generator=generator).device == SECOND


@on_machine(devices=2, memory=1 << 20)
def test_memory():
    """Allocated memory is counted in blocks of 512 bytes, until nobody has it, and runs out."""
    assert torch.cuda.memory_allocated() == 0
    tensor = torch.zeros(1000, device="cuda")
    view = tensor[:10]
    del tensor
    assert torch.cuda.memory_allocated() == torch.cuda.memory_reserved() == 4096
    assert torch.cuda.memory_allocated(1) == 0
    del view
    assert (torch.cuda.memory_allocated(), torch.cuda.max_memory_allocated()) == (0, 4096)
    torch.cuda.reset_peak_memory_stats()
    assert torch.cuda.max_memory_allocated() == 0
    assert torch.cuda.mem_get_info() == (1 << 20, 1 << 20)
    assert "CUDA memory summary" in torch.cuda.memory_summary()
    text = r"CUDA out of memory. Tried to allocate 2.00 MiB. GPU 1 has a total capacity of 1024.00 KiB of which"
    with pytest.raises(torch.OutOfMemoryError, match=text):
        torch.empty(2 << 20, dtype=torch.uint8, device="cuda:1")
    with pytest.raises(torch.cuda.OutOfMemoryError):
        torch.zeros(100, device="cuda").expand(5000, 100).clone()


@on_machine(devices=2)
def test_streams_and_events():
    """Streams and events can be used as ever, and an event tells the time between."""
    stream, begin, end = torch.cuda.Stream(1), *[torch.cuda.Event(enable_timing=True) for _ in range(2)]
    begin.record()
    with torch.cuda.stream(stream):
        assert torch.cuda.current_stream() == stream
        assert torch.cuda.current_device() == 1
        time.sleep(0.002)
    assert torch.cuda.current_stream() == torch.cuda.default_stream()
    torch.cuda.current_stream().wait_stream(stream)
    end.record()
    end.synchronize()
    assert begin.elapsed_time(end) >= 2
    assert stream.query()
    assert isinstance(stream, torch.Stream)
    torch.ones(1, device="cuda").record_stream(stream)
    assert not torch.cuda.is_current_stream_capturing()


@on_machine(devices=2)
def test_storages():
    """Storages of a device are made of a size or of values, count as its memory, and go to the CPU and back."""
    assert torch.UntypedStorage(8, device="cuda:1").device == SECOND
    assert torch.cuda.memory_allocated(1) == 0
    kept = torch.UntypedStorage([1, 2], device="cuda:1")
    assert (type(kept), list(kept.cpu()), torch.cuda.memory_allocated(1)) == (torch.UntypedStorage, [1, 2], 512)
    assert (torch.UntypedStorage(8).device, kept.cpu().cuda(0).device) == (CPU, FIRST)
    with pytest.raises(torch.AcceleratorError, match="invalid device ordinal"):
        torch.UntypedStorage(8, device="cuda:2")


@on_machine(devices=1)
def test_pinned_memory():
    """A pinned copy is pinned and on the CPU; a tensor of a device cannot be pinned."""
    tensor = torch.ones(2)
    pinned = tensor.pin_memory()
    assert (pinned.is_pinned(), tensor.is_pinned(), pinned.device) == (True, False, CPU)
    assert pinned.pin_memory() is pinned
    assert pinned.to("cuda", non_blocking=True).tolist() == [1, 1]
    with pytest.raises(RuntimeError, match=r"cannot pin 'torch\.cuda\.FloatTensor' only dense CPU tensors"):
        tensor.cuda().pin_memory()


@on_machine(devices=1)
def test_old_tensor_types():
    """torch.cuda.FloatTensor and its like make tensors and are types of them."""
    assert torch.cuda.FloatTensor(2, 3).shape == (2, 3)
    made = torch.cuda.LongTensor([1, 2])
    assert (made.dtype, made.device) == (torch.int64, FIRST)
    assert isinstance(made, torch.cuda.LongTensor)
    assert not isinstance(made.cpu(), torch.cuda.LongTensor)
    assert torch.ones(2).type(torch.cuda.FloatTensor).device == torch.ones(2).type("torch.cuda.FloatTensor").device


@on_machine(devices=2)
def test_a_view_for_graders():
    """cpu_view shares the memory of a tensor, whatever its strides, and is not traced."""
    tensor = torch.arange(6.0, device="cuda:1").view(2, 3).t().requires_grad_()
    with virtual_cuda.trace() as trace:
        view = virtual_cuda.cpu_view(tensor)
    assert not trace.events
    assert (view.device, view.stride(), view.requires_grad) == (CPU, tensor.stride(), False)
    assert view.data_ptr() == tensor.data_ptr()
    assert view.tolist() == tensor.tolist()


@on_machine(devices=2)
def test_threads_draw_and_compute():
    """Threads use devices side by side."""
    failed = []

    def work(index):
        try:
            for _ in range(100):
                weight = torch.randn(4, 4, device=index, requires_grad=True)
                nn.functional.dropout(weight @ weight).sum().backward()
                assert weight.grad.device.index == index
        except BaseException as error:  # noqa: BLE001 - the test's thread tells it
            failed.append(error)

    threads = [threading.Thread(target=work, args=(index % 2,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed
