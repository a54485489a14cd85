"""Following a resync on virtual time: rows read again, and what came of them decided."""

from collections import Counter
from typing import Any

import pytest

from isthmus.checkpoint.memory import MemoryCheckpoints
from isthmus.checkpoint.ports import Lease, ShardCheckpoint
from isthmus.console.rereading import Deciding, Extent, Rereading, measure, outcomes, since
from isthmus.consumer.feed import Fetched
from isthmus.errors import Missing, TargetDown, Transient
from isthmus.producer.sink import Entry
from tests.fakes.clock import FakeClock
from tests.fakes.producer_desk import ME, NAME, STREAM, Shop, row
from tests.fakes.stream import MemoryStream

TIMEOUT = Transient("too long", cause="timeout")


class Counted(Shop):
    """A source that notes its counts. A count takes `seconds`, and raises what `failing_counts` holds."""

    def __init__(self, rows: int) -> None:
        super().__init__([row()] * rows)
        self.counts: list[tuple[str | None, int]] = []
        self.seconds = 0.0
        self.failing_counts: list[Exception] = []

    def count(self, after: str | None, bound: int) -> int:
        self.counts.append((after, bound))
        if self.clock is not None:
            self.clock.move(self.seconds)
        if self.failing_counts:
            raise self.failing_counts.pop(0)
        return super().count(after, bound)


class Desk:
    def __init__(self, rows: int) -> None:
        self.clock = FakeClock()
        self.checkpoints = MemoryCheckpoints(self.clock)
        self.checkpoints.leases.take(Lease(NAME, 1, ME, 0, STREAM), None)
        self.source = Counted(rows)
        self.extent = measure(self.source)
        self.source.clock = self.clock
        self.source.counts.clear()
        self.reading = Rereading(self.checkpoints.leases, NAME, self.source, self.extent, self.clock)

    def at(self, position: int, *, seconds: float = 1000.0) -> tuple[int, bool]:
        """Let the watermark be there and time pass; look, and give what is done."""
        self.clock.move(seconds)
        self.checkpoints.leases.advance(NAME, 1, f'[{position},"x"]', step=position)
        self.reading.look()
        return self.reading.done, self.reading.finished


def test_a_source_is_measured_by_its_rows_and_its_highest_cursor() -> None:
    assert measure(Counted(5)) == Extent(5, 4)
    assert measure(Counted(0)) == Extent(0, None)


def test_what_cannot_be_counted_in_time_is_not_counted() -> None:
    source = Counted(5)
    source.failing_counts = [TIMEOUT]
    assert measure(source) == Extent(None, 4)
    source.failing_counts = [TargetDown("away")]
    with pytest.raises(TargetDown):
        measure(source)


def test_rows_are_done_up_to_the_watermark_and_all_of_them_at_the_bound() -> None:
    desk = Desk(10)
    desk.reading.look()
    assert (desk.reading.done, desk.reading.finished) == (0, False)
    assert [desk.at(position) for position in (0, 5, 8, 9)] == [(1, False), (6, False), (9, False), (10, True)]


def test_an_empty_source_is_done_at_once() -> None:
    desk = Desk(0)
    desk.reading.look()
    assert (desk.reading.done, desk.reading.finished, desk.source.counts) == (0, True, [])


def test_a_watermark_beyond_the_bound_needs_no_count() -> None:
    desk = Desk(10)
    desk.source.rows.append(row())
    assert desk.at(10) == (10, True)
    assert desk.source.counts == []


def test_it_ends_although_the_row_at_the_bound_has_gone() -> None:
    desk = Desk(10)
    del desk.source.rows[9]
    assert desk.at(8) == (10, True)


def test_at_the_bound_it_is_not_done_while_rows_of_the_same_cursor_follow(monkeypatch: pytest.MonkeyPatch) -> None:
    desk = Desk(10)
    monkeypatch.setattr(desk.source, "count", lambda _after, _bound: 2)
    assert desk.at(9) == (8, False)


def test_without_a_total_it_ends_all_the_same() -> None:
    desk = Desk(10)
    desk.reading = Rereading(desk.checkpoints.leases, NAME, desk.source, Extent(None, 9), desk.clock)
    assert [desk.at(position) for position in (5, 9)] == [(0, False), (0, True)]


def test_a_watermark_that_stands_still_is_not_counted_again() -> None:
    desk = Desk(10)
    desk.at(5)
    desk.at(5)
    assert len(desk.source.counts) == 1


def test_counting_takes_a_tenth_of_the_time_at_most() -> None:
    desk = Desk(10)
    desk.source.seconds = 3.0
    desk.at(1)
    for _ in range(26):
        desk.at(2, seconds=1.0)
    assert len(desk.source.counts) == 1
    desk.at(2, seconds=4.0)
    assert len(desk.source.counts) == 2


def test_quick_counts_are_two_seconds_apart() -> None:
    desk = Desk(10)
    desk.at(1)
    assert desk.at(2, seconds=1.9) == (2, False)
    assert desk.at(2, seconds=0.1) == (3, False)


def test_a_count_waits_for_the_query_budget() -> None:
    desk = Desk(10)
    desk.source.ready_at = 2000.0
    assert desk.at(5) == (0, False)
    assert desk.at(5) == (6, False)


