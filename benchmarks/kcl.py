"""How quickly the Kinesis Client Library's workers start, fail over and reshard: `python -m benchmarks.kcl`.

Not part of `make bench`: it takes minutes, and waits most of the time. Real daemons, kinesis-mock, DynamoDB Local and
PostgreSQL, all on this machine; two shards, a failover time of 3 s, a reading interval of 200 ms, some 40 changes a
second. At its end the oracle of the fault matrix judges everything.
"""

import argparse
import json
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import NamedTuple

import psycopg

from isthmus.checkpoint.kcl import KclLease
from isthmus.clock import SystemClock
from isthmus.console.children import Child
from isthmus.lifecycle import ThreadStop
from tests.faults.kcl_aws import Aws, aws
from tests.faults.kcl_oracle import SHARD_END
from tests.faults.kcl_strikes import (
    are_done,
    both_read,
    held,
    kill,
    must,
    name_of,
    open_shards,
    reading,
    seconds_until_gone,
)
from tests.faults.kcl_workers import ROOT, Worker
from tests.faults.kcl_world import History, history, in_postgres
from tests.faults.row import Result
from tests.simulation.ground import quiet

_SETTLED_SECONDS = 15.0
"""For what a worker that has just come takes over, and for what has waited meanwhile: that is measured by itself."""
_STEADY_SECONDS = 60.0
_LATENCIES = "SELECT decided - arrived FROM isthmus.history WHERE decided > %s AND outcome = 'applied'"


class Measured(NamedTuple):
    """One line of the table. `limit` is the most that is wanted."""

    name: str
    value: float
    unit: str
    limit: float
    note: str = ""


class _Plain(Worker):
    """`isthmus consume` as users start it, without anything planted."""

    def __init__(self, number: int, config: Path, log: Path) -> None:
        self.number = number
        self._child = Child(
            "worker",
            "isthmus.console",
            ["consume", "--config", str(config)],
            log,
            environment={**os.environ, "PYTHONPATH": str(ROOT)},
        )


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.kcl", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="kills of each kind; the slowest counts (3)")
    parser.add_argument("--json", action="store_true", help="one JSON object instead of the table")
    arguments = parser.parse_args()
    with quiet(), aws() as world:
        found = _measured(world, arguments.rounds)
    if arguments.json:
        sys.stdout.write(json.dumps([each._asdict() for each in found]) + "\n")
        return
    width = max(len(each.name) for each in found)
    for each in found:
        line = f"{each.name:<{width}}  {each.value:>10,.1f} {each.unit:<4} at most {each.limit:>6,g}  {each.note}"
        sys.stdout.write(line.rstrip() + "\n")


def _measured(world: Aws, rounds: int) -> list[Measured]:
    result = Result()
    with history(world, 1, shards=2, rate=40.0, office=in_postgres) as made:
        race = _Race(made)
        found = [race.first_applied(), race.put_to_applied()]
        found += [
            race.slowest("the leader killed (-9) until its shards go on elsewhere", 20, rounds, race.leader_killed),
            race.slowest("another worker killed (-9) until its shards go on elsewhere", 15, rounds, race.other_killed),
            race.slowest("a soft stop, until the process has ended", 10, rounds, race.stopped_softly),
            race.slowest("a soft stop, until its shards go on elsewhere", 10, rounds, race.handed_over),
            race.slowest("a split: the parent is applied, until both children are read", 10, 1, race.split),
            race.slowest("a merge: the parents are applied, until the child is read", 10, 1, race.merged),
        ]
        found += race.memory()
        made.settled(result)
        made.judge(result)
    note = "; ".join(result.violations) or "the oracle found everything once, in order, with nothing lost"
    return [*found, Measured("broken promises", len(result.violations), "", 0, note)]


