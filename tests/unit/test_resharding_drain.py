"""Shards' lives as an operator sees them, and the wait until all parents are drained."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.resharding.application import Reading, Unread, age
from isthmus.console.resharding.cover import HASH_SPACE
from isthmus.console.resharding.drain import Draining
from isthmus.console.resharding.listing import rows
from isthmus.console.resharding.lives import Life, lives
from isthmus.consumer.feed import Fetched, Record, Shard, Trimmed
from isthmus.errors import IsthmusError, TargetDown
from isthmus.stream import StreamIdentity
from tests.fakes.clock import FakeClock

STREAM = StreamIdentity("arn", "2013-01-01T00:00:00Z")
LAST = str(HASH_SPACE - 1)


def shard(name: str, *parents: str, closed: bool = False) -> Shard:
    return Shard(name, parents, closed, "0", LAST)


def at(sequence: str | None, *, ended: bool = False) -> ShardCheckpoint:
    return ShardCheckpoint("", STREAM, sequence, ended=ended)


ENDED = at("9", ended=True)
FAMILY = [
    shard("one", closed=True),
    shard("two", closed=True),
    shard("both", "one", "two", closed=True),
    shard("left", "both"),
    shard("right", "both"),
]
"""Two were merged, and what came of it was split."""


@pytest.mark.parametrize(
    "saved, told",
    [
        ({}, {"one": "draining", "two": "draining", "both": "draining"}),
        ({"one": ENDED}, {"one": "drained", "two": "draining", "both": "draining"}),
        ({"one": ENDED, "two": at("3"), "both": at(None)}, {"one": "drained", "two": "draining", "both": "draining"}),
        ({"one": ENDED, "two": ENDED, "both": ENDED}, {"one": "drained", "two": "drained", "both": "drained"}),
        ({"left": at("1"), "right": at("1")}, {"one": "draining", "two": "draining", "both": "draining"}),
    ],
)
def test_a_closed_shard_is_drained_when_our_checkpoint_says_so(
    saved: dict[str, ShardCheckpoint], told: dict[str, str]
) -> None:
    found = lives(FAMILY, saved, by_leases=False)
    assert {name: life.value for name, life in found.items()} == told | {"left": "open", "right": "open"}


@pytest.mark.parametrize(
    "saved, told",
    [
        ({"both": at("3")}, {"one": "drained", "two": "drained", "both": "draining"}),
        ({"both": ENDED, "left": at(None)}, {"one": "drained", "two": "drained", "both": "drained"}),
        ({"left": at("1"), "right": at("1")}, {"one": "drained", "two": "drained", "both": "drained"}),
        ({"left": at("1")}, {"one": "draining", "two": "draining", "both": "draining"}),
        ({"one": at("1"), "left": at("1"), "right": at("1")}, {"one": "draining", "two": "drained", "both": "drained"}),
    ],
)
def test_the_library_removes_the_lease_of_a_shard_that_is_done_with(
    saved: dict[str, ShardCheckpoint], told: dict[str, str]
) -> None:
    found = lives(FAMILY, saved, by_leases=True)
    assert {name: life.value for name, life in found.items()} == told | {"left": "open", "right": "open"}


@pytest.mark.parametrize("by_leases", [True, False])
def test_what_retention_took_before_its_end_is_lost(by_leases: bool) -> None:  # noqa: FBT001 - a case
    saved = {"gone": ENDED, "early": at("3"), "left": at("1")}
    found = lives([shard("left", "gone", "early")], saved, by_leases=by_leases)
    assert found == {"early": Life.LOST, "gone": Life.TRIMMED, "left": Life.OPEN}


@dataclass
class Desk:
    """A stream to look into, and an application that remembers."""

    clock: FakeClock = field(default_factory=FakeClock)
    listed: Sequence[Shard] = field(default_factory=lambda: list(FAMILY))
    saved: dict[str, ShardCheckpoint] = field(default_factory=dict)
    owners: Mapping[str, str] = field(default_factory=dict)
    by_leases: bool = False
    awake: bool = True
    arrived: dict[str, int] = field(default_factory=dict)
    """When the oldest record after a shard's checkpoint arrived: milliseconds before now."""
    behind: dict[str, int] = field(default_factory=dict)
    trouble: dict[str, IsthmusError] = field(default_factory=dict)
    looked: list[tuple[str, str | None]] = field(default_factory=list)

    def shards(self) -> Sequence[Shard]:
        return self.listed

    def iterator(self, name: str, after: str | None) -> str:
        self.looked.append((name, after))
        return name

    def fetch(self, name: str, _limit: int) -> Fetched:
        if name in self.trouble:
            raise self.trouble[name]
        records = []
        if name in self.arrived:
            records.append(Record("5", b"", "lane-000", self.clock.now_ms() - self.arrived[name]))
        return Fetched(records, "next", self.behind.get(name, 0))

    def reading(self) -> Reading:
        return Reading(self.saved, self.owners, by_leases=self.by_leases, awake=self.awake)

    def following(self) -> Draining:
        return Draining(self, self, self.clock)


def test_an_application_that_never_read_the_stream_is_not_waited_for() -> None:
    desk = Desk(awake=False)
    drain = desk.following().look()
    assert (drain.never, drain.left, desk.looked) == (True, [], [])


