"""Identifiers and arrays as PostgreSQL reads them."""

import sys
from collections.abc import Iterable, Sequence

_SURROGATES, _BEHIND_SURROGATES = range(0xD800, 0xE000), 0xE000


def quoted(name: str) -> str:
    """Give an identifier that cannot leave its quotes."""
    if "\0" in name:
        raise ValueError("an identifier with a NUL")
    return '"' + name.replace('"', '""') + '"'


def placed(name: str) -> str:
    """Give an identifier for a statement that is run with parameters: there the driver reads `%` itself."""
    return quoted(name).replace("%", "%%")


def literal(text: str) -> str:
    """Give a string constant, for a hint that a person runs."""
    return "'" + text.replace("'", "''") + "'"


def beyond(prefix: str) -> str | None:
    """Give the first text, in the order of bytes, behind all that begin so; None where there is none.

    In UTF-8 the order of bytes is that of the characters' numbers.
    """
    for length in range(len(prefix), 0, -1):
        number = ord(prefix[length - 1]) + 1
        if number <= sys.maxunicode:
            # No text holds half of a surrogate pair.
            return prefix[: length - 1] + chr(_BEHIND_SURROGATES if number in _SURROGATES else number)
    return None


def text_array(values: Sequence[str | None]) -> str:
    """Give the text form of a `text[]` (PostgreSQL, "Arrays", 8.15.2).

    It goes as one parameter: the driver's own way asks a question of each element, and costs more than the server does.
    """
    if not values:
        return "{}"
    if None not in values:
        joined = '","'.join(values)  # type: ignore[arg-type]  # no None in it
        if joined.count('"') == 2 * (len(values) - 1) and "\\" not in joined:
            return f'{{"{joined}"}}'
    return "{" + ",".join("NULL" if value is None else _element(value) for value in values) + "}"


def number_array(values: Iterable[int]) -> str:
    """Give the text form of an array of whole numbers."""
    return "{" + ",".join(map(str, values)) + "}"


def bytes_array(values: Iterable[bytes | None]) -> str:
    """Give the text form of a `bytea[]`, in hex."""
    return "{" + ",".join("NULL" if value is None else f'"\\\\x{value.hex()}"' for value in values) + "}"


def _element(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
