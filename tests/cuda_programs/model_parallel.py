"""A network whose halves are on two GPUs, plain and as a pipeline of micro-batches."""

import torch
from torch import nn, optim


class ToyModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.net1 = nn.Linear(10, 10).to("cuda:0")
        self.relu = nn.ReLU()
        self.net2 = nn.Linear(10, 5).to("cuda:1")

    def forward(self, x):
        x = self.relu(self.net1(x.to("cuda:0")))
        return self.net2(x.to("cuda:1"))


class Pipelined(ToyModel):
    def __init__(self, split_size):
        super().__init__()
        self.split_size = split_size

    def forward(self, x):
        splits = iter(x.split(self.split_size))
        previous = self.net1(next(splits).to("cuda:0")).to("cuda:1")
        results = []
        for following in splits:
            results.append(self.net2(self.relu(previous)))
            previous = self.net1(following.to("cuda:0")).to("cuda:1")
        results.append(self.net2(self.relu(previous)))
        return torch.cat(results)


def main():
    torch.manual_seed(0)
    model, loss_fn = ToyModel(), nn.MSELoss()
    optimizer = optim.SGD(model.parameters(), lr=0.05)
    data, labels = torch.randn(20, 10), torch.randn(20, 5)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = loss_fn(model(data), labels.to("cuda:1"))
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert [model.net1.weight.grad.device.index, model.net2.weight.grad.device.index] == [0, 1]
    pipelined = Pipelined(split_size=6)
    pipelined.load_state_dict(model.state_dict())
    torch.testing.assert_close(pipelined(data), model(data))
    try:
        model.net2(model.net1(data.to("cuda:0")))
    except RuntimeError as error:
        assert "Expected all tensors to be on the same device" in str(error)  # noqa: PT017
    else:
        raise AssertionError("two devices were mixed")
    torch.cuda.synchronize()
    print(f"done, loss {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
