"""Whether retention took records that nobody had read: what is told, and what is not."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.consumer.feed import Record
from isthmus.consumer.runtimes.retention import SLACK_MS, Known, LossWatch, Lost, is_in_doubt
from isthmus.errors import Transient
from isthmus.producer.sink import Entry
from tests.fakes.clock import FakeClock
from tests.fakes.notes import MemoryHorizon
from tests.fakes.stream import MemoryStream

HOUR = 3600.0
DAY = 24 * HOUR
DAY_MS = round(DAY * 1000)


class Desk:
    """A stream of one shard, somebody who reads it when told to, and a watch."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.stream = MemoryStream(self.clock, lanes=1, retention_seconds=DAY)
        (self.shard,) = self.stream.open_shards()
        self.horizon = MemoryHorizon(self.stream)
        self.watch = LossWatch(self.horizon)
        self.seen = Known()
        self.got: list[Record] = []
        self.all: list[Record] = []
        self.lost: list[Lost] = []
        self.watch.begin(self.shard, self.seen)

    def put(self) -> Record:
        self.stream.put([Entry(0, b"")])
        self.all.append(self.stream.records(self.shard)[-1])
        return self.all[-1]

    def read(self) -> None:
        """Decide all that is there, and be at the shard's end."""
        found = self.stream.fetch(self.stream.iterator(self.shard, self.seen.sequence), 100_000).records
        self.got += found
        last = found[-1].sequence if found else self.seen.sequence
        self.seen = Known(last, self.clock.now_ms())

    def look(self) -> Lost | None:
        lost = self.watch.look(self.shard, self.seen, now_ms=self.clock.now_ms(), retention_ms=DAY_MS)
        if lost is not None:
            self.lost.append(lost)
        return lost

    def again(self) -> None:
        """Begin again as another process, where this one was."""
        known = self.watch.known[self.shard]
        self.watch = LossWatch(self.horizon)
        self.watch.begin(self.shard, known)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_what_is_read_in_time_is_not_in_doubt_and_the_stream_is_not_asked(desk: Desk) -> None:
    for _ in range(60):
        desk.put()
        desk.read()
        assert desk.look() is None
        desk.clock.move(HOUR)
    assert desk.horizon.asked == []


def test_a_quiet_shard_with_an_old_checkpoint_has_lost_nothing_while_somebody_reads(desk: Desk) -> None:
    desk.put()
    for _ in range(72):
        desk.read()
        assert desk.look() is None
        desk.clock.move(HOUR)
    desk.again()
    desk.read()
    assert desk.look() is None
    assert desk.horizon.asked == []


def test_a_range_that_retention_took_is_told_with_both_ends_once_when_it_is_noticed_and_once_at_its_end(
    desk: Desk,
) -> None:
    first = desk.put()
    desk.read()
    desk.look()
    desk.clock.move(HOUR)
    since = desk.clock.now_ms()
    desk.read()
    desk.look()
    desk.clock.move(HOUR)
    gone = desk.put()
    desk.clock.move(DAY)
    kept = desk.put()
    desk.clock.move(HOUR)

    desk.again()
    assert desk.look() == Lost(desk.shard, first.sequence, since, kept, final=False)
    desk.read()
    assert desk.look() is None
    assert desk.look() == Lost(desk.shard, first.sequence, since, kept, final=True)
    assert desk.look() is None
    assert gone not in desk.got


def test_a_shard_that_stands_still_is_told_when_retention_passes_it_and_later_how_much_it_took(desk: Desk) -> None:
    desk.put()
    desk.read()
    desk.look()
    records = []
    for _ in range(40):
        desk.clock.move(HOUR)
        records.append(desk.put())
        desk.look()
    (noticed,) = desk.lost
    assert not noticed.final
    assert noticed.oldest == records[0]
    desk.read()
    for _ in range(3):
        desk.look()
    noticed, ended = desk.lost
    assert ended.final
    assert ended.oldest == desk.got[1]
    assert ended.since_ms == noticed.since_ms


