"""What an effect handler gives back: actions that join the transaction of its change.

    def on_change(tx, change, previous):
        account = tx.get("account", {"id": change.data["account"]})
        return [{"Update": {"TableName": "account", "Key": {"id": change.data["account"]},
                            "UpdateExpression": "ADD balance :amount",
                            "ExpressionAttributeValues": {":amount": -change.data["amount"]}}}]

An action is one of boto3's, with plain Python values in `Key`, `Item` and `ExpressionAttributeValues`. All of them
happen together with the change, once, or none does.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from isthmus.consumer.refusals import let_go
from isthmus.consumer.stores.dynamodb.cancelled import HANDLER_ACTION
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.values import attributes_of, row_of
from isthmus.consumer.stores.dynamodb.writes import Action, Place
from isthmus.errors import IsthmusError, Poison

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item

MAX_ACTIONS = 100
"""In one transaction ("Quotas", TransactWriteItems)."""

_EXPRESSIONS = {"ConditionExpression", "ExpressionAttributeNames", "ExpressionAttributeValues"}
_MEMBERS = {
    "Put": {"Item", *_EXPRESSIONS},
    "Update": {"Key", "UpdateExpression", *_EXPRESSIONS},
    "Delete": {"Key", *_EXPRESSIONS},
    "ConditionCheck": {"Key", *_EXPRESSIONS},
}
_NEEDED = {
    "Put": {"TableName", "Item"},
    "Update": {"TableName", "Key", "UpdateExpression"},
    "Delete": {"TableName", "Key"},
    "ConditionCheck": {"TableName", "Key", "ConditionExpression"},
}
_OF_VALUES = {"Key", "Item", "ExpressionAttributeValues"}


class DynamoTransaction:
    """What a handler gets: consistent reads. Its writes are the actions that it returns.

    Once a read has raised anything but `Poison`, `raise_failure` raises it again: a handler that swallows an outage
    must not lead to half of its work. What is read is added to `reads`.
    """

    def __init__(self, requests: Requests, reads: list[Place]) -> None:
        self._requests = requests
        self._reads = reads
        self._failure: IsthmusError | None = None

    def get(self, table: str, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Give an item's values as they stand now, or None. Nothing keeps them so: make a condition of what counts.

        Where that does not hold, the handler runs again, as long as anything that was read has changed since.
        """
        self.raise_failure()
        place = Place(table, attributes_of(key))
        try:
            item = self._requests.get(place)
        except IsthmusError as error:
            self._failure = error
            raise
        self._reads.append(place._replace(item=item))
        return None if item is None else row_of(item)

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> NoReturn:  # noqa: ARG002 - another store's
        """Raise `Poison`: DynamoDB runs no statements."""
        raise Poison("handler-statement", "In DynamoDB a handler returns actions, it runs no statements.")

    def raise_failure(self) -> None:
        """Raise again what a read raised."""
        if self._failure is not None:
            raise self._failure


def actions_of(returned: object, own_table: str) -> list[Action]:
    """Give the actions that a handler returned. Raises `Poison` for anything else."""
    if returned is None:
        return []
    if not isinstance(returned, list | tuple):
        let_go(returned)
        raise Poison(HANDLER_ACTION, f"a handler returned a {type(returned).__name__}, and no list of actions")
    return [_action(each, own_table) for each in returned]


def refuse_collisions(ours: Sequence[Action], theirs: Sequence[Action]) -> None:
    """Raise `Poison` where a transaction would have too many actions, or two on one item."""
    if len(ours) + len(theirs) > MAX_ACTIONS:
        raise Poison(HANDLER_ACTION, f"{len(theirs)} actions, and one transaction has at most {MAX_ACTIONS} in all")
    names = {
        action.members["TableName"]: sorted(action.members["Key"])
        for action in (*ours, *theirs)
        if "Key" in action.members
    }
    seen: set[object] = set()
    for place in _places((*ours, *theirs), names):
        if place in seen:
            raise Poison(HANDLER_ACTION, "two actions on one item: fold them into one")
        seen.add(place)


def _places(actions: Iterable[Action], names: Mapping[str, Sequence[str]]) -> Iterable[object]:
    for action in actions:
        table = action.members["TableName"]
        item: Item = action.members["Key"] if "Key" in action.members else action.members["Item"]
        # Where nobody said what the keys of its table are, DynamoDB itself refuses two puts of one item.
        if table in names and all(name in item for name in names[table]):
            yield table, repr([item[name] for name in names[table]])


def _action(returned: object, own_table: str) -> Action:
    if not isinstance(returned, Mapping) or len(returned) != 1:
        raise Poison(HANDLER_ACTION, "an action is a dict with one of Put, Update, Delete and ConditionCheck")
    ((verb, members),) = returned.items()
    if verb not in _MEMBERS or not isinstance(members, Mapping):
        raise Poison(HANDLER_ACTION, "an action is one of Put, Update, Delete and ConditionCheck, with its members")
    missing, unknown = _NEEDED[verb] - set(members), set(members) - _MEMBERS[verb] - {"TableName"}
    if missing or unknown:
        word, names = ("lacks", missing) if missing else ("cannot have", unknown)
        raise Poison(HANDLER_ACTION, f"an action of the kind {verb} {word} {', '.join(sorted(map(str, names)))}")
    if _name_of(members["TableName"]) == own_table:
        raise Poison(HANDLER_ACTION, "a handler wants to write Isthmus's own table")
    return Action(verb, {name: _member(name, value) for name, value in members.items()})


def _name_of(table: object) -> object:
    """Give the name of a table that may be named by its ARN."""
    return table.rpartition(":table/")[2] if isinstance(table, str) else table


def _member(name: str, value: Any) -> Any:
    if name in _OF_VALUES or name == "ExpressionAttributeNames":
        if not isinstance(value, Mapping):
            raise Poison(HANDLER_ACTION, f"{name} of an action is no dict")
        return attributes_of(value) if name in _OF_VALUES else dict(value)
    if not isinstance(value, str):
        raise Poison(HANDLER_ACTION, f"{name} of an action is no text")
    return value
