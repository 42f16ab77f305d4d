"""create/random: uniform and normal numbers from a seed, without touching torch's global random state.

Each bound on a statistic is passed by right answers but for one in ten million seeds or fewer.
"""

import math

import torch

from tensorgrade import expect

from .pairs import expect_tuple, parts

MANY = 10_000
DRAWS = [
    (MANY, -2.0, 4.0, 3.0, 0.5, 1),
    (MANY, 10.0, 10.5, -100.0, 20.0, 2**32 - 1),
]
FEW = [(n, -1.0, 2.0, 5.0, 3.0, seed) for n, seed in [(0, 0), (1, 0), (2, 7), (3, 2**31), (16, 11), (100, 2**32 - 1)]]
UNIFORM = ("first result", "第一个结果")
NORMAL = ("second result", "第二个结果")
MOMENTS = (("mean", "standard deviation"), ("均值", "标准差"))


def pairs(submission, cases):
    return [attempt.returned() for attempt in submission.calls("samples", cases)]


def drawn(submission):
    """The cases and the pairs that they give."""
    cases = [*DRAWS, *FEW]
    return zip(cases, pairs(submission, cases), strict=True)


def numbers(n, pair, place):
    """What stands at `place` of a pair, as float64; fails when it is no vector of finite numbers."""
    item, subject = parts(pair)[place], (UNIFORM, NORMAL)[place]
    expect(item, *subject).is_tensor().has_shape(n)
    expect(bool(item.values.isfinite().all()), *subject).equals(True)
    return item.values.double()


def test_pair(submission):
    for (n, *_), pair in zip(FEW, pairs(submission, FEW), strict=True):
        for item, subject in zip(expect_tuple(pair), (UNIFORM, NORMAL), strict=True):
            expect(item, *subject).is_tensor().has_shape(n).has_dtype(torch.float32)


def expect_independent_draws(quantiles, name, name_zh):
    """Judge numbers that are evenly distributed between 0 and 1 if the answer is right.

    The Kolmogorov-Smirnov distance is neither too large (another distribution) nor too small (a grid, shuffled);
    neighbours are not correlated, and the numbers are as fine as float32.
    """
    n = quantiles.numel()
    even = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    distance = math.sqrt(n) * (quantiles.sort().values - even).abs().max().item()
    expect(0.2 < distance < 3.2, f"distribution of the {name}", f"{name_zh}的分布").equals(True)
    expect(uncorrelated(quantiles[1:], quantiles[:-1]), f"order of the {name}", f"{name_zh}的顺序").equals(True)
    expect(quantiles.unique().numel() > 0.9 * n, f"resolution of the {name}", f"{name_zh}的精细程度").equals(True)


def uncorrelated(x, y):
    """Whether two columns of numbers are not related; constant ones, which have no correlation, are not."""
    correlation = torch.corrcoef(torch.stack([x, y]))[0, 1].item()
    return math.isnan(correlation) or abs(correlation) < 6.5 / math.sqrt(x.numel())


def test_uniform(submission):
    for (n, low, high, *_), pair in drawn(submission):
        values = numbers(n, pair, 0)
        slack = 2 * torch.finfo(torch.float32).eps * max(abs(low), abs(high))
        inside = (values >= low - slack) & (values <= high + slack)
        expect(bool(inside.all()), "range of the uniform numbers", "均匀分布的数的范围").equals(True)
        if n == MANY:
            levels = (values - low) / (high - low)
            reached = levels.min().item() < 0.002 and levels.max().item() > 0.998
            expect(reached, "range of the uniform numbers", "均匀分布的数的范围").equals(True)
            expect_independent_draws(levels, "uniform numbers", "均匀分布的数")


def precision(scores):
    """How far mean and standard deviation, by either formula, are from 0 and 1, as multiples of what chance does."""
    root, apart = math.sqrt(MANY), [(scores.std(correction=one) - 1).abs().item() for one in (0, 1)]
    return root * scores.mean().abs().item(), math.sqrt(2) * root * min(apart)


def test_normal(submission):
    reached = []
    for (n, low, high, mean, std, _), pair in drawn(submission):
        scores = (numbers(n, pair, 1) - mean) / std
        if n == MANY:
            reached.append(precision(scores))
            quantiles = torch.special.ndtr(scores)
            expect_independent_draws(quantiles, "normal numbers", "正态分布的数")
            tails = 3 < scores.abs().max().item() < 7
            expect(tails, "largest of the normal numbers", "正态分布的数中最大的").equals(True)
            expect_unrelated((numbers(n, pair, 0) - low) / (high - low), scores, quantiles)
    for found, name, name_zh in zip(zip(*reached, strict=True), *MOMENTS, strict=True):
        by_chance = 1e-4 < max(found) < 6
        expect(by_chance, f"{name} of the normal numbers", f"正态分布的数的{name_zh}").equals(True)


def expect_unrelated(levels, scores, quantiles):
    """Judge that neither the numbers nor their squares go together, and that one are not the other in new order."""
    moments = [(x, y) for x in (levels, (levels - 0.5) ** 2) for y in (scores, scores**2)]
    apart = (quantiles.sort().values - levels.sort().values).abs().max().item() > 1e-4
    unrelated = apart and all(uncorrelated(x, y) for x, y in moments)
    expect(unrelated, "independence of the two results", "两个结果的独立性").equals(True)


def test_seed(submission):
    seeds = [0, 1, 2, 1, 1001, 2**16, 2**31, 2**31 + 1, 2**32 - 1, 0]
    drawn = pairs(submission, [(40, 0.0, 1.0, 0.0, 1.0, seed) for seed in seeds])
    known = {}
    for seed, pair in zip(seeds, drawn, strict=True):
        vectors = [tuple(vector.values.flatten().tolist()) for vector in tensors(pair)]
        again = vectors == known.setdefault(seed, vectors)
        expect(again, "second result for a seed", "同一种子的第二次结果").equals(True)
    for vectors in zip(*known.values(), strict=True):
        expect(len(set(vectors)), "number of different results", "不同结果的个数").equals(len(known))


def tensors(pair):
    items = parts(pair)
    for item in items:
        expect(item).is_tensor().has_shape(40)
    return items


def around(student, cases):
    """The global random state before and after each case, and what the case gave."""
    found = []
    for case in cases:
        torch.default_generator.manual_seed(case[0] + 99)
        torch.randn(3)
        before = torch.get_rng_state()
        found.append((before, student.samples(*case), torch.get_rng_state()))
    return found


def test_global_state(submission):
    cases = [(5, 0.0, 1.0, 0.0, 1.0, 3), (0, -1.0, 1.0, 2.0, 3.0, 4), (100, 0.0, 2.0, -1.0, 1.0, 2**32 - 1)]
    for before, pair, after in submission.run(around, cases):
        parts(pair)
        expect(after, "global random state", "全局随机状态").equals(before.values)
