"""One shard, from its checkpoint to its end."""

import gc
import weakref

import pytest

from isthmus.consumer.feed import Fetched, Record
from isthmus.consumer.runtimes.reader import Ended, Failed
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.consumer.runtimes.shards import ShardState
from isthmus.errors import Fatal
from isthmus.retry import Backoff
from tests.fakes.reader_desk import Desk, numbers
from tests.fakes.shard_life import STREAM


@pytest.fixture
def desk() -> Desk:
    return Desk()


# the way through a shard


def test_a_closed_shard_is_read_in_order_and_its_end_is_saved(desk: Desk) -> None:
    desk.put(5)
    desk.stream.split(desk.shard)

    assert desk.run() == Ended()
    assert desk.processor.data == numbers(0, 5)
    (last,) = desk.checkpoints.saves
    assert (last.sequence, last.ended, last.stream) == (desk.processor.position(), True, STREAM)
    assert last.counts == {"applied": 5}
    assert last.updated == "2013-01-01T00:00:00.000Z"


def test_an_end_that_comes_with_an_empty_page_of_its_own_is_an_end() -> None:
    desk = Desk(end_with_last_page=False)
    desk.put(5)
    desk.stream.split(desk.shard)

    assert desk.run() == Ended()
    assert desk.processor.data == numbers(0, 5)


def test_the_end_of_an_empty_shard_is_saved_without_a_sequence_number(desk: Desk) -> None:
    desk.stream.split(desk.shard)

    assert desk.run() == Ended()
    assert [(save.sequence, save.ended) for save in desk.checkpoints.saves] == [(None, True)]


def test_reading_begins_right_after_the_checkpoint(desk: Desk) -> None:
    desk.put(5)
    desk.stream.split(desk.shard)

    desk.run(begin=desk.saved(2))

    assert desk.processor.data == numbers(3, 5)


def test_the_end_right_after_the_checkpoint_keeps_its_sequence_number(desk: Desk) -> None:
    desk.put(5)
    desk.stream.split(desk.shard)

    assert desk.run(begin=desk.saved(4)) == Ended()
    assert [(save.sequence, save.ended) for save in desk.checkpoints.saves] == [(desk.saved(4).sequence, True)]


def test_the_end_is_not_saved_while_something_before_it_is_undecided(desk: Desk) -> None:
    desk.put(3)
    desk.stream.split(desk.shard)
    desk.processor.position = lambda: desk.stream.records(desk.shard)[1].sequence  # type: ignore[method-assign]

    end = desk.run()

    assert isinstance(end, Failed)
    assert isinstance(end.error, Fatal)
    assert not any(save.ended for save in desk.checkpoints.saves)


def test_a_reader_says_where_its_shard_is_in_its_life(desk: Desk) -> None:
    desk.stream.split(desk.shard)
    reader = desk.reader()
    seen: list[ShardState] = []
    desk.checkpoints.on_save = lambda _checkpoint: seen.append(reader.state)

    states = [reader.state, desk.drive(reader) and reader.state]

    assert (states, seen) == ([ShardState.READING, ShardState.ENDED], [ShardState.ENDING])


def test_only_one_page_is_in_memory() -> None:
    class Page(list[Record]):
        pass

    desk = Desk(settings=LocalSettings(max_records=2))
    desk.put(6)
    desk.stream.split(desk.shard)
    pages: list[weakref.ref[Page]] = []
    alive: list[int] = []
    fetch = desk.feed.fetch

    def counting(iterator: str, limit: int) -> Fetched:
        gc.collect()
        alive.append(sum(page() is not None for page in pages))
        fetched: Fetched = fetch(iterator, limit)
        page = Page(fetched.records)
        pages.append(weakref.ref(page))
        return Fetched(page, fetched.iterator, fetched.behind_ms)

    desk.feed.fetch = counting
    desk.run()

    assert len(pages) == 3
    assert alive == [0, 0, 0]


@pytest.mark.parametrize("record_bytes, most", [(10, 50), (1_000, 10), (50_000, 1)])
def test_a_page_weighs_what_it_should_whatever_a_record_weighs(record_bytes: int, most: int) -> None:
    desk = Desk(settings=LocalSettings(max_records=50, page_bytes=10_000))
    desk.put(300)
    desk.stream.split(desk.shard)
    asked: list[int] = []
    fetch = desk.feed.fetch

    def heavy(iterator: str, limit: int) -> Fetched:
        asked.append(limit)
        found: Fetched = fetch(iterator, limit)
        records = [record._replace(data=record.data.ljust(record_bytes)) for record in found.records]
        return Fetched(records, found.iterator, found.behind_ms)

    desk.feed.fetch = heavy
    desk.run()

    assert set(asked[1:]) == {most}


def test_pages_grow_to_at_most_twice_the_one_before() -> None:
    desk = Desk(settings=LocalSettings())
    for begun in range(0, 1500, 500):
        desk.put(500, begun)
    desk.stream.split(desk.shard)
    asked: list[int] = []
    fetch = desk.feed.fetch

    def counting(iterator: str, limit: int) -> Fetched:
        asked.append(limit)
        found: Fetched = fetch(iterator, limit)
        return found

    desk.feed.fetch = counting
    desk.run()

    assert asked[:4] == [100, 200, 400, 800]


# the pace


