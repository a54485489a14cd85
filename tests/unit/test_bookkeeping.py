"""What a consumer notes beside its checkpoints: counts and moments, whatever fails."""

import pytest
from structlog.testing import capture_logs

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.bookkeeping import LOOK_EVERY, Held, held_locally
from isthmus.console.tellings import NOTE_AFTER_MS
from isthmus.consumer.feed import Shard
from isthmus.errors import Fatal, Missing, TargetDown, Transient
from tests.fakes.bookkeeping_desk import Desk, desk
from tests.fakes.shard_life import STREAM

__all__ = ["desk"]


# counts


def test_what_was_counted_is_noted_as_it_grows_and_only_then(desk: Desk) -> None:
    desk.see()
    desk.count("applied", 3)
    desk.look()
    desk.look()
    desk.count("applied", 2)
    desk.count("stale")
    desk.look()
    assert [telling.counts for telling in desk.notes.told] == [{"applied": 3}, {"applied": 2, "stale": 1}]
    assert desk.notes.rows[desk.shard].counts == {"applied": 5, "stale": 1}


def test_what_the_processes_before_counted_stays(desk: Desk) -> None:
    for _ in range(3):
        desk.see()
        desk.count("applied", 2)
        desk.look()
        desk.begin()
    assert desk.notes.rows[desk.shard].counts == {"applied": 6}


def test_a_telling_whose_answer_was_lost_is_told_again_and_counted_once(desk: Desk) -> None:
    desk.see()
    desk.look()
    desk.count("applied", 3)
    desk.notes.failing, desk.notes.lost_answers = [TargetDown("away")], 1
    with pytest.raises(TargetDown):
        desk.look()
    desk.count("applied", 4)
    desk.look()
    desk.look()
    assert desk.notes.rows[desk.shard].counts == {"applied": 7}


def test_what_is_counted_after_the_last_look_is_noted_at_the_end(desk: Desk) -> None:
    desk.see()
    desk.look()
    desk.count("applied", 3)
    desk.books.last()
    assert desk.notes.rows[desk.shard].counts == {"applied": 3}


def test_the_end_of_the_run_does_not_wait_for_notes_that_are_away(desk: Desk) -> None:
    desk.count("applied", 3)
    desk.notes.failing = [TargetDown("away", cause="timeout")]
    with capture_logs() as logs:
        desk.books.last()
    assert [line["event"] for line in logs] == ["notes_away"]


def test_the_counts_of_a_shard_that_went_to_another_worker_are_still_noted(desk: Desk) -> None:
    desk.see()
    desk.count("applied", 3)
    desk.see(mine=False)
    desk.look()
    assert desk.notes.rows[desk.shard].counts == {"applied": 3}


def test_the_end_of_a_shard_is_noted_once_where_nobody_else_remembers_it(desk: Desk) -> None:
    shard = desk.shard
    for _ in range(3):
        desk.see(ended=True)
        desk.look()
    desk.books.see({})
    desk.look()
    assert desk.notes.rows[shard].ended
    assert len(desk.notes.told) == 1


def test_where_the_checkpoints_keep_the_counts_only_moments_are_noted() -> None:
    desk = Desk(counting=False)
    desk.see(ended=True)
    desk.count("applied", 3)
    desk.look()
    assert desk.notes.rows == {}
    desk.see(desk.put())
    desk.decided()
    desk.look()
    (note,) = desk.notes.rows.values()
    assert (note.counts, note.decided_until_ms) == ({}, desk.clock.now_ms())


# moments


def test_the_moment_up_to_which_a_shard_is_decided_is_noted_once_a_minute(desk: Desk) -> None:
    sequence = desk.put()
    desk.see(sequence)
    for _ in range(13):
        desk.decided()
        desk.look()
        desk.clock.move(10)
    moments = [telling.decided_until_ms or 0 for telling in desk.notes.told]
    assert [later - moments[0] for later in moments] == [0, NOTE_AFTER_MS, 2 * NOTE_AFTER_MS]
    assert desk.notes.rows[desk.shard].sequence == sequence


def test_a_worker_notes_no_moment_of_a_shard_that_is_anothers(desk: Desk) -> None:
    desk.see(desk.put(), mine=False)
    desk.decided()
    desk.look()
    assert desk.notes.rows == {}


# what fails


def test_what_is_away_is_said_once_and_done_when_it_is_back(desk: Desk) -> None:
    desk.see(desk.put())
    desk.count("applied", 3)
    desk.notes.failing = [TargetDown("away", cause="timeout") for _ in range(6)]
    logs = desk.keep(10 * LOOK_EVERY)
    assert [line["event"] for line in logs] == ["notes_away", "notes_back"]
    assert desk.notes.rows[desk.shard].counts == {"applied": 3}


@pytest.mark.parametrize(
    "error, why",
    [
        (Missing("no table"), "no table"),
        (Fatal("denied"), "denied"),
        (KeyError("a value of a row"), "KeyError"),
        (Transient("what is that", cause="unknown"), "An unknown error came 5 times in a row: what is that"),
    ],
)
def test_no_error_ends_the_task(desk: Desk, error: Exception, why: str) -> None:
    desk.see(desk.put())
    desk.count("applied", 3)
    desk.notes.failing = [error] * 12
    logs = desk.keep(20 * LOOK_EVERY)
    assert [line["why"] for line in logs if line["event"] == "notes_failed"] == [why]
    assert desk.notes.rows[desk.shard].counts == {"applied": 3}


# what the local runtime knows


def test_the_local_runtime_reads_every_shard_that_is_listed() -> None:
    shards = [Shard("a", (), closed=True), Shard("b", ("a",), closed=False), Shard("c", ("a",), closed=False)]
    saved = {
        "a": ShardCheckpoint("a", STREAM, "7", ended=True),
        "b": ShardCheckpoint("b", STREAM, "9"),
        "gone": ShardCheckpoint("gone", STREAM, "1"),
    }
    assert held_locally(shards, saved) == {
        "a": Held("7", ended=True),
        "b": Held("9", ended=False, parents=("a",)),
        "c": Held(None, ended=False, parents=("a",)),
    }
