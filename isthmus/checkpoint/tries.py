"""How often a change failed, where errors may come only so often at one. It outlives the process."""

from typing import Protocol

from isthmus.checkpoint import items
from isthmus.checkpoint.items import ItemKind
from isthmus.checkpoint.table import Table
from isthmus.clock import Clock, rfc3339


class Tries(Protocol):
    """Where it is counted. By transaction ID: a change that comes again is the same one.

    Methods raise `Transient` or `TargetDown` where nothing is known of the answer; then one may be counted too many.
    """

    def failed(self, txn: str) -> int:
        """Count one more; give how many there are."""
        ...

    def settled(self, txn: str) -> None:
        """Forget the change: it is decided. Safe to repeat."""
        ...


class TriesInMemory:
    """`Tries` of one life."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def failed(self, txn: str) -> int:
        """Count one more; see the port."""
        self.counts[txn] = self.counts.get(txn, 0) + 1
        return self.counts[txn]

    def settled(self, txn: str) -> None:
        """Forget the change; see the port."""
        self.counts.pop(txn, None)


class DynamoTries:
    """`Tries` on DynamoDB: an item for each change that fails."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def failed(self, txn: str) -> int:
        """Count one more; see the port."""
        place = items.key(ItemKind.TRY, txn)
        updated = {"updated": items.text(rfc3339(self._clock.now_ms()))}
        self._table.write(place, updated, "attribute_not_exists(#kind) OR attribute_exists(#kind)", {}, add="count")
        found = self._table.get(place)
        return int(found["count"]["N"]) if found is not None else 1

    def settled(self, txn: str) -> None:
        """Forget the change; see the port."""
        self._table.delete(items.key(ItemKind.TRY, txn))
