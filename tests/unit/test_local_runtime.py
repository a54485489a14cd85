"""All shards of a stream in one process: who starts when."""

from collections.abc import Mapping, Sequence

import pytest
from structlog.testing import capture_logs

from isthmus.attempts import AttemptsByPart
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.consumer.feed import Shard
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.errors import OwnershipLost
from isthmus.metrics import Metrics
from isthmus.retry import Backoff
from tests.fakes.runtime_world import LANES, Life, World
from tests.fakes.shard_life import away


def test_all_shards_are_read_side_by_side() -> None:
    world = World(shards=4)
    world.put_everywhere(10)
    life = Life(world).go(1)
    life.end()

    assert world.firsts() == world.sent
    assert {shard for shard, _ in life.started} == {shard.id for shard in world.stream.shards()}


def test_a_slow_shard_does_not_hold_up_the_others() -> None:
    world = World(shards=4)
    world.put_everywhere(3)
    slow = world.stream.open_shards()[0]
    life = Life(world, before=lambda shard, _: life.tasks.sleep(1000) if shard == slow else None)
    life.go(5)

    assert len(world.decided) == 3 * LANES * 3 // 4


def test_the_children_of_a_split_start_only_when_the_parent_is_done() -> None:
    world = World()
    (parent,) = world.stream.open_shards()
    world.put_everywhere(3)
    world.stream.split(parent)
    world.put_everywhere(3)
    life = Life(world, settings=LocalSettings(max_records=4)).go(5)
    life.end()

    assert life.started[0] == (parent, None)
    assert [shard == parent for shard, _ in world.decided] == [True] * 24 + [False] * 24
    assert world.firsts() == world.sent


def test_the_child_of_a_merge_starts_only_when_both_parents_are_done() -> None:
    world = World(shards=2)
    one, other = world.stream.open_shards()
    world.put_everywhere(2)
    child = world.stream.merge(one, other)
    world.put_everywhere(2)
    life = Life(world, before=lambda shard, _: life.tasks.sleep(3) if shard == other else None)
    life.go(20)
    assert child not in world.shards_decided()
    life.go(20)
    life.end()

    assert world.shards_decided() == [one, other, child]
    assert world.firsts() == world.sent


def test_children_start_within_a_tick_of_their_parents_end_although_the_shard_list_is_read_seldom() -> None:
    world = World()
    world.stream.split(world.stream.open_shards()[0])
    world.put_everywhere()
    Life(world, settings=LocalSettings(shard_sync_interval=1e6, tick=0.1)).go(1)

    assert world.firsts() == world.sent


def test_the_children_wait_while_the_end_of_their_parent_cannot_be_saved() -> None:
    world = World()
    (parent,) = world.stream.open_shards()
    world.put_everywhere()
    world.stream.split(parent)
    world.put_everywhere()
    world.checkpoints.failing = [away() for _ in range(8)]
    life = Life(world, settings=LocalSettings(shard_sync_interval=0.5)).go(1)
    assert world.shards_decided() == [parent]
    assert world.checkpoints.failing

    life.go(60)
    assert world.firsts() == world.sent


def test_a_reshard_is_seen_at_the_next_look_at_the_shard_list() -> None:
    world = World()
    life = Life(world, settings=LocalSettings(shard_sync_interval=10)).go(5)
    world.stream.split(world.stream.open_shards()[0])
    world.put_everywhere()
    life.go(11)

    assert world.firsts() == world.sent


def test_the_shard_list_is_read_no_more_often_than_its_interval() -> None:
    world = World()
    looks: list[float] = []
    read_all = world.checkpoints.read_all

    def counting() -> dict[str, ShardCheckpoint]:
        looks.append(world.clock.monotonic())
        return read_all()

    world.checkpoints.read_all = counting  # type: ignore[method-assign]
    Life(world, settings=LocalSettings(shard_sync_interval=10)).go(35)

    assert len(looks) == 4


