"""Rows of the matrix with the real daemon: how a row is run, over as many histories as its number takes.

A strike does something to a history that is being fed, so many times, and counts. What is struck is judged together, at
the end of its history: nothing lost, one effect each, in order, and no checkpoint beyond what was decided.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from tests.faults.kcl_aws import Aws, aws
from tests.faults.kcl_strikes import workers_up
from tests.faults.kcl_world import History, history
from tests.faults.row import Context, How, Part, Result

Strike = Callable[[History, random.Random, Result], None]
"""Strikes once, or a few times together: counts each in the result's unit, and by its fault's name."""


class Way(NamedTuple):
    """How a row's histories are made."""

    unit: str
    strike: Strike
    faults: Callable[[int, bool], list[str]]
    """The faults that must strike, for a goal, in full or in short."""
    per_history: int
    """So many in one history, at most."""
    settings: dict[str, Any]
    """For `History`."""

    def struck(self, history: History, chance: random.Random, count: int, result: Result) -> None:
        """Strike at least so many times. Raises AssertionError where what must happen does not."""
        until = result.counts[self.unit] + count
        while result.counts[self.unit] < until and not result.violations:
            self.strike(history, chance, result)


def run(way: Way, context: Context) -> Result:
    """Run a row alone."""
    result = Result.expecting(way.faults(context.goal, context.full))
    with aws() as world:
        seed = context.first
        while (done := result.counts[way.unit]) < context.goal and not result.violations:
            _one(world, seed, way, min(way.per_history, context.goal - done), result)
            seed += 1
            result.counts["histories"] += 1
            context.tell(result.counts[way.unit], context.goal)
    return result


def _one(world: Aws, seed: int, way: Way, count: int, result: Result) -> None:
    before = len(result.violations)
    with history(world, seed, **way.settings) as made:
        try:
            workers_up(made)
            way.struck(made, random.Random(f"strike {seed}"), count, result)
        except AssertionError as error:
            result.violated(f"I8: {str(error)[:3000]}")
        made.settled(result)
        made.judge(result)
    for at in range(before, len(result.violations)):
        result.violations[at] = f"seed {seed}: {result.violations[at]}"


def part(way: Way, goal: int, short: int, more: str = "") -> Part:
    """Give the part of a row."""
    return Part(How.KCL, way.unit, goal, short, partial(run, way), more)
