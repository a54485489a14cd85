"""The checkpoint ports in memory, for tests and simulations. Safe for threads; forgets everything with the process."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from isthmus.checkpoint import answers
from isthmus.checkpoint.places import place_of
from isthmus.checkpoint.ports import NO_STREAM, HandOver, Lease, ShardCheckpoint, StreamRecord
from isthmus.clock import Clock, rfc3339
from isthmus.errors import IsthmusError, Transient


@dataclass(frozen=True, slots=True)
class _Failure:
    operation: str
    after: bool
    error: IsthmusError


class _Memory:
    """What the ports share: the lock, the clock and the fail switch."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.RLock()
        self._failures: list[_Failure] = []
        self.leases: dict[str, Lease] = {}
        self.shards: dict[str, ShardCheckpoint] = {}
        self.stream: StreamRecord | None = None
        self.hand_over: HandOver | None = None

    def now(self) -> str:
        return rfc3339(self._clock.now_ms())

    def plan(self, failure: _Failure) -> None:
        with self._lock:
            self._failures.append(failure)

    @contextmanager
    def call(self, operation: str) -> Iterator[None]:
        with self._lock:
            failure = next((planned for planned in self._failures if planned.operation in {"", operation}), None)
            if failure is not None:
                self._failures.remove(failure)
                if not failure.after:
                    raise failure.error
            yield
            if failure is not None:
                raise failure.error


class MemoryCheckpoints:
    """All ports of one application."""

    def __init__(self, clock: Clock) -> None:
        self._memory = _Memory(clock)
        self.leases = MemoryLeases(self._memory)
        self.shards = MemoryShardCheckpoints(self._memory)
        self.stream = MemoryStreamRegistry(self._memory)
        self.hand_overs = MemoryHandOvers(self._memory)

    def fail_next(self, operation: str = "", *, after: bool = False, error: IsthmusError | None = None) -> None:
        """Make one coming call fail: the next one, or the next of this operation, e.g. `leases.take`.

        It raises `error` (a `Transient` unless given), before it takes effect, or `after` it has: an answer that got
        lost. Several planned failures fire in their order.
        """
        self._memory.plan(_Failure(operation, after, error or Transient("planned", cause="planned")))


class MemoryLeases:
    """`Leases` in memory."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def read(self, name: str) -> Lease | None:
        """Give the lease. See the port."""
        with self._memory.call("leases.read"):
            return self._memory.leases.get(name)

    def take(self, lease: Lease, seen: Lease | None, *, replace: bool = False) -> None:
        """Take the lease. See the port."""
        if lease.holder is None and not replace:
            raise ValueError("a lease is taken by somebody")
        with self._memory.call("leases.take"):
            standing = self._memory.leases.get(lease.name)
            if _counter(standing) != _counter(seen):
                raise answers.lost_race(lease)
            self._memory.leases[lease.name] = _taken(lease, standing, replaced=replace, now=self._memory.now())

    def beat(self, name: str, epoch: int) -> None:
        """Raise the counter. See the port."""
        with self._memory.call("leases.beat"):
            self._change(name, epoch, lambda lease: replace(lease, beat=lease.beat + 1))

    def advance(self, name: str, epoch: int, watermark: str, *, step: int = 0) -> None:
        """Save the watermark. See the port."""
        with self._memory.call("leases.advance"):
            now = self._memory.now()

            def advanced(lease: Lease) -> Lease:
                if lease.step > step:
                    return lease
                return replace(lease, watermark=watermark, step=step, updated=now)

            self._change(name, epoch, advanced)

    def give_back(self, name: str, epoch: int) -> None:
        """Give the lease back. See the port."""
        with self._memory.call("leases.give_back"):
            standing = self._memory.leases.get(name)
            if standing is not None and standing.epoch == epoch:
                self._memory.leases[name] = replace(standing, holder=None)

    def all(self) -> list[Lease]:
        """Give all leases. See the port."""
        with self._memory.call("leases.all"):
            return [self._memory.leases[name] for name in sorted(self._memory.leases)]

    def _change(self, name: str, epoch: int, change: Callable[[Lease], Lease]) -> None:
        standing = self._memory.leases.get(name)
        if standing is None or standing.epoch != epoch or standing.holder is None:
            raise answers.lost(name, epoch, standing)
        self._memory.leases[name] = change(standing)


class MemoryShardCheckpoints:
    """`ShardCheckpoints` in memory."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def read_all(self) -> dict[str, ShardCheckpoint]:
        """Give all checkpoints. See the port."""
        with self._memory.call("shards.read_all"):
            return dict(self._memory.shards)

    def save(self, checkpoint: ShardCheckpoint) -> None:
        """Save a checkpoint. See the port."""
        place = place_of(checkpoint)
        with self._memory.call("shards.save"):
            standing = self._memory.shards.get(checkpoint.shard)
            if standing is not None and standing.stream != checkpoint.stream:
                raise answers.other_stream_of(standing, checkpoint.stream)
            if standing is None or place > place_of(standing):
                self._memory.shards[checkpoint.shard] = replace(
                    checkpoint, counts=dict(checkpoint.counts), updated=self._memory.now()
                )


class MemoryStreamRegistry:
    """`StreamRegistry` in memory."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def read(self) -> StreamRecord | None:
        """Give the record. See the port."""
        with self._memory.call("stream.read"):
            return self._memory.stream

    def record(self, record: StreamRecord) -> StreamRecord:
        """Record it once. See the port."""
        with self._memory.call("stream.record"):
            self._memory.stream = self._memory.stream or record
            return self._memory.stream

    def forget(self) -> None:
        """Forget everything. See the port."""
        with self._memory.call("stream.forget"):
            self._memory.leases = {
                name: replace(lease, stream=NO_STREAM, holder=None, watermark=None)
                for name, lease in self._memory.leases.items()
                if lease.generation
            }
            self._memory.shards.clear()
            self._memory.hand_over = None
            self._memory.stream = None


class MemoryHandOvers:
    """`HandOvers` in memory."""

    def __init__(self, memory: _Memory) -> None:
        self._memory = memory

    def read(self) -> HandOver | None:
        """Give the record. See the port."""
        with self._memory.call("hand_overs.read"):
            return self._memory.hand_over

    def record(self, made: HandOver) -> HandOver:
        """Record it once. See the port."""
        with self._memory.call("hand_overs.record"):
            self._memory.hand_over = self._memory.hand_over or made
            return self._memory.hand_over

    def complete(self) -> None:
        """Record that it is complete. See the port."""
        with self._memory.call("hand_overs.complete"):
            if self._memory.hand_over is None:
                raise answers.no_hand_over()
            self._memory.hand_over = replace(self._memory.hand_over, complete=True)


def _counter(lease: Lease | None) -> tuple[int, int] | None:
    return None if lease is None else (lease.epoch, lease.beat)


def _taken(lease: Lease, standing: Lease | None, *, replaced: bool, now: str) -> Lease:
    if standing is None or replaced:
        return replace(lease, step=0, updated=now)
    return replace(lease, generation=standing.generation, watermark=standing.watermark, step=0, updated=now)