def test_parents_are_counted_as_they_are_drained() -> None:
    desk = Desk(saved={"one": ENDED, "two": at("3")}, arrived={"two": 14_250})
    following = desk.following()
    assert [(each.shard, each.seen) for each in following.look(into_all=True).left] == [
        ("two", Unread(1, 14_250)),
        ("both", Unread(0, 0)),
    ]
    desk.saved["two"] = ENDED
    drain = following.look()
    assert (drain.done, drain.of, drain.words()) == (1, 2, "waiting for both: all read, not saved yet")
    desk.saved["both"] = ENDED
    drain = following.look()
    assert (drain.done, drain.of, drain.left, drain.words()) == (2, 2, [], "all parents are drained")


def test_one_shard_is_looked_into_each_time_by_turns() -> None:
    desk = Desk(saved={"one": ENDED, "two": at("3")})
    following = desk.following()
    for _ in range(4):
        following.look()
    assert sorted(desk.looked) == [("both", None)] * 2 + [("two", "3")] * 2


def test_parents_that_a_second_reshard_closes_meanwhile_are_waited_for_too() -> None:
    desk = Desk(saved=dict.fromkeys(("one", "two"), ENDED) | {"both": at("3")})
    following = desk.following()
    assert following.look().of == 1
    desk.saved["both"] = ENDED
    desk.listed = [*FAMILY[:3], shard("left", "both", closed=True), shard("right", "both"), shard("new", "left")]
    assert (following.look().done, following.look().of) == (1, 2)


def test_a_shard_that_goes_before_it_is_read_is_lost_and_not_done() -> None:
    desk = Desk(saved={"one": at("3"), "two": ENDED, "both": at(None), "gone long ago": at("1")})
    following = Draining(desk, desk, desk.clock, known={"two", "left"})
    assert (following.look().of, following.look().lost) == (2, [])
    desk.saved["left"] = at("7")
    desk.listed = FAMILY[1:3] + FAMILY[4:]
    drain = following.look()
    assert (drain.done, drain.of, drain.lost) == (0, 1, ["left", "one"])
    del desk.saved["left"], desk.saved["one"]
    assert following.look().lost == ["left", "one"], "what nobody has begun is lost too"
    desk.by_leases = True
    assert following.look().lost == [], "the library forgets who is done with"


def test_nobody_who_consumes_is_told() -> None:
    desk = Desk(saved={"one": at("3")}, awake=False, arrived={"one": 5000})
    words = desk.following().look(into_all=True).words()
    assert words == "waiting for one: 5.0 s behind; nobody consumes now: start `isthmus consume`"


def test_what_a_shard_does_not_say_stands_in_its_place() -> None:
    desk = Desk(saved={"one": at("3"), "two": ENDED, "both": ENDED}, trouble={"one": TargetDown("Nobody answers.")})
    following = desk.following()
    assert following.look().words() == "waiting for one: Nobody answers."


@pytest.mark.parametrize(
    "seen, words",
    [
        (None, "nobody knows how far behind"),
        (Unread(0, 0), "all read, not saved yet"),
        (Unread(0, 2500), "2.5 s behind"),
        (Unread(1, 3_600_000), "3,600.0 s behind"),
        (Trimmed("It is gone."), "It is gone."),
    ],
)
def test_how_far_behind_is_told_in_words(seen: Unread | IsthmusError | None, words: str) -> None:
    assert age(seen) == words


def test_the_list_tells_of_every_shard_what_is_known() -> None:
    desk = Desk(
        listed=[
            Shard("old", ("gone",), True, "0", LAST),
            Shard("low", ("old",), False, "0", str(HASH_SPACE // 4 - 1)),
            Shard("high", ("old",), False, str(HASH_SPACE // 4), LAST),
        ],
        saved={"old": at("3"), "gone": at("1"), "low": at(None)},
        owners={"old": "me"},
        by_leases=True,
        arrived={"old": 2000},
        trouble={"high": TargetDown("Nobody answers.")},
    )
    found = {row["id"]: row for row in rows(desk, desk.listed, desk.reading(), 8, desk.clock)}
    assert list(found) == ["gone", "old", "low", "high"]

    def told(name: str, *keys: str) -> list[Any]:
        return [found[name][key] for key in keys]

    assert told("gone", "state", "share", "lanes", "parents", "children") == ["lost", None, None, [], ["old"]]
    assert "records may be lost" in found["gone"]["trouble"]
    assert told("old", "state", "share", "parents", "children") == ["draining", 100.0, ["gone"], ["low", "high"]]
    assert told("old", "checkpoint", "undecided", "behind_ms", "owner") == ["3", 1, 2000, "me"]
    assert told("low", "state", "share", "lanes", "owner") == ["open", 25.0, [0, 1], None]
    assert told("low", "first_hash", "last_hash") == ["0", str(HASH_SPACE // 4 - 1)]
    assert told("high", "state", "undecided", "trouble") == ["open", None, "Nobody answers."]
    desk.saved["old"] = ENDED
    (old,) = [row for row in rows(desk, desk.listed, desk.reading(), 8, desk.clock) if row["id"] == "old"]
    assert (old["state"], old["undecided"], old["behind_ms"]) == ("drained", 0, 0)
