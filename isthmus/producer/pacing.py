"""Budgets by the second: a token bucket whose whole state is one number. Pure: the time is passed in."""

NEVER = float("-inf")


class Bucket:
    """Lets things through at `rate` a second, and `burst` at once after a rest.

    It may be overdrawn by one spending, whatever its size: something larger than the burst gets through and is paid
    for by waiting afterwards. What is kept is the moment from which on it is open, so the moment it names is
    exactly the one at which it opens: no rounding makes a caller wait twice.
    """

    __slots__ = ("_burst_seconds", "_opens_at", "_seconds_each")

    def __init__(self, rate: float, burst: float) -> None:
        """Take the rate in units a second (more than 0) and the burst in units (0 or more).

        Raises ValueError for others.
        """
        if not (rate > 0 and burst >= 0):
            raise ValueError(f"rate {rate} must be more than 0 and burst {burst} must not be negative")
        self._seconds_each = 1 / rate
        self._burst_seconds = burst / rate
        self._opens_at = NEVER

    def opens_at(self) -> float:
        """Give the moment from which on something may be spent; it may lie in the past."""
        return self._opens_at

    def is_open(self, now: float) -> bool:
        """Say whether something may be spent now."""
        return now >= self._opens_at

    def spend(self, amount: float, now: float) -> None:
        """Take so many units, also while it is not open: that only makes the wait longer."""
        full = now - self._burst_seconds
        self._opens_at = max(self._opens_at, full) + amount * self._seconds_each
