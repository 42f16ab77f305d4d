"""Traces, DataParallel, DistributedDataParallel, and the processes that training is made of."""

import copy
import os
import re
import tempfile
import threading

import pytest
import torch
from torch import distributed, multiprocessing, nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

from tensorgrade import virtual_cuda
from tests.virtual_machine import on_machine

FIRST, SECOND, CPU = torch.device("cuda:0"), torch.device("cuda:1"), torch.device("cpu")


class Watched(nn.Module):
    """A linear layer that notes what each replica sees."""

    seen: list[tuple[torch.device, int, torch.device, int]]
    lock = threading.Lock()

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(8, 3)
        self.register_buffer("shift", torch.zeros(3))
        self.seen = []

    def forward(self, inputs):
        """Note and compute."""
        with self.lock:
            note = (inputs.device, len(inputs), self.layer.weight.device, torch.cuda.current_device())
            self.seen.append(note)
        return self.layer(inputs) + self.shift + torch.zeros(3, device=inputs.device)


@on_machine(devices=2)
def test_data_parallel():
    """Each replica gets its part on its device, the results come together, and gradients are those of the CPU."""
    module, inputs, labels = Watched(), torch.randn(7, 8), torch.randint(0, 3, (7,))
    reference = copy.deepcopy(module.layer)
    parallel = nn.DataParallel(module).to("cuda:0")
    with virtual_cuda.trace() as trace:
        output = parallel(inputs.cuda())
    assert (output.device, output.shape) == (FIRST, (7, 3))
    assert sorted(module.seen, key=str) == [(FIRST, 4, FIRST, 0), (SECOND, 3, SECOND, 1)]
    (scattered,), (gathered,) = trace.of(virtual_cuda.Scatter), trace.of(virtual_cuda.Gather)
    assert scattered == virtual_cuda.Scatter(FIRST, ((4, 8), (3, 8)), (FIRST, SECOND))
    assert gathered == virtual_cuda.Gather(((4, 3), (3, 3)), (FIRST, SECOND), FIRST)
    assert {each.devices for each in trace.of(virtual_cuda.Replicate)} == {(FIRST, SECOND)}
    nn.functional.cross_entropy(output, labels.cuda()).backward()
    nn.functional.cross_entropy(reference(inputs), labels).backward()
    for ours, theirs in zip(parallel.parameters(), reference.parameters(), strict=True):
        torch.testing.assert_close(ours.grad.cpu(), theirs.grad)


@on_machine(devices=4)
def test_data_parallel_with_few_samples():
    """A batch smaller than the number of devices uses as many as it has samples."""
    module = Watched()
    output = nn.DataParallel(module.cuda(), output_device=2)(torch.randn(2, 8))
    assert output.device == torch.device("cuda:2")
    assert sorted(note[3] for note in module.seen) == [0, 1]


@on_machine(devices=2)
def test_data_parallel_checks_devices():
    """A module that is not on the first device raises, and an error of a replica says which."""
    text = (
        "module must have its parameters and buffers on device cuda:0 (device_ids[0]) but found one of them on "
        "device: cpu"
    )
    with pytest.raises(RuntimeError, match=re.escape(text)):
        nn.DataParallel(nn.Linear(8, 3))(torch.randn(4, 8))
    with pytest.raises(RuntimeError, match=r"Caught RuntimeError in replica [01] on device [01]\."):
        nn.DataParallel(nn.Linear(8, 3).cuda())(torch.randn(4, 7))
    with pytest.raises(AssertionError, match="Invalid device id"):
        nn.DataParallel(nn.Linear(8, 3).cuda(), device_ids=[0, 5])(torch.randn(4, 8))


@on_machine(devices=2)
def test_traces():
    """A trace has operations with their device, copies with both ends, and what the host waited for."""
    inputs = torch.ones(4, 2)
    with virtual_cuda.trace() as outer:
        first = inputs.cuda()
        with virtual_cuda.trace() as inner:
            (first.to("cuda:1") @ torch.ones(2, 2, device="cuda:1")).cpu()
        torch.cuda.synchronize(1)
    assert [copy_.source for copy_ in outer.copies] == [CPU, FIRST, SECOND]
    assert inner.copies[0] == virtual_cuda.Copy(FIRST, SECOND, (4, 2), torch.float32, 32)
    assert virtual_cuda.Operation("aten::mm", SECOND) in inner.operations
    assert outer.of(virtual_cuda.Synchronize) == [virtual_cuda.Synchronize(SECOND)]
    assert len(inner) < len(outer)
    first + 1
    assert len(list(outer)) == len(outer.events) == len(outer)


