"""What every keeper of notes does. An adapter's test module derives from the class and provides the fixture `notes`."""

import contextlib
import threading
from collections.abc import Mapping
from dataclasses import replace

from isthmus.checkpoint.notes import Note, Notes, Telling
from isthmus.errors import Transient
from isthmus.stream import StreamIdentity

STREAM = StreamIdentity(arn="arn:aws:kinesis:us-east-1:000000000000:stream/flights", created="2013-01-01T00:00:00Z")
MADE_ANEW = replace(STREAM, created="2013-01-02T00:00:00Z")
SHARD = "shardId-000000000000"


def telling(
    number: int,
    until_ms: int | None = None,
    *,
    teller: str = "me",
    sequence: str | None = None,
    ended: bool = False,
    counts: Mapping[str, int] | None = None,
) -> Telling:
    return Telling(SHARD, STREAM, teller, number, until_ms, sequence, ended, counts or {})


def read(notes: Notes) -> Note:
    """Give the note without what the adapter's clock wrote."""
    (found,) = notes.read_all().values()
    assert found.updated
    return replace(found, updated="")


class NotesContract:
    def test_where_nothing_was_told_nothing_is_noted(self, notes: Notes) -> None:
        assert notes.read_all() == {}

    def test_what_was_told_is_read_back_whole(self, notes: Notes) -> None:
        notes.tell(telling(1, 1_700_000_000_123, sequence="0042", counts={"applied": 3, "stale": 1}))
        assert read(notes) == Note(
            SHARD, STREAM, 1_700_000_000_123, "0042", False, {"applied": 3, "stale": 1}, (("me", 1),)
        )

    def test_each_shard_has_a_note_of_its_own(self, notes: Notes) -> None:
        notes.tell(telling(1, 5))
        notes.tell(replace(telling(1, 6), shard="shardId-000000000001"))
        assert {shard: note.decided_until_ms for shard, note in notes.read_all().items()} == {
            SHARD: 5,
            "shardId-000000000001": 6,
        }

    def test_counts_are_added_once_however_often_they_are_told(self, notes: Notes) -> None:
        for _ in range(3):
            notes.tell(telling(1, counts={"applied": 3}))
        notes.tell(telling(2, counts={"applied": 2, "parked": 1}))
        notes.tell(telling(1, counts={"applied": 3}))
        notes.tell(telling(1, teller="you", counts={"applied": 10}))
        notes.tell(telling(2, counts={"applied": 2, "parked": 1}))
        assert read(notes).counts == {"applied": 15, "parked": 1}

    def test_a_moment_never_goes_back_and_keeps_its_sequence_number(self, notes: Notes) -> None:
        notes.tell(telling(1, 50, sequence="7"))
        notes.tell(telling(1, 40, sequence="9", teller="you", counts={"applied": 1}))
        notes.tell(telling(2, None, sequence="11", counts={"applied": 1}))
        found = read(notes)
        assert (found.decided_until_ms, found.sequence, found.counts) == (50, "7", {"applied": 2})

    def test_a_shards_end_stays(self, notes: Notes) -> None:
        notes.tell(telling(1, ended=True))
        notes.tell(telling(1, 40, teller="you"))
        assert read(notes).ended

    def test_a_note_of_another_stream_is_as_good_as_none(self, notes: Notes) -> None:
        notes.tell(telling(1, 50, sequence="7", ended=True, counts={"applied": 1}))
        notes.tell(replace(telling(1, 40), stream=MADE_ANEW))
        assert read(notes) == Note(SHARD, MADE_ANEW, 40, tellers=(("me", 1),))

    def test_of_many_that_tell_at_once_every_one_is_counted(self, notes: Notes) -> None:
        def tell(teller: str) -> None:
            for number in range(1, 6):
                said = False
                while not said:
                    with contextlib.suppress(Transient):
                        notes.tell(telling(number, teller=teller, counts={"applied": 1}))
                        said = True

        threads = [threading.Thread(target=tell, args=(teller,)) for teller in "abc"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert read(notes).counts == {"applied": 15}
