"""The applier into PostgreSQL, beside one transaction per change and beside batch upserts that guarantee nothing."""

import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import psycopg

from benchmarks.populations import BATCH, FIELDS, LANES, NAMES, batch, row
from benchmarks.rows import Measured, Prepared, Row, against, interleaved
from isthmus.change import Change, Kind, Verb, lane_of
from isthmus.clock import SystemClock
from isthmus.console.embedded_postgres import EmbeddedPostgres
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Delivered, Entity, TableMapping
from isthmus.consumer.stores.postgres.connection import PostgresAddress
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.metrics import Metrics
from isthmus.pipeline import Transaction

BATCHES = 8
SINGLES = 200
WARM = 100
"""Batches before anything is measured: pages that are written for the first time go into the log whole."""
WORKERS = 4

_TABLE = (
    f'CREATE TABLE customer (key text COLLATE "C" PRIMARY KEY, {", ".join(f"{f} text" for f in FIELDS)}, version text)'
)
_SET = ", ".join(f"{name} = EXCLUDED.{name}" for name in NAMES[1:])
_INTO = f"INSERT INTO customer ({', '.join(NAMES)})"
_ON_CONFLICT = f"ON CONFLICT (key) DO UPDATE SET {_SET}"
_ONE = f"{_INTO} VALUES ({', '.join(['%s'] * len(NAMES))}) {_ON_CONFLICT}"
_MANY = f"{_INTO} SELECT * FROM unnest({', '.join(['%s::text[]'] * len(NAMES))}) {_ON_CONFLICT}"  # noqa: S608 - constants
_JSON = (
    f"{_INTO} SELECT {', '.join(NAMES)} FROM json_to_recordset(%s::json) AS j "  # noqa: S608 - constants
    f"({', '.join(f'{name} text' for name in NAMES)}) {_ON_CONFLICT}"
)
_GUARD = """INSERT INTO guard (key, version, txn) VALUES (%s, %s, %s)
    ON CONFLICT (key) DO UPDATE SET version = EXCLUDED.version, txn = EXCLUDED.txn"""
_ADD = "UPDATE account SET balance = balance - %s WHERE number = %s"
_ACCOUNTS = 1000
_TYPES = {Verb.UPSERT: "customer", Verb.EVENT: "deduction"}

Apply = Callable[[Sequence[Delivered]], object]


def rows(rounds: int) -> list[Row]:
    """Measure decided changes per second, from decoded changes to the commit, on a server of its own."""
    with server() as made, tempfile.TemporaryDirectory(prefix="isthmus-bench-"):
        return _rows(rounds, made)


def _rows(rounds: int, make: Callable[[], str]) -> list[Row]:
    positions = count(1)
    rates = interleaved(
        rounds,
        {
            "ours": _on_batches(positions, _ours(make(), history=False)),
            "asking first": _on_batches(positions, _ours(make(), history=False, quick=False)),
            "with history": _on_batches(positions, _ours(make(), history=True)),
            "one poison": _on_batches(positions, _ours(make(), history=False), poison=True),
            "executemany": _on_batches(positions, _executemany(make())),
            "unnest": _on_batches(positions, _unnest(make())),
            "json": _on_batches(positions, _json(make())),
            "copy": _on_batches(positions, _copy(make())),
            "one by one": _on_singles(positions, _one_by_one(make())),
            "events": _on_batches(positions, _events(make()), verb=Verb.EVENT),
            "events one by one": _on_singles(positions, _events_one_by_one(make()), verb=Verb.EVENT),
            "four workers": _on_workers(positions, make()),
        },
    )
    plain, way = max((rates[name], name) for name in ("executemany", "unnest"))
    ours, named = rates["ours"], f"the fastest of executemany in a pipeline and unnest: {way}"
    return [
        _row("against a transaction per change", ours, rates["one by one"], wanted=20.0),
        _row("against a plain batch upsert", ours, plain, wanted=0.6, note=named),
        _row("against a plain upsert out of JSON", ours, rates["json"]),
        _row("with history, against a plain batch upsert", rates["with history"], plain, wanted=0.45),
        _row("the quick way, against asking first", ours, rates["asking first"]),
        _row("against COPY of the same rows", ours, rates["copy"], note="the limit"),
        _row(
            "events and a handler, against a transaction each", rates["events"], rates["events one by one"], wanted=5.0
        ),
        _row("four workers, against one", rates["four workers"], ours, wanted=1.5),
        _row("one poison change in 500, against none", rates["one poison"], ours, wanted=0.5),
    ]


