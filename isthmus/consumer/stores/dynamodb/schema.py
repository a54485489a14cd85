"""Our own table: one, with text keys, paid by request, and with TTL.

It remembers the settings by which guards are found: where deleted entities lie, and what our attributes are called.
With others, what was remembered would be looked for where it is not, and an old change would take effect again.
"""

from typing import TYPE_CHECKING, Any, Final

from isthmus import aws
from isthmus.aws_errors import classify
from isthmus.consumer.stores.dynamodb.heldlines import LINES
from isthmus.consumer.stores.dynamodb.items import (
    EXPIRES,
    GUARD,
    LISTED,
    PARTITION_KEY,
    SHARED,
    SORT_KEY,
    item_key,
)
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.values import number, text
from isthmus.errors import Missing, Refused
from isthmus.lifecycle import Stop

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.consumer.stores.dynamodb.values import Item

SCHEMA_VERSION: Final = 1

_SCHEMA = item_key(SHARED, "schema")
_TOMBSTONES, _PREFIX = "tombstones", "prefix"
_ANOTHER_NAME: Final = "Give another name to the table in [store.dynamodb]."


def description(settings: DynamoSettings) -> list[str]:
    """Say what `prepare` makes."""
    table = settings.table
    return [
        f"create-table {table}: partition key {PARTITION_KEY} (S), sort key {SORT_KEY} (S), billing PAY_PER_REQUEST",
        f"update-time-to-live {table}: attribute {EXPIRES}",
        f"put-item {table}: schema {SCHEMA_VERSION}, tombstones {settings.tombstones}, prefix {settings.prefix}",
    ]


def prepare(client: "DynamoDBClient", settings: DynamoSettings, *, stop: Stop) -> None:
    """Make the table where it is not there, and wait until it can be used. Safe to repeat.

    Raises `Refused` for a newer release's table, somebody else's, or settings that forget what is remembered;
    `Stopped`; and `Fatal` when it is not active after five minutes.
    """
    table = settings.table
    aws.ensure_table(client, table, (PARTITION_KEY, SORT_KEY), _ANOTHER_NAME, stop=stop)
    found = _found(client, table)
    if found is not None:
        _refuse_newer(table, found)
        _refuse_prefix(settings, found)
        # The way into our table is open: whoever looks there looks at the item as well.
        if settings.tombstones == "item" and _mode(found) == "table" and _remembers(client, settings):
            raise _forgetting(settings)
    try:
        life = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if life.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
            client.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES}
            )
        kept = {_TOMBSTONES: text(settings.tombstones), _PREFIX: text(settings.prefix)}
        client.put_item(TableName=table, Item={**_SCHEMA, "version": number(SCHEMA_VERSION), **kept})
    except Exception as error:
        raise classify(error) from error


def version(client: "DynamoDBClient", table: str) -> int | None:
    """Give the schema version of the table that is there, None where there is none."""
    item = _found(client, table)
    return None if item is None else _version(item)


def check(client: "DynamoDBClient", settings: DynamoSettings) -> None:
    """Raise `Refused` when the table was made by a newer release, or with settings by which other guards are found."""
    found = _found(client, settings.table)
    if found is None:
        return
    _refuse_newer(settings.table, found)
    _refuse_prefix(settings, found)
    if _mode(found) == settings.tombstones:
        return
    if settings.tombstones == "item":
        raise _forgetting(settings)
    raise Refused(
        f'store.dynamodb.tombstones is "table", and {settings.table} was prepared for "item".',
        hint="Run `isthmus store init`, which notes it: from then on the way back is barred by what is deleted.",
    )


def _found(client: "DynamoDBClient", table: str) -> "Item | None":
    try:
        item: Item | None = client.get_item(TableName=table, Key=_SCHEMA, ConsistentRead=True).get("Item")
    except Exception as error:
        found = classify(error)
        if isinstance(found, Missing):
            return None
        raise found from error
    return item


def _version(found: "Item") -> int:
    return int(found["version"]["N"])


def _mode(found: "Item") -> str:
    return found[_TOMBSTONES]["S"] if _TOMBSTONES in found else "item"


def _refuse_newer(table: str, found: "Item") -> None:
    if _version(found) > SCHEMA_VERSION:
        raise Refused(
            f"{table} was made by a newer release (schema {_version(found)}, this one knows {SCHEMA_VERSION}).",
            hint="Install that release.",
        )


def _refuse_prefix(settings: DynamoSettings, found: "Item") -> None:
    prefix = found[_PREFIX]["S"] if _PREFIX in found else settings.prefix
    if prefix != settings.prefix:
        raise Refused(
            f"store.dynamodb.attribute_prefix is {settings.prefix!r}, and the versions on the items of this front "
            f"office begin with {prefix!r}.",
            hint=f"Set attribute_prefix = {prefix!r} again.",
        )


def _forgetting(settings: DynamoSettings) -> Refused:
    return Refused(
        f'store.dynamodb.tombstones is "item", and deleted entities are remembered in {settings.table}: nobody would '
        "look there any more, and an old change could bring them back.",
        hint='Set tombstones = "table" again. Once none has been deleted for store.delete_memory_days and `consume` '
        "has forgotten the last one, `isthmus store init` takes the other setting.",
    )


def _remembers(client: "DynamoDBClient", settings: DynamoSettings) -> bool:
    """Say whether a deleted entity, or that something of one is parked, is remembered in our table."""
    wanted: dict[str, Any] = {
        "FilterExpression": "begins_with(#sk, :guard) AND #pk <> :listed AND NOT begins_with(#pk, :lines)",
        "ExpressionAttributeNames": {"#sk": SORT_KEY, "#pk": PARTITION_KEY},
        "ExpressionAttributeValues": {
            ":guard": text(GUARD),
            ":listed": text(LISTED),
            ":lines": text(LINES),
        },
    }
    try:
        pages = client.get_paginator("scan").paginate(TableName=settings.table, ConsistentRead=True, **wanted)
        return any(page["Items"] for page in pages)
    except Exception as error:
        raise classify(error) from error
