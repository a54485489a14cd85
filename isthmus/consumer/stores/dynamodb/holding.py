"""What is held in DynamoDB, read beside whoever decides."""

import heapq
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING

from isthmus.consumer.stores.dynamodb.bodies import Bodies
from isthmus.consumer.stores.dynamodb.heldlines import BUCKETS, HELD, HeldLine, bucket, by_gate, held_of, line_of
from isthmus.consumer.stores.dynamodb.items import SORT_KEY, of_key
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.values import text
from isthmus.consumer.stores.held import Held, HeldGate, HeldHead

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item


class HoldingReader:
    """Reads lines and what is in them."""

    def __init__(self, requests: Requests, table: str) -> None:
        self._requests = requests
        self._table = table

    def heads(self, *, after: str = "", most: int = 100) -> list[HeldHead]:
        """Give the first held change of each key behind `after`, in the order of the keys."""
        parts = [self._lines(number, after=after, most=most) for number in range(BUCKETS)]
        # DynamoDB orders text by its bytes in UTF-8.
        merged = heapq.merge(*parts, key=lambda line: line.key.encode())
        return [line.head() for line in islice(merged, most)]

    def by_gate(self) -> list[HeldGate]:
        """Give how much is held for which gate, the most changes first. Reads every line."""
        return by_gate([line for number in range(BUCKETS) for line in self._lines(number)])

    def of(self, key: str, bodies: Bodies, *, most: int = 100) -> list[Held]:
        """Give the first that are held of a key, in their order. Raises `Poison` where a part of an event is gone."""
        begins = {":held": text(HELD)}
        rows = self._requests.query(self._table, of_key(key), " AND begins_with(sk, :held)", begins, Limit=most)
        return [held_of(row, bodies.event(row)) for row in islice(rows, most)]

    def _lines(self, number: int, *, after: str = "", most: int | None = None) -> Iterator[HeldLine]:
        more: dict[str, int] = {} if most is None else {"Limit": most}
        condition, values = (" AND sk > :after", {":after": text(after)}) if after else ("", {})
        for item in self._requests.query(self._table, bucket(number), condition, values, **more):
            line = line_of(item)
            if line is not None:
                yield line


def is_held(item: "Item") -> bool:
    """Say whether an item of a key's partition is a held change."""
    return item[SORT_KEY]["S"].startswith(HELD)
