"""The seeded plan: which request of its kind each fault strikes. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from isthmus.chance import Chance, seeded_chance
from isthmus.console.proxy.faults import STRIKES, Fault, Traffic

GAPS: Final[Mapping[Traffic, tuple[int, int]]] = {
    Traffic.PUT: (1, 3),
    Traffic.WATERMARK: (0, 2),
    # Two hearts beat once a second each, mostly in turn. One that misses its beats for 5 s has lost its lease: that may
    # happen, and then costs a take-over, but it shall not happen all the time.
    Traffic.OWNERSHIP: (2, 3),
    Traffic.CHECKPOINT: (1, 5),
    Traffic.READ: (5, 25),
}
"""The fewest and the most requests that pass between two that are struck."""


@dataclass(frozen=True, slots=True)
class Strike:
    """One fault that is to happen."""

    fault: Fault
    at: int
    """To the request of its kind with this number, from 1, or to the first one after it to which it can happen."""
    seed: str
    """For what the fault itself leaves to chance."""


Plan = Mapping[Traffic, Sequence[Strike]]


def plan(seed: int, times: int) -> Plan:
    """Give a plan in which every fault happens so many times. The same seed gives the same plan."""
    return {traffic: _strikes(traffic, f"{seed}/{traffic}", times) for traffic in Traffic}


def sparing(planned: Plan, spared: Collection[Traffic]) -> Plan:
    """Give the plan without any fault for these kinds of requests; the others happen as they would have."""
    return {traffic: () if traffic in spared else strikes for traffic, strikes in planned.items()}


def _strikes(traffic: Traffic, seed: str, times: int) -> list[Strike]:
    chance = seeded_chance(seed)
    faults = sorted(((fault, chance.random()) for fault in STRIKES[traffic] * times), key=lambda pair: pair[1])
    strikes: list[Strike] = []
    at = 0
    for number, (fault, _) in enumerate(faults):
        at += 1 + _between(*GAPS[traffic], chance)
        strikes.append(Strike(fault, at, f"{seed}/{number}"))
    return strikes


def _between(least: int, most: int, chance: Chance) -> int:
    return least + int(chance.random() * (most - least + 1))


class Schedule:
    """Counts requests and says which fault is due. Not safe for threads."""

    def __init__(self, planned: Plan) -> None:
        self._left = {traffic: list(strikes) for traffic, strikes in planned.items()}
        self._seen = dict.fromkeys(planned, 0)

    def due(self, traffic: Traffic, can: Callable[[Fault], bool]) -> Strike | None:
        """Count a request, and give the fault that strikes it, if any.

        `can` says whether a fault can happen to this request; one that cannot waits for the next request.
        """
        self._seen[traffic] += 1
        for strike in self._left[traffic]:
            if strike.at <= self._seen[traffic] and can(strike.fault):
                self._left[traffic].remove(strike)
                return strike
        return None

    def put_back(self, traffic: Traffic, strike: Strike) -> None:
        """Say that a fault had no effect after all: it strikes a later request."""
        self._left[traffic].insert(0, strike)
