"""Who looks at the leases while a daemon runs, and a daemon that is started whatever the leases' table says."""

import random
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from isthmus.attempts import Attempts
from isthmus.checkpoint.kcl import SHARD_END, TRIM_HORIZON, KclLease, LeaderLock
from isthmus.console.bookkeeping import Held
from isthmus.console.kcl import supervising
from isthmus.console.kcl.folder import Folder
from isthmus.console.kcl.keeping import Keeper, held_by
from isthmus.console.kcl.leader import STILL, Worker
from isthmus.console.kcl.supervising import look_after
from isthmus.console.wiring import Wiring
from isthmus.consumer.runtimes.threads import ThreadTask
from isthmus.errors import Fatal, TargetDown
from isthmus.lifecycle import ThreadStop
from isthmus.metrics import Metrics
from isthmus.settings import load
from tests.fakes.clock import FakeClock, FakeStop

FAILOVER = 3.0
ME = Worker("here", "host-1", "boot-1", 10, "500", 3)
BEFORE = ME._replace(life=2)
OTHER = Worker("there", "host-2", "boot-2", 10, "500", 1)
LONG = 60.0
"""Seconds: the most that anything may take before it counts as hanging."""


def lock_of(owner: Worker) -> LeaderLock:
    return LeaderLock("table", "key", str(owner), "v1")


class Table:
    """A lease table that says what it is told to say."""

    def __init__(self) -> None:
        self.lock: LeaderLock | None = None
        self.held: dict[str, KclLease] = {}
        self.removed: list[LeaderLock] = []
        self.failing: list[Exception] = []
        self.asked = 0
        self.assigned: list[tuple[str, str]] = []

    def leader(self) -> LeaderLock | None:
        self.asked += 1
        if self.failing:
            raise self.failing.pop(0)
        return self.lock

    def read(self) -> Mapping[str, KclLease]:
        return self.held

    def remove(self, lock: LeaderLock) -> bool:
        self.removed.append(lock)
        self.lock = None
        return True

    def assign(self, lease: KclLease, owner: str) -> bool:
        self.assigned.append((lease.shard, owner))
        return True


class Desk:
    def __init__(self) -> None:
        self.clock = FakeClock()
        table: Any = Table()
        self.table = table
        self.seen: list[tuple[list[str], Worker]] = []
        self.metrics = Metrics()
        self.keeper = Keeper(
            table,
            FAILOVER,
            clock=self.clock,
            watch=Attempts("leases", self.metrics, self.clock),
            seen=lambda leases, me: self.seen.append((sorted(leases), me)),
        )

    def run(self, seconds: float) -> None:
        stop = FakeStop(self.clock)
        self.clock.at(self.clock.monotonic() + seconds, stop.request)
        self.keeper.run(stop)


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_nothing_is_asked_before_the_first_daemon(desk: Desk) -> None:
    desk.run(10 * FAILOVER)
    assert desk.table.asked == 0


def test_a_new_daemon_is_looked_at_at_once_and_then_once_in_a_failover_time(desk: Desk) -> None:
    asked = []
    desk.clock.every(1.0, lambda: asked.append(desk.table.asked))
    desk.keeper.begin(ME)
    desk.run(7.5)
    assert asked == [1, 1, 1, 2, 2, 2, 3]


def test_the_lock_of_an_earlier_daemon_is_removed_as_soon_as_the_next_one_begins(desk: Desk) -> None:
    desk.keeper.begin(BEFORE)
    desk.table.lock = lock_of(BEFORE)
    desk.run(FAILOVER)
    desk.clock.at(desk.clock.monotonic() + 1, lambda: desk.keeper.begin(ME))
    with capture_logs() as logs:
        desk.run(1.5)
    assert desk.table.removed == [lock_of(BEFORE)]
    assert [line["event"] for line in logs] == ["kcl_leader_removed"]


def test_the_shards_of_a_leader_that_is_gone_are_passed_on_with_its_lock(desk: Desk) -> None:
    desk.table.lock = lock_of(OTHER)
    desk.table.held = {
        "shard-1": KclLease("shard-1", "7", owner=str(OTHER), counter=3),
        "shard-2": KclLease("shard-2", "7", owner=str(ME), counter=3),
    }
    desk.keeper.begin(ME)
    with capture_logs() as logs:
        desk.run(STILL * FAILOVER)
        assert desk.table.assigned == []
        desk.run(FAILOVER + 1)
    assert desk.table.removed == [lock_of(OTHER)]
    assert desk.table.assigned == [("shard-1", str(ME))]
    assert [line["event"] for line in logs] == ["kcl_leader_removed", "kcl_leases_passed_on"]


def test_who_is_told_of_the_leases_is_told_whose_daemon_lives(desk: Desk) -> None:
    desk.table.held = {"shard-1": KclLease("shard-1", "7")}
    desk.keeper.begin(ME)
    desk.run(1)
    assert desk.seen == [(["shard-1"], ME)]


def test_a_table_that_is_away_tells_nobody_anything_and_is_asked_again(desk: Desk) -> None:
    desk.table.failing = [TargetDown("away", cause="timeout")] * 2
    desk.keeper.begin(ME)
    with capture_logs() as logs:
        desk.run(2.5 * FAILOVER)
    assert [line["event"] for line in logs] == ["leases_away", "leases_back"]
    assert len(desk.seen) == 1


