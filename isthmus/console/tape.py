"""Everything that lies in the stream, read beside the pipeline: what was really published."""

from collections.abc import Iterator

from isthmus.consumer.feed import Feed, Fetched, IteratorExpired, Record
from isthmus.errors import Transient
from isthmus.lifecycle import Stop, ThreadStop

_PAGE = 1000
_AGAIN_SECONDS = 0.3
"""Five reads a second of a shard are all that Kinesis allows, and the pipeline wants them too."""
_ATTEMPTS = 100
"""Half a minute of throttling; then it is told."""


class Tape:
    """Reads all shards from the oldest record on, again and again, and keeps the records.

    Its methods raise `Transient` when the stream is away, and `Missing` when it is not there.
    """

    def __init__(self, feed: Feed, *, pause: Stop | None = None) -> None:
        self._feed = feed
        self._pause = pause or ThreadStop()
        self._iterators: dict[str, str | None] = {}
        self.records: list[bytes] = []
        self.last: dict[str, str] = {}
        """The last sequence number by shard."""

    def read(self) -> int:
        """Read what came since the last time and keep it; give how many records that were."""
        before = len(self.records)
        self.records.extend(record.data for _, record in self.rest())
        return len(self.records) - before

    def rest(self) -> Iterator[tuple[str, Record]]:
        """Give what came since the last time, shard by shard, and keep nothing of it."""
        for shard in self._feed.shards():
            yield from ((shard.id, record) for record in self.shard(shard.id))

    def shard(self, name: str, after: str | None = None) -> Iterator[Record]:
        """Give what came in one shard since the last time; the first time, after a sequence number if there is one."""
        if name not in self._iterators:
            self._iterators[name] = self._feed.iterator(name, after)
        while (iterator := self._iterators[name]) is not None:
            try:
                fetched = self._fetch(iterator)
            except IteratorExpired:
                self._iterators[name] = self._feed.iterator(name, self.last.get(name, after))
                continue
            self._iterators[name] = fetched.iterator
            for record in fetched.records:
                self.last[name] = record.sequence
                yield record
            if not fetched.records and not fetched.behind_ms:
                return

    def _fetch(self, iterator: str) -> Fetched:
        for _ in range(_ATTEMPTS):
            try:
                return self._feed.fetch(iterator, _PAGE)
            except Transient as error:
                if error.cause != "throttled":
                    raise
            self._pause.wait(_AGAIN_SECONDS)
        return self._feed.fetch(iterator, _PAGE)
