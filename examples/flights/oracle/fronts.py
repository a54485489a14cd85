"""Where the oracle reads a front office: the same five sets of rows out of every store, straight from its tables.

Nothing of Isthmus's own code reads them here. A store that has a moment is read at one moment.
"""

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol

FLIGHT = (
    "key, carrier_code, carrier_name, flight_number, tail_number, origin, destination, status, scheduled_departure,"
    " actual_departure, scheduled_arrival, actual_arrival, version"
)
BOARD = "airport, departures, arrivals, cancellations, diversions"

Rows = Iterable[tuple[Any, ...]]


class Front(Protocol):
    """What stands in a front office."""

    def flights(self) -> Rows:
        """Give the columns of `FLIGHT`."""
        ...

    def board(self) -> Rows:
        """Give the columns of `BOARD`."""
        ...

    def guards(self) -> Rows:
        """Give key and version (38 digits) of every entity that ever took effect."""
        ...

    def history(self) -> Rows:
        """Give transaction ID, key, version, outcome and moment (ms), of each ID in the order of telling."""
        ...

    def parked(self) -> Rows:
        """Give key, version and transaction ID of every change in the parking lot."""
        ...


Fronts = Callable[[], AbstractContextManager[Front]]
"""Opens a front office for reading, and closes it."""


class SqlFront:
    """A front office that is asked in SQL; `own` gives the name of a table of Isthmus's."""

    def __init__(self, ask: Callable[[str], Rows], own: Callable[[str], str], order: str) -> None:
        self._ask = ask
        self._own = own
        self._order = order

    def flights(self) -> Rows:
        """Give the flights."""
        return self._ask(f"SELECT {FLIGHT} FROM flight")  # noqa: S608 - constants

    def board(self) -> Rows:
        """Give the board."""
        return self._ask(f"SELECT {BOARD} FROM airport_board")  # noqa: S608 - constants

    def guards(self) -> Rows:
        """Give the guards."""
        return self._ask(f"SELECT key, version FROM {self._own('guard')}")  # noqa: S608 - constants

    def history(self) -> Rows:
        """Give the history."""
        columns = "txn, key, version, outcome, decided"
        return self._ask(f"SELECT {columns} FROM {self._own('history')} ORDER BY {self._order}")  # noqa: S608 - constants

    def parked(self) -> Rows:
        """Give the parking lot."""
        return self._ask(f"SELECT key, version, txn FROM {self._own('parked')}")  # noqa: S608 - constants


def sqlite_front(database: Path) -> AbstractContextManager[Front]:
    """Read a SQLite front office. Raises sqlite3.Error when it cannot be read or lacks a table."""
    return _sqlite_front(database)


@contextmanager
def _sqlite_front(database: Path) -> Iterator[Front]:
    with reading(database) as connection:
        yield SqlFront(connection.execute, lambda name: f"isthmus_{name}", "rowid")


@contextmanager
def reading(database: Path) -> Iterator[sqlite3.Connection]:
    """Open a database read-only; everything read through it is of one moment.

    Raises sqlite3.Error when it cannot be read.
    """
    db = sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True, isolation_level=None)
    try:
        # A run that stays up may still be writing.
        db.execute("BEGIN")
        yield db
    finally:
        db.close()


@contextmanager
def postgres_front(url: str) -> Iterator[Front]:
    """Read a front office in PostgreSQL. Raises psycopg.Error when it cannot be read or lacks a table."""
    import psycopg  # noqa: PLC0415 - an extra, which other front offices do without

    with psycopg.connect(url) as connection:
        connection.read_only = True
        connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ

        def ask(statement: str) -> Rows:
            return connection.execute(statement)

        yield SqlFront(ask, lambda name: f"isthmus.{name}", "place")


@contextmanager
def dynamodb_front(client: Any, own: str) -> Iterator[Front]:
    """Read a front office in DynamoDB through boto3's client; `own` is Isthmus's own table there.

    Raises botocore's ClientError when a table cannot be read. What is read is not of one moment.
    """
    yield DynamoFront(client, own)


class DynamoFront:
    """A front office in DynamoDB. Flights of which nothing stands there but what Isthmus remembers are no flights."""

    def __init__(self, client: Any, own: str) -> None:
        self._client = client
        self._own = own

    def flights(self) -> Rows:
        """Give the flights."""
        names = FLIGHT.split(", ")
        return [tuple(item.get(name) for name in names) for item in self._items("flight") if "status" in item]

    def board(self) -> Rows:
        """Give the board."""
        names = BOARD.split(", ")
        return [tuple(item.get(name, 0) for name in names) for item in self._items("airport_board")]

    def guards(self) -> Rows:
        """Give the guards: they are attributes of the flights, and items of their own where a flight is gone."""
        for item in self._items("flight"):
            if "isthmus_version" in item:
                yield item["key"], f"{item['isthmus_version']:038d}"
        for item in self._of("guard#"):
            yield item["key"], f"{item['isthmus_version']:038d}"

    def history(self) -> Rows:
        """Give the history."""
        rows = [
            (item["txn"], item["key"], item["version"], item["outcome"], item["decided"]) for item in self._of("h#")
        ]
        return sorted(rows, key=lambda row: (row[4], row[3] != "fenced"))

    def parked(self) -> Rows:
        """Give the parking lot."""
        return [(item["key"], item["version"], item["txn"]) for item in self._of("p#")]

    def _of(self, prefix: str) -> Iterator[dict[str, Any]]:
        return (
            item for item in self._items(self._own) if item["sk"].startswith(prefix) and item["pk"].startswith("k#")
        )

    def _items(self, table: str) -> Iterator[dict[str, Any]]:
        for page in self._client.get_paginator("scan").paginate(TableName=table, ConsistentRead=True):
            for item in page["Items"]:
                yield {name: _plain(value) for name, value in item.items()}


def _plain(value: dict[str, Any]) -> Any:
    kind, held = next(iter(value.items()))
    if kind == "N":
        return int(held) if held.lstrip("-").isdigit() else held
    return None if kind == "NULL" else held
