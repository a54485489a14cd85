"""A stream, checkpoints and decided records that outlive the processes that read them, on virtual time."""

import random
from collections.abc import Callable
from typing import Any

from isthmus.attempts import AttemptsByPart
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.consumer.feed import Record
from isthmus.consumer.runtimes.local import LocalRuntime
from isthmus.consumer.runtimes.settings import LocalSettings
from isthmus.metrics import Metrics
from isthmus.producer.sink import Entry
from tests.fakes.clock import FakeClock
from tests.fakes.greenlets import Greenlets, GreenTask
from tests.fakes.shard_life import STREAM, FakeCheckpoints, FakeProcessor
from tests.fakes.stream import MemoryStream

LANES = 8


class World:
    """What stays when a process goes. `decided` holds (shard, record) in the order of deciding, over all lives."""

    def __init__(self, *, shards: int = 1, **stream: Any) -> None:
        self.clock = FakeClock()
        self.stream = MemoryStream(self.clock, shards=shards, lanes=LANES, **stream)
        self.checkpoints = FakeCheckpoints(self.clock)
        self.decided: list[tuple[str, Record]] = []
        self.sent: dict[int, list[str]] = {lane: [] for lane in range(LANES)}

    def put(self, lane: int, count: int = 1) -> None:
        for _ in range(count):
            text = f"{lane}:{len(self.sent[lane])}"
            self.sent[lane].append(text)
            self.stream.put([Entry(lane, text.encode())])

    def put_everywhere(self, count: int = 1) -> None:
        for lane in range(LANES):
            self.put(lane, count)

    def firsts(self) -> dict[int, list[str]]:
        """Give what was decided by lane, each record where it was decided first."""
        found: dict[int, list[str]] = {lane: [] for lane in range(LANES)}
        for text in dict.fromkeys(record.data.decode() for _, record in self.decided):
            found[int(text.split(":")[0])].append(text)
        return found

    def shards_decided(self) -> list[str]:
        """Give the shards in the order in which something of them was decided first."""
        return list(dict.fromkeys(shard for shard, _ in self.decided))


class Life:
    """One process with a local runtime."""

    def __init__(
        self,
        world: World,
        *,
        settings: LocalSettings | None = None,
        before: Callable[[str, Record], object] = lambda _shard, _record: None,
        make_failing: list[Exception] | None = None,
        checkpoints: Any = None,
        attempts: AttemptsByPart | None = None,
        **more: Any,
    ) -> None:
        self.world = world
        self.tasks = Greenlets(world.clock)
        self.metrics = Metrics()
        self.lost = False
        self.started: list[tuple[str, str | None]] = []
        self.ended_at: float | None = None
        self._before = before
        self._make_failing = make_failing or []
        self._runtime = LocalRuntime(
            feed=world.stream,
            checkpoints=checkpoints or world.checkpoints,
            stream=STREAM,
            make_processor=self._make,
            spawn=self.tasks,
            stop=self.tasks,
            lost=lambda: self.lost,
            clock=world.clock,
            chance=random.Random(1),
            metrics=self.metrics,
            attempts=attempts or AttemptsByPart(self.metrics, world.clock),
            settings=settings or LocalSettings(),
            **more,
        )
        self.task: GreenTask[None] = self.tasks("runtime", self._run)

    def go(self, seconds: float) -> "Life":
        """Let time pass. Raises what the runtime raised meanwhile."""
        self.world.clock.move(seconds)
        if self.task.done():
            self.task.result()
        return self

    def end(self) -> None:
        """Stop softly and wait for it. Raises what the runtime raises."""
        self.tasks.request()
        self.finish()

    def finish(self) -> None:
        """Wait until the runtime has ended. Raises what it raises."""
        for _ in range(1000):
            if self.task.done():
                break
            self.world.clock.move(0.5)
        assert self.task.done(), "the runtime never ends"
        self.task.result()

    def kill(self) -> None:
        """End the process as SIGKILL does."""
        self.tasks.kill()

    def _run(self) -> None:
        try:
            self._runtime.run()
        finally:
            self.ended_at = self.world.clock.monotonic()

    def _make(self, shard: str, checkpoint: ShardCheckpoint | None) -> FakeProcessor:
        if self._make_failing:
            raise self._make_failing.pop(0)
        self.started.append((shard, checkpoint.sequence if checkpoint else None))
        processor = FakeProcessor(counts=checkpoint.counts if checkpoint else None)

        def note(record: Record) -> None:
            self._before(shard, record)
            self.world.decided.append((shard, record))

        processor.before = note
        return processor