def test_a_count_that_fails_is_raised_and_made_again_after_a_rest() -> None:
    desk = Desk(10)
    desk.source.failing_counts = [TIMEOUT]
    with pytest.raises(Transient):
        desk.at(5)
    assert desk.at(5, seconds=1.0) == (0, False)
    assert desk.at(5, seconds=1.0) == (6, False)


def test_it_says_who_produces() -> None:
    desk = Desk(10)
    desk.at(1)
    assert desk.reading.owner == ME
    desk.checkpoints.leases.give_back(NAME, 1)
    desk.reading.look()
    assert desk.reading.owner is None


def test_a_lease_that_is_gone_ends_it() -> None:
    desk = Desk(10)
    desk.checkpoints.stream.forget()
    with pytest.raises(Missing, match="gone"):
        desk.reading.look()


class Shards:
    """A stream of two shards whose first records came before the moment that is asked for, and one after it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.checkpoints = MemoryCheckpoints(self.clock)
        self.stream = MemoryStream(self.clock, shards=2, lanes=2)
        for lane in (0, 1):
            self.stream.put([Entry(lane, b"early")])
        self.clock.move(1)
        self.deciding = Deciding(self.stream, self.checkpoints.shards, self.clock.now_ms())
        self.clock.move(1)

    def decide(self, place: int) -> None:
        """Save a checkpoint at the shard's first record."""
        shard = self.stream.shards()[place].id
        self.checkpoints.shards.save(ShardCheckpoint(shard, STREAM, self.stream.records(shard)[0].sequence))

    def look(self) -> bool:
        return self.deciding.look()


def test_it_is_decided_when_every_shard_is() -> None:
    shards = Shards()
    assert shards.look() is False
    shards.decide(0)
    assert shards.look() is False
    shards.decide(1)
    assert shards.look() is True


def test_what_comes_later_is_not_waited_for() -> None:
    shards = Shards()
    for lane in (0, 1):
        shards.stream.put([Entry(lane, b"late")])
        shards.decide(lane)
    assert shards.look() is True


def test_a_shard_that_was_decided_is_not_asked_again() -> None:
    shards = Shards()
    shards.decide(0)
    shards.look()
    shards.decide(1)
    shards.stream.throttle()
    with pytest.raises(Transient):
        shards.look()
    asked: list[str] = []
    iterator = shards.stream.iterator

    def noting(shard: str, after: str | None) -> str:
        asked.append(shard)
        return iterator(shard, after)

    shards.stream.iterator = noting  # type: ignore[method-assign]
    assert shards.look() is True
    assert asked == [shards.stream.shards()[1].id]


def test_a_shard_that_has_ended_is_decided_and_its_children_are_asked() -> None:
    shards = Shards()
    parent = shards.stream.shards()[0].id
    shards.stream.split(parent)
    # Without a sequence number, as of a shard of which nothing was left: what lies in it is not read again.
    shards.checkpoints.shards.save(ShardCheckpoint(parent, STREAM, ended=True))
    shards.decide(1)
    assert shards.look() is True


def test_a_closed_shard_that_was_read_to_its_end_is_decided() -> None:
    shards = Shards()
    shards.stream.split(shards.stream.shards()[0].id)
    shards.decide(0)
    shards.decide(1)
    shards.stream.fetch = lambda *_: Fetched([], None, 5)  # type: ignore[method-assign]
    assert shards.look() is True


def test_an_empty_answer_is_no_end_and_is_gone_on_from() -> None:
    shards = Shards()
    shards.decide(0)
    shards.decide(1)
    shards.stream.answer_empty(2)
    assert shards.look() is False
    asked: list[Any] = []
    shards.stream.iterator = lambda *place: asked.append(place) or ""  # type: ignore[method-assign, func-returns-value]
    assert shards.look() is True
    assert asked == []


def test_an_iterator_that_expired_is_asked_for_again() -> None:
    shards = Shards()
    shards.decide(0)
    shards.decide(1)
    shards.stream.answer_empty(2)
    assert shards.look() is False
    shards.stream.expire_iterators()
    assert shards.look() is False
    assert shards.look() is True


def test_a_checkpoint_that_moved_makes_a_new_iterator() -> None:
    shards = Shards()
    shards.stream.answer_empty(2)
    assert shards.look() is False
    shards.decide(0)
    shards.decide(1)
    assert shards.look() is True


def test_a_shard_that_is_beyond_retention_is_not_waited_for() -> None:
    shards = Shards()
    listed = shards.stream.shards()
    shards.decide(1)
    shards.stream.shards = lambda: [listed[0]._replace(id="gone"), listed[1]]  # type: ignore[method-assign]
    assert shards.look() is True


def test_outcomes_are_those_of_all_shards_between_two_looks() -> None:
    shards = Shards()
    for place, counts in enumerate(({"applied": 3, "stale": 1}, {"applied": 4, "parked": 2})):
        shard = shards.stream.shards()[place].id
        shards.checkpoints.shards.save(ShardCheckpoint(shard, STREAM, "1", counts=counts))
    found = outcomes(shards.checkpoints.shards)
    assert found == {"applied": 7, "stale": 1, "parked": 2}
    assert since(found, {"applied": 5, "stale": 1}) == {"applied": 2, "parked": 2}
    assert since(Counter(), {"applied": 5}) == {}
