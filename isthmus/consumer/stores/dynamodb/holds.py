"""What closed gates keep back in DynamoDB, and why nothing of a key overtakes it; `heldlines` has the items.

**Both or neither.** A change is held in one transaction: its item, its name, its key's line with one change more, and,
where it is the first of an entity of kind `state`, the *mark* on the item that decides for that entity. There is no
moment at which one stands without the others, so there is nothing to be repaired after a crash; where an answer was
lost, the change comes again, and its name says that it is held.

**Nothing overtakes.** Whoever lets a change take effect does so on one of two ways:

- by the one conditional write of a state without handlers: its condition is that the item carries no mark. It costs
  nothing, for it is asked of the item that is written anyway. Where the entity has no item yet, the mark makes one
  (with `deleted` on it, as a parked change does), and where it lies as a tombstone that TTL would take, it does not
  expire any more. So this write never finds room to pass.
- by a transaction: what stands there was read, the line too, and the rules say that a key with a line holds all that
  comes. Its condition is, for kind `state`, that the mark is as it was read; for kind `event`, which has no such item,
  that there is no line, which costs two write units.

The mark goes in the very write in which the last held change of its entity type takes effect, is parked, or turns out
to have been decided before. A mark that nothing stands behind (its type was unknown to who drained) stops nobody: the
one write fails, the transaction finds no line, and takes the mark away. Whoever holds the first change of a type writes
a mark of another value in its place, and that transaction fails.

**In order.** A line has a turn, which is the condition of everything that changes the line and grows with it, and the
place of its first change. Who drains takes that one out in the transaction in which it is decided. So any number may
drain and hold at once: a change leaves once, the first one first, and what is held meanwhile goes behind.

What differs from stores where a batch is one transaction: two entity types may have keys of the same text, and are two
entities here. What is held of one of them does not hold back the one write of the other.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from isthmus.consumer.stores.dynamodb.bodies import Bodies
from isthmus.consumer.stores.dynamodb.heads import DECIDING
from isthmus.consumer.stores.dynamodb.heldlines import (
    HeldLine,
    held_item,
    held_key,
    line_of,
    name_item,
    name_key,
    place_of,
    with_held,
)
from isthmus.consumer.stores.dynamodb.items import PARTITION_KEY, expiring
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.standing import Draining, Standing
from isthmus.consumer.stores.dynamodb.values import number
from isthmus.consumer.stores.dynamodb.writes import Action, Expression, Place, as_seen, delete, put, put_new, update
from isthmus.consumer.stores.port import Keeping

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item


class Holds:
    """Holds changes, and makes the writes by which they leave."""

    def __init__(self, requests: Requests, settings: DynamoSettings, marks: Marks, bodies: Bodies) -> None:
        self._requests = requests
        self._settings = settings
        self._marks = marks
        self._bodies = bodies

    def hold(
        self, standing: Standing, keeping: Keeping, now_ms: int, *, is_state: bool, besides: Sequence[Action] = ()
    ) -> None:
        """Hold a change, behind all that is held of its key; `besides` happens with it.

        `is_state` says that its entity type is known and of kind `state`. Raises `Unmet` when what was read before is
        not so any more.
        """
        event, table = self._bodies.keep(keeping.event), self._settings.table
        before = line_of(standing.line.item)
        line = with_held(before, keeping, now_ms, marks=is_state)
        actions = [
            put_new(table, held_item(keeping, event, now_ms, line.turn, marks=is_state), PARTITION_KEY),
            put_new(table, name_item(keeping, line.turn), PARTITION_KEY),
            self._written(standing.line, line),
            *self._marked(standing, before, line, keeping.delivered.change.entity),
        ]
        self._requests.transact([*actions, *besides])

    def leaving(self, standing: Standing, row: "Item", following: "Item | None") -> list[Action]:
        """Give the writes by which the first held change leaves its line; `following` is the next one, if there is one.

        From then on `standing` says so: whatever is written of the entity takes the mark away where it is to go. Where
        nothing is, `unmarking` does.
        """
        before, key = line_of(standing.line.item), row["key"]["S"]
        if before is None:
            raise ValueError("there is no line")
        after = before.without_first(row, following)
        standing.draining = Draining(row["entity"]["S"], after)
        table = self._settings.table
        return [
            # Without a condition: the line's own says that it is as it was read.
            Action("Delete", {"TableName": table, "Key": held_key(key, place_of(row))}),
            Action("Delete", {"TableName": table, "Key": name_key(key, row["txn"]["S"])}),
            self._written(standing.line, after),
        ]

    def unmarking(self, standing: Standing) -> list[Action]:
        """Give the write that takes the mark away, where nothing else of the entity is written and it is to go."""
        home, marks, draining = standing.home, self._marks, standing.draining
        if home is None or home.item is None or marks.held not in home.item or draining is None:
            return []
        if draining.after is not None and draining.after.marks(draining.entity):
            return []
        expression = Expression()
        condition = as_seen(expression, home, marks.deciding)
        if standing.guard is None and marks.parked not in home.item:
            # There never was an entity.
            return [delete(home, expression, condition)]
        life: dict[str, Attribute] = {}
        if marks.decided in home.item and marks.parked not in home.item:
            life = expiring(int(home.item[marks.decided]["N"]), self._settings.memory_ms, marks.expires)
        return [update(home, life, [marks.held], expression, condition)]

    def _written(self, place: Place, line: HeldLine | None) -> Action:
        """Give the write of a line, None where it ends: if it is as it was read."""
        expression = Expression()
        condition = as_seen(expression, place, DECIDING)
        if line is None:
            return delete(place, expression, condition)
        return put(place.table, line.item(), expression, condition)

    def _marked(self, standing: Standing, before: HeldLine | None, line: HeldLine, entity: str) -> list[Action]:
        """Give the write of the mark, where it does not stand there for this very line."""
        home, marks = standing.home, self._marks
        # Nobody adopts an item that is not ours, and no event takes effect, while there is a line.
        if home is None or not line.marks(entity):
            return []
        if before is not None and before.marks(entity) and home.item is not None and marks.held in home.item:
            return []
        sets: dict[str, Attribute] = {marks.held: number(line.turn)}
        if home.item is None and home is standing.business:
            # What stands there is no entity yet.
            sets[marks.deleted] = {"BOOL": True}
        expression = Expression()
        condition = as_seen(expression, home, marks.deciding)
        # While something is held, nothing of it may expire.
        return [update(home, sets, [marks.expires], expression, condition)]
