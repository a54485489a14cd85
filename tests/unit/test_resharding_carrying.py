"""Carrying a plan out: whatever becomes of a step, the shards end as they are wanted, or it is told why not."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.console.resharding.carrying import Carrying, Seen
from isthmus.console.resharding.cover import HASH_SPACE, cover, even_cuts
from isthmus.console.resharding.plan import Step, plan
from isthmus.console.resharding.port import Objected
from isthmus.errors import UNKNOWN, Fatal, IsthmusError, Missing, Refused, TargetDown, Transient
from isthmus.lifecycle import Stopped
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.reshardable import AFTER, BEFORE, FakeShards


class World:
    """A stream, virtual time, and what was told."""

    def __init__(self, cuts: tuple[int, ...] = ()) -> None:
        self.clock = FakeClock()
        self.stop = FakeStop(self.clock)
        self.stream = FakeShards(self.clock, cuts)
        self.told: list[str] = []
        self.left: list[int] = []
        self.carrying = Carrying(self.stream, stop=self.stop, tell=self.told.append)

    def reach(self, count: int) -> Seen:
        def done(_step: Step, left: int) -> None:
            self.left.append(left)

        return self.carrying.reach(self.planned(), even_cuts(count), done)

    def planned(self) -> Seen:
        """Give what is there now, without a word."""
        return Seen(self.stream.listed, cover(self.stream.listed))


def test_each_step_is_taken_when_the_one_before_is_done() -> None:
    world = World()
    seen = world.reach(4)
    assert world.stream.sized() == [0.25] * 4
    assert [piece.share for piece in seen.pieces] == [0.25] * 4
    assert world.stream.asked == [
        "split shardId-000000000000",
        "split shardId-000000000001",
        "split shardId-000000000002",
    ]
    assert world.left == [2, 1, 0]
    assert "waiting for Kinesis: the stream is UPDATING" in world.told


def test_nothing_is_asked_where_all_is_as_wanted() -> None:
    world = World(even_cuts(4))
    world.reach(4)
    assert world.stream.asked == []


def test_a_stream_that_is_being_changed_by_somebody_is_waited_for() -> None:
    world = World()
    world.stream.status = "UPDATING"
    world.clock.at(60.0, lambda: setattr(world.stream, "status", "ACTIVE"))
    world.reach(2)
    assert world.stream.asked == ["split shardId-000000000000"]


def test_what_is_away_is_told_and_waited_for() -> None:
    world = World()
    away = [TargetDown("Nobody answers.")] * 3
    for failing in world.stream.failing.values():
        failing.extend(away)
    world.reach(2)
    assert world.stream.sized() == [0.5, 0.5]
    assert world.told.count("Nobody answers.") == 9, "state, shards and split"


@pytest.mark.parametrize("late", [0.0, 0.2, 2.0, 20.0])
def test_a_step_whose_answer_was_lost_is_not_taken_twice(late: float) -> None:
    world = World()
    world.stream.lost.append(AFTER)
    world.stream.late_by = late
    world.reach(4)
    assert world.stream.sized() == [0.25] * 4
    assert len(world.stream.shards()) == 7, "each shard was split once"


def test_a_request_that_was_lost_is_asked_for_again() -> None:
    world = World()
    world.stream.lost.extend([BEFORE, BEFORE])
    world.reach(2)
    assert world.stream.asked == ["split shardId-000000000000 before"] * 2 + ["split shardId-000000000000"]


def test_a_step_that_shows_late_is_not_asked_for_again() -> None:
    world = World()
    world.stream.shows_by = 10.0
    world.reach(2)
    assert world.stream.tried == ["split shardId-000000000000"]


def test_an_objection_may_be_that_a_step_whose_answer_was_lost_does_not_show_yet() -> None:
    world = World()
    world.stream.lost.append(AFTER)
    world.stream.stale_by = 3.0
    world.reach(2)
    assert world.stream.asked == ["split shardId-000000000000 after"]
    assert len(world.stream.tried) > 1
    assert world.stream.sized() == [0.5, 0.5]


def test_a_step_that_never_shows_is_given_up() -> None:
    world = World()
    world.stream.shows_by = 1e9
    with pytest.raises(Fatal, match="accepted a step that does not show"):
        world.reach(2)


@settings(deadline=None, max_examples=60)
@given(
    st.integers(1, 6).map(even_cuts),
    st.integers(1, 6),
    st.lists(st.sampled_from(["", BEFORE, AFTER]), max_size=6),
    st.floats(0, 30),
    st.floats(0, 200),
)
def test_whatever_is_lost_and_wherever_it_is_broken_off_running_it_again_ends_as_wanted(
    cuts: tuple[int, ...], count: int, lost: list[str], late: float, broken_off: float
) -> None:
    world = World(cuts)
    steps = len(plan(cuts, even_cuts(count)))
    world.stream.lost.extend(lost)
    world.stream.late_by = late
    world.clock.at(broken_off, world.stop.request)
    try:
        world.reach(count)
    except Stopped:
        again = Carrying(world.stream, stop=FakeStop(world.clock), tell=lambda _words: None)
        again.reach(again.look(), even_cuts(count), lambda _step, _left: None)
    assert world.stream.sized() == [1 / count] * count or max(world.stream.sized()) - min(world.stream.sized()) < 1e-9
    closed = sum(shard.closed for shard in world.stream.shards())
    merges = (len(cuts) - (count - 1) + steps) // 2
    assert closed == steps + merges, "no step was taken that was not in the plan"


def test_who_finds_others_at_work_stops_and_names_the_way_on() -> None:
    world = World(even_cuts(2))

    def meanwhile() -> None:
        world.stream.split("shardId-000000000001", HASH_SPACE // 4 * 3)

    world.stream.failing["split"].append(Transient("throttled", cause="throttled"))
    world.clock.at(0.1, meanwhile)
    with pytest.raises(Refused, match="Somebody else reshards"):
        world.reach(4)


def test_what_others_changed_since_the_plan_was_made_is_not_undone() -> None:
    world = World()
    planned = world.planned()
    world.stream.split("shardId-000000000000", 4711)
    with pytest.raises(Refused, match="has changed since the plan was made"):
        world.carrying.reach(planned, even_cuts(2), lambda _step, _left: None)
    assert world.stream.asked == ["split shardId-000000000000"], "by others"


def test_an_objection_is_raised_when_the_stream_has_not_changed() -> None:
    world = World()
    world.stream.failing["split"].extend([Objected("It is wrong.")] * 100)
    with pytest.raises(Objected, match="It is wrong"):
        world.reach(2)
    assert sum(world.stop.waits) < 10.0


@pytest.mark.parametrize("operation", ["state", "split"])
def test_an_error_that_nobody_knows_is_given_up_after_five_in_a_row(operation: str) -> None:
    world = World()
    world.stream.failing[operation].extend([Transient("What?", cause=UNKNOWN)] * 100)
    with pytest.raises(Fatal, match="5 times in a row: What"):
        world.reach(2)


@pytest.mark.parametrize(
    "error", [Fatal("These credentials may not."), Refused("The account may open no more shards."), Missing("gone")]
)
def test_what_no_repeat_mends_ends_it(error: IsthmusError) -> None:
    world = World()
    world.stream.failing["split"].append(error)
    with pytest.raises(type(error), match=error.message):
        world.reach(2)


def test_a_stream_on_demand_is_refused_before_anything_is_asked() -> None:
    world = World()
    world.stream.provisioned = False
    with pytest.raises(Refused, match="on demand"):
        world.reach(2)
    assert world.stream.asked == []


def test_a_stream_that_is_being_deleted_is_missing() -> None:
    world = World()
    world.stream.status = "DELETING"
    with pytest.raises(Missing, match="being deleted"):
        world.reach(2)


def test_a_stop_ends_the_waiting() -> None:
    world = World()
    world.stream.status = "UPDATING"
    world.clock.at(5.0, world.stop.request)
    with pytest.raises(Stopped):
        world.carrying.look()
