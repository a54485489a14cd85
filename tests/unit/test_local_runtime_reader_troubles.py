"""One shard, when something goes wrong or a stop is requested."""

import pytest
from structlog.testing import capture_logs

from isthmus.consumer.feed import IteratorExpired, Record, Trimmed
from isthmus.consumer.runtimes.reader import Ended, Failed, StoppedSoftly
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.errors import Fatal, IsthmusError, OwnershipLost, Transient
from isthmus.retry import Backoff
from tests.fakes.reader_desk import Desk, numbers
from tests.fakes.shard_life import away


@pytest.fixture
def desk() -> Desk:
    return Desk()


# what goes wrong


@pytest.mark.parametrize("error", [Fatal("The store refuses."), OwnershipLost("Taken over.")])
def test_after_an_error_of_the_processor_nothing_is_saved(desk: Desk, error: IsthmusError) -> None:
    desk.put(5)

    def fail_at_3(record: Record) -> None:
        if record.data == b"3":
            raise error

    desk.processor.before = fail_at_3

    assert desk.run() == Failed(error)
    assert desk.checkpoints.attempts == 0


def test_a_reader_that_has_lost_the_work_decides_nothing_more(desk: Desk) -> None:
    desk.clock.at(1.0, lambda: (setattr(desk, "lost", True), desk.put(2)))

    end = desk.run()

    assert isinstance(end, Failed)
    assert isinstance(end.error, OwnershipLost)
    assert desk.processor.data == []


def test_a_reader_that_has_lost_the_work_saves_no_checkpoint_even_at_a_stop(desk: Desk) -> None:
    desk.put(2)
    desk.clock.at(0.5, lambda: (setattr(desk, "lost", True), desk.stop.request()))

    end = desk.run()

    assert isinstance(end, Failed)
    assert isinstance(end.error, OwnershipLost)
    assert (desk.processor.data, desk.checkpoints.attempts) == (numbers(0, 2), 0)


def test_an_iterator_that_expires_in_the_middle_is_renewed_after_the_last_record_handed_over() -> None:
    desk = Desk(settings=LocalSettings(max_records=2))
    desk.put(6)
    desk.stream.split(desk.shard)
    desk.clock.at(0.3, desk.stream.expire_iterators)

    assert desk.run() == Ended()
    assert desk.processor.pages == [["0", "1"], ["2", "3"], ["4", "5"]]
    assert desk.feed.afters == [None, desk.stream.records(desk.shard)[3].sequence]


def test_deciding_may_take_longer_than_an_iterator_lives() -> None:
    desk = Desk(settings=LocalSettings(max_records=2))
    desk.put(4)
    desk.stream.split(desk.shard)
    desk.processor.before = lambda _record: desk.stop.sleep(400)

    assert desk.run() == Ended()
    assert desk.processor.data == numbers(0, 4)


def test_iterators_that_expire_again_and_again_are_renewed_at_the_allowed_pace(desk: Desk) -> None:
    def expired() -> IteratorExpired:
        return IteratorExpired("Expired.")

    desk.stream.fail("fetch", expired, times=10)
    desk.run(stop_at=1.9)

    assert desk.feed.reads == [round(number * 0.2, 6) for number in range(10)]


def test_a_stream_that_is_away_is_waited_for_and_said_once() -> None:
    desk = Desk(settings=LocalSettings(backoff=Backoff(first=0.4, most=2.0)))
    desk.put(3)
    desk.stream.fail("iterator", away, times=3)
    desk.stream.fail("fetch", away, times=4)
    seen: list[float | None] = []
    for moment in (3, 29):
        desk.clock.at(moment, lambda: seen.append(desk.metric("isthmus_away", part=f"stream/{desk.shard}")))
    with capture_logs() as logs:
        desk.run(stop_at=30)

    assert desk.processor.data == numbers(0, 3)
    events = [(entry["event"], entry["where"]) for entry in logs]
    assert events == [("stream_away", desk.shard), ("stream_back", desk.shard)]
    assert seen == [1, 0]
    assert desk.metric("isthmus_retries_total", part="stream", cause="unreachable") == 7


def test_an_iterator_that_expired_while_the_stream_was_away_ends_the_absence(desk: Desk) -> None:
    def expired() -> IteratorExpired:
        return IteratorExpired("Expired.")

    desk.stream.fail("fetch", away, times=2)
    desk.stream.fail("fetch", expired)
    desk.stream.fail("fetch", away, times=2)
    with capture_logs() as logs:
        desk.run(stop_at=30)

    assert [entry["event"] for entry in logs] == ["stream_away", "stream_back"] * 2


def test_what_is_decided_is_saved_while_the_stream_is_away(desk: Desk) -> None:
    desk.put(2)
    desk.clock.at(0.1, lambda: desk.stream.fail("fetch", away, times=1000))
    desk.clock.at(20, lambda: desk.checkpoints.saves or pytest.fail("nothing was saved"))
    desk.run(stop_at=21)

    assert desk.checkpoints.attempts == 1


def test_an_error_that_nobody_knows_is_fatal_after_five_in_a_row(desk: Desk) -> None:
    desk.stream.fail("fetch", lambda: Transient("?", cause="unknown"), times=4)
    desk.stream.throttle()
    desk.stream.fail("fetch", lambda: Transient("?", cause="unknown"), times=5)

    end = desk.run()

    assert isinstance(end, Failed)
    assert isinstance(end.error, Fatal)
    assert len(desk.feed.reads) == 10


def test_unknown_errors_with_a_good_read_between_them_are_no_reason_to_end(desk: Desk) -> None:
    for moment in range(20):
        desk.clock.at(moment, lambda: desk.stream.fail("fetch", lambda: Transient("?", cause="unknown")))

    assert desk.run(stop_at=25) == StoppedSoftly()


def test_a_shard_beyond_retention_is_reported_as_such(desk: Desk) -> None:
    desk.stream.fail("iterator", lambda: Trimmed("Gone."))

    end = desk.run()

    assert isinstance(end, Failed)
    assert isinstance(end.error, Trimmed)


# the stop


def test_a_stop_while_a_shard_is_idle_ends_at_once() -> None:
    desk = Desk(settings=LocalSettings(poll_interval=60.0))

    assert desk.run(stop_at=1.25) == StoppedSoftly()
    assert desk.ended_at == 1.25


def test_a_stop_while_backing_off_ends_at_once() -> None:
    desk = Desk(settings=LocalSettings(backoff=Backoff(first=600.0, most=600.0)))
    desk.stream.throttle(9)

    assert desk.run(stop_at=1.25) == StoppedSoftly()
    assert desk.ended_at == 1.25


def test_a_stop_before_the_start_reads_nothing(desk: Desk) -> None:
    desk.put(1)
    desk.stop.request()

    assert desk.run() == StoppedSoftly()
    assert desk.feed.reads == []


def test_a_stop_between_two_full_pages_ends_before_the_next_one() -> None:
    desk = Desk(settings=LocalSettings(max_records=2, reads_per_second=1e9))
    desk.put(20)
    desk.processor.before = lambda record: desk.stop.request() if record.data == b"5" else None

    assert desk.run() == StoppedSoftly()
    assert desk.processor.data == numbers(0, 6)
