"""From pydantic's errors to sentences: where, what stands there, what is allowed."""

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from isthmus.errors import Mistake
from isthmus.settings.values import OUR_SENTENCE

LONGEST_VALUE = 60
HIDDEN = "***"

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
_SECRET_KEYS = ("secret", "password", "token", "credential")
_SENTENCES = {
    "missing": "is required",
    "string_type": "must be text in quotes",
    "int_type": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
}
_NOT_ERRORS = {"default_factory_not_called"}
"""A default that could not be computed because another value is wrong: that one is reported."""


def mistakes_in(
    errors: Iterable[ErrorDetails], written: Mapping[str, Any], model: type[BaseModel], file: str
) -> list[Mistake]:
    """Give the mistakes for pydantic's errors about what was `written`, which should have been a `model`."""
    return [_mistake(error, written, model, file) for error in errors if error["type"] not in _NOT_ERRORS]


def _mistake(error: ErrorDetails, written: Mapping[str, Any], model: type[BaseModel], file: str) -> Mistake:
    path = [part for part in error["loc"] if part != "[key]"]
    kind = error["type"]
    if kind == "extra_forbidden":
        # The value of an unknown key is not shown: it may be a secret under a misspelt name.
        return Mistake(file, key_path(path), "", _unknown(str(path[-1]), known_keys(model, path[:-1])))
    if kind == OUR_SENTENCE:
        allowed = error["msg"]
    elif kind == "literal_error":
        allowed = "must be " + error["ctx"]["expected"].replace("'", '"')
    else:
        allowed = _SENTENCES.get(kind, error["msg"][:1].lower() + error["msg"][1:])
    return Mistake(file, key_path(path), as_written(written, path), allowed)


def key_path(path: Sequence[object]) -> str:
    """Give a key path as TOML writes it, e.g. `sources.flights.key`."""
    return ".".join(str(part) if _BARE_KEY.fullmatch(str(part)) else f'"{part}"' for part in path)


def as_written(written: Mapping[str, Any], path: Sequence[object]) -> str:
    """Give the value at a key path as TOML writes it, shortened; empty where nothing stands, `***` for a secret.

    Of an address only the beginning is shown, for there may be a password in it.
    """
    value: Any = written
    for part in path:
        try:
            value = value[part]
        except (KeyError, IndexError, TypeError):
            return ""
    text = _toml(value, path)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}…"


def _toml(value: Any, path: Sequence[object]) -> str:
    if isinstance(value, dict):
        return _reference(value)
    if any(word in str(path[-1]) for word in _SECRET_KEYS):
        return HIDDEN
    if isinstance(value, list):
        return f"[{', '.join(_toml(each, path) for each in value)}]"
    if isinstance(value, str):
        head, scheme, _ = value.partition("://")
        if scheme:
            return f'"{head}://…"'
        return HIDDEN if str(path[-1]).endswith("url") else f'"{value}"'
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reference(table: Mapping[str, Any]) -> str:
    match table:
        case {"env": str(name), **rest} if not rest:
            return f'{{env = "{name}"}}'
        case {"file": str(name), **rest} if not rest:
            return f'{{file = "{name}"}}'
        case _:
            return "{…}" if table else "{}"


def _unknown(key: str, known: list[str]) -> str:
    if near := difflib.get_close_matches(key, known, n=1):
        return f"is not known here; did you mean {near[0]}?"
    return f"is not known here; known are {', '.join(known)}"


def known_keys(model: type[BaseModel], path: Sequence[object]) -> list[str]:
    """Give the keys that a section knows; `path` leads to it from the whole file's model."""
    section: Any = model
    for part in path:
        if get_origin(section) is dict:  # a table of named sections: any name leads into one
            section = get_args(section)[1]
        else:
            section = next(info.annotation for name, info in section.model_fields.items() if _key(name, info) == part)
    return [_key(name, info) for name, info in section.model_fields.items()]


def _key(name: str, info: FieldInfo) -> str:
    return info.alias or name