def test_parents_come_before_children_across_a_restart_in_the_middle_of_a_parent() -> None:
    world = World()
    (parent,) = world.stream.open_shards()
    world.put_everywhere(3)
    left, right = world.stream.split(parent)
    world.put_everywhere(3)
    world.stream.merge(left, right)
    world.put_everywhere(3)
    settings = LocalSettings(max_records=5, checkpoint_interval=0.1)
    first = Life(world, settings=settings).go(0.5)
    first.kill()
    assert 0 < len(world.decided) < 24
    reached = world.checkpoints.rows[parent].sequence

    second = Life(world, settings=settings).go(20)
    second.end()

    assert second.started[0] == (parent, reached)
    assert world.firsts() == world.sent


def test_a_restart_after_a_parents_end_starts_its_children_and_not_the_parent() -> None:
    world = World()
    (parent,) = world.stream.open_shards()
    world.put_everywhere()
    children = world.stream.split(parent)
    Life(world).go(0.05).kill()
    assert world.checkpoints.rows[parent].ended

    life = Life(world).go(1)
    life.end()

    assert [shard for shard, _ in life.started] == list(children)


def test_a_restart_goes_on_after_the_checkpoint_with_its_counts() -> None:
    world = World()
    world.put(0, 3)
    Life(world).go(0.5).end()
    world.put(0, 2)
    Life(world).go(0.5).end()

    assert [record.data.decode() for _, record in world.decided] == world.sent[0]
    (row,) = world.checkpoints.rows.values()
    assert row.counts == {"applied": 5}


def test_a_kill_repeats_only_what_lies_after_the_last_checkpoint() -> None:
    world = World()
    life = Life(world, settings=LocalSettings(checkpoint_interval=1)).go(2)
    world.put(0, 3)
    life.go(0.5)
    world.put(0, 2)
    life.go(0.3).kill()
    Life(world).go(1).end()

    assert [record.data.decode() for _, record in world.decided] == [f"0:{n}" for n in (0, 1, 2, 3, 4, 3, 4)]


def test_every_checkpoint_lies_on_what_is_decided() -> None:
    world = World(shards=2)
    decided_at_save: list[bool] = []

    def check(checkpoint: ShardCheckpoint) -> None:
        done = {record.sequence for _, record in world.decided}
        held = [record.sequence for record in world.stream.records(checkpoint.shard)]
        upto = [name for name in held if int(name) <= int(checkpoint.sequence or 0)]
        decided_at_save.append(done >= set(held if checkpoint.ended else upto))

    world.checkpoints.on_save = check
    world.put_everywhere(10)
    world.stream.split(world.stream.open_shards()[0])
    life = Life(
        world,
        settings=LocalSettings(max_records=3, checkpoint_interval=0.1),
        before=lambda _shard, _record: life.tasks.sleep(0.03),
    )
    life.go(9).end()

    assert len(decided_at_save) > 5
    assert all(decided_at_save)


def test_a_parent_in_the_hands_of_a_reader_holds_its_children_back_even_when_retention_took_it() -> None:
    world = World(retention_seconds=50)
    (parent,) = world.stream.open_shards()
    world.put_everywhere()
    world.stream.split(parent)
    life = Life(world, before=lambda shard, _: life.tasks.sleep(15) if shard == parent else None)
    life.go(100)
    assert parent not in {shard.id for shard in world.stream.shards()}
    world.put_everywhere()
    assert [shard for shard, _ in life.started] == [parent]

    life.go(40)
    assert world.shards_decided()[0] == parent
    assert world.firsts() == world.sent


def test_a_shard_that_retention_took_before_its_end_is_named_once_and_its_children_are_read() -> None:
    world = World(retention_seconds=1000)
    (parent,) = world.stream.open_shards()
    world.put_everywhere()
    Life(world).go(0.5).end()
    world.put_everywhere()
    world.stream.split(parent)
    world.clock.move(1001)
    world.put_everywhere()
    with capture_logs() as logs:
        Life(world).go(50).end()

    assert [entry["shard"] for entry in logs if entry["event"] == "shard_trimmed_unread"] == [parent]
    assert len(world.decided) == 2 * LANES


