"""The requests that the store sends, each with its retries."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from isthmus.aws_errors import classify, error_code
from isthmus.chance import Chance
from isthmus.consumer.stores.dynamodb.cancelled import (
    CONFLICT,
    HANDLER_ACTION,
    THROTTLED,
    Refusing,
    Unmet,
    poison_of,
    schema_error,
    verdict,
)
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.writes import Action, Place
from isthmus.errors import Poison, Transient
from isthmus.lifecycle import Stop

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.consumer.stores.dynamodb.values import Item

T = TypeVar("T")

_WRITES_A_REQUEST, _READS_A_REQUEST = 25, 100
"""Limits of BatchWriteItem and BatchGetItem (DynamoDB, "Quotas", API-specific limits)."""
_INVALID = ("ValidationException", "ItemCollectionSizeLimitExceededException")
_SINGLE = {"Put": "put_item", "Update": "update_item", "Delete": "delete_item"}


class Requests:
    """One client, used by many threads at once.

    What is throttled, or in somebody's way, is sent again up to `settings.attempts` times, after a wait with full
    jitter that a stop ends; then `Transient` is raised. Every other failure is raised at once as
    `isthmus.aws_errors.classify` has it.
    """

    def __init__(
        self,
        client: "DynamoDBClient",
        settings: DynamoSettings,
        *,
        stop: Stop,
        chance: Chance,
        on_throttled: Callable[[], object] = lambda: None,
    ) -> None:
        self._client: Any = client
        self._settings = settings
        self._stop = stop
        self._chance = chance
        self._on_throttled = on_throttled
        self.before_write: Callable[[], object] = lambda: None
        """Asked before each attempt at a conditional write, not of histories. What it raises undoes it."""

    def write(self, action: Action) -> None:
        """Write one item in one request. Raises `Unmet` with what stands there, and `Poison` for a refused value."""
        send = getattr(self._client, _SINGLE[action.verb])
        self._patiently(lambda: self._one(send, action))

    def transact(self, actions: Sequence[Action], ours: int | None = None) -> None:
        """Write all or nothing; the first `ours` actions (None: all) are Isthmus's own.

        Raises `Unmet` when a condition of ours does not hold, and `Refusing` when an action is refused for what it is.
        """
        count = len(actions) if ours is None else ours
        wanted = [
            {action.verb: {**action.members, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}} for action in actions
        ]
        # Its client token is botocore's, a new one each time: ten minutes of memory are no ledger.
        self._patiently(lambda: self._all(wanted, count))

    def read(self, places: Sequence[Place]) -> list[Place]:
        """Give places with their items as they are together at one moment."""
        gets = [{"Get": {"TableName": place.table, "Key": place.key}} for place in places]
        answer = self._patiently(lambda: self._moment(gets))
        return [place._replace(item=found.get("Item")) for place, found in zip(places, answer, strict=True)]

    def get(self, place: Place) -> "Item | None":
        """Give one item as it stands now, or None."""
        found: Item | None = self._answer("get_item", TableName=place.table, Key=place.key, ConsistentRead=True).get(
            "Item"
        )
        return found

    def get_many(self, table: str, keys: "Sequence[Item]") -> "list[Item]":
        """Give those of the items that are there, in no order. The keys are distinct."""
        found: list[Item] = []
        for begin in range(0, len(keys), _READS_A_REQUEST):
            left: Any = {table: {"Keys": list(keys[begin : begin + _READS_A_REQUEST]), "ConsistentRead": True}}

            def ask(left: Any) -> Any:
                answer = self._answer("batch_get_item", RequestItems=left)
                found.extend(answer["Responses"].get(table, ()))
                return answer.get("UnprocessedKeys")

            self._until_processed(ask, left)
        return found

    def write_many(self, table: str, *, put: "Sequence[Item]" = (), delete: "Sequence[Item]" = ()) -> None:
        """Write and delete items, each by itself, whatever stands there. Their keys are distinct."""
        wanted = [{"PutRequest": {"Item": item}} for item in put]
        wanted += [{"DeleteRequest": {"Key": key}} for key in delete]
        for begin in range(0, len(wanted), _WRITES_A_REQUEST):

            def ask(left: Any) -> Any:
                return self._answer("batch_write_item", RequestItems=left).get("UnprocessedItems")

            self._until_processed(ask, {table: wanted[begin : begin + _WRITES_A_REQUEST]})

    def query(self, table: str, pk: str, condition: str, values: Mapping[str, Any], **more: Any) -> "Iterator[Item]":
        """Give the items of one partition of our own table, page by page, in the order of their sort keys.

        With `start` it begins behind the item of this key.
        """
        return self._pages(
            "query",
            TableName=table,
            KeyConditionExpression=f"#pk = :pk{condition}",
            ExpressionAttributeNames={"#pk": "pk", **more.pop("names", {})},
            ExpressionAttributeValues={":pk": {"S": pk}, **values},
            **more,
        )

    def scan(self, table: str, **more: Any) -> "Iterator[Item]":
        """Give the items of a table, page by page."""
        return self._pages("scan", TableName=table, **more)

    def step_aside(self, attempt: int) -> None:
        """Wait before all of a change is done anew. Raises `Transient` where another attempt is not due here."""
        # Those in the way are most often the others of the same batch: fewer of them at once get on faster.
        self._on_throttled()
        self._wait(Transient("Others change the same items again and again.", cause=CONFLICT), attempt)

    def _pages(self, operation: str, **wanted: Any) -> "Iterator[Item]":
        start = wanted.pop("start", None)
        following: dict[str, Any] = {} if start is None else {"ExclusiveStartKey": start}
        while True:
            page = self._answer(operation, ConsistentRead=True, **wanted, **following)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            following = {"ExclusiveStartKey": page["LastEvaluatedKey"]}

    def _until_processed(self, ask: Callable[[Any], Any], wanted: Any) -> None:
        attempt, left = 0, ask(wanted)
        while left:
            # What DynamoDB leaves undone it had no capacity for.
            attempt += 1
            self._wait(Transient("DynamoDB left a part of a batch undone.", cause=THROTTLED), attempt)
            left = ask(left)

    def _answer(self, operation: str, **wanted: Any) -> Any:
        send = getattr(self._client, operation)

        def ask() -> Any:
            try:
                return send(**wanted)
            except Exception as error:
                raise classify(error) from error

        return self._patiently(ask)

    def _one(self, send: Callable[..., Any], action: Action) -> None:
        self.before_write()
        try:
            send(**action.members, ReturnValuesOnConditionCheckFailure="ALL_OLD")
        except Exception as error:
            if error_code(error) == "ConditionalCheckFailedException":
                raise Unmet(_response(error).get("Item", {})) from error
            _raise_refused(error)
            raise classify(error) from error

    def _all(self, wanted: Sequence[Mapping[str, Any]], ours: int) -> None:
        self.before_write()
        try:
            self._client.transact_write_items(TransactItems=wanted)
        except Exception as error:
            if error_code(error) == "TransactionCanceledException":
                raise verdict(_response(error).get("CancellationReasons", ()), ours) from error
            if len(wanted) > ours and (error_code(error) in _INVALID or type(error).__name__ == "ParamValidationError"):
                # What is Isthmus's own was sent many times before.
                poison = Poison(HANDLER_ACTION, "DynamoDB does not take a handler's actions into a transaction")
                raise Refusing(poison, ours) from error
            try:
                _raise_refused(error)
            except Poison as poison:
                raise Refusing(poison, 0) from error
            raise classify(error) from error

    def _moment(self, gets: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        try:
            answer: Sequence[Mapping[str, Any]] = self._client.transact_get_items(TransactItems=gets)["Responses"]
        except Exception as error:
            if error_code(error) == "TransactionCanceledException":
                raise verdict(_response(error).get("CancellationReasons", ()), len(gets)) from error
            raise classify(error) from error
        return answer

    def _patiently(self, action: Callable[[], T]) -> T:
        attempt = 0
        while True:
            try:
                return action()
            except Transient as error:
                attempt += 1
                self._wait(error, attempt)

    def _wait(self, error: Transient, attempt: int) -> None:
        """Wait before the next attempt, or raise where another one is not due here."""
        if error.cause == THROTTLED:
            self._on_throttled()
        elif error.cause != CONFLICT:
            raise error
        if attempt >= self._settings.attempts or self._stop.wait(self._settings.backoff.delay(attempt, self._chance)):
            raise error


def _raise_refused(error: Exception) -> None:
    """Raise for a request that is refused for what it holds."""
    if error_code(error) not in _INVALID:
        return
    message = str(_response(error).get("Error", {}).get("Message", ""))
    raise (schema_error(message) or poison_of(message)) from error


def _response(error: Exception) -> Mapping[str, Any]:
    response: Mapping[str, Any] = getattr(error, "response", {})
    return response
