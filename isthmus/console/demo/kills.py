"""Which process is killed when. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final

from isthmus.chance import Chance, seeded_chance

_A_MONTH: Final = 31
_IN_A_MONTH: Final = 8
_FEWEST: Final = 2
_FIRST_LOAD: Final = 0.25
"""So many of the kills fall into the first load, one at least."""
_LATEST: Final = 0.7
"""No kill later than here in a phase: it must have happened before the end, also when it had to wait for a restart."""


class Victim(StrEnum):
    """The pipeline's processes."""

    PRODUCER = "producer"
    CONSUMER = "consumer"


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL, once so much of a phase is done."""

    share: float
    """Of the phase's modifications, from 0 to 1."""
    victim: Victim


@dataclass(frozen=True, slots=True)
class Kills:
    """All of them, by phase, in order."""

    first_load: tuple[Kill, ...]
    live: tuple[Kill, ...]


def kills(seed: int, days: int) -> Kills:
    """Give a plan in which each process is killed `max(2, ceil(8 * days / 31))` times. A seed gives the same plan."""
    chance = seeded_chance(f"{seed}/kills")
    number = max(_FEWEST, ceil(_IN_A_MONTH * days / _A_MONTH))
    early = max(1, int(number * _FIRST_LOAD))
    return Kills(_points(early, chance), _points(number - early, chance))


def _points(number: int, chance: Chance) -> tuple[Kill, ...]:
    # One point in each of `number` equal pieces: a process that is always killed while it starts shows little.
    points = (
        Kill((piece + chance.random()) / number * _LATEST, victim) for victim in Victim for piece in range(number)
    )
    return tuple(sorted(points, key=lambda kill: kill.share))


class Pending:
    """The kills of one phase that are still to come."""

    def __init__(self, planned: Iterable[Kill], total: int) -> None:
        self._left = list(planned)
        self._total = total

    def __bool__(self) -> bool:
        return bool(self._left)

    def due(self, done: int, at_work: frozenset[Victim]) -> list[Victim]:
        """Give who is to be killed now, each once: among those at work, whose point is reached."""
        chosen: list[Victim] = []
        for kill in list(self._left):
            if done >= kill.share * self._total and kill.victim in at_work and kill.victim not in chosen:
                self._left.remove(kill)
                chosen.append(kill.victim)
        return chosen
