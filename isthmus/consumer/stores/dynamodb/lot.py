"""The parking lot: whatever changes a key's lot is one transaction with the lot's head, see `heads`.

The head says that the key is parked. For kind `state` the entity's own item says so too, so that the one request which
applies a change meets it. What a newer state frees is told first, and then goes: after a crash it is told again.

Where something was discarded, or edited, the flag on the item stays until what stands there is newer than that: a batch
that began before knows nothing of the settled ID, and looks because of the flag.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from isthmus.change import Change
from isthmus.consumer.deciding import BEHIND
from isthmus.consumer.stores.dynamodb.bodies import NAMES, Bodies
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.heads import DECIDING, Head, head_of, with_parked
from isthmus.consumer.stores.dynamodb.history import History
from isthmus.consumer.stores.dynamodb.items import (
    BYTES,
    PARKED,
    PARTITION_KEY,
    SORT_KEY,
    TOLD,
    TURN,
    expiring,
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
    put,
    put_new,
    put_over,
    update,
)
from isthmus.consumer.stores.port import Parking

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

_MOST_ROWS, _MOST_BYTES = 90, 2_000_000
"""In one transaction, which has 100 actions and 4 MB ("Quotas", TransactWriteItems): head, list and flag go with it."""


class Lot:
    """Parks and frees changes, and makes the writes by which they leave."""

    def __init__(
        self, requests: Requests, settings: DynamoSettings, marks: Marks, bodies: Bodies, history: History
    ) -> None:
        self._requests = requests
        self._settings = settings
        self._marks = marks
        self._bodies = bodies
        self._history = history

    def park(self, standing: Standing, parking: Parking, now_ms: int, besides: Sequence[Action] = ()) -> Head:
        """Park a change: its row, the head, the flag and the copy for the dead-letter queue, or nothing of it.

        `besides` happens with it. Gives the head. Raises `Unmet` when what was read before is not so any more.
        """
        event = self._bodies.keep(parking.event)
        table, before = self._settings.table, head_of(standing.lot.item)
        # Where the flag stands without a lot, something was discarded.
        settled = self._flag(standing) or "" if before is None else ""
        head = with_parked(before, parking, now_ms, settled=settled)
        actions = [
            put_new(table, parked_item(parking, event, now_ms, head.turn), PARTITION_KEY),
            *self.heads(standing.lot, head),
            *self._flagged(standing, max(head.newest, settled)),
        ]
        if standing.ledger.item is None:
            # Somebody else may have found it good meanwhile.
            actions.append(check_absent(standing.ledger))
        if parking.reason != BEHIND:
            actions.append(put_new(table, outbox_item(parking, event, now_ms), PARTITION_KEY))
        self._requests.transact([*actions, *besides])
        return head

    def free(self, standing: Standing, change: Change, now_ms: int) -> bool:
        """Free what a newer state of the key supersedes. Say whether anything was freed, and is to be read anew.

        Safe to repeat, and to do in two places at once.
        """
        guard, head = standing.guard, head_of(standing.lot.item)
        if guard is None or head is None:
            return False
        # What is parked of another type has versions of its own: it stays, and the key stays parked for it.
        parked = self._parked(change.key)
        rows = [row for row in parked if row["entity"]["S"] == change.entity and row["version"]["S"] < guard.version]
        for portion in _portions(rows):
            self._history.superseded(portion)
            actions, left = self.leaving(standing, portion, now_ms)
            if not self._try(actions):
                break
            standing.lot = standing.lot._replace(item=None if left is None else left.items()[0])
        return bool(rows)

    def leaving(
        self, standing: Standing, rows: "Sequence[Item]", now_ms: int, *, settled: str = "", flag: bool = True
    ) -> tuple[list[Action], Head | None]:
        """Give the writes by which parked changes leave their lot, and the head after that, None where it has ended.

        `standing` is that of one of them. `settled` is the newest version of those that an operator settled. Without
        `flag` somebody else writes the item that carries it. Their conditions are that lot and changes are as they
        were read.
        """
        before = _there(standing)
        head = before.without(rows, settled=settled)
        actions = [self._taken_out(standing, row) for row in rows]
        actions += self.heads(standing.lot, head)
        if head is None and flag:
            actions += self._flag_after(standing, max(before.settled, settled), now_ms)
        return actions, head

    def tried_again(self, standing: Standing, row: "Item", parking: Parking, now_ms: int) -> Head:
        """Note that a parked change is poison again: it stays as it is, with one attempt more. Raises `Unmet`."""
        before = _there(standing)
        head = before.tried_again(row["reason"]["S"], parking.reason)
        sets: dict[str, Attribute] = {
            "reason": text(parking.reason),
            "message": text(parking.message),
            "stage": text(parking.stage),
            "attempts": number(int(row["attempts"]["N"]) + 1),
            "last_at": number(now_ms),
        }
        actions = [self.rewritten(row, head, sets, []), *self.heads(standing.lot, head)]
        if row["reason"]["S"] == BEHIND:
            # It only waited behind another one until now, and has no copy for the dead-letter queue yet.
            held = {name: row[name] for name in NAMES if name in row}
            actions.append(put_new(self._settings.table, outbox_item(parking, held, now_ms), PARTITION_KEY))
        self._requests.transact(actions)
        return head

    def rewritten(self, row: "Item", head: Head, sets: "dict[str, Attribute]", removes: Sequence[str]) -> Action:
        """Give the write that changes a parked change in its place, `head` being that of its lot from then on."""
        expression = Expression()
        place = Place(self._settings.table, _key_of(row), row)
        condition = as_seen(expression, place, DECIDING)
        return update(place, {**sets, TURN: number(head.turn)}, removes, expression, condition)

    def heads(self, lot: Place, head: Head | None) -> list[Action]:
        """Give the writes of a head and its line in the list, None where the lot ends: if it is as it was read."""
        expression, table = Expression(), self._settings.table
        condition = as_seen(expression, lot, DECIDING)
        if head is None:
            key = (lot.item or {})["key"]["S"]
            return [delete(lot, expression, condition), Action("Delete", {"TableName": table, "Key": listed_key(key)})]
        item, listed = head.items()
        return [put(table, item, expression, condition), put_over(table, listed)]

    def unchanged(self, lot: Place) -> Action:
        """Give the condition that a lot is as it was read."""
        expression = Expression()
        return check(lot, expression, as_seen(expression, lot, DECIDING))

    def _parked(self, key: str) -> "list[Item]":
        names = (SORT_KEY, "entity", "reason", BYTES, TURN, *TOLD)
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

    def _taken_out(self, standing: Standing, row: "Item") -> Action:
        expression = Expression()
        place = Place(standing.lot.table, _key_of(row), row)
        return delete(place, expression, as_seen(expression, place, DECIDING))

    def _flag(self, standing: Standing) -> str | None:
        return self._marks.flag_of(standing.home.item) if standing.home is not None else None

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
        # While something is parked, nothing of it may expire. What drains into the lot may end what is held.
        removes = [marks.expires, *self._unmarked(standing)]
        return [update(home, sets, removes, expression, condition), *unflagged]

    def _unmarked(self, standing: Standing) -> list[str]:
        line = standing.line_after
        if standing.draining is None or (line is not None and line.marks(standing.draining.entity)):
            return []
        return [self._marks.held]

    def _unwritten(self, standing: Standing) -> list[Action]:
        """Give the condition that an item which cannot carry the flag is not made or adopted meanwhile, without it."""
        business = standing.business
        if business is None or business is standing.home:
            return []
        expression = Expression()
        return [check(business, expression, as_seen(expression, business, self._marks.deciding))]

    def _flag_after(self, standing: Standing, settled: str, now_ms: int) -> list[Action]:
        """Give the write that takes the flag away when the lot has ended, or leaves it for what was settled."""
        home, marks, expression = standing.home, self._marks, Expression()
        if home is None or home.item is None or marks.parked not in home.item:
            return []
        condition = as_seen(expression, home, marks.deciding)
        decides = standing.guard.version if standing.guard is not None else ""
        # While something is held, nothing of it may expire or go.
        is_held = marks.held in home.item
        if settled > decides:
            sets: dict[str, Attribute] = {marks.parked: version_number(settled)}
            if marks.deleted in home.item or standing.guard is None:
                # What stands there is no entity, and may be forgotten together with what was settled.
                sets[marks.decided] = number(now_ms)
                sets |= {} if is_held else expiring(now_ms, self._settings.memory_ms, marks.expires)
            return [update(home, sets, [], expression, condition)]
        if standing.guard is None and not is_held:
            return [delete(home, expression, condition)]
        life: dict[str, Attribute] = {}
        if marks.decided in home.item and not is_held:
            life = expiring(int(home.item[marks.decided]["N"]), self._settings.memory_ms, marks.expires)
        return [update(home, life, [marks.parked], expression, condition)]

    def _try(self, actions: list[Action]) -> bool:
        try:
            self._requests.transact(actions)
        except Unmet:
            # Another one parked something, or freed it: whoever looks next sees what is left to do.
            return False
        return True


def _there(standing: Standing) -> Head:
    head = head_of(standing.lot.item)
    if head is None:
        raise ValueError("there is no lot")
    return head


def _portions(rows: "Sequence[Item]") -> "Iterator[list[Item]]":
    portion, size = list["Item"](), 0
    for row in rows:
        size += int(row[BYTES]["N"])
        if portion and (len(portion) == _MOST_ROWS or size > _MOST_BYTES):
            yield portion
            portion, size = [], int(row[BYTES]["N"])
        portion.append(row)
    if portion:
        yield portion


def _key_of(row: "Item") -> "Item":
    return {PARTITION_KEY: text(of_key(row["key"]["S"])), SORT_KEY: row[SORT_KEY]}
