"""What a consumer says where records may be lost, and how it knows."""

import pytest
from structlog.testing import capture_logs

from isthmus.checkpoint.notes import Telling
from isthmus.console.bookkeeping import ASK_EVERY, Held
from isthmus.errors import TargetDown, Transient
from isthmus.stream import StreamIdentity
from tests.fakes.bookkeeping_desk import DAY, HOUR, Desk, desk
from tests.fakes.shard_life import STREAM

__all__ = ["desk"]

ELSEWHERE = StreamIdentity("arn:aws:kinesis:eu-central-1:1:stream/s", "2012-01-01T00:00:00Z")


def noted(desk: Desk) -> str:
    """Let a process read all that is there, and end. Give the checkpoint."""
    sequence = desk.put()
    desk.see(sequence)
    desk.decided()
    desk.look()
    return sequence


def test_a_stop_longer_than_retention_is_told_with_shard_and_range_and_counted(desk: Desk) -> None:
    sequence = noted(desk)
    since = desk.clock.now_ms()
    desk.clock.move(HOUR)
    desk.put()
    desk.clock.move(DAY + HOUR)
    kept = desk.put()
    desk.begin()
    # The reader is quicker than the first look.
    desk.see(sequence)
    desk.decided()
    (told,) = desk.look()
    assert told == {
        "event": "records_may_be_lost",
        "log_level": "error",
        "shard": desk.shard,
        "after": sequence,
        "since": "2013-01-01T00:00:00.000Z",
        "up_to": "2013-01-02T02:00:00.000Z",
        "oldest": kept,
        "final": False,
    }
    (ended,) = desk.look()
    assert ended == {**told, "final": True}
    assert desk.look() == []
    assert desk.lost() == 1
    assert (desk.notes.rows[desk.shard].decided_until_ms or 0) > since


def test_a_stop_shorter_than_retention_is_not_looked_into(desk: Desk) -> None:
    sequence = noted(desk)
    desk.clock.move(DAY - HOUR)
    desk.begin()
    desk.horizon.asked.clear()
    desk.see(sequence)
    assert desk.look() == []
    assert (desk.lost(), desk.horizon.asked) == (None, [])


def test_a_quiet_shard_that_was_read_all_the_time_has_lost_nothing(desk: Desk) -> None:
    sequence = noted(desk)
    for _ in range(100):
        desk.clock.move(HOUR)
        desk.see(sequence)
        desk.decided()
        assert desk.look() == []
    desk.begin()
    desk.see(sequence)
    assert desk.look() == []


def test_a_shard_that_nobody_has_noted_yet_is_judged_by_its_checkpoint(desk: Desk) -> None:
    sequence = desk.put()
    desk.see(sequence)
    assert desk.look() == []
    desk.clock.move(2 * DAY)
    desk.notes.rows.clear()
    desk.begin()
    desk.see(sequence)
    (told,) = desk.look()
    assert (told["after"], told["since"], told["oldest"]) == (sequence, None, None)


def test_without_a_note_the_checkpoint_before_the_first_read_counts(desk: Desk) -> None:
    sequence = desk.put()
    desk.clock.move(2 * DAY)
    desk.see(sequence)
    desk.see(desk.put())
    (told,) = desk.look()
    assert told["after"] == sequence


def test_a_note_of_another_stream_says_nothing(desk: Desk) -> None:
    desk.notes.tell(Telling(desk.shard, ELSEWHERE, "x", 1, decided_until_ms=1, sequence="1", ended=True))
    desk.see()
    assert desk.look() == []
    desk.books.trimmed(desk.shard)
    assert [line["event"] for line in desk.look()] == ["shard_trimmed_unread"]


