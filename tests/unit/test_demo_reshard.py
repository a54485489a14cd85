"""The demo's reshard: when each step is done, and how long it waits for what it closed."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.demo.reshard import MERGE, PATIENCE_SECONDS, SPLIT, Reshard, middle_of, neighbours
from isthmus.consumer.feed import Fetched, Shard
from isthmus.errors import Fatal, TargetDown
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock

STREAM = StreamIdentity("arn", "2013-01-01T00:00:00Z")
ALL = 2**128


class Kinesis:
    """A stream as Kinesis reshards it: refuses what comes while it is updated."""

    def __init__(self, shards: int) -> None:
        cuts = [ALL * number // shards for number in range(shards + 1)]
        self.listed = [
            Shard(f"s{number}", (), closed=False, first_hash=str(first), last_hash=str(behind - 1))
            for number, (first, behind) in enumerate(pairwise(cuts))
        ]
        self.updating = False
        self.fails: Exception | None = None
        self.saved: dict[str, ShardCheckpoint] = {}

    # as the client

    def describe_stream_summary(self, **_: Any) -> dict[str, Any]:
        now = datetime(2013, 1, 1, tzinfo=UTC)
        status = "UPDATING" if self.updating else "ACTIVE"
        summary = {"StreamARN": "arn", "StreamCreationTimestamp": now, "StreamStatus": status}
        return {"StreamDescriptionSummary": summary}

    def split_shard(self, *, ShardToSplit: str, NewStartingHashKey: str, **_: Any) -> None:  # noqa: N803 - the API's
        (old,) = self._close(ShardToSplit)
        lower = (old.first_hash, str(int(NewStartingHashKey) - 1))
        self._make([ShardToSplit], lower, (NewStartingHashKey, old.last_hash))

    def merge_shards(self, *, ShardToMerge: str, AdjacentShardToMerge: str, **_: Any) -> None:  # noqa: N803 - the API's
        one, other = self._close(ShardToMerge, AdjacentShardToMerge)
        assert int(one.last_hash) + 1 == int(other.first_hash), "their ranges do not touch"
        self._make([ShardToMerge, AdjacentShardToMerge], (one.first_hash, other.last_hash))

    def _close(self, *names: str) -> list[Shard]:
        assert not self.updating, "ResourceInUseException"
        if self.fails is not None:
            raise self.fails
        found = [shard for name in names for shard in self.listed if shard.id == name]
        assert not any(shard.closed for shard in found)
        self.listed = [shard._replace(closed=True) if shard.id in names else shard for shard in self.listed]
        self.updating = True
        return found

    def _make(self, parents: list[str], *ranges: tuple[str, str]) -> None:
        for first, last in ranges:
            name = f"s{len(self.listed)}"
            self.listed.append(Shard(name, tuple(parents), closed=False, first_hash=first, last_hash=last))

    # as the feed

    def shards(self) -> list[Shard]:
        return self.listed

    def iterator(self, shard: str, after: str | None) -> str:
        raise NotImplementedError

    def fetch(self, iterator: str, limit: int) -> Fetched:
        raise NotImplementedError

    def read(self) -> None:
        """Have all closed shards read to their end."""
        self.saved = {shard.id: ShardCheckpoint(shard.id, STREAM, ended=shard.closed) for shard in self.listed}

    @property
    def open(self) -> list[Shard]:
        return [shard for shard in self.listed if not shard.closed]


class Desk:
    def __init__(self, shards: int = 2) -> None:
        self.kinesis, self.clock, self.said = Kinesis(shards), FakeClock(), list[str]()
        self.reshard = Reshard(
            self.kinesis,  # type: ignore[arg-type]  # what is asked of a client
            "flights",
            self.kinesis,
            lambda: self.kinesis.saved,
            clock=self.clock,
            say=self.said.append,
        )

    def step(self, share: float) -> None:
        """Advance until the step in hand is done, the stream becoming active again each time."""
        for _ in range(2 + 2 * len(self.kinesis.open)):
            self.reshard.advance(share)
            self.kinesis.updating = False


def test_two_listedbecome_four_and_then_three_and_cover_everything_throughout() -> None:
    desk = Desk()
    desk.step(SPLIT.due)
    assert len(desk.kinesis.open) == 4
    desk.kinesis.read()
    desk.step(MERGE.due)
    desk.kinesis.read()
    desk.reshard.advance(1.0)
    assert desk.reshard.counts == [2, 4, 3]
    assert not desk.reshard.left()
    assert len(desk.reshard.drained()) == 4
    ranges = sorted((int(shard.first_hash), int(shard.last_hash)) for shard in desk.kinesis.open)
    assert ranges[0][0] == 0
    assert ranges[-1][1] == ALL - 1
    assert all(one[1] + 1 == other[0] for one, other in pairwise(ranges))


def test_no_step_begins_before_its_share_is_lived() -> None:
    desk = Desk()
    desk.step(SPLIT.due - 0.01)
    assert desk.reshard.counts == [2]
    desk.step(SPLIT.due)
    desk.kinesis.read()
    desk.step(MERGE.due - 0.01)
    assert desk.reshard.counts == [2, 4]
    assert desk.reshard.left()


def test_while_the_stream_is_updated_nothing_is_asked_of_it() -> None:
    desk = Desk()
    desk.reshard.advance(SPLIT.due)
    for _ in range(3):
        desk.reshard.advance(SPLIT.due)
        assert desk.kinesis.updating
    assert len(desk.kinesis.open) == 3
    desk.kinesis.updating = False
    desk.reshard.advance(SPLIT.due)
    assert len(desk.kinesis.open) == 4
    assert desk.reshard.counts == [2], "the step is not done before the stream is active"


def test_the_second_step_waits_until_what_the_first_one_closed_is_read_to_its_end() -> None:
    desk = Desk()
    desk.step(SPLIT.due)
    desk.step(MERGE.due)
    assert desk.reshard.counts == [2, 4]
    assert desk.reshard.horizon() == MERGE.horizon
    desk.kinesis.read()
    desk.clock.move(7)
    desk.step(MERGE.due)
    assert desk.reshard.counts == [2, 4, 3]
    assert desk.reshard.horizon() == 1.0
    assert "read to their end, 7.0 s later" in " ".join(desk.said)
    assert desk.reshard.left(), "the merged shards are not read yet"


def test_a_shard_that_is_never_read_to_its_end_is_named_and_ends_the_demo() -> None:
    desk = Desk(1)
    desk.step(SPLIT.due)
    desk.clock.move(PATIENCE_SECONDS)
    desk.reshard.advance(1.0)
    desk.clock.move(1)
    with pytest.raises(Fatal, match="not read to their end: s0"):
        desk.reshard.advance(1.0)


def test_a_kinesis_that_is_away_is_told_as_ours() -> None:
    desk = Desk()
    desk.reshard.advance(SPLIT.due)
    desk.kinesis.fails = EndpointConnectionError(endpoint_url="http://127.0.0.1:1")
    with pytest.raises(TargetDown):
        desk.reshard.advance(SPLIT.due)


@given(st.integers(0, ALL - 2), st.integers(1, ALL))
def test_a_split_leaves_something_on_both_sides(first: int, width: int) -> None:
    last = min(first + width, ALL - 1)
    middle = int(middle_of(Shard("s", (), closed=False, first_hash=str(first), last_hash=str(last))))
    assert first < middle <= last


@given(st.lists(st.integers(1, ALL - 1), min_size=1, max_size=8, unique=True), st.randoms())
def test_neighbours_touch_in_whatever_order_listedare_listed(cuts: list[int], chance: Any) -> None:
    edges = [0, *sorted(cuts), ALL]
    shards = [
        Shard(str(number), (), closed=False, first_hash=str(first), last_hash=str(behind - 1))
        for number, (first, behind) in enumerate(pairwise(edges))
    ]
    chance.shuffle(shards)
    one, other = neighbours(shards)
    assert int(one.last_hash) + 1 == int(other.first_hash)
