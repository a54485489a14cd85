"""Everything that lies in the stream, read beside the pipeline: what was really published."""

from collections.abc import Iterator

from isthmus.consumer.feed import Feed

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
        """Read what came since the last time; give how many records that were."""
        before = len(self.records)
        for shard in self._feed.shards():
            if shard.id not in self._iterators:
                self._iterators[shard.id] = self._feed.iterator(shard.id, None)
            for record_sequence, data in self._rest(shard.id):
                self.records.append(data)
                self.last[shard.id] = record_sequence
        return len(self.records) - before

    def _rest(self, shard: str) -> Iterator[tuple[str, bytes]]:
        iterator = self._iterators[shard]
        while iterator is not None:
            fetched = self._feed.fetch(iterator, _PAGE)
            iterator = self._iterators[shard] = fetched.iterator
            for record in fetched.records:
                yield record.sequence, record.data
            if not fetched.records and not fetched.behind_ms:
                return
