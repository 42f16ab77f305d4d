"""Save a training run on one GPU and go on with it on the CPU and on another GPU; activation checkpointing."""

import tempfile
from pathlib import Path

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint, checkpoint_sequential


def new(device):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 12), nn.Tanh(), nn.Linear(12, 2)).to(device)
    return model, torch.optim.Adam(model.parameters(), lr=0.05)


def step(model, optimizer, device):
    inputs = torch.linspace(-1, 1, 60).view(10, 6).to(device)
    loss = (model(inputs) - inputs[:, :2].sin()).pow(2).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def resume(path, device):
    model, optimizer = new(device)
    stored = torch.load(path, map_location=device, weights_only=True)
    assert {value.device for value in stored["model"].values()} == {torch.device(device)}
    model.load_state_dict(stored["model"])
    optimizer.load_state_dict(stored["optimizer"])
    assert optimizer.state[model[0].weight]["exp_avg"].device == torch.device(device)
    return [step(model, optimizer, device) for _ in range(3)]


def main():
    model, optimizer = new("cuda:1")
    for _ in range(5):
        step(model, optimizer, "cuda:1")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "run.pt"
        torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, path)
        assert torch.load(path)["model"]["0.weight"].device == torch.device("cuda:1")
        runs = [resume(path, device) for device in ("cpu", "cuda:0", "cuda:1")]
    continued = [step(model, optimizer, "cuda:1") for _ in range(3)]
    for run in runs:
        torch.testing.assert_close(run, continued, rtol=1e-5, atol=1e-7)
    inputs = torch.randn(4, 6, device="cuda:1", requires_grad=True)
    (plain,) = torch.autograd.grad(model(inputs).sum(), inputs)
    (whole,) = torch.autograd.grad(checkpoint(model, inputs, use_reentrant=False).sum(), inputs)
    (parts,) = torch.autograd.grad(checkpoint_sequential(model, 2, inputs, use_reentrant=False).sum(), inputs)
    assert torch.equal(plain, whole)
    assert torch.equal(plain, parts)
    print(f"done, loss {continued[-1]:.5f}")


if __name__ == "__main__":
    main()
