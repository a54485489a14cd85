"""Reads one shard from its checkpoint to its end: fetch, have decided, remember."""

from collections.abc import Callable
from dataclasses import dataclass

from isthmus.attempts import AttemptsByPart
from isthmus.chance import Chance
from isthmus.checkpoint.ports import ShardCheckpoint, ShardCheckpoints
from isthmus.clock import Clock
from isthmus.consumer.feed import Feed, Fetched, IteratorExpired, Record, Trimmed
from isthmus.consumer.runtimes.checkpointer import Checkpointer
from isthmus.consumer.runtimes.port import Processor
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.consumer.runtimes.shards import ShardState
from isthmus.errors import Fatal, IsthmusError, OwnershipLost, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics
from isthmus.retry import keep_trying
from isthmus.stream import StreamIdentity

log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """The shard is closed, all of it is decided, and the checkpoint says so."""


@dataclass(frozen=True, slots=True)
class StoppedSoftly:
    """A stop was requested. What was decided is saved, unless the store of checkpoints was away."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Reading cannot go on. Nothing was saved after the error."""

    error: IsthmusError
    """`OwnershipLost`, `Fatal` (also `Refused`, `Missing`) or `Trimmed`."""


ReaderEnd = Ended | StoppedSoftly | Failed

_FIRST_PAGE = 100
"""Records of the first page, whose weight nobody knows yet."""


class ShardReader:
    """Reads one shard. `run` is called once, by one task.

    `begin` is the shard's checkpoint, or None; `lost` says, from any task and without waiting, whether this process
    has lost the work: then no further record is decided and no checkpoint is saved.
    """

    def __init__(
        self,
        shard: str,
        begin: ShardCheckpoint | None,
        *,
        feed: Feed,
        processor: Processor,
        checkpoints: ShardCheckpoints,
        stream: StreamIdentity,
        clock: Clock,
        stop: Stop,
        chance: Chance,
        lost: Callable[[], bool],
        metrics: Metrics,
        attempts: AttemptsByPart,
        settings: LocalSettings,
    ) -> None:
        self.state = ShardState.READING
        self._shard = shard
        self._feed = feed
        self._processor = processor
        self._clock = clock
        self._stop = stop
        self._chance = chance
        self._lost = lost
        self._metrics = metrics
        self._settings = settings
        self._stream_watch = attempts.watch("stream", shard)
        self._behind = metrics.behind.labels(shard)
        self._buffered = metrics.buffered.labels(shard)
        self._decided_until_ms = 0
        self._checkpointer = Checkpointer(
            shard,
            begin,
            processor,
            checkpoints,
            stream,
            clock=clock,
            chance=chance,
            lost=lost,
            metrics=metrics,
            watch=attempts.watch("checkpoint", shard),
            settings=settings,
        )
        self._handed = begin.sequence if begin else None
        self._iterator: str | None = None
        self._next_read = clock.monotonic()
        self._limit = min(_FIRST_PAGE, settings.max_records)
        self._asked_ms = 0

    def run(self) -> ReaderEnd:
        """Read until the shard's end, a stop or an error that no repeat mends."""
        try:
            return self._run()
        except (Fatal, OwnershipLost, Trimmed) as error:
            return Failed(error)
        finally:
            for gauge in (self._metrics.behind, self._metrics.buffered, self._metrics.checkpoint_time):
                gauge.remove(self._shard)
            if self._decided_until_ms:
                self._metrics.decided_until.remove(self._shard)

    def _run(self) -> ReaderEnd:
        try:
            while self._turn():
                pass
            self._finish()
        except Stopped:
            all_saved = self._checkpointer.save_before_leaving()
            if self.state is ShardState.READING or not all_saved:
                return StoppedSoftly()
        self.state = ShardState.ENDED
        return Ended()

    def _turn(self) -> bool:
        """Read one page and have it decided. Give False when it was the shard's last.

        The page lives in this call only, so that it is gone before the next one is read.
        """
        try:
            fetched = keep_trying(
                self._fetch,
                stop=self._stop,
                chance=self._chance,
                backoff=self._settings.backoff,
                on_failure=self._away,
            )
        except IteratorExpired:
            # It says, too, that the stream answers.
            self._stream_watch.recovered()
            self._metrics.retries.labels("stream", "iterator-expired").inc()
            self._iterator = None
            return True
        # After every success: the failures before it may have been another reader's.
        self._stream_watch.recovered()
        self._behind.set(fetched.behind_ms / 1000)
        if fetched.records:
            self._decide(fetched.records)
            self._decided(fetched.records[-1].arrival_ms)
        elif fetched.iterator is not None:
            # An empty answer, too, tells how far in time it reached. Not one that says the shard is closed: its
            # children may hold what came since then.
            self._decided(self._asked_ms - fetched.behind_ms)
        self._iterator = fetched.iterator
        self._checkpointer.save_when_due()
        return fetched.iterator is not None

    def _away(self, error: Transient, _attempt: int) -> None:
        self._stream_watch.failed(error)
        # The stream may stay away for hours; what is decided already need not wait for it.
        self._checkpointer.save_when_due()

    def _fetch(self) -> Fetched:
        if self._stop.wait(max(0.0, self._next_read - self._clock.monotonic())):
            raise Stopped
        begun = self._clock.monotonic()
        self._next_read = begun + 1 / self._settings.reads_per_second
        if self._iterator is None:
            self._iterator = self._feed.iterator(self._shard, self._handed)
        asked, self._asked_ms = self._limit, self._clock.now_ms()
        fetched = self._feed.fetch(self._iterator, asked)
        if fetched.behind_ms == 0 and len(fetched.records) < asked:
            self._next_read = max(self._next_read, begun + self._settings.poll_interval)
        self._weigh(fetched.records)
        return fetched

    def _weigh(self, records: list[Record]) -> None:
        """Ask for as many records next time as make a page of the right weight, at most twice as many as now."""
        if records:
            average = sum(len(record.data) for record in records) / len(records)
            fitting = int(self._settings.page_bytes / max(average, 1.0))
            self._limit = max(1, min(fitting, 2 * self._limit, self._settings.max_records))

    def _decide(self, records: list[Record]) -> None:
        if self._lost():
            raise OwnershipLost(f"{self._shard} belongs to another worker now.")
        self._buffered.set(len(records))
        try:
            self._processor.process(records)
        finally:
            self._buffered.set(0)
        self._handed = records[-1].sequence

    def _decided(self, until_ms: int) -> None:
        """Tell that everything is decided that arrived before this moment."""
        if until_ms > self._decided_until_ms:
            self._decided_until_ms = until_ms
            self._metrics.decided_until.labels(self._shard).set(until_ms / 1000)

    def _finish(self) -> None:
        if self._checkpointer.position() != self._handed:
            # Children would start over records that nobody decided: no restart could bring them back.
            raise Fatal(f"The end of {self._shard} was reached, but not everything before it is decided.")
        self.state = ShardState.ENDING
        self._checkpointer.save_end(self._stop)
