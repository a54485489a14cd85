"""A child of the Kinesis Client Library's daemon: what it answers, what it saves, and what it never does."""

import pytest

from isthmus.consumer.feed import Place, Record
from isthmus.consumer.runtimes.kcl.settings import ChildSettings
from isthmus.consumer.runtimes.kcl.states import ChildState
from isthmus.errors import Fatal
from isthmus.lifecycle import Stopped
from tests.fakes.kcl_daemon import SHARD, SHARD_END, FakeDaemon, records_of
from tests.fakes.kcl_desk import BATCH, BEGIN, ENDED, LOST, SHUTDOWN, ChildDesk, batch, empty
from tests.fakes.shard_life import away

MOMENT = "isthmus_shard_decided_until_timestamp_seconds"
EVERY = ChildSettings(checkpoint_interval=5.0, stop_patience=15.0)


def places(desk: ChildDesk) -> list[tuple[str, int]]:
    return [(place.sequence, place.sub_sequence) for place in desk.shard.obeyed]


def stop_before(desk: ChildDesk, name: str) -> None:
    """Ask to stop just before a record is decided."""

    def before(record: Record) -> None:
        if record.data.decode() == name:
            desk.stop.request()

    desk.decider.before = before


def test_a_batch_is_answered_when_all_of_it_is_decided() -> None:
    desk = ChildDesk(records_of(1, 1, 1))

    assert desk.run(BEGIN, BATCH) is ChildState.READING
    assert desk.names == desk.all_names()
    assert desk.daemon.answered == ["initialize", "processRecords"]


def test_the_processor_is_made_for_the_shard_and_its_checkpoint() -> None:
    desk = ChildDesk(records_of(1, 3))
    desk.run(BEGIN)
    desk.shard.checkpoint = Place("8", 1)
    desk.decided.extend(desk.shard.records[:3])
    desk.new_life()
    desk.run(BEGIN, BATCH)

    assert desk.made == [(SHARD, None), (SHARD, Place("8", 1))]
    assert desk.names == desk.all_names()


def test_a_front_office_that_is_away_at_first_is_waited_for() -> None:
    desk = ChildDesk(records_of(1))
    desk.make_failing = [away(), away()]

    assert desk.run(BEGIN, BATCH) is ChildState.READING
    assert desk.metric("isthmus_retries_total", part="front_office", cause="unreachable") == 2


def test_a_stop_ends_the_wait_for_the_front_office_and_nothing_is_decided() -> None:
    desk = ChildDesk(records_of(1))
    desk.make_failing = [away() for _ in range(1000)]
    desk.clock.at(3, desk.stop.request)

    assert desk.run(BEGIN, BATCH, SHUTDOWN, LOST) is ChildState.LOST
    assert (desk.names, desk.shard.obeyed) == ([], [])


def test_checkpoints_are_saved_no_oftener_than_the_interval() -> None:
    desk = ChildDesk(records_of(*[1] * 10), settings=EVERY)
    desk.lines.before = lambda: desk.clock.move(2)
    desk.run(BEGIN, *[batch(1)] * 10)

    assert places(desk) == [("9", 0), ("12", 0), ("15", 0)]


def test_a_checkpoint_is_at_the_place_that_came_letter_by_letter() -> None:
    desk = ChildDesk(records_of(3, first=7)[:2])
    desk.shard.records[1] = desk.shard.records[1]._replace(sequence="0000007")
    desk.run(BEGIN, BATCH)

    assert places(desk) == [("0000007", 1)]


def test_nothing_new_is_not_saved_again() -> None:
    desk = ChildDesk(records_of(1))
    desk.run(BEGIN, BATCH, empty, empty, SHUTDOWN)

    assert places(desk) == [("7", 0)]


def test_an_empty_batch_is_an_occasion_for_a_checkpoint() -> None:
    desk = ChildDesk(records_of(1), settings=EVERY)
    desk.run(BEGIN, BATCH)
    assert places(desk) == []

    desk.new_life()
    desk.lines.before = lambda: desk.clock.move(2)
    desk.run(BEGIN, BATCH, empty, empty, empty)
    assert places(desk) == [("7", 0)]


def test_records_that_come_again_move_no_checkpoint_back() -> None:
    desk = ChildDesk(records_of(1, 1, 1, 1, first=9))
    first, second, *_ = desk.shard.records
    desk.run(BEGIN, BATCH, lambda daemon: daemon.records([first, second]), SHUTDOWN)

    assert places(desk) == [("12", 0)]


