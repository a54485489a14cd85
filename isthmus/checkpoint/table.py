"""The DynamoDB table of one application: how it is made, and the few requests that the checkpoint floor sends."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeVar

from isthmus import aws
from isthmus.aws import classify, error_code
from isthmus.checkpoint.items import PARTITION_KEY, SORT_KEY, ItemKind, text
from isthmus.errors import Transient
from isthmus.lifecycle import Stop

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.checkpoint.items import Item

T = TypeVar("T")

_NAME: Final = re.compile(r"#(\w+)")
_KEYS: Final = (PARTITION_KEY, SORT_KEY)
_ANOTHER_NAME: Final = "Give another name to the table in the settings."


class Unmet(Exception):  # noqa: N818 - an answer, not an error
    """The condition of a write did not hold, and nothing was written. `standing` is the item there, empty if none."""

    def __init__(self, standing: "Item") -> None:
        super().__init__("the condition did not hold")
        self.standing = standing


class Table:
    """One table. Every method raises what `isthmus.aws.classify` makes of a failure; then nothing is known of it."""

    def __init__(self, client: "DynamoDBClient", name: str) -> None:
        self._client = client
        self._name = name

    def get(self, key: "Item") -> "Item | None":
        """Give an item as it stands now, or None."""
        return _answer(lambda: self._client.get_item(TableName=self._name, Key=key, ConsistentRead=True)).get("Item")

    def all_of(self, kind: ItemKind) -> "Iterator[Item]":
        """Give all items of a kind, in the order of their names, page by page (1 MB each)."""
        following: dict[str, Any] = {}
        while True:
            page = _answer(
                lambda: self._client.query(
                    TableName=self._name,
                    ConsistentRead=True,
                    KeyConditionExpression="#kind = :kind",
                    ExpressionAttributeNames={"#kind": PARTITION_KEY},
                    ExpressionAttributeValues={":kind": text(kind)},
                    **following,  # noqa: B023 - called before the loop goes on
                )
            )
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            following = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def write(
        self,
        key: "Item",
        attributes: "Item",
        condition: str,
        compared: "Item",
        *,
        remove: tuple[str, ...] = (),
        add: str = "",
    ) -> None:
        """Set the attributes, remove some, raise a counter by one: in one request, if the condition holds.

        The condition names attributes as `#name`, and values, written or `compared`, as `:name`. Raises `Unmet`.
        """
        clauses = []
        if attributes:
            clauses.append("SET " + ", ".join(f"#{name} = :{name}" for name in attributes))
        if remove:
            clauses.append("REMOVE " + ", ".join(f"#{name}" for name in remove))
        if add:
            clauses.append(f"ADD #{add} :one")
            compared = {**compared, "one": {"N": "1"}}
        update = " ".join(clauses)
        values = {f":{name}": value for name, value in {**attributes, **compared}.items()}
        _answer(
            lambda: self._client.update_item(
                TableName=self._name,
                Key=key,
                UpdateExpression=update,
                ConditionExpression=condition,
                # By reference: many plain words are reserved (Developer Guide, "Reserved words").
                ExpressionAttributeNames={f"#{name}": name for name in _NAME.findall(f"{update} {condition}")},
                ReturnValuesOnConditionCheckFailure="ALL_OLD",
                ExpressionAttributeValues=values,
            )
        )

    def tell(self, key: "Item", attributes: "Item", *, as_seen: "Item | None" = None) -> "Item":
        """Set the attributes, whatever else stands there; give the whole item as it is then.

        What is `as_seen`, and not among them, is removed, if all of it stands there so: else nothing is done at all,
        and `Unmet` is raised.
        """
        gone = as_seen or {}
        removes = f" REMOVE {', '.join(f'#{name}' for name in gone)}" if gone else ""
        values = {**{f":{name}": value for name, value in attributes.items()}, **{f":{n}": v for n, v in gone.items()}}
        condition: Any = {"ConditionExpression": " AND ".join(f"#{name} = :{name}" for name in gone)} if gone else {}
        found = _answer(
            lambda: self._client.update_item(
                TableName=self._name,
                Key=key,
                UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in attributes) + removes,
                ExpressionAttributeNames={f"#{name}": name for name in (*attributes, *gone)},
                ExpressionAttributeValues=values,
                ReturnValues="ALL_NEW",
                **condition,
            )
        )
        return found["Attributes"]

    def put_with(self, item: "Item", condition: str, compared: "Item", beside: "Item") -> None:
        """Put two items, in one transaction, if the condition holds for what stands in the first one's place.

        Raises `Unmet`, and `Transient` while another is at work on them. Conditions are as those of `write`.
        """
        values = {f":{name}": value for name, value in compared.items()}
        first = {
            "TableName": self._name,
            "Item": item,
            "ConditionExpression": condition,
            "ExpressionAttributeNames": {f"#{name}": name for name in _NAME.findall(condition)},
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **({"ExpressionAttributeValues": values} if values else {}),
        }
        actions: Any = [{"Put": first}, {"Put": {"TableName": self._name, "Item": beside}}]
        try:
            self._client.transact_write_items(TransactItems=actions)
        except Exception as error:
            if error_code(error) != "TransactionCanceledException":
                raise classify(error) from error
            response: Mapping[str, Any] = getattr(error, "response", {})
            (reason, *_) = response.get("CancellationReasons") or [{}]
            if reason.get("Code") == "ConditionalCheckFailed":
                raise Unmet(reason.get("Item", {})) from error
            # Every other reason is one of a moment (API reference, "TransactWriteItems"): a conflict, a throttle.
            raise Transient("DynamoDB could not run a transaction now.", cause="conflict") from error

    def delete(self, key: "Item") -> None:
        """Delete an item, whatever stands there."""
        _answer(lambda: self._client.delete_item(TableName=self._name, Key=key))


def create_table(client: "DynamoDBClient", name: str, *, stop: Stop) -> bool:
    """Make the table where it is not there, and wait until it can be used. True: it was made now.

    It is paid by request: one write a second for each owner and a few for each shard are next to nothing. Raises as
    `isthmus.aws.ensure_table` does.
    """
    return aws.ensure_table(client, name, _KEYS, _ANOTHER_NAME, stop=stop)


def describe_table(client: "DynamoDBClient", name: str) -> str:
    """Give the table's status. Raises as `isthmus.aws.describe_table` does."""
    return aws.describe_table(client, name, _KEYS, _ANOTHER_NAME)


def _answer(request: Callable[[], T]) -> T:
    try:
        return request()
    except Exception as error:
        if error_code(error) == "ConditionalCheckFailedException":
            response: Mapping[str, Any] = getattr(error, "response", {})
            raise Unmet(response.get("Item", {})) from error
        raise classify(error) from error
