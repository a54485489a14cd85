"""The parking lot: parking is one transaction, freeing is safe to repeat at every step.

The head of a key's lot says that the key is parked. For kind `state` the entity's own item says so too, so that the
one request which applies a change meets it. What is freed goes in this order: told, deleted, and then head and flag, so
that a crash leaves something that the next change of the key finds and ends.

Whoever discards a parked change takes its row, its line in the list of all and, with the last one, the head, and
writes its ID as settled, in one transaction; the flag he leaves. A batch that began before knows nothing of the settled
ID, and looks because of the flag.
"""

from typing import TYPE_CHECKING

from isthmus.change import Change
from isthmus.consumer.deciding import BEHIND
from isthmus.consumer.stores.dynamodb.bodies import Bodies
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.history import History
from isthmus.consumer.stores.dynamodb.items import (
    PARKED,
    PARTITION_KEY,
    SORT_KEY,
    TOLD,
    expiring,
    listed_item,
    listed_key,
    of_key,
    outbox_item,
    parked_item,
    version_number,
)
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.standing import Standing
from isthmus.consumer.stores.dynamodb.values import number, text
from isthmus.consumer.stores.dynamodb.writes import (
    Action,
    Expression,
    Place,
    as_seen,
    check,
    check_absent,
    delete,
    put_new,
    put_over,
    update,
)
from isthmus.consumer.stores.port import Parking

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item


_HEAD = ("newest", "count")
"""The newest parked version of any type, and how often something was parked: what is older than it counts too."""


class Lot:
    """Parks and frees changes."""

    def __init__(
        self, requests: Requests, settings: DynamoSettings, marks: Marks, bodies: Bodies, history: History
    ) -> None:
        self._requests = requests
        self._settings = settings
        self._marks = marks
        self._bodies = bodies
        self._history = history

    def park(self, standing: Standing, parking: Parking, now_ms: int) -> None:
        """Park a change: its row, the head, the flag and the copy for the dead-letter queue, or nothing of it.

        Raises `Unmet` when what was read before is not so any more.
        """
        change = parking.delivered.change
        event = self._bodies.keep(parking.event)
        table = self._settings.table
        newest = max(change.version, standing.newest_parked or "")
        actions = [
            put_new(table, parked_item(parking, event, now_ms), PARTITION_KEY),
            put_over(table, listed_item(parking)),
            _raised(standing.lot, newest),
            *self._flagged(standing, newest),
        ]
        if standing.ledger.item is None:
            # Somebody else may have found it good meanwhile.
            actions.append(check_absent(standing.ledger))
        if parking.reason != BEHIND:
            actions.append(put_new(table, outbox_item(parking, event, now_ms), PARTITION_KEY))
        self._requests.transact(actions)

    def free(self, standing: Standing, change: Change) -> bool:
        """Free what a newer state of the key supersedes. Say whether anything was freed, and is to be read anew.

        Safe to repeat, and to do in two places at once.
        """
        guard = standing.guard
        item = standing.home.item if standing.home is not None else None
        flagged = item is not None and self._marks.parked in item
        newest = standing.newest_parked
        if newest is None and flagged:
            self._try([self._unflagged(standing), check_absent(standing.lot)])
            return True
        if guard is None or newest is None:
            return False
        # What is parked of another type has versions of its own: it stays, and the key stays parked for it.
        parked = self._parked(change.key)
        rows = [row for row in parked if row["entity"]["S"] == change.entity and row["version"]["S"] < guard.version]
        self._history.superseded(rows)
        # From the list first: a crash between the two leaves rows, and they are found again by their key.
        listed = [listed_key(row["key"]["S"], row["txn"]["S"]) for row in rows]
        self._requests.write_many(self._settings.table, delete=listed)
        self._requests.write_many(self._settings.table, delete=[_key_of(row) for row in rows])
        if len(rows) == len(parked):
            expression = Expression()
            head = delete(standing.lot, expression, as_seen(expression, standing.lot, _HEAD))
            self._try([head, self._unflagged(standing)] if flagged else [head])
            return True
        return bool(rows)

    def _parked(self, key: str) -> "list[Item]":
        names = (SORT_KEY, "entity", *TOLD)
        return list(
            self._requests.query(
                self._settings.table,
                of_key(key),
                " AND begins_with(#sk, :parked)",
                {":parked": {"S": PARKED}},
                ProjectionExpression=", ".join(f"#{name}" for name in names),
                names={f"#{name}": name for name in names},
            )
        )

    def _flagged(self, standing: Standing, newest: str) -> list[Action]:
        home = standing.home
        unflagged = self._unwritten(standing)
        if home is None:
            return unflagged
        marks = self._marks
        sets: dict[str, Attribute] = {marks.parked: version_number(newest)}
        if home.item is None and home is standing.business:
            # What stands there is no entity yet.
            sets[marks.deleted] = {"BOOL": True}
        expression = Expression()
        condition = as_seen(expression, home, marks.deciding)
        # While something is parked, nothing of it may expire.
        return [update(home, sets, [marks.expires], expression, condition), *unflagged]

    def _unwritten(self, standing: Standing) -> list[Action]:
        """Give the condition that an item which cannot carry the flag is not made or adopted meanwhile, without it."""
        business = standing.business
        if business is None or business is standing.home:
            return []
        expression = Expression()
        return [check(business, expression, as_seen(expression, business, self._marks.deciding))]

    def _unflagged(self, standing: Standing) -> Action:
        home, marks, expression = standing.home, self._marks, Expression()
        if home is None or home.item is None:
            raise ValueError("only what is flagged can be unflagged")
        condition = as_seen(expression, home, marks.deciding)
        if standing.guard is None:
            return delete(home, expression, condition)
        sets: dict[str, Attribute] = {}
        if marks.decided in home.item:
            sets = expiring(int(home.item[marks.decided]["N"]), self._settings.memory_ms, marks.expires)
        return update(home, sets, [marks.parked], expression, condition)

    def _try(self, actions: list[Action]) -> None:
        try:
            self._requests.transact(actions)
        except Unmet:
            # Another one parked something, or freed it: whoever looks next sees what is left to do.
            return


def _raised(lot: Place, newest: str) -> Action:
    expression = Expression()
    condition = as_seen(expression, lot, _HEAD)
    count = 0 if lot.item is None else int(lot.item["count"]["N"])
    return update(lot, {"newest": text(newest), "count": number(count + 1)}, [], expression, condition)


def _key_of(row: "Item") -> "Item":
    return {PARTITION_KEY: text(of_key(row["key"]["S"])), SORT_KEY: row[SORT_KEY]}
