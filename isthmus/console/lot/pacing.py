"""How fast keys are redriven: what customers do now goes before what has waited for days."""

from collections import deque
from typing import Final

from isthmus.clock import Clock
from isthmus.lifecycle import Stop

_AT_ONCE: Final = 0.2
"""Seconds of work after which it rests for as long. SQLite has one writer, and who waits for it only looks now and then
whether it is free. So after a rest it takes long to get in again where live traffic never pauses, and that must be
worth it; and live traffic is held up for no longer than this."""
_LONGEST: Final = 0.05
"""Seconds that one transaction should take: as long as one of live traffic does on a busy store."""
_FEWEST: Final = 25
"""Changes in one transaction, however slow the store seems to be."""
_REMEMBERED: Final = 20
"""Transactions of which the quicker ones tell what a change costs."""


class Pace:
    """Rests between two transactions: for as long as they took, or so that no more than `rate` changes go a second.

    So live traffic has about half of the store's time at least, however slow the store is. What a transaction waited
    for live traffic is no work of its own, and needs no rest: that which is slower than only a quarter of the last ones
    tells how long they take by themselves.
    """

    def __init__(self, rate: float | None, *, clock: Clock, stop: Stop) -> None:
        self._rate = rate
        self._clock = clock
        self._stop = stop
        self._owed = 0.0
        self._due = clock.monotonic()
        self._costs = deque[float](maxlen=_REMEMBERED)

    def at_once(self, most: int) -> int:
        """Give how many of so many changes may go in one transaction, at least 1.

        A rate is not kept by bursts, and a slow store is not to lock its keys for long.
        """
        if self._rate is not None:
            return max(1, min(most, int(self._rate * _AT_ONCE)))
        if not self._costs:
            return most
        # What a transaction waited for others is shared by its changes: fewer of them must not become ever fewer.
        return min(most, max(_FEWEST, int(_LONGEST / (self._cost() + 1e-9))))

    def rest(self, changes: int, begun: float) -> None:
        """Rest after so many changes, 1 or more, that were begun at this moment of the monotonic clock.

        Ends with a stop.
        """
        now = self._clock.monotonic()
        if self._rate is not None:
            self._due = max(self._due, begun) + changes / self._rate
            if self._due > now:
                self._stop.wait(self._due - now)
            return
        self._costs.append((now - begun) / changes)
        self._owed += self._cost() * changes
        if self._owed >= _AT_ONCE:
            self._stop.wait(self._owed)
            self._owed = 0.0

    def _cost(self) -> float:
        return sorted(self._costs)[len(self._costs) // 4]
