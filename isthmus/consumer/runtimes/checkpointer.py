"""When a shard's checkpoint is saved: seldom while reading, surely at the end, never beyond what is decided."""

from collections.abc import Callable

from isthmus.attempts import Attempts
from isthmus.chance import Chance
from isthmus.checkpoint.ports import ShardCheckpoint, ShardCheckpoints
from isthmus.clock import Clock, rfc3339
from isthmus.consumer.runtimes.port import Processor
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.errors import OwnershipLost, Transient
from isthmus.lifecycle import Stop
from isthmus.metrics import Metrics
from isthmus.stream import StreamIdentity


class Checkpointer:
    """Saves how far one shard's processor is.

    Every method raises `OwnershipLost` when this process no longer holds the work, and whatever the store raises
    besides `Transient` (`Refused`, `Fatal`).
    """

    def __init__(
        self,
        shard: str,
        begin: ShardCheckpoint | None,
        processor: Processor,
        checkpoints: ShardCheckpoints,
        stream: StreamIdentity,
        *,
        clock: Clock,
        chance: Chance,
        lost: Callable[[], bool],
        metrics: Metrics,
        watch: Attempts,
        settings: LocalSettings,
    ) -> None:
        self._shard = shard
        self._processor = processor
        self._checkpoints = checkpoints
        self._stream = stream
        self._clock = clock
        self._chance = chance
        self._lost = lost
        self._saved_at = metrics.checkpoint_time.labels(shard)
        self._watch = watch
        self._settings = settings
        self._saved = begin.sequence if begin else None
        self._ending = False
        self._failures = 0
        self._due = clock.monotonic() + settings.checkpoint_interval

    def position(self) -> str | None:
        """Give the sequence number before which everything is decided, or None while that is nothing."""
        return self._processor.position() or self._saved

    def save_when_due(self) -> None:
        """Save what is new, if the time has come. A store that is away is asked again later."""
        if not self._unsaved() or self._clock.monotonic() < self._due:
            return
        wait = self._settings.checkpoint_interval
        try:
            self._save()
        except Transient as error:
            self._failures += 1
            self._watch.failed(error)
            wait = max(wait, self._settings.backoff.delay(self._failures, self._chance))
        else:
            self._failures = 0
            self._watch.recovered()
        self._due = self._clock.monotonic() + wait

    def save_end(self, stop: Stop) -> None:
        """Save that the shard is done with, for as long as it takes. Raises `Stopped` when a stop is requested."""
        self._ending = True
        self._watch.until_done(self._save, stop=stop, chance=self._chance, backoff=self._settings.backoff)

    def save_before_leaving(self) -> bool:
        """Save what is new in a few attempts without waiting. Give whether nothing is left unsaved."""
        for _ in range(self._settings.stop_attempts):
            if not self._unsaved():
                break
            try:
                self._save()
            except Transient as error:
                self._watch.failed(error)
            else:
                self._watch.recovered()
        return not self._unsaved()

    def _unsaved(self) -> bool:
        return self._ending or self.position() != self._saved

    def _save(self) -> None:
        if self._lost():
            # Another worker reads this shard by now. Our number may be true, but it is no longer ours to say.
            raise OwnershipLost(f"The checkpoint of {self._shard} belongs to another worker now.")
        position = self.position()
        now_ms = self._clock.now_ms()
        self._checkpoints.save(
            ShardCheckpoint(
                shard=self._shard,
                stream=self._stream,
                sequence=position,
                ended=self._ending,
                counts=dict(self._processor.counts()),
                updated=rfc3339(now_ms),
            )
        )
        self._saved = position
        self._ending = False
        self._saved_at.set(now_ms / 1000)
