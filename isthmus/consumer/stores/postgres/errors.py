"""What each error of PostgreSQL means for the change, the batch or the process, by the rows of `isthmus.errortable`.

The words in which it is said are here, and the few cases where the code alone does not tell.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from isthmus.consumer.stores.poisoned import Doubtful
from isthmus.errors import HANDLER_HANGS, Fatal, IsthmusError, Missing, Poison, Refused, TargetDown
from isthmus.errortable import (
    POSTGRESQL,
    REFUSED,
    STATEMENT,
    UNKNOWN_TO_AN_ADAPTER,
    VALUES,
    Meaning,
    Then,
    by_class,
    by_sqlstate,
    meanings,
)

_REFUSED = {
    "28000": "does not let us in",
    "28P01": "does not accept the password",
    "3D000": "has no such database",
    "42501": "does not give us the right",
}
"""The words for those codes that the table has as `refused`."""
_BY_CLASS = meanings(VALUES) | meanings(POSTGRESQL)
_STALE_STATEMENT = meanings(POSTGRESQL)["26000"]
_SPEAK_OF_NAMES = {"42501", "42703", "42P01", "42P10", "3F000", "3D000", "28000", "28P01"}
"""Codes whose words are only of tables, schemas and users: the other ones quote a statement, or a value."""
LOST = frozenset({"plan-changed", "read-only", "unknown-completion", HANDLER_HANGS})
"""After these causes a connection is made anew: its prepared plans are of no use, its server only reads now, or a
handler that hangs may look at rows of it yet."""
_STALE_PLAN = "RevalidateCachedQuery"
"""The function of the server that says so: the words depend on its language (src/backend/utils/cache/plancache.c)."""
_RAISE = "exec_stmt_raise"
"""The function of the server behind RAISE, whatever code was given to it (src/pl/plpgsql/src/pl_exec.c)."""
_HINT = "Run `isthmus check`."

_NO_DATABASE = re.compile(r'database ".*" does not exist')
_NO_ENTRY = re.compile(
    r'authentication failed|pg_hba\.conf|role ".*" does not exist|permission denied|not permitted to log in'
    r"|no password supplied|password is required"
)
_TLS = re.compile(r"certificate|\bSSL\b|\bTLS\b")


class WrongStatement(Fatal):
    """PostgreSQL cannot run this statement, whatever it holds: no such table or column, a mistake in it."""


def translate(error: BaseException) -> IsthmusError:
    """Give our error for one of the driver's.

    No message holds a value of a row: PostgreSQL quotes them in its own, so only names are taken from it.
    """
    code = error.sqlstate if isinstance(error, psycopg.Error) else None
    if code is not None and isinstance(error, psycopg.Error):
        return _by_code(error, code)
    meaning = by_class(type(error), _BY_CLASS)
    if isinstance(error, UnicodeEncodeError) and meaning is not None:
        return meaning.error("half of a surrogate pair")
    if meaning is not None and meaning.then is Then.POISON:
        return meaning.error("a value that PostgreSQL cannot hold")
    if meaning is not None and meaning.then is Then.TARGET_DOWN:
        return meaning.error(f"The front office does not answer: {_short(error)}.")
    return WrongStatement(f"The front office refuses a statement: {_short(error)}.", hint=_HINT)


def translate_connecting(error: psycopg.Error) -> IsthmusError:
    """Give our error for one while connecting, where the driver gives no code and the words tell."""
    words = str(error)
    if _NO_ENTRY.search(words):
        return Refused(
            f"The front office does not let us in: {_short(error)}.", hint="Mend user or password in [store] url."
        )
    if _NO_DATABASE.search(words):
        return Missing(f"The front office: {_short(error)}.", hint="Make the database, or mend [store] url.")
    if _TLS.search(words):
        return Refused(f"The front office's TLS: {_short(error)}.", hint="See [store.postgres] sslrootcert.")
    return TargetDown(f"The front office does not answer: {_short(error)}.", cause="connection")


def _by_code(error: psycopg.Error, code: str) -> IsthmusError:
    named = _named(error, code)
    meaning = by_sqlstate(code) or UNKNOWN_TO_AN_ADAPTER
    if code == "0A000" and error.diag.source_function == _STALE_PLAN:
        # The user has changed the table under a prepared statement.
        meaning = _STALE_STATEMENT
    if meaning.then is Then.POISON:
        return meaning.error(named)
    if error.diag.source_function == _RAISE:
        # Only the user's own function says that it will pass: a row for which it says so every time stops nobody.
        passes = meaning.then is not Then.FATAL and meaning is not UNKNOWN_TO_AN_ADAPTER
        return Doubtful("trigger", named) if passes else Poison("trigger", named)
    match meaning.then:
        case Then.TRANSIENT if meaning is UNKNOWN_TO_AN_ADAPTER:
            return meaning.error(f"The front office failed for an unknown reason: {named}.")
        case Then.TRANSIENT:
            return meaning.error(f"The front office asks to try again: {named}.")
        case Then.TARGET_DOWN:
            return meaning.error(f"The front office cannot go on: {named}.")
        case _:
            return _misfortune(error, code, named, meaning)


def _misfortune(error: psycopg.Error, code: str, named: str, meaning: Meaning) -> IsthmusError:
    of_its_class = by_sqlstate(code[:2])
    if of_its_class is not None and of_its_class.word == STATEMENT and error.diag.context:
        # Where the user's own code in the database is wrong, the server names the function in the context, which none
        # of our statements has for these classes. A right that only the function lacks is its own trouble too: whether
        # it is asked may depend on the row.
        return Poison("trigger", named)
    told = _short(error) if code in _SPEAK_OF_NAMES else named
    if meaning.word == REFUSED:
        return Refused(f"The front office {_REFUSED[code]}: {told}.", hint=meaning.hint)
    return WrongStatement(f"The front office refuses a statement: {told}.", hint=meaning.hint)


def _named(error: psycopg.Error, code: str) -> str:
    """Name the error, and the constraint, the table and the column that it is about."""
    diagnosis = error.diag
    parts = [type(error).__name__, code]
    for word in ("constraint_name", "table_name", "column_name", "datatype_name"):
        name = getattr(diagnosis, word)
        if name:
            parts.append(f"{word.removesuffix('_name')} {name}")
    return ", ".join(parts)


def _short(error: BaseException) -> str:
    """Give the first line of what speaks of names, and never of a row's values."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except (psycopg.Error, psycopg.Warning, UnicodeEncodeError) as error:
        raise translate(error) from error
