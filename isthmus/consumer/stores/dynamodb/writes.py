"""Write actions in the form that both a transaction and a single request take. Pure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

ABSENT = "attribute_not_exists({})"
PRESENT = "attribute_exists({})"


class Place(NamedTuple):
    """An item's table and key, and the item as it was read, None where there was none."""

    table: str
    key: "Item"
    item: "Item | None" = None


class Action(NamedTuple):
    """One write: `Put`, `Update`, `Delete` or `ConditionCheck`, and its members as DynamoDB names them."""

    verb: str
    members: Mapping[str, Any]


class Expression:
    """Collects names and values of one action: every name by reference, as many plain words are reserved."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: dict[str, Attribute] = {}

    def name(self, attribute: str) -> str:
        """Give the reference to an attribute."""
        return self._names.setdefault(attribute, f"#n{len(self._names)}")

    def value(self, attribute: "Attribute") -> str:
        """Give the reference to a value."""
        reference = f":v{len(self._values)}"
        self._values[reference] = attribute
        return reference

    def absent(self, attribute: str) -> str:
        """Give the condition that an item has no such attribute, or is not there."""
        return ABSENT.format(self.name(attribute))

    def equal(self, attribute: str, item: "Item") -> str:
        """Give the condition that an attribute is as it stands in the item: the same, or not there."""
        if attribute not in item:
            return self.absent(attribute)
        return f"{self.name(attribute)} = {self.value(item[attribute])}"

    def members(self) -> dict[str, Any]:
        """Give names and values, those that there are: DynamoDB refuses empty ones."""
        made: dict[str, Any] = {}
        if self._names:
            made["ExpressionAttributeNames"] = {reference: name for name, reference in self._names.items()}
        if self._values:
            made["ExpressionAttributeValues"] = self._values
        return made


def as_seen(expression: Expression, place: Place, deciding: Sequence[str]) -> str:
    """Give the condition that, of what decides, an item is still as it was read."""
    hash_key = next(iter(place.key))
    if place.item is None:
        return expression.absent(hash_key)
    same = [expression.equal(name, place.item) for name in deciding]
    # Where nothing of ours is there, the item itself must be.
    return " AND ".join([PRESENT.format(expression.name(hash_key)), *same])


def update(
    place: Place, sets: "Mapping[str, Attribute]", removes: Sequence[str], expression: Expression, condition: str
) -> Action:
    """Give an update of some attributes that leaves the others as they are."""
    clauses = []
    if sets:
        pairs = ", ".join(f"{expression.name(name)} = {expression.value(value)}" for name, value in sets.items())
        clauses.append(f"SET {pairs}")
    if removes:
        clauses.append("REMOVE " + ", ".join(expression.name(name) for name in removes))
    return Action(
        "Update",
        {
            "TableName": place.table,
            "Key": place.key,
            "UpdateExpression": " ".join(clauses),
            "ConditionExpression": condition,
            **expression.members(),
        },
    )


def put(table: str, item: "Item", expression: Expression, condition: str) -> Action:
    """Give the write of a whole item, in the place of whatever is there."""
    return Action("Put", {"TableName": table, "Item": item, "ConditionExpression": condition, **expression.members()})


def put_over(table: str, item: "Item") -> Action:
    """Give the write of a whole item, whatever is there."""
    return Action("Put", {"TableName": table, "Item": item})


def put_new(table: str, item: "Item", key: str) -> Action:
    """Give the write of an item that is not there; `key` is one of its key attributes."""
    expression = Expression()
    return put(table, item, expression, expression.absent(key))


def delete(place: Place, expression: Expression, condition: str) -> Action:
    """Give the end of an item."""
    return _bare("Delete", place, expression, condition)


def check(place: Place, expression: Expression, condition: str) -> Action:
    """Give a condition on an item that is not written."""
    return _bare("ConditionCheck", place, expression, condition)


def check_absent(place: Place) -> Action:
    """Give the condition that an item is not there."""
    expression = Expression()
    return check(place, expression, expression.absent(next(iter(place.key))))


def _bare(verb: str, place: Place, expression: Expression, condition: str) -> Action:
    return Action(
        verb,
        {"TableName": place.table, "Key": place.key, "ConditionExpression": condition, **expression.members()},
    )
