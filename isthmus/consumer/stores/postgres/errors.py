"""What each error of PostgreSQL means for the change, the batch or the process.

PostgreSQL, "PostgreSQL Error Codes", appendix A: the first two characters of a code are its class.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from isthmus.errors import Fatal, IsthmusError, Missing, Poison, Refused, TargetDown, Transient

_AGAIN = {
    "40001": "serialization",
    "40P01": "deadlock",
    "40003": "unknown-completion",
    "55P03": "locked",
    "57014": "cancelled",
    "25P03": "idle-too-long",
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
_VALUE_CLASSES = {"22", "P0", "44", "54"}
"""Data exceptions, what a trigger raises, a view's check option, and limits that one value exceeds."""
_CONSTRAINT_CLASSES = {"23", "27"}
_REFUSED = {
    "28000": "does not let us in",
    "28P01": "does not accept the password",
    "3D000": "has no such database",
    "42501": "does not give us the right",
}
LOST = frozenset({"plan-changed", "read-only", "unknown-completion"})
"""After these causes a connection is made anew: its prepared plans are of no use, or its server only reads now."""
_STALE_PLAN = "RevalidateCachedQuery"
"""The function of the server that says so: the words depend on its language (src/backend/utils/cache/plancache.c)."""
_HINT = "Run `isthmus check`."


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
    if "does not exist" in words and "database" in words:
        return Missing(f"The front office: {_short(error)}.", hint="Make the database, or mend [store] url.")
    if any(sign in words for sign in ("authentication failed", "no pg_hba.conf entry", "does not exist", "permission")):
        return Refused(
            f"The front office does not let us in: {_short(error)}.", hint="Mend user or password in [store] url."
        )
    if "certificate" in words or "SSL" in words:
        return Refused(f"The front office's TLS: {_short(error)}.", hint="See [store.postgres] root_certificate.")
    return TargetDown(f"The front office does not answer: {_short(error)}.", cause="connection")


def _by_code(error: psycopg.Error, code: str) -> IsthmusError:
    kind = code[:2]
    # The user has changed the table under a prepared statement.
    stale = code == "26000" or (code == "0A000" and error.diag.source_function == _STALE_PLAN)
    again = "plan-changed" if stale else _AGAIN.get(code)
    if again is not None:
        return Transient(f"The front office asks to try again: {_named(error, code)}.", cause=again)
    away = _AWAY.get(code) or _AWAY_CLASSES.get(kind)
    if away is not None:
        return TargetDown(f"The front office cannot go on: {_named(error, code)}.", cause=away)
    if kind in _CONSTRAINT_CLASSES:
        return Poison("constraint", _named(error, code))
    if kind in _VALUE_CLASSES:
        return Poison("trigger" if kind == "P0" else "value", _named(error, code))
    if code in _REFUSED:
        return Refused(f"The front office {_REFUSED[code]}: {_short(error)}.", hint=_HINT)
    wrong = WrongStatement if kind in {"42", "0A", "0L"} else Fatal
    return wrong(f"The front office refuses a statement: {_short(error)}.", hint=_HINT)


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
    """Give the first line: class 42 and what comes while connecting speak of names, never of a row's values."""
    lines = str(error).strip().splitlines()
    return (lines[0] if lines else type(error).__name__).rstrip(".")


@contextmanager
def translated() -> Iterator[None]:
    """Turn the driver's errors into ours."""
    try:
        yield
    except (psycopg.Error, psycopg.Warning, UnicodeEncodeError) as error:
        raise translate(error) from error