def test_who_asked_to_be_told_of_shards_that_retention_took_is_told_instead_of_the_log() -> None:
    world = World(retention_seconds=1000)
    (parent,) = world.stream.open_shards()
    world.put_everywhere()
    Life(world).go(0.5).end()
    world.put_everywhere()
    world.stream.split(parent)
    world.clock.move(1001)
    told: list[str] = []
    with capture_logs() as logs:
        Life(world, trimmed=told.append).go(50).end()

    assert told == [parent]
    assert "shard_trimmed_unread" not in [entry["event"] for entry in logs]


def test_who_listens_is_told_of_shards_and_checkpoints_before_any_of_them_is_read() -> None:
    world = World(shards=2)
    world.put_everywhere()
    Life(world).go(5).end()
    told: list[tuple[list[str], dict[str, str | None], int]] = []

    def listed(shards: Sequence[Shard], saved: Mapping[str, ShardCheckpoint]) -> None:
        sequences = {name: each.sequence for name, each in saved.items()}
        told.append(([shard.id for shard in shards], sequences, len(life.started)))

    life = Life(world, listed=listed)
    life.go(5).end()

    names = world.stream.open_shards()
    assert told[0] == (names, {name: world.checkpoints.rows[name].sequence for name in names}, 0)


def test_a_shard_that_retention_takes_while_the_stream_is_away_is_named_and_its_children_are_read() -> None:
    world = World(retention_seconds=100)
    (parent,) = world.stream.open_shards()
    world.put_everywhere()
    life = Life(world, settings=LocalSettings(backoff=Backoff(first=300, most=300))).go(2)
    assert not world.checkpoints.rows[parent].ended
    world.stream.fail("fetch", away, times=3)
    world.put_everywhere()
    world.stream.split(parent)
    with capture_logs() as logs:
        life.go(1000)
        world.put_everywhere()
        life.go(20)
        life.end()

    assert [entry["shard"] for entry in logs if entry["event"] == "shard_trimmed_unread"] == [parent]
    assert world.firsts() == {lane: [f"{lane}:0", f"{lane}:2"] for lane in range(LANES)}


@pytest.mark.parametrize("part", ["stream", "checkpoint", "shard_list", "front_office"])
def test_what_one_runtime_found_away_the_next_one_finds_back_and_both_is_said_once(part: str) -> None:
    world = World()
    (shard,) = world.stream.open_shards()
    metrics = Metrics()
    attempts = AttemptsByPart(metrics, world.clock)
    label = part if part == "shard_list" else f"{part}/{shard}"

    def gauge() -> float | None:
        return metrics.registry.get_sample_value("isthmus_away", {"part": label})

    world.put_everywhere()
    if part == "stream":
        world.stream.fail("fetch", away, times=999)
    elif part == "checkpoint":
        world.checkpoints.failing = [away() for _ in range(999)]
    elif part == "shard_list":
        world.stream.fail("shards", away, times=999)
    failing = [away() for _ in range(999)] if part == "front_office" else []
    with capture_logs() as logs:
        first = Life(world, attempts=attempts, make_failing=failing).go(10)
        first.lost = True
        with pytest.raises(OwnershipLost):
            first.finish()
        assert gauge() == 1
        world.stream.mend()
        world.checkpoints.failing.clear()
        Life(world, attempts=attempts).go(30).end()

    assert [line["event"] for line in logs if line["event"].endswith(("_away", "_back"))] == [
        f"{part}_away",
        f"{part}_back",
    ]
    assert gauge() == 0
    assert world.firsts() == world.sent


def test_the_watches_of_a_shard_are_forgotten_with_its_end() -> None:
    world = World()
    (parent,) = world.stream.open_shards()
    metrics = Metrics()
    world.stream.fail("fetch", away, times=1)
    life = Life(world, attempts=AttemptsByPart(metrics, world.clock)).go(10)
    label = {"part": f"stream/{parent}"}
    assert metrics.registry.get_sample_value("isthmus_away", label) == 0
    world.stream.split(parent)
    life.go(20)
    life.end()
    assert metrics.registry.get_sample_value("isthmus_away", label) is None
