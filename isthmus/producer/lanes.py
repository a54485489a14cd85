"""The order-keeping core of the publisher. Pure: no I/O, and the time is passed in.

Events wait in one queue per lane. A lane has at most one *bundle* that Kinesis has not acknowledged; the next one is
cut from the queue only after that. A *request* carries one bundle of each of many lanes. Whatever part of a request
fails, in whatever pattern, and however late a request thought lost arrives after all, nothing can get between a
bundle and the one before it in its lane.

A lane is in one of four states:

    empty ──offer──> waiting ──next_request──> sent ──acknowledged──> empty, or waiting where more was offered
                                                │ ^
                              refused, unknown  v │ next_request, once the back-off has passed: the same bytes
                                              backing off
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from isthmus.chance import Chance
from isthmus.change import lane_partition_key
from isthmus.codec import bundle
from isthmus.errors import Fatal
from isthmus.producer.pacing import NEVER, Bucket
from isthmus.producer.sink import Entry, Put
from isthmus.retry import Backoff

MAX_ENTRIES = 500
"""Records in one PutRecords (Kinesis quotas, "API limits")."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, rates by the second.

    Raises ValueError where they contradict each other.
    """

    max_entries: int = MAX_ENTRIES
    """Bundles in a request."""
    max_request_bytes: int = 4 * 1024 * 1024
    """Data and partition keys of a request. PutRecords takes 10 MiB; a smaller request loses less to a retry."""
    max_bundle_bytes: int = 100_000
    """Where a bundle is full. A tenth of a second of a shard's write limit, so that one bundle never blocks it long."""
    max_bundle_events: int = 500
    max_record_bytes: int = 1024 * 1024
    """The largest record that the stream takes, its partition key counted (Kinesis quotas)."""
    shard_bytes_per_second: float | None = 1_000_000.0
    """A shard's write limit (Kinesis quotas); None: not paced."""
    shard_records_per_second: float | None = 1_000.0
    """Same, records."""
    burst_seconds: float = 1.0
    """How much of the write limits may go at once after a rest."""

    @property
    def max_event_bytes(self) -> int:
        """The largest event that fits into a record: beside it stand the partition key and the brackets of a bundle."""
        return self.max_record_bytes - len(lane_partition_key(0)) - 2

    def __post_init__(self) -> None:
        """Check the relations between the limits."""
        if not 1 <= self.max_entries <= MAX_ENTRIES:
            raise ValueError(f"max_entries is {self.max_entries}: 1 to {MAX_ENTRIES} are allowed")
        if self.max_bundle_events < 1:
            raise ValueError(f"max_bundle_events is {self.max_bundle_events}: 1 or more is allowed")
        if not 1 <= self.max_bundle_bytes <= self.max_record_bytes <= self.max_request_bytes:
            raise ValueError(
                f"max_bundle_bytes {self.max_bundle_bytes}, max_record_bytes {self.max_record_bytes} and "
                f"max_request_bytes {self.max_request_bytes} must not fall in this order"
            )


class Request(NamedTuple):
    """One PutRecords: a bundle of each of some lanes. `number` is for `Lanes` alone."""

    number: int
    entries: tuple[Entry, ...]
    events: tuple[int, ...]
    """How many events each entry holds."""


class _Bundle(NamedTuple):
    data: bytes
    tickets: list[int]
    events_bytes: int


class _Lane:
    __slots__ = ("attempts", "bundle", "key_bytes", "lane", "queue", "retry_at", "shard")

    def __init__(self, lane: int) -> None:
        self.lane = lane
        self.queue: deque[tuple[bytes, int]] = deque()
        self.bundle: _Bundle | None = None
        self.attempts = 0
        self.retry_at = NEVER
        self.shard = ""
        self.key_bytes = len(lane_partition_key(lane))

    def cut(self, limits: Limits, most: int) -> _Bundle | None:
        """Take events off the queue for a bundle of at most `most` bytes, or None when not even one event fits.

        A first event that is larger than `max_bundle_bytes` goes alone.
        """
        queue = self.queue
        size = len(queue[0][0]) + 2
        if size > most:
            return None
        full = min(most, limits.max_bundle_bytes)
        event, ticket = queue.popleft()
        events, tickets = [event], [ticket]
        room = min(len(queue), limits.max_bundle_events - 1)
        for _ in range(room):
            size += len(queue[0][0]) + 1
            if size > full:
                break
            event, ticket = queue.popleft()
            events.append(event)
            tickets.append(ticket)
        data = bundle(events)
        return _Bundle(data, tickets, len(data) - len(events) - 1)


