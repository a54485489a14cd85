"""The front offices of the rows with the real daemon, as the oracle reads them: SQLite and PostgreSQL."""

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import psycopg

from tests.fakes.postgres_server import PostgresServer
from tests.faults.kcl_line import SOCKET, SilentLine
from tests.faults.kcl_office import POSTGRES, POSTGRES_OWN, SQLITE, SQLITE_OWN
from tests.faults.kcl_oracle import Effect, Office


class OpenOffice(Office, Protocol):
    """One that is read, until `close`."""

    def close(self) -> None: ...


class OfficeFiles(Protocol):
    """Where a front office is, before it is set up."""

    variant: str
    """What the names of its pipelines end with."""

    @property
    def url(self) -> str:
        """For the settings."""
        ...

    @property
    def address(self) -> str:
        """For whoever looks into it."""
        ...

    def made(self) -> OpenOffice:
        """Put triggers on our own tables, once they are there."""
        ...


class SqliteOffice:
    """A front office in a file."""

    variant = ""

    def __init__(self, path: Path) -> None:
        self._path = path
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.executescript(SQLITE)
        self._look: sqlite3.Connection | None = None

    @property
    def url(self) -> str:
        return f"sqlite:///{self._path}"

    @property
    def address(self) -> str:
        return str(self._path)

    def made(self) -> "SqliteOffice":
        with closing(sqlite3.connect(self._path)) as connection, connection:
            connection.executescript(SQLITE_OWN)
        self._look = sqlite3.connect(self._path, isolation_level=None)
        return self

    def close(self) -> None:
        if self._look is not None:
            self._look.close()

    def count(self) -> int:
        with closing(sqlite3.connect(self._path)) as connection:
            return int(connection.execute("SELECT count(*) FROM decided").fetchone()[0])

    def effects(self) -> list[Effect]:
        return [Effect(*row) for row in self._read("SELECT txn, key, version, nth FROM effect ORDER BY place")]

    def parked(self) -> dict[str, str]:
        return dict(self._read("SELECT txn, reason FROM isthmus_parked"))

    def rows(self) -> dict[str, tuple[str, int, str]]:
        return {key: (version, size, fate) for key, version, size, fate in self._read("SELECT * FROM thing")}

    def fell(self) -> list[tuple[str, str, str]]:
        return self._read("SELECT key, before, after FROM fell")

    def decided(self) -> Callable[[str, str], bool]:
        places = dict(self._read("SELECT txn, min(place) FROM decided GROUP BY txn"))
        return lambda txn, snapshot: txn in places and places[txn] <= int(snapshot)

    def _read(self, statement: str) -> list[Any]:
        assert self._look is not None
        return self._look.execute(statement).fetchall()


class PostgresOffice:
    """A front office in a database of a real server, reached by its workers through a socket that may fall silent."""

    variant = "_postgres"

    def __init__(self, server: PostgresServer, place: Path) -> None:
        self._url = server.database()
        self._look = psycopg.connect(self._url, autocommit=True)
        self._look.execute(POSTGRES)
        parameters = psycopg.conninfo.conninfo_to_dict(self._url)
        self.line = SilentLine(Path(str(parameters["host"])) / SOCKET, place)
        self._database = parameters["dbname"]
        self._user = parameters["user"]

    @property
    def url(self) -> str:
        return f"postgresql://{self._user}@/{self._database}?host={self.line.folder}"

    @property
    def address(self) -> str:
        return self._url

    def made(self) -> "PostgresOffice":
        self._look.execute(POSTGRES_OWN)
        return self

    def close(self) -> None:
        self.line.close()
        self._look.close()

    def count(self) -> int:
        # A connection may be used by several threads.
        return int(self._read("SELECT count(*) FROM decided")[0][0])

    def effects(self) -> list[Effect]:
        return [Effect(*row) for row in self._read("SELECT txn, key, version, nth FROM effect ORDER BY place")]

    def parked(self) -> dict[str, str]:
        return dict(self._read("SELECT txn, reason FROM isthmus.parked"))

    def rows(self) -> dict[str, tuple[str, int, str]]:
        return {key: (version, size, fate) for key, version, size, fate in self._read("SELECT * FROM thing")}

    def fell(self) -> list[tuple[str, str, str]]:
        return self._read("SELECT key, before, after FROM fell")

    def decided(self) -> Callable[[str, str], bool]:
        first = dict(self._read("SELECT txn, min(xid::text::bigint) FROM decided GROUP BY txn"))
        return lambda txn, snapshot: txn in first and is_seen(first[txn], snapshot)

    def _read(self, statement: str) -> list[Any]:
        return self._look.execute(statement).fetchall()


def is_seen(xid: int, snapshot: str) -> bool:
    """Say whether a snapshot (`xmin:xmax:running`; PostgreSQL, "pg_snapshot") has seen a transaction that committed."""
    lowest, end, running = snapshot.split(":")
    return xid < int(lowest) or (xid < int(end) and str(xid) not in running.split(","))
