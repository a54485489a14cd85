"""What `/healthz` says."""

import threading

from isthmus.clock import Clock
from isthmus.metrics import Metrics

_AWAY = "isthmus_away"
PATIENCE_SECONDS = 60.0
"""What is away for less is waited out, and needs nobody. Counted from the first look that found it away."""


class Health:
    """Says which parts have been away for long. Safe for several threads."""

    def __init__(self, metrics: Metrics, clock: Clock) -> None:
        self._metrics = metrics
        self._clock = clock
        self._lock = threading.Lock()
        self._since: dict[str, float] = {}

    def wrong(self) -> str:
        """Give the empty text, or one line for each part that is away for long."""
        now = self._clock.monotonic()
        samples = (sample for family in self._metrics.collect() for sample in family.samples)
        away = {sample.labels["part"] for sample in samples if sample.name == _AWAY and sample.value}
        with self._lock:
            self._since = {part: self._since.get(part, now) for part in sorted(away)}
            return "\n".join(
                f"{part} has been away for {now - since:.0f} s"
                for part, since in self._since.items()
                if now - since >= PATIENCE_SECONDS
            )
