"""An entity's contract at work: from a pydantic model to the JSON text of the new state, or why not. Pure."""

from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from isthmus.codec import NotJson, json_value
from isthmus.exactjson import MAX_NUMBER
from isthmus.producer.usercode import (
    CONTRACT,
    NOT_FINITE,
    WRONG_RETURN,
    Untranslatable,
    guarded,
    holds_no_number,
    kind_of,
)

_EXACT_TYPES = frozenset(
    {
        *("bool", "date", "datetime", "int", "none", "str", "time", "uuid"),
        *("default", "list", "literal", "model", "model-field", "model-fields", "nullable"),
    }
)
"""Pydantic core's words for parts of a contract that never make a number that is not finite."""
_NO_SCHEMA = frozenset({"cls", "config", "default", "metadata"})
"""Members of a core schema that hold no schema, but anything."""


class Contract:
    """Writes the states of one entity type."""

    def __init__(self, model: type[BaseModel]) -> None:
        self._model = model
        self._to_json: Callable[..., bytes] = model.__pydantic_serializer__.to_json
        self._to_python: Callable[..., Any] = model.__pydantic_serializer__.to_python
        self._finite = _only_exact_types(model.__pydantic_core_schema__)

    def write(self, state: object) -> bytes:
        """Give the JSON text of a state.

        Raises `Untranslatable` for what is no instance of the model itself, was changed into something that breaks it,
        or holds what JSON, or the limits of the wire, do not.
        """
        if type(state) is not self._model:
            raise Untranslatable(
                WRONG_RETURN, f"The translator returned a {kind_of(state)} and not a {self._model.__name__}."
            )
        # Warnings are errors: a model that was changed after it was validated, or never was, does not get through.
        data: bytes = guarded(CONTRACT, self._to_json, state, warnings="error")
        if not self._finite:
            self._refuse_not_finite(state, data)
        if len(data) > MAX_NUMBER:
            try:
                json_value(data)
            except NotJson as error:
                raise Untranslatable(error.reason, f"The new state cannot be carried: {error.message}.") from None
        return data

    def _refuse_not_finite(self, state: object, data: bytes) -> None:
        # Pydantic writes NaN as null or, where the contract says so, by its name.
        if (b"null" in data or b"NaN" in data or b"Infinity" in data) and holds_no_number(
            guarded(CONTRACT, self._to_python, state)
        ):
            raise Untranslatable(NOT_FINITE, "The new state holds a number that is not finite.")


def _only_exact_types(schema: Any) -> bool:
    """Say whether every part of a core schema is of an exact type. An unknown part counts as one that is not."""
    if isinstance(schema, dict):
        kind = schema.get("type")
        if isinstance(kind, str) and kind not in _EXACT_TYPES:
            return False
        return all(_only_exact_types(part) for name, part in schema.items() if name not in _NO_SCHEMA)
    if isinstance(schema, list | tuple):
        return all(_only_exact_types(part) for part in schema)
    return True
