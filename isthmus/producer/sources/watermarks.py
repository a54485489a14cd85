"""Values of key columns as JSON text, exactly, and back: watermarks and the `sourcekey` of a change. Pure."""

import json
from collections.abc import Sequence
from typing import Any

import orjson

from isthmus.errors import Refused
from isthmus.rawrow import TEXT, plain, restored

_PLAIN = frozenset({int, str})

_encode = json.JSONEncoder(ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode


def key_text(values: Sequence[Any]) -> str:
    """Give column values as the text of a JSON array.

    A value that JSON does not hold is an object with one member, named by what it was. Raises ValueError for a type
    that has no exact JSON form.
    """
    if _PLAIN.issuperset(map(type, values)):
        try:
            return orjson.dumps(values).decode()
        except TypeError:
            pass  # an integer of more than 64 bits, or half of a surrogate pair
    return _encode([_exact(value) for value in values])


def key_values(text: str) -> list[Any]:
    """Give the column values out of a JSON array that `key_text` made. Raises Refused for any other text."""
    try:
        values = json.loads(text)
        if isinstance(values, list):
            return [_restored(value) for value in values]
    except ValueError:
        pass
    raise Refused("The saved watermark is no watermark of a SQL source.")


def _exact(value: Any) -> Any:
    form, word = plain(value)
    if word == TEXT:
        raise ValueError(f"a value of type {type(value).__name__} has no exact JSON form")
    return {word: form} if word else form


def _restored(value: Any) -> Any:
    if isinstance(value, dict):
        ((word, form),) = value.items()
        return restored(form, word)
    return value
