"""Which process is killed when. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from math import ceil
from typing import Final, NamedTuple

from isthmus.chance import Chance, seeded_chance

_A_MONTH: Final = 31
_FIRST_LOAD: Final = 0.25
"""So many of the kills fall into the first load; of a process of the local runtime one at least."""
_LATEST: Final = 0.7
"""No kill later than here in a phase: it must have happened before the end, also when it had to wait for a restart."""


class Victim(StrEnum):
    """The pipeline's processes, by what they are."""

    PRODUCER = "producer"
    CONSUMER = "consumer"
    """Of the local runtime: the one that reads all shards."""
    WORKER = "worker"
    """`isthmus consume` under the Kinesis Client Library: with it go its daemon and that one's children."""
    DAEMON = "daemon"
    """A worker's Java machine."""
    CHILD = "child"
    """The process of one shard."""


class _Number(NamedTuple):
    fewest: int
    in_a_month: int
    in_first_load: int
    """The fewest."""


_NUMBERS: Final[Mapping[Victim, _Number]] = {
    Victim.PRODUCER: _Number(2, 8, 1),
    Victim.CONSUMER: _Number(2, 8, 1),
    # Each of these costs a start of Java, three times what the others cost, and there are three kinds of them.
    Victim.WORKER: _Number(1, 4, 0),
    Victim.DAEMON: _Number(1, 4, 0),
    Victim.CHILD: _Number(1, 4, 0),
}

LOCAL: Final = (Victim.PRODUCER, Victim.CONSUMER)
BY_KCL: Final = (Victim.PRODUCER, Victim.WORKER, Victim.DAEMON, Victim.CHILD)


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL, once so much of a phase is done."""

    share: float
    """Of the phase's modifications, from 0 to 1."""
    victim: Victim
    pick: float = 0.0
    """Which one, where there are several: from 0 up to, and without, 1, over those at work then."""


@dataclass(frozen=True, slots=True)
class Kills:
    """All of them, by phase, in order."""

    first_load: tuple[Kill, ...]
    live: tuple[Kill, ...]


def number_of(victim: Victim, days: int) -> int:
    """Give how often a process of this kind is killed: `in_a_month` for 31 days, and `fewest` at least."""
    number = _NUMBERS[victim]
    return max(number.fewest, ceil(number.in_a_month * days / _A_MONTH))


def kills(seed: int, days: int, victims: tuple[Victim, ...] = LOCAL) -> Kills:
    """Give a plan in which each of these is killed `number_of` times. A seed gives the same plan."""
    chance, picks = seeded_chance(f"{seed}/kills"), seeded_chance(f"{seed}/picks")
    early = {
        victim: max(_NUMBERS[victim].in_first_load, int(number_of(victim, days) * _FIRST_LOAD)) for victim in victims
    }
    late = {victim: number_of(victim, days) - early[victim] for victim in victims}
    return Kills(_points(early, chance, picks), _points(late, chance, picks))


def _points(numbers: Mapping[Victim, int], chance: Chance, picks: Chance) -> tuple[Kill, ...]:
    # One point in each of `number` equal pieces: a process that is always killed while it starts shows little.
    points = (
        Kill((piece + chance.random()) / number * _LATEST, victim, picks.random())
        for victim, number in numbers.items()
        for piece in range(number)
    )
    return tuple(sorted(points, key=lambda kill: kill.share))


class Pending:
    """The kills of one phase that are still to come."""

    def __init__(self, planned: Iterable[Kill], total: int) -> None:
        self._left = list(planned)
        self._total = total

    def __bool__(self) -> bool:
        return bool(self._left)

    def due(self, done: int, at_work: frozenset[Victim]) -> list[Kill]:
        """Give the kills whose turn is now, one of each kind: among those at work, whose point is reached."""
        chosen: dict[Victim, Kill] = {}
        for kill in list(self._left):
            if done >= kill.share * self._total and kill.victim in at_work and kill.victim not in chosen:
                self._left.remove(kill)
                chosen[kill.victim] = kill
        return list(chosen.values())

    def put_back(self, kill: Kill) -> None:
        """Say that a kill met nobody after all: it is due again."""
        self._left.insert(0, kill)
