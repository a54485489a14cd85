"""What every adapter of the checkpoint ports does. An adapter's test module derives from these classes.

It provides the fixture `checkpoints` (fresh and empty) and may use `STREAM`, `ME` and `lease` from here.
"""

import threading
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

import pytest

from isthmus.checkpoint.ports import (
    NO_STREAM,
    HandOver,
    HandOvers,
    Holder,
    Lease,
    Leases,
    ShardCheckpoint,
    ShardCheckpoints,
    StreamRecord,
    StreamRegistry,
)
from isthmus.errors import OwnershipLost, Refused
from isthmus.stream import StreamIdentity

STREAM = StreamIdentity(arn="arn:aws:kinesis:us-east-1:000000000000:stream/flights", created="2013-01-01T00:00:00Z")
STREAM_MADE_ANEW = replace(STREAM, created="2013-01-02T00:00:00Z")
ME = Holder("producer", "here", "boot", 42, "4711", "2013-01-01T00:00:00.000Z")
YOU = Holder("other", "there", "boot-2", 43, "4712", "2013-01-01T00:00:01.000Z")
NAME = "source/flights"
LONGEST = "49590338271490256608559692538361571095921575989136588898"
"""A sequence number of 56 digits (Kinesis API reference, PutRecord, example)."""


class Checkpoints(Protocol):
    """The ports of one application."""

    @property
    def leases(self) -> Leases: ...
    @property
    def shards(self) -> ShardCheckpoints: ...
    @property
    def stream(self) -> StreamRegistry: ...
    @property
    def hand_overs(self) -> HandOvers: ...


def lease(
    epoch: int = 1, holder: Holder | None = ME, *, name: str = NAME, watermark: str | None = None, step: int = 0
) -> Lease:
    return Lease(name=name, epoch=epoch, holder=holder, beat=0, stream=STREAM, watermark=watermark, step=step)


def plain(found: Lease | None) -> Lease | None:
    """Leave out what the adapter's clock wrote."""
    return None if found is None else replace(found, updated="")


def checkpoint(
    sequence: str | None, *, ended: bool = False, counts: Mapping[str, int] | None = None
) -> ShardCheckpoint:
    return ShardCheckpoint("shardId-000", STREAM, sequence, ended, counts or {})


def saved(shards: ShardCheckpoints) -> tuple[str | None, bool]:
    found = shards.read_all()["shardId-000"]
    return found.sequence, found.ended


