"""The planner: which splits and merges, in which order, turn the present open shards into those that are wanted. Pure.

A split makes one cut, a merge takes one away. So a plan is as short as it can be when it touches each cut that is
wrong once. Its order keeps the stream in service on the way: no shard of it, however short its life, takes more of the
hash space than a shard took before or will take in the end.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Collection, Sequence
from typing import Final, NamedTuple

from isthmus.console.resharding.cover import HASH_SPACE

NEAR: Final = 1 << 64
"""A cut so little below where it should be stays: Kinesis makes even shards by multiples of a size that was rounded
down, and so some hashes off. That is less than a part in 10^19 of the load. Never above: there the first lane of the
next shard could lie."""


class Split(NamedTuple):
    """Make two of one shard: `low` to `at` - 1, and `at` to `high`."""

    low: int
    at: int
    high: int


class Merge(NamedTuple):
    """Make one of two neighbours: the one up to `at` - 1, and the one from `at`."""

    low: int
    at: int
    high: int


Step = Split | Merge


def plan(cuts: Collection[int], goal: Collection[int]) -> list[Step]:
    """Give the steps, in their order, from the present cuts to the wanted ones; none when all is as it should be.

    A plan is made from what is there: the rest of a plan that was broken off anywhere is the plan that is made then.
    """
    wrong, missing = differences(cuts, goal)
    now, wanted, steps = sorted(cuts), sorted(missing), list[Step]()
    while wrong or wanted:
        step = _merge(now, wrong, wanted) or _split(now, wanted)
        steps.append(step)
        now = after(now, step)
        wrong.discard(step.at)
        wanted = [place for place in wanted if place != step.at]
    return steps


def differences(cuts: Collection[int], goal: Collection[int]) -> tuple[set[int], set[int]]:
    """Give the present cuts that nobody wants, and the wanted ones that are neither there nor near enough."""
    wrong, wanted = set(cuts) - set(goal), set(goal) - set(cuts)
    for place in sorted(wanted):
        near = max((cut for cut in wrong if place - NEAR <= cut < place), default=None)
        if near is not None:
            wrong.discard(near)
            wanted.discard(place)
    return wrong, wanted


def after(cuts: Collection[int], step: Step) -> list[int]:
    """Give the cuts that a step leaves."""
    changed = {*cuts, step.at} if isinstance(step, Split) else {*cuts} - {step.at}
    return sorted(changed)


def most_open(cuts: Collection[int], steps: Sequence[Step]) -> int:
    """Give how many shards are open at once on the way, at most: an account may have a number of them."""
    number = most = len(cuts) + 1
    for step in steps:
        number += 1 if isinstance(step, Split) else -1
        most = max(most, number)
    return most


def _merge(cuts: Sequence[int], wrong: Collection[int], wanted: Sequence[int]) -> Merge | None:
    """Give the smallest merge that no later split undoes, if there is one.

    The smallest first makes few generations of many merges: parents are read before children, one after the other.
    """
    edges = [0, *cuts, HASH_SPACE]
    ready = [
        Merge(low, at, beyond - 1)
        for low, at, beyond in zip(edges, edges[1:], edges[2:], strict=False)
        if at in wrong and not _inside(wanted, low, beyond)
    ]
    return min(ready, key=lambda merge: (merge.high - merge.low, merge.low), default=None)


def _split(cuts: Sequence[int], wanted: Sequence[int]) -> Split:
    """Give a split of the first shard that needs any, in the middle of its wanted cuts: few generations again.

    The first, and not the largest: what lies before it is done with then, and its merges keep the shards few.
    """
    edges = [0, *cuts, HASH_SPACE]
    upper = bisect_right(edges, wanted[0])
    low, beyond = edges[upper - 1], edges[upper]
    inside = _inside(wanted, low, beyond)
    return Split(low, inside[len(inside) // 2], beyond - 1)


def _inside(places: Sequence[int], low: int, beyond: int) -> Sequence[int]:
    """Give those of the places, which are in their order, that lie between two edges."""
    return places[bisect_right(places, low) : bisect_left(places, beyond)]
