"""What a consumer notes of its shards beside their checkpoints, and what it says where records may be lost.

One task of a worker. It looks at what is counted and at how far the shards are, and reads no shard itself, but for one
record where something may be lost.
"""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from isthmus.attempts import Attempts
from isthmus.checkpoint.notes import Note, Notes
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.clock import Clock, rfc3339
from isthmus.console.tellings import Tellings, Told, told_by
from isthmus.consumer.feed import Shard
from isthmus.consumer.runtimes.retention import Horizon, Known, LossWatch, Lost
from isthmus.errors import Fatal, IsthmusError, Transient
from isthmus.lifecycle import Stop
from isthmus.log import get_logger
from isthmus.metrics import Metrics
from isthmus.stream import StreamIdentity

log = get_logger(__name__)

LOOK_EVERY: Final = 5.0
"""Seconds between two looks; what is counted reaches `isthmus status` so late."""
ASK_EVERY: Final = 60.0
"""Seconds from one question after the stream's retention to the next."""
_HOUR_MS: Final = 3600 * 1000


class Held(NamedTuple):
    """One shard, as whoever reads the shards sees it."""

    sequence: str | None
    """Its checkpoint."""
    ended: bool
    parents: tuple[str, ...] = ()
    mine: bool = True
    """This worker reads it."""


def held_locally(shards: Sequence[Shard], saved: Mapping[str, ShardCheckpoint]) -> dict[str, Held]:
    """Give what the local runtime knows: every shard that the stream lists is its own."""
    found: dict[str, Held] = {}
    for shard in shards:
        checkpoint = saved.get(shard.id) or ShardCheckpoint(shard.id, StreamIdentity("", ""))
        found[shard.id] = Held(checkpoint.sequence, checkpoint.ended, shard.parents)
    return found


