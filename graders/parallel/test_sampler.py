"""parallel/sampler: the indices of each rank, from one shuffled order that all ranks agree on."""

import math
from collections import Counter
from itertools import pairwise

from tensorgrade import expect

SIZES = [(12, 4), (13, 4), (10, 3), (7, 7), (3, 5), (1, 4), (2, 7), (0, 3), (9, 1), (100, 8)]
MANY = 60


def shares(submission, n, world_size, epoch=1, seed=5):
    """The list of each rank."""
    cases = [(n, rank, world_size, epoch, seed) for rank in range(world_size)]
    lists = [attempt.returned() for attempt in submission.calls("shard_indices", cases)]
    for indices in lists:
        expect(indices).has_type(list)
        for index in indices:
            expect(index, "index", "索引").has_type(int)
    return lists


def test_share(submission):
    for n, world_size in SIZES:
        for indices in shares(submission, n, world_size):
            expect(len(indices), "number of indices", "索引个数").equals(math.ceil(n / world_size))


def follows(order, n):
    """Whether `order` is one of all n indices, and then begins again."""
    return sorted(order[:n]) == list(range(n)) and all(
        order[place] == order[place % n] for place in range(n, len(order))
    )


def test_cover(submission):
    for n, world_size in SIZES:
        lists = shares(submission, n, world_size)
        even = len({len(indices) for indices in lists}) == 1
        interleaved = [index for turn in zip(*lists, strict=False) for index in turn]
        blocks = [index for indices in lists for index in indices]
        complete = even and len(blocks) == math.ceil(n / world_size) * world_size
        expect(complete and (follows(interleaved, n) or follows(blocks, n)), "visit", "访问").equals(True)


def order_of(submission, epoch, seed):
    (order,) = shares(submission, MANY, 1, epoch, seed)
    expect(len(order), "number of indices", "索引个数").equals(MANY)
    return order


def most_common_step(order):
    """How often the most common step from an index to the next is made: hardly ever, where the order is random."""
    steps = Counter((after - before) % len(order) for before, after in pairwise(order))
    return max(steps.values())


def test_shuffled(submission):
    several = [[(epoch, seed) for epoch in range(4)] for seed in (5, 0)]
    several += [[(epoch, seed) for seed in (0, 1, 2, 17)] for epoch in (2, 0)]
    for choices in several:
        orders = [order_of(submission, epoch, seed) for epoch, seed in choices]
        expect(len(set(map(tuple, orders))), "number of different orders", "不同顺序的个数").equals(len(orders))
        expect(list(range(MANY)) in orders, "order left as it was", "顺序保持不变").equals(False)
        regular = any(most_common_step(order) > 13 for order in orders)
        expect(regular, "order, which is a regular one,", "有规律的顺序").equals(False)


def test_repeatable(submission):
    once, again = (shares(submission, 13, 3) + shares(submission, 40, 2, 7, 0) for _ in range(2))
    expect(once, "second list", "第二个列表").equals(again)
