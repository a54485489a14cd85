"""When the demo takes a resharded stream for read: every guess that would end it too early."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.demo.standing import decided_up_to, drained_of, not_done, outcome_counts
from isthmus.consumer.feed import Shard
from isthmus.stream import StreamIdentity

STREAM = StreamIdentity("arn", "2013-01-01T00:00:00Z")

# 2 shards, split into 4, of which the lowest two were merged.
SHARDS = [
    Shard("a", (), closed=True),
    Shard("b", (), closed=True),
    Shard("a1", ("a",), closed=True),
    Shard("a2", ("a",), closed=True),
    Shard("b1", ("b",), closed=False),
    Shard("b2", ("b",), closed=False),
    Shard("m", ("a1", "a2"), closed=False),
]
LAST = {"a": "10", "b": "20", "a1": "30", "b1": "9", "m": "50"}


def at(shard: str, sequence: str | None) -> ShardCheckpoint:
    return ShardCheckpoint(shard, STREAM, sequence)


def ended(shard: str) -> ShardCheckpoint:
    return ShardCheckpoint(shard, STREAM, ended=True)


def read() -> dict[str, ShardCheckpoint]:
    """Give the leases of a stream that is read to its end."""
    closed = {shard.id: ended(shard.id) for shard in SHARDS if shard.closed}
    return closed | {"b1": at("b1", "9"), "b2": at("b2", None), "m": at("m", "50")}


def test_a_stream_is_done_when_every_closed_shard_has_ended_and_every_open_one_reached_its_last_record() -> None:
    assert not_done(SHARDS, read(), LAST) == []
    assert drained_of(SHARDS, read()) == ["a", "b", "a1", "a2"]


@pytest.mark.parametrize("shard", [shard.id for shard in SHARDS if shard.closed])
def test_a_closed_shard_whose_last_record_is_decided_is_not_at_its_end(shard: str) -> None:
    saved = read() | {shard: at(shard, LAST.get(shard, "99"))}
    assert not_done(SHARDS, saved, LAST) == [shard]
    assert shard not in drained_of(SHARDS, saved)


@pytest.mark.parametrize(
    "shard, lease",
    [("b1", at("b1", "8")), ("m", at("m", None)), ("m", at("m", "9")), ("b2", None), ("b1", None)],
)
def test_an_open_shard_is_not_done_without_a_lease_or_behind_its_last_record(
    shard: str, lease: ShardCheckpoint | None
) -> None:
    saved = read()
    del saved[shard]
    if lease is not None:
        saved[shard] = lease
    assert shard in not_done(SHARDS, saved, LAST)


def test_places_are_compared_as_numbers() -> None:
    assert not_done(SHARDS, read() | {"b1": at("b1", "10")}, LAST) == []


def test_a_lease_that_was_removed_speaks_for_its_shard_once_all_its_children_have_theirs() -> None:
    saved = read()
    for removed in ("a", "a1", "a2"):
        del saved[removed]
    # The children of `a` are gone too, and their own child speaks for them.
    assert drained_of(SHARDS, saved) == ["a", "b", "a1", "a2"]
    del saved["m"]
    assert drained_of(SHARDS, saved) == ["b"]
    assert set(not_done(SHARDS, saved, LAST)) == {"a", "a1", "a2", "m"}


def test_a_parent_is_not_drained_while_one_of_its_children_has_no_lease() -> None:
    saved = read()
    del saved["b"], saved["b2"]
    assert "b" not in drained_of(SHARDS, saved)


@given(st.sets(st.sampled_from([shard.id for shard in SHARDS]), min_size=1))
def test_whatever_is_not_read_yet_the_stream_is_not_done(unread: set[str]) -> None:
    saved = read() | {shard: at(shard, None) for shard in unread if shard != "b2"}
    if unread != {"b2"}:
        assert set(not_done(SHARDS, saved, LAST)) == unread - {"b2"}


def test_without_a_reshard_every_checkpoint_must_reach_the_last_record() -> None:
    assert decided_up_to({"a": at("a", "10")}, {"a": "10"})
    assert decided_up_to({"a": ended("a")}, {"a": "10"})
    assert not decided_up_to({"a": at("a", "9")}, {"a": "10"})
    assert not decided_up_to({"a": at("a", None)}, {"a": "10"})
    assert not decided_up_to({}, {"a": "10"})


def test_outcomes_are_added_over_shards() -> None:
    saved = {
        "a": ShardCheckpoint("a", STREAM, counts={"applied": 2, "stale": 1}),
        "b": ShardCheckpoint("b", STREAM, counts={"applied": 3}),
    }
    assert outcome_counts(saved) == {"applied": 5, "stale": 1}
