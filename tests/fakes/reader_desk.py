"""A reader of one shard on virtual time, with everything around it."""

from typing import Any

from isthmus.attempts import AttemptsByPart
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.consumer.feed import Fetched
from isthmus.consumer.runtimes.reader import ShardReader
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.metrics import Metrics
from isthmus.producer.sink import Entry
from isthmus.retry import Backoff
from tests.fakes.clock import FakeClock
from tests.fakes.greenlets import Greenlets
from tests.fakes.shard_life import STREAM, FakeCheckpoints, FakeProcessor
from tests.fakes.stream import MemoryStream

_MOST_SECONDS = 10_000


def numbers(start: int, end: int) -> list[str]:
    return [str(number) for number in range(start, end)]


class Half:
    """Chance that always gives one half: a back-off waits half of its bound."""

    def random(self) -> float:
        return 0.5


class Desk:
    """A reader of the only shard, with everything around it."""

    def __init__(self, *, settings: LocalSettings | None = None, end_with_last_page: bool = True) -> None:
        self.clock = FakeClock()
        self.stop = Greenlets(self.clock)
        self.ended_at = -1.0
        self.stream = MemoryStream(self.clock, end_with_last_page=end_with_last_page)
        (self.shard,) = self.stream.open_shards()
        self.feed: Any = Spy(self.stream, self.clock)
        self.checkpoints = FakeCheckpoints(self.clock)
        self.processor = FakeProcessor()
        self.metrics = Metrics()
        self.lost = False
        self.settings = settings or LocalSettings(backoff=Backoff(first=0.4, most=1.0))

    def put(self, count: int, start: int = 0) -> None:
        self.stream.put([Entry(0, str(number).encode()) for number in range(start, start + count)])

    def reader(self, begin: ShardCheckpoint | None = None) -> ShardReader:
        return ShardReader(
            self.shard,
            begin,
            feed=self.feed,
            processor=self.processor,
            checkpoints=self.checkpoints,
            stream=STREAM,
            clock=self.clock,
            stop=self.stop,
            chance=Half(),
            lost=lambda: self.lost,
            metrics=self.metrics,
            attempts=AttemptsByPart(self.metrics, self.clock),
            settings=self.settings,
        )

    def run(self, *, stop_at: float | None = None, begin: ShardCheckpoint | None = None) -> object:
        if stop_at is not None:
            self.clock.at(stop_at, self.stop.request)
        return self.drive(self.reader(begin))

    def drive(self, reader: ShardReader) -> object:
        def life() -> object:
            end = reader.run()
            self.ended_at = self.clock.monotonic()
            return end

        task = self.stop("reader", life)
        for _ in range(_MOST_SECONDS):
            if task.done():
                break
            self.clock.move(1)
        assert task.done(), "the reader never ends"
        return task.result()

    def saved(self, index: int) -> ShardCheckpoint:
        """Give a checkpoint as if everything up to the record was decided before."""
        return ShardCheckpoint(self.shard, STREAM, self.stream.records(self.shard)[index].sequence)

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)


class Spy:
    """A feed that notes when it was read."""

    def __init__(self, stream: MemoryStream, clock: FakeClock) -> None:
        self._stream = stream
        self._clock = clock
        self.reads: list[float] = []
        self.afters: list[str | None] = []

    def iterator(self, shard: str, after: str | None) -> str:
        self.afters.append(after)
        return self._stream.iterator(shard, after)

    def fetch(self, iterator: str, limit: int) -> Fetched:
        self.reads.append(round(self._clock.monotonic(), 6))
        return self._stream.fetch(iterator, limit)
