"""Everything that lies in the stream, read beside the pipeline: what was really published."""

from collections.abc import Iterator

from isthmus.consumer.feed import Feed, Record

_PAGE = 1000


class Tape:
    """Reads all shards from the oldest record on, again and again, and keeps the records."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed
        self._iterators: dict[str, str | None] = {}
        self.records: list[bytes] = []
        self.last: dict[str, str] = {}
        """The last sequence number by shard."""

    def read(self) -> int:
        """Read what came since the last time and keep it; give how many records that were."""
        before = len(self.records)
        for shard, record in self.rest():
            self.records.append(record.data)
            self.last[shard] = record.sequence
        return len(self.records) - before

    def rest(self) -> Iterator[tuple[str, Record]]:
        """Give what came since the last time, shard by shard, and keep nothing of it."""
        for shard in self._feed.shards():
            if shard.id not in self._iterators:
                self._iterators[shard.id] = self._feed.iterator(shard.id, None)
            yield from ((shard.id, record) for record in self._shard(shard.id))

    def _shard(self, shard: str) -> Iterator[Record]:
        iterator = self._iterators[shard]
        while iterator is not None:
            fetched = self._feed.fetch(iterator, _PAGE)
            iterator = self._iterators[shard] = fetched.iterator
            yield from fetched.records
            if not fetched.records and not fetched.behind_ms:
                return
