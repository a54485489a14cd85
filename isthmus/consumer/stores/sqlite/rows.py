"""How an entity becomes a row of the user's table, and the statements for it."""

import math
import re
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from enum import Enum
from operator import itemgetter
from typing import Any

from isthmus.change import Change
from isthmus.codec import json_bytes
from isthmus.consumer.stores.port import TableMapping
from isthmus.errors import Poison
from isthmus.keytemplates import WHOLE, KeyTemplates

_TEXTS = frozenset({str, type(None)})
_LARGEST = 2**63 - 1
"""SQLite's INTEGER has 64 bits (sqlite.org, "Datatypes In SQLite")."""

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?", re.ASCII)
_LOOKS_LIKE_A_NUMBER = re.compile(r"\s*[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]+)?\s*", re.ASCII)
"""What a numeric column turns into a number (sqlite.org, "Datatypes In SQLite", type affinity)."""


class Affinity(Enum):
    """What a column does with a value (sqlite.org, "Datatypes In SQLite", 3.1, in the order of its rules)."""

    TEXT = "text"
    """Numbers become text; a REAL would keep 15 digits only."""
    AS_IT_IS = "as-it-is"
    WHOLE = "whole"
    """Text that looks like a number becomes one; whole numbers keep 64 bits."""
    REAL = "real"
    """The same, and every number becomes a double."""


def affinity_of(declared: str, *, strict: bool) -> Affinity:
    """Give the affinity of a column by its declared type, in a table that is STRICT or not."""
    name = declared.upper()
    if "INT" in name:
        return Affinity.WHOLE
    if "CHAR" in name or "CLOB" in name or "TEXT" in name:
        return Affinity.TEXT
    if not name or "BLOB" in name or (strict and name == "ANY"):
        return Affinity.AS_IT_IS
    return Affinity.REAL if "REAL" in name or "FLOA" in name or "DOUB" in name else Affinity.WHOLE


def is_strict(connection: sqlite3.Connection, table: str) -> bool:
    """Say whether a table is STRICT."""
    question = "SELECT strict FROM pragma_table_list WHERE name = ? COLLATE NOCASE"
    return any(strict for (strict,) in connection.execute(question, (table,)))


def affinities(connection: sqlite3.Connection, table: str) -> dict[str, Affinity]:
    """Give the affinity of each column of a table, by its name in small letters; nothing where there is no table."""
    strict = is_strict(connection, table)
    columns = connection.execute(f"PRAGMA table_info({quoted(table)})").fetchall()
    return {folded(name): affinity_of(declared, strict=strict) for _, name, declared, _, _, _ in columns}


def quoted(name: str) -> str:
    """Give an identifier that cannot leave its quotes."""
    if "\0" in name:
        raise ValueError("an identifier with a NUL")
    return '"' + name.replace('"', '""') + '"'


def folded(name: str) -> str:
    """Give a name as SQLite compares it: without regard to the case of ASCII letters."""
    return "".join(letter.lower() if letter.isascii() else letter for letter in name)


class EntityStatements:
    """The statements for one entity type, made once for a connection.

    `columns` says what each column of the real table does with a value. Raises ValueError for templates that do not
    tell two keys apart.
    """

    def __init__(self, entity: str, mapping: TableMapping, columns: Mapping[str, Affinity]) -> None:
        self._row_of = _by_function(mapping.values) if mapping.values else _getter(tuple(mapping.columns))
        self._holds = tuple(_HOLD[columns.get(folded(column), Affinity.TEXT)] for column in mapping.columns.values())
        # Most rows are text for columns that take it as it is: then one question to all values is enough.
        self._takes_text = all(hold in (_as_text, _as_it_is) for hold in self._holds)
        self._versioned = mapping.version_column is not None
        self.key = KeyTemplates(entity, mapping.keys).values
        """Gives the values of the key columns. Raises `Poison` for a key of another shape."""
        self._plain = list(mapping.keys.values()) == [WHOLE]
        table, keys = quoted(mapping.table), [quoted(column) for column in mapping.keys]
        rest = [quoted(column) for column in mapping.columns.values()]
        if mapping.version_column is not None:
            rest.append(quoted(mapping.version_column))
        changed = ", ".join(f"{name} = excluded.{name}" for name in rest)
        marks = ", ".join("?" * len([*keys, *rest]))
        self.upsert = (
            f"INSERT INTO {table} ({', '.join([*keys, *rest])}) VALUES ({marks}) "  # noqa: S608 - every name went through `quoted`
            f"ON CONFLICT ({', '.join(keys)}) DO {'UPDATE SET ' + changed if changed else 'NOTHING'}"
        )
        self.delete = f"DELETE FROM {table} WHERE {' AND '.join(f'{key} = ?' for key in keys)}"  # noqa: S608 - same
        # Looking into the array costs; a key that is one column's text as it is needs none.
        whole, places = ("j.value", ["j.value"]) if self._plain else ("j.value ->> 0", _places(len(keys)))
        found = " AND ".join(f"t.{key} = {place}" for key, place in zip(keys, places, strict=True))
        self.select = f"SELECT {whole}, t.* FROM json_each(?) j CROSS JOIN {table} t ON {found}"  # noqa: S608 - same
        held = ", ".join([whole, *(f"t.{quoted(column)}" for column in mapping.columns.values())])
        self.held = f"SELECT {held} FROM json_each(?) j CROSS JOIN {table} t ON {found}"  # noqa: S608 - same

    def wanted(self, keys: Iterable[str]) -> list[Any]:
        """Give what the select takes, as JSON, to find the rows of these keys. A key of another shape has no row."""
        return list(keys) if self._plain else [[key, *values] for key in keys if (values := self._key_or_none(key))]

    def values(self, change: Change) -> list[Any]:
        """Give a row's values in the order of the upsert.

        Raises `Poison` for what its column would not hold exactly.
        """
        data = change.data
        if data.__class__ is not dict and not isinstance(data, Mapping):
            raise Poison("contract", "the data is no object")
        try:
            row = self._row_of(data)
        except KeyError as error:
            raise Poison("contract", f"no field {error.args[0]!r}") from error
        if not (self._takes_text and _TEXTS.issuperset(map(type, row))):
            row = [hold(value) for hold, value in zip(self._holds, row, strict=True)]
        key = (change.key,) if self._plain else self.key(change.key)
        return [*key, *row, change.version] if self._versioned else [*key, *row]

    def is_held(self, change: Change, held: Sequence[Any]) -> bool:
        """Say whether a row that `held` gave, without its key, is what the upsert would make of it.

        Raises as `values` does.
        """
        written = self.values(change)[-len(held) - self._versioned :][: len(held)] if held else []
        return all(old.__class__ is new.__class__ and old == new for old, new in zip(held, written, strict=True))

    def _key_or_none(self, key: str) -> Sequence[str] | None:
        try:
            return self.key(key)
        except Poison:
            return None


