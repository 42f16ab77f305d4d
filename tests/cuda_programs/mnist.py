"""Train a small convolutional network on generated digits, on the device that there is."""

import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.optim.lr_scheduler import StepLR
from torch.utils.data import DataLoader, TensorDataset, random_split


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 8, 3)
        self.norm = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 16, 3)
        self.dropout = nn.Dropout(0.1)
        self.fc = nn.Linear(16 * 4 * 4, 4)

    def forward(self, x):
        x = F.relu(self.norm(self.conv1(x)))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.log_softmax(self.fc(self.dropout(torch.flatten(x, 1))), dim=1)


def digits(count):
    """Images of one bright quadrant each, with noise; the quadrant is the label."""
    labels = torch.randint(0, 4, (count,))
    images = 0.3 * torch.randn(count, 1, 12, 12)
    for image, label in zip(images, labels, strict=True):
        row, column = divmod(int(label), 2)
        image[0, 6 * row : 6 * row + 6, 6 * column : 6 * column + 6] += 1
    return TensorDataset(images, labels)


def train(model, device, loader, optimizer, epoch):
    model.train()
    for batch, (data, target) in enumerate(loader):
        data, target = data.to(device, non_blocking=True), target.to(device, non_blocking=True)
        optimizer.zero_grad()
        loss = F.nll_loss(model(data), target)
        loss.backward()
        optimizer.step()
        if batch % 4 == 0:
            print(f"epoch {epoch} [{batch}/{len(loader)}] loss {loss.item():.4f}")


def test(model, device, loader):
    model.eval()
    loss, correct = 0.0, 0
    with torch.no_grad():
        for data, target in loader:
            data, target = data.to(device), target.to(device)
            output = model(data)
            loss += F.nll_loss(output, target, reduction="sum").item()
            correct += (
                output.argmax(dim=1, keepdim=True).eq(target.view_as(output.argmax(dim=1, keepdim=True))).sum().item()
            )
    print(f"average loss {loss / len(loader.dataset):.4f}, accuracy {correct / len(loader.dataset):.2%}")
    return correct / len(loader.dataset)


def main():
    torch.manual_seed(1)
    use_cuda = torch.cuda.is_available()
    device = torch.device("cuda" if use_cuda else "cpu")
    options = {"batch_size": 32}
    if use_cuda:
        options |= {"num_workers": 1, "pin_memory": True, "persistent_workers": True}
        torch.backends.cudnn.benchmark = True
    training, testing = random_split(digits(320), [256, 64])
    train_loader, test_loader = DataLoader(training, shuffle=True, **options), DataLoader(testing, **options)
    model = Net().to(device)
    optimizer = optim.Adadelta(model.parameters(), lr=1.0)
    scheduler = StepLR(optimizer, step_size=1, gamma=0.7)
    for epoch in range(1, 4):
        train(model, device, train_loader, optimizer, epoch)
        accuracy = test(model, device, test_loader)
        scheduler.step()
    assert accuracy > 0.9
    assert all(parameter.device.type == device.type for parameter in model.parameters())
    print(f"done on {next(model.parameters()).device}")


if __name__ == "__main__":
    main()
