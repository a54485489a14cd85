"""The applier into SQLite, beside one transaction per change and beside a batch upsert that guarantees nothing."""

import os
import sqlite3
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from itertools import count
from pathlib import Path
from statistics import median

from benchmarks.populations import BATCH, FIELDS, NAMES, batch, row
from benchmarks.rows import Measured, Prepared, Row, against, interleaved
from isthmus.change import Change, Kind
from isthmus.clock import SystemClock
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Delivered, Entity, TableMapping
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.metrics import Metrics

BATCHES = 8
SINGLES = 300
_TABLE = f"CREATE TABLE customer (key TEXT PRIMARY KEY, {', '.join(f'{field} TEXT' for field in FIELDS)}, version TEXT)"
_UPSERT = (
    f"INSERT INTO customer ({', '.join(NAMES)}) VALUES ({', '.join('?' * len(NAMES))}) "  # noqa: S608 - constants above
    f"ON CONFLICT (key) DO UPDATE SET {', '.join(f'{name} = excluded.{name}' for name in NAMES[1:])}"
)


def customer_table() -> str:
    """Give the statement that makes the table."""
    return _TABLE


def rows(rounds: int) -> list[Row]:
    """Measure decided changes per second, from decoded changes to the commit."""
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
        folder = Path(name)
        positions = count(1)
        contenders: dict[str, Prepared] = {
            "ours": _ours(folder / "ours.db", positions, history=False),
            "with history": _ours(folder / "history.db", positions, history=True),
            "one by one": _one_by_one(folder / "single.db", positions),
            "plain": _plain(folder / "plain.db", positions),
        }
        rates = interleaved(rounds, contenders)
        sync = fsync_ms(folder)
    note = f"synchronous=FULL; one fsync of 4 KiB here: {sync:.2f} ms"
    unit = "changes/s"
    return [
        against(
            "applier, against a transaction per change",
            rates["ours"],
            rates["one by one"],
            unit,
            wanted=15.0,
            note=note,
        ),
        against("applier, against a plain batch upsert", rates["ours"], rates["plain"], unit, wanted=0.25),
        against(
            "applier with history, against a transaction per change",
            rates["with history"],
            rates["one by one"],
            unit,
            wanted=12.0,
        ),
        against(
            "applier with history, against a plain batch upsert",
            rates["with history"],
            rates["plain"],
            unit,
            wanted=0.2,
        ),
    ]


def _made(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute(_TABLE)


def _ours(path: Path, positions: "count[int]", *, history: bool) -> Prepared:
    _made(path)
    mapping = TableMapping("customer", "key", "version", {field: field for field in FIELDS})
    entity = Entity("customer", Kind.STATE, mapping, None)
    store = SqliteStore(path, [entity])
    store.prepare()
    session = store.session()
    applier = Applier(session, {"customer": entity}, SystemClock(), Metrics(), history=history, quick=session)
    return _on_batches(positions, applier.apply)


def _on_batches(positions: "count[int]", apply: Callable[[Sequence[Delivered]], object]) -> Prepared:
    def prepare() -> Measured:
        batches = [batch(positions, BATCH) for _ in range(BATCHES)]

        def run() -> int:
            for each in batches:
                apply(each)
            return BATCHES * BATCH

        return run

    return prepare


def _one_by_one(path: Path, positions: "count[int]") -> Prepared:
    _made(path)
    connection = _connected(path)
    connection.execute("CREATE TABLE guard (key TEXT PRIMARY KEY, version TEXT, txn TEXT) WITHOUT ROWID")

    def apply(change: Change) -> None:
        connection.execute("BEGIN IMMEDIATE")
        found = connection.execute("SELECT version FROM guard WHERE key = ?", (change.key,)).fetchone()
        if found is None or found[0] < change.version:
            connection.execute(
                "INSERT INTO guard VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE "
                "SET version = excluded.version, txn = excluded.txn",
                (change.key, change.version, change.id),
            )
            connection.execute(_UPSERT, row(change))
        connection.execute("COMMIT")

    def prepare() -> Measured:
        changes = [delivered.change for delivered in batch(positions, SINGLES)]

        def run() -> int:
            for change in changes:
                apply(change)
            return SINGLES

        return run

    return prepare


def _plain(path: Path, positions: "count[int]") -> Prepared:
    _made(path)
    connection = _connected(path)

    def apply(batch: Sequence[Delivered]) -> None:
        connection.execute("BEGIN IMMEDIATE")
        connection.executemany(_UPSERT, [row(delivered.change) for delivered in batch])
        connection.execute("COMMIT")

    return _on_batches(positions, apply)


def _connected(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    return connection


def fsync_ms(folder: Path, times: int = 50) -> float:
    """Give the median of writing 4 KiB and waiting until the disk has it, in milliseconds."""
    clock = SystemClock()
    found = []
    with (folder / "fsync").open("wb", buffering=0) as file:
        for _ in range(times):
            file.write(b"x" * 4096)
            start = clock.monotonic()
            os.fsync(file.fileno())
            found.append((clock.monotonic() - start) * 1000)
    return median(found)
