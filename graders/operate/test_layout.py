"""operate/layout: bytes with the channels last become numbers from 0 to 1 with the channels first."""

import torch

from tensorgrade import expect
from tensorgrade.observation import ObservedTensor

from .misconceptions import explain

SHAPES = [
    (2, 3, 4, 3),
    (1, 4, 2, 1),
    (3, 1, 5, 2),
    (2, 3, 3, 3),
    (1, 2, 2, 4),
    (1, 1, 1, 3),
    (0, 2, 3, 3),
    (2, 0, 3, 3),
    (2, 3, 0, 1),
    (2, 2, 3, 0),
    (3, 40, 30, 3),
]


def images(shape, generator):
    return torch.randint(0, 256, shape, generator=generator).to(torch.uint8)


def black_and_white(shape, generator):
    return images(shape, generator).gt(127).mul(255).to(torch.uint8)


def batches(generator, draw):
    """Batches of all sizes, contiguous and not."""
    return [(batch,) for batch in [*(draw(shape, generator) for shape in SHAPES), *views(generator, draw)]]


def views(generator, draw=images):
    """Batches that are not contiguous: stored channels first, cropped, turned, expanded."""
    return [
        draw((2, 3, 4, 5), generator).permute(0, 2, 3, 1),
        draw((2, 6, 8, 3), generator)[:, 1:5, ::2],
        draw((2, 4, 5, 4), generator)[..., :3],
        draw((1, 4, 5, 3), generator).expand(3, -1, -1, -1),
        draw((2, 5, 4, 3), generator).transpose(1, 2),
        draw((6, 2, 3, 3), generator)[::2],
    ]


def explain_channels_last(cases, attempts):
    pairs = list(zip(cases, attempts, strict=True))
    if all(isinstance(one.value, ObservedTensor) and one.value.shape == batch.shape for (batch,), one in pairs):
        explain(
            "The channels are still last. That is how image files have them; PyTorch's layers take (N, C, H, W), the"
            " channels before height and width.",
            "通道仍在最后。图像文件是这样存放的，而 PyTorch 的层要求 (N, C, H, W)，即通道在高和宽之前。",
        )


def test_layout(submission, generator):
    cases = batches(generator, black_and_white)
    attempts = submission.calls("to_nchw", cases)
    explain_channels_last(cases, attempts)
    for (batch,), attempt in zip(cases, attempts, strict=True):
        white = batch.permute(0, 3, 1, 2).ne(0)
        is_right = expect(attempt).is_tensor().has_shape(*white.shape)
        values = attempt.value.values.to(torch.float64)  # on whatever scale: that is another clause's matter
        is_right.equals(torch.where(white, torch.where(values.ne(0), values, 1), 0))


def test_scale(submission, generator):
    bytes_once = torch.arange(256).to(torch.uint8)
    cases = [(bytes_once.view(256, 1, 1, 1),), (bytes_once[:200].view(200, 1, 1, 1),), (bytes_once.view(1, 1, 1, 256),)]
    cases += [(torch.full((2, 1, 1, 1), value, dtype=torch.uint8),) for value in (0, 1, 100, 254)]
    for (batch,), attempt in zip(cases, submission.calls("to_nchw", cases), strict=True):
        judge_scale(attempt, batch)


def test_scale__batches(submission, generator):
    cases = [
        (batch,) for batch in [images((2, 5, 4, 3), generator), images((0, 2, 3, 3), generator), *views(generator)]
    ]
    for (batch,), attempt in zip(cases, submission.calls("to_nchw", cases), strict=True):
        judge_scale(attempt, batch)


def judge_scale(attempt, batch):
    """Compare the values in the order of their size: where they stand is another clause's matter."""
    expect(attempt).is_tensor()
    values = attempt.value.values.to(torch.float64)
    if values.numel() != batch.numel():
        expect(attempt).has_shape(*batch.permute(0, 3, 1, 2).shape)
    expected = torch.empty(values.numel())
    expected[values.flatten().argsort()] = batch.flatten().sort().values / 255
    expect(attempt).close_to(expected.view(values.shape))


def test_dtype(submission, generator):
    cases = [(images(shape, generator),) for shape in SHAPES[:8]]
    for attempt in submission.calls("to_nchw", cases):
        expect(attempt).has_dtype(torch.float32)


def is_contiguous(tensor):
    """Whether strides are those of row-major order; without elements, or along one element, they mean nothing."""
    step = 1
    for size, stride in zip(reversed(tensor.shape), reversed(tensor.stride), strict=True):
        if size != 1 and stride != step:
            return 0 in tensor.shape
        step *= size
    return True


def test_contiguous(submission, generator):
    for attempt in submission.calls("to_nchw", batches(generator, images)):
        expect(attempt).is_tensor()
        strides = is_contiguous(attempt.value)
        expect(strides, "contiguity of the result", "结果的连续性").equals(True)
        expect(attempt).leaves_arguments()
