"""Training with autocast and gradient scaling, gradient clipping, and accumulation over several batches."""

import torch
from torch import nn


def train(dtype, steps=12, accumulate=2):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(16, 64), nn.LayerNorm(64), nn.GELU(), nn.Linear(64, 4)).cuda()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    scaler = torch.amp.GradScaler("cuda", enabled=dtype is torch.float16)
    inputs = torch.randn(64, 16, device="cuda")
    targets = inputs[:, :4].argmax(1)
    losses = []
    for step in range(steps):
        with torch.autocast(device_type="cuda", dtype=dtype):
            output = model(inputs)
            assert output.dtype is dtype
            loss = nn.functional.cross_entropy(output, targets) / accumulate
            assert loss.dtype is torch.float32
        scaler.scale(loss).backward()
        if (step + 1) % accumulate == 0:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), max_norm=5.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    assert all(parameter.dtype is torch.float32 for parameter in model.parameters())
    return losses[-1], scaler.get_scale()


def skips_steps_with_infinite_gradients():
    """A gradient that overflows costs a step and halves the scale."""
    weight = nn.Parameter(torch.ones(2, device="cuda"))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    scaler = torch.amp.GradScaler("cuda", init_scale=2.0**10)
    scaler.scale(weight.sum()).backward()
    weight.grad[0] = float("inf")
    scaler.step(optimizer)
    scaler.update()
    assert weight.tolist() == [1.0, 1.0]
    assert scaler.get_scale() == 2.0**9


if __name__ == "__main__":
    for dtype in (torch.float16, torch.bfloat16):
        loss, scale = train(dtype)
        print(f"{dtype}: loss {loss:.4f}, scale {scale:.0f}")
    skips_steps_with_infinite_gradients()
    print("done")
