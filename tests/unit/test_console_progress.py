"""How far shards are and what was counted of them, where the Kinesis Client Library reads."""

from collections.abc import Mapping
from dataclasses import replace

from isthmus.checkpoint.kcl import SHARD_END, TRIM_HORIZON, KclLease
from isthmus.checkpoint.notes import Note
from isthmus.checkpoint.ports import HandOver, ShardCheckpoint
from isthmus.console.progress import checkpoints_of, counted
from tests.fakes.shard_life import STREAM

MADE = HandOver("table", STREAM, complete=True)
ELSEWHERE = replace(STREAM, created="2012-01-01T00:00:00Z")


def leases(**checkpoints: str) -> Mapping[str, KclLease]:
    return {name: KclLease(name, checkpoint) for name, checkpoint in checkpoints.items()}


def told(
    held: Mapping[str, KclLease], before: list[ShardCheckpoint], notes: list[Note]
) -> dict[str, tuple[str | None, bool, Mapping[str, int]]]:
    found = counted(
        checkpoints_of(held, MADE), MADE, {each.shard: each for each in before}, {each.shard: each for each in notes}
    )
    assert all(checkpoint.stream == STREAM for checkpoint in found.values())
    return {name: (each.sequence, each.ended, each.counts) for name, each in found.items()}


def test_leases_say_how_far_shards_are() -> None:
    assert told(leases(a="0042", b=SHARD_END, c=TRIM_HORIZON), [], []) == {
        "a": ("0042", False, {}),
        "b": (None, True, {}),
        "c": (None, False, {}),
    }


def test_what_both_runtimes_counted_is_added_up() -> None:
    before = [ShardCheckpoint("a", STREAM, "0040", counts={"applied": 3, "parked": 1})]
    notes = [Note("a", STREAM, counts={"applied": 4}), Note("b", STREAM, counts={"stale": 1})]
    assert told(leases(a="0042", b="7"), before, notes) == {
        "a": ("0042", False, {"applied": 7, "parked": 1}),
        "b": ("7", False, {"stale": 1}),
    }


def test_a_shard_at_its_end_keeps_its_counts_when_the_library_has_removed_its_lease() -> None:
    before = [ShardCheckpoint("a", STREAM, "0040", ended=True, counts={"applied": 3})]
    notes = [Note("b", STREAM, ended=True, counts={"applied": 4})]
    assert told({}, before, notes) == {"a": (None, True, {"applied": 3}), "b": (None, True, {"applied": 4})}


def test_a_shard_whose_lease_somebody_deleted_is_left_out() -> None:
    before = [ShardCheckpoint("a", STREAM, "0040", counts={"applied": 3})]
    assert told({}, before, [Note("a", STREAM, counts={"applied": 4})]) == {}


def test_what_was_counted_of_another_stream_is_not_told() -> None:
    before = [ShardCheckpoint("a", ELSEWHERE, "0040", ended=True, counts={"applied": 3})]
    notes = [Note("a", ELSEWHERE, ended=True, counts={"applied": 4}), Note("b", ELSEWHERE, ended=True)]
    assert told(leases(a="7"), before, notes) == {"a": ("7", False, {})}
