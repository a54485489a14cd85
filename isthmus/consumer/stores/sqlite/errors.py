"""What each error of SQLite means for the change, the batch or the process (sqlite.org, "Result and Error Codes")."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from isthmus.errors import Fatal, IsthmusError, Poison, TargetDown, Transient

_BUSY = {sqlite3.SQLITE_BUSY: "busy", sqlite3.SQLITE_LOCKED: "locked", sqlite3.SQLITE_INTERRUPT: "interrupted"}
_AWAY = {
    sqlite3.SQLITE_FULL: "disk-full",
    sqlite3.SQLITE_IOERR: "io-error",
    sqlite3.SQLITE_CANTOPEN: "cannot-open",
    sqlite3.SQLITE_READONLY: "read-only",
    sqlite3.SQLITE_PROTOCOL: "busy",
    sqlite3.SQLITE_NOMEM: "no-memory",
}
_REFUSED_VALUE = {
    sqlite3.SQLITE_CONSTRAINT: "constraint",
    sqlite3.SQLITE_MISMATCH: "wrong-type",
    sqlite3.SQLITE_TOOBIG: "too-large",
}
_WRONG_STATEMENT = (sqlite3.SQLITE_ERROR, sqlite3.SQLITE_RANGE, sqlite3.SQLITE_AUTH)
_PRIMARY = 0xFF
"""The low byte of an extended result code is the primary one."""
_HINT = "Run `isthmus check`."


class WrongStatement(Fatal):
    """SQLite cannot run this statement, whatever the state of the file: no such table, a mistake in it."""


def translate(error: Exception) -> IsthmusError:
    """Give our error for one of SQLite's.

    The message names constraints and columns: SQLite puts no values into them.
    """
    code = getattr(error, "sqlite_errorcode", None)
    if isinstance(code, int):
        return _by_code(error, code & _PRIMARY)
    if isinstance(error, MemoryError):
        return TargetDown("The front office cannot go on: out of memory.", cause="no-memory")
    if isinstance(error, OverflowError | UnicodeEncodeError | sqlite3.DataError) or "binding parameter" in str(error):
        return Poison("value", "a value that SQLite cannot hold")
    # What Python finds before SQLite sees it: a wrong number of parameters, two statements at once.
    return WrongStatement(f"The front office refuses a statement: {error}.", hint=_HINT)


def _by_code(error: Exception, primary: int) -> IsthmusError:
    if primary in _BUSY:
        return Transient(f"The front office is busy: {error}.", cause=_BUSY[primary])
    if primary in _AWAY:
        return TargetDown(f"The front office cannot go on: {error}.", cause=_AWAY[primary])
    if primary in _REFUSED_VALUE:
        return Poison(_REFUSED_VALUE[primary], str(error))
    wrong = WrongStatement if primary in _WRONG_STATEMENT else Fatal
    return wrong(f"The front office refuses a statement: {error}.", hint=_HINT)


@contextmanager
def translated() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError, MemoryError) as error:
        raise translate(error) from error
