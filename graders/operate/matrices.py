"""Inputs of the graders of this assignment: small numbers in every dtype, and matrices with all kinds of strides."""

import itertools

import torch

DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
]
FLOATS = [dtype for dtype in DTYPES if dtype.is_floating_point]
SIZES = [(1, 1), (1, 4), (4, 1), (2, 2), (3, 3), (3, 5), (5, 3)]


def numbers(shape, generator, dtype=torch.float32):
    """Small whole numbers of both signs, which every dtype holds exactly."""
    values = torch.randint(-9, 10, shape, generator=generator)
    if dtype.is_complex:
        return torch.complex(values.double(), values.flip(-1).double() + 1).to(dtype)
    return values.gt(0) if dtype is torch.bool else values.to(dtype)


def layouts(rows, cols, generator, dtypes=(torch.float32,)):
    """Matrices that are views, of each dtype in turn: transposed, with gaps, blocks of larger ones, and stride 0."""
    one, two, three, four, five, six, seven, eight = itertools.islice(itertools.cycle(dtypes), 8)
    return [
        numbers((cols, rows), generator, one).t(),
        numbers((rows, 3 * cols), generator, two)[:, ::3],
        numbers((2 * rows, cols), generator, three)[1::2],
        numbers((rows + 2, cols + 3), generator, four)[1:-1, 2:-1],
        numbers((cols + 1, rows + 1), generator, five)[1:, 1:].t(),
        numbers((1, cols), generator, six).expand(rows, cols),
        numbers((rows, 1), generator, seven).expand(rows, cols),
        numbers((1, 1), generator, eight).expand(rows, cols),
    ]


def matrices(generator):
    """Matrices of all sizes but empty ones, of all dtypes, contiguous and not."""
    wholes = [numbers(size, generator, dtype) for size, dtype in zip(SIZES, DTYPES, strict=False)]
    return [*wholes, *layouts(3, 4, generator, DTYPES[len(wholes) :]), numbers((30, 40), generator)]
