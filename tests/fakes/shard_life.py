"""What a shard reader works with, in memory: checkpoints with a fail switch, and a processor that notes what it did."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from isthmus.checkpoint.memory import MemoryCheckpoints
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.clock import Clock
from isthmus.consumer.feed import Record
from isthmus.errors import TargetDown
from isthmus.stream import StreamIdentity

STREAM = StreamIdentity("arn:aws:kinesis:eu-central-1:1:stream/s", "2013-01-01T00:00:00Z")


def away() -> TargetDown:
    return TargetDown("Nobody answers.", cause="unreachable")


class FakeCheckpoints:
    """The shard checkpoints in memory, with faults on order. `saves` holds every one that took effect, in order."""

    def __init__(self, clock: Clock) -> None:
        self._shards = MemoryCheckpoints(clock).shards
        self.saves: list[ShardCheckpoint] = []
        self.attempts = 0
        self.failing: list[Exception] = []
        """Raised by the next saves, one each; nothing is written."""
        self.lost_answers = 0
        """So many saves take effect and raise."""
        self.read_failing: list[Exception] = []
        self.on_save: Callable[[ShardCheckpoint], object] = lambda _checkpoint: None

    @property
    def rows(self) -> dict[str, ShardCheckpoint]:
        return self._shards.read_all()

    def read_all(self) -> dict[str, ShardCheckpoint]:
        if self.read_failing:
            raise self.read_failing.pop(0)
        return self.rows

    def save(self, checkpoint: ShardCheckpoint) -> None:
        self.attempts += 1
        if self.failing:
            raise self.failing.pop(0)
        self.on_save(checkpoint)
        before = self.rows.get(checkpoint.shard)
        self._shards.save(checkpoint)
        if self.rows[checkpoint.shard] != before:
            self.saves.append(checkpoint)
        if self.lost_answers:
            self.lost_answers -= 1
            raise away()


class FakeProcessor:
    """Decides records one by one. `decided` may outlive it, as a store does."""

    def __init__(self, decided: list[Record] | None = None, counts: Mapping[str, int] | None = None) -> None:
        self.decided: list[Record] = [] if decided is None else decided
        self.pages: list[list[str]] = []
        self.before: Callable[[Record], object] = lambda _record: None
        """Called before each record; what it raises, `process` raises."""
        self._position: str | None = None
        self._counts = Counter(counts or {})

    def process(self, records: Sequence[Record]) -> None:
        self.pages.append([record.data.decode() for record in records])
        for record in records:
            self.before(record)
            self.decided.append(record)
            self._position = record.sequence
            self._counts["applied"] += 1

    def position(self) -> str | None:
        return self._position

    def counts(self) -> Mapping[str, int]:
        return self._counts

    @property
    def data(self) -> list[str]:
        return [record.data.decode() for record in self.decided]
