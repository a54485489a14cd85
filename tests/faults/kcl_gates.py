"""Rows about a gate that makes everything wait, with the real daemon: its question stays open all the while."""

import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.clock import SystemClock
from isthmus.settings import load
from tests.faults.kcl_feed import wait_for
from tests.faults.kcl_oracle import SHARD_END
from tests.faults.kcl_rows import Way
from tests.faults.kcl_strikes import both_read, must, reading, workers_up
from tests.faults.kcl_world import FAILOVER, History
from tests.faults.row import Result

WATCHED: Final = "[gate]\nwatched = true\n"
_CLOSED_SECONDS: Final = 2.0
"""After so long nothing takes effect any more (the matrix, I7)."""
_PAUSE_SECONDS: Final = (4 * FAILOVER, 20 * FAILOVER)
"""The failover time is 3 s: past it a worker that does not renew its leases has lost them."""
_LONG_EVERY: Final = 5
_ENDED_SECONDS: Final = 60.0
_TERMINATED: Final = 143
PAUSED: Final = "a pause longer than the failover time"
ENDED: Final = "SIGTERM while a gate is closed"


@contextmanager
def _closed(history: History, result: Result) -> Iterator[None]:
    """Close the gate over everything; give the time in which nothing may take effect; open it."""
    _change(history, closed=True)
    wait_for(lambda: False, _CLOSED_SECONDS)
    before = len(history.office.effects())
    try:
        yield
    finally:
        if (late := len(history.office.effects()) - before) > 0:
            result.violated(f"I7: {late} took effect behind a closed gate")
        _change(history, closed=False)


def _change(history: History, *, closed: bool) -> None:
    clock = SystemClock()
    gates = DynamoCheckpoints(history.world.dynamo.client, load(history.config).checkpoint.table, clock).gates
    standing = next(iter(gates.read_all()), Gate(Covers(), closed=False))
    gates.change(standing.changed(closed=closed, mode=Mode.WAIT, who="ada", reason="moving", now_ms=clock.now_ms()))


def _paused(history: History, _chance: random.Random, result: Result) -> None:
    workers_up(history)
    both_read(history)
    seconds = _PAUSE_SECONDS[result.counts["pauses"] % _LONG_EVERY == _LONG_EVERY - 1]
    with _closed(history, result):
        owners, deaths = _owners(history), _deaths(history)
        children = {child for worker in reading(history) for child in worker.children()}
        wait_for(lambda: False, seconds)
        if (now := _owners(history)) != owners:
            result.violated(f"leases were lost in a pause: {owners} became {now}\n{history.told()}")
        if _deaths(history) > deaths:
            result.violated(f"something ended in a pause\n{history.told()}")
        if gone := children - {child for worker in reading(history) for child in worker.children()}:
            result.violated(f"children ended in a pause: {gone}\n{history.told()}")
    _goes_on(history)
    result.counts["pauses"] += 1
    result.struck(PAUSED)


def _ended_while_paused(history: History, chance: random.Random, result: Result) -> None:
    workers_up(history)
    both_read(history)
    with _closed(history, result):
        worker = chance.choice(reading(history))
        begun = time.monotonic()
        worker.signal(signal.SIGTERM)
        if not wait_for(lambda: worker.code() is not None, _ENDED_SECONDS):
            result.violated(f"a closed gate kept a worker from its end for {_ENDED_SECONDS:g} s\n{history.told()}")
        elif worker.code() != _TERMINATED:
            result.violated(f"a worker that was to end before a closed gate ended with {worker.code()}\n{worker.text}")
        took = round(1000 * (time.monotonic() - begun))
        result.counts["longest end, ms"] = max(result.counts["longest end, ms"], took)
    workers_up(history)
    _goes_on(history)
    result.counts["ends"] += 1
    result.struck(ENDED)


def _goes_on(history: History) -> None:
    effects = len(history.office.effects())
    must(lambda: len(history.office.effects()) > effects, history, "it goes on once the gate is open")


def _owners(history: History) -> dict[str, str]:
    return {lease.shard: lease.owner for lease in history.owners().values() if lease.checkpoint != SHARD_END}


def _deaths(history: History) -> int:
    return sum(len(worker.events("kcl_died")) + (worker.code() is not None) for worker in history.workers)


def _paused_faults(_goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return [PAUSED]


def _ended_faults(_goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return [ENDED]


LONG_PAUSES: Final = Way("pauses", _paused, _paused_faults, 10, {"store": WATCHED})
ENDED_PAUSED: Final = Way("ends", _ended_while_paused, _ended_faults, 10, {"store": WATCHED})