def _row(name: str, ours: float, baseline: float, *, wanted: float | None = None, note: str = "") -> Row:
    return against(f"PostgreSQL, {name}", ours, baseline, "changes/s", wanted=wanted, note=note)


def customer_table() -> str:
    """Give the statement that makes the table."""
    return _TABLE


@contextmanager
def server() -> Iterator[Callable[[], str]]:
    """Give a function that makes a database and gives its address."""
    numbers = count()
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-pg-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedPostgres(folder / "data", folder / "postgresql.log") as server:

            def make() -> str:
                database = f"bench_{next(numbers)}"
                with psycopg.connect(server.url, autocommit=True) as connection:
                    connection.execute(f"CREATE DATABASE {database} TEMPLATE template0")
                return psycopg.conninfo.make_conninfo(server.url, dbname=database)

            yield make


def _on_batches(positions: "count[int]", apply: Apply, *, poison: bool = False, verb: Verb = Verb.UPSERT) -> Prepared:
    for _ in range(WARM):
        apply(batch(positions, BATCH, entity=_TYPES[verb], verb=verb))

    def prepare() -> Measured:
        batches = [batch(positions, BATCH, entity=_TYPES[verb], verb=verb) for _ in range(BATCHES)]
        if poison:
            batches = [_spoilt(each) for each in batches]

        def run() -> int:
            for each in batches:
                apply(each)
            return BATCHES * BATCH

        return run

    return prepare


def _on_singles(positions: "count[int]", apply: Callable[[Change], object], *, verb: Verb = Verb.UPSERT) -> Prepared:
    def prepare() -> Measured:
        changes = [delivered.change for delivered in batch(positions, SINGLES, entity=_TYPES[verb], verb=verb)]

        def run() -> int:
            for change in changes:
                apply(change)
            return SINGLES

        return run

    return prepare


def _on_workers(positions: "count[int]", url: str) -> Prepared:
    """Give each worker the lanes that leave the same rest when divided by their number, as shards do."""
    store = _store(url)
    appliers = [_applier(store, history=False) for _ in range(WORKERS)]
    for _ in range(WARM):
        appliers[0].apply(batch(positions, BATCH))

    def prepare() -> Measured:
        shares: list[list[Delivered]] = [[] for _ in range(WORKERS)]
        while min(map(len, shares)) < BATCHES * BATCH:
            for delivered in batch(positions, BATCH):
                shares[lane_of(delivered.change.key, LANES) % WORKERS].append(delivered)
        work = [[share[at : at + BATCH] for at in range(0, BATCHES * BATCH, BATCH)] for share in shares]

        def run() -> int:
            with ThreadPoolExecutor(WORKERS) as pool:
                list(pool.map(_all_of, zip(appliers, work, strict=True)))
            return WORKERS * BATCHES * BATCH

        return run

    return prepare


def _all_of(task: tuple[Applier, list[list[Delivered]]]) -> None:
    applier, batches = task
    for each in batches:
        applier.apply(each)


def _spoilt(whole: list[Delivered]) -> list[Delivered]:
    """Make one change of a batch one that the table's constraint refuses."""
    place = len(whole) // 2
    change = whole[place].change
    whole[place] = whole[place]._replace(change=change._replace(data={**change.data, "status": "refused"}))
    return whole


def _store(url: str) -> PostgresStore:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(_TABLE)
        connection.execute("ALTER TABLE customer ADD CHECK (status <> 'refused')")
    store = PostgresStore(PostgresAddress(url), [_CUSTOMER], lanes=LANES)
    store.prepare()
    return store


