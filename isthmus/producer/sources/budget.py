"""The query budget of a source: what all its statements together may cost the back office."""

from isthmus.clock import Clock
from isthmus.producer.pacing import Bucket

_AT_ONCE = 5
"""How much of the budget may be used at once after a rest."""


class QueryBudget:
    """Counts the statements of one source, its reference tables' among them. For one task.

    Paying never waits, for a read under way would hold its connection meanwhile: who begins a read asks `ready_in`
    first, and what a read overdraws, the next one waits for.
    """

    def __init__(self, queries_per_minute: float, clock: Clock) -> None:
        """Take the statements a minute, 1 or more."""
        self._clock = clock
        self._bucket = Bucket(queries_per_minute / 60, min(queries_per_minute, _AT_ONCE) - 1)

    def spend(self) -> None:
        """Pay for one statement."""
        self._bucket.spend(1, self._clock.monotonic())

    def ready_in(self) -> float:
        """Give the seconds until the next read may begin, 0.0: now."""
        return max(0.0, self._bucket.opens_at() - self._clock.monotonic())
