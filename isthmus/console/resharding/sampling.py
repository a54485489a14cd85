"""A sample of the stream: the records of its newest minute, counted by lane and key.

Reading it takes from what all polling readers of a shard share: five reads and 2 MiB a second. So a shard is read once
a second, about 1 MiB at a time, and not beyond a budget; the time that was covered by then is what the counts are
divided by.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from isthmus.change import Change, Verb, lane_partition_key
from isthmus.clock import Clock
from isthmus.codec import decode, encode
from isthmus.console.resharding.advising import KeyLoad, LaneLoad, Load
from isthmus.console.resharding.cover import lane_place
from isthmus.consumer.feed import Fetched, IteratorExpired, Record, Trimmed
from isthmus.errors import Transient
from isthmus.lifecycle import Stop, Stopped

PAGE_BYTES: Final = 1024 * 1024
"""Half of what a shard gives in a second: the other half is left to those who read it for a living."""
_FIRST_RECORDS: Final = 50
_MOST_RECORDS: Final = 10_000
"""Of one read (Kinesis API, GetRecords)."""
_EVERY: Final = 1.0
"""Seconds between two reads of a shard."""
_SHORTEST: Final = 1.0
"""Seconds: the limits are by the second, so less says nothing."""
_MOST_KEYS: Final = 2000
"""Keys of a lane that are counted at once; the lighter half is forgotten then. One that makes half of a lane stays."""
_TOLD_KEYS: Final = 3
_PATIENCE: Final = 30.0
"""Seconds of throttling or silence; then it is told."""


class Sampleable(Protocol):
    """What is read of a stream; see `Feed` for what is raised."""

    def iterator_at(self, shard: str, moment_ms: int) -> str:
        """Give an iterator at the first record that arrived at that moment (milliseconds since 1970) or later."""
        ...

    def fetch(self, iterator: str, limit: int) -> Fetched:
        """Read at most `limit` records."""
        ...


class Window(NamedTuple):
    """How much is read."""

    seconds: float
    """Of the stream's newest time."""
    most_bytes: int
    """Of each shard."""


