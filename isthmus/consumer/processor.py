"""The shard processor: bytes in, outcomes out, checkpoint out.

It never returns before every record is decided, and lets no change be skipped.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple, TypeVar

from isthmus.attempts import Attempts, AttemptsByPart
from isthmus.chance import Chance
from isthmus.change import VERSION_DIGITS, Change, Outcome, Verb, row_hash
from isthmus.clock import Clock, from_rfc3339
from isthmus.codec import DEFAULT_LIMITS, Limits, NotJson, Undecodable, decode, json_value
from isthmus.consumer.braking import Braking, NoBrake
from isthmus.consumer.deciding import count
from isthmus.consumer.feed import Place, Record
from isthmus.consumer.gates import Gatekeeper, Outdated, stand
from isthmus.consumer.names import RECORD_KEY, may_be_named_so, storable
from isthmus.consumer.parking import event_bytes
from isthmus.consumer.stores.port import Decider, Delivered, Refusal
from isthmus.consumer.target import Target
from isthmus.errors import Poison
from isthmus.lifecycle import Stop, Stopped
from isthmus.metrics import Metrics
from isthmus.payloads import Payloads
from isthmus.retry import Backoff

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ProcessorSettings:
    """How much is decided in one transaction, and what a record may be."""

    batch_changes: int = 500
    batch_payload_bytes: int = 16 * 1024 * 1024
    """Of payloads that claim checks stand for: a small record may name hundreds. One may have 10 MiB."""
    limits: Limits = DEFAULT_LIMITS
    backoff: Backoff = field(default_factory=Backoff)


class ShardProcessor:
    """Decides the records of one shard, in their order."""

    def __init__(
        self,
        shard: str,
        decider: Decider,
        *,
        payloads: Payloads | None,
        stop: Stop,
        clock: Clock,
        chance: Chance,
        metrics: Metrics,
        attempts: AttemptsByPart,
        settings: ProcessorSettings,
        counts: Mapping[str, int] | None = None,
        target: Target | None = None,
        gates: Gatekeeper | None = None,
        brake: Braking | None = None,
    ) -> None:
        """Decide through `target`, which all shards of a process share; None: each waits for the store by itself.

        `gates` are asked before each batch, which stands while they say so; what decides asks them too. So with
        `brake`, which holds a batch that would park too much.
        """
        self._brake = brake or NoBrake()
        self._gates = gates
        self._shard = shard
        self._decider = decider
        self._payloads = payloads
        self._stop = stop
        self._clock = clock
        self._chance = chance
        self._metrics = metrics
        self._store_attempts = attempts.watch("front_office", shard)
        self._settings = settings
        self._payload_attempts = attempts.watch("payloads", shard)
        # A payload goes into an event, and that into a bundle: it leaves two levels, or it could not be written again.
        levels = min(settings.limits.max_depth, DEFAULT_LIMITS.max_depth) - 2
        self._payload_limits = replace(settings.limits, max_depth=levels)
        self._target = target
        self._counts = dict(counts or {})
        self._position: Place | None = None

    def process(self, records: Sequence[Record]) -> None:
        """Decide every record. A record counts as done only when all of its changes are durable.

        Raises `Stopped` when a stop is requested before the end: `position` says how far it came, the rest comes again.
        Raises `Fatal`.
        """
        for group in self._groups(records):
            if group.changes:
                self._apply(group.changes)
                # Whoever makes the next group must not hold this one meanwhile.
                group.changes.clear()
            if group.last is not None:
                self._position = group.last
            self._metrics.records.labels(self._shard).inc(group.records)
            if self._stop.requested() and group.last != records[-1].place:
                raise Stopped

    def position(self) -> str | None:
        """Give the sequence number, as it came, of the last record of which everything is decided."""
        return self._position.sequence if self._position is not None else None

    def place(self) -> Place | None:
        """Give the place of the last record of which everything is decided, also among records packed together."""
        return self._position

    def counts(self) -> Mapping[str, int]:
        """Give the outcomes of this shard since its beginning, by name."""
        return self._counts

    def _groups(self, records: Sequence[Record]) -> Iterator["_Group"]:
        """Group whole records until a batch is full: a checkpoint can only lie between two records.

        Only a record of more payloads than memory shall hold at once is cut: its parts are decided one after another.
        """
        changes: list[Delivered] = []
        begun = redeemed = 0
        for index, record in enumerate(records):
            for delivered, size in self._deliver(record):
                changes.append(delivered)
                redeemed += size
                if redeemed >= self._settings.batch_payload_bytes:
                    # So far only the records before this one are decided as a whole.
                    yield _Group(changes, records[index - 1].place if index > begun else None, index - begun)
                    changes, begun, redeemed = [], index, 0
            if len(changes) >= self._settings.batch_changes or index == len(records) - 1:
                yield _Group(changes, record.place, index + 1 - begun)
                changes, begun, redeemed = [], index + 1, 0

    def _deliver(self, record: Record) -> Iterator[tuple[Delivered, int]]:
        """Give each change of a record, and the bytes of the payload that was fetched for it."""
        single = record.data.lstrip(b" \t\r\n")[:1] != b"["
        for index, item in enumerate(decode(record.data, self._settings.limits)):
            place = (self._shard, record.sequence, record.arrival_ms)
            if isinstance(item, Undecodable):
                yield Delivered(self._undecodable(item, record, index), *place, item.data), 0
            elif item.verb is Verb.MARKER:
                # Changes of a source that no store can name are parked, so its marker has nothing to fence.
                if storable(item):
                    yield Delivered(item, *place), 0
            elif not may_be_named_so(item):
                raw = record.data if single else event_bytes(item)
                unnamed = Undecodable("bad-key", "empty, over-long, with a NUL, or kept for Isthmus", raw)
                yield Delivered(self._undecodable(unnamed, record, index), *place, raw), 0
            elif item.dataref and item.data is None:
                yield self._redeem(Delivered(item, *place, record.data if single else None))
            else:
                yield Delivered(item, *place, record.data if single else None), 0

    def _redeem(self, delivered: Delivered) -> tuple[Delivered, int]:
        """Fetch what a claim check stands for. A payload that is missing parks the change with that reason."""
        payloads, change = self._payloads, delivered.change
        if payloads is None:
            missing = Poison("payload-missing", "The settings name no bucket of payloads.")
            return delivered._replace(refused=Refusal(missing, "decode")), 0
        try:
            content = self._until_done(self._payload_attempts, partial(payloads.get, change.dataref))
            data = json_value(content, self._payload_limits)
        except Poison as poison:
            return delivered._replace(refused=Refusal(poison, "decode")), 0
        except NotJson as error:
            return delivered._replace(refused=Refusal(Poison(error.reason, error.message), "decode")), 0
        # Parked, it shall hold the payload itself: what the claim check names may expire.
        return delivered._replace(change=change._replace(data=data, dataref=""), raw=None), len(content)

    def _undecodable(self, found: Undecodable, record: Record, index: int) -> Change:
        """Give a place in the parking lot to bytes that name no entity: the same bytes come back to the same place.

        The ID depends on the bytes too: a stream made anew may number its records from the start.
        """
        packed = f".{record.sub_sequence}" if record.sub_sequence else ""
        key = f"{RECORD_KEY}{self._shard}/{record.sequence}{packed}/{index}"
        return Change(
            id=row_hash(key.encode() + b"/" + found.data),
            source="",
            entity="",
            verb=Verb.UNTRANSLATED,
            key=key,
            version="0" * VERSION_DIGITS,
            lane=-1,
            epoch=0,
            time="",
            data={"reason": found.reason, "message": found.message},
        )

    def _apply(self, batch: Sequence[Delivered]) -> None:
        action = partial(self._until_done, self._store_attempts, partial(self._reached, batch))
        outcomes = self._brake.hold(self._shard, batch, action, stop=self._stop)
        now = self._clock.now_ms()
        observe = self._metrics.freshness.observe
        for delivered, outcome in zip(batch, outcomes, strict=True):
            if outcome is Outcome.APPLIED and delivered.change.time:
                # It is durable: no time of somebody else's may make a failure of it.
                with suppress(ValueError, OverflowError):
                    observe(max(0, now - from_rfc3339(delivered.change.time)) / 1000)
        for name, number in count(outcome for outcome in outcomes if outcome is not None).items():
            self._counts[name] = self._counts.get(name, 0) + number
            self._metrics.outcomes.labels(self._shard, name).inc(number)
        self._metrics.batch_changes.observe(len(batch))

    def _reached(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        while True:
            if self._gates is not None:
                # Between two batches: the lease is kept, nothing is in hand, and a stop ends it at once.
                stand(self._gates, self._stop)
            with suppress(Outdated):
                if self._target is None:
                    return self._timed(batch)
                return self._target.reach(partial(self._timed, batch), self._decider.probe, stop=self._stop)

    def _timed(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        begun = self._clock.monotonic()
        outcomes = self._decider.apply(batch)
        self._metrics.batch_seconds.observe(self._clock.monotonic() - begun)
        return outcomes

    def _until_done(self, attempts: Attempts, action: Callable[[], T]) -> T:
        return attempts.until_done(action, stop=self._stop, chance=self._chance, backoff=self._settings.backoff)


class _Group(NamedTuple):
    """What is decided in one transaction: whole records, or a part of one."""

    changes: list[Delivered]
    last: Place | None
    """Where the last record lies of which everything is decided after this; None where none comes to its end."""
    records: int
    """How many come to their end."""
