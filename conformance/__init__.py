"""PyTorch's own operator database (OpInfo) on virtual accelerators.

    python -m conformance [--sample N] [--only TEXT] [--jobs N] [--json FILE]

Each entry of ``torch.testing._internal`` runs on ``cuda:1`` and is compared with the CPU, forward and backward
(`agreement`); then with each tensor of its arguments on another device than the rest, which has to raise
(`misplacement`). What does not raise has to stand in `accepted`, with the reason why CUDA accepts it as well.
No GPU is asked: what CUDA accepts is read from PyTorch's sources and documentation.
"""
