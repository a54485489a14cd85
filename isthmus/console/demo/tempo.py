"""How fast the back office lives while faults or a reshard are still to come. Pure."""

from dataclasses import dataclass
from typing import Final

SECONDS: Final = 12.0
"""The time in which it lives through about two thirds of what is left. Short for a day, long enough for all of it."""
RESHARD_SECONDS: Final = 6.0
"""The same, where only a reshard is still to come."""
LAST_SECONDS: Final = 30.0
"""The same under the KCL, once everybody was killed and only faults of requests are left: checkpoints, above all, of
which there are few, and for which something must be left when Java was slow to start."""
BEFORE_LAST: Final = 0.85
"""The share of the live phase that is left to that."""


EACH_FAULT: Final = 8
"""Modifications kept for each fault that is still to come. A checkpoint is saved for some change, once a second."""
LARGEST_RESERVE: Final = 1 / 8
"""Of a live phase. Its kills come before."""
RESERVE_SECONDS: Final = 120.0
"""As `SECONDS`, for the reserve: somebody may kill what is here, again and again, and no fault strikes who is dead."""


def tempo(full: float | None, left: int, seconds: float = SECONDS, *, reserve: int = 0) -> float | None:
    """Give the rate at which the modifications left do not run out before all that is planned has happened.

    In modifications per second. It falls with what is left: there is always something more to come, however long that
    takes; the last `reserve` of them come ten times as slowly. Never more than the full rate (None: no limit).
    """
    slow = max((left - reserve) / seconds, max(left, 1) / (RESERVE_SECONDS if reserve else seconds))
    return slow if full is None else min(full, slow)


def reserve(faults: int, planned: int) -> int:
    """Give how many modifications are kept for so many faults, of so many that are planned in all."""
    return min(faults * EACH_FAULT, int(planned * LARGEST_RESERVE))


@dataclass(frozen=True, slots=True)
class ToCome:
    """What is still to come in a live phase with a reshard."""

    horizon: float
    """The share that shall not be lived beyond before the next step of the reshard, 1.0 after the last."""
    kills: bool
    faults: bool
    """The kills too."""


def kcl_tempo(full: float | None, done: int, planned: int, to_come: ToCome) -> float | None:
    """Give the rate where something is still to come, under the KCL; `done` and `planned` are modifications."""
    horizon = min(to_come.horizon, BEFORE_LAST) if to_come.kills else to_come.horizon
    seconds = RESHARD_SECONDS
    if to_come.faults:
        seconds = SECONDS if horizon < 1 else LAST_SECONDS
    return tempo(full, int(planned * horizon) - done, seconds)
