"""Whatever happens to the stream and to the process: each lane's records are decided in order, and none is lost."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.consumer.feed import Record
from isthmus.consumer.runtimes.settings import LocalSettings
from tests.fakes.runtime_world import LANES, Life, World
from tests.fakes.shard_life import away

_STEPS = (
    "put",
    "split",
    "merge",
    "kill",
    "stop",
    "throttle",
    "away",
    "expire",
    "empty",
    "fail_checkpoints",
    "lose_checkpoint_answers",
)


class History:
    """A world, the process that lives in it now, and a check at every checkpoint."""

    def __init__(self, seed: int, *, end_with_last_page: bool) -> None:
        self.chance = random.Random(seed)
        self.world = World(shards=2, end_with_last_page=end_with_last_page)
        self.world.checkpoints.on_save = self._check
        self.life = self._live()

    def step(self, what: str) -> None:
        getattr(self, what)()
        self.life.go(self.chance.choice([0.0, 0.05, 0.3, 1.5]))

    def put(self) -> None:
        for _ in range(self.chance.randint(1, 12)):
            self.world.put(self.chance.randrange(LANES))

    def split(self) -> None:
        opened = self.world.stream.open_shards()
        if len(opened) < 6:
            self.world.stream.split(self.chance.choice(opened))

    def merge(self) -> None:
        opened = self.world.stream.open_shards()
        if len(opened) > 1:
            index = self.chance.randrange(len(opened) - 1)
            self.world.stream.merge(opened[index], opened[index + 1])

    def kill(self) -> None:
        self.life.kill()
        self.life = self._live()

    def stop(self) -> None:
        self.life.end()
        self.life = self._live()

    def throttle(self) -> None:
        self.world.stream.throttle(self.chance.randint(1, 5))

    def away(self) -> None:
        self.world.stream.fail(self.chance.choice(["shards", "iterator", "fetch"]), away, self.chance.randint(1, 3))

    def expire(self) -> None:
        self.world.stream.expire_iterators()

    def empty(self) -> None:
        self.world.stream.answer_empty(self.chance.randint(1, 5))

    def fail_checkpoints(self) -> None:
        self.world.checkpoints.failing += [away()] * self.chance.randint(1, 4)

    def lose_checkpoint_answers(self) -> None:
        self.world.checkpoints.lost_answers += self.chance.randint(1, 3)

    def _live(self) -> Life:
        brisk = LocalSettings(max_records=3, shard_sync_interval=2.0, checkpoint_interval=0.3)
        return Life(self.world, settings=brisk, before=self._linger)

    def _linger(self, _shard: str, _record: Record) -> None:
        # A kill can then come between any two records of a page.
        if self.chance.random() < 0.3:
            self.life.tasks.sleep(self.chance.random() * 0.2)

    def _check(self, checkpoint: ShardCheckpoint) -> None:
        done = {record.sequence for _, record in self.world.decided}
        for record in self.world.stream.records(checkpoint.shard):
            if checkpoint.ended or int(record.sequence) <= int(checkpoint.sequence or 0):
                assert record.sequence in done, "a checkpoint lies beyond what is decided"


@given(
    seed=st.integers(0, 2**32),
    steps=st.lists(st.sampled_from(_STEPS), max_size=30),
    end_with_last_page=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_each_lane_is_decided_in_order_and_whole(seed: int, steps: list[str], *, end_with_last_page: bool) -> None:
    history = History(seed, end_with_last_page=end_with_last_page)
    for what in steps:
        history.step(what)
    history.life.go(200)
    history.life.end()

    assert history.world.firsts() == history.world.sent
