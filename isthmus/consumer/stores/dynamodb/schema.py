"""Our own table: one, with text keys, paid by request, and with TTL."""

from typing import TYPE_CHECKING, Any, Final

from isthmus import aws
from isthmus.aws_errors import classify
from isthmus.consumer.stores.dynamodb.items import EXPIRES, PARTITION_KEY, SHARED, SORT_KEY, item_key
from isthmus.consumer.stores.dynamodb.values import number
from isthmus.errors import Missing, Refused
from isthmus.lifecycle import Stop

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

SCHEMA_VERSION: Final = 1

_SCHEMA = item_key(SHARED, "schema")
_ANOTHER_NAME: Final = "Give another name to the table in [store.dynamodb]."


def description(table: str) -> list[str]:
    """Say what `prepare` makes."""
    return [
        f"create-table {table}: partition key {PARTITION_KEY} (S), sort key {SORT_KEY} (S), billing PAY_PER_REQUEST",
        f"update-time-to-live {table}: attribute {EXPIRES}",
        f"put-item {table}: schema version {SCHEMA_VERSION}",
    ]


def prepare(client: "DynamoDBClient", table: str, *, stop: Stop) -> None:
    """Make the table where it is not there, and wait until it can be used. Safe to repeat.

    Raises `Refused` for a newer release's table, or somebody else's; `Stopped`; and `Fatal` when it is not active after
    five minutes.
    """
    aws.ensure_table(client, table, (PARTITION_KEY, SORT_KEY), _ANOTHER_NAME, stop=stop)
    refuse_newer(client, table)
    try:
        found = client.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
        if found.get("TimeToLiveStatus") not in {"ENABLED", "ENABLING"}:
            client.update_time_to_live(
                TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": EXPIRES}
            )
        client.put_item(TableName=table, Item={**_SCHEMA, "version": number(SCHEMA_VERSION)})
    except Exception as error:
        raise classify(error) from error


def version(client: "DynamoDBClient", table: str) -> int | None:
    """Give the schema version of the table that is there, None where there is none."""
    try:
        item: Any = client.get_item(TableName=table, Key=_SCHEMA, ConsistentRead=True).get("Item")
    except Exception as error:
        found = classify(error)
        if isinstance(found, Missing):
            return None
        raise found from error
    return None if item is None else int(item["version"]["N"])


def refuse_newer(client: "DynamoDBClient", table: str) -> None:
    """Raise `Refused` when the table was made by a release that this one does not know."""
    found = version(client, table)
    if found is not None and found > SCHEMA_VERSION:
        raise Refused(
            f"{table} was made by a newer release (schema {found}, this one knows {SCHEMA_VERSION}).",
            hint="Install that release.",
        )
