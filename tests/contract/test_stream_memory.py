"""The stream in memory passes the contract, and does what no emulator does: reshard, trim, expire and fail on order."""

import pytest

from isthmus.consumer.feed import IteratorExpired, Shard, Trimmed
from isthmus.errors import TargetDown, Transient
from isthmus.producer.sink import Entry
from tests.contract.stream_contract import LANES, SHARDS, Stream, StreamContract, entries, read, shard_of
from tests.fakes.clock import FakeClock
from tests.fakes.stream import MemoryStream, PutFault


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def memory(clock: FakeClock) -> MemoryStream:
    return MemoryStream(clock, shards=SHARDS, lanes=LANES)


@pytest.fixture
def one(clock: FakeClock) -> MemoryStream:
    return MemoryStream(clock, shards=1, lanes=LANES, retention_seconds=3600)


class TestMemoryStream(StreamContract):
    @pytest.fixture
    def stream(self, memory: MemoryStream) -> Stream:
        return Stream(memory, memory)


def test_sequence_numbers_have_56_digits_and_grow_over_the_whole_stream(memory: MemoryStream) -> None:
    answers = memory.put([Entry(lane, b"") for lane in range(LANES)])

    assert {len(answer.sequence) for answer in answers} == {56}
    assert [answer.sequence for answer in answers] == sorted(answer.sequence for answer in answers)


def test_a_split_closes_the_parent_and_divides_its_lanes_between_two_children(one: MemoryStream) -> None:
    parent = shard_of(one.put(entries(0, 2)))
    left, right = one.split(parent)

    assert [(shard.id, shard.parents, shard.closed) for shard in one.shards()] == [
        (parent, (), True),
        (left, (parent,), False),
        (right, (parent,), False),
    ]
    homes = [answer.shard for answer in one.put([Entry(lane, b"") for lane in range(LANES)])]
    assert homes == [left] * 4 + [right] * 4


def test_a_merge_closes_two_neighbours_and_names_both_as_parents(memory: MemoryStream) -> None:
    first, second, *_ = memory.open_shards()
    child = memory.merge(first, second)

    assert memory.shards()[-1] == Shard(child, (first, second), closed=False)
    assert shard_of(memory.put([Entry(0, b""), Entry(2, b"")])) == child


def test_only_neighbours_can_be_merged(memory: MemoryStream) -> None:
    first, _, third, _ = memory.open_shards()
    with pytest.raises(AssertionError):
        memory.merge(first, third)


def test_a_closed_shard_read_to_its_end_gives_no_iterator(one: MemoryStream) -> None:
    parent = shard_of(one.put(entries(0, 5)))
    one.split(parent)
    page = one.fetch(one.iterator(parent, None), 3)
    assert page.iterator is not None

    page = one.fetch(page.iterator, 3)

    assert (len(page.records), page.iterator) == (2, None)


def test_the_end_of_a_closed_shard_may_come_with_an_empty_page_of_its_own(clock: FakeClock) -> None:
    stream = MemoryStream(clock, end_with_last_page=False)
    (parent,) = stream.open_shards()
    stream.put(entries(0, 1))
    stream.split(parent)
    page = stream.fetch(stream.iterator(parent, None), 10)
    assert page.iterator is not None

    page = stream.fetch(page.iterator, 10)

    assert (page.records, page.iterator) == ([], None)


def test_an_iterator_after_the_last_record_of_a_closed_shard_leads_to_its_end(one: MemoryStream) -> None:
    shard, last = one.put(entries(0, 5))[-1][:2]
    one.split(shard)

    assert one.fetch(one.iterator(shard, last), 10).iterator is None


def test_past_retention_reading_goes_on_at_the_oldest_record_without_an_error(
    one: MemoryStream, clock: FakeClock
) -> None:
    shard, first = one.put([Entry(0, b"old")])[0][:2]
    one.put([Entry(0, b"old too")])
    held = one.iterator(shard, first)
    clock.move(200)
    one.put([Entry(0, b"new")])
    clock.move(3500)

    assert [record.data for record in read(one, shard, 1, after=first)] == [b"new"]
    assert [record.data for record in read(one, shard, 1)] == [b"new"]
    with pytest.raises(IteratorExpired):
        one.fetch(held, 10)