def test_an_error_that_no_repeat_mends_ends_the_task(desk: Desk) -> None:
    desk.table.failing = [Fatal("denied")]
    desk.keeper.begin(ME)
    with pytest.raises(Fatal):
        desk.run(1)


def test_we_lead_where_our_daemon_has_the_lock_or_nobody(desk: Desk) -> None:
    led = []
    for lock in (None, lock_of(OTHER), lock_of(ME), None):
        desk.table.lock = lock
        desk.keeper.begin(ME)
        desk.run(1)
        led.append(desk.keeper.leads)
    assert led == [True, False, True, True]
    desk.table.lock = lock_of(ME)
    desk.run(FAILOVER + 1)
    assert desk.keeper.leads
    desk.keeper.begin(ME._replace(life=4))
    assert not desk.keeper.leads


def test_leases_tell_whose_shards_are_and_how_far() -> None:
    leases = {
        "a": KclLease("a", SHARD_END, owner="you"),
        "b": KclLease("b", "0042", 3, owner="me", parents=("a",)),
        "c": KclLease("c", TRIM_HORIZON, parents=("a",)),
    }
    held = {
        "a": Held(None, ended=True, mine=False),
        "b": Held("0042", ended=False, parents=("a",), mine=True),
        "c": Held(None, ended=False, parents=("a",), mine=False),
    }
    assert held_by(leases, "me") == held
    assert held_by(leases, None) == {shard: each._replace(mine=False) for shard, each in held.items()}


# a daemon that is looked after


class Hung(Table):
    """A table that takes a question and says nothing, until it may."""

    def __init__(self) -> None:
        super().__init__()
        self.taken, self.free, self.gone = threading.Event(), threading.Event(), threading.Event()

    def leader(self) -> LeaderLock | None:
        self.taken.set()
        assert self.free.wait(LONG), "nothing else went on while the table said nothing"
        return super().leader()

    def remove(self, lock: LeaderLock) -> bool:
        self.gone.set()
        return super().remove(lock)


@pytest.fixture
def wiring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Wiring]:
    # In a process of its own a worker ends whatever came to it; here that would be other tests' servers.
    monkeypatch.setattr(supervising, "end_orphans", lambda *_: [])
    file = tmp_path / "isthmus.toml"
    text = (Path(__file__).parents[2] / "examples" / "customers" / "isthmus.toml").read_text(encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    made = Wiring(load(file), chance=random.Random(1))
    yield made
    made.stop.request()


class Starts:
    """A daemon's program that ends at once; `line` tells of each start."""

    def __init__(self, folder: Path) -> None:
        self.words = [sys.executable, "-c", "import sys; open(sys.argv[1], 'a').write('started\\n')", str(folder / "s")]
        self._file = folder / "s"

    def __len__(self) -> int:
        return len(self._file.read_text(encoding="utf-8").splitlines()) if self._file.exists() else 0


def test_a_lease_table_that_says_nothing_keeps_no_daemon_from_being_started(
    wiring: Wiring, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when DynamoDB hangs just when a daemon has died: the next one starts, and the lock is removed later."""
    monkeypatch.setattr(supervising, "_BACKOFF", replace(supervising._BACKOFF, first=0.01, most=0.01))
    table: Any = Hung()
    first = supervising._worker(wiring.settings, 1)
    table.lock = lock_of(first)
    keeper = Keeper(table, FAILOVER, clock=wiring.clock, watch=wiring.attempts.watch("leases"))
    starts, resting = Starts(tmp_path), ThreadStop()

    class Ticking(ThreadStop):
        def wait(self, seconds: float) -> bool:
            if len(starts) >= 3 and table.taken.is_set():
                wiring.stop.request()
            return super().wait(seconds)

    monkeypatch.setattr(wiring.stop, "wait", Ticking().wait)
    keeping = ThreadTask("leases", lambda: keeper.run(resting))
    try:
        with Folder() as folder, capture_logs() as logs:
            look_after(wiring, starts.words, folder, keeper, keeping)
    finally:
        table.free.set()
        removed = table.gone.wait(LONG)
        resting.request()
        keeping.result()
    assert [line["event"] for line in logs].count("kcl_died") >= 2
    assert removed
    assert [lock.owner for lock in table.removed] == [str(first)]


def test_a_keeper_that_gave_up_ends_the_daemon_and_the_worker(wiring: Wiring) -> None:
    table: Any = Table()
    table.failing = [Fatal("denied")]
    keeper = Keeper(table, FAILOVER, clock=wiring.clock, watch=wiring.attempts.watch("leases"))
    words = [sys.executable, "-c", "import time; time.sleep(600)"]
    resting = ThreadStop()
    keeping = ThreadTask("leases", lambda: keeper.run(resting))
    with Folder() as folder, capture_logs() as logs, pytest.raises(Fatal, match="denied"):
        look_after(wiring, words, folder, keeper, keeping)
    assert [line["event"] for line in logs] == ["kcl_started"]
