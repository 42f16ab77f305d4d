"""DistributedDataParallel with one process for each GPU."""

import os
import socket
import sys
import tempfile
from pathlib import Path

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel as DDP  # noqa: N817
from torch.utils.data import DataLoader, TensorDataset
from torch.utils.data.distributed import DistributedSampler


def setup(rank, world_size, port, backend):
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.cuda.set_device(rank)
    dist.init_process_group(backend, rank=rank, world_size=world_size)


def train(rank, world_size, port, backend, folder):
    setup(rank, world_size, port, backend)
    torch.manual_seed(rank)  # DDP gives every rank the parameters of rank 0
    model = DDP(nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 1)).to(rank), device_ids=[rank])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05)
    generator = torch.Generator().manual_seed(0)
    inputs = torch.randn(48, 8, generator=generator)
    dataset = TensorDataset(inputs, inputs.sum(1, keepdim=True))
    sampler = DistributedSampler(dataset, world_size, rank)
    loader = DataLoader(dataset, batch_size=8, sampler=sampler)
    totals = []
    for epoch in range(4):
        sampler.set_epoch(epoch)
        total = torch.zeros(1, device=f"cuda:{rank}")
        for data, target in loader:
            loss = nn.functional.mse_loss(model(data.to(rank)), target.to(rank))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            total += loss.detach()
        dist.all_reduce(total, op=dist.ReduceOp.SUM)
        totals.append(total.item())
    assert totals[-1] < totals[0]
    same_everywhere(model, rank, world_size)
    restore(model, rank, Path(folder) / "model.pt")
    dist.barrier()
    if rank == 0:
        print(f"done on {dist.get_world_size()} ranks with {dist.get_backend()}, loss {totals[-1]:.4f}", flush=True)
    dist.destroy_process_group()


def same_everywhere(model, rank, world_size):
    """Gradients and parameters are equal on all ranks."""
    for parameter in model.parameters():
        assert parameter.grad.device == parameter.device == torch.device("cuda", rank)
        for tensor in (parameter.detach(), parameter.grad):
            gathered = [torch.empty_like(tensor) for _ in range(world_size)]
            dist.all_gather(gathered, tensor)
            assert all(torch.equal(gathered[0], other) for other in gathered)


def restore(model, rank, path):
    """Rank 0 saves, everybody loads to their own GPU."""
    if rank == 0:
        torch.save(model.state_dict(), path)
    dist.barrier()
    state = torch.load(path, map_location={"cuda:0": f"cuda:{rank}"})
    assert {value.device.index for value in state.values()} == {rank}
    model.load_state_dict(state)


if __name__ == "__main__":
    backend = sys.argv[1] if len(sys.argv) > 1 else "gloo"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ranks = torch.cuda.device_count()
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(train, args=(ranks, port, backend, folder), nprocs=ranks, join=True)
