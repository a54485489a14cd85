"""The outbox in DynamoDB: one partition of our own table, in the order of the moments at which its items were written.

`isthmus.consumer.stores.dynamodb.lot.Lot.park` puts an item there in the transaction in which it parks the change, or
nothing of both happens. So a Query gives the oldest, and nobody has to look through the lot. The moment is the clock's
of whoever parked: an item may come to stand before one that was seen already, and is met by the next look, for each is
forgotten by its own key.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.consumer.deadletters.port import Copy
from isthmus.consumer.stores.dynamodb.bodies import CLAIMED, Bodies
from isthmus.consumer.stores.dynamodb.items import OUTBOX, SORT_KEY, item_key
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.errors import Fatal, Poison

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item


class DynamoOutbox:
    """`isthmus.consumer.deadletters.port.Outbox`. `holds_payloads` says whether `bodies` has a bucket to read from."""

    def __init__(self, requests: Requests, table: str, bodies: Bodies, *, holds_payloads: bool) -> None:
        self._requests = requests
        self._table = table
        self._bodies = bodies
        self._holds_payloads = holds_payloads

    def pending(self, most: int, most_bytes: int) -> list[Copy]:
        """Give the oldest that wait.

        Raises `Fatal` where an event lies in a bucket and the settings name none: it may not be told as lost.
        """
        found, left = list[Copy](), most_bytes
        if not most:
            return found
        for item in self._requests.query(self._table, OUTBOX, "", {}, Limit=most):
            # The event of a small item may lie elsewhere and be large: how large shows when it is here.
            copy = self._copy(item)
            left -= len(copy.event)
            if found and left < 0:
                break
            found.append(copy)
            if len(found) == most:
                break
        return found

    def sent(self, copies: Sequence[Copy]) -> None:
        """Forget these. What an item named beside it, pruning deletes once nothing names it any more."""
        self._requests.write_many(self._table, delete=[item_key(OUTBOX, copy.place) for copy in copies])

    def close(self) -> None:
        """Nothing is open but the client, which belongs to who made it. Safe to repeat."""

    def _copy(self, item: "Item") -> Copy:
        event, lost = b"", ""
        try:
            event = self._bodies.event(item)
        except Poison as poison:
            if CLAIMED in item and not self._holds_payloads:
                raise Fatal(
                    "A copy for the dead-letter queue lies in a bucket, and the settings name none.",
                    hint="Set bucket under [claim_check] again.",
                ) from poison
            # It must not stand in the way of all that come after it. What is known of the change is sent.
            lost = poison.message
        return Copy(
            place=item[SORT_KEY]["S"],
            key=item["key"]["S"],
            txn=item["txn"]["S"],
            source=item["source"]["S"],
            reason=item["reason"]["S"],
            shard=item["shard"]["S"],
            sequence=item["sequence"]["S"],
            event=event,
            written_ms=int(item["written"]["N"]),
            lost=lost,
        )