def test_an_idle_shard_is_read_at_the_poll_interval() -> None:
    desk = Desk(settings=LocalSettings(poll_interval=1.0, reads_per_second=5))
    desk.run(stop_at=3.5)

    assert desk.feed.reads == [0, 1, 2, 3]


def test_a_shard_that_is_behind_is_read_as_often_as_kinesis_allows() -> None:
    desk = Desk(settings=LocalSettings(poll_interval=1.0, reads_per_second=5, max_records=2))
    desk.put(5)
    desk.run(stop_at=1.9)

    assert desk.feed.reads == [0, 0.2, 0.4, 1.4]


def test_an_empty_page_that_is_behind_is_no_reason_to_rest() -> None:
    desk = Desk(settings=LocalSettings(poll_interval=1.0, reads_per_second=5))
    desk.put(1)
    desk.stream.answer_empty(2)
    desk.run(stop_at=0.9)

    assert desk.feed.reads == [0, 0.2, 0.4]
    assert desk.processor.data == ["0"]


def test_a_full_page_is_no_reason_to_rest_even_if_it_says_it_is_not_behind() -> None:
    desk = Desk(settings=LocalSettings(poll_interval=1.0, reads_per_second=5, max_records=2))
    desk.put(2)
    desk.run(stop_at=0.9)

    assert desk.feed.reads == [0, 0.2]


def test_the_time_that_deciding_takes_counts_towards_the_interval() -> None:
    desk = Desk(settings=LocalSettings(poll_interval=1.0))
    desk.put(1)
    desk.processor.before = lambda _record: desk.stop.sleep(0.7)
    desk.run(stop_at=2.5)

    assert desk.feed.reads == [0, 1, 2]


def test_retries_of_a_throttled_read_keep_the_pace() -> None:
    desk = Desk(settings=LocalSettings(reads_per_second=5, backoff=Backoff(first=0.001)))
    desk.stream.throttle(3)
    desk.run(stop_at=0.7)

    assert desk.feed.reads == [0, 0.2, 0.4, 0.6]


# the metrics


def test_the_metrics_say_what_is_behind_and_what_is_in_hand_and_go_with_the_reader() -> None:
    desk = Desk(settings=LocalSettings(max_records=2))
    desk.put(3)
    desk.clock.move(4)
    seen: list[tuple[float | None, float | None]] = []

    def look(_record: Record) -> None:
        buffered = desk.metric("isthmus_shard_buffered_records", shard=desk.shard)
        seen.append((buffered, desk.metric("isthmus_shard_behind_seconds", shard=desk.shard)))

    desk.processor.before = look
    idle: list[tuple[float | None, float | None]] = []

    def look_when_idle() -> None:
        buffered = desk.metric("isthmus_shard_buffered_records", shard=desk.shard)
        idle.append((buffered, desk.metric("isthmus_shard_behind_seconds", shard=desk.shard)))

    desk.clock.at(8, look_when_idle)
    saved: list[float | None] = []
    desk.clock.at(9, lambda: saved.append(desk.metric("isthmus_checkpoint_saved_timestamp_seconds", shard=desk.shard)))
    desk.run(stop_at=10)

    assert seen == [(2, 4), (2, 4), (1, 0)]
    assert idle == [(0, 0)]
    assert saved[0] is not None
    assert 1_356_998_400 < saved[0] < 1_356_998_410
    assert desk.metric("isthmus_shard_buffered_records", shard=desk.shard) is None
    assert desk.metric("isthmus_checkpoint_saved_timestamp_seconds", shard=desk.shard) is None


# up to when


MOMENT = "isthmus_shard_decided_until_timestamp_seconds"


def test_up_to_when_a_shard_is_decided_is_told_while_it_is_read() -> None:
    desk = Desk(settings=LocalSettings(poll_interval=1.0))
    began = desk.clock.now_ms() / 1000
    told: list[float | None] = []
    desk.put(3)
    desk.clock.at(0.5, lambda: told.append(desk.metric(MOMENT, shard=desk.shard)))
    # An answer without records says how far it reached, too.
    desk.clock.at(10.5, lambda: told.append(desk.metric(MOMENT, shard=desk.shard)))
    desk.run(stop_at=20)

    assert told == [began, began + 10]
    assert desk.metric(MOMENT, shard=desk.shard) is None


def test_an_answer_without_records_that_is_behind_reaches_less_far() -> None:
    desk = Desk(settings=LocalSettings(poll_interval=1.0))
    began = desk.clock.now_ms() / 1000
    told: list[float | None] = []
    desk.stream.answer_empty(1000)  # each says that it is a second behind
    desk.clock.at(10.5, lambda: told.append(desk.metric(MOMENT, shard=desk.shard)))
    desk.run(stop_at=20)

    assert told == [pytest.approx(began + 9.4, abs=0.2)]


def test_the_answer_that_tells_the_end_of_a_shard_moves_no_moment() -> None:
    desk = Desk(end_with_last_page=False)
    told: list[float | None] = []
    began = desk.clock.now_ms() / 1000
    desk.put(3)
    desk.stream.split(desk.shard)
    desk.clock.move(100)
    desk.checkpoints.on_save = lambda _: told.append(desk.metric(MOMENT, shard=desk.shard))
    desk.run()

    assert told[-1] == began


def test_a_reader_that_never_read_takes_no_series_away(desk: Desk) -> None:
    desk.stop.request()
    desk.run()
    assert desk.metric(MOMENT, shard=desk.shard) is None
