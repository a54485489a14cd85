"""The producer of one source, for as long as it owns it: marks its epoch, detects, translates, publishes, remembers.

Single-threaded by design: what is in flight is the publisher's matter, and a simulation drives the same code on
virtual time. The watermark moves only over what Kinesis has acknowledged, and only after it has.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, TypeVar

from isthmus.attempts import Attempts
from isthmus.chance import Chance
from isthmus.change import Change, Verb, transaction_id, version_of
from isthmus.checkpoint.ports import Lease, Leases
from isthmus.checkpoint.progress import Progress
from isthmus.clock import Clock, rfc3339
from isthmus.codec import encode
from isthmus.errors import OwnershipLost, Transient
from isthmus.lifecycle import Stop, Stopped
from isthmus.log import get_logger
from isthmus.metrics import Metrics
from isthmus.producer.publisher import Publisher
from isthmus.producer.sources.port import Source, SourceRow
from isthmus.producer.translator import Encoded
from isthmus.retry import Backoff

T = TypeVar("T")
log = get_logger(__name__)

_TURN = 0.1
"""Seconds between two looks while a stopping producer waits for what is in flight."""


class Translating(Protocol):
    """Makes encoded changes of a row. See `isthmus.producer.translator`."""

    def translate(self, row: SourceRow, epoch: int) -> list[Encoded]:
        """Give the row's changes. Raises `Transient` when large payloads cannot be stored now."""
        ...

    def refresh(self) -> None:
        """Load reference tables again where that is due. Raises `Transient` before the first load succeeded."""
        ...


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """Times in seconds."""

    source: str
    """The CloudEvents `source` of every change."""
    name: str = ""
    """The short name in metrics and logs; by default `source`."""
    poll_interval: float = 0.2
    page_size: int = 1000
    watermark_interval: float = 0.5
    """How often the watermark is saved at most: what lies between two saves is detected again after a crash, with the
    same IDs. No rest is longer either, so that a lost ownership and a stop are soon seen."""
    flush_patience: float = 5.0
    """How long a soft stop waits for acknowledgements, and for the last watermark."""
    type_prefix: str = "isthmus"
    backoff: Backoff = field(default_factory=Backoff)


class Watches(NamedTuple):
    """Who says once that something is away. They outlive an ownership: what it found away, the next finds back."""

    back_office: Attempts
    payloads: Attempts
    watermark_store: Attempts

    @classmethod
    def of(cls, name: str, metrics: Metrics, clock: Clock) -> "Watches":
        """Give the watches of a source."""
        return cls(*(Attempts(part, metrics, clock, where=name) for part in cls._fields))


