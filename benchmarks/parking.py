"""What poison costs the healthy changes, and how fast the parking lot is emptied, in SQLite and in PostgreSQL."""

import sqlite3
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing, nullcontext, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from statistics import median, quantiles

import psycopg

from benchmarks.deciding import customer_table as sqlite_table
from benchmarks.populations import BATCH, FIELDS, LANES, batch
from benchmarks.postgres import customer_table as postgres_table
from benchmarks.postgres import server
from benchmarks.rows import Measured, Prepared, Row, against, interleaved
from isthmus.change import Change, Kind, Verb
from isthmus.clock import SystemClock
from isthmus.codec import decode
from isthmus.console.lot.pacing import Pace
from isthmus.console.lot.retrying import Retrying
from isthmus.console.lot.walking import at_once
from isthmus.consumer.applier import Applier
from isthmus.consumer.redrive import TransactionalRedriver
from isthmus.consumer.stores.lot import LotReader, Selection, Waiting
from isthmus.consumer.stores.port import Delivered, Entity, QuickSession, TableMapping, TransactionalStore
from isthmus.consumer.stores.postgres.connection import PostgresAddress
from isthmus.consumer.stores.postgres.reading import PostgresReader
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.consumer.stores.sqlite.reading import SqliteReader
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.errors import Poison
from isthmus.lifecycle import Stop, Stopped, ThreadStop
from isthmus.metrics import Metrics
from isthmus.pipeline import Transaction

BATCHES = 20
"""Of 500 changes: 10,000 in all."""
ALL_POISON = 2
WARM = 40
REDRIVEN = 2_000
"""Keys with one change each: the most work for a change."""
EACH_KEY = 50
ONE_KEY = 500
_UNBOUNDED = 1e9
"""Changes a second: as fast as it goes."""
PARKED_AT_LEAST = 500.0
"""Changes a second, where everything is poison."""
_REFUSED = "refused"
_LIVE_BATCHES = 150
_LIVE_SIZE = 100


def rows(rounds: int) -> list[Row]:
    """Measure decided changes per second, from decoded changes to the commit."""
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="isthmus-bench-")))
        make, numbers = stack.enter_context(server()), count()

        def in_sqlite() -> "_Office":
            return _sqlite(place / f"{next(numbers)}.db")

        return [
            row
            for name, office in (("SQLite", in_sqlite), ("PostgreSQL", lambda: _postgres(make())))
            for row in _rows(name, office, rounds)
        ]


@dataclass(frozen=True)
class _Office:
    """A front office of its own."""

    store: TransactionalStore
    lot: LotReader

    def retry(self, prefix: str, pace: Pace, stop: Stop) -> None:
        """Redrive keys as `isthmus parked retry` does."""
        session = self.store.session()
        redriver = TransactionalRedriver(session, _ENTITIES, _mended, SystemClock(), history=False)
        with closing(redriver):
            retrying = Retrying(self.lot, redriver, ask=at_once, pace=pace, clock=SystemClock(), stop=stop)
            retrying.run(Selection(prefix=prefix), lambda _told: None)

    def applier(self) -> Applier:
        session = self.store.session()
        quick = session if isinstance(session, QuickSession) else None
        return Applier(session, _ENTITIES, SystemClock(), Metrics(), history=False, quick=quick)


