"""Rows about shards that go from one worker to another: stopped workers, stolen leases, splits and merges."""

import random
import signal
from typing import Final

from tests.faults import kcl_deeds as deeds
from tests.faults.kcl_feed import wait_for
from tests.faults.kcl_rows import Way
from tests.faults.kcl_strikes import (
    are_done,
    both_read,
    hands_over_softly,
    held,
    kill,
    kill_all,
    kill_daemon,
    living,
    move_any,
    must,
    name_of,
    reading,
    reshard,
    workers_up,
)
from tests.faults.kcl_workers import Worker
from tests.faults.kcl_world import History, in_postgres
from tests.faults.row import Result

STOPPED: Final = ("the worker, its daemon and its children", "the daemon and its children", "the daemon alone")


def _worker_stopped(history: History, chance: random.Random, result: Result) -> None:
    workers_up(history)
    both_read(history)
    must(lambda: _busy(history), history, "a worker holds leases")
    worker = chance.choice(_busy(history))
    what = STOPPED[result.counts["stops"] % len(STOPPED)]
    pids = _pids(worker, what)
    name, shards = name_of(worker), {lease.shard for lease in held(history, worker)}
    for pid in pids:
        kill(pid, signal.SIGSTOP)
    try:
        must(lambda: _are_taken(history, name, shards), history, "another worker takes its leases")
        # It does something with them, while the old one may be in the middle of a batch.
        effects = len(history.office.effects())
        wait_for(lambda: len(history.office.effects()) > effects, 3.0)
    finally:
        chance.shuffle(pids)
        for pid in pids:
            kill(pid, signal.SIGCONT)
    result.counts["stops"] += 1
    result.struck(f"stopped past failover, then continued: {what}" if len(result.fired) > 1 else "stopped")


def _busy(history: History) -> list[Worker]:
    return [worker for worker in reading(history) if held(history, worker)]


def _pids(worker: Worker, what: str) -> list[int]:
    tree = worker.tree()
    return {STOPPED[0]: tree, STOPPED[1]: tree[1:], STOPPED[2]: tree[1:2]}[what]


def _are_taken(history: History, name: str, shards: set[str]) -> bool:
    leases = history.owners()
    return all(shard not in leases or leases[shard].owner not in {name, ""} for shard in shards)


def _stop_faults(goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    if goal < len(STOPPED):
        return ["stopped"]
    return [f"stopped past failover, then continued: {what}" for what in STOPPED]


WORKER_STOPPED: Final = Way("stops", _worker_stopped, _stop_faults, 10, {"office": in_postgres})

_STOLEN, _HANDED = "a lease stolen", "a lease handed over softly"
_HANDOVER_SECONDS: Final = 20.0


def _lease_stolen(history: History, chance: random.Random, result: Result) -> None:
    workers_up(history)
    both_read(history)
    softly = hands_over_softly(history) and result.counts["handovers"] % 2 == 1
    started = {worker.number: len(worker.events("shard_started")) for worker in history.workers}
    moved = move_any(history, chance, softly=softly)
    if moved is None:
        return
    shard, new = moved
    # The leader may give it to somebody else meanwhile: then it is not this handover that counts.
    if wait_for(lambda: _has_begun(new, shard, started[new.number]), _HANDOVER_SECONDS):
        result.counts["handovers"] += 1
        result.struck(_HANDED if softly else _STOLEN)


def _has_begun(worker: Worker, shard: str, before: int) -> bool:
    return any(event["shard"] == shard for event in worker.events("shard_started")[before:])


def _handover_faults(_goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return [_STOLEN]


LEASES_STOLEN: Final = Way("handovers", _lease_stolen, _handover_faults, 25, {})

_DEEDS: Final = ("shardEnded.asked", "shardEnded.before-answer", "checkpoint.answered", "shardEnded.after-answer")
CROSSED: Final = (
    *(f"a child killed at {place}" for place in _DEEDS),
    "the daemon killed while its shard ends",
    "the worker killed while its shard ends",
    "the worker ended softly while its shard ends",
    "nobody there while it is resharded, twice",
)


def _reshard_crossed(history: History, chance: random.Random, result: Result) -> None:
    workers_up(history)
    must(lambda: reading(history), history, "a worker reads")
    must(lambda: are_done(history, history.closing), history, "the last reshard is done with")
    how = CROSSED[result.counts["crossed reshards"] % len(CROSSED)]
    _cross(history, chance, how, result)
    must(lambda: _children_go_on(history), history, f"the children of {history.closing} are read")
    result.counts["crossed reshards"] += 1
    result.struck(how if how in result.fired else "a reshard crossed with a restart")


def _cross(history: History, chance: random.Random, how: str, result: Result) -> None:
    if how.startswith("nobody"):
        kill_all(history)
        for _ in range(2):
            result.counts[reshard(history, chance)[0]] += 1
        workers_up(history)
        return
    place = how.rpartition(" ")[2]
    number = history.deeds.arm("F26", place, deeds.KILL) if place in _DEEDS else None
    what, closed = reshard(history, chance)
    result.counts[what] += 1
    if number is not None:
        must(lambda: history.deeds.has_struck(number), history, f"a child comes to {place}")
        return
    # Its parents have no end yet, or have just got it: both are restarts that meet a reshard.
    wait_for(lambda: are_done(history, closed), chance.random() * 3.0)
    leases = history.owners()
    owner = next((worker for worker in history.workers if name_of(worker) == leases[closed[0]].owner), None)
    # Nobody may read just now: one has died a moment ago, the other has just begun.
    others = reading(history) or living(history)
    worker = owner if owner is not None and owner.code() is None else chance.choice(others)
    if how.startswith("the daemon"):
        must(lambda: kill_daemon(worker), history, "the worker has a daemon that can be killed")
    else:
        worker.signal(signal.SIGKILL if "killed" in how else signal.SIGTERM)
        must(lambda: worker.code() is not None, history, "the worker has ended")
    workers_up(history)


def _children_go_on(history: History) -> bool:
    """Say whether the closed shards are at their ends, and every shard that takes records has begun."""
    if not are_done(history, history.closing):
        return False
    leases = history.owners()
    children = [lease for lease in leases.values() if set(lease.parents) & set(history.closing)]
    return bool(children) and all(lease.checkpoint != "TRIM_HORIZON" or lease.owner for lease in children)


def _crossing_faults(goal: int, _full: bool) -> list[str]:  # noqa: FBT001 - a row's form
    return list(CROSSED) if goal >= len(CROSSED) else ["a reshard crossed with a restart"]


RESHARDS: Final = Way("crossed reshards", _reshard_crossed, _crossing_faults, 8, {})
