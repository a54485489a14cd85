"""Column values as JSON without loss, and back: what an untranslated change carries, and keys inside watermarks. Pure.

JSON knows fewer types than a database driver gives. A value that JSON does not hold is written as text, and beside it a
short, constant word says what it was.
"""

import base64
import json
import math
from collections.abc import Callable, Mapping
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

from isthmus.exactjson import MAX_NUMBER, json_bytes

TEXT = "text"
"""The word of a value of a type that nobody here knows: its text is all there is of it."""

_TOO_LONG = 10**MAX_NUMBER

_FORTH: tuple[tuple[tuple[type, ...], str, Callable[[Any], str]], ...] = (
    ((Decimal,), "decimal", str),
    ((bytes, bytearray, memoryview), "bytes", lambda value: base64.b64encode(value).decode("ascii")),
    ((datetime,), "datetime", datetime.isoformat),  # before date, of which it is a kind
    ((date,), "date", date.isoformat),
    ((time,), "time", time.isoformat),
    ((UUID,), "uuid", str),
)
_BACK: dict[str, Callable[[str], Any]] = {
    "bytes": base64.b64decode,
    "date": date.fromisoformat,
    "datetime": datetime.fromisoformat,
    "decimal": Decimal,
    "float": float,
    "hex": lambda text: int(text, 16),
    "json": json.loads,
    "surrogates": lambda text: base64.b64decode(text).decode("utf-8", "surrogatepass"),
    TEXT: str,
    "time": time.fromisoformat,
    "uuid": UUID,
}


def plain(value: Any) -> tuple[Any, str]:
    """Give a column value as a JSON value and the word for what it was, empty where JSON holds it as it is.

    Never raises.
    """
    if value is None or isinstance(value, bool):
        return value, ""
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int):
        # Decimal digits of a long number take quadratic time, and Python refuses more than 4,300 of them.
        return (int(value), "") if -_TOO_LONG < value < _TOO_LONG else (hex(value), "hex")
    if isinstance(value, float):
        return (float(value), "") if math.isfinite(value) else (repr(float(value)), "float")
    return _as_text(value)


def restored(value: Any, word: str) -> Any:
    """Give the column value for what `plain` gave; a view of memory comes back as bytes.

    Raises ValueError for what `plain` never gave.
    """
    if not word:
        return value
    if word not in _BACK or not isinstance(value, str):
        raise ValueError(f"no column value of kind {word}")
    try:
        return _BACK[word](value)
    except ArithmeticError as error:
        raise ValueError(f"no column value of kind {word}") from error


def row_out(values: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, str]]:
    """Give a row as a JSON object, and by column the words of those values that JSON does not hold. Never raises."""
    row: dict[str, Any] = {}
    words: dict[str, str] = {}
    for name, value in values.items():
        row[name], word = plain(value)
        if word:
            words[name] = word
    return row, words


def row_in(row: Mapping[str, Any], words: Mapping[str, str]) -> dict[str, Any]:
    """Give the row for what `row_out` gave. Raises ValueError for what it never gave."""
    return {name: restored(value, words.get(name, "")) for name, value in row.items()}


def _text(value: str) -> tuple[str, str]:
    try:
        value.encode()
    except UnicodeEncodeError:
        return base64.b64encode(value.encode("utf-8", "surrogatepass")).decode("ascii"), "surrogates"
    return str(value), ""


def _as_text(value: Any) -> tuple[str, str]:
    for kinds, word, write in _FORTH:
        if isinstance(value, kinds):
            return write(value), word
    try:
        if isinstance(value, dict | list):
            # As text, so that a deep document inside a row does not make the record too deep.
            return json_bytes(value).decode(), "json"
        return _text(str(value))[0], TEXT
    except Exception:  # noqa: BLE001 - a driver's own type may raise anything when it is asked for its text
        return type(value).__name__, TEXT
