"""What a consumer notes beside its checkpoints, and what it says where records may be lost."""

from collections.abc import Mapping
from typing import Any

import pytest
from structlog.testing import capture_logs

from isthmus.attempts import Attempts
from isthmus.checkpoint.notes import Telling
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.bookkeeping import ASK_EVERY, LOOK_EVERY, Bookkeeping, Held, held_locally
from isthmus.console.tellings import NOTE_AFTER_MS
from isthmus.consumer.feed import Shard
from isthmus.errors import Fatal, Missing, TargetDown, Transient
from isthmus.metrics import Metrics
from isthmus.producer.sink import Entry
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.notes import FakeNotes, MemoryHorizon
from tests.fakes.shard_life import STREAM
from tests.fakes.stream import MemoryStream

HOUR = 3600.0
DAY = 24 * HOUR
ELSEWHERE = StreamIdentity("arn:aws:kinesis:eu-central-1:1:stream/s", "2012-01-01T00:00:00Z")


class Desk:
    """A stream, notes that outlive processes, and the books of one process after the other."""

    def __init__(self, *, shards: int = 1, counting: bool = True) -> None:
        self.clock = FakeClock()
        self.stream = MemoryStream(self.clock, shards=shards, lanes=shards, retention_seconds=DAY)
        self.notes = FakeNotes(self.clock)
        self.horizon = MemoryHorizon(self.stream)
        self.counting = counting
        self.retention: list[Any] = []
        """What the next questions after the retention are answered with; then 24."""
        self.asked: list[float] = []
        self.lives = 0
        self.begin()

    def begin(self) -> None:
        """Begin as a new process."""
        self.lives += 1
        self.metrics = Metrics()
        self.books = Bookkeeping(
            self.notes,
            self.horizon,
            STREAM,
            self.hours,
            teller=f"life-{self.lives}",
            counting=self.counting,
            clock=self.clock,
            metrics=self.metrics,
            watch=Attempts("notes", self.metrics, self.clock),
        )

    def hours(self) -> int:
        self.asked.append(self.clock.monotonic())
        answer = self.retention.pop(0) if self.retention else 24
        if isinstance(answer, Exception):
            raise answer
        return int(answer)

    @property
    def shard(self) -> str:
        return self.stream.open_shards()[0]

    def put(self, lane: int = 0) -> str:
        self.stream.put([Entry(lane, b"")])
        return self.stream.records(self.stream.open_shards()[lane])[-1].sequence

    def count(self, outcome: str, number: int = 1, shard: str = "") -> None:
        self.metrics.outcomes.labels(shard or self.shard, outcome).inc(number)

    def decided(self, shard: str = "") -> None:
        """Tell that all that arrived up to now is decided."""
        self.metrics.decided_until.labels(shard or self.shard).set(self.clock.now_ms() / 1000)

    def see(self, sequence: str | None = None, **more: Any) -> None:
        self.books.see({self.shard: Held(sequence, ended=False)._replace(**more)})

    def look(self) -> list[Mapping[str, Any]]:
        with capture_logs() as logs:
            self.books.look()
        return [dict(line) for line in logs]

    def lost(self, shard: str = "") -> float | None:
        return self.metrics.registry.get_sample_value("isthmus_lost_ranges_total", {"shard": shard or self.shard})

    def keep(self, seconds: float) -> list[Mapping[str, Any]]:
        """Let the task run for so long."""
        stop = FakeStop(self.clock)
        self.clock.at(self.clock.monotonic() + seconds, stop.request)
        with capture_logs() as logs:
            self.books.run(stop)
        return [dict(line) for line in logs]


@pytest.fixture
def desk() -> Desk:
    return Desk()


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


# records that may be lost


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