def _applier(store: PostgresStore, *, history: bool, quick: bool = True) -> Applier:
    session = store.session()
    entities = {"customer": _CUSTOMER, "deduction": _DEDUCTION}
    return Applier(session, entities, SystemClock(), Metrics(), history=history, quick=session if quick else None)


def _ours(url: str, *, history: bool, quick: bool = True) -> Apply:
    return _applier(_store(url), history=history, quick=quick).apply


def _connected(url: str) -> "psycopg.Connection[tuple[Any, ...]]":
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(_TABLE)
    return connection


def _executemany(url: str) -> Apply:
    connection = _connected(url)

    def apply(changes: Sequence[Delivered]) -> None:
        with connection.transaction(), connection.cursor() as cursor:
            cursor.executemany(_ONE, [row(delivered.change) for delivered in changes])

    return apply


def _unnest(url: str) -> Apply:
    connection = _connected(url)

    def apply(changes: Sequence[Delivered]) -> None:
        columns = zip(*(row(delivered.change) for delivered in changes), strict=True)
        with connection.transaction():
            connection.execute(_MANY, [list(column) for column in columns], prepare=True)

    return apply


def _json(url: str) -> Apply:
    connection = _connected(url)

    def apply(changes: Sequence[Delivered]) -> None:
        made = [dict(zip(NAMES, row(delivered.change), strict=True)) for delivered in changes]
        with connection.transaction():
            connection.execute(_JSON, (orjson.dumps(made).decode(),), prepare=True)

    return apply


def _copy(url: str) -> Apply:
    connection = psycopg.connect(url, autocommit=True)
    connection.execute(f"CREATE TABLE heap ({', '.join(f'{name} text' for name in NAMES)})")

    def apply(changes: Sequence[Delivered]) -> None:
        with connection.transaction(), connection.cursor().copy("COPY heap FROM STDIN") as copy:
            for delivered in changes:
                copy.write_row(row(delivered.change))

    return apply


def _one_by_one(url: str) -> Callable[[Change], object]:
    connection = _connected(url)
    connection.execute("CREATE TABLE guard (key text PRIMARY KEY, version text, txn text)")

    def apply(change: Change) -> None:
        with connection.transaction():
            found = connection.execute(
                "SELECT version FROM guard WHERE key = %s FOR UPDATE", (change.key,), prepare=True
            ).fetchone()
            if found is None or found[0] < change.version:
                connection.execute(_GUARD, (change.key, change.version, change.id), prepare=True)
                connection.execute(_ONE, row(change), prepare=True)

    return apply


def _deduct(tx: Transaction, change: Change, _previous: object) -> None:
    tx.execute(_ADD, (1, _account(change)))


def _account(change: Change) -> int:
    return int(change.key.rpartition("/")[2]) % _ACCOUNTS


def _events(url: str) -> Apply:
    _accounts(url)
    return _applier(_store(url), history=False).apply


def _accounts(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE account (number integer PRIMARY KEY, balance bigint)")
        connection.execute(f"INSERT INTO account SELECT n, 0 FROM generate_series(0, {_ACCOUNTS - 1}) n")  # noqa: S608 - a number


def _events_one_by_one(url: str) -> Callable[[Change], object]:
    _accounts(url)
    connection = psycopg.connect(url, autocommit=True)
    connection.execute("CREATE TABLE ledger (txn text PRIMARY KEY, key text)")

    def apply(change: Change) -> None:
        with connection.transaction():
            taken = connection.execute(
                "INSERT INTO ledger VALUES (%s, %s) ON CONFLICT DO NOTHING", (change.id, change.key), prepare=True
            )
            if taken.rowcount:
                connection.execute(_ADD, (1, _account(change)), prepare=True)

    return apply


_CUSTOMER = Entity(
    "customer", Kind.STATE, TableMapping("customer", "key", "version", {name: name for name in FIELDS}), None
)
_DEDUCTION = Entity("deduction", Kind.EVENT, None, None, (_deduct,))
