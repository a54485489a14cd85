"""How many keys were parked for one reason within a minute: here, and elsewhere. Pure: no clock, no threads, no I/O.

Here a key counts for a window (60 s) from when it was parked last. Elsewhere, where only numbers are known, it counts
until the end of the step in which it was parked, and so for up to one step longer: what is counted too long may put the
brake on too early, which loses nothing.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple

from isthmus.checkpoint.brakecounts import BrakeCount

STEP: Final = 10.0
"""Seconds. What is parked within a step is told as one number: at most seven of them lie within a minute."""


class Minute:
    """The distinct keys of the window before now. Moments are monotonic seconds."""

    def __init__(self, window: float) -> None:
        """Let a key count for `window` seconds after it was parked last."""
        self._window = window
        self._last: dict[str, float] = {}
        """When each key was parked last, the oldest first."""
        self._steps: dict[int, int] = {}
        """How many of them in which step."""

    def __len__(self) -> int:
        """Give how many they are."""
        return len(self._last)

    def __contains__(self, key: object) -> bool:
        """Say whether a key is among them."""
        return key in self._last

    def __iter__(self) -> Iterator[str]:
        """Give them, the longest parked first."""
        return iter(self._last)

    def note(self, now: float, key: str) -> None:
        """Count a key from now on."""
        self.drop(key)
        self._last[key] = now
        step = int(now // STEP)
        self._steps[step] = self._steps.get(step, 0) + 1

    def drop(self, key: str) -> None:
        """Count a key no more, if it did."""
        before = self._last.pop(key, None)
        if before is None:
            return
        step = int(before // STEP)
        self._steps[step] -= 1
        if not self._steps[step]:
            del self._steps[step]

    def forget(self, now: float) -> None:
        """Count no more what was parked a window ago."""
        while self._last:
            key = next(iter(self._last))
            if now - self._last[key] < self._window:
                return
            self.drop(key)

    def clear(self) -> None:
        """Count nothing of what there is."""
        self._last.clear()
        self._steps.clear()

    def told(self) -> dict[float, int]:
        """Give how many keys count until which moment, as others are told."""
        return {(step + 1) * STEP + self._window: keys for step, keys in self._steps.items()}


class Share(NamedTuple):
    """Some keys that another process parked."""

    until: float
    """The monotonic moment, here, until which they count."""
    keys: int
    released: int = 0
    """Which time it was that a person released for that process, where it still counts."""


def counting(shares: Iterable[Share], now: float) -> int:
    """Give how many keys count now. What was released for its process does not: it parks as much as there is."""
    return sum(share.keys for share in shares if share.until > now and not share.released)


def in_all(shares: Iterable[Share], now: float) -> int:
    """Give how many keys were parked elsewhere, released or not."""
    return sum(share.keys for share in shares if share.until > now)


def as_count(told: Mapping[float, int], released: int, now: float, now_ms: int) -> BrakeCount:
    """Give what others are told, by the wall clock of now, in milliseconds since 1970."""
    return BrakeCount({now_ms + round((until - now) * 1000): keys for until, keys in told.items()}, released)


def shares_of(counts: Iterable[BrakeCount], window: float, now: float, now_ms: int) -> list[Share]:
    """Give what others told, by the monotonic clock of here.

    What would count for longer than twice the window comes from a clock that is far ahead: nobody knows when it was.
    """
    found = (
        Share(now + (until_ms - now_ms) / 1000, keys, count.released)
        for count in counts
        for until_ms, keys in count.keys.items()
    )
    return [share for share in found if now < share.until <= now + 2 * window]
