"""Naive ways to do the same, which the oracle must fail: what does not fail them would not fail us either.

Each is run on random cases until one breaks a promise; the case is made as small as leaving things out makes it. The
real thing is run on the same cases and must pass them.
"""

import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from itertools import count
from typing import Final, NamedTuple, TypeVar

from isthmus.change import Change, lane_of
from isthmus.codec import encode
from isthmus.producer.lanes import Lanes, Limits
from isthmus.producer.sink import Entry
from isthmus.retry import Backoff
from tests.fakes.clock import FakeClock
from tests.fakes.processor_desk import record
from tests.fakes.store_world import event, upsert
from tests.fakes.stream import MemoryStream, PutFault
from tests.faults.front import Front, front, model_of, records_of
from tests.simulation.reference import events_of

T = TypeVar("T")

_MOST_CASES: Final = 500
_OURS: Final = 50
"""So many cases the real thing must pass."""
_LANES: Final = 4


class Killed(Exception):  # noqa: N818 - what happens, not an error
    """The process is gone."""


class Found(NamedTuple):
    """What became of a baseline."""

    name: str
    cases: int
    """How many were tried until one failed."""
    history: tuple[str, ...]
    """The smallest failing case, step by step."""
    broken: str
    """What the oracle said of it."""
    ours: tuple[str, ...]
    """What it said of the real thing, in 50 cases and in the smallest failing one: nothing."""


class Case(NamedTuple):
    """One case: what comes, in this order, and where the fault strikes."""

    changes: tuple[Change, ...]
    fault: int


Judge = Callable[[Case], list[str]]


def all_found() -> list[Found]:
    """Try every baseline."""
    return [try_it() for try_it in BASELINES.values()]


def two_phase_ledger(*, takes_again: bool) -> Found:
    """Try a ledger that claims, has the effect, and completes, in three transactions.

    After a crash it finds claims that were never completed, and either takes them again or holds them for done.
    """

    def naive(case: Case) -> list[str]:
        with front() as office:
            steps = _Steps(case.fault)
            try:
                for change in case.changes:
                    _in_three(office, change, steps, takes_again=takes_again)
            except Killed:
                for change in case.changes:
                    _in_three(office, change, _Steps(None), takes_again=takes_again)
            return office.wrong_for_the_user(model_of(case.changes))

    def real(case: Case) -> list[str]:
        with front(batch_changes=1) as office:
            records = records_of([[change] for change in case.changes])
            office.killed_at(case.fault, records, after=False)
            office.processor.process(records)
            return office.wrong_for_the_user(model_of(case.changes))

    def make(chance: random.Random) -> Case:
        return Case(tuple(event(number) for number in range(1, 5)), chance.randint(0, 11))

    what = "takes it again" if takes_again else "holds it for done"
    name = f"a two-phase idempotency ledger (claim, effect, complete) that finds an open claim and {what}"
    return _search(
        name,
        make,
        naive,
        real,
        lambda case: f"the process is killed before statement {case.fault + 1} of all that it would run",
    )


class _Steps:
    """Counts statements, and kills before one."""

    def __init__(self, fatal: int | None) -> None:
        self._left = fatal

    def __call__(self) -> None:
        if self._left is not None:
            if not self._left:
                raise Killed
            self._left -= 1


def _in_three(office: Front, change: Change, step: Callable[[], None], *, takes_again: bool) -> None:
    with closing(sqlite3.connect(office.office.path, isolation_level=None)) as connection:
        run = connection.execute
        run("CREATE TABLE IF NOT EXISTS claim (txn TEXT PRIMARY KEY, complete INTEGER)")
        known = run("SELECT complete FROM claim WHERE txn = ?", (change.id,)).fetchone()
        if known is not None and (known[0] or not takes_again):
            return
        step()
        run("INSERT OR IGNORE INTO claim VALUES (?, 0)", (change.id,))
        step()
        run("INSERT INTO effect VALUES (?, 1) ON CONFLICT (txn) DO UPDATE SET times = times + 1", (change.id,))
        step()
        run("UPDATE claim SET complete = 1 WHERE txn = ?", (change.id,))


