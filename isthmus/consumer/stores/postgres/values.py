"""What a column of PostgreSQL does with a JSON value: the text that it stores exactly, or a refusal.

PostgreSQL rounds numbers to a column's scale, drops the zone of a moment where a column keeps none, the time where it
keeps a date, and spaces that do not fit, all in silence (PostgreSQL, "Data Types"). None of it may happen to a change.
"""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from isthmus.codec import json_bytes
from isthmus.errors import Poison

Hold = Callable[[Any], str | None]
"""Gives the text form of a value for its column, None for null. Raises `Poison`."""

_INTEGERS = {"smallint": 15, "integer": 31, "bigint": 63}
_TEXTS = {"text", "character varying", "character", "citext", "name"}
_AS_THEIR_TEXT = {"uuid", "inet", "cidr", "macaddr", "macaddr8", "interval", "xml"}
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,5})?", re.ASCII)
_DATE = re.compile(r"[0-9]{4,6}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TIME = r"[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?"
_ZONE = r"(Z|[+-][0-9]{2}(:?[0-9]{2})?)"
_CLOCK = re.compile(_TIME, re.ASCII)
_ZONED_CLOCK = re.compile(_TIME + _ZONE, re.ASCII)
_LOCAL = re.compile(r"[0-9]{4,6}-[0-9]{2}-[0-9]{2}[T ]" + _TIME, re.ASCII)
_MOMENT = re.compile(r"[0-9]{4,6}-[0-9]{2}-[0-9]{2}[T ]" + _TIME + _ZONE, re.ASCII)
_MICROSECONDS = 6
_MOST_DIGITS = 131_072
"""Digits before the point of a `numeric` (PostgreSQL, "Numeric Types"); after it there are 16,383."""
_MOST_PLACES = 16_383


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
    if base in _TEXTS:
        return _texts(column)
    if base in _INTEGERS:
        return _integers(_INTEGERS[base])
    plain: dict[str, Hold] = {
        "double precision": _double,
        "real": _real,
        "boolean": _boolean,
        "json": _json,
        "jsonb": _json,
        "date": _matching(_DATE),
        "text[]": _text_list,
    }
    if base == "numeric":
        return _numeric(column.precision, column.scale)
    if base.startswith("time"):
        return _times(base, column.precision)
    if base in plain:
        return plain[base]
    return _as_their_text if base in _AS_THEIR_TEXT or column.category == "E" else None


def takes_text_as_it_is(column: Column) -> bool:
    """Say whether any text without NUL goes into the column as it is, so that one look at all values is enough."""
    return column.base == "text" or (column.base == "character varying" and column.length is None)


def _refuse(why: str) -> Poison:
    return Poison("value", why)


def _clean(text: str) -> str:
    if "\0" in text:
        raise _refuse("a text with NUL, which PostgreSQL cannot hold")
    return text


def _texts(column: Column) -> Hold:
    length = column.length

    def hold(value: Any) -> str | None:
        if value is None:
            return None
        if isinstance(value, str):
            text = _clean(value)
        elif isinstance(value, int | float | Decimal) and not isinstance(value, bool):
            text = _number_text(value)
        else:
            text = _json(value) or ""
        if length is not None and len(text) > length:
            # Also where what is too long is only spaces, which PostgreSQL would cut off in silence.
            raise _refuse(f"a text longer than the {length} characters of its column")
        return text

    return hold


def _number_text(value: float | Decimal) -> str:
    if not math.isfinite(value):
        raise _refuse("no finite number")
    return str(value) if isinstance(value, int | Decimal) else repr(value)


def _number(value: Any) -> Decimal | None:
    """Give the exact number: a JSON number, or a text that is written as one."""
    if value is None:
        return None
    if isinstance(value, str):
        if _NUMBER.fullmatch(value) is None:
            raise _refuse("a text in a column of numbers")
        return Decimal(value)
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise _refuse("no number, in a column of numbers")
    if not math.isfinite(value):
        raise _refuse("no finite number")
    # What JSON wrote, and not all the digits of the double.
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


def _integers(bits: int) -> Hold:
    highest = 2**bits - 1

    def hold(value: Any) -> str | None:
        number = value if type(value) is int else _number(value)
        if number is None:
            return None
        if not -highest - 1 <= number <= highest or number != int(number):
            raise _refuse("a number that its column of whole numbers would not hold")
        return str(int(number))

    return hold


def _numeric(precision: int | None, scale: int | None) -> Hold:
    def hold(value: Any) -> str | None:
        number = _number(value)
        if number is None:
            return None
        _, digits, exponent = number.as_tuple()
        places = 0 if number == 0 else max(0, -int(exponent) - _trailing_zeros(digits))
        before = number.adjusted() + 1
        most = _MOST_PLACES if scale is None else scale
        if places > most or before > (_MOST_DIGITS if precision is None else precision - (scale or 0)):
            raise _refuse("a number that its numeric column would round")
        return str(number)

    return hold


def _trailing_zeros(digits: tuple[int, ...]) -> int:
    return next((place for place, digit in enumerate(reversed(digits)) if digit), 0)


def _double(value: Any) -> str | None:
    return _floating(value, float)


def _real(value: Any) -> str | None:
    import struct  # noqa: PLC0415 - few tables have such a column

    def rounded(number: Any) -> float:
        return float(struct.unpack("f", struct.pack("f", float(number)))[0])

    number = _number(value)
    if number is None:
        return None
    try:
        held = rounded(number)
    except OverflowError:
        held = math.inf
    # PostgreSQL writes the shortest text that reads as the same number again; so many digits are kept.
    if not math.isfinite(held) or Decimal(f"{held:.6g}") != number:
        raise _refuse("a number that its column would round")
    return str(number)


def _floating(value: Any, to: Callable[[Any], float]) -> str | None:
    number = _number(value)
    if number is None:
        return None
    try:
        held = to(number)
    except OverflowError:
        held = math.inf
    if not math.isfinite(held) or Decimal(repr(held)) != number:
        raise _refuse("a number that its column would round")
    return repr(held)


def _boolean(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, bool):
        raise _refuse("neither true nor false, in a column of them")
    return "true" if value else "false"


def _json(value: Any) -> str | None:
    if value is None:
        return None
    try:
        text = json_bytes(value).decode()
    except (ValueError, TypeError) as error:
        raise _refuse("a value that JSON does not hold exactly") from error
    if "\\u0000" in text:
        raise _refuse("a text with NUL, which PostgreSQL cannot hold")
    return text


def _matching(pattern: re.Pattern[str]) -> Hold:
    def hold(value: Any) -> str | None:
        if value is None:
            return None
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            raise _refuse("a text of another form than its column keeps, which would drop a part of it")
        return value

    return hold


def _times(base: str, precision: int | None) -> Hold | None:
    pattern = {
        "timestamp with time zone": _MOMENT,
        "timestamp without time zone": _LOCAL,
        "time without time zone": _CLOCK,
        "time with time zone": _ZONED_CLOCK,
    }.get(base)
    if pattern is None:
        return None
    form, places = _matching(pattern), _MICROSECONDS if precision is None else precision

    def hold(value: Any) -> str | None:
        text = form(value)
        if text is not None and (found := re.search(r"\.([0-9]+)", text)) and len(found[1].rstrip("0")) > places:
            raise _refuse("a time that its column would round")
        return text

    return hold


def _text_list(value: Any) -> str | None:
    from isthmus.consumer.stores.postgres.names import text_array  # noqa: PLC0415 - few tables have such a column

    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise _refuse("no list of texts, in a column of them")
    return text_array([_clean(each) for each in value])


def _as_their_text(value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _refuse("no text, in a column that is written as text")
    return _clean(value)
