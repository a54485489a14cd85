"""The producer of one source: owns it, marks its epoch in every lane, detects, translates, publishes, and remembers how far it came.

Single-threaded by design: what is in flight is the publisher's matter, and a simulation drives the same code on virtual time. The watermark moves only
over what Kinesis has acknowledged, and only after it has.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeVar

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
from isthmus.producer.sources.port import Page, Source, SourceRow
from isthmus.producer.translator import Encoded
from isthmus.retry import Backoff

T = TypeVar("T")
log = get_logger(__name__)


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
    poll_interval: float = 0.2
    page_size: int = 1000
    watermark_interval: float = 0.5
    """How often the watermark is saved at most: what lies between two saves is detected again after a crash, with the same IDs."""
    flush_patience: float = 5.0
    """How long a soft stop waits for acknowledgements."""
    type_prefix: str = "isthmus"
    backoff: Backoff = Backoff()


class Producer:
    """One ownership of one source, from the take-over to its end."""

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
        self._metrics = metrics
        self._settings = settings
        self._progress: Progress[str] = Progress()
        self._after = lease.watermark
        self._saved = lease.watermark
        self._save_at = 0.0
        self._read_at = 0.0
        self._failures = 0
        self._back_office = Attempts("back_office", metrics, clock, where=lease.name)
        self._watermark_store = Attempts("watermark_store", metrics, clock, where=lease.name)

    def run(self) -> None:
        """Produce until a stop is requested.

        Raises `OwnershipLost` at once when another took the source, `Fatal` and `Refused` for what no repeat mends.
        """
        self._metrics.owner_epoch.labels(self._lease.name).set(self._lease.epoch)
        try:
            self._mark_epoch()
            if self._after is None:
                self._after = self._keep_trying(self._source.start)
            while not self._stop.requested():
                self._step()
            self._finish()
        except Stopped:
            self._finish()
        finally:
            self._metrics.owner_epoch.labels(self._lease.name).set(0)

    def _mark_epoch(self) -> None:
        """Nothing else may go out before every lane's marker is acknowledged.

        A change of this epoch before its lane's marker could be followed there by one that the former owner still sends, and be undone by it.
        """
        moment = rfc3339(self._clock.now_ms())
        for lane in range(self._publisher.lanes):
            self._publisher.offer(lane, self._marker(lane, moment), self._progress.begin("", parts=0))
        while not self._publisher.idle():
            self._check_ownership()
            self._publisher.pump(self._settings.poll_interval)
            if self._stop.requested():
                raise Stopped
        log.info("source_owned", source=self._lease.name, epoch=self._lease.epoch, watermark=self._lease.watermark)
        self._progress = Progress()

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

    def _step(self) -> None:
        self._check_ownership()
        now = self._clock.monotonic()
        wait = self._read_at - now
        if wait <= 0 and self._publisher.room():
            more = self._read(now)
            wait = 0.0 if more else self._read_at - now
        self._acknowledge(self._publisher.pump(max(0.0, min(wait, self._settings.poll_interval))))
        self._save_watermark_when_due()

    def _read(self, now: float) -> bool:
        """Read one page into the publisher; say whether there is more at once."""
        try:
            self._translator.refresh()
            page = self._source.read(self._after, self._settings.page_size)
        except Transient as error:
            # The publisher must go on meanwhile, so this wait is a moment in the loop and not a sleep.
            self._failures += 1
            self._back_office.failed(error)
            self._read_at = now + self._settings.backoff.delay(self._failures, self._chance)
            return False
        if self._failures:
            self._failures = 0
            self._back_office.recovered()
        self._offer(page)
        self._read_at = now if page.more else now + self._settings.poll_interval
        return page.more

    def _offer(self, page: Page) -> None:
        source = self._settings.source
        for row in page.rows:
            changes = self._keep_trying(partial(self._translator.translate, row, self._lease.epoch))
            ticket = self._progress.begin(row.watermark, parts=len(changes))
            for change in changes:
                self._publisher.offer(change.lane, change.event, ticket)
        if page.rows:
            self._after = page.rows[-1].watermark
            self._metrics.detected.labels(source).inc(len(page.rows))
        if page.bound is not None:
            self._metrics.source_bound.labels(source).set(page.bound)

    def _acknowledge(self, tickets: list[int]) -> None:
        for ticket in tickets:
            self._progress.finish(ticket)

    def _save_watermark_when_due(self) -> None:
        now = self._clock.monotonic()
        if now >= self._save_at:
            self._save_watermark()
            self._save_at = now + self._settings.watermark_interval

    def _save_watermark(self) -> None:
        done = self._progress.done()
        if done is None or done == self._saved:
            return
        try:
            self._leases.advance(self._lease.name, self._lease.epoch, done)
        except Transient as error:
            self._watermark_store.failed(error)
            return
        self._watermark_store.recovered()
        self._saved = done
        self._metrics.watermark_time.labels(self._settings.source).set(self._clock.now_ms() / 1000)

    def _finish(self) -> None:
        """Stop softly: take in what Kinesis still acknowledges, for so long and no longer."""
        until = self._clock.monotonic() + self._settings.flush_patience
        while not self._publisher.idle() and self._clock.monotonic() < until:
            self._check_ownership()
            self._acknowledge(self._publisher.pump(0.1))
        self._save_watermark()
        log.info("source_released", source=self._lease.name, watermark=self._saved, unsent=not self._publisher.idle())

    def _check_ownership(self) -> None:
        if self._lost():
            raise OwnershipLost(f"{self._lease.name} was taken by another producer.")

    def _keep_trying(self, action: Callable[[], T]) -> T:
        return self._back_office.until_done(
            action, stop=self._stop, chance=self._chance, backoff=self._settings.backoff
        )