def blind_upsert() -> Found:
    """Try to write each state as it comes: the last writer wins."""

    def naive(case: Case) -> list[str]:
        with front() as office:
            with closing(sqlite3.connect(office.office.path)) as connection, connection:
                for change in case.changes:
                    row = (change.key, change.data["size"], change.data["note"], change.version)
                    connection.execute("INSERT OR REPLACE INTO thing VALUES (?, ?, ?, ?)", row)
            return office.wrong_for_the_user(model_of(case.changes))

    def real(case: Case) -> list[str]:
        with front() as office:
            office.processor.process(records_of([[change] for change in case.changes]))
            return office.wrong_for_the_user(model_of(case.changes))

    def make(chance: random.Random) -> Case:
        changes = [upsert(number, chance.choice("ab")) for number in range(1, 6)]
        chance.shuffle(changes)
        return Case(tuple(changes), 0)

    return _search("an upsert without a version", make, naive, real, lambda _case: "they come in this order")


def hasty_publisher() -> Found:
    """Try to put what PutRecords refused behind what waits, and to send it again with that."""

    def naive(case: Case) -> list[str]:
        stream = _stream(case)
        waiting = [Entry(lane_of(change.key, _LANES), _bundle(change)) for change in case.changes]
        while waiting:
            entries, waiting = waiting[:3], waiting[3:]
            waiting += [entry for entry, put in zip(entries, stream.put(entries), strict=True) if put.error]
        return _out_of_order(stream)

    def real(case: Case) -> list[str]:
        stream = _stream(case)
        limits = Limits(max_bundle_events=1, shard_bytes_per_second=None, shard_records_per_second=None)
        lanes = Lanes(_LANES, limits, Backoff(), random.Random(1))
        for ticket, change in enumerate(case.changes):
            lanes.offer(lane_of(change.key, _LANES), encode(change), ticket)
        for now in count(0, 10):
            request = lanes.next_request(float(now), 3)
            if request is None:
                return _out_of_order(stream)
            lanes.answered(request, stream.put(request.entries), float(now))
        raise AssertionError("the loop has no other end")

    def make(chance: random.Random) -> Case:
        return Case(tuple(event(number, chance.choice("ab")) for number in range(1, 7)), chance.randint(0, 2))

    return _search(
        "a publisher that sends refused entries again at once, behind later ones",
        make,
        naive,
        real,
        lambda case: f"PutRecords takes three at a time, and refuses entry {case.fault} of the first request",
    )


def _stream(case: Case) -> MemoryStream:
    stream = MemoryStream(FakeClock(), lanes=_LANES)
    stream.fail_put(PutFault(refuse={case.fault}))
    return stream


def _bundle(change: Change) -> bytes:
    return record(1, change).data


def _out_of_order(stream: MemoryStream) -> list[str]:
    newest: dict[str, str] = {}
    found = []
    for one in stream.records(stream.open_shards()[0]):
        for each in events_of(one.data):
            before = newest.get(each.key, "")
            if each.version < before:
                found.append(f"I4: {each.key} version {int(each.version)} comes after version {int(before)}")
            newest[each.key] = max(each.version, before)
    return found


def _search(
    name: str, make: Callable[[random.Random], Case], naive: Judge, real: Judge, tell: Callable[[Case], str]
) -> Found:
    ours = [sentence for seed in range(_OURS) for sentence in real(make(random.Random(seed)))]
    for seed in range(_MOST_CASES):
        case = make(random.Random(seed))
        if naive(case):
            case = _smallest(case, naive)
            ours += real(case)
            history = tuple(f"{change.key} version {int(change.version)} ({change.verb})" for change in case.changes)
            return Found(name, seed + 1, (*history, tell(case)), naive(case)[0], tuple(ours))
    return Found(name, _MOST_CASES, (), "", tuple(ours))


def _smallest(case: Case, naive: Judge) -> Case:
    """Leave out changes, and let the fault strike earlier, as long as it still fails."""
    smaller = True
    while smaller:
        smaller = False
        fewer = [case._replace(changes=_without(case.changes, place)) for place in range(len(case.changes))]
        earlier = [case._replace(fault=fault) for fault in range(case.fault)]
        for other in (*fewer, *earlier):
            if other.changes and naive(other):
                case, smaller = other, True
                break
    return case


def _without(items: Sequence[T], place: int) -> tuple[T, ...]:
    return (*items[:place], *items[place + 1 :])


BASELINES: Final[dict[str, Callable[[], Found]]] = {
    "two-phase ledger that takes open claims again": partial(two_phase_ledger, takes_again=True),
    "two-phase ledger that holds open claims for done": partial(two_phase_ledger, takes_again=False),
    "upsert without a version": blind_upsert,
    "publisher that sends refused entries again at once": hasty_publisher,
}
