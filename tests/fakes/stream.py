"""A stream in memory: both ports of the stream, with reshards, retention, expiring iterators and scripted faults.

It passes the stream contract. It is deterministic: time comes from the clock that is passed in, and nothing is random.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from isthmus.change import lane_hash_key, lane_partition_key
from isthmus.clock import Clock
from isthmus.consumer.feed import Fetched, IteratorExpired, Record, Shard, Trimmed
from isthmus.errors import Fatal, TargetDown, Transient
from isthmus.producer.sink import Entry, Put

HASH_SPACE: Final = 1 << 128
MOST_ENTRIES: Final = 500
ITERATOR_SECONDS: Final = 300.0
"""Kinesis API, GetShardIterator: an iterator lives five minutes."""
_SEQUENCE_BASE: Final = 49 * 10**54
"""56 digits, as Kinesis gives them."""

_Failure = Callable[[], Exception]


class PutFault(NamedTuple):
    """What goes wrong with one put."""

    refuse: Collection[int] = ()
    """Entries, by index, that are refused with `error`; the others go in."""
    error: str = "ProvisionedThroughputExceededException"
    answer_lost: bool = False
    """What is not refused goes in, but the caller is told that nothing is known."""
    late_seconds: float | None = None
    """As with a lost answer, but the entries go in only so much later: others that were put meanwhile overtake them."""


@dataclass(slots=True)
class _Held:
    """A shard and what it holds. `first` is the number of records that retention took."""

    id: str
    parents: tuple[str, ...]
    low: int
    high: int
    records: list[Record] = field(default_factory=list)
    first: int = 0
    closed_ms: int | None = None


class MemoryStream:
    """Implements `Sink` and `Feed`."""

    def __init__(
        self,
        clock: Clock,
        *,
        shards: int = 1,
        lanes: int = 16,
        retention_seconds: float = 86_400.0,
        end_with_last_page: bool = True,
    ) -> None:
        """`end_with_last_page` False: a closed shard tells its end by an empty page of its own, as Kinesis may."""
        self._clock = clock
        self._lanes = lanes
        self._retention_ms = round(retention_seconds * 1000)
        self._end_with_last_page = end_with_last_page
        self._shards: dict[str, _Held] = {}
        self._made = 0
        self._put_count = 0
        self._homes: dict[int, _Held] = {}
        self._iterator_generation = 0
        self._put_faults: deque[PutFault] = deque()
        self._late: list[tuple[float, list[Entry]]] = []
        self._failures: dict[str, deque[_Failure]] = {"shards": deque(), "iterator": deque(), "fetch": deque()}
        self._empty_pages = 0
        for number in range(shards):
            self._add((), number * HASH_SPACE // shards, (number + 1) * HASH_SPACE // shards - 1)

    # the port of the producer

    def put(self, entries: Sequence[Entry]) -> list[Put]:
        if len(entries) > MOST_ENTRIES:
            raise Fatal(f"PutRecords takes {MOST_ENTRIES} entries, not {len(entries)}.")
        self._deliver_due()
        if not self._put_faults:
            return [self._append(entry) for entry in entries]
        fault = self._put_faults.popleft()
        if fault.late_seconds is not None:
            accepted = [entry for index, entry in enumerate(entries) if index not in fault.refuse]
            self._late.append((self._clock.monotonic() + fault.late_seconds, accepted))
            raise TargetDown("The connection was lost.", cause="connection-lost")
        answers = [
            Put(error=fault.error) if index in fault.refuse else self._append(entry)
            for index, entry in enumerate(entries)
        ]
        if fault.answer_lost:
            raise TargetDown("The connection was lost.", cause="connection-lost")
        return answers

    # the port of the consumer

    def shards(self) -> list[Shard]:
        self._fail_if_scripted("shards")
        self._trim()
        return [Shard(held.id, held.parents, held.closed_ms is not None) for held in self._shards.values()]

    def iterator(self, shard: str, after: str | None) -> str:
        self._fail_if_scripted("iterator")
        self._deliver_due()
        self._trim()
        held = self._shards.get(shard)
        if held is None:
            raise Trimmed(f"The stream no longer has {shard}.")
        index = 0 if after is None else bisect_right(held.records, int(after), key=lambda record: int(record.sequence))
        return self._token(shard, held.first + index)

    def fetch(self, iterator: str, limit: int) -> Fetched:
        self._fail_if_scripted("fetch")
        shard, place, generation, made = iterator.split("|")
        if int(generation) != self._iterator_generation or self._clock.monotonic() - float(made) > ITERATOR_SECONDS:
            raise IteratorExpired("The iterator expired.")
        self._deliver_due()
        self._trim()
        held = self._shards.get(shard)
        if held is None:
            raise Trimmed(f"The stream no longer has {shard}.")
        # A place that retention has passed is no error: reading goes on at the oldest record.
        start = max(0, int(place) - held.first)
        if self._empty_pages:
            self._empty_pages -= 1
            return Fetched([], self._token(shard, held.first + start), 1000)
        records = held.records[start : start + limit]
        end = start + len(records)
        if end < len(held.records):
            behind = max(1, self._clock.now_ms() - held.records[end].arrival_ms)
            return Fetched(records, self._token(shard, held.first + end), behind)
        over = held.closed_ms is not None and (self._end_with_last_page or not records)
        return Fetched(records, None if over else self._token(shard, held.first + end), 0)

    # reshards

    def split(self, shard: str, at: int | None = None) -> tuple[str, str]:
        """Close a shard and give its two children. `at` is where the second begins, by default the middle."""
        held = self._close(shard)
        middle = (held.low + held.high + 1) // 2 if at is None else at
        assert held.low < middle <= held.high
        return self._add((shard,), held.low, middle - 1), self._add((shard,), middle, held.high)

    def merge(self, shard: str, other: str) -> str:
        """Close two neighbours and give their child."""
        low, high = sorted((self._shards[shard], self._shards[other]), key=lambda held: held.low)
        assert low.high + 1 == high.low, "only neighbours can be merged"
        self._close(shard)
        self._close(other)
        return self._add((shard, other), low.low, high.high)

    def open_shards(self) -> list[str]:
        """Give the open shards in the order of their hash ranges: neighbours can be merged."""
        opened = [held for held in self._shards.values() if held.closed_ms is None]
        return [held.id for held in sorted(opened, key=lambda held: held.low)]

    # faults

    def fail_put(self, *faults: PutFault) -> None:
        """Let the next puts go wrong, one fault each."""
        self._put_faults.extend(faults)

    def deliver_late(self) -> None:
        """Put in now what a faulty put still holds back."""
        late, self._late = self._late, []
        for _, entries in late:
            for entry in entries:
                self._append(entry)

    def fail(self, operation: str, failure: _Failure, times: int = 1) -> None:
        """Let the next calls of `shards`, `iterator` or `fetch` raise."""
        self._failures[operation].extend([failure] * times)

    def mend(self) -> None:
        """Let what was to fail work again."""
        for failures in self._failures.values():
            failures.clear()

    def throttle(self, times: int = 1) -> None:
        """Let the next fetches be throttled."""
        self.fail("fetch", lambda: Transient("Slow down.", cause="throttled"), times)

    def expire_iterators(self) -> None:
        """Let every iterator given so far be expired."""
        self._iterator_generation += 1

    def answer_empty(self, pages: int) -> None:
        """Let the next fetches give nothing, though there may be records."""
        self._empty_pages += pages

    # for checks

    def records(self, shard: str) -> list[Record]:
        """Give what a shard holds."""
        return list(self._shards[shard].records)

    def _add(self, parents: tuple[str, ...], low: int, high: int) -> str:
        name = f"shardId-{self._made:012d}"
        self._made += 1
        self._shards[name] = _Held(name, parents, low, high)
        self._homes.clear()
        return name

    def _close(self, shard: str) -> _Held:
        held = self._shards[shard]
        assert held.closed_ms is None, f"{shard} is closed already"
        held.closed_ms = self._clock.now_ms()
        self._homes.clear()
        return held

    def _append(self, entry: Entry) -> Put:
        held = self._homes.get(entry.lane) or self._home(entry.lane)
        self._put_count += 1
        sequence = str(_SEQUENCE_BASE + self._put_count)
        held.records.append(Record(sequence, entry.data, lane_partition_key(entry.lane), self._clock.now_ms()))
        return Put(held.id, sequence)

    def _home(self, lane: int) -> _Held:
        place = int(lane_hash_key(lane, self._lanes))
        for held in self._shards.values():
            if held.closed_ms is None and held.low <= place <= held.high:
                self._homes[lane] = held
                return held
        raise AssertionError("the open shards cover the whole hash space")

    def _deliver_due(self) -> None:
        now = self._clock.monotonic()
        if self._late and any(due <= now for due, _ in self._late):
            due_now = [entries for due, entries in self._late if due <= now]
            self._late = [(due, entries) for due, entries in self._late if due > now]
            for entries in due_now:
                for entry in entries:
                    self._append(entry)

    def _trim(self) -> None:
        oldest = self._clock.now_ms() - self._retention_ms
        for held in list(self._shards.values()):
            records = held.records
            if records and records[0].arrival_ms < oldest:
                gone = next((i for i, record in enumerate(records) if record.arrival_ms >= oldest), len(records))
                del records[:gone]
                held.first += gone
            if held.closed_ms is not None and held.closed_ms < oldest:
                del self._shards[held.id]

    def _token(self, shard: str, place: int) -> str:
        return f"{shard}|{place}|{self._iterator_generation}|{self._clock.monotonic()}"

    def _fail_if_scripted(self, operation: str) -> None:
        failures = self._failures[operation]
        if failures:
            error = failures.popleft()()
            raise error
