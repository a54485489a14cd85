"""What the values of a contract look like when they arrive at a store.

The words are those of JSON: `null`, `boolean`, `integer`, `number`, `string`, `array` and `object`. A string that is
always of one form has the form's word instead: `decimal`, `date`, `date-time`, `time` or `uuid`. A contract's Decimal
travels as such a string, because a number would be rounded on its way.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

NULL, BOOLEAN, INTEGER, NUMBER, STRING = "null", "boolean", "integer", "number", "string"
ARRAY, OBJECT = "array", "object"
DECIMAL, DATE, MOMENT, TIME, UUID = "decimal", "date", "date-time", "time", "uuid"

_FORMS = frozenset({DECIMAL, DATE, MOMENT, TIME, UUID})
_PLAIN = frozenset({NULL, BOOLEAN, INTEGER, NUMBER, STRING, ARRAY, OBJECT})
_LOWEST, _HIGHEST, _PLACES = "minimum", "maximum", "decimalPlaces"
_OF_VALUES = {bool: BOOLEAN, int: INTEGER, float: NUMBER, str: STRING, type(None): NULL}


class Bounds(NamedTuple):
    """How large a contract lets a field's value be. None: it does not say."""

    shortest: int | None = None
    """Characters of a text, as the next one."""
    longest: int | None = None
    lowest: Decimal | None = None
    """Of a number, as the next two."""
    highest: Decimal | None = None
    places: int | None = None
    """Digits after the point, at most."""


def field_types(contract: type[BaseModel]) -> Mapping[str, frozenset[str]]:
    """Give, by field, everything that its value can be in a change's data. Empty: nothing is known of it."""
    described, definitions = _described(contract)
    return {name: _types(described.get(name, {}), definitions) for name in contract.model_fields}


def field_bounds(contract: type[BaseModel]) -> Mapping[str, Bounds]:
    """Give, by field, how large its value may be; of one that may be of several types, NULL aside, nothing is said."""
    described, definitions = _described(contract)
    return {name: _bounds(described.get(name, {}), definitions) for name in contract.model_fields}


def _described(contract: type[BaseModel]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Give the schema of each field, and the definitions that they refer to."""
    try:
        schema = contract.model_json_schema(by_alias=False, schema_generator=_AsWritten, mode="serialization")
    except (PydanticUserError, NotImplementedError):
        schema = {}
    definitions = schema.get("$defs", {})
    return _resolved(schema, definitions).get("properties", {}), definitions


class _AsWritten(GenerateJsonSchema):
    """Describes what the producer writes, and nothing where that is not known."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        written: JsonSchemaValue = {"type": STRING, "format": DECIMAL}
        digits, places = schema.get("max_digits"), schema.get("decimal_places")
        if places is not None:
            written[_PLACES] = places
        if digits is not None and places is not None:
            highest = Decimal(10) ** (digits - places) - Decimal(10) ** -places
            written |= {_LOWEST: -highest, _HIGHEST: highest}
        narrower = {_LOWEST: schema.get("ge"), _HIGHEST: schema.get("le")}
        return written | {name: bound for name, bound in narrower.items() if bound is not None}

    def ser_schema(self, schema: Any) -> JsonSchemaValue | None:
        # A serializer that does not say what it returns may return anything, whatever the field's own type is.
        if schema["type"].startswith("function") and schema.get("return_schema") is None:
            return {}
        return super().ser_schema(schema)

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:  # noqa: ARG002 - same
        return {}


def _types(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> frozenset[str]:
    found = list(_words(schema, definitions))
    return frozenset() if None in found else frozenset(word for word in found if word is not None)


def _words(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[str | None]:
    """Give each word, and None where a part of the schema does not say."""
    schema = _resolved(schema, definitions)
    choices = schema.get("anyOf", schema.get("oneOf"))
    if choices is not None:
        for choice in choices:
            yield from _words(choice, definitions)
    elif "enum" in schema or "const" in schema:
        for value in schema.get("enum", [schema.get("const")]):
            yield _OF_VALUES.get(type(value))
    elif schema.get("type") == STRING and schema.get("format") in _FORMS:
        yield schema["format"]
    else:
        word = schema.get("type")
        yield word if word in _PLAIN else None


def _bounds(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Bounds:
    schema = _resolved(schema, definitions)
    choices = [_resolved(choice, definitions) for choice in schema.get("anyOf", schema.get("oneOf", [schema]))]
    told = [choice for choice in choices if choice.get("type") != NULL]
    if len(told) != 1 or "anyOf" in told[0]:
        return Bounds()
    (only,) = told
    values = only.get("enum", [only["const"]] if "const" in only else [])
    if values and all(isinstance(value, str) for value in values):
        return Bounds(longest=max(map(len, values)))
    # Of a number, whoever says "less than" says nothing of the last one that is: but for whole ones, it is known.
    step = 1 if only.get("type") == INTEGER else None
    below, above = only.get("exclusiveMaximum"), only.get("exclusiveMinimum")
    return Bounds(
        shortest=only.get("minLength"),
        longest=only.get("maxLength"),
        lowest=_number(only.get(_LOWEST, above + step if above is not None and step else None)),
        highest=_number(only.get(_HIGHEST, below - step if below is not None and step else None)),
        places=0 if step else only.get(_PLACES),
    )


def _number(bound: Any) -> Decimal | None:
    return None if bound is None else Decimal(str(bound))


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = definitions.get(schema["$ref"].rpartition("/")[2], {})
    return schema
