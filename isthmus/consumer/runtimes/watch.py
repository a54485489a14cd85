"""What is said about attempts that fail: counted each time, logged once, and given up where nobody knows the error."""

from isthmus.aws_errors import UNKNOWN
from isthmus.errors import Fatal, Transient
from isthmus.log import Away
from isthmus.metrics import Metrics

UNKNOWN_ATTEMPTS = 5
"""An error that no table names may be a passing one, or a mistake that no repeat mends: five attempts in a row tell."""


class Watch:
    """Watches one thing that may be away. For one task only.

    `part` is the label of the retries, `where` (e.g. a shard ID) tells several watchers of one part apart.
    """

    def __init__(self, part: str, where: str, metrics: Metrics, away: Away) -> None:
        self._part = part
        self._label = f"{part}/{where}" if where else part
        self._data = {"shard": where} if where else {}
        self._metrics = metrics
        self._away = away
        self._unknown = 0

    def failed(self, error: Transient) -> None:
        """Note a failed attempt. Raises `Fatal` when nobody knows the error, and it came five times in a row."""
        self._metrics.retries.labels(self._part, error.cause).inc()
        self._metrics.away.labels(self._label).set(1)
        self._away.failed(error.cause, **self._data)
        self._unknown = self._unknown + 1 if error.cause == UNKNOWN else 0
        if self._unknown >= UNKNOWN_ATTEMPTS:
            raise Fatal(f"An unknown error came {self._unknown} times in a row: {error.message}") from error

    def recovered(self) -> None:
        """Note that it works. Safe to repeat."""
        if self._away.is_away:
            self._unknown = 0
            self._away.recovered(**self._data)
            self._metrics.away.labels(self._label).set(0)

    def forget(self) -> None:
        """Take its series out of the metrics: nobody watches any more."""
        self._metrics.away.remove(self._label)
