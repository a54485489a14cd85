"""Where shards begin under the Kinesis Client Library, and what is refused."""

import pytest

from isthmus.checkpoint.kcl import KclLease, lease_item, lease_of
from isthmus.checkpoint.ports import HandOver, ShardCheckpoint
from isthmus.console.kcl import beginning
from isthmus.consumer.feed import Shard
from isthmus.errors import Refused
from isthmus.stream import StreamIdentity

STREAM = StreamIdentity("arn:stream", "2026-01-01T00:00:00Z")
PARENT = Shard("shard-0", (), closed=True, first_hash="0", last_hash="99")
LEFT = Shard("shard-1", ("shard-0",), closed=False, first_hash="0", last_hash="49")
RIGHT = Shard("shard-2", ("shard-0",), closed=False, first_hash="50", last_hash="99")
OTHER = Shard("shard-3", (), closed=False, first_hash="100", last_hash="199")
SHARDS = [PARENT, LEFT, RIGHT, OTHER]


def saved(shard: str, sequence: str | None, *, ended: bool = False) -> ShardCheckpoint:
    return ShardCheckpoint(shard, STREAM, sequence, ended=ended)


def places(shards: list[Shard], local: dict[str, ShardCheckpoint], start: str) -> dict[str, str]:
    return {lease.shard: lease.checkpoint for lease in beginning.first_leases(shards, local, start)}


def test_a_new_application_begins_every_shard_at_its_oldest_record() -> None:
    assert places(SHARDS, {}, "trim-horizon") == dict.fromkeys(
        ["shard-0", "shard-1", "shard-2", "shard-3"], "TRIM_HORIZON"
    )


def test_one_that_begins_now_leaves_out_what_is_closed() -> None:
    assert places(SHARDS, {}, "latest") == dict.fromkeys(["shard-1", "shard-2", "shard-3"], "LATEST")


@pytest.mark.parametrize("start", ["trim-horizon", "latest"])
def test_what_the_local_runtime_had_read_goes_on_where_it_ended_whatever_start_says(start: str) -> None:
    local = {
        "shard-0": saved("shard-0", "00123", ended=True),
        "shard-1": saved("shard-1", "0042"),
        "shard-2": saved("shard-2", None),
    }
    assert places(SHARDS, local, start) == {
        "shard-0": "SHARD_END",
        "shard-1": "0042",
        "shard-2": "TRIM_HORIZON",
        "shard-3": "TRIM_HORIZON",
    }


def test_a_lease_says_whose_child_it_is_and_which_keys_it_takes() -> None:
    leases = beginning.first_leases(SHARDS, {}, "trim-horizon")
    assert leases[1] == KclLease("shard-1", "TRIM_HORIZON", parents=("shard-0",), first_hash="0", last_hash="49")
    assert [lease_of(lease_item(lease)) for lease in leases] == leases


def test_items_of_another_kind_are_no_leases() -> None:
    assert lease_of({"leaseKey": {"S": "Leader"}, "entityType": {"S": "LEADER"}}) is None
    assert lease_of({"leaseKey": {"S": "x"}, "checkpoint": {"N": "1"}}) is None


@pytest.mark.parametrize(
    "leases, gone",
    [
        (["shard-0", "shard-1", "shard-2", "shard-3"], []),
        (["shard-0", "shard-3"], []),
        (["shard-1", "shard-2", "shard-3"], []),
        (["shard-1", "shard-3"], ["shard-2"]),
        (["shard-0", "shard-1", "shard-2"], ["shard-3"]),
        ([], ["shard-1", "shard-2", "shard-3"]),
    ],
)
def test_a_lease_is_gone_where_neither_it_nor_a_parents_stands_for_an_open_shard(
    leases: list[str], gone: list[str]
) -> None:
    assert [shard.id for shard in beginning.missing(SHARDS, leases)] == gone


def test_a_lease_that_is_gone_is_refused_unless_somebody_agrees() -> None:
    with pytest.raises(Refused, match="no lease for shard-3") as refused:
        beginning.refuse_missing([OTHER], "leases", agreed=False)
    assert "--yes" in refused.value.hint
    beginning.refuse_missing([OTHER], "leases", agreed=True)
    beginning.refuse_missing([], "leases", agreed=False)
    assert [lease.checkpoint for lease in beginning.again([OTHER])] == ["TRIM_HORIZON"]


def test_an_application_under_another_name_is_refused() -> None:
    with pytest.raises(Refused, match="leases are in the table old") as refused:
        beginning.check_hand_over(HandOver("old", STREAM), "new", STREAM)
    assert 'table = "old"' in refused.value.hint
    beginning.check_hand_over(HandOver("old", STREAM), "old", STREAM)


def test_leases_of_a_stream_that_is_no_more_are_refused() -> None:
    with pytest.raises(Refused, match="belongs to the stream"):
        beginning.check_hand_over(HandOver("old", STREAM), "old", StreamIdentity(STREAM.arn, "2027-01-01T00:00:00Z"))


def test_another_applications_lease_table_is_refused() -> None:
    with pytest.raises(Refused, match="another application"):
        beginning.refuse_foreign("leases", ["shard-0"])
    beginning.refuse_foreign("leases", [])


def test_a_new_application_that_would_leave_out_what_is_there_is_refused_unless_somebody_agrees() -> None:
    with pytest.raises(Refused, match="never be applied"):
        beginning.refuse_latest(SHARDS, {}, "latest", agreed=False)
    beginning.refuse_latest(SHARDS, {}, "latest", agreed=True)
    beginning.refuse_latest(SHARDS, {}, "trim-horizon", agreed=False)
    beginning.refuse_latest(SHARDS, {"shard-0": saved("shard-0", "1")}, "latest", agreed=False)


def test_shards_that_were_not_read_to_their_end_and_that_the_stream_no_longer_lists_were_taken_by_retention() -> None:
    assert beginning.trimmed(SHARDS, ["shard-9", "shard-1", "shard-8"]) == ["shard-8", "shard-9"]
    assert beginning.trimmed(SHARDS, []) == []