def test_a_held_iterator_moves_over_what_retention_took(clock: FakeClock) -> None:
    stream = MemoryStream(clock, retention_seconds=100)
    (shard,) = stream.open_shards()
    stream.put(entries(0, 3))
    iterator = stream.fetch(stream.iterator(shard, None), 1).iterator
    assert iterator is not None
    clock.move(150)
    stream.put([Entry(0, b"new")])

    assert [record.data for record in stream.fetch(iterator, 10).records] == [b"new"]


def test_a_closed_shard_is_not_listed_past_retention_and_cannot_be_read(one: MemoryStream, clock: FakeClock) -> None:
    (parent,) = one.open_shards()
    children = one.split(parent)
    iterator = one.iterator(parent, None)
    clock.move(3601)

    assert [(shard.id, shard.parents) for shard in one.shards()] == [(child, (parent,)) for child in children]
    with pytest.raises(Trimmed):
        one.iterator(parent, None)
    with pytest.raises(IteratorExpired):
        one.fetch(iterator, 1)


def test_an_iterator_expires_after_five_minutes_or_on_demand(one: MemoryStream, clock: FakeClock) -> None:
    (shard,) = one.open_shards()
    iterator = one.iterator(shard, None)
    clock.move(300)
    one.fetch(iterator, 1)
    clock.move(1)
    with pytest.raises(IteratorExpired):
        one.fetch(iterator, 1)

    iterator = one.iterator(shard, None)
    one.expire_iterators()
    with pytest.raises(IteratorExpired):
        one.fetch(iterator, 1)


def test_an_empty_page_on_demand_says_how_far_behind_it_is_and_loses_nothing(one: MemoryStream) -> None:
    shard = shard_of(one.put(entries(0, 2)))
    one.answer_empty(2)
    page = one.fetch(one.iterator(shard, None), 10)

    assert page.records == []
    assert page.behind_ms > 0
    assert len(read(one, shard, 2)) == 2


def test_refused_entries_carry_their_code_and_stay_out(one: MemoryStream) -> None:
    one.fail_put(PutFault(refuse=range(1, 3)))
    answers = one.put(entries(0, 4))

    refused = "ProvisionedThroughputExceededException"
    assert [answer.error for answer in answers] == ["", refused, refused, ""]
    assert [record.data for record in one.records(answers[0].shard)] == [b"0:0", b"0:3"]


def test_a_lost_answer_leaves_the_entries_in_the_stream(one: MemoryStream) -> None:
    one.fail_put(PutFault(answer_lost=True))
    with pytest.raises(TargetDown):
        one.put(entries(0, 2))

    assert len(one.records(one.open_shards()[0])) == 2


def test_a_late_original_is_overtaken_by_what_is_put_meanwhile(one: MemoryStream, clock: FakeClock) -> None:
    (shard,) = one.open_shards()
    one.fail_put(PutFault(late_seconds=2.0))
    with pytest.raises(TargetDown):
        one.put([Entry(0, b"late")])
    one.put([Entry(0, b"again")])
    assert len(one.records(shard)) == 1

    clock.move(2)

    assert [record.data for record in read(one, shard, 2)] == [b"again", b"late"]


def test_late_originals_can_be_delivered_at_once(one: MemoryStream) -> None:
    one.fail_put(PutFault(late_seconds=1e9))
    with pytest.raises(TargetDown):
        one.put(entries(0, 2))

    one.deliver_late()

    assert len(one.records(one.open_shards()[0])) == 2


def test_a_throttled_fetch_leaves_the_iterator_as_it_was(one: MemoryStream) -> None:
    shard = shard_of(one.put(entries(0, 2)))
    iterator = one.iterator(shard, None)
    one.throttle()
    with pytest.raises(Transient):
        one.fetch(iterator, 10)

    assert len(one.fetch(iterator, 10).records) == 2
