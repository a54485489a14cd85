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
        return keep_trying(
            action,
            stop=stop,
            chance=chance,
            backoff=backoff,
            on_failure=self.failed,
            on_recovery=self.recovered,
        )