class Producer:
    """One ownership of one source, from the take-over to its end. `run` is called once.

    `lost` says, without waiting, whether the lease is, or may be, another's; the publisher sends into an `OwnedSink`
    that asks the same. `position_of` gives the number that
    metrics and logs show of a watermark: its own text may hold keys of rows.
    """

    def __init__(
        self,
        lease: Lease,
        *,
        source: Source,
        translator: Translating,
        publisher: Publisher,
        leases: Leases,
        lost: Callable[[], bool],
        clock: Clock,
        stop: Stop,
        chance: Chance,
        metrics: Metrics,
        settings: ProducerSettings,
        watches: Watches | None = None,
        position_of: Callable[[str], int] | None = None,
    ) -> None:
        self._lease = lease
        self._source = source
        self._translator = translator
        self._publisher = publisher
        self._leases = leases
        self._lost = lost
        self._clock = clock
        self._stop = stop
        self._chance = chance
        self._settings = settings
        self._position_of = position_of
        self._name = settings.name or settings.source
        self._watches = watches or Watches.of(self._name, metrics, clock)
        self._metrics = metrics
        self._detected = metrics.detected.labels(self._name)
        self._progress: Progress[str] = Progress()
        self._rows: deque[SourceRow] = deque()
        self._after = lease.watermark
        self._saved = lease.watermark
        self._saves = 0
        self._save_at = 0.0
        self._read_at = 0.0
        self._translate_at = 0.0
        self._read_failures = 0
        self._payload_failures = 0

    def run(self) -> None:
        """Produce until a stop is requested.

        Raises `OwnershipLost` at once when another took the source, `Fatal` and `Refused` for what no repeat mends.
        """
        epoch = self._metrics.owner_epoch.labels(self._name)
        epoch.set(self._lease.epoch)
        self._show_saved()
        try:
            if self._mark_epoch():
                owned = {"epoch": self._lease.epoch, "generation": self._lease.generation}
                log.info("source_owned", source=self._name, **owned, position=self._position())
                self._produce()
            log.info("source_released", source=self._name, position=self._position(), unsent=not self._publisher.idle())
        finally:
            epoch.set(0)

    def _mark_epoch(self) -> bool:
        """Put a marker into every lane, and wait until each is acknowledged. False: a stop was requested first.

        Nothing else may go out before. A change of this epoch ahead of its lane's marker could be followed there by
        one that the former owner still sends, and be undone by it.
        """
        moment = rfc3339(self._clock.now_ms())
        for lane in range(self._publisher.lanes):
            self._publisher.offer(lane, self._marker(lane, moment), lane)
        while not self._publisher.idle():
            if self._stop.requested():
                return False
            self._check_ownership()
            self._publisher.pump(self._settings.watermark_interval)
        return True

    def _marker(self, lane: int, moment: str) -> bytes:
        source, epoch = self._settings.source, self._lease.epoch
        return encode(
            Change(
                id=transaction_id(source, f"epoch/{lane}", version_of(0, epoch)),
                source=source,
                entity="epoch",
                verb=Verb.MARKER,
                key="",
                version="",
                lane=lane,
                epoch=epoch,
                time=moment,
                data={"epoch": str(epoch)},
            ),
            prefix=self._settings.type_prefix,
        )

    def _produce(self) -> None:
        try:
            # A generation that was raised is read from the very beginning, whatever `start` says: `start` is for rows
            # that nobody wants, and a resync is asked for because every row is.
            if self._after is None and self._lease.generation == 0:
                self._begin()
            while not self._stop.requested():
                self._step()
        except Stopped:
            pass
        self._finish()

    def _begin(self) -> None:
        """Fix where a source without a watermark begins.

        Saved before anything is read: "now", asked again by the next owner, would skip what came meanwhile.
        """
        self._after = self._patiently(self._start, self._watches.back_office)
        if self._after is not None:
            self._progress.begin(self._after, parts=0)
            self._patiently(self._advance, self._watches.watermark_store)

    def _start(self) -> str | None:
        while wait := self._source.ready_in():
            self._check_ownership()
            if self._stop.wait(min(wait, self._settings.watermark_interval)):
                raise Stopped
        return self._source.start()

    def _step(self) -> None:
        self._check_ownership()
        now = self._clock.monotonic()
        if not self._rows and now >= self._read_at and self._publisher.room():
            self._read(now)
        if self._rows and now >= self._translate_at:
            self._translate(now)
        self._acknowledge(self._publisher.pump(self._rest()))
        self._save_watermark_when_due()

    def _rest(self) -> float:
        """Give how long nothing can be done but wait for acknowledgements."""
        longest = self._settings.watermark_interval
        if not self._publisher.room():
            return longest
        next_work = self._translate_at if self._rows else self._read_at
        return min(longest, max(0.0, next_work - self._clock.monotonic()))

    def _read(self, now: float) -> None:
        """Read one page, or find out when one may be read."""
        wait = self._source.ready_in()
        if wait > 0:
            # A moment in the loop and not a sleep: acknowledgements and ownership are looked at meanwhile.
            self._read_at = now + wait
            return
        try:
            self._translator.refresh()
            page = self._source.read(self._after, self._settings.page_size)
        except Transient as error:
            # The publisher must go on meanwhile, so this wait is a moment in the loop and not a sleep.
            self._read_failures += 1
            self._watches.back_office.failed(error)
            self._read_at = now + self._settings.backoff.delay(self._read_failures, self._chance)
            return
        self._read_failures = 0
        self._watches.back_office.recovered()
        self._rows.extend(page.rows)
        if page.rows:
            self._after = page.rows[-1].watermark
            self._detected.inc(len(page.rows))
        if page.bound is not None:
            self._metrics.source_bound.labels(self._name).set(page.bound)
        self._read_at = now if page.more else now + self._settings.poll_interval

    def _translate(self, now: float) -> None:
        """Hand rows to the publisher, in their order, as long as it has room."""
        rows, epoch = self._rows, self._lease.epoch
        translate, offer, room = self._translator.translate, self._publisher.offer, self._publisher.room
        try:
            while rows and room():
                changes = translate(rows[0], epoch)
                ticket = self._progress.begin(rows.popleft().watermark, parts=len(changes))
                for change in changes:
                    offer(change.lane, change.event, ticket)
        except Transient as error:
            self._payload_failures += 1
            self._watches.payloads.failed(error)
            self._translate_at = now + self._settings.backoff.delay(self._payload_failures, self._chance)
            return
        self._payload_failures = 0
        self._watches.payloads.recovered()

    def _acknowledge(self, tickets: list[int]) -> None:
        for ticket in tickets:
            self._progress.finish(ticket)

    def _save_watermark_when_due(self) -> None:
        now = self._clock.monotonic()
        if now >= self._save_at:
            self._save_watermark()
            self._save_at = now + self._settings.watermark_interval

    def _save_watermark(self) -> bool:
        """Save what is acknowledged. False: the store is away, it is tried again later."""
        try:
            self._advance()
        except Transient as error:
            self._watches.watermark_store.failed(error)
            return False
        self._watches.watermark_store.recovered()
        return True

    def _advance(self) -> None:
        done = self._progress.done()
        if done is None or done == self._saved:
            return
        self._check_ownership()
        # Counted before it is sent: what becomes of it may stay unknown, and it may still arrive after the next one.
        self._saves += 1
        self._leases.advance(self._lease.name, self._lease.epoch, done, step=self._saves)
        self._saved = done
        self._metrics.watermark_time.labels(self._name).set(self._clock.now_ms() / 1000)
        self._show_saved()

    def _show_saved(self) -> None:
        position = self._position()
        if position is not None:
            self._metrics.watermark.labels(self._name).set(position)

    def _position(self) -> int | None:
        """Give the position of the saved watermark, for people."""
        if self._saved is None or self._position_of is None:
            return None
        return self._position_of(self._saved)

    def _finish(self) -> None:
        """Stop softly: take in what Kinesis still acknowledges, for so long and no longer."""
        until = self._clock.monotonic() + self._settings.flush_patience
        while not self._publisher.idle() and self._clock.monotonic() < until:
            self._acknowledge(self._publisher.pump(_TURN))
        # The publisher is the one that can wait although a stop was requested.
        while not self._save_watermark() and self._clock.monotonic() < until:
            self._acknowledge(self._publisher.pump(_TURN))

    def _check_ownership(self) -> None:
        if self._lost():
            raise OwnershipLost(f"{self._lease.name} was, or may have been, taken by another producer.")

    def _patiently(self, action: Callable[[], T], watch: Attempts) -> T:
        def owned() -> T:
            self._check_ownership()
            return action()

        return watch.until_done(owned, stop=self._stop, chance=self._chance, backoff=self._settings.backoff)
