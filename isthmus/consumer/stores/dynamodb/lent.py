"""What a handler gets of a transaction in DynamoDB, for as long as its change has its turn; and one lender a thread."""

import threading
from collections.abc import Mapping
from typing import Any

from isthmus.consumer.lending import Lending, Lent
from isthmus.consumer.stores.dynamodb.actions import DynamoTransaction


class DynamoLent(Lent):
    """A `DynamoTransaction` for one turn."""

    def __init__(self, transaction: DynamoTransaction) -> None:
        super().__init__(transaction)
        self._reads = transaction

    def get(self, table: str, key: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Give an item's values; see `DynamoTransaction`. Raises `Poison` when the turn is over."""
        return self.in_turn(lambda: self._reads.get(table, key))


class LendingByThread:
    """One `Lending` for each thread that decides: a change's handlers run beside those of other keys."""

    def __init__(self, lending: Lending) -> None:
        """Make them like this one, which is closed with them."""
        self._lending = lending
        self._mine = threading.local()
        self._made: list[Lending] = [lending]
        self._lock = threading.Lock()

    def __call__(self) -> Lending:
        """Give that of this thread."""
        found: Lending | None = getattr(self._mine, "lending", None)
        if found is None:
            found = self._mine.lending = self._lending.another()
            with self._lock:
                self._made.append(found)
        return found

    def close(self) -> None:
        """End whatever runs. Safe to repeat."""
        for each in self._made:
            each.close()
