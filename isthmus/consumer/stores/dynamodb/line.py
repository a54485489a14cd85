"""The changes of one key in the order in which they wait, and whether one of them is still the first."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

from isthmus.change import Change
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.heads import Head, head_of, turn_of
from isthmus.consumer.stores.dynamodb.items import PARKED, SORT_KEY, lot_key, of_key
from isthmus.consumer.stores.dynamodb.parts import Parts
from isthmus.consumer.stores.dynamodb.standing import Standing
from isthmus.consumer.stores.dynamodb.writes import Place

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item


class Moved(Exception):  # noqa: N818 - an answer, not an error
    """A change is not any more what was read, or not the first of its key."""


@dataclass(slots=True)
class Line:
    """The first changes of a key."""

    key: str
    rows: "Iterator[Item]"
    """As they were read, which may be later than the head; each is to be looked at again before it is tried."""
    turn: int
    """Of the lot, when it was known that whoever is the first of `rows` is the first of the key."""
    waiting: int
    """How many wait, as far as is known."""

    def took(self, head: Head | None) -> None:
        """Take in what became of the lot by a write of one's own: the next one is the first now."""
        self.turn = head.turn if head is not None else 0
        self.waiting = head.rows if head is not None else 0


class Lines:
    """Reads them."""

    def __init__(self, parts: Parts) -> None:
        self._requests = parts.requests
        self._table = parts.settings.table
        self._parts = parts

    def of(self, key: str, most: int) -> Line:
        """Give the first changes of a key."""
        head = head_of(self._requests.get(Place(self._table, lot_key(key))))
        if head is None:
            return Line(key, iter(()), 0, 0)
        return Line(key, self.rows(key, most), head.turn, head.rows)

    def rows(self, key: str, most: int) -> "Iterator[Item]":
        """Give the items of the first changes of a key, whole, page by page."""
        return islice(self.every(key, Limit=most), most)

    def every(self, key: str, **more: Any) -> "Iterator[Item]":
        """Give the items of all changes of a key, whole, page by page."""
        begins = {":parked": {"S": PARKED}}
        return self._requests.query(self._table, of_key(key), " AND begins_with(sk, :parked)", begins, **more)

    def look(self, line: Line, row: "Item", change: Change) -> Standing:
        """Give what stands of a change that is the first, or of one of its names. Raises `Moved`."""
        standing = self._parts.looking.standing(change, self._parts.entities.get(change.entity), row=True)
        head, now = head_of(standing.lot.item), standing.row.item
        if head is None or now is None or turn_of(now) != turn_of(row):
            raise Moved
        if head.turn != line.turn:
            # Somebody changed the lot. What came after this question changes the turn again, and is met by a condition.
            first = next(self.rows(line.key, 1), None)
            if first is None or first[SORT_KEY] != row[SORT_KEY]:
                raise Moved
            line.turn = head.turn
        return standing

    def end(self, line: Line) -> None:
        """End a lot of which somebody deleted the changes by hand: nothing else would ever free its key."""
        place = Place(self._table, lot_key(line.key))
        place = place._replace(item=self._requests.get(place))
        if head_of(place.item) is None or next(self.rows(line.key, 1), None) is not None:
            return
        try:
            self._requests.transact(self._parts.lot.heads(place, None))
        except Unmet:
            # Something is parked again.
            return