def one_by_one(
    changes: Sequence[Change], places: Iterable[int], values: Callable[[Change], Sequence[Any]], begun: list[int]
) -> Iterator[Sequence[Any]]:
    """Give the rows; while one is being written, its place stands in `begun`: SQLite does not say which it refuses."""
    for place in places:
        begun[0] = place
        yield values(changes[place])


def _places(count: int) -> list[str]:
    return [f"j.value ->> {place}" for place in range(1, count + 1)]


def _by_function(values: Callable[[Mapping[str, Any]], Iterable[Any]]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    return lambda data: tuple(values(data))


def _getter(names: tuple[str, ...]) -> Callable[[Mapping[str, Any]], Sequence[Any]]:
    if len(names) > 1:
        return itemgetter(*names)
    return lambda data: tuple(data[name] for name in names)


def _as_text(value: Any) -> Any:
    if value.__class__ is str or value is None:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        # Its own text: SQLite would round a REAL to 15 digits here.
        return repr(_finite(value))
    held = _plain(value)
    return str(held) if isinstance(held, int) else held


def _as_it_is(value: Any) -> Any:
    if value.__class__ is str or value is None:
        return value
    if isinstance(value, int):
        if not _fits(value):
            raise Poison("value", "an integer beyond 64 bits")
        return int(value)
    return _finite(value) if isinstance(value, float) else _plain(value)


def _as_whole(value: Any) -> Any:
    number = _number(value)
    if isinstance(number, float):
        # SQLite makes a whole number of it: that of the text that JSON wrote, not of all the digits of the double.
        number = Decimal(repr(_finite(number)))
    if isinstance(number, int | Decimal) and _fits(number) and number == int(number):
        return int(number)
    return _as_double(number)


def _as_real(value: Any) -> Any:
    return _as_double(_number(value))


def _as_double(number: Any) -> Any:
    """Give a number that a double holds, compared as numbers: 1.10 is 1.1, and -0 is 0. What is no number stays."""
    if not isinstance(number, int | float | Decimal):
        return _plain(number)
    try:
        held = float(number)
    except OverflowError:
        held = math.inf
    if not math.isfinite(held) or (held is not number and Decimal(repr(held)) != number):
        raise Poison("value", "a number that its column would round")
    return held


def _number(value: Any) -> Any:
    """Give what a numeric column sees in a value."""
    if not isinstance(value, str) or _LOOKS_LIKE_A_NUMBER.fullmatch(value) is None:
        return value
    if _NUMBER.fullmatch(value) is None:
        raise Poison("value", "a text that its numeric column would turn into a number")
    return Decimal(value)


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, str | bytes) or value is None:
        return value
    if isinstance(value, Decimal):
        # As text: a REAL would round it.
        return str(value)
    if isinstance(value, dict | list | tuple):
        try:
            return json_bytes(value).decode()
        except ValueError as error:
            raise Poison("value", "a value that JSON does not hold exactly") from error
    raise Poison("value", f"a value of type {type(value).__name__}")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        raise Poison("value", "no finite number")
    return value


def _fits(value: int | Decimal) -> bool:
    return -_LARGEST - 1 <= value <= _LARGEST


_HOLD: Mapping[Affinity, Callable[[Any], Any]] = {
    Affinity.TEXT: _as_text,
    Affinity.AS_IT_IS: _as_it_is,
    Affinity.WHOLE: _as_whole,
    Affinity.REAL: _as_real,
}