class _Pace:
    """What one shard may still take."""

    __slots__ = ("buckets",)

    def __init__(self, limits: Limits) -> None:
        seconds = limits.burst_seconds
        self.buckets = [
            (Bucket(rate, rate * seconds), counts_bytes)
            for rate, counts_bytes in (
                (limits.shard_bytes_per_second, True),
                (limits.shard_records_per_second, False),
            )
            if rate is not None
        ]

    def opens_at(self) -> float:
        return max((bucket.opens_at() for bucket, _ in self.buckets), default=NEVER)

    def spend(self, size: int, now: float) -> None:
        for bucket, counts_bytes in self.buckets:
            bucket.spend(size if counts_bytes else 1, now)


class Lanes:
    """The queues of all lanes of a stream, and what of them is on its way.

    For one thread. `now` is in seconds of a monotonic clock and never falls from one call to the next.
    """

    def __init__(self, lanes: int, limits: Limits, backoff: Backoff, chance: Chance) -> None:
        self._limits = limits
        self._max_event_bytes = limits.max_event_bytes
        self._backoff = backoff
        self._chance = chance
        self._lanes = [_Lane(lane) for lane in range(lanes)]
        # Lanes that wait or back off, each once, the one that waits longest first; none of them is on its way.
        self._line: deque[_Lane] = deque()
        self._sent: dict[int, list[_Lane]] = {}
        self._requests = 0
        self._paces: dict[str, _Pace] = {}
        self._unacknowledged_bytes = 0
        self._queued_events = 0

    @property
    def unacknowledged_bytes(self) -> int:
        """The bytes of all events that were offered and are not acknowledged."""
        return self._unacknowledged_bytes

    @property
    def queued_events(self) -> int:
        """How many events are in no bundle yet."""
        return self._queued_events

    @property
    def waiting_lanes(self) -> int:
        """How many lanes have something to send and are not on their way."""
        return len(self._line)

    @property
    def retrying(self) -> bool:
        """Whether a bundle that failed waits to be sent again."""
        return any(lane.bundle is not None for lane in self._line)

    @property
    def idle(self) -> bool:
        """Whether everything that was offered is acknowledged."""
        return not self._line and not self._sent

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        return len(self._lanes)

    def offer(self, lane: int, event: bytes, ticket: int) -> None:
        """Put an event (an encoded CloudEvent) at the end of its lane. Its ticket comes back when it is acknowledged.

        Raises ValueError for an event that fits into no record: large payloads go through the claim check before.
        """
        size = len(event)
        place = self._lanes[lane]
        if size > self._max_event_bytes:
            raise ValueError(f"an event of {size} bytes fits into no record of {self._limits.max_record_bytes} bytes")
        if not place.queue and place.bundle is None:
            self._line.append(place)
        place.queue.append((event, ticket))
        self._unacknowledged_bytes += size
        self._queued_events += 1

    def next_request(self, now: float, most_entries: int = MAX_ENTRIES) -> Request | None:
        """Give what may be sent now, in at most so many entries, or None.

        Every request must be given back through `answered` or `unanswered`, exactly once.
        """
        limits = self._limits
        most = min(most_entries, limits.max_entries)
        room = limits.max_request_bytes
        chosen: list[_Lane] = []
        entries: list[Entry] = []
        events: list[int] = []
        passed_over: list[_Lane] = []
        while self._line and len(chosen) < most:
            lane = self._line.popleft()
            found = self._bundle_for(lane, room, now)
            if found is None:
                passed_over.append(lane)
                continue
            size = len(found.data) + lane.key_bytes
            room -= size
            self._pace(lane).spend(size, now)
            chosen.append(lane)
            entries.append(Entry(lane.lane, found.data))
            events.append(len(found.tickets))
        # Passed over is not served: these keep their place, so that a large bundle finds an empty request in the end.
        self._line.extendleft(reversed(passed_over))
        if not chosen:
            return None
        self._requests += 1
        self._sent[self._requests] = chosen
        return Request(self._requests, tuple(entries), tuple(events))

    def answered(self, request: Request, puts: Sequence[Put], now: float) -> list[int]:
        """Note what became of each entry, and give the tickets of the events that are acknowledged.

        A refused entry keeps its lane: the same bytes go again after the lane's back-off. Raises Fatal when there is
        not one answer for each entry, KeyError for a request that was given back before.
        """
        if len(puts) != len(request.entries):
            raise Fatal(f"The stream gave {len(puts)} answers for {len(request.entries)} records.")
        tickets: list[int] = []
        for lane, put in zip(self._sent.pop(request.number), puts, strict=True):
            if put.error:
                lane.attempts += 1
                lane.retry_at = now + self._backoff.delay(lane.attempts, self._chance)
                self._line.append(lane)
            else:
                tickets += self._acknowledge(lane, put, now)
        return tickets

    def unanswered(self, request: Request, now: float) -> None:
        """Note that nothing is known of the request: all its bundles go again, with the same bytes.

        They back off together, as one request: lanes that came back one by one would each ask a service that is away.
        Raises KeyError for a request that was given back before.
        """
        lanes = self._sent.pop(request.number)
        for lane in lanes:
            lane.attempts += 1
        retry_at = now + self._backoff.delay(max(lane.attempts for lane in lanes), self._chance)
        for lane in lanes:
            lane.retry_at = retry_at
            self._line.append(lane)

    def ready_at(self) -> float | None:
        """Give the moment from which on a request can be made (it may lie in the past); None: nothing waits."""
        return min((self._opens_at(lane) for lane in self._line), default=None)

    def _bundle_for(self, lane: _Lane, room: int, now: float) -> _Bundle | None:
        if self._opens_at(lane) > now:
            return None
        most = min(room, self._limits.max_record_bytes) - lane.key_bytes
        if lane.bundle is None:
            # Cut once and kept until it is acknowledged. A bundle cut anew from the same queue could leave out, or
            # take in, what the first sending, if it was accepted after all, has put elsewhere.
            lane.bundle = lane.cut(self._limits, most)
            if lane.bundle is not None:
                self._queued_events -= len(lane.bundle.tickets)
        elif len(lane.bundle.data) > most:
            return None
        return lane.bundle

    def _acknowledge(self, lane: _Lane, put: Put, now: float) -> list[int]:
        done = lane.bundle
        if done is None:
            raise Fatal(f"Lane {lane.lane} was acknowledged and had sent nothing.")
        lane.bundle = None
        lane.attempts = 0
        self._unacknowledged_bytes -= done.events_bytes
        if put.shard != lane.shard:
            self._move(lane, put.shard, len(done.data) + lane.key_bytes, now)
        if lane.queue:
            self._line.append(lane)
        return done.tickets

    def _opens_at(self, lane: _Lane) -> float:
        return max(lane.retry_at, self._pace(lane).opens_at())

    def _pace(self, lane: _Lane) -> _Pace:
        # Until an answer has told the shard, a lane is paced as if it had one for itself.
        name = lane.shard or f"lane {lane.lane}"
        pace = self._paces.get(name)
        if pace is None:
            pace = self._paces[name] = _Pace(self._limits)
        return pace

    def _move(self, lane: _Lane, shard: str, size: int, now: float) -> None:
        """Pace a lane by the shard that took its bundle, which has used up that much of it already."""
        left = lane.shard
        lane.shard = shard
        self._pace(lane).spend(size, now)
        if not left:
            self._paces.pop(f"lane {lane.lane}", None)
        elif all(other.shard != left for other in self._lanes):
            del self._paces[left]
