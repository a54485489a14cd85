"""Looks into the parking lot: keys by the list of all heads, changes by their key."""

from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from isthmus.consumer.stores.dynamodb.bodies import Bodies
from isthmus.consumer.stores.dynamodb.heads import Head, head_of
from isthmus.consumer.stores.dynamodb.items import (
    LISTED,
    PARKED,
    PARTITION_KEY,
    SORT_KEY,
    listed_key,
    of_key,
)
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.values import number, text
from isthmus.consumer.stores.dynamodb.waiting import waiting_of
from isthmus.consumer.stores.dynamodb.writes import Expression, Place
from isthmus.consumer.stores.lot import ParkedKey, Selection, Waiting
from isthmus.errors import Poison

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item


_LOOKED_THROUGH = 500
"""Heads in a page of which some may not fit: some hundred KB."""


class LotReading:
    """Reads the lot.

    A list of keys reads one small item for each key, and more only where several things are said of one change at once,
    or a time: then it looks at the changes of a key whose head does not answer that.
    """

    def __init__(self, requests: Requests, table: str, bodies: Bodies) -> None:
        self._requests = requests
        self._table = table
        self._bodies = bodies
        self._ended: tuple[str, int, Item] | None = None
        """Key and number of changes that were given last, and the place of the last one."""

    def parked_keys(self, selection: Selection, *, after: str, most: int) -> list[ParkedKey]:
        """Give the first keys behind `after`, in the order of their text."""
        found = (head for head in self._heads(selection, after, most) if self._fits(head, selection))
        return [head.parked_key() for head in islice(found, most)]

    def parked_of(self, key: str, *, skip: int, most: int) -> list[Waiting]:
        """Give changes of a key, but for the first `skip`. One of which the event is lost has an empty one."""
        begins, more = {":parked": {"S": PARKED}}, dict[str, Any]()
        if self._ended is not None and self._ended[:2] == (key, skip):
            # A page behind the last one: nothing before it is read again.
            more, already = {"start": self._ended[2]}, 0
        else:
            already = skip
        query = " AND begins_with(sk, :parked)"
        rows = self._requests.query(self._table, of_key(key), query, begins, Limit=already + most, **more)
        items = list(islice(rows, already, already + most))
        if items:
            last = {name: items[-1][name] for name in (PARTITION_KEY, SORT_KEY)}
            self._ended = (key, skip + len(items), last)
        return [waiting_of(item, self._event(item)) for item in items]

    def _heads(self, selection: Selection, after: str, most: int) -> Iterator[Head]:
        if selection.key is not None:
            item = self._requests.get(Place(self._table, listed_key(selection.key)))
            items = iter([] if item is None or selection.key <= after else [item])
        else:
            items = self._items(selection, after, most)
        prefix = selection.prefix or ""
        for item in items:
            head = head_of(item)
            # Those with a prefix lie side by side, so behind the last of them there is no other.
            if head is None or not head.key.startswith(prefix):
                return
            yield head

    def _items(self, selection: Selection, after: str, most: int) -> "Iterator[Item]":
        condition, values = "", dict[str, Any]()
        # In the order of their bytes, which is the one of their characters' numbers here too.
        if selection.prefix is not None and selection.prefix > after:
            condition, values = " AND sk >= :first", {":first": text(selection.prefix)}
        elif after:
            condition, values = " AND sk > :after", {":after": text(after)}
        # Where all fit, a page holds no more than is wanted.
        plain = selection._replace(key=None, prefix=None) == Selection()
        limit = most if plain else max(most, _LOOKED_THROUGH)
        return self._requests.query(self._table, LISTED, condition, values, Limit=limit)

    def _fits(self, head: Head, selection: Selection) -> bool:
        fits = head.fits(selection)
        return self._any(head.key, selection) if fits is None else fits

    def _any(self, key: str, selection: Selection) -> bool:
        """Say whether a single change of the key fits all that is said."""
        expression = Expression()
        wanted = [
            f"{expression.name(name)} = {expression.value(text(value))}"
            for name, value in (("reason", selection.reason), ("source", selection.source))
            if value is not None
        ]
        for moment, compared in ((selection.since_ms, ">="), (selection.until_ms, "<")):
            if moment is not None:
                wanted.append(f"{expression.name('first_at')} {compared} {expression.value(number(moment))}")
        names = expression.members()
        rows = self._requests.query(
            self._table,
            of_key(key),
            " AND begins_with(sk, :parked)",
            {":parked": {"S": PARKED}, **names["ExpressionAttributeValues"]},
            FilterExpression=" AND ".join(wanted),
            ProjectionExpression="sk",
            names=names["ExpressionAttributeNames"],
        )
        return next(iter(rows), None) is not None

    def _event(self, item: "Item") -> bytes:
        try:
            return self._bodies.event(item)
        except Poison:
            return b""