@pytest.mark.parametrize("error", ["ThrottlingException", "KinesisClientLibDependencyException"])
def test_a_checkpoint_that_fails_for_a_while_is_asked_for_again_at_the_next_occasion(error: str) -> None:
    desk = ChildDesk(records_of(1, 1))
    desk.shard.errors = [error]
    desk.run(BEGIN, batch(1), batch(1))

    assert places(desk) == [("8", 0)]
    assert desk.daemon.answered == ["initialize", "processRecords", "processRecords"]


def test_a_checkpoint_refused_because_the_lease_is_gone_ends_all_effects() -> None:
    desk = ChildDesk(records_of(1, 1, 1))
    desk.shard.errors = ["ShutdownException"]

    assert desk.run(BEGIN, batch(1), batch(1), SHUTDOWN, LOST) is ChildState.LOST
    assert desk.names == ["0.0"]
    assert desk.shard.obeyed == []


def test_after_the_lease_is_lost_nothing_is_decided_or_saved() -> None:
    desk = ChildDesk(records_of(1, 1), settings=EVERY)

    assert desk.run(BEGIN, batch(1), LOST, batch(1), SHUTDOWN) is ChildState.LOST
    assert desk.names == ["0.0"]
    assert desk.shard.obeyed == []


def test_a_shutdown_saves_what_is_decided_and_nothing_more_is() -> None:
    desk = ChildDesk(records_of(1, 1), settings=EVERY)

    assert desk.run(BEGIN, batch(1), SHUTDOWN, batch(1), LOST) is ChildState.LOST
    assert desk.names == ["0.0"]
    assert places(desk) == [("7", 0)]


def test_a_stop_in_a_batch_saves_what_is_decided_and_latches() -> None:
    desk = ChildDesk(records_of(3, 3, 3), settings=EVERY)
    stop_before(desk, "1.1")

    assert desk.run(BEGIN, batch(6), batch(3), SHUTDOWN) is ChildState.STOPPING
    assert desk.names == ["0.0", "0.1", "0.2", "1.0", "1.1"]
    assert places(desk) == [("8", 1)]
    assert desk.daemon.answered == ["initialize", "processRecords", "processRecords", "shutdownRequested"]


def test_a_stop_between_batches_decides_nothing_more() -> None:
    desk = ChildDesk(records_of(1, 1), settings=EVERY)
    desk.lines.before = lambda: desk.stop.request() if desk.names else None

    assert desk.run(BEGIN, batch(1), batch(1)) is ChildState.STOPPING
    assert desk.names == ["0.0"]
    assert places(desk) == [("7", 0)]


def test_a_checkpoint_that_failed_at_a_stop_is_asked_for_again_at_the_shutdown() -> None:
    desk = ChildDesk(records_of(1, 1), settings=EVERY)
    stop_before(desk, "0.0")
    desk.shard.errors = ["ThrottlingException"]
    desk.run(BEGIN, BATCH, SHUTDOWN)

    assert places(desk) == [("7", 0)]


def test_the_end_of_a_shard_is_said_explicitly_and_only_there() -> None:
    desk = ChildDesk(records_of(2), settings=EVERY)

    assert desk.run(BEGIN, BATCH, ENDED) is ChildState.ENDED
    assert desk.shard.obeyed == [SHARD_END]


def test_a_shard_whose_last_record_is_saved_already_can_end() -> None:
    desk = ChildDesk(records_of(2))
    desk.run(BEGIN, BATCH)
    desk.new_life()

    assert desk.run(BEGIN, empty, ENDED) is ChildState.ENDED


def test_the_end_after_records_that_were_not_decided_is_not_answered() -> None:
    desk = ChildDesk(records_of(1, 1))
    stop_before(desk, "0.0")

    with pytest.raises(Fatal, match="not everything"):
        desk.run(BEGIN, BATCH, ENDED)
    assert "shardEnded" not in desk.daemon.answered
    assert SHARD_END not in desk.shard.obeyed


def test_the_end_of_a_shard_is_asked_for_until_it_is_saved() -> None:
    desk = ChildDesk(records_of(1))
    desk.shard.errors = []

    def end(daemon: FakeDaemon) -> bytes:
        desk.shard.errors = ["ThrottlingException"] * 4
        return daemon.shard_ended()

    assert desk.run(BEGIN, BATCH, end) is ChildState.ENDED
    assert desk.daemon.answered[-1] == "shardEnded"


