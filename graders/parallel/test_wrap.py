"""parallel/wrap: wrapped in DataParallel only where there are several GPUs; here, on a machine without any."""

import torch
from torch import nn

from tensorgrade import expect


def models():
    torch.manual_seed(3)
    return [
        nn.Linear(3, 2),
        nn.Sequential(nn.Linear(4, 4), nn.BatchNorm1d(4), nn.Dropout(0.5)),
        nn.Sequential(),
    ]


def test_no_gpu(submission):
    cases = [(model, ids) for model in models() for ids in ([], [0], [0, 1], (1, 0))]
    for attempt in submission.machine(accelerators=0).calls("prepare", cases):
        expect(attempt).is_same_object_as(attempt.arguments[0])


def test_on_cpu(submission):
    cases = [(model.train(training), [0]) for training in (True, False) for model in models()]
    for attempt in submission.machine(accelerators=0).calls("prepare", cases):
        expect(attempt).on_device("cpu").leaves_arguments()
