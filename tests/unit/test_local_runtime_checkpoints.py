"""When one shard's checkpoint is saved, and what happens when it cannot be."""

import pytest
from structlog.testing import capture_logs

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.consumer.feed import Record
from isthmus.consumer.runtimes.reader import Ended, Failed, StoppedSoftly
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.consumer.runtimes.shards import ShardState
from isthmus.errors import Fatal, IsthmusError, OwnershipLost, Refused
from isthmus.lifecycle import Stopped
from isthmus.retry import Backoff
from tests.fakes.reader_desk import Desk
from tests.fakes.shard_life import away


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_checkpoints_are_saved_at_most_once_in_an_interval_and_only_when_something_is_new() -> None:
    desk = Desk(settings=LocalSettings(checkpoint_interval=1.0, poll_interval=0.25, reads_per_second=10))
    times: list[float] = []
    desk.checkpoints.on_save = lambda _checkpoint: times.append(desk.clock.monotonic())
    for moment in range(8):
        desk.clock.at(moment * 0.25, lambda moment=moment: desk.put(1, moment))  # type: ignore[misc]
    desk.run(stop_at=6.1)

    assert times == [1.0, 2.0]
    assert desk.checkpoints.rows[desk.shard].sequence == desk.processor.position()


def test_what_is_left_unsaved_when_a_shard_falls_idle_is_saved_in_time() -> None:
    desk = Desk(settings=LocalSettings(checkpoint_interval=1.0))
    desk.put(3)
    desk.clock.at(1.5, lambda: desk.checkpoints.saves or pytest.fail("nothing was saved"))
    desk.run(stop_at=2)

    assert desk.checkpoints.attempts == 1


def test_a_soft_stop_saves_what_is_decided(desk: Desk) -> None:
    desk.put(3)

    assert desk.run(stop_at=0.5) == StoppedSoftly()
    assert [save.sequence for save in desk.checkpoints.saves] == [desk.processor.position()]


def test_a_soft_stop_with_nothing_new_saves_nothing(desk: Desk) -> None:
    desk.put(3)

    assert desk.run(stop_at=0.5, begin=desk.saved(2)) == StoppedSoftly()
    assert desk.checkpoints.attempts == 0


def test_a_stop_in_the_middle_of_a_page_saves_only_what_is_decided(desk: Desk) -> None:
    desk.put(5)

    def stop_at_3(record: Record) -> None:
        if record.data == b"3":
            raise Stopped

    desk.processor.before = stop_at_3

    assert desk.run() == StoppedSoftly()
    (save,) = desk.checkpoints.saves
    assert (save.sequence, save.ended) == (desk.stream.records(desk.shard)[2].sequence, False)


def test_a_checkpoint_that_cannot_be_saved_does_not_stop_reading_and_is_saved_later(desk: Desk) -> None:
    desk.put(1)
    desk.checkpoints.failing = [away(), away()]
    desk.clock.at(1.1, lambda: desk.put(1, 1))
    desk.clock.at(1.9, lambda: desk.processor.data == ["0", "1"] or pytest.fail("reading stood still"))
    desk.run(stop_at=5)

    assert desk.checkpoints.attempts == 3
    assert desk.checkpoints.rows[desk.shard].sequence == desk.processor.position()
    assert desk.metric("isthmus_retries_total", part="checkpoint", cause="unreachable") == 2


def test_a_store_of_checkpoints_that_is_away_is_asked_less_and_less_often_until_it_is_back() -> None:
    desk = Desk(settings=LocalSettings(checkpoint_interval=1.0, poll_interval=0.1, backoff=Backoff(first=8, most=64)))
    asked: list[float] = []

    def save(_checkpoint: ShardCheckpoint) -> None:
        asked.append(round(desk.clock.monotonic()))
        if len(asked) in {1, 2, 4}:
            raise away()

    desk.checkpoints.on_save = save
    desk.put(1)
    desk.clock.at(30, lambda: desk.put(1, 1))
    with capture_logs() as logs:
        desk.run(stop_at=60)

    assert asked == [1, 5, 13, 30, 34]
    assert [entry["event"] for entry in logs] == ["checkpoint_away", "checkpoint_back"] * 2


def test_a_checkpoint_whose_answer_was_lost_is_saved_again_and_stays_as_it_is(desk: Desk) -> None:
    desk.put(2)
    desk.checkpoints.lost_answers = 1
    desk.run(stop_at=3)

    assert desk.checkpoints.attempts == 2
    assert [save.sequence for save in desk.checkpoints.saves] == [desk.processor.position()]


def test_a_soft_stop_tries_a_lost_checkpoint_a_few_times_and_then_leaves(desk: Desk) -> None:
    desk.put(2)
    desk.checkpoints.failing = [away(), away()]
    desk.run(stop_at=0.5)
    assert [save.sequence for save in desk.checkpoints.saves] == [desk.processor.position()]

    other = Desk()
    other.put(2)
    other.checkpoints.failing = [away() for _ in range(9)]
    assert other.run(stop_at=0.5) == StoppedSoftly()
    assert (other.checkpoints.attempts, other.ended_at) == (other.settings.stop_attempts, 0.5)


def test_the_end_of_a_shard_is_saved_for_as_long_as_it_takes(desk: Desk) -> None:
    desk.put(2)
    desk.stream.split(desk.shard)
    desk.checkpoints.failing = [away() for _ in range(20)]

    assert desk.run() == Ended()
    assert desk.checkpoints.rows[desk.shard].ended


def test_a_stop_while_the_end_cannot_be_saved_ends_at_once_and_claims_no_end(desk: Desk) -> None:
    desk.stream.split(desk.shard)
    desk.checkpoints.failing = [away() for _ in range(99)]
    reader = desk.reader()
    desk.clock.at(7.3, desk.stop.request)

    assert desk.drive(reader) == StoppedSoftly()
    assert desk.ended_at == 7.3
    assert reader.state is ShardState.ENDING


def test_a_stop_while_the_end_is_saved_at_the_last_moment_is_an_end(desk: Desk) -> None:
    desk.stream.split(desk.shard)
    desk.checkpoints.failing = [away() for _ in range(99)]
    desk.clock.at(7.3, lambda: (desk.checkpoints.failing.clear(), desk.stop.request()))

    assert desk.run() == Ended()
    assert desk.checkpoints.rows[desk.shard].ended


@pytest.mark.parametrize("error", [Refused("Another stream."), OwnershipLost("Gone."), Fatal("Denied.")])
def test_a_checkpoint_that_is_refused_ends_reading(desk: Desk, error: IsthmusError) -> None:
    desk.put(2)
    desk.checkpoints.failing = [error]

    assert desk.run() == Failed(error)
    assert desk.checkpoints.attempts == 1
