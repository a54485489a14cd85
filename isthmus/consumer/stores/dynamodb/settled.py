"""What operators settled, and how whoever decides knows of it without asking for each change.

A settled ID, or row, is an item of its own: that decides. Whoever settles some adds, in the same transaction, an item
with their fingerprints to a list, and raises the list's number, which lies where fences lie. Each batch begins with a
look there; so as long as the number is the one that it knows, a decider needs no other request, and else it reads what
was added. Only of what is in its memory it asks whether it is settled in truth: fingerprints may meet.

A batch that began before something was settled learns of it too late, for as long as it lasts. For an ID of kind
`event`, and wherever a change is a transaction, the ID itself is read in time; for a state that is one write, the flag
on its item says that there is something to read. What is left of that window is a row that was discarded before its key
was known: nothing stands under its real key. A batch under way may let it take effect, as if it had come before the
discard.
"""

import hashlib
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from isthmus.consumer.stores.dynamodb.items import (
    PARTITION_KEY,
    SETTLED,
    SORT_KEY,
    settled_item,
    settled_key,
    settled_list_key,
    settled_marker_key,
)
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.values import number
from isthmus.consumer.stores.dynamodb.writes import Action, Expression, Place, as_seen, put, put_new, put_over

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

_NUMBER, _PRINTS = "number", "prints"
_PRINT_BYTES = 8


class Settling:
    """Makes the writes that settle."""

    def __init__(self, requests: Requests, table: str) -> None:
        self._requests = requests
        self._table = table

    def actions(self, names: Sequence[str], now_ms: int) -> list[Action]:
        """Give what settles these IDs and rows, in one transaction with what they are settled by. It may be `Unmet`."""
        if not names:
            return []
        distinct = list(dict.fromkeys(names))
        place = Place(self._table, settled_marker_key())
        marker = place._replace(item=self._requests.get(place))
        following = (0 if marker.item is None else int(marker.item[_NUMBER]["N"])) + 1
        decided = {"decided": number(now_ms)}
        prints = b"".join(_print(name).to_bytes(_PRINT_BYTES, "big") for name in distinct)
        listed: dict[str, Attribute] = {**settled_list_key(following), _PRINTS: {"B": prints}, **decided}
        expression = Expression()
        condition = as_seen(expression, marker, (_NUMBER,))
        return [
            put(self._table, {**marker.key, _NUMBER: number(following), **decided}, expression, condition),
            put_new(self._table, listed, PARTITION_KEY),
            *(put_over(self._table, settled_item(name, now_ms)) for name in distinct),
        ]


class SettledMemory:
    """What one decider knows of the list. Eight bytes for each ID or row that was ever settled since it began."""

    def __init__(self, requests: Requests, table: str) -> None:
        self._requests = requests
        self._table = table
        self._known = 0
        self._prints = array("Q")

    def read(self, marker: "Item | None") -> None:
        """Take in what was added since; `marker` is the list's number as it stands at the beginning of a batch."""
        newest = 0 if marker is None else int(marker[_NUMBER]["N"])
        if newest <= self._known:
            return
        added: set[int] = set()
        after = settled_list_key(self._known)[SORT_KEY]
        for item in self._requests.query(self._table, SETTLED, " AND sk > :after", {":after": after}):
            added.update(_prints(bytes(item[_PRINTS]["B"])))
            newest = max(newest, int(item[SORT_KEY]["S"]))
        self._prints = array("Q", sorted(added.union(self._prints)))
        self._known = newest

    def __bool__(self) -> bool:
        return bool(self._prints)

    def settled(self, names: Iterable[str]) -> set[str]:
        """Give those of the IDs and rows that are settled."""
        suspects = sorted({name for name in names if self._may_be(_print(name))})
        if not suspects:
            return set()
        found = self._requests.get_many(self._table, [settled_key(name) for name in suspects])
        return {item["txn"]["S"] for item in found}

    def _may_be(self, fingerprint: int) -> bool:
        place = bisect_left(self._prints, fingerprint)
        return place < len(self._prints) and self._prints[place] == fingerprint


def _print(name: str) -> int:
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_PRINT_BYTES).digest()
    return int.from_bytes(digest, "big")


def _prints(held: bytes) -> Iterable[int]:
    return (int.from_bytes(held[place : place + _PRINT_BYTES], "big") for place in range(0, len(held), _PRINT_BYTES))
