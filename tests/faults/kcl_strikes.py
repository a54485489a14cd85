"""What can happen to workers, leases and shards, each as one call; for the rows with the real daemon."""

import os
import random
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from isthmus.checkpoint.kcl import KclLease
from isthmus.console.kcl.properties import properties
from isthmus.lifecycle import ThreadStop
from isthmus.settings import load
from tests.faults.kcl_feed import wait_for
from tests.faults.kcl_oracle import SHARD_END
from tests.faults.kcl_workers import Worker
from tests.faults.kcl_world import History

PATIENCE: Final = 240.0
"""Seconds for something that must happen: two daemons may have to start first, on a machine that others use."""
MOST_SHARDS: Final = 6
_GONE_SECONDS: Final = 30.0
_LOOK_SECONDS: Final = 0.005


def must(condition: Any, history: History, what: str) -> None:
    """Wait until something has happened. Raises AssertionError with all logs when it does not."""
    if not wait_for(condition, PATIENCE):
        raise AssertionError(f"not within {PATIENCE:g} s: {what}\n{history.told()}")


def workers_up(history: History, number: int = 2) -> list[Worker]:
    """Have so many workers, the first of them alone until the application has its leases. Gives those that live."""
    if not history.workers:
        first = history.worker()
        must(lambda: first.events("handed_over_to_kcl"), history, "the leases are made")
    there = living(history)
    return there + [history.worker() for _ in range(number - len(there))]


def name_of(worker: Worker) -> str:
    """Give the name of its daemon in the lease table, of the last one that was started."""
    started = worker.events("kcl_started")
    return str(started[-1]["worker"]) if started else ""


def held(history: History, worker: Worker) -> list[KclLease]:
    """Give the leases that its daemon holds by now, of shards that are not at their end."""
    name = name_of(worker)
    return [lease for lease in history.owners().values() if lease.owner == name and lease.checkpoint != SHARD_END]


def reading(history: History) -> list[Worker]:
    """Give the workers with a child that reads."""
    return [worker for worker in living(history) if worker.children()]


def living(history: History) -> list[Worker]:
    """Give the workers that live, also those without a child: one that has just begun reads nothing yet."""
    return [worker for worker in history.workers if worker.code() is None]


def kill_all(history: History) -> None:
    """Kill every worker that lives, and wait until nobody is left."""
    for worker in living(history):
        worker.signal(signal.SIGKILL)
    must(lambda: not living(history), history, "all workers are dead")


def both_read(history: History) -> None:
    """Wait until two workers have a child each. A new worker is given leases by the leader, after a while."""
    must(lambda: len(reading(history)) >= 2, history, "two workers read")


def kill(pid: int, number: signal.Signals = signal.SIGKILL) -> bool:
    """Send a signal to a process of ours; say whether it was there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
        return True
    return False


def kill_daemon(worker: Worker) -> bool:
    """Kill a worker's daemon; say whether it had one. Between two lives of it there is none."""
    daemon = worker.daemon()
    return daemon is not None and kill(daemon)


def is_gone(pid: int) -> bool:
    """Say whether a process has ended; one that nobody has asked for yet has."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state in {"Z", "X"}


def seconds_until_gone(pids: Sequence[int]) -> float | None:
    """Wait until processes have ended; give how long that took, None where one of them did not."""
    pause, begun = ThreadStop(), time.monotonic()
    while not all(map(is_gone, pids)):
        if time.monotonic() - begun > _GONE_SECONDS:
            return None
        pause.wait(_LOOK_SECONDS)
    return time.monotonic() - begun


def hands_over_softly(history: History) -> bool:
    """Say whether the leader may ask an owner to hand over, before it gives a lease to another worker.

    With this property off, the library does not finish what a leader begins so.
    """
    return properties(load(history.config), "", "").get("isGracefulLeaseHandoffEnabled") != "false"


def move_lease(history: History, shard: str, old: str, new: str, *, softly: bool) -> bool:
    """Give a lease to another worker, by the write with which the library's leader does it.

    Softly: the old owner is asked to stop first, and to hand over. False where the lease is another's by now.
    """
    client = history.world.dynamo.client
    put = {"leaseOwner": {"Value": {"S": new}, "Action": "PUT"}}
    if softly:
        put["checkpointOwner"] = {"Value": {"S": old}, "Action": "PUT"}
    else:
        one = {"N": "1"}
        put["leaseCounter"] = {"Value": one, "Action": "ADD"}
        put["ownerSwitchesSinceCheckpoint"] = {"Value": one, "Action": "ADD"}
    expected = {"leaseOwner": {"Value": {"S": old}}, "checkpointOwner": {"Exists": False}}
    try:
        client.update_item(
            TableName=history.table, Key={"leaseKey": {"S": shard}}, AttributeUpdates=put, Expected=expected
        )
    except client.exceptions.ConditionalCheckFailedException:
        return False
    return True


def move_any(history: History, chance: random.Random, *, softly: bool) -> tuple[str, Worker] | None:
    """Give some lease of one worker that reads to another one; say which, and to whom."""
    workers = reading(history)
    if len(workers) < 2:
        return None
    by_name = {name_of(worker): worker for worker in workers}
    leases = [each for each in history.owners().values() if each.owner in by_name and each.checkpoint != SHARD_END]
    if not leases:
        return None
    lease = chance.choice(leases)
    new = chance.choice([name for name in by_name if name != lease.owner])
    moved = move_lease(history, lease.shard, lease.owner, new, softly=softly)
    return (lease.shard, by_name[new]) if moved else None


def open_shards(history: History) -> list[dict[str, Any]]:
    """Give the shards that take records, in the order of their hash keys."""
    shards = history.world.kinesis.list_shards(StreamName=history.name)["Shards"]
    taking = [shard for shard in shards if "EndingSequenceNumber" not in shard["SequenceNumberRange"]]
    return sorted(taking, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))


def reshard(history: History, chance: random.Random) -> tuple[str, list[str]]:
    """Split a shard or merge two; give which it was, and the shards that are closed by it. Waits until it is done."""
    kinesis = history.world.kinesis
    shards = open_shards(history)
    if len(shards) > 1 and (len(shards) >= MOST_SHARDS or chance.random() < 0.5):
        at = chance.randrange(len(shards) - 1)
        closed = [shard["ShardId"] for shard in shards[at : at + 2]]
        kinesis.merge_shards(StreamName=history.name, ShardToMerge=closed[0], AdjacentShardToMerge=closed[1])
        what = "a merge"
    else:
        shard = max(shards, key=_width)
        first = int(shard["HashKeyRange"]["StartingHashKey"])
        closed = [shard["ShardId"]]
        middle = str(first + _width(shard) // 2)
        kinesis.split_shard(StreamName=history.name, ShardToSplit=closed[0], NewStartingHashKey=middle)
        what = "a split"
    history.closing = closed
    must(lambda: _is_active(history), history, "the stream is active again")
    return what, closed


def are_done(history: History, shards: Sequence[str]) -> bool:
    """Say whether shards are read to their ends, and that is saved."""
    leases = history.owners()
    return all(shard not in leases or leases[shard].checkpoint == SHARD_END for shard in shards)


def _width(shard: dict[str, Any]) -> int:
    return int(shard["HashKeyRange"]["EndingHashKey"]) - int(shard["HashKeyRange"]["StartingHashKey"])


def _is_active(history: History) -> bool:
    told = history.world.kinesis.describe_stream_summary(StreamName=history.name)
    return bool(told["StreamDescriptionSummary"]["StreamStatus"] == "ACTIVE")
