"""A child on virtual time, before a fake daemon, with a decider that notes what it did."""

import logging
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import structlog

from isthmus.attempts import AttemptsByPart
from isthmus.consumer.feed import Place, Record
from isthmus.consumer.runtimes.kcl.child import Child
from isthmus.consumer.runtimes.kcl.settings import ChildSettings
from isthmus.consumer.runtimes.kcl.states import ChildState
from isthmus.lifecycle import Stopped
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.kcl_daemon import SHARD_END, FakeDaemon, FakeShard, order

Ask = Callable[[FakeDaemon], bytes]
"""A question of the daemon, made when its turn comes."""

BEGIN: Ask = FakeDaemon.initialize
BATCH: Ask = FakeDaemon.batch
LOST: Ask = FakeDaemon.lease_lost
SHUTDOWN: Ask = FakeDaemon.shutdown_requested
ENDED: Ask = FakeDaemon.shard_ended


@contextmanager
def quiet() -> Iterator[None]:
    """Log nothing meanwhile: thousands of lives are nothing to read."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    yield
    structlog.configure(**before)


def batch(count: int) -> Ask:
    return lambda daemon: daemon.batch(count)


def empty(daemon: FakeDaemon) -> bytes:
    return daemon.records([])


class ScriptedLines:
    """The line to a fake daemon that asks by a script."""

    def __init__(self, daemon: FakeDaemon, script: Sequence[Ask]) -> None:
        self.daemon = daemon
        self.script = list(script)
        self.before: Callable[[], object] = lambda: None
        """Called before each question."""
        self._answers: list[bytes] = []

    def read_line(self) -> bytes | None:
        if self._answers:
            return self._answers.pop(0)
        assert self.daemon.awaiting is None, "the child waits for a question before it has answered the last one"
        self.before()
        if self.daemon.failed or not self.script:
            return None
        return self.script.pop(0)(self.daemon) + b"\n"

    def write_line(self, line: bytes) -> None:
        assert b"\n" not in line
        answer = self.daemon.hear(line)
        if answer is not None:
            self._answers.append(answer)


class NotingDecider:
    """Decides records one by one; a stop ends it after a record, as it ends the shard processor after a batch."""

    def __init__(self, decided: list[Record], stop: FakeStop) -> None:
        self.decided = decided
        """Outlives it, as a store does."""
        self.before: Callable[[Record], object] = lambda _record: None
        """Called before each record; what it raises, `process` raises."""
        self._stop = stop
        self._place: Place | None = None

    def process(self, records: Sequence[Record]) -> None:
        for record in records:
            self.before(record)
            self.decided.append(record)
            self._place = record.place
            if self._stop.requested() and record is not records[-1]:
                raise Stopped

    def place(self) -> Place | None:
        return self._place


class ChildDesk:
    """A shard with its records and everything decided, over the lives of many children."""

    def __init__(self, records: Sequence[Record] = (), *, settings: ChildSettings | None = None) -> None:
        self.clock = FakeClock()
        self.metrics = Metrics()
        self.attempts = AttemptsByPart(self.metrics, self.clock)
        self.settings = settings or ChildSettings(checkpoint_interval=0)
        self.shard = FakeShard(records)
        self.shard.on_checkpoint = self._all_before_is_decided
        self.decided: list[Record] = []
        self.made: list[tuple[str, Place | None]] = []
        self.make_failing: list[BaseException] = []
        self.before_checkpoint: Callable[[], object] = lambda: None
        self.new_life()

    def new_life(self) -> None:
        """Begin again as a new process: only the shard and what is decided stay."""
        self.stop = FakeStop(self.clock)
        self.daemon = self.shard.daemon()
        self.decider = NotingDecider(self.decided, self.stop)
        self.lines = ScriptedLines(self.daemon, [])
        self.child = Child(
            self.lines,
            self._make,
            stop=self.stop,
            clock=self.clock,
            chance=random.Random(1),
            metrics=self.metrics,
            attempts=self.attempts,
            settings=self.settings,
            before_checkpoint=self.before_checkpoint,
        )

    def run(self, *script: Ask) -> ChildState:
        """Let the child serve a script. Raises what it raises."""
        self.lines.script.extend(script)
        return self.child.run()

    def finish(self) -> None:
        """Let a healthy child decide all that the library still gives, to the shard's end."""
        if not self.shard.ended:
            self.new_life()
            assert self.run(BEGIN, BATCH, ENDED) is ChildState.ENDED

    @property
    def names(self) -> list[str]:
        """The records decided, each where it was decided first."""
        return list(dict.fromkeys(record.data.decode() for record in self.decided))

    def all_names(self) -> list[str]:
        return [record.data.decode() for record in self.shard.records]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.metrics.registry.get_sample_value(name, labels)

    def _make(self, shard: str, begin: Place | None) -> NotingDecider:
        if self.make_failing:
            raise self.make_failing.pop(0)
        self.made.append((shard, begin))
        return self.decider

    def _all_before_is_decided(self, place: Place) -> None:
        records = self.daemon.delivered if place == SHARD_END else self.shard.records
        limit = order(place)
        decided = {record.place for record in self.decided}
        undecided = [found for record in records if order(found := record.place) <= limit and found not in decided]
        assert not undecided, f"a checkpoint at {place} passes what nobody decided"
