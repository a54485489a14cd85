"""A stream, notes that outlive processes, and the books of a consumer, on virtual time."""

from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from isthmus.attempts import Attempts
from isthmus.console.bookkeeping import Bookkeeping, Held
from isthmus.metrics import Metrics
from isthmus.producer.sink import Entry
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.notes import FakeNotes, MemoryHorizon
from tests.fakes.shard_life import STREAM
from tests.fakes.stream import MemoryStream

HOUR = 3600.0
DAY = 24 * HOUR


class Desk:
    """A stream, notes that outlive processes, and the books of one process after the other."""

    def __init__(self, *, shards: int = 1, counting: bool = True) -> None:
        self.clock = FakeClock()
        self.stream = MemoryStream(self.clock, shards=shards, lanes=shards, retention_seconds=DAY)
        self.notes = FakeNotes(self.clock)
        self.horizon = MemoryHorizon(self.stream)
        self.counting = counting
        self.retention: list[Any] = []
        """What the next questions after the retention are answered with; then 24."""
        self.asked: list[float] = []
        self.lives = 0
        self.begin()

    def begin(self) -> None:
        """Begin as a new process."""
        self.lives += 1
        self.metrics = Metrics()
        self.books = Bookkeeping(
            self.notes,
            self.horizon,
            STREAM,
            self.hours,
            teller=f"life-{self.lives}",
            counting=self.counting,
            clock=self.clock,
            metrics=self.metrics,
            watch=Attempts("notes", self.metrics, self.clock),
        )

    def hours(self) -> int:
        self.asked.append(self.clock.monotonic())
        answer = self.retention.pop(0) if self.retention else 24
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    @property
    def shard(self) -> str:
        return self.stream.open_shards()[0]

    def put(self, lane: int = 0) -> str:
        self.stream.put([Entry(lane, b"")])
        return self.stream.records(self.stream.open_shards()[lane])[-1].sequence

    def count(self, outcome: str, number: int = 1, shard: str = "") -> None:
        self.metrics.outcomes.labels(shard or self.shard, outcome).inc(number)

    def decided(self, shard: str = "") -> None:
        """Tell that all that arrived up to now is decided."""
        self.metrics.decided_until.labels(shard or self.shard).set(self.clock.now_ms() / 1000)

    def see(self, sequence: str | None = None, **more: Any) -> None:
        self.books.see({self.shard: Held(sequence, ended=False)._replace(**more)})

    def look(self) -> list[Mapping[str, Any]]:
        with capture_logs() as logs:
            self.books.look()
        return [dict(line) for line in logs]

    def lost(self, shard: str = "") -> float | None:
        return self.metrics.registry.get_sample_value("isthmus_lost_ranges_total", {"shard": shard or self.shard})

    def keep(self, seconds: float) -> list[Mapping[str, Any]]:
        """Let the task run for so long."""
        stop = FakeStop(self.clock)
        self.clock.at(self.clock.monotonic() + seconds, stop.request)
        with capture_logs() as logs:
            self.books.run(stop)
        return [dict(line) for line in logs]


@pytest.fixture
def desk() -> Desk:
    return Desk()
