"""What each error of PostgreSQL means for the change, the batch or the process.

PostgreSQL, "PostgreSQL Error Codes", appendix A: the first two characters of a code are its class.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from isthmus.consumer.stores.port import Doubtful
from isthmus.errors import UNKNOWN, Fatal, IsthmusError, Missing, Poison, Refused, TargetDown, Transient

_AGAIN = {
    "40001": "serialization",
    "40P01": "deadlock",
    "40003": "unknown-completion",
    "55P03": "locked",
    "57014": "cancelled",
    "25P03": "idle-too-long",
    "25P04": "transaction-too-long",
    "57P05": "idle-too-long",
}
_AWAY = {
    "53100": "disk-full",
    "53200": "no-memory",
    "53300": "too-many-connections",
    "57P01": "shut-down",
    "57P02": "crashed",
    "57P03": "starting",
    "57P04": "database-dropped",
    "25006": "read-only",
}
_AWAY_CLASSES = {"08": "connection", "53": "no-resources", "57": "shut-down", "58": "io-error"}
_VALUE_CLASSES = {"21", "22", "44", "54"}
"""Two rows that a trigger made one, data exceptions, a view's check option, and limits that one value exceeds."""
_CONSTRAINT_CLASSES = {"23", "27"}
_TRIGGER_CLASSES = {"P0", "09", "2F", "38", "39"}
"""What only a function of the user's raises."""
_WRONG_CLASSES = {"42", "0A", "0L", "2D", "3F"}
_REFUSED = {
    "28000": "does not let us in",
    "28P01": "does not accept the password",
    "3D000": "has no such database",
    "42501": "does not give us the right",
}
_SPEAK_OF_NAMES = {"42501", "42703", "42P01", "42P10", "3F000", "3D000", "28000", "28P01"}
"""Codes whose words are only of tables, schemas and users: the other ones quote a statement, or a value."""
LOST = frozenset({"plan-changed", "read-only", "unknown-completion"})
"""After these causes a connection is made anew: its prepared plans are of no use, or its server only reads now."""
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
    if isinstance(error, UnicodeEncodeError):
        return Poison("value", "half of a surrogate pair")
    code = error.sqlstate if isinstance(error, psycopg.Error) else None
    if code is not None and isinstance(error, psycopg.Error):
        return _by_code(error, code)
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return TargetDown(f"The front office does not answer: {_short(error)}.", cause="connection")
    if isinstance(error, psycopg.DataError):
        return Poison("value", "a value that PostgreSQL cannot hold")
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
    kind, named = code[:2], _named(error, code)
    # The user has changed the table under a prepared statement.
    stale = code == "26000" or (code == "0A000" and error.diag.source_function == _STALE_PLAN)
    again = "plan-changed" if stale else _AGAIN.get(code)
    away = _AWAY.get(code) or _AWAY_CLASSES.get(kind)
    if (again or away) and error.diag.source_function == _RAISE:
        # Only the user's own function says that it will pass: a row for which it says so every time stops nobody.
        return Doubtful("trigger", named)
    if again is not None:
        return Transient(f"The front office asks to try again: {named}.", cause=again)
    if away is not None:
        return TargetDown(f"The front office cannot go on: {named}.", cause=away)
    reason = _reason(error, kind)
    return Poison(reason, named) if reason is not None else _misfortune(error, code, named)


def _misfortune(error: psycopg.Error, code: str, named: str) -> IsthmusError:
    told = _short(error) if code in _SPEAK_OF_NAMES else named
    if code in _REFUSED:
        return Refused(f"The front office {_REFUSED[code]}: {told}.", hint=_HINT)
    if code[:2] in _WRONG_CLASSES:
        return WrongStatement(f"The front office refuses a statement: {told}.", hint=_HINT)
    return Transient(f"The front office failed for an unknown reason: {named}.", cause=UNKNOWN)


def _reason(error: psycopg.Error, kind: str) -> str | None:
    """Give the reason for which a change is poison, None where it is not its fault."""
    if kind in _CONSTRAINT_CLASSES:
        return "constraint"
    if _is_by_a_trigger(error, kind):
        return "trigger"
    return "value" if kind in _VALUE_CLASSES else None


def _is_by_a_trigger(error: psycopg.Error, kind: str) -> bool:
    """Say whether the user's own code in the database raised it, or is wrong itself.

    Where it is, the server names the function in the context, which none of our statements has for these classes. A
    right that only the function lacks is its own trouble too: whether it is asked may depend on the row.
    """
    raised = error.diag.source_function == _RAISE and kind not in _VALUE_CLASSES
    wrong = kind in _WRONG_CLASSES and bool(error.diag.context)
    return kind in _TRIGGER_CLASSES or raised or wrong


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
