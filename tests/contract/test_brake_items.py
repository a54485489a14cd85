"""The park brake's notes and the tries of changes: on DynamoDB, as the embedded emulator plays it, and in memory."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from isthmus.checkpoint.brakecounts import BrakeCount, BrakeCounts, DynamoBrakeCounts, MemoryBrakeCounts
from isthmus.checkpoint.brakes import BrakeNote, BrakeNotes, MemoryBrakes, Word
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.tries import Tries, TriesInMemory
from isthmus.errors import Missing
from tests.fakes.clock import FakeClock

NOW = FakeClock().now_ms()
ON = BrakeNote("constraint", 1, Word.ON, "shard-0", "41", 1000, since_ms=1_000)


def released(note: BrakeNote) -> BrakeNote:
    return replace(note, word=Word.RELEASED, who="ada@office", why="the back office sent rubbish", until_ms=2_000)


class NotesContract:
    def test_a_brake_that_was_never_on_has_no_note(self, notes: BrakeNotes) -> None:
        assert notes.read_all() == {}
        with pytest.raises(Missing, match="never on for 'constraint'"):
            notes.let_off(released(ON))

    def test_a_note_is_read_as_it_was_written(self, notes: BrakeNotes) -> None:
        other = replace(ON, reason="value", shard="shard-1")
        assert (notes.put_on(ON), notes.put_on(other)) == (ON, other)
        assert notes.read_all() == {"constraint": ON, "value": other}

    def test_who_is_second_to_put_it_on_learns_of_the_first(self, notes: BrakeNotes) -> None:
        notes.put_on(ON)
        assert notes.put_on(replace(ON, shard="shard-7", since_ms=9_000)) == ON

    def test_of_many_who_put_it_on_at_once_one_stands_there(self, notes: BrakeNotes) -> None:
        with ThreadPoolExecutor(8) as pool:
            found = set(pool.map(lambda n: notes.put_on(replace(ON, shard=f"shard-{n}")), range(8)))
        assert len(found) == 1
        assert set(notes.read_all().values()) == found

    def test_a_release_says_who_when_and_why(self, notes: BrakeNotes) -> None:
        notes.put_on(ON)
        assert notes.let_off(released(ON)) == released(ON)
        assert notes.read_all()["constraint"] == released(ON)

    def test_the_first_release_stays_as_it_is(self, notes: BrakeNotes) -> None:
        notes.put_on(ON)
        notes.let_off(released(ON))
        assert notes.let_off(replace(released(ON), who="grace@office")) == released(ON)

    def test_another_time_has_another_number_and_nothing_of_the_release_before(self, notes: BrakeNotes) -> None:
        notes.put_on(ON)
        notes.let_off(released(ON))
        again = notes.put_on(replace(ON, since_ms=5_000))
        assert again == replace(ON, number=2, since_ms=5_000)
        assert notes.read_all()["constraint"] == again

    def test_a_release_of_the_time_before_releases_nothing(self, notes: BrakeNotes) -> None:
        notes.put_on(ON)
        notes.let_off(released(ON))
        again = notes.put_on(ON)
        assert notes.let_off(released(ON)) == again
        assert notes.read_all()["constraint"].word is Word.ON


class TestNotesOnDynamoDb(NotesContract):
    @pytest.fixture
    def notes(self, checkpoints: DynamoCheckpoints) -> BrakeNotes:
        return checkpoints.brakes


class TestNotesInMemory(NotesContract):
    @pytest.fixture
    def notes(self) -> BrakeNotes:
        return MemoryBrakes()


class CountsContract:
    def test_each_process_is_told_what_all_others_said_last(self, counts: BrakeCounts) -> None:
        assert counts.tell("constraint", "one", BrakeCount({NOW: 3})) == {}
        assert counts.tell("constraint", "other", BrakeCount({NOW: 4})) == {"one": BrakeCount({NOW: 3})}
        assert counts.tell("constraint", "one", BrakeCount({NOW: 5}, released=2)) == {"other": BrakeCount({NOW: 4})}
        assert counts.tell("constraint", "other", BrakeCount({NOW: 4})) == {"one": BrakeCount({NOW: 5}, released=2)}

    def test_what_is_said_twice_counts_once(self, counts: BrakeCounts) -> None:
        for _ in range(3):
            counts.tell("constraint", "one", BrakeCount({NOW: 3}))
        assert counts.tell("constraint", "other", BrakeCount()) == {"one": BrakeCount({NOW: 3})}

    def test_each_reason_is_told_apart(self, counts: BrakeCounts) -> None:
        counts.tell("constraint", "one", BrakeCount({NOW: 3}))
        assert counts.tell("value/of: a source", "other", BrakeCount({NOW: 4})) == {}

    def test_of_many_at_once_everybody_is_heard(self, counts: BrakeCounts) -> None:
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda n: counts.tell("constraint", f"p{n}", BrakeCount({NOW: n + 1})), range(20)))
        found = counts.tell("constraint", "last", BrakeCount({NOW: 1}))
        assert found == {f"p{n}": BrakeCount({NOW: n + 1}) for n in range(20)}


class TestCountsOnDynamoDb(CountsContract):
    @pytest.fixture
    def counts(self, checkpoints: DynamoCheckpoints) -> DynamoBrakeCounts:
        return DynamoBrakeCounts(checkpoints.brake_counts._table, FakeClock())

    def test_who_says_nothing_for_minutes_is_taken_away_in_the_same_request(self, counts: BrakeCounts) -> None:
        for number in range(25):
            counts.tell("constraint", f"dead{number}", BrakeCount({NOW - 700_000: 3}))
        counts.tell("constraint", "quiet", BrakeCount({NOW - 60_000: 3}))
        left = [len(counts.tell("constraint", "one", BrakeCount({NOW: 1}))) for _ in range(4)]
        assert sorted(left, reverse=True) == left
        assert counts.tell("constraint", "one", BrakeCount()) == {"quiet": BrakeCount({NOW - 60_000: 3})}

    def test_who_speaks_again_just_then_is_heard(self, counts: DynamoBrakeCounts) -> None:
        # As another process has it: it does not know what this one has seen.
        others = DynamoBrakeCounts(counts._table, FakeClock())
        others.tell("constraint", "back", BrakeCount({NOW - 700_000: 3}))
        counts.tell("constraint", "one", BrakeCount({NOW: 1}))
        others.tell("constraint", "back", BrakeCount({NOW: 9}))
        assert counts.tell("constraint", "one", BrakeCount({NOW: 2})) == {"back": BrakeCount({NOW: 9})}
        assert others.tell("constraint", "back", BrakeCount({NOW: 9})) == {"one": BrakeCount({NOW: 2})}

    def test_a_stream_that_is_made_anew_takes_them_with_it(self, checkpoints: DynamoCheckpoints) -> None:
        checkpoints.brake_counts.tell("constraint", "one", BrakeCount({NOW: 1}))
        checkpoints.stream.forget()
        assert checkpoints.brake_counts.tell("constraint", "other", BrakeCount({NOW: 1})) == {}


class TestCountsInMemory(CountsContract):
    @pytest.fixture
    def counts(self) -> BrakeCounts:
        return MemoryBrakeCounts()


class TriesContract:
    def test_tries_are_counted_for_each_change_until_it_is_settled(self, tries: Tries) -> None:
        assert [tries.failed("t1"), tries.failed("t1"), tries.failed("t2")] == [1, 2, 1]
        tries.settled("t1")
        tries.settled("t1")
        assert [tries.failed("t1"), tries.failed("t2")] == [1, 2]


class TestTriesOnDynamoDb(TriesContract):
    @pytest.fixture
    def tries(self, checkpoints: DynamoCheckpoints) -> Tries:
        return checkpoints.tries

    def test_what_one_process_counted_the_next_one_goes_on_with(self, checkpoints: DynamoCheckpoints) -> None:
        checkpoints.tries.failed("t1")
        assert checkpoints.tries.failed("t1") == 2


class TestTriesInMemory(TriesContract):
    @pytest.fixture
    def tries(self) -> Tries:
        return TriesInMemory()


def test_a_stream_that_is_made_anew_takes_the_brakes_notes_with_it(checkpoints: DynamoCheckpoints) -> None:
    checkpoints.brakes.put_on(ON)
    checkpoints.stream.forget()
    assert checkpoints.brakes.read_all() == {}
