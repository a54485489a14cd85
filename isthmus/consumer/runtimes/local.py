"""The local runtime: one process reads all shards of a stream, parents before children."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from isthmus.attempts import AttemptsByPart
from isthmus.chance import Chance
from isthmus.checkpoint import answers
from isthmus.checkpoint.ports import ShardCheckpoint, ShardCheckpoints
from isthmus.clock import Clock
from isthmus.consumer.feed import Feed, Shard, Trimmed
from isthmus.consumer.runtimes.port import Processor, RuntimeStop, Spawn, Task
from isthmus.consumer.runtimes.reader import Ended, Failed, ReaderEnd, ShardReader, StoppedSoftly
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.consumer.runtimes.shards import ShardState, ShardTree
from isthmus.errors import OwnershipLost, Transient
from isthmus.lifecycle import Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics
from isthmus.stream import StreamIdentity

log = get_logger(__name__)


class _Reading:
    """A shard that is being read: where it is in its life, and the task that reads it."""

    def __init__(self) -> None:
        self.reader: ShardReader | None = None
        self.task: Task[ReaderEnd] | None = None

    @property
    def state(self) -> ShardState:
        return self.reader.state if self.reader else ShardState.READING


class LocalRuntime:
    """Reads every shard of a stream; only one worker of an application may run at a time.

    It takes no lease itself: `lost` says, from any task and without waiting, whether this process has lost the one
    that makes it the only worker. `make_processor(shard, checkpoint)` is called in the shard's own task; it may
    raise `Transient`, and is then called again. `stop` is asked for by the runtime too, when anything fails.
    `attempts` outlives the runtime where another may follow it after a lost ownership. `listed` is told of shards and
    checkpoints whenever they were read, before any shard is started by them; `trimmed`, once in this life, of a shard
    that retention took before it was read to its end. Both return at once; without `trimmed` it is logged.
    """

    def __init__(
        self,
        *,
        feed: Feed,
        checkpoints: ShardCheckpoints,
        stream: StreamIdentity,
        make_processor: Callable[[str, ShardCheckpoint | None], Processor],
        spawn: Spawn,
        stop: RuntimeStop,
        lost: Callable[[], bool],
        clock: Clock,
        chance: Chance,
        metrics: Metrics,
        attempts: AttemptsByPart,
        settings: LocalSettings | None = None,
        listed: Callable[[Sequence[Shard], Mapping[str, ShardCheckpoint]], object] = lambda _shards, _saved: None,
        trimmed: Callable[[str], object] | None = None,
    ) -> None:
        self._feed = feed
        self._checkpoints = checkpoints
        self._stream = stream
        self._make_processor = make_processor
        self._spawn = spawn
        self._stop = stop
        self._lease_lost = lost
        self._clock = clock
        self._chance = chance
        self._metrics = metrics
        self._settings = settings or LocalSettings()
        self._listed = listed
        self._tell_trimmed = trimmed or _tell_trimmed
        self._attempts = attempts
        self._watch = attempts.watch("shard_list")
        self._readings: dict[str, _Reading] = {}
        self._told: set[str] = set()
        self._abandoned = False
        self._error: BaseException | None = None
        self._failures = 0
        self._next_sync = clock.monotonic()

    def run(self) -> None:
        """Read until a stop is requested and every shard's reader has ended. Called once.

        Raises the first error that stopped it: `OwnershipLost`, or a `Fatal`. After such an error no checkpoint is
        saved any more, of any shard.
        """
        try:
            self._supervise()
        except BaseException as error:  # noqa: BLE001 - whatever it is, the readers must end first; it is raised below
            self._fail(error)
        self._join()
        if self._error is not None:
            raise self._error

    def _supervise(self) -> None:
        while not self._stop.requested():
            if self._lease_lost():
                raise _ownership_lost()
            self._collect()
            if self._clock.monotonic() >= self._next_sync:
                self._sync()
            self._stop.wait(self._settings.tick)

    def _sync(self) -> None:
        """Read the list of shards and the checkpoints, and start what may start."""
        try:
            shards = self._feed.shards()
            saved = self._checkpoints.read_all()
        except Transient as error:
            self._failures += 1
            self._watch.failed(error)
            self._next_sync = self._clock.monotonic() + self._settings.backoff.delay(self._failures, self._chance)
            return
        self._failures = 0
        self._watch.recovered()
        self._next_sync = self._clock.monotonic() + self._settings.shard_sync_interval
        self._refuse_strangers(list(saved.values()))
        self._listed(shards, saved)
        tree = ShardTree(shards, saved, {name: reading.state for name, reading in self._readings.items()})
        for name in tree.trimmed_early():
            if name not in self._told:
                self._trimmed(name)
        for name in tree.ready():
            self._start(name, saved.get(name))

    def _refuse_strangers(self, saved: Sequence[ShardCheckpoint]) -> None:
        for checkpoint in saved:
            if checkpoint.stream != self._stream:
                # Its numbers mean nothing here: reading after them would skip whatever lies before.
                raise answers.other_stream_of(checkpoint, self._stream)

    def _start(self, shard: str, begin: ShardCheckpoint | None) -> None:
        log.info("shard_started", shard=shard, after=begin.sequence if begin else None)
        reading = self._readings[shard] = _Reading()
        reading.task = self._spawn(f"shard {shard}", partial(self._read, reading, shard, begin))

    def _read(self, reading: _Reading, shard: str, begin: ShardCheckpoint | None) -> ReaderEnd:
        """Read one shard. The whole of its task."""
        try:
            processor = self._attempts.watch("front_office", shard).until_done(
                lambda: self._make_processor(shard, begin),
                stop=self._stop,
                chance=self._chance,
                backoff=self._settings.backoff,
            )
        except Stopped:
            return StoppedSoftly()
        reading.reader = ShardReader(
            shard,
            begin,
            feed=self._feed,
            processor=processor,
            checkpoints=self._checkpoints,
            stream=self._stream,
            clock=self._clock,
            stop=self._stop,
            chance=self._chance,
            lost=lambda: self._abandoned or self._lease_lost(),
            metrics=self._metrics,
            settings=self._settings,
            attempts=self._attempts,
        )
        return reading.reader.run()

    def _collect(self) -> None:
        """Take leave of the readers that have ended. Raises what one of them failed with."""
        for shard, reading in list(self._readings.items()):
            if reading.task is not None and reading.task.done():
                del self._readings[shard]
                self._note(shard, reading.task.result())

    def _note(self, shard: str, end: ReaderEnd) -> None:
        match end:
            case Ended():
                self._attempts.forget(shard)
                log.info("shard_ended", shard=shard)
                self._next_sync = self._clock.monotonic()
            case Failed(Trimmed()):
                # Nobody can read it any more. The next list of shards leaves it out, and its children start.
                self._attempts.forget(shard)
                self._trimmed(shard)
            case Failed(error):
                raise error
            case StoppedSoftly():
                pass

    def _trimmed(self, shard: str) -> None:
        self._told.add(shard)
        self._tell_trimmed(shard)

    def _join(self) -> None:
        """Wait for every reader. They end by themselves: a stop was requested."""
        for shard, reading in self._readings.items():
            if reading.task is not None:
                try:
                    self._note(shard, reading.task.result())
                except Exception as error:  # noqa: BLE001 - the others must be waited for; `run` raises the first
                    self._fail(error)
        self._readings.clear()
        if self._error is None and self._lease_lost():
            self._error = _ownership_lost()

    def _fail(self, error: BaseException) -> None:
        # The order matters: a reader that sees the stop must not save a checkpoint any more.
        self._abandoned = True
        self._error = error if self._error is None else self._error
        self._stop.request()


def _tell_trimmed(shard: str) -> None:
    log.error("shard_trimmed_unread", shard=shard)


def _ownership_lost() -> OwnershipLost:
    return OwnershipLost("Another worker of this application has taken over.")