def test_a_record_that_is_there_still_past_its_time_says_that_nothing_after_it_is_gone(desk: Desk) -> None:
    # Retention was raised, and nobody has told us yet.
    desk.stream = MemoryStream(desk.clock, lanes=1, retention_seconds=7 * DAY)
    desk.watch = LossWatch(MemoryHorizon(desk.stream))
    desk.watch.begin(desk.shard, Known())
    desk.put()
    desk.read()
    desk.look()
    for _ in range(48):
        desk.clock.move(HOUR)
        assert desk.look() is None


def test_a_shard_whose_moment_nobody_noted_is_judged_by_its_checkpoint(desk: Desk) -> None:
    record = desk.put()
    desk.watch.begin(desk.shard, Known(record.sequence))
    desk.seen = Known(record.sequence)
    desk.clock.move(DAY / 2)
    assert desk.look() is None
    assert desk.watch.known[desk.shard] == Known(record.sequence, record.arrival_ms)
    desk.clock.move(DAY)
    assert desk.look() == Lost(desk.shard, record.sequence, record.arrival_ms, None, final=False)


def test_nothing_is_said_of_a_shard_of_which_nothing_is_known(desk: Desk) -> None:
    desk.put()
    desk.clock.move(3 * DAY)
    assert desk.look() is None
    assert desk.horizon.asked == []


def test_a_child_that_nobody_began_in_time_may_have_lost_what_came_first(desk: Desk) -> None:
    closed_ms = desk.clock.now_ms()
    desk.put()
    desk.clock.move(2 * DAY)
    kept = desk.put()
    desk.watch.begin(desk.shard, Known(None, closed_ms))
    assert desk.look() == Lost(desk.shard, None, closed_ms, kept, final=False)


def test_a_horizon_that_is_away_leaves_the_doubt_for_the_next_look(desk: Desk) -> None:
    desk.put()
    desk.read()
    desk.look()
    desk.clock.move(2 * DAY)
    desk.horizon.failing = [Transient("throttled")]
    desk.read()
    with pytest.raises(Transient):
        desk.look()
    assert desk.look() is not None


def test_a_shard_that_was_let_go_begins_anew(desk: Desk) -> None:
    desk.put()
    desk.read()
    desk.look()
    desk.clock.move(2 * DAY)
    assert desk.look() is not None
    desk.watch.forget(desk.shard)
    desk.watch.begin(desk.shard, desk.seen)
    assert desk.look() is not None


def test_doubt_begins_a_little_before_retention() -> None:
    known = Known("7", 1_000)
    assert not is_in_doubt(known, 1_000 + DAY_MS - SLACK_MS, DAY_MS)
    assert is_in_doubt(known, 1_001 + DAY_MS - SLACK_MS, DAY_MS)
    assert is_in_doubt(Known("7"), 0, DAY_MS)
    assert not is_in_doubt(Known(), 10**15, DAY_MS)


STEPS = st.lists(st.sampled_from(["put", "read", "again", "minute", "hour", "half a day", "two days"]), max_size=40)
WAITS = {"minute": 60.0, "hour": HOUR, "half a day": DAY / 2, "two days": 2 * DAY}


@given(STEPS)
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_record_that_was_lost_lies_in_a_range_that_was_told_and_who_reads_in_time_hears_nothing(
    steps: list[str],
) -> None:
    desk = Desk()
    desk.put()
    desk.read()
    desk.look()
    read_at, longest = desk.clock.now_ms(), 0
    for step in [*steps, "read"]:
        if step == "put":
            desk.put()
        elif step == "again":
            desk.again()
        elif step == "read":
            longest, read_at = max(longest, desk.clock.now_ms() - read_at), desk.clock.now_ms()
            # Looks are seconds apart. Who ends before the second one has told of a range without its end.
            desk.look()
            desk.read()
            desk.look()
        else:
            desk.clock.move(WAITS[step])
        desk.look()
    desk.look()

    lost = {record.sequence for record in desk.all} - {record.sequence for record in desk.got}
    told = {
        record.sequence
        for record in desk.all
        for each in desk.lost
        if record.arrival_ms >= (each.since_ms or 0)
        and (each.oldest is None or int(record.sequence) < int(each.oldest.sequence))
    }
    assert lost <= told
    if longest <= DAY_MS - SLACK_MS:
        assert desk.lost == []
