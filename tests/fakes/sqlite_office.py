"""A front office in a SQLite file, with ways to look into it and to break it."""

import itertools
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from isthmus.clock import Clock
from isthmus.consumer.applier import Applier
from isthmus.consumer.draining import Drainer
from isthmus.consumer.portions import UnitPortions
from isthmus.consumer.redrive import Redriver, Remake, TransactionalRedriver
from isthmus.consumer.stores.port import Decider, Entity, Store
from isthmus.consumer.stores.sqlite.reading import SqliteReader
from isthmus.consumer.stores.sqlite.store import SqliteSession, SqliteStore
from isthmus.metrics import Metrics
from isthmus.pipeline import Transaction
from tests.fakes.store_world import Holds, ValueTable

TABLES = """
CREATE TABLE thing (key TEXT PRIMARY KEY, size INTEGER CHECK (size >= 0), note TEXT, version TEXT);
CREATE TABLE effect (txn TEXT PRIMARY KEY, times INTEGER);
"""
_ORDER = {
    "guard": "key",
    "ledger": "txn",
    "settled": "txn",
    "fence": "source, lane",
    "history": "key, version, txn, outcome",
    "trail": "key",
}
_NOT_OF_THE_END = {"place", "before", "told", "decided", "first_at", "last_at", "written", "at"}
_EFFECT = "INSERT INTO effect (txn, times) VALUES (?, 1) ON CONFLICT (txn) DO UPDATE SET times = effect.times + 1"
_VALUES = {
    "plain": Holds.ANY,
    "TEXT": Holds.TEXT,
    "INTEGER": Holds.NUMBER,
    "REAL": Holds.NUMBER,
    "NUMERIC": Holds.NUMBER,
    "DECIMAL(10,2)": Holds.NUMBER,
}
"""Columns of the value table, named by their types."""
_numbers = itertools.count()


class SqliteOffice:
    """Implements the contract's `FrontOffice`."""

    transactional = True
    guards_apart = False
    few = False

    def __init__(self, folder: Path, tables: str = TABLES, pristine: bytes | None = None) -> None:
        self.path = folder / f"office-{next(_numbers)}.db"
        if pristine is None:
            SqliteStore(self.path, []).prepare()
            with closing(sqlite3.connect(self.path)) as connection:
                connection.executescript(tables)
            # Its last connection is closed, so all of it is in this one file.
            pristine = self.path.read_bytes()
        else:
            self.path.write_bytes(pristine)
        self._pristine = pristine

    def effect(self, tx: Transaction, txn: str) -> object:
        tx.execute(_EFFECT, (txn,))
        return None

    def store(self, entities: Sequence[Entity]) -> SqliteStore:
        return SqliteStore(self.path, entities)

    def decider(
        self, store: Store, entities: Mapping[str, Entity], clock: Clock, metrics: Metrics, *, history: bool
    ) -> Applier:
        assert isinstance(store, SqliteStore)
        session = store.session()
        return Applier(session, entities, clock, metrics, history=history, quick=session)

    def redriver(
        self, store: Store, entities: Mapping[str, Entity], remake: Remake, clock: Clock, *, history: bool
    ) -> TransactionalRedriver:
        assert isinstance(store, SqliteStore)
        return TransactionalRedriver(store.session(), entities, remake, clock, history=history)

    def lot(self) -> SqliteReader:
        return self.reader()

    def reader(self) -> SqliteReader:
        return SqliteReader(self.path)

    def fresh(self) -> "SqliteOffice":
        return SqliteOffice(self.path.parent, pristine=self._pristine)

    def damage(self, key: str) -> None:
        self.run("UPDATE thing SET note = 'damaged' WHERE key = ?", (key,))

    def settle(self, txn: str) -> None:
        self.run("INSERT INTO isthmus_settled (txn, decided) VALUES (?, 0)", (txn,))

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self._read(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608 - a test's own table

    def own(self, name: str) -> list[dict[str, Any]]:
        found = self._read(f"SELECT * FROM isthmus_{name} ORDER BY {_ORDER.get(name, 'place')}")  # noqa: S608 - same
        return [{column: value for column, value in row.items() if column not in _NOT_OF_THE_END} for row in found]

    def told(self) -> list[tuple[str, str]]:
        return self.run("SELECT txn, outcome FROM isthmus_history ORDER BY place")

    def value_table(self) -> ValueTable:
        declared = ", ".join(f'"{name}" {name}' for name in _VALUES if name != "plain")
        self.run(f"CREATE TABLE IF NOT EXISTS value (key TEXT PRIMARY KEY, plain, {declared})")
        return ValueTable(_VALUES, lambda: {row.pop("key"): row for row in self.rows("value")})

    def outage(self) -> sqlite3.OperationalError:
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        return error

    def break_at(
        self,
        decider: Decider | Redriver | SqliteSession | Drainer,
        at: int,
        error: BaseException,
        *,
        only: str = "",
        after: bool = False,
    ) -> Callable[[], bool]:
        if isinstance(decider, Drainer):
            decider = decider._portions
        session = decider._session if isinstance(decider, Applier | TransactionalRedriver | UnitPortions) else decider
        assert isinstance(session, SqliteSession)
        breaking = Breaking(session._shared.connection, at, error, only, after=after)
        session._shared.connection = breaking  # type: ignore[assignment]
        return breaking.happened

    def _read(self, statement: str) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(self.path)) as connection:
            cursor = connection.execute(statement)
            names = [column[0] for column in cursor.description]
            return [dict(zip(names, row, strict=True)) for row in cursor]


class Breaking:
    """A connection of which one statement raises."""

    def __init__(
        self, connection: sqlite3.Connection, at: int, error: BaseException, only: str, *, after: bool = False
    ) -> None:
        self._connection = connection
        self._left = at
        self._error = error
        self._only = only
        self._after = after

    def happened(self) -> bool:
        return self._left < 0

    def execute(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        return self._run(self._connection.execute, statement, *parameters)

    def executemany(self, statement: str, *parameters: Any) -> sqlite3.Cursor:
        return self._run(self._connection.executemany, statement, *parameters)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def _run(self, run: Callable[..., sqlite3.Cursor], statement: str, *parameters: Any) -> sqlite3.Cursor:
        if self._only not in statement:
            return run(statement, *parameters)
        self._left -= 1
        if self._left != -1:
            return run(statement, *parameters)
        if self._after:
            run(statement, *parameters)
        raise self._error
