"""Attempts that fail: counted each time, logged once, and given up where nobody knows the error."""

from collections.abc import Callable
from typing import TypeVar

from isthmus.chance import Chance
from isthmus.clock import Clock
from isthmus.errors import UNKNOWN, Fatal, Transient
from isthmus.lifecycle import Stop
from isthmus.log import Away, get_logger
from isthmus.metrics import Metrics
from isthmus.retry import Backoff, keep_trying

T = TypeVar("T")
log = get_logger(__name__)

UNKNOWN_ATTEMPTS = 5
"""An error that no table names may be a passing one, or a mistake that no repeat mends: five attempts in a row tell."""


class Attempts:
    """Watches one thing that may be away. For one task only.

    `part` is a short, constant word, e.g. `kinesis`: the label of the retries, and of the events `kinesis_away` and
    `kinesis_back`. `where` (e.g. a shard ID) tells several watchers of one part apart.
    """

    def __init__(self, part: str, metrics: Metrics, clock: Clock, *, where: str = "") -> None:
        self._part = part
        self._label = f"{part}/{where}" if where else part
        self._data = {"where": where} if where else {}
        self._metrics = metrics
        self._away = Away(part, log, clock)
        self._unknown = 0

    @property
    def away(self) -> Away:
        """What says so, for another who counts by himself but speaks of the same thing."""
        return self._away

    def failed(self, error: Transient, _attempt: int = 0) -> None:
        """Note a failed attempt. Raises `Fatal` when nobody knows the error, and it came five times in a row."""
        self._metrics.retries.labels(self._part, error.cause).inc()
        self._metrics.away.labels(self._label).set(1)
        self._away.failed(error.cause, **self._data)
        self._unknown = self._unknown + 1 if error.cause == UNKNOWN else 0
        if self._unknown >= UNKNOWN_ATTEMPTS:
            raise Fatal(f"An unknown error came {self._unknown} times in a row: {error.message}") from error

    def recovered(self, _attempts: int = 0) -> None:
        """Note that it works. Safe to repeat."""
        if self._away.is_away:
            self._unknown = 0
            self._away.recovered(**self._data)
            self._metrics.away.labels(self._label).set(0)

    def forget(self) -> None:
        """Take its series out of the metrics: nobody watches any more."""
        self._metrics.away.remove(self._label)

    def until_done(self, action: Callable[[], T], *, stop: Stop, chance: Chance, backoff: Backoff) -> T:
        """Run the action until it returns, as `retry.keep_trying` does."""
        done = keep_trying(action, stop=stop, chance=chance, backoff=backoff, on_failure=self.failed)
        # Not only after failures of this call: an earlier one may have ended while the thing was away.
        self.recovered()
        return done


class AttemptsByPart:
    """The `Attempts` of every part and place, made when first asked for and kept.

    An outage may end who met it (a lost ownership does): whoever comes next with the same part and place speaks on for
    them, and what the one found away the other finds back. From any task; each `Attempts` stays one task's at a time.
    """

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._kept: dict[tuple[str, str], Attempts] = {}

    def watch(self, part: str, where: str = "") -> Attempts:
        """Give the part's `Attempts`, the same one each time."""
        found = self._kept.get((part, where))
        if found is None:
            found = self._kept.setdefault((part, where), Attempts(part, self._metrics, self._clock, where=where))
        return found

    def forget(self, where: str) -> None:
        """Let go of everything at a place that is no more, e.g. a shard that has ended."""
        for key in [key for key in list(self._kept) if key[1] == where]:
            self._kept.pop(key).forget()
