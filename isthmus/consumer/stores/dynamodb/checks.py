"""Do the user's tables take what the settings map to them? Each refusal names what mends it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.aws_errors import classify, error_code
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.contracts import INTEGER, NULL, NUMBER
from isthmus.errors import Missing, Refused
from isthmus.keytemplates import KeyTemplates

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

_MOST_KEYS = 2
"""A partition key and a sort key."""
_TYPE_NAMES = {"S": "text", "N": "number", "B": "binary"}
_NUMBERS = frozenset({INTEGER, NUMBER})


def check_entity(client: "DynamoDBClient", settings: DynamoSettings, entity: Entity, mapping: TableMapping) -> None:
    """Compare one mapping with its table. Raises `Missing` or `Refused`."""
    _check_mapping(settings, entity, mapping)
    try:
        found: Mapping[str, Any] = client.describe_table(TableName=mapping.table)["Table"]
    except Exception as error:
        if error_code(error) != "ResourceNotFoundException":
            raise classify(error) from error
        raise Missing(
            f"Entity {entity.name}: DynamoDB has no table {mapping.table!r}.", hint=f"Run: {_create(mapping)}"
        ) from error
    types = {each["AttributeName"]: each["AttributeType"] for each in found.get("AttributeDefinitions", ())}
    wanted, real = list(mapping.keys), _key_names(found)
    if wanted != real:
        raise Refused(
            f"Entity {entity.name}: the key of table {mapping.table!r} is {_listed(real)}, and the settings name "
            f"{_listed(wanted)}.",
            hint=f"Name the table's own key attributes in [entities.{entity.name}], or make the table anew with: "
            f"{_create(mapping)}",
        )
    for name in wanted:
        if types.get(name, "S") != "S":
            raise Refused(
                f"Entity {entity.name}: key attribute {name!r} of table {mapping.table!r} is a "
                f"{_TYPE_NAMES.get(types[name], types[name])}, and keys are text.",
                hint=f"Make the table anew with: {_create(mapping)}",
            )
    _check_indexes(entity, mapping, found, types)


def _check_mapping(settings: DynamoSettings, entity: Entity, mapping: TableMapping) -> None:
    keys = list(mapping.keys)
    if len(keys) > _MOST_KEYS:
        raise Refused(
            f"Entity {entity.name}: {len(keys)} key attributes, and an item of DynamoDB has at most {_MOST_KEYS}.",
            hint="Fold them into templates of two.",
        )
    try:
        KeyTemplates(entity.name, mapping.keys)
    except ValueError as error:
        raise Refused(
            f"Entity {entity.name}: the key templates do not tell keys apart: {error}.", hint="Correct key_columns."
        ) from error
    names = [*keys, *mapping.columns.values()]
    if mapping.version_column is not None:
        names.append(mapping.version_column)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Refused(
            f"Entity {entity.name}: attribute {twice[0]!r} of table {mapping.table!r} would get two values.",
            hint="Map each attribute once.",
        )
    ours = sorted(name for name in names if name.startswith(settings.prefix))
    if ours or mapping.table == settings.table:
        what = f"attribute {ours[0]!r}" if ours else f"table {mapping.table!r}"
        raise Refused(f"Entity {entity.name}: {what} is Isthmus's own.", hint="Give it another name.")


def _check_indexes(entity: Entity, mapping: TableMapping, table: Mapping[str, Any], types: Mapping[str, str]) -> None:
    """Refuse an index that cannot take what is mapped to its key: every such change would be parked."""
    fields = {column: name for name, column in mapping.columns.items()}
    for index, attribute in _index_keys(table):
        words = entity.types.get(fields.get(attribute, ""), frozenset())
        wrong = sorted(word for word in words if not _fits(word, types.get(attribute, "S")))
        if wrong:
            kind = _TYPE_NAMES.get(types[attribute], types[attribute])
            raise Refused(
                f"Entity {entity.name}: index {index!r} of table {mapping.table!r} has {attribute!r} as its key, a "
                f"{kind}, and the field {fields[attribute]!r} may be of the kind {wrong[0]}.",
                hint="Map the field to another attribute, or make the index on one that always has such a value.",
            )


def _fits(word: str, attribute_type: str) -> bool:
    if word == NULL:
        return False
    return (word in _NUMBERS) == (attribute_type == "N")


def _index_keys(table: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        for index in table.get(kind) or ():
            for part in index["KeySchema"]:
                yield index["IndexName"], part["AttributeName"]


def _key_names(table: Mapping[str, Any]) -> list[str]:
    parts = {part["KeyType"]: part["AttributeName"] for part in table["KeySchema"]}
    return [parts[kind] for kind in ("HASH", "RANGE") if kind in parts]


def _listed(names: Sequence[str]) -> str:
    return " and ".join(repr(name) for name in names)


def _create(mapping: TableMapping) -> str:
    names = list(mapping.keys)
    defined = " ".join(f"AttributeName={name},AttributeType=S" for name in names)
    schema = " ".join(
        f"AttributeName={name},KeyType={kind}" for name, kind in zip(names, ("HASH", "RANGE"), strict=False)
    )
    return (
        f"aws dynamodb create-table --table-name {mapping.table} --attribute-definitions {defined} "
        f"--key-schema {schema} --billing-mode PAY_PER_REQUEST"
    )
