"""What every horizon does. An adapter's test module derives from this class and provides the fixture `seen`."""

from typing import NamedTuple

from isthmus.consumer.feed import Feed
from isthmus.consumer.runtimes.retention import Horizon
from isthmus.producer.sink import Entry, Sink


class Seen(NamedTuple):
    """A stream of one shard, and a horizon over it."""

    sink: Sink
    feed: Feed
    horizon: Horizon

    def put(self, *texts: str) -> None:
        for text in texts:
            assert not self.sink.put([Entry(0, text.encode())])[0].error

    @property
    def shard(self) -> str:
        (shard,) = self.feed.shards()
        return shard.id

    def sequences(self) -> list[str]:
        return [record.sequence for record in self.feed.fetch(self.feed.iterator(self.shard, None), 100).records]


class HorizonContract:
    def test_a_record_that_is_there_still_is_found_by_its_number_in_its_own_words(self, seen: Seen) -> None:
        seen.put("a", "b", "c")
        for text, sequence in zip("abc", seen.sequences(), strict=True):
            found = seen.horizon.oldest(seen.shard, sequence)
            assert found is not None
            assert (found.sequence, found.data.decode()) == (sequence, text)
            assert found.arrival_ms > 0

    def test_without_a_number_the_oldest_is_given(self, seen: Seen) -> None:
        assert seen.horizon.oldest(seen.shard, None) is None
        seen.put("a", "b")
        found = seen.horizon.oldest(seen.shard, None)
        assert found is not None
        assert found.data == b"a"

    def test_of_a_shard_that_is_gone_there_is_no_record(self, seen: Seen) -> None:
        seen.put("a")
        assert seen.horizon.oldest("shardId-000000009999", None) is None
        assert seen.horizon.oldest("shardId-000000009999", seen.sequences()[0]) is None
