"""What a column of PostgreSQL does with a JSON value: the text that it stores exactly, or a refusal.

PostgreSQL rounds numbers to a column's scale, drops the zone of a moment where a column keeps none, the time where it
keeps a date, and spaces that do not fit, all in silence (PostgreSQL, "Data Types"). None of it may happen to a change.
"""

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from isthmus.codec import json_bytes
from isthmus.consumer.stores.postgres.holds import Hold, unfit
from isthmus.consumer.stores.postgres.names import text_array
from isthmus.consumer.stores.postgres.numbers import double, integers, number_text, numeric, real
from isthmus.consumer.stores.postgres.times import moments

INTEGERS = {"smallint": 15, "integer": 31, "bigint": 63}
"""Bits beside the sign, by type."""
_TEXTS = {"text", "character varying", "character", "citext"}
_AS_THEIR_TEXT = {"uuid", "inet", "cidr", "macaddr", "macaddr8", "xml"}
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
"""A NUL as JSON writes it, and not a text in which these six characters stand."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of the user's table, as the catalogue has it."""

    name: str
    base: str
    """The type without its modifier, under its domain: `character varying`, `numeric`, `text[]`."""
    cast: str
    """The type to cast an array's elements to: without a modifier, for a cast would cut what is too long in silence."""
    category: str
    """pg_type.typcategory: E for an enumeration, A for an array."""
    length: int | None = None
    """Characters, for `character varying(n)` and `character(n)`."""
    precision: int | None = None
    """Digits of a `numeric(precision, scale)`, or decimal places of seconds."""
    scale: int | None = None

    @property
    def is_list(self) -> bool:
        """Say whether its values are lists."""
        return self.category == "A"


def hold_for(column: Column) -> Hold | None:
    """Give what turns a value into the column's text form; None for a type that no JSON value fits exactly."""
    base = column.base
    if base in INTEGERS:
        return integers(INTEGERS[base])
    if base == "numeric":
        return numeric(column.precision, column.scale)
    if base in _TEXTS:
        return _texts(column)
    if base in _AS_THEIR_TEXT or column.category == "E":
        return _as_their_text
    return _PLAIN.get(base) or moments(base, column.precision)


def takes_text_as_it_is(column: Column) -> bool:
    """Say whether any text without NUL goes into the column as it is, so that one look at all values is enough."""
    return column.base == "text" or (column.base == "character varying" and column.length is None)


def _clean(text: str) -> str:
    if "\0" in text:
        raise unfit("a text with NUL, which PostgreSQL cannot hold")
    return text


def _texts(column: Column) -> Hold:
    length, padded = column.length, column.base == "character"

    def hold(value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, str):
            text = _clean(value)
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            text = number_text(value)
        else:
            text = _json(value) or ""
        if length is not None and len(text) > length:
            # Also where what is too long is only spaces, which PostgreSQL would cut off in silence.
            raise unfit(f"a text longer than the {length} characters of its column")
        if padded and text.endswith(" "):
            raise unfit("a text that ends in a space, in a column that is filled up with them")
        return text

    return hold


def _boolean(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, bool):
        raise unfit("neither true nor false, in a column of them")
    return "true" if value else "false"


def _json(value: Any) -> str | None:
    if value is None:
        return None
    try:
        text = json_bytes(value).decode()
    except (ValueError, TypeError) as error:
        raise unfit("a value that JSON does not hold exactly") from error
    if _NUL.search(text) is not None:
        raise unfit("a text with NUL, which PostgreSQL cannot hold")
    return text


def _text_list(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise unfit("no list of texts, in a column of them")
    return text_array([_clean(each) for each in value])


def _as_their_text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise unfit("no text, in a column that is written as text")
    return _clean(value)


_PLAIN: dict[str, Hold] = {
    "double precision": double,
    "real": real,
    "boolean": _boolean,
    "json": _json,
    "jsonb": _json,
    "text[]": _text_list,
}
