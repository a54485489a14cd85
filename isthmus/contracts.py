"""What the values of a contract look like when they arrive at a store.

The words are those of JSON: `null`, `boolean`, `integer`, `number`, `string`, `array` and `object`. A string that is
always of one form has the form's word instead: `decimal`, `date`, `date-time`, `time` or `uuid`. A contract's Decimal
travels as such a string, because a number would be rounded on its way.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

NULL, BOOLEAN, INTEGER, NUMBER, STRING = "null", "boolean", "integer", "number", "string"
ARRAY, OBJECT = "array", "object"
DECIMAL, DATE, MOMENT, TIME, UUID = "decimal", "date", "date-time", "time", "uuid"

_FORMS = frozenset({DECIMAL, DATE, MOMENT, TIME, UUID})
_PLAIN = frozenset({NULL, BOOLEAN, INTEGER, NUMBER, STRING, ARRAY, OBJECT})
_OF_VALUES = {bool: BOOLEAN, int: INTEGER, float: NUMBER, str: STRING, type(None): NULL}


def field_types(contract: type[BaseModel]) -> Mapping[str, frozenset[str]]:
    """Give, by field, everything that its value can be in a change's data. Empty: nothing is known of it."""
    try:
        schema = contract.model_json_schema(by_alias=False, schema_generator=_AsWritten, mode="serialization")
    except (PydanticUserError, NotImplementedError):
        schema = {}
    definitions = schema.get("$defs", {})
    described = _resolved(schema, definitions).get("properties", {})
    return {name: _types(described.get(name, {}), definitions) for name in contract.model_fields}


class _AsWritten(GenerateJsonSchema):
    """Describes what the producer writes, and nothing where that is not known."""

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:  # noqa: ARG002 - overridden
        return {"type": STRING, "format": DECIMAL}

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


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        schema = definitions.get(schema["$ref"].rpartition("/")[2], {})
    return schema
