"""What each error of SQLite means for the change, the batch or the process (sqlite.org, "Result and Error Codes")."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from isthmus.errors import Fatal, IsthmusError
from isthmus.errortable import SQLITE, STATEMENT, UNKNOWN_TO_AN_ADAPTER, VALUES, Meaning, Then, by_class, meanings

_BY_CODE: dict[int, Meaning] = {getattr(sqlite3, name): meaning for name, meaning in meanings(SQLITE).items()}
_BY_CLASS = {name: meaning for name, meaning in meanings(VALUES).items() if name != "ValidationError"}
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
        return _by_code(error, _BY_CODE.get(code & _PRIMARY, UNKNOWN_TO_AN_ADAPTER))
    named = _BY_CLASS["DataError"] if "binding parameter" in str(error) else by_class(type(error), _BY_CLASS)
    if named is not None and named.then is Then.TARGET_DOWN:
        return named.error("The front office cannot go on: out of memory.")
    if named is not None:
        return named.error("a value that SQLite cannot hold")
    # What Python finds before SQLite sees it: a wrong number of parameters, two statements at once.
    return WrongStatement(f"The front office refuses a statement: {error}.", hint=_HINT)


def _by_code(error: Exception, meaning: Meaning) -> IsthmusError:
    match meaning.then:
        case Then.TRANSIENT if meaning is UNKNOWN_TO_AN_ADAPTER:
            return meaning.error(f"The front office failed for an unknown reason: {error}.")
        case Then.TRANSIENT:
            return meaning.error(f"The front office is busy: {error}.")
        case Then.TARGET_DOWN:
            return meaning.error(f"The front office cannot go on: {error}.")
        case Then.POISON:
            return meaning.error(str(error))
        case Then.FATAL:
            wrong = WrongStatement if meaning.word == STATEMENT else Fatal
            return wrong(f"The front office refuses a statement: {error}.", hint=meaning.hint)


@contextmanager
def translated() -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError, UnicodeEncodeError, MemoryError) as error:
        raise translate(error) from error
