"""devices/nvidia-smi: the index of the GPU with the most free memory, from what nvidia-smi prints."""

import torch

from tensorgrade import expect

MODELS = [8192, 16384, 24576, 40960, 81920]


def report(rows, *, end="\n"):
    return "\n".join(f"{index}, {used}, {total}" for index, used, total in rows) + end


def freest(rows):
    return min(rows, key=lambda row: (row[1] - row[2], row[0]))[0]


def draw(generator, gpus):
    """GPUs with different free memory, of different sizes, in any order and with indices missing."""

    def number(high):
        return int(torch.randint(high, (), generator=generator))

    indices = torch.randperm(gpus + 9, generator=generator)[:gpus].tolist()
    totals = [MODELS[number(len(MODELS))] for _ in indices]
    rows = [(index, number(total - 64), total) for index, total in zip(indices, totals, strict=True)]
    return rows if len({total - used for _, used, total in rows}) == gpus else draw(generator, gpus)


MACHINES = [
    [(0, 20310, 24576), (1, 312, 24576), (3, 4096, 81920)],
    [(0, 10, 8192)],
    [(5, 24576, 24576)],
    [(2, 9000, 10000), (10, 500, 2000), (7, 0, 900)],
    [(11, 100, 81920), (0, 0, 8192), (1, 16, 40960)],
    [(0, 2, 183359), (3, 1, 183359), (2, 0, 183359), (1, 3, 183359)],
    [(index, 3000, 24576) for index in range(11)] + [(11, 2999, 24576)],
]


def test_most_free(submission, generator):
    machines = [*MACHINES, *(draw(generator, gpus) for gpus in (2, 3, 4, 8, 8, 16))]
    texts = [report(rows, end="\n" if place % 2 else "") for place, rows in enumerate(machines)]
    for rows, attempt in zip(machines, submission.calls("freest_gpu", [(text,) for text in texts]), strict=True):
        expect(attempt).equals(freest(rows))


TIES = [
    [(1, 50, 1050), (0, 50, 1050)],
    [(9, 0, 8192), (10, 0, 8192), (3, 8000, 16192), (4, 8190, 8192)],
    [(10, 0, 8192), (9, 16384, 24576)],
    [(7, 24576, 24576), (6, 8192, 8192)],
    [(2, 0, 8192), (5, 8192, 16384), (9, 0, 8192)],
    [(7, 0, 8192), (1, 0, 8192), (4, 0, 8192)],
]


def test_tie(submission):
    for rows, attempt in zip(TIES, submission.calls("freest_gpu", [(report(rows),) for rows in TIES]), strict=True):
        expect(attempt).equals(freest(rows))


def test_none(submission):
    one, *none = submission.calls("freest_gpu", [("4, 0, 8192\n",), ("",), ("No devices were found",)])
    told = "None although there is a GPU", "有 GPU 时的 None"
    expect(one.returned() is None, *told).equals(False)
    for attempt in none:
        expect(attempt).equals(None)