class Bookkeeping:
    """Sees the shards by `see`, from any task; everything else is done by the task that calls `run`, and then `last`.

    `retention_hours` asks the stream; it, `horizon` and `notes` raise as adapters do. `teller` is this process, by a
    name that no other one ever has. `counting` says whether outcomes are noted: where nobody keeps them with the
    checkpoints, nor remembers the end of a shard for long.
    """

    def __init__(
        self,
        notes: Notes,
        horizon: Horizon,
        stream: StreamIdentity,
        retention_hours: Callable[[], int],
        *,
        teller: str,
        counting: bool,
        clock: Clock,
        metrics: Metrics,
        watch: Attempts,
    ) -> None:
        self._notes = notes
        self._stream = stream
        self._ask_retention = retention_hours
        self._tellings = Tellings(notes, stream, teller)
        self._counting = counting
        self._clock = clock
        self._metrics = metrics
        self._watch = watch
        self._losses = LossWatch(horizon)
        self._now: Mapping[str, Held] = {}
        self._before: Mapping[str, Held] = {}
        self._gone: deque[str] = deque()
        self._trimmed: set[str] = set()
        self._retention_ms = 0
        self._ask_at = clock.monotonic()
        self._failed = False

    def see(self, shards: Mapping[str, Held]) -> None:
        """Take in how the shards are now. The first time before any of them is read from there on."""
        self._before, self._now = self._now or shards, shards

    def trimmed(self, *shards: str) -> None:
        """Take in that retention took shards before they were read to their end. Told once, and not in every life."""
        self._gone.extend(shards)

    def run(self, stop: Stop) -> None:
        """Look until a stop is requested. What fails is said, and tried again."""
        while not stop.requested():
            self._try(self.look)
            stop.wait(LOOK_EVERY)

    def last(self) -> None:
        """Note what is counted and was not noted yet, in one attempt. Called when `run` has ended, and the shards."""
        self._try(lambda: self._note(told_by(self._metrics.collect())))

    def look(self) -> None:
        """Look once. Raises the first of what the ports raised; what was not done is left to the next look."""
        told = told_by(self._metrics.collect())
        try:
            self._tell_gone()
            self._judge(told)
        finally:
            self._note(told)

    def _tell_gone(self) -> None:
        notes = self._notes.read_all() if self._gone else {}
        while self._gone:
            shard = self._gone[0]
            note = notes.get(shard)
            if note is None or not note.ended or note.stream != self._stream:
                self._metrics.lost_ranges.labels(shard).inc()
                log.error("shard_trimmed_unread", shard=shard)
            self._trimmed.add(self._gone.popleft())

    def _judge(self, told: Told) -> None:
        errors = self._ask()
        before, now = self._before, self._now
        mine = {shard: held for shard, held in now.items() if held.mine and not held.ended}
        for shard in self._losses.known.keys() - mine.keys():
            self._losses.forget(shard)
        self._begin([shard for shard in mine if shard not in self._losses.known and _is_begun(shard, now)], now, before)
        for shard in list(self._losses.known):
            seen = Known(mine[shard].sequence, told.until_ms.get(shard))
            try:
                lost = self._losses.look(shard, seen, now_ms=self._clock.now_ms(), retention_ms=self._retention_ms)
            except IsthmusError as error:
                # The others are not to wait for it.
                errors.append(error)
                continue
            if lost is not None:
                self._tell(lost)
        if errors:
            raise errors[0]

    def _ask(self) -> list[IsthmusError]:
        """Ask for the stream's retention when it is time; give why it did not answer, where an older answer will do."""
        if self._clock.monotonic() < self._ask_at:
            return []
        try:
            self._retention_ms = self._ask_retention() * _HOUR_MS
        except IsthmusError as error:
            if not self._retention_ms:
                raise
            return [error]
        self._ask_at = self._clock.monotonic() + ASK_EVERY
        return []

    def _begin(self, shards: Sequence[str], now: Mapping[str, Held], before: Mapping[str, Held]) -> None:
        """Begin with shards that are new here where their notes say that they were, or else their checkpoints."""
        if not shards:
            return
        # Read now: whoever had such a shard before may have noted something a moment ago.
        notes = {shard: note for shard, note in self._notes.read_all().items() if note.stream == self._stream}
        for shard in shards:
            note, held = notes.get(shard), before.get(shard, now[shard])
            if note is not None and note.decided_until_ms is not None:
                known = Known(note.sequence, note.decided_until_ms)
            elif held.sequence is not None:
                known = Known(held.sequence)
            else:
                known = Known(None, _moment_of(held.parents, notes))
            self._losses.begin(shard, known)

    def _tell(self, lost: Lost) -> None:
        if not lost.final:
            self._metrics.lost_ranges.labels(lost.shard).inc()
        log.error(
            "records_may_be_lost",
            shard=lost.shard,
            after=lost.after,
            since=None if lost.since_ms is None else rfc3339(lost.since_ms),
            up_to=None if lost.oldest is None else rfc3339(lost.oldest.arrival_ms),
            oldest=None if lost.oldest is None else lost.oldest.sequence,
            final=lost.final,
        )

    def _note(self, told: Told) -> None:
        ended = {shard for shard, held in self._now.items() if held.ended} if self._counting else set[str]()
        self._tellings.tell(told.counts if self._counting else {}, self._losses.known, ended | self._trimmed)

    def _try(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Transient as error:
            self._away(error)
        except IsthmusError as error:
            self._said_once(error.message)
        except Exception as error:  # noqa: BLE001 - a defect here must not end the task, silently and for good
            self._said_once(type(error).__name__)
        else:
            self._failed = False
            self._watch.recovered()

    def _away(self, error: Transient) -> None:
        try:
            self._watch.failed(error)
        except Fatal as fatal:
            self._said_once(fatal.message)

    def _said_once(self, why: str) -> None:
        if not self._failed:
            self._failed = True
            log.warning("notes_failed", why=why)


def _is_begun(shard: str, now: Mapping[str, Held]) -> bool:
    """Say whether somebody may read a shard, or did: what its parents hold is older, and comes first."""
    held = now[shard]
    return held.sequence is not None or all(now[parent].ended for parent in held.parents if parent in now)


def _moment_of(parents: Sequence[str], notes: Mapping[str, Note]) -> int | None:
    """Give a moment before which nothing can have arrived in the child of these shards; None: not known."""
    moments = [notes[parent].decided_until_ms for parent in parents if parent in notes]
    return min((moment for moment in moments if moment is not None), default=None)
