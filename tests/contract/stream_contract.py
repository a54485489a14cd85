"""What every stream does for Isthmus, whichever adapter is asked. Put and read through the two ports only."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from isthmus.change import lane_partition_key
from isthmus.consumer.feed import Feed, Record
from isthmus.errors import Fatal
from isthmus.producer.sink import Entry, Put, Sink

LANES = 8
SHARDS = 4
_MOST_FETCHES = 60


@dataclass(frozen=True)
class Stream:
    """A new, empty stream of 4 shards and 8 lanes, seen through both ports."""

    sink: Sink
    feed: Feed


def entries(lane: int, count: int) -> list[Entry]:
    return [Entry(lane, f"{lane}:{number}".encode()) for number in range(count)]


def read(feed: Feed, shard: str, count: int, *, after: str | None = None, limit: int = 1000) -> list[Record]:
    """Read until so many records came. An empty page says nothing, so the number of fetches is what ends it."""
    found: list[Record] = []
    iterator: str | None = feed.iterator(shard, after)
    for _ in range(_MOST_FETCHES):
        if iterator is None or len(found) >= count:
            break
        fetched = feed.fetch(iterator, limit)
        found += fetched.records
        iterator = fetched.iterator
    return found


def shard_of(answers: Sequence[Put]) -> str:
    shards = {answer.shard for answer in answers}
    assert len(shards) == 1
    return shards.pop()


class StreamContract:
    """Subclasses give the fixture `stream`."""

    def test_a_new_stream_lists_open_shards_without_parents(self, stream: Stream) -> None:
        shards = stream.feed.shards()

        assert len({shard.id for shard in shards}) == SHARDS
        assert all(not shard.closed and shard.parents == () for shard in shards)

    def test_a_put_answers_each_entry_in_its_place(self, stream: Stream) -> None:
        answers = stream.sink.put([Entry(lane, b"%d" % lane) for lane in (5, 0, 3, 5)])

        assert [answer.error for answer in answers] == [""] * 4
        for answer, data in zip(answers, [b"5", b"0", b"3", b"5"], strict=True):
            count = sum(other.shard == answer.shard for other in answers)
            place = {record.sequence: record.data for record in read(stream.feed, answer.shard, count)}
            assert place[answer.sequence] == data

    def test_lanes_spread_evenly_over_the_shards(self, stream: Stream) -> None:
        answers = stream.sink.put([Entry(lane, b"x") for lane in range(LANES)])

        shards = [answer.shard for answer in answers]
        assert {shards.count(shard.id) for shard in stream.feed.shards()} == {LANES // SHARDS}

    def test_a_lane_stays_in_its_shard(self, stream: Stream) -> None:
        first = stream.sink.put(entries(3, 2))
        second = stream.sink.put(entries(3, 2))

        assert shard_of(first) == shard_of(second)

    def test_a_record_comes_back_as_it_was_put(self, stream: Stream) -> None:
        data = bytes(range(256))
        (answer,) = stream.sink.put([Entry(6, data)])

        (record,) = read(stream.feed, answer.shard, 1)

        assert (record.data, record.partition_key, record.sequence) == (data, lane_partition_key(6), answer.sequence)
        assert record.arrival_ms > 1_000_000_000_000

    def test_puts_of_a_lane_one_after_another_are_read_in_that_order(self, stream: Stream) -> None:
        answers = [stream.sink.put([entry])[0] for entry in entries(2, 12)]

        records = read(stream.feed, shard_of(answers), 12, limit=5)

        assert [record.data for record in records] == [entry.data for entry in entries(2, 12)]

    def test_sequence_numbers_of_a_shard_grow_as_integers(self, stream: Stream) -> None:
        answers = stream.sink.put(entries(1, 20))

        numbers = [int(record.sequence) for record in read(stream.feed, shard_of(answers), 20)]

        assert numbers == sorted(set(numbers))

    def test_reading_goes_on_right_after_a_sequence_number(self, stream: Stream) -> None:
        answers = stream.sink.put(entries(1, 10))
        shard = shard_of(answers)
        everything = read(stream.feed, shard, 10)

        for index in (0, 4, 8):
            rest = read(stream.feed, shard, 9 - index, after=everything[index].sequence)
            assert rest == everything[index + 1 :]

    def test_after_the_last_sequence_number_lies_what_is_put_later(self, stream: Stream) -> None:
        shard, last = stream.sink.put(entries(1, 3))[-1][:2]
        iterator = stream.feed.iterator(shard, last)
        stream.sink.put([Entry(1, b"later")])

        assert [record.data for record in stream.feed.fetch(iterator, 10).records] == [b"later"]

    def test_an_open_shard_never_ends_its_iterator(self, stream: Stream) -> None:
        shard = stream.feed.shards()[0].id
        fetched = stream.feed.fetch(stream.feed.iterator(shard, None), 10)

        assert (fetched.records, fetched.behind_ms) == ([], 0)
        assert fetched.iterator is not None

    def test_a_fetch_gives_at_most_the_limit_and_loses_nothing(self, stream: Stream) -> None:
        shard = shard_of(stream.sink.put(entries(0, 7)))
        first = stream.feed.fetch(stream.feed.iterator(shard, None), 3)

        assert len(first.records) == 3
        assert first.iterator is not None
        assert len(stream.feed.fetch(first.iterator, 10).records) == 4

    def test_an_iterator_can_be_used_again_after_a_lost_answer(self, stream: Stream) -> None:
        shard = shard_of(stream.sink.put(entries(0, 4)))
        iterator = stream.feed.iterator(shard, None)

        assert stream.feed.fetch(iterator, 3).records == stream.feed.fetch(iterator, 3).records

    def test_two_readers_of_a_shard_do_not_disturb_each_other(self, stream: Stream) -> None:
        shard = shard_of(stream.sink.put(entries(0, 4)))
        one, other = stream.feed.iterator(shard, None), stream.feed.iterator(shard, None)

        assert stream.feed.fetch(one, 2).records == stream.feed.fetch(other, 2).records

    def test_500_entries_go_in_at_once_and_501_are_refused(self, stream: Stream) -> None:
        assert all(not answer.error for answer in stream.sink.put(entries(0, 500)))
        with pytest.raises(Fatal):
            stream.sink.put(entries(0, 501))
