"""Following a resync: how many rows are read again, and whether the consumers have decided what came of them.

Only looks. Whoever stops looking changes nothing: producer and consumer go on.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from isthmus.checkpoint.ports import Holder, Leases
from isthmus.clock import Clock
from isthmus.console.progress import HowFar
from isthmus.consumer.feed import Feed, IteratorExpired, Shard, Trimmed
from isthmus.errors import Missing, Transient
from isthmus.producer.sources.port import Source

_REST = 10
"""A count is followed by ten times its own duration without one: it takes a tenth of the back office's time at most."""
_SHORTEST_REST = 2.0
"""Seconds."""


class Extent(NamedTuple):
    """What there is to read again."""

    rows: int | None
    """None where they could not be counted in the time that a query may take."""
    bound: int | None
    """The highest cursor; None: the source is empty. What changes meanwhile goes beyond it, and is nothing of ours."""


def measure(source: Source) -> Extent:
    """Count a source's rows. Raises as `Source.read` does."""
    bound = source.read(None, 1).bound
    if bound is None:
        return Extent(0, None)
    try:
        return Extent(source.count(None, bound), bound)
    except Transient as error:
        if error.cause != "timeout":
            raise
        return Extent(None, bound)


class Rereading:
    """Follows a source up to the bound that it had. A look costs one read of the lease and now and then one count."""

    def __init__(self, leases: Leases, name: str, source: Source, extent: Extent, clock: Clock) -> None:
        self._leases = leases
        self._name = name
        self._source = source
        self._extent = extent
        self._clock = clock
        self._counted: str | None = None
        self._count_at = 0.0
        self._left = extent.rows
        self.owner: Holder | None = None
        """Who produces, as of the last look."""
        self.finished = extent.bound is None
        """All that there was is read again, and Kinesis has acknowledged it."""

    @property
    def done(self) -> int:
        """How many rows are read again, or are no more as they were: they come with their newer state, or are gone."""
        rows = self._extent.rows
        return 0 if rows is None or self._left is None else max(0, rows - self._left)

    def look(self) -> None:
        """Look once. Raises as `Leases.read` and `Source.count` do, and `Missing` when the lease is gone."""
        lease = self._leases.read(self._name)
        if lease is None:
            raise Missing(f"{self._name} is gone: its checkpoint table was made anew.", hint="Run `isthmus status`.")
        self.owner = lease.holder
        bound = self._extent.bound
        if not self.finished and lease.watermark is not None and bound is not None:
            self._count(lease.watermark, bound)

    def _count(self, watermark: str, bound: int) -> None:
        now = self._clock.monotonic()
        if self._source.position(watermark) > bound:
            self._left = 0
        elif watermark != self._counted and now >= self._count_at and not self._source.ready_in():
            try:
                # Counted, and not concluded from the position: the row at the bound may have gone meanwhile.
                self._left = self._source.count(watermark, bound)
                self._counted = watermark
            finally:
                self._count_at = now + max(_SHORTEST_REST, _REST * (self._clock.monotonic() - now))
        self.finished = self._left == 0


class Deciding:
    """Tells when all that had arrived in the stream up to a moment is decided. A look costs a small read of a shard.

    `until_ms` is the moment, of this machine's clock, in milliseconds since 1970. Kinesis' own clock says when a record
    arrived; no safety rests on their being alike.
    """

    def __init__(self, feed: Feed, checkpoints: HowFar, until_ms: int) -> None:
        self._feed = feed
        self._checkpoints = checkpoints
        self._until_ms = until_ms
        self._done: set[str] = set()
        self._places: dict[str, tuple[str | None, str]] = {}

    def look(self) -> bool:
        """Say whether it is so. Raises as `Feed` and `HowFar` do."""
        saved = self._checkpoints.read_all()
        shards = self._feed.shards()
        for shard in shards:
            found = saved.get(shard.id)
            if shard.id not in self._done and (
                (found is not None and found.ended) or self._passed(shard, None if found is None else found.sequence)
            ):
                self._done.add(shard.id)
        return all(shard.id in self._done for shard in shards)

    def _passed(self, shard: Shard, after: str | None) -> bool:
        """Say whether nothing that arrived in time lies after a checkpoint."""
        known = self._places.pop(shard.id, None)
        try:
            iterator = known[1] if known is not None and known[0] == after else self._feed.iterator(shard.id, after)
            fetched = self._feed.fetch(iterator, 1)
        except IteratorExpired:
            return False
        except Trimmed:
            return True
        if fetched.records:
            return fetched.records[0].arrival_ms > self._until_ms
        if fetched.iterator is None or fetched.behind_ms == 0:
            return True
        # An empty answer that is not at the end: reading goes on from there, not from the checkpoint again.
        self._places[shard.id] = (after, fetched.iterator)
        return False


def outcomes(checkpoints: HowFar) -> Counter[str]:
    """Give how many changes of the application came to which outcome since the beginning: at least so many."""
    found: Counter[str] = Counter()
    for checkpoint in checkpoints.read_all().values():
        found.update(checkpoint.counts)
    return found


def since(now: Counter[str], before: Mapping[str, int]) -> dict[str, int]:
    """Give what came to which outcome between two looks, the names in their order, without those that did not."""
    return {name: number for name, count in sorted(now.items()) if (number := count - before.get(name, 0)) > 0}
