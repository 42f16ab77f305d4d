"""Train with nn.DataParallel on all GPUs, and compare with one CPU."""

import copy

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset


class Model(nn.Module):
    def __init__(self, features, classes):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(features, 32), nn.ReLU(), nn.Linear(32, classes))
        self.register_buffer("scale", torch.tensor([2.0]))

    def forward(self, x):
        print(f"  inside: {x.size(0)} samples on {x.device}")
        return self.body(x) * self.scale


def train(model, loader, device):
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    criterion = nn.CrossEntropyLoss()
    losses = []
    for inputs, labels in loader:
        inputs, labels = inputs.to(device), labels.to(device)
        outputs = model(inputs)
        loss = criterion(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def main():
    torch.manual_seed(0)
    inputs = torch.randn(150, 10)
    loader = DataLoader(TensorDataset(inputs, (inputs[:, 0] > 0).long()), batch_size=30)
    model = Model(10, 2)
    reference = copy.deepcopy(model)
    device = torch.device("cuda:0" if torch.cuda.is_available() else "cpu")
    if torch.cuda.device_count() > 1:
        print(f"let's use {torch.cuda.device_count()} GPUs")
        model = nn.DataParallel(model)
    model.to(device)
    losses, expected = train(model, loader, device), train(reference, loader, "cpu")
    torch.testing.assert_close(losses, expected, rtol=1e-4, atol=1e-5)
    state = model.module.state_dict() if isinstance(model, nn.DataParallel) else model.state_dict()
    torch.testing.assert_close({name: value.cpu() for name, value in state.items()}, reference.state_dict())
    print(f"done, loss {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
