"""What the processes of an application parked within the last minute, told to each other: the park brake's count.

One item for each reason, and in it an attribute for each process, which that process alone writes: whole, in place of
what it wrote before. So a write whose answer was lost may be repeated and counts nothing twice; and its answer is the
item, with what all the others wrote: one request tells and asks.
"""

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from isthmus.checkpoint import items
from isthmus.checkpoint.items import ItemKind
from isthmus.checkpoint.table import Table, Unmet
from isthmus.clock import Clock

if TYPE_CHECKING:
    from isthmus.checkpoint.items import Attribute, Item

_MINE: Final = "p_"
"""What the name of a process's attribute begins with."""
_KEPT_MS: Final = 600_000
"""So long after the last of it counted, a process's attribute is taken away: it is not a process any more, or a quiet
one. Ten times the brake's minute, so that clocks which differ by less than that take nothing that counts."""
_AT_ONCE: Final = 20
"""Attributes that are taken away in one request: an expression of DynamoDB's may have 4 KB."""
_TOLD: Final = re.compile(r"r([0-9]+)((?: [0-9]+:[0-9]+)*)")


@dataclass(frozen=True, slots=True)
class BrakeCount:
    """What one process parked for one reason."""

    keys: Mapping[int, int] = field(default_factory=dict)
    """How many distinct keys count until which moment, in milliseconds since 1970 by the clock of that process."""
    released: int = 0
    """Which time it was that a person released for this process, where it still counts; 0: it counts as ever."""


class BrakeCounts(Protocol):
    """Where it is told. Safe to repeat, and for many threads.

    Methods raise `Transient` or `TargetDown` where nothing is known of the answer.
    """

    def tell(self, reason: str, process: str, count: BrakeCount) -> Mapping[str, BrakeCount]:
        """Say what a process counts, in place of what it said before; give what all the others said last, by name.

        A process's name has letters, digits and underscores.
        """
        ...


class MemoryBrakeCounts:
    """`BrakeCounts` in memory. `error`, while it is set, is raised by every call."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._told: dict[str, dict[str, BrakeCount]] = {}
        self.asked = 0
        self.error: Exception | None = None

    def tell(self, reason: str, process: str, count: BrakeCount) -> Mapping[str, BrakeCount]:
        """Say what a process counts; see the port."""
        with self._lock:
            self.asked += 1
            if self.error is not None:
                raise self.error
            told = self._told.setdefault(reason, {})
            told[process] = count
            return {name: each for name, each in told.items() if name != process}


class DynamoBrakeCounts:
    """`BrakeCounts` on the DynamoDB table of the application."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock
        self._old: dict[str, Item] = {}
        """By reason: attributes of processes that say nothing any more, as they stood when they were seen."""

    def tell(self, reason: str, process: str, count: BrakeCount) -> Mapping[str, BrakeCount]:
        """Say what a process counts; see the port."""
        place, mine = items.key(ItemKind.BRAKE_COUNT, reason), f"{_MINE}{process}"
        told: dict[str, Attribute] = {mine: items.text(as_text(count))}
        old = self._old.pop(reason, {})
        try:
            # With what is said anyway: it costs no request. Who has said something new meanwhile keeps it.
            item = self._table.tell(place, told, as_seen=old)
        except Unmet:
            item = self._table.tell(place, told)
        others = {name: value for name, value in item.items() if name.startswith(_MINE) and name != mine}
        found = {name: from_text(value["S"]) for name, value in others.items()}
        before = self._clock.now_ms() - _KEPT_MS
        gone = [name for name, each in found.items() if max(each.keys, default=0) <= before]
        self._old[reason] = {name: others[name] for name in gone[:_AT_ONCE]}
        return {name.removeprefix(_MINE): each for name, each in found.items()}


def as_text(count: BrakeCount) -> str:
    """Give a count as it lies in the table: what was released, and pairs of a moment and its keys."""
    return " ".join([f"r{count.released}", *(f"{until}:{keys}" for until, keys in sorted(count.keys.items()))])


def from_text(told: str) -> BrakeCount:
    """Give the count that a text says; an empty one for a text of something else, as a later release may write."""
    found = _TOLD.fullmatch(told)
    if found is None:
        return BrakeCount()
    pairs = (pair.split(":") for pair in found[2].split())
    return BrakeCount({int(until): int(keys) for until, keys in pairs}, int(found[1]))