class _Race:
    """One history, in which one thing after the other is waited for. Times are seconds, to a tenth."""

    def __init__(self, made: History) -> None:
        self._history = made
        self._clock = SystemClock()

    def first_applied(self) -> Measured:
        took = self._until(self._worker, self._history.office.effects)
        return Measured("a new application, until its first change is applied", took, "s", 15)

    def put_to_applied(self) -> Measured:
        self._two_workers()
        ThreadStop().wait(_SETTLED_SECONDS)
        since = self._clock.now_ms()
        ThreadStop().wait(_STEADY_SECONDS)
        with psycopg.connect(self._history.office.address) as connection:  # type: ignore[attr-defined]
            waits = [wait for (wait,) in connection.execute(_LATENCIES, (since,))]
        each = quantiles(waits, n=100)
        note = f"p50 {each[49]:.0f} ms, {len(waits):,} changes"
        return Measured("put until applied, p99, 200 ms between reads", each[98], "ms", 400, note)

    def slowest(self, name: str, limit: float, rounds: int, once: Callable[[], float]) -> Measured:
        took = [once() for _ in range(rounds)]
        return Measured(name, max(took), "s", limit, ", ".join(f"{each:.1f}" for each in took))

    def leader_killed(self) -> float:
        return self._killed(leads=True)

    def other_killed(self) -> float:
        return self._killed(leads=False)

    def stopped_softly(self) -> float:
        worker = self._two_workers()[0]
        return self._until(lambda: worker.signal(signal.SIGTERM), lambda: worker.code() is not None)

    def handed_over(self) -> float:
        worker = self._two_workers()[0]
        return self._gone_on(worker, lambda: worker.signal(signal.SIGTERM))

    def split(self) -> float:
        shard = open_shards(self._history)[0]
        first, last = (int(shard["HashKeyRange"][f"{end}HashKey"]) for end in ("Starting", "Ending"))
        self._history.world.kinesis.split_shard(
            StreamName=self._history.name,
            ShardToSplit=shard["ShardId"],
            NewStartingHashKey=str((first + last) // 2),
        )
        return self._children_read([shard["ShardId"]])

    def merged(self) -> float:
        closed = [shard["ShardId"] for shard in open_shards(self._history)[:2]]
        self._history.world.kinesis.merge_shards(
            StreamName=self._history.name, ShardToMerge=closed[0], AdjacentShardToMerge=closed[1]
        )
        return self._children_read(closed)

    def memory(self) -> list[Measured]:
        """Give the most that a daemon of those that live now has taken. Children: see `benchmarks.kclchildren`."""
        workers = self._two_workers()
        daemons = [_peak_mb(daemon) for worker in workers if (daemon := worker.daemon()) is not None]
        return [Measured("memory of a daemon, at most", max(daemons), "MB", 400)]

    def _worker(self) -> Worker:
        made = self._history
        worker = _Plain(len(made.workers) + 1, made.config, made.place / f"plain-{len(made.workers) + 1}.log")
        made.workers.append(worker)
        return worker

    def _two_workers(self) -> list[Worker]:
        made = self._history
        living = [worker for worker in made.workers if worker.code() is None]
        for _ in range(2 - len(living)):
            self._worker()
        both_read(made)
        must(lambda: all(lease.owner for lease in _taking(made)), made, "every shard has an owner")
        return reading(made)

    def _killed(self, *, leads: bool) -> float:
        workers = self._two_workers()
        must(lambda: _leader(self._history, workers) is not None, self._history, "one of them leads")
        leader = _leader(self._history, workers)
        worker = next(each for each in workers if (each is leader) is leads)
        tree = worker.tree()

        def end() -> None:
            # A machine that is gone: nobody of it can do anything more.
            for pid in tree:
                kill(pid)

        took = self._gone_on(worker, end)
        seconds_until_gone(tree)
        return took

    def _gone_on(self, worker: Worker, end: Callable[[], object]) -> float:
        """End a worker; give how long it takes until another one has begun with each of its shards."""
        shards = [lease.shard for lease in held(self._history, worker)]
        others = [each for each in self._history.workers if each is not worker and each.code() is None]
        before = {each.number: len(each.events("shard_started")) for each in others}

        def are_read() -> bool:
            begun = {event["shard"] for each in others for event in each.events("shard_started")[before[each.number] :]}
            return begun.issuperset(shards)

        return self._until(end, are_read)

    def _children_read(self, closed: Sequence[str]) -> float:
        made = self._history
        must(lambda: are_done(made, closed), made, "the parents are read to their ends")
        begun = self._clock.monotonic()

        def are_read() -> bool:
            children = {lease.shard for lease in made.owners().values() if set(lease.parents) & set(closed)}
            started = {event["shard"] for each in made.workers for event in each.events("shard_started")}
            return bool(children) and children <= started

        must(are_read, made, "the children are read")
        return self._clock.monotonic() - begun

    def _until(self, deed: Callable[[], object], condition: Callable[[], object]) -> float:
        begun = self._clock.monotonic()
        deed()
        must(condition, self._history, "what is measured comes about")
        return self._clock.monotonic() - begun


def _taking(made: History) -> list[KclLease]:
    return [lease for lease in made.owners().values() if lease.checkpoint != SHARD_END]


def _leader(made: History, workers: Sequence[Worker]) -> Worker | None:
    lock = made.leases.leader()
    return next((each for each in workers if lock is not None and name_of(each) == lock.owner), None)


def _peak_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    raise ValueError("no such line")


if __name__ == "__main__":
    main()