class LeasesContract:
    def test_a_lease_that_nobody_took_is_none(self, checkpoints: Checkpoints) -> None:
        assert checkpoints.leases.read(NAME) is None

    def test_what_was_taken_is_read_back_whole(self, checkpoints: Checkpoints) -> None:
        taken = replace(lease(watermark="17"), generation=3, beat=5)
        checkpoints.leases.take(taken, None)
        found = checkpoints.leases.read(NAME)
        assert plain(found) == taken
        assert found is not None
        assert found.updated.endswith("Z")

    def test_a_lease_that_stands_cannot_be_taken_as_if_nothing_stood(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(), None)
        with pytest.raises(OwnershipLost):
            checkpoints.leases.take(lease(2, YOU), None)
        assert plain(checkpoints.leases.read(NAME)) == lease()

    def test_a_lease_that_is_gone_cannot_be_taken_as_it_was_seen(self, checkpoints: Checkpoints) -> None:
        with pytest.raises(OwnershipLost):
            checkpoints.leases.take(lease(2), lease(1))
        assert checkpoints.leases.read(NAME) is None

    def test_a_lease_that_was_taken_meanwhile_cannot_be_taken(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1), None)
        seen = checkpoints.leases.read(NAME)
        checkpoints.leases.take(lease(2, YOU), seen)
        with pytest.raises(OwnershipLost):
            checkpoints.leases.take(lease(3), seen)
        assert plain(checkpoints.leases.read(NAME)) == lease(2, YOU)

    def test_a_lease_whose_holder_beat_meanwhile_cannot_be_taken(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1), None)
        seen = checkpoints.leases.read(NAME)
        checkpoints.leases.beat(NAME, 1)
        with pytest.raises(OwnershipLost):
            checkpoints.leases.take(lease(2, YOU), seen)

    def test_of_many_that_take_at_once_one_wins(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1), None)
        seen = checkpoints.leases.read(NAME)
        at_once = threading.Barrier(4)
        won: list[int] = []

        def race(number: int) -> None:
            at_once.wait(10)
            try:
                checkpoints.leases.take(lease(2, replace(YOU, pid=number)), seen)
            except OwnershipLost:
                return
            won.append(number)

        racers = [threading.Thread(target=race, args=(number,)) for number in range(4)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(30)
        standing = checkpoints.leases.read(NAME)
        assert standing is not None
        assert standing.holder is not None
        assert won == [standing.holder.pid]

    def test_a_lease_is_taken_by_somebody(self, checkpoints: Checkpoints) -> None:
        with pytest.raises(ValueError, match="somebody"):
            checkpoints.leases.take(lease(1, None), None)

    def test_a_take_over_keeps_the_watermark_that_moved_after_it_was_seen(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        seen = checkpoints.leases.read(NAME)
        checkpoints.leases.advance(NAME, 1, "20")
        checkpoints.leases.take(lease(2, YOU, watermark="10"), seen)
        assert plain(checkpoints.leases.read(NAME)) == lease(2, YOU, watermark="20")

    def test_a_take_over_keeps_the_generation(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(replace(lease(1), generation=4), None)
        checkpoints.leases.take(lease(2, YOU), checkpoints.leases.read(NAME))
        standing = checkpoints.leases.read(NAME)
        assert standing is not None
        assert standing.generation == 4

    @pytest.mark.parametrize("watermark", [None, "5"])
    @pytest.mark.parametrize("holder", [None, YOU])
    def test_a_take_over_replaces_generation_and_watermark_where_it_asks_to(
        self, checkpoints: Checkpoints, holder: Holder | None, watermark: str | None
    ) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        checkpoints.leases.advance(NAME, 1, "11", step=1)
        resync = replace(lease(2, holder, watermark=watermark), generation=1)
        checkpoints.leases.take(resync, checkpoints.leases.read(NAME), replace=True)
        assert plain(checkpoints.leases.read(NAME)) == resync

    def test_a_resync_of_what_moved_meanwhile_changes_nothing(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        seen = checkpoints.leases.read(NAME)
        checkpoints.leases.beat(NAME, 1)
        with pytest.raises(OwnershipLost):
            checkpoints.leases.take(replace(lease(2, None), generation=1), seen, replace=True)
        assert plain(checkpoints.leases.read(NAME)) == replace(lease(1, watermark="10"), beat=1)

    def test_after_a_resync_the_old_owner_neither_advances_nor_beats(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        resync = replace(lease(2, None), generation=1)
        checkpoints.leases.take(resync, checkpoints.leases.read(NAME), replace=True)
        with pytest.raises(OwnershipLost, match="followed by 2 of generation 1"):
            checkpoints.leases.advance(NAME, 1, "11")
        with pytest.raises(OwnershipLost):
            checkpoints.leases.advance(NAME, 2, "11")
        with pytest.raises(OwnershipLost):
            checkpoints.leases.beat(NAME, 1)
        checkpoints.leases.give_back(NAME, 1)
        assert plain(checkpoints.leases.read(NAME)) == resync

    def test_whoever_owns_it_after_a_resync_has_its_generation_and_no_watermark(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        checkpoints.leases.take(replace(lease(2, None), generation=1), checkpoints.leases.read(NAME), replace=True)
        checkpoints.leases.take(lease(3, watermark="10"), checkpoints.leases.read(NAME))
        assert plain(checkpoints.leases.read(NAME)) == replace(lease(3), generation=1)

    def test_a_beat_raises_the_counter_and_nothing_else(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        checkpoints.leases.beat(NAME, 1)
        checkpoints.leases.beat(NAME, 1)
        assert plain(checkpoints.leases.read(NAME)) == replace(lease(1, watermark="10"), beat=2)

    def test_the_watermark_advances_and_nothing_else_changes(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1), None)
        checkpoints.leases.advance(NAME, 1, "10")
        checkpoints.leases.advance(NAME, 1, "10")
        assert plain(checkpoints.leases.read(NAME)) == lease(1, watermark="10")

    def test_a_save_of_the_watermark_that_arrives_late_changes_nothing(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1), None)
        checkpoints.leases.advance(NAME, 1, "20", step=2)
        checkpoints.leases.advance(NAME, 1, "10", step=1)
        assert plain(checkpoints.leases.read(NAME)) == lease(1, watermark="20", step=2)

    def test_a_new_owner_counts_its_saves_from_the_beginning(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1), None)
        checkpoints.leases.advance(NAME, 1, "20", step=9)
        checkpoints.leases.take(lease(2, YOU), checkpoints.leases.read(NAME))
        checkpoints.leases.advance(NAME, 2, "30", step=1)
        assert plain(checkpoints.leases.read(NAME)) == lease(2, YOU, watermark="30", step=1)

    def test_after_a_take_over_the_old_owner_neither_advances_nor_beats(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        checkpoints.leases.take(lease(2, YOU), checkpoints.leases.read(NAME))
        with pytest.raises(OwnershipLost, match="other"):
            checkpoints.leases.advance(NAME, 1, "11")
        with pytest.raises(OwnershipLost):
            checkpoints.leases.beat(NAME, 1)
        assert plain(checkpoints.leases.read(NAME)) == lease(2, YOU, watermark="10")

    def test_what_was_given_back_has_no_holder_and_keeps_the_rest(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        checkpoints.leases.give_back(NAME, 1)
        checkpoints.leases.give_back(NAME, 1)
        assert plain(checkpoints.leases.read(NAME)) == lease(1, None, watermark="10")

    def test_after_giving_back_nobody_beats_or_advances(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1, watermark="10"), None)
        checkpoints.leases.give_back(NAME, 1)
        with pytest.raises(OwnershipLost, match="given back"):
            checkpoints.leases.beat(NAME, 1)
        with pytest.raises(OwnershipLost):
            checkpoints.leases.advance(NAME, 1, "11")
        assert plain(checkpoints.leases.read(NAME)) == lease(1, None, watermark="10")

    def test_an_old_owner_gives_nothing_back(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(lease(1), None)
        checkpoints.leases.take(lease(2, YOU), checkpoints.leases.read(NAME))
        checkpoints.leases.give_back(NAME, 1)
        assert plain(checkpoints.leases.read(NAME)) == lease(2, YOU)

    def test_giving_back_what_is_not_there_makes_nothing(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.give_back(NAME, 1)
        assert checkpoints.leases.all() == []

    def test_beating_for_what_is_not_there_makes_nothing(self, checkpoints: Checkpoints) -> None:
        with pytest.raises(OwnershipLost, match="no longer there"):
            checkpoints.leases.beat(NAME, 1)
        assert checkpoints.leases.all() == []

    def test_all_leases_come_in_the_order_of_their_names(self, checkpoints: Checkpoints) -> None:
        for name in ("source/b", "worker/x", "source/a"):
            checkpoints.leases.take(lease(name=name), None)
        assert [found.name for found in checkpoints.leases.all()] == ["source/a", "source/b", "worker/x"]


class ShardCheckpointsContract:
    def test_nothing_saved_is_an_empty_answer(self, checkpoints: Checkpoints) -> None:
        assert checkpoints.shards.read_all() == {}

    @pytest.mark.parametrize("sequence", [LONGEST, "0", "000000000000000000000000000017", "0" * 130 + "7"])
    def test_a_sequence_number_comes_back_as_it_came(self, checkpoints: Checkpoints, sequence: str) -> None:
        given = checkpoint(sequence, counts={"applied": 7, "duplicate": 1})
        checkpoints.shards.save(given)
        found = checkpoints.shards.read_all()["shardId-000"]
        assert replace(found, updated="") == given
        assert found.updated.endswith("Z")

    def test_each_shard_has_its_own(self, checkpoints: Checkpoints) -> None:
        checkpoints.shards.save(checkpoint("5"))
        checkpoints.shards.save(replace(checkpoint("3"), shard="shardId-001"))
        assert {name: found.sequence for name, found in checkpoints.shards.read_all().items()} == {
            "shardId-000": "5",
            "shardId-001": "3",
        }

    @pytest.mark.parametrize(
        "behind, ahead",
        [
            (checkpoint(None), checkpoint("0")),
            (checkpoint("9"), checkpoint("10")),
            (checkpoint("0009"), checkpoint("10")),
            (checkpoint(LONGEST[:-1]), checkpoint(LONGEST)),
            (checkpoint(LONGEST), checkpoint(str(int(LONGEST) + 1))),
            (checkpoint("9" * 128), checkpoint("1" + "0" * 128)),
            (checkpoint("10"), checkpoint("10", ended=True)),
            (checkpoint("9" * 129), checkpoint(None, ended=True)),
        ],
    )
    def test_it_goes_forwards_and_never_backwards(
        self, checkpoints: Checkpoints, behind: ShardCheckpoint, ahead: ShardCheckpoint
    ) -> None:
        checkpoints.shards.save(behind)
        checkpoints.shards.save(ahead)
        assert saved(checkpoints.shards) == (ahead.sequence, ahead.ended)
        checkpoints.shards.save(behind)
        assert saved(checkpoints.shards) == (ahead.sequence, ahead.ended)

    def test_the_same_place_again_changes_nothing(self, checkpoints: Checkpoints) -> None:
        checkpoints.shards.save(checkpoint("10", counts={"applied": 3}))
        checkpoints.shards.save(checkpoint("0010", counts={"applied": 1}))
        found = checkpoints.shards.read_all()["shardId-000"]
        assert (found.sequence, found.counts) == ("10", {"applied": 3})

    @pytest.mark.parametrize("sequence", ["", "latest", "-1", "1.5", "٣", "1" * 130])
    def test_what_is_no_sequence_number_is_refused(self, checkpoints: Checkpoints, sequence: str) -> None:
        with pytest.raises(ValueError, match="no sequence number"):
            checkpoints.shards.save(checkpoint(sequence, ended=True))
        assert checkpoints.shards.read_all() == {}

    @pytest.mark.parametrize("sequence", ["1", "10", "11"])
    @pytest.mark.parametrize("other", [STREAM_MADE_ANEW, replace(STREAM, arn="arn:other")])
    def test_another_streams_checkpoint_is_refused_and_stays(
        self, checkpoints: Checkpoints, sequence: str, other: StreamIdentity
    ) -> None:
        checkpoints.shards.save(checkpoint("10"))
        with pytest.raises(Refused, match=r"isthmus setup --new-stream"):
            checkpoints.shards.save(replace(checkpoint(sequence), stream=other))
        assert saved(checkpoints.shards) == ("10", False)

    def test_of_many_that_save_at_once_the_farthest_stands(self, checkpoints: Checkpoints) -> None:
        at_once = threading.Barrier(4)

        def race(first: int) -> None:
            at_once.wait(10)
            for number in range(first, 24, 4):
                checkpoints.shards.save(checkpoint(str(number)))

        racers = [threading.Thread(target=race, args=(number,)) for number in range(4)]
        for racer in racers:
            racer.start()
        for racer in racers:
            racer.join(30)
        assert saved(checkpoints.shards) == ("23", False)


class StreamRegistryContract:
    def test_nothing_recorded_is_none(self, checkpoints: Checkpoints) -> None:
        assert checkpoints.stream.read() is None

    def test_it_is_written_once(self, checkpoints: Checkpoints) -> None:
        first = StreamRecord(STREAM, lanes=64)
        assert checkpoints.stream.record(first) == first
        assert checkpoints.stream.record(StreamRecord(STREAM_MADE_ANEW, lanes=32)) == first
        assert checkpoints.stream.read() == first

    def test_forgetting_leaves_nothing_and_may_be_repeated(self, checkpoints: Checkpoints) -> None:
        checkpoints.stream.record(StreamRecord(STREAM, lanes=64))
        checkpoints.leases.take(lease(1), None)
        checkpoints.leases.take(lease(1, name="worker/a"), None)
        checkpoints.shards.save(checkpoint("10"))
        checkpoints.shards.save(replace(checkpoint("10"), shard="shardId-001"))
        checkpoints.hand_overs.record(HandOver("leases", STREAM))
        checkpoints.stream.forget()
        checkpoints.stream.forget()
        assert checkpoints.stream.read() is None
        assert checkpoints.hand_overs.read() is None
        assert checkpoints.leases.all() == []
        assert checkpoints.shards.read_all() == {}

    def test_a_generation_that_was_raised_is_not_forgotten(self, checkpoints: Checkpoints) -> None:
        checkpoints.leases.take(replace(lease(7, watermark="10"), generation=2), None)
        checkpoints.leases.take(lease(1, name="worker/a"), None)
        for _ in range(2):
            checkpoints.stream.forget()
            kept = replace(lease(7, None), generation=2, stream=NO_STREAM)
            assert [plain(found) for found in checkpoints.leases.all()] == [kept]
        with pytest.raises(OwnershipLost):
            checkpoints.leases.advance(NAME, 7, "11")
        checkpoints.leases.take(lease(8), checkpoints.leases.read(NAME))
        assert plain(checkpoints.leases.read(NAME)) == replace(lease(8), generation=2)

    def test_after_forgetting_the_old_owner_has_lost_and_a_new_stream_may_come(self, checkpoints: Checkpoints) -> None:
        checkpoints.stream.record(StreamRecord(STREAM, lanes=64))
        checkpoints.leases.take(lease(1), None)
        checkpoints.shards.save(checkpoint("10"))
        checkpoints.stream.forget()
        with pytest.raises(OwnershipLost):
            checkpoints.leases.advance(NAME, 1, "10")
        checkpoints.shards.save(replace(checkpoint("1"), stream=STREAM_MADE_ANEW))
        assert saved(checkpoints.shards) == ("1", False)
        assert checkpoints.stream.record(StreamRecord(STREAM_MADE_ANEW, lanes=8)).lanes == 8