@dataclass(slots=True)
class _Counted:
    """What had one partition key."""

    bytes: int = 0
    records: int = 0
    changes: int = 0
    keys: dict[str, list[int]] = field(default_factory=dict)
    """Changes and bytes by key."""

    def add(self, record: Record) -> None:
        self.bytes += len(record.data) + len(record.partition_key)
        self.records += 1
        for item in decode(record.data):
            self.changes += 1
            if isinstance(item, Change) and item.verb is not Verb.MARKER:
                found = self.keys.setdefault(item.key, [0, 0])
                found[0] += 1
                found[1] += len(encode(item))
        if len(self.keys) > _MOST_KEYS:
            self.keys = dict(self.heaviest(_MOST_KEYS // 2))

    def heaviest(self, most: int) -> list[tuple[str, list[int]]]:
        return sorted(self.keys.items(), key=lambda item: item[1][1], reverse=True)[:most]


@dataclass(slots=True)
class _Sample:
    """One shard's. It is done when there is no iterator."""

    iterator: str | None
    limit: int = _FIRST_RECORDS
    bytes: int = 0
    seconds: float = 0.0
    last_ms: int = 0
    counted: dict[str, _Counted] = field(default_factory=dict)

    def end(self, seconds: float) -> None:
        """Read no more of it; so much time was covered."""
        self.iterator, self.seconds = None, max(_SHORTEST, seconds)


class Sampled(NamedTuple):
    """What was found."""

    lanes: Sequence[LaneLoad]
    shards: int
    """So many were read."""
    records: int
    bytes: int
    cut: Sequence[str]
    """Shards of which the budget took only the older part of the time."""


class _Patience:
    """Bears what fails, for a while."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.begin()

    def begin(self) -> None:
        """Count from now on."""
        self._until = self._clock.monotonic() + _PATIENCE

    def bear(self, error: Transient) -> None:
        """Raise it when it has lasted too long."""
        if self._clock.monotonic() >= self._until:
            raise error


class Sampling:
    """Reads a sample, once."""

    def __init__(self, stream: Sampleable, window: Window, *, clock: Clock, stop: Stop) -> None:
        self._stream = stream
        self._window = window
        self._clock = clock
        self._stop = stop

    def run(self, shards: Sequence[str], lanes: int) -> Sampled:
        """Read the sample of these shards of a stream with so many lanes; those that are trimmed are left out.

        Raises as `Feed` does when it is away for half a minute, and `Stopped`.
        """
        end_ms = self._clock.now_ms()
        start_ms = end_ms - round(self._window.seconds * 1000)
        samples: dict[str, _Sample] = {}
        for name in shards:
            iterator = self._begin(name, start_ms)
            if iterator is not None:
                samples[name] = _Sample(iterator, last_ms=start_ms)
        patience = _Patience(self._clock)
        while going := [(name, sample) for name, sample in samples.items() if sample.iterator is not None]:
            began = self._clock.monotonic()
            for name, sample in going:
                try:
                    self._read(name, sample, start_ms, end_ms)
                    patience.begin()
                except Trimmed:
                    sample.end(self._window.seconds)
                except Transient as error:
                    patience.bear(error)
                    # Where the way is slow, a smaller page comes through.
                    sample.limit = max(1, sample.limit // 2)
            if any(sample.iterator is not None for _, sample in going):
                self._pause(began)
        return _found(samples, self._window, lanes)

    def _begin(self, shard: str, moment_ms: int) -> str | None:
        patience = _Patience(self._clock)
        while True:
            try:
                return self._stream.iterator_at(shard, moment_ms)
            except Trimmed:
                return None
            except Transient as error:
                patience.bear(error)
            self._pause(self._clock.monotonic())

    def _read(self, name: str, sample: _Sample, start_ms: int, end_ms: int) -> None:
        try:
            fetched = self._stream.fetch(sample.iterator or "", sample.limit)
        except IteratorExpired:
            # Read again from the last arrival on: at most a page twice, in a sample.
            sample.iterator = self._stream.iterator_at(name, sample.last_ms)
            return
        taken = [record for record in fetched.records if record.arrival_ms < end_ms]
        for record in taken:
            sample.counted.setdefault(record.partition_key, _Counted()).add(record)
            sample.bytes += len(record.data)
            sample.last_ms = max(sample.last_ms, record.arrival_ms)
        sample.iterator = fetched.iterator
        if fetched.records:
            mean = max(1, sum(len(record.data) for record in fetched.records) // len(fetched.records))
            sample.limit = max(1, min(_MOST_RECORDS, PAGE_BYTES // mean))
        if fetched.iterator is None or fetched.behind_ms == 0 or len(taken) < len(fetched.records):
            sample.end(self._window.seconds)
        elif sample.bytes >= self._window.most_bytes:
            sample.end((sample.last_ms - start_ms) / 1000)

    def _pause(self, began: float) -> None:
        if self._stop.wait(max(0.0, began + _EVERY - self._clock.monotonic())):
            raise Stopped


def _found(samples: Mapping[str, _Sample], window: Window, lanes: int) -> Sampled:
    by_name: dict[str, list[LaneLoad]] = {}
    places = {lane_partition_key(lane): lane_place(lane, lanes) for lane in range(lanes)}
    for sample in samples.values():
        for name, counted in sample.counted.items():
            lane = _lane(name, places.get(name, _hashed(name)), counted, sample.seconds)
            by_name.setdefault(name, []).append(lane._replace(own=name in places))
    return Sampled(
        lanes=sorted((_merged(parts) for parts in by_name.values()), key=lambda lane: lane.place),
        shards=len(samples),
        records=sum(counted.records for sample in samples.values() for counted in sample.counted.values()),
        bytes=sum(sample.bytes for sample in samples.values()),
        cut=[name for name, sample in samples.items() if sample.seconds < window.seconds],
    )


def _hashed(partition_key: str) -> int:
    """Give where Kinesis puts a partition key of somebody else's (Kinesis API, PutRecords: MD5)."""
    return int.from_bytes(hashlib.md5(partition_key.encode(), usedforsecurity=False).digest(), "big")


def _lane(name: str, place: int, counted: _Counted, seconds: float) -> LaneLoad:
    keys = [
        KeyLoad(key, Load(bytes=size / seconds, changes=changes / seconds))
        for key, (changes, size) in counted.heaviest(_TOLD_KEYS)
    ]
    load = Load(counted.bytes / seconds, counted.records / seconds, counted.changes / seconds)
    return LaneLoad(name, place, load, keys)


def _merged(parts: Sequence[LaneLoad]) -> LaneLoad:
    """Give one lane out of what a parent and its child held of it."""
    keys: dict[str, Load] = {}
    for part in parts:
        for key, load in part.keys:
            known = keys.get(key, Load())
            keys[key] = Load(*(one + other for one, other in zip(known, load, strict=True)))
    heaviest = sorted(keys.items(), key=lambda item: item[1].bytes, reverse=True)[:_TOLD_KEYS]
    loads = [part.load for part in parts]
    total = Load(*(sum(each) for each in zip(*loads, strict=True)))
    return parts[0]._replace(load=total, keys=[KeyLoad(key, load) for key, load in heaviest])
