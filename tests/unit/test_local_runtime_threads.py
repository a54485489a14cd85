"""The local runtime on real threads and real time."""

import threading

import pytest

from isthmus.attempts import AttemptsByPart
from isthmus.chance import system_chance
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.clock import SystemClock
from isthmus.consumer.feed import Record
from isthmus.consumer.runtimes.local import LocalRuntime
from isthmus.consumer.runtimes.threads import ThreadSpawn
from isthmus.lifecycle import Stopped, ThreadStop
from isthmus.metrics import Metrics
from tests.fakes.runtime_world import LANES, World
from tests.fakes.shard_life import STREAM, FakeProcessor


def test_threads_do_the_same_on_real_time() -> None:
    world = World(shards=4)
    world.put_everywhere(50)
    stop = ThreadStop()
    all_decided = threading.Semaphore(0)

    def make(shard: str, _checkpoint: ShardCheckpoint | None) -> FakeProcessor:
        processor = FakeProcessor()

        def note(record: Record) -> None:
            world.decided.append((shard, record))
            all_decided.release()

        processor.before = note
        return processor

    clock, metrics = SystemClock(), Metrics()
    runtime = LocalRuntime(
        feed=world.stream,
        checkpoints=world.checkpoints,
        stream=STREAM,
        make_processor=make,
        spawn=ThreadSpawn(),
        stop=stop,
        lost=lambda: False,
        clock=clock,
        chance=system_chance(),
        metrics=metrics,
        attempts=AttemptsByPart(metrics, clock),
    )
    task = ThreadSpawn()("runtime", runtime.run)
    for _ in range(50 * LANES):
        assert all_decided.acquire(timeout=30)
    stop.request()
    task.result()

    assert task.done()
    assert world.firsts() == world.sent
    assert len(world.checkpoints.rows) == 4


def test_a_thread_hands_over_what_its_function_raised() -> None:
    def fail() -> None:
        raise Stopped

    with pytest.raises(Stopped):
        ThreadSpawn()("fails", fail).result()


def test_a_thread_is_not_done_while_its_function_runs() -> None:
    gate = threading.Event()
    task = ThreadSpawn()("waits", gate.wait)

    assert not task.done()
    gate.set()
    assert task.result() is True
    assert task.done()