def test_a_shard_that_comes_from_another_worker_is_judged_by_the_note_of_that_one(desk: Desk) -> None:
    sequence = desk.put()
    desk.see(sequence, mine=False)
    desk.look()
    for _ in range(3):
        # The other one reads on, and this one only sees it.
        desk.clock.move(DAY / 2)
        sequence = desk.put()
        desk.see(sequence, mine=False)
        assert desk.look() == []
    until_ms = desk.clock.now_ms()
    desk.notes.tell(Telling(desk.shard, STREAM, "other", 1, decided_until_ms=until_ms, sequence=sequence))
    desk.see(sequence)
    assert desk.look() == []
    desk.clock.move(2 * DAY)
    (told,) = desk.look()
    assert told["after"] == sequence


def test_a_child_is_judged_by_when_its_parent_was_read_to_its_end(desk: Desk) -> None:
    parent = desk.shard
    sequence = noted(desk)
    child, other = desk.stream.split(parent)
    ended = Held(sequence, ended=True)
    desk.books.see({parent: ended})
    desk.look()
    desk.clock.move(2 * DAY)
    desk.begin()
    # The stream no longer lists the parent.
    desk.books.see({child: Held(None, ended=False, parents=(parent,)), other: Held("7", ended=False, mine=False)})
    (told,) = desk.look()
    assert (told["shard"], told["after"], told["since"]) == (child, None, "2013-01-01T00:00:00.000Z")


def test_a_child_that_waits_for_its_parent_is_not_judged_before_its_turn(desk: Desk) -> None:
    parent = desk.shard
    sequence = noted(desk)
    child, _ = desk.stream.split(parent)
    reads = desk.notes.reads
    for _ in range(40):
        desk.clock.move(HOUR)
        desk.decided(parent)
        desk.books.see({parent: Held(sequence, ended=False), child: Held(None, ended=False, parents=(parent,))})
        assert desk.look() == []
    assert desk.notes.reads == reads
    desk.books.see({parent: Held(sequence, ended=True), child: Held(None, ended=False, parents=(parent,))})
    assert desk.look() == []


def test_shards_that_retention_took_whole_are_told_once_over_all_lives(desk: Desk) -> None:
    told = []
    for _ in range(3):
        desk.books.trimmed("shard-1", "shard-2")
        told.append([(line["event"], line["shard"]) for line in desk.look()])
        told.append([(line["event"], line["shard"]) for line in desk.look()])
        desk.begin()
    assert told == [[("shard_trimmed_unread", "shard-1"), ("shard_trimmed_unread", "shard-2")], [], [], [], [], []]
    desk.books.trimmed("shard-3")
    desk.look()
    assert desk.lost("shard-3") == 1


def test_one_shard_that_cannot_be_looked_into_does_not_keep_the_others_waiting() -> None:
    desk = Desk(shards=2)
    first, second = desk.stream.open_shards()
    sequences = [desk.put(0), desk.put(1)]
    desk.clock.move(2 * DAY)
    desk.books.see({name: Held(each, ended=False) for name, each in zip((first, second), sequences, strict=True)})
    desk.horizon.failing = [Transient("slow down")]
    with capture_logs() as logs, pytest.raises(Transient):
        desk.books.look()
    assert [line["shard"] for line in logs] == [second]
    assert [line["shard"] for line in desk.look()] == [first]


def test_retention_is_asked_for_once_a_minute_and_an_old_answer_will_do(desk: Desk) -> None:
    sequence = noted(desk)
    desk.retention = [TargetDown("away", cause="timeout")] * 3 + [48]
    desk.clock.move(ASK_EVERY)
    desk.decided()
    with pytest.raises(TargetDown):
        desk.look()
    assert desk.notes.rows[desk.shard].decided_until_ms == desk.clock.now_ms()
    desk.keep(3 * ASK_EVERY)
    # Once answered, again after a minute.
    assert desk.asked == [0, 60, 60, 65, 70, 130, 190]
    assert desk.notes.rows[desk.shard].sequence == sequence


def test_retention_that_was_lowered_takes_at_once(desk: Desk) -> None:
    noted(desk)
    desk.retention = [48]
    desk.begin()
    desk.see("7")
    desk.clock.move(DAY + HOUR)
    assert desk.look() == []
    desk.clock.move(ASK_EVERY)
    assert [line["event"] for line in desk.look()] == ["records_may_be_lost"]