def _rows(name: str, make: "Callable[[], _Office]", rounds: int) -> list[Row]:
    positions = count(1)
    rates = interleaved(
        rounds,
        {
            "clean": _on_batches(positions, make(), BATCHES, lambda _place: False),
            "1 %": _on_batches(positions, make(), BATCHES, lambda place: place % 100 == 50),  # noqa: PLR2004 - any place
            "all": _on_batches(positions, make(), ALL_POISON, lambda _place: True),
            "events": _events(positions, make(), poison=False),
            "one poison key": _events(positions, make(), poison=True),
            "redrive": _redrives(positions, make(), REDRIVEN, 1),
            "redrive of keys with many": _redrives(positions, make(), REDRIVEN // EACH_KEY, EACH_KEY),
            "one key": _one_key(positions, make()),
            "redrive of one key": _redrives(positions, make(), 1, ONE_KEY),
        },
    )
    alone, beside = _live_p99(positions, make(), rounds)
    unit = "changes/s"

    def row(words: str, ours: str, baseline: float, wanted: float | None, note: str = "") -> Row:
        return against(f"{name}, {words}", rates[ours], baseline, unit, wanted=wanted, note=note)

    behind = f"its changes are {BATCHES} of {BATCHES * BATCH:,} events, and wait behind its first"
    one_each = f"{REDRIVEN:,} keys with one change each"
    in_order = "nothing of one key can go side by side, live neither"
    return [
        row("one poison key, against none", "one poison key", rates["events"], 0.9, behind),
        row("1 % poison all over the batches, against none", "1 %", rates["clean"], 0.5),
        row("all poison, against what was promised", "all", PARKED_AT_LEAST, 1.0),
        row("redrive, against live", "redrive", rates["clean"], 0.5, one_each),
        row("redrive of keys with many changes, against live", "redrive of keys with many", rates["clean"], 0.5),
        row(f"redrive of {ONE_KEY} of one key, against live", "redrive of one key", rates["one key"], 0.5, in_order),
        Row(
            f"{name}, p99 of a live batch alone, against beside a redrive",
            round(alone, 2),
            round(beside, 2),
            round(alone / beside, 3),
            "ms",
            0.5,
            f"batches of {_LIVE_SIZE}",
        ),
    ]


def _on_batches(
    positions: "count[int]", office: _Office, batches: int, is_poison: Callable[[int], bool], verb: Verb = Verb.UPSERT
) -> Prepared:
    applier = office.applier()
    for _ in range(WARM):
        applier.apply(batch(positions, BATCH))

    def prepare() -> Measured:
        work = [_spoilt(batch(positions, BATCH, verb=verb), is_poison) for _ in range(batches)]

        def run() -> int:
            for each in work:
                applier.apply(each)
            return batches * BATCH

        return run

    return prepare


def _events(positions: "count[int]", office: _Office, *, poison: bool) -> Prepared:
    """Give batches of events; with `poison` the first of each batch is of one key that is parked."""
    applier = office.applier()
    for _ in range(WARM):
        applier.apply(batch(positions, BATCH, entity="deduction", verb=Verb.EVENT))
    poisonous = 10**9

    def prepare() -> Measured:
        work = []
        for _ in range(BATCHES):
            made = batch(positions, BATCH, entity="deduction", verb=Verb.EVENT)
            first = made[0].change
            key = f"deduction/{poisonous}" if poison else f"deduction/{poisonous + 1}"
            status = _REFUSED if poison else "fine"
            made[0] = made[0]._replace(change=first._replace(key=key, data={**first.data, "status": status}))
            work.append(made)

        def run() -> int:
            for each in work:
                applier.apply(each)
            return BATCHES * BATCH

        return run

    return prepare


def _redrives(positions: "count[int]", office: _Office, keys: int, each: int) -> Prepared:
    applier = office.applier()
    for _ in range(WARM):
        applier.apply(batch(positions, BATCH))

    def prepare() -> Measured:
        parked = [f"customer/parked-{next(positions)}" for _ in range(keys)]
        _park(applier, positions, parked, each)

        def run() -> int:
            office.retry("customer/parked-", Pace(_UNBOUNDED, clock=SystemClock(), stop=ThreadStop()), ThreadStop())
            return keys * each

        return run

    return prepare


def _one_key(positions: "count[int]", office: _Office) -> Prepared:
    applier = office.applier()
    for _ in range(WARM):
        applier.apply(batch(positions, BATCH))

    def prepare() -> Measured:
        key = f"customer/{next(positions)}"
        made = [each._replace(change=each.change._replace(key=key)) for each in batch(positions, ONE_KEY)]

        def run() -> int:
            applier.apply(made)
            return ONE_KEY

        return run

    return prepare


def _park(applier: Applier, positions: "count[int]", keys: Sequence[str], each: int) -> None:
    for _ in range(each):
        for at in range(0, len(keys), BATCH):
            names = keys[at : at + BATCH]
            made = _spoilt(batch(positions, len(names)), lambda _place: True)
            applier.apply(
                [
                    delivered._replace(change=delivered.change._replace(key=key))
                    for delivered, key in zip(made, names, strict=True)
                ]
            )


def _live_p99(positions: "count[int]", office: _Office, rounds: int) -> tuple[float, float]:
    """Give the p99 of how long a live batch takes alone, and beside a redrive at its own pace, in ms."""
    applier = office.applier()
    for _ in range(WARM):
        applier.apply(batch(positions, BATCH))
    found: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(rounds):
        for redriven in (False, True):
            keys = [f"customer/parked-{next(positions)}" for _ in range(REDRIVEN)]
            if redriven:
                _park(applier, positions, keys, 1)
            with _Redriving(office) if redriven else nullcontext():
                found[redriven].append(_p99(applier, positions))
    return median(found[False]), median(found[True])


def _p99(applier: Applier, positions: "count[int]") -> float:
    clock, times = SystemClock(), []
    for _ in range(_LIVE_BATCHES):
        work = batch(positions, _LIVE_SIZE)
        begun = clock.monotonic()
        applier.apply(work)
        times.append((clock.monotonic() - begun) * 1000)
    return quantiles(times, n=100)[98]


class _Redriving:
    """Redrives keys in a thread of its own, at the pace of `isthmus parked retry`, as long as it is entered."""

    def __init__(self, office: _Office) -> None:
        self._office = office
        self._stop = ThreadStop()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.request()
        self._thread.join()

    def _run(self) -> None:
        with suppress(Stopped):
            self._office.retry("customer/parked-", Pace(None, clock=SystemClock(), stop=self._stop), self._stop)


def _spoilt(whole: list[Delivered], is_poison: Callable[[int], bool]) -> list[Delivered]:
    """Make some changes of a batch ones that the table's constraint refuses."""
    for place, delivered in enumerate(whole):
        if is_poison(place):
            change = delivered.change
            whole[place] = delivered._replace(change=change._replace(data={**change.data, "status": _REFUSED}))
    return whole


def _mended(waiting: Waiting) -> list[Change]:
    changes = (change for change in decode(waiting.event) if isinstance(change, Change))
    return [change._replace(data={**(change.data or {}), "status": "fine"}) for change in changes]


def _refuse(_tx: Transaction, change: Change, _previous: Mapping[str, object] | None) -> None:
    if (change.data or {}).get("status") == _REFUSED:
        raise Poison("refused")


_CUSTOMER = Entity(
    "customer", Kind.STATE, TableMapping("customer", "key", "version", {name: name for name in FIELDS}), None
)
_DEDUCTION = Entity("deduction", Kind.EVENT, None, None, (_refuse,))
_ENTITIES = {"customer": _CUSTOMER, "deduction": _DEDUCTION}
_CHECK = f"CHECK (status <> '{_REFUSED}')"


def _sqlite(path: Path) -> _Office:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(f"{sqlite_table().removesuffix(')')}, {_CHECK})")
    store = SqliteStore(path, [_CUSTOMER])
    store.prepare()
    return _Office(store, SqliteReader(path))


def _postgres(url: str) -> _Office:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(postgres_table())
        connection.execute(f"ALTER TABLE customer ADD {_CHECK}")
    store = PostgresStore(PostgresAddress(url), [_CUSTOMER], lanes=LANES)
    store.prepare()
    return _Office(store, PostgresReader(PostgresAddress(url)))