def test_a_stop_before_the_end_is_saved_leaves_it_unanswered() -> None:
    desk = ChildDesk(records_of(1))

    def end(daemon: FakeDaemon) -> bytes:
        desk.shard.errors = ["ThrottlingException"] * 1000
        desk.stop.request()
        return daemon.shard_ended()

    with pytest.raises(Stopped):
        desk.run(BEGIN, BATCH, end)
    assert desk.daemon.awaiting == "shardEnded"


def test_a_lease_that_is_gone_at_the_shards_end_is_another_workers_end_to_save() -> None:
    desk = ChildDesk(records_of(1))

    def end(daemon: FakeDaemon) -> bytes:
        desk.shard.errors = ["ShutdownException"]
        return daemon.shard_ended()

    assert desk.run(BEGIN, BATCH, end) is ChildState.LOST


def test_a_stopped_shard_that_is_given_more_and_more_ends_its_process() -> None:
    desk = ChildDesk(records_of(*[1] * 30), settings=EVERY)
    desk.stop.request()
    desk.lines.before = lambda: desk.clock.move(1)

    with pytest.raises(Fatal, match="goes on"):
        desk.run(BEGIN, *[batch(1)] * 30)
    assert desk.daemon.answered.count("processRecords") == 16


def test_empty_batches_try_nobodys_patience() -> None:
    desk = ChildDesk(records_of(1), settings=EVERY)
    desk.stop.request()
    desk.lines.before = lambda: desk.clock.move(10)

    assert desk.run(BEGIN, *[empty] * 30, ENDED) is ChildState.ENDED


def test_how_far_behind_and_when_saved_is_told_while_it_lives_and_no_longer() -> None:
    desk = ChildDesk(records_of(1))
    seen: list[tuple[float | None, ...]] = []
    names = (
        "isthmus_shard_behind_seconds",
        "isthmus_shard_buffered_records",
        "isthmus_checkpoint_saved_timestamp_seconds",
    )
    desk.lines.before = lambda: seen.append(tuple(desk.metric(name, shard=SHARD) for name in names))
    desk.decider.before = lambda _record: desk.lines.before()
    desk.run(BEGIN, lambda daemon: daemon.batch(behind=2500), lambda daemon: daemon.records([], behind=None))

    assert seen[-1:] == [(2.5, 0, desk.clock.now_ms() / 1000)]
    assert [behind for behind, buffered, _ in seen if buffered == 1] == [2.5]
    assert [desk.metric(name, shard=SHARD) for name in names] == [None, None, None]


def test_up_to_when_a_shard_is_decided_is_told_while_it_lives_and_no_longer() -> None:
    desk = ChildDesk(records_of(1, 1, 1))
    told: list[float | None] = []
    desk.lines.before = lambda: told.append(desk.metric(MOMENT, shard=SHARD))
    desk.run(BEGIN, batch(2), empty, batch(1))

    assert told == [None, None, 1.001, 1.001, 1.002]
    assert desk.metric(MOMENT, shard=SHARD) is None


def test_what_a_stop_left_undecided_moves_no_moment() -> None:
    desk = ChildDesk(records_of(1, 1, 1))
    stop_before(desk, "1.0")
    told: list[float | None] = []
    desk.lines.before = lambda: told.append(desk.metric(MOMENT, shard=SHARD))
    desk.run(BEGIN, BATCH, empty)

    assert told[-1] is None


def test_a_child_that_decided_nothing_takes_its_series_away_too() -> None:
    desk = ChildDesk()
    desk.run(BEGIN, empty)
    assert desk.metric(MOMENT, shard=SHARD) is None


def test_what_was_counted_is_told_before_each_checkpoint_and_never_after_the_last() -> None:
    desk = ChildDesk(records_of(1, 1, 1))
    order: list[str] = []
    desk.before_checkpoint = lambda: order.append(f"told {len(desk.decided)}")
    desk.shard.on_checkpoint = lambda place: order.append(f"saved {place.sequence}")
    desk.new_life()
    desk.run(BEGIN, batch(2), batch(1), ENDED)

    assert order == ["told 2", "saved 8", "told 3", "saved 9", "told 3", "saved SHARD_END"]


def test_a_question_is_open_only_until_its_answer() -> None:
    desk = ChildDesk(records_of(1))
    seen: list[bool] = []
    desk.decider.before = lambda _record: seen.append(desk.child.answering)
    write = desk.lines.write_line

    def noting(line: bytes) -> None:
        seen.append(desk.child.answering)
        write(line)

    desk.lines.write_line = noting  # type: ignore[method-assign]  # to see when
    desk.run(BEGIN, BATCH)

    assert seen == [False, True, True, False]