@on_machine(devices=2)
def test_comm_functions():
    """torch.cuda.comm and torch.nn.parallel work on tensors of devices."""
    from torch.cuda import comm

    parts = comm.scatter(torch.arange(5.0), [0, 1], chunk_sizes=[2, 3])
    assert [(each.device, each.tolist()) for each in parts] == [(FIRST, [0, 1]), (SECOND, [2, 3, 4])]
    assert comm.gather(parts, destination="cpu").tolist() == [0, 1, 2, 3, 4]
    assert [each.device for each in comm.broadcast(parts[0], [0, 1])] == [FIRST, SECOND]
    assert comm.reduce_add([torch.ones(2, device=index) for index in (0, 1)]).tolist() == [2, 2]
    replicas = nn.parallel.replicate(nn.Linear(2, 2).cuda(), [0, 1])
    results = nn.parallel.parallel_apply(replicas, [torch.ones(1, 2, device=index) for index in (0, 1)])
    assert [each.device for each in results] == [FIRST, SECOND]


class Moving(Dataset):
    """Samples that a worker process puts on a device and takes off again."""

    def __len__(self):
        return 4

    def __getitem__(self, index):
        return torch.full((2,), float(index)).cuda().mul(2).cpu()


@on_machine(devices=1)
def test_data_loader():
    """Batches come pinned, and worker processes that were forked may use devices."""
    batches = DataLoader(TensorDataset(torch.randn(4, 2)), batch_size=2, pin_memory=True)
    assert [(batch.is_pinned(), batch.cuda(non_blocking=True).device) for (batch,) in batches] == [(True, FIRST)] * 2
    torch.ones(1).cuda()
    workers = DataLoader(Moving(), batch_size=2, num_workers=2, multiprocessing_context="fork")
    assert torch.cat(list(workers)).flatten().tolist() == [0, 0, 2, 2, 4, 4, 6, 6]


def train(rank, backend, folder, start):
    """A rank: wraps a model in DistributedDataParallel on its device and takes a step on its own samples."""
    if start == "spawn":
        virtual_cuda.enable(devices=2)
    file = f"file://{folder}/store"
    distributed.init_process_group(backend, init_method=file, rank=rank, world_size=2)
    assert distributed.get_backend() == backend
    torch.manual_seed(rank)
    torch.cuda.set_device(rank)
    parallel = nn.parallel.DistributedDataParallel(nn.Linear(4, 1).to(rank), device_ids=[rank])
    start_weight = parallel.module.weight.detach().clone()
    with virtual_cuda.trace() as trace:
        parallel(torch.full((2, 4), rank + 1.0)).sum().backward()
    assert trace.of(virtual_cuda.Collective)[0].device == torch.device("cuda", rank)
    total = torch.tensor([rank + 1.0], device=rank)
    distributed.all_reduce(total)
    gathered = [None, None]
    distributed.all_gather_object(gathered, parallel.module.weight.grad.tolist())
    distributed.barrier()
    weights = [torch.empty_like(start_weight) for _ in range(2)]
    distributed.all_gather(weights, start_weight)
    assert weights[0].equal(weights[1]), "rank 0's weights were broadcast"
    torch.save((total.item(), gathered), f"{folder}/{rank}.pt")
    os._exit(0)  # a process group may wait for others when it is destroyed


@pytest.mark.parametrize(("backend", "start"), [("gloo", "fork"), ("nccl", "fork"), ("nccl", "spawn")])
@on_machine(devices=2)
def test_distributed(backend, start):
    """Two ranks on two devices average their gradients, whether forked or spawned, and "nccl" is a name for gloo."""
    with tempfile.TemporaryDirectory() as folder:
        context = multiprocessing.get_context(start)
        ranks = [context.Process(target=train, args=(rank, backend, folder, start)) for rank in range(2)]
        for rank in ranks:
            rank.start()
        for rank in ranks:
            rank.join()
            assert rank.exitcode == 0
        results = [torch.load(f"{folder}/{rank}.pt") for rank in range(2)]
    assert results[0] == results[1] == (3.0, [[[3.0] * 4]] * 2)  # the average of 2 and 4
