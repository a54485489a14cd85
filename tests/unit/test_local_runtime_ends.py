"""How all shards of a stream end, and what waits instead of ending."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.consumer.feed import Record
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.errors import Fatal, IsthmusError, OwnershipLost, Refused
from tests.fakes.runtime_world import Life, World
from tests.fakes.shard_life import STREAM, away

# how it ends


def test_a_stop_ends_every_reader_and_saves_what_each_decided() -> None:
    world = World(shards=3)
    world.put_everywhere(3)
    life = Life(world).go(0.5)
    life.end()

    assert life.ended_at is not None
    assert life.ended_at < 0.6
    assert set(world.checkpoints.rows) == {shard.id for shard in world.stream.shards()}


def test_a_stop_before_the_start_starts_nothing() -> None:
    world = World()
    life = Life(world)
    life.end()

    assert life.started == []


@pytest.mark.parametrize("error", [Fatal("The store refuses."), Refused("Another stream."), OwnershipLost("Gone.")])
def test_one_failing_shard_stops_all_and_nothing_is_saved_any_more(error: IsthmusError) -> None:
    world = World(shards=4)
    world.put_everywhere(3)
    bad = world.stream.open_shards()[2]

    def fail(shard: str, _record: Record) -> None:
        if shard == bad:
            raise error

    life = Life(world, before=fail, settings=LocalSettings(checkpoint_interval=100))
    with pytest.raises(type(error)) as caught:
        life.finish()

    assert caught.value is error
    assert world.checkpoints.attempts == 0
    assert life.ended_at is not None
    assert life.ended_at < 0.3


def test_the_first_failure_is_the_one_that_is_raised() -> None:
    world = World(shards=2)
    world.put_everywhere()
    first, second = world.stream.open_shards()

    def fail(shard: str, _record: Record) -> None:
        if shard == second:
            life.tasks.sleep(5)
        raise Fatal(shard)

    life = Life(world, before=fail)
    with pytest.raises(Fatal, match=first):
        life.finish()


def test_an_error_that_no_contract_names_stops_all_too() -> None:
    world = World(shards=2)
    world.put_everywhere()

    def fail(_shard: str, _record: Record) -> None:
        raise ZeroDivisionError

    life = Life(world, before=fail)
    with pytest.raises(ZeroDivisionError):
        life.finish()
    assert world.checkpoints.attempts == 0


def test_a_final_checkpoint_that_is_refused_fails_the_stop() -> None:
    world = World()
    world.put(0)
    life = Life(world).go(0.5)
    world.checkpoints.failing = [Refused("Another stream.")]

    with pytest.raises(Refused):
        life.end()


def test_a_lost_lease_stops_everything_without_a_further_checkpoint() -> None:
    world = World(shards=4)
    world.put_everywhere(3)
    life = Life(world, settings=LocalSettings(checkpoint_interval=100)).go(0.5)
    life.lost = True
    with pytest.raises(OwnershipLost):
        life.finish()

    assert world.checkpoints.attempts == 0
    assert life.ended_at is not None
    assert life.ended_at < 0.7


def test_readers_see_for_themselves_that_the_lease_is_lost() -> None:
    world = World()
    life = Life(world, settings=LocalSettings(tick=100)).go(0.5)
    life.lost = True
    world.put_everywhere()
    life.go(50)

    assert (world.decided, world.checkpoints.attempts) == ([], 0)


def test_a_lease_lost_before_the_first_look_starts_nothing() -> None:
    life = Life(World())
    life.lost = True
    with pytest.raises(OwnershipLost):
        life.finish()

    assert life.started == []


def test_a_lease_lost_during_the_stop_is_raised() -> None:
    world = World()
    life = Life(world).go(0.5)
    world.clock.at(0.5, lambda: setattr(life, "lost", True))

    with pytest.raises(OwnershipLost):
        life.end()


def test_checkpoints_of_another_stream_are_refused_before_anything_is_read() -> None:
    world = World()
    (shard,) = world.stream.open_shards()
    stranger = replace(STREAM, created="2012-01-01T00:00:00Z")
    world.checkpoints.save(ShardCheckpoint(shard, stranger, "1"))
    life = Life(world)
    with pytest.raises(Refused, match="2012"):
        life.finish()

    assert life.started == []


# what is away


def test_a_shard_list_that_cannot_be_read_is_asked_for_again_and_said_once() -> None:
    world = World()
    world.put_everywhere()
    world.stream.fail("shards", away, times=3)
    world.checkpoints.read_failing = [away(), away()]
    with capture_logs() as logs:
        Life(world).go(30)

    assert world.firsts() == world.sent
    events = [entry["event"] for entry in logs if entry["event"].startswith("shard_list")]
    assert events == ["shard_list_away", "shard_list_back"]


def test_readers_go_on_while_the_shard_list_cannot_be_read() -> None:
    world = World()
    life = Life(world, settings=LocalSettings(shard_sync_interval=1)).go(0.5)
    world.stream.fail("shards", away, times=10_000)
    life.go(30)
    world.put_everywhere()
    life.go(1)

    assert world.firsts() == world.sent


def test_a_shard_list_that_is_refused_stops_everything() -> None:
    world = World()
    world.stream.fail("shards", lambda: Fatal("Access denied."))
    with pytest.raises(Fatal, match="denied"):
        Life(world).finish()


def test_a_store_that_is_away_when_a_shard_starts_is_waited_for() -> None:
    world = World()
    world.put_everywhere()
    with capture_logs() as logs:
        Life(world, make_failing=[away(), away()]).go(5)

    assert world.firsts() == world.sent
    assert [entry["event"] for entry in logs if entry["event"].endswith(("_away", "_back"))] == [
        "front_office_away",
        "front_office_back",
    ]


def test_a_stop_while_the_store_is_away_at_the_start_ends_at_once() -> None:
    world = World()
    life = Life(world, make_failing=[away() for _ in range(1000)]).go(5)
    life.end()

    assert life.ended_at is not None
    assert life.ended_at < 5.1
