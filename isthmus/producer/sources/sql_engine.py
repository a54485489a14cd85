"""Connections to a back office's database that can only read, and what its errors mean."""

import sqlite3
from typing import Any
from urllib.parse import quote

from sqlalchemy import Engine, create_engine, event, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.pool import NullPool, QueuePool

from isthmus.addresses import sqlite_file
from isthmus.errors import Fatal, IsthmusError, Refused
from isthmus.errortable import BACK_OFFICE, UNKNOWN_TO_AN_ADAPTER, Then, by_class, meanings

READ_ONLY: dict[str, dict[str, Any]] = {
    "postgresql": {"postgresql_readonly": True},
    "mssql": {"isolation_level": "SNAPSHOT"},
}
"""Execution options by dialect: what makes a transaction read-only, or one statement read from one snapshot."""

_LOOK = "Look at its columns and permissions, and, if it is a view, at the tables that it reads."

LOCK_SECONDS = 5.0
"""A read waits no longer for a lock of SQLite's before it is tried again: a soft stop must come through meanwhile."""

_MEANINGS = meanings(BACK_OFFICE)
_SQLITE = {getattr(sqlite3, name): found for name, found in _MEANINGS.items() if name.startswith("SQLITE_")}
_BROKEN = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


def read_only_engine(url: str, timeout: float) -> Engine:
    """Give an engine of one connection that tries its connection before use and cannot write where we can help it.

    `timeout` in seconds is for a lock (SQLite) and for a statement (PostgreSQL). Nothing is connected yet. Raises
    Fatal for an address that is none, or whose driver is not installed.
    """
    try:
        address = make_url(url)
        if address.get_backend_name() == "sqlite":
            return _sqlite_engine(sqlite_file(url), timeout)
        options = READ_ONLY.get(address.get_backend_name(), {})
        engine = create_engine(
            address, pool_pre_ping=True, pool_size=1, max_overflow=1, poolclass=QueuePool, execution_options=options
        )
    except ModuleNotFoundError as error:
        module = error.name or "?"
        raise Fatal(
            f"The driver of the back office's database is not installed: there is no module {module}.",
            hint="Run `pip install 'isthmus[postgres]'`." if module == "psycopg" else f"Install {module}.",
        ) from None
    except (ArgumentError, NoSuchModuleError, ValueError) as error:
        # The message of an address that does not parse may quote it, and with it a password.
        raise Fatal(f"The back office's database address cannot be used ({type(error).__name__}).") from None
    if address.get_backend_name() == "postgresql":
        event.listen(engine, "connect", _statement_timeout(timeout))
    return engine


def _sqlite_engine(file: str, timeout: float) -> Engine:
    if not file or file == ":memory:":
        raise Fatal("A SQLite back office is a file: nobody else can write into a database in memory.")

    def connect() -> sqlite3.Connection:
        # The path is quoted, so that `?` and `#` in it do not end it and open the file in another mode.
        connection = sqlite3.connect(
            f"file:{quote(file)}?mode=ro",
            uri=True,
            timeout=min(timeout, LOCK_SECONDS),
            check_same_thread=False,
            isolation_level=None,
        )
        # SQLite takes any bytes for text. Refused here, one such value would keep all rows behind it from being read.
        connection.text_factory = _text
        connection.execute("PRAGMA query_only = ON")
        return connection

    # Opened for each read: a connection that stays open goes on reading a file that was moved away or replaced.
    return create_engine("sqlite://", creator=connect, poolclass=NullPool)


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogateescape")


def _statement_timeout(seconds: float) -> Any:
    def limit(connection: Any, _record: Any) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET statement_timeout = {round(seconds * 1000)}")
        cursor.close()
        connection.commit()

    return limit


def meaning(error: DBAPIError, table: str) -> IsthmusError:
    """Say what an error of the driver means for the caller.

    Away, locked, timed out: it is tried again. What the database refuses to do at all is `Refused`. What SQLite's
    driver raises without a result code is `Transient` of unknown cause. The driver's own words stay out, for they may
    hold values of rows.
    """
    original = error.orig
    word = type(original).__name__
    refused = Refused(f"The back office's database refuses to read {table} ({word}).", hint=_LOOK)
    if isinstance(original, sqlite3.Error):
        meant = _meaning_on_sqlite(original, table, refused)
        if meant is not None:
            return meant
    told = _MEANINGS.get(str(getattr(original, "sqlstate", None)))
    if told is not None:
        return told.error(f"Reading {table} took longer than allowed.")
    told = by_class(type(error), _MEANINGS)
    if error.connection_invalidated:
        told = _MEANINGS["OperationalError"]
    if told is not None and told.then is Then.TARGET_DOWN:
        return told.error(f"The back office's database does not answer (reading {table}: {word}).")
    return refused


def _meaning_on_sqlite(original: sqlite3.Error, table: str, refused: Refused) -> IsthmusError | None:
    """Say what the primary result code tells; None: nothing that its class would not."""
    word = type(original).__name__
    code = getattr(original, "sqlite_errorcode", None)
    if not isinstance(code, int):
        if isinstance(original, sqlite3.OperationalError):
            return UNKNOWN_TO_AN_ADAPTER.error(f"Reading {table} failed for an unknown reason ({word}).")
        return None
    primary = code & 0xFF
    told = _SQLITE.get(primary)
    if told is not None and told.then is Then.TRANSIENT:
        return told.error(f"The back office's database is locked (reading {table}).")
    if primary in _BROKEN:
        return Refused(f"What stands at the back office's address is no database, or a damaged one ({word}).")
    return refused if told is not None else None
