"""How fast the back office lives while faults are still to come. Pure."""

from typing import Final

SECONDS: Final = 12.0
"""The time in which it lives through about two thirds of what is left. Short for a day, long enough for all faults."""


def tempo(full: float | None, left: int) -> float | None:
    """Give the rate at which the modifications left do not run out before all faults have happened.

    In modifications per second. It falls with what is left: there is always something more to come, however long the
    faults take. Never more than the full rate (None: no limit).
    """
    slow = max(left, 1) / SECONDS
    return slow if full is None else min(full, slow)
