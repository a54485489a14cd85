"""A front office in a PostgreSQL database, with ways to look into it and to break it."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Self

import psycopg

from isthmus.clock import Clock
from isthmus.consumer.applier import Applier
from isthmus.consumer.draining import Drainer
from isthmus.consumer.portions import UnitPortions
from isthmus.consumer.redrive import Redriver, Remake, TransactionalRedriver
from isthmus.consumer.stores.port import Decider, Entity, Store
from isthmus.consumer.stores.postgres.connection import PostgresAddress
from isthmus.consumer.stores.postgres.reading import PostgresReader
from isthmus.consumer.stores.postgres.store import PostgresSession, PostgresStore
from isthmus.metrics import Metrics
from isthmus.pipeline import Transaction
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import Holds, ValueTable

LANES = 4
TABLES = """
CREATE TABLE thing (key text PRIMARY KEY, size integer CHECK (size >= 0), note text, version text);
CREATE TABLE effect (txn text PRIMARY KEY, times integer);
"""
_ORDER = {
    "guard": "key",
    "ledger": "txn",
    "settled": "txn",
    "fence": "source, lane",
    "history": "key, version, txn, outcome",
}
_NOT_OF_THE_END = {"place", "decided", "first_at", "last_at", "written", "month", "at"}
_VALUES = {
    "smallint": Holds.NUMBER,
    "integer": Holds.NUMBER,
    "bigint": Holds.NUMBER,
    "numeric": Holds.NUMBER,
    "numeric(10,2)": Holds.NUMBER,
    "real": Holds.NUMBER,
    "double precision": Holds.NUMBER,
    "boolean": Holds.TRUTH,
    "text": Holds.TEXT,
    "varchar": Holds.TEXT,
    "jsonb": Holds.JSON,
    "json": Holds.JSON,
    "timestamptz": Holds.MOMENT,
    "date": Holds.DAY,
}
"""Columns of the value table, named by their types."""
_READ = {
    # As text: a driver rounds no number then.
    Holds.JSON: "{}::text",
    Holds.MOMENT: "(extract(epoch FROM {}) * 1000000)::bigint",
    Holds.DAY: "{} - DATE '1970-01-01'",
    Holds.TRUTH: "{}",
    Holds.TEXT: "{}",
    Holds.NUMBER: "{}::text",
}
_EFFECT = "INSERT INTO effect (txn, times) VALUES (%s, 1) ON CONFLICT (txn) DO UPDATE SET times = effect.times + 1"
_OURS = "guard, ledger, settled, parked, outbox, audit, fence, history, held, gate"


class PostgresOffice:
    """Implements the contract's `FrontOffice`."""

    transactional = True
    guards_apart = False
    few = False

    def __init__(self, server: PostgresServer, tables: str = TABLES) -> None:
        self._server = server
        self._tables = tables
        self.url = server.database()
        # One for all looks: a session costs a hundred times what a look does.
        self._look = psycopg.connect(self.url, autocommit=True)
        self.address = PostgresAddress(self.url, statement_timeout=20.0, lock_timeout=5.0)
        PostgresStore(self.address, [], lanes=LANES).prepare()
        self.run(tables)

    def effect(self, tx: Transaction, txn: str) -> object:
        tx.execute(_EFFECT, (txn,))
        return None

    def store(self, entities: Sequence[Entity]) -> PostgresStore:
        return PostgresStore(self.address, entities, lanes=LANES)

    def decider(
        self, store: Store, entities: Mapping[str, Entity], clock: Clock, metrics: Metrics, *, history: bool
    ) -> Applier:
        assert isinstance(store, PostgresStore)
        session = store.session()
        return Applier(session, entities, clock, metrics, history=history, quick=session)

    def redriver(
        self, store: Store, entities: Mapping[str, Entity], remake: Remake, clock: Clock, *, history: bool
    ) -> TransactionalRedriver:
        assert isinstance(store, PostgresStore)
        return TransactionalRedriver(store.session(), entities, remake, clock, history=history)

    def lot(self) -> PostgresReader:
        return self.reader()

    def reader(self) -> PostgresReader:
        return PostgresReader(self.address)

    def fresh(self) -> "PostgresOffice":
        """Empty this one: a database made anew takes a hundred times as long."""
        tables = [row[0] for row in self.run("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        own = [f"isthmus.{name}" for name in _OURS.split(", ")]
        self.run("; ".join(f"DELETE FROM {name}" for name in (*own, *tables)))  # noqa: S608 - a test's own tables
        return self

    def close(self) -> None:
        self._look.close()

    def damage(self, key: str) -> None:
        self.run("UPDATE thing SET note = 'damaged' WHERE key = %s", (key,))

    def settle(self, txn: str) -> None:
        self.run("INSERT INTO isthmus.settled (txn, decided) VALUES (%s, 0)", (txn,))

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[Any]:
        cursor = self._look.execute(statement, parameters or None)  # type: ignore[call-overload]  # a test's own words
        return cursor.fetchall() if cursor.description else []

    def rows(self, table: str) -> list[dict[str, Any]]:
        return self._read(f"SELECT * FROM {table} ORDER BY 1")  # noqa: S608 - a test's own table

    def own(self, name: str) -> list[dict[str, Any]]:
        found = self._read(f"SELECT * FROM isthmus.{name} ORDER BY {_ORDER.get(name, 'place')}")  # noqa: S608 - same
        return [{column: value for column, value in row.items() if column not in _NOT_OF_THE_END} for row in found]

    def told(self) -> list[tuple[str, str]]:
        return self.run("SELECT txn, outcome FROM isthmus.history ORDER BY place")

    def value_table(self) -> ValueTable:
        declared = ", ".join(f'"{name}" {name}' for name in _VALUES)
        self.run(f"CREATE TABLE IF NOT EXISTS value (key text PRIMARY KEY, {declared})")
        return ValueTable(_VALUES, self._read_values)

    def _read_values(self) -> Mapping[str, Mapping[str, Any]]:
        columns = ", ".join(_READ[holds].format(f'"{name}"') + f' AS "{name}"' for name, holds in _VALUES.items())
        found = self._read(f"SELECT key, {columns} FROM value")  # noqa: S608 - a test's own table
        for row in found:
            for name, holds in _VALUES.items():
                if holds is Holds.NUMBER and row[name] is not None:
                    # PostgreSQL and Python write some doubles with other digits, and read the same one of both.
                    text = repr(float(row[name])) if name == "double precision" else row[name]
                    row[name] = Decimal(text)
        return {row.pop("key"): row for row in found}

    def outage(self) -> BaseException:
        return psycopg.OperationalError("server closed the connection unexpectedly")

    def break_at(
        self,
        decider: Decider | Redriver | PostgresSession | Drainer,
        at: int,
        error: BaseException,
        *,
        only: str = "",
        after: bool = False,
    ) -> Callable[[], bool]:
        if isinstance(decider, Drainer):
            decider = decider._portions
        session = decider._session if isinstance(decider, Applier | TransactionalRedriver | UnitPortions) else decider
        assert isinstance(session, PostgresSession)
        breaking = Breaking(session.connected(), at, error, only, after=after)
        session._connection = breaking  # type: ignore[assignment]
        return breaking.happened

    def _read(self, statement: str) -> list[dict[str, Any]]:
        cursor = self._look.execute(statement)  # type: ignore[call-overload]  # a test's own words
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]


class Breaking:
    """A connection of which one statement raises; what was not committed is gone with it."""

    def __init__(self, connection: Any, at: int, error: BaseException, only: str, *, after: bool = False) -> None:
        self._connection = connection
        self._left = at
        self._error = error
        self._only = only
        self._after = after

    def happened(self) -> bool:
        return self._left < 0

    def execute(self, statement: str, *parameters: Any, **options: Any) -> Any:
        return self.run(self._connection.execute, statement, *parameters, **options)

    def cursor(self) -> "BreakingCursor":
        return BreakingCursor(self, self._connection.cursor())

    def run(self, run: Callable[..., Any], statement: str, *parameters: Any, **options: Any) -> Any:
        if self._only not in statement:
            return run(statement, *parameters, **options)
        self._left -= 1
        if self._left != -1:
            return run(statement, *parameters, **options)
        if self._after:
            run(statement, *parameters, **options)
        raise self._error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class BreakingCursor:
    """A cursor of it."""

    def __init__(self, breaking: Breaking, cursor: Any) -> None:
        self._breaking = breaking
        self._cursor = cursor

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cursor.close()

    def close(self) -> None:
        self._cursor.close()

    def executemany(self, statement: str, parameters: Any) -> None:
        self._breaking.run(self._cursor.executemany, statement, parameters)
