"""Virtual time: a clock that moves only when something waits, and a stop whose waits move it."""

import heapq
import itertools
from collections.abc import Callable
from typing import Final

_MOST_WAITS: Final = 100_000
_START_MS: Final = 1_356_998_400_000
"""2013-01-01T00:00:00Z."""


class FakeClock:
    """Both clocks of `isthmus.clock.Clock`, moved by hand, with actions that happen on the way."""

    def __init__(self, start_ms: int = _START_MS) -> None:
        self._start_ms = start_ms
        self._elapsed = 0.0
        self._order = itertools.count()
        self._agenda: list[tuple[float, int, Callable[[], object]]] = []

    def now_ms(self) -> int:
        return self._start_ms + round(self._elapsed * 1000)

    def monotonic(self) -> float:
        return self._elapsed

    def at(self, moment: float, action: Callable[[], object]) -> None:
        """Do this once when the monotonic clock reaches the moment."""
        heapq.heappush(self._agenda, (moment, next(self._order), action))

    def every(self, seconds: float, action: Callable[[], object], *, until: float = float("inf")) -> None:
        """Do this again and again, first after one period, as long as the moment is not past `until`."""
        moment = self._elapsed + seconds
        if moment > until:
            return

        def once() -> None:
            action()
            self.every(seconds, action, until=until)

        self.at(moment, once)

    def move(self, seconds: float) -> None:
        """Let time pass; what is due on the way happens at its own moment."""
        target = self._elapsed + seconds
        while self._agenda and self._agenda[0][0] <= target:
            moment, _, action = heapq.heappop(self._agenda)
            self._elapsed = max(self._elapsed, moment)
            action()
        self._elapsed = max(self._elapsed, target)


class FakeStop:
    """A stop on virtual time: every wait moves the clock, and ends early when an action on the way asks to stop."""

    def __init__(self, clock: FakeClock) -> None:
        self._clock = clock
        self._requested = False
        self.waits: list[float] = []

    def request(self) -> None:
        self._requested = True

    def requested(self) -> bool:
        return self._requested

    def wait(self, seconds: float) -> bool:
        if not self._requested:
            self.waits.append(seconds)
            assert len(self.waits) < _MOST_WAITS, "something waits for ever"
            self._clock.move(seconds)
        return self._requested
