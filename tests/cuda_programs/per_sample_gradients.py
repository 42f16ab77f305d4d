"""Gradients for each sample with torch.func, against a loop over the samples."""

import warnings

import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad, hessian, jacrev, jvp, vmap

warnings.filterwarnings("ignore", message=r"`torch.jit.script` is deprecated")  # torch's own


def main():
    torch.manual_seed(0)
    device = "cuda"
    model = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3)).to(device)
    data, targets = torch.randn(6, 5, device=device), torch.randint(0, 3, (6,), device=device)
    parameters = {name: value.detach() for name, value in model.named_parameters()}

    def loss_of_one(parameters, sample, target):
        return F.cross_entropy(functional_call(model, parameters, (sample.unsqueeze(0),)), target.unsqueeze(0))

    together = vmap(grad(loss_of_one), in_dims=(None, 0, 0))(parameters, data, targets)
    for at in range(len(data)):
        alone = torch.autograd.grad(
            F.cross_entropy(model(data[at : at + 1]), targets[at : at + 1]), list(model.parameters())
        )
        for name, expected in zip(parameters, alone, strict=True):
            torch.testing.assert_close(together[name][at], expected)
    assert {value.device for value in together.values()} == {torch.device("cuda:0")}

    point = torch.randn(4, device="cuda:1")
    value, slope = jvp(torch.sin, (point,), (torch.ones_like(point),))
    torch.testing.assert_close(slope, point.cos())
    torch.testing.assert_close(jacrev(torch.sin)(point), torch.diag(point.cos()))
    torch.testing.assert_close(hessian(lambda x: x.sin().sum())(point), torch.diag(-point.sin()))
    assert value.device == torch.device("cuda:1")
    print("done")


if __name__ == "__main__":
    main()
