"""The writes by which a change takes effect: guard and business update are one action on each item. Pure."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isthmus.change import Change, Kind, Verb
from isthmus.consumer.stores.dynamodb.items import PARTITION_KEY, expiring, ledger_item, version_number
from isthmus.consumer.stores.dynamodb.rows import EntityItems, Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.standing import Standing
from isthmus.consumer.stores.dynamodb.values import number, text
from isthmus.consumer.stores.dynamodb.writes import (
    Action,
    Expression,
    Place,
    as_seen,
    check_absent,
    delete,
    put,
    put_new,
    update,
)
from isthmus.errors import Poison

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

_MOST_SHOWN = 100
"""Attributes in one condition: it has 4 KB and 300 operators ("Quotas", Expression parameters), ANDs among them."""

NOT_OURS = "not-ours"
"""The reason of a change of an item that somebody else made, where the settings do not adopt such items."""


class Effects:
    """Makes the actions of one change, from what stands there."""

    def __init__(self, settings: DynamoSettings, marks: Marks) -> None:
        self._settings = settings
        self._marks = marks

    def at_once(
        self, items: EntityItems, key: "Item", change: Change, values: "Item", now_ms: int, *, compared: bool = False
    ) -> Action:
        """Give the one write that decides by itself about a change of kind `state` without handlers.

        It happens if the item is not there, or carries an older version of another transaction ID and nothing of its
        key is parked or held. Where deleted entities are remembered in our own table, an absent item decides nothing.
        An item of an earlier generation may hold these very values: it must have been `compared` before.
        """
        marks, place, expression = self._marks, Place(items.table, key), Expression()
        version, txn = marks.guard(change)[marks.version], text(change.id)
        older = (
            f"{expression.name(marks.version)} < {expression.value(version)} "
            f"AND {expression.name(marks.txn)} <> {expression.value(txn)} AND {expression.absent(marks.parked)} "
            f"AND {expression.absent(marks.held)}"
        )
        least = marks.least(change)
        if least is not None and not compared:
            older += f" AND {expression.name(marks.version)} >= {expression.value(least)}"
        condition = older
        if self._settings.tombstones == "item":
            condition = f"{expression.absent(items.key_names[0])} OR ({older})"
        if change.verb is Verb.DELETE:
            return put(items.table, self._tombstone(key, change, now_ms, {}), expression, condition)
        return self._upsert(place, items, change, values, (expression, condition))

    def of_state(
        self,
        items: EntityItems | None,
        standing: Standing,
        change: Change,
        values: "Item",
        now_ms: int,
        *,
        shown: bool = False,
    ) -> list[Action]:
        """Give the actions of a change of kind `state`. Raises `Poison` for an item that is not ours.

        Where handlers are `shown` the item as it was read, it must still be so.
        """
        business, aside, flag = standing.business, standing.aside, self._flag(standing, change)
        free: list[Action] = []
        if standing.leaving is None and not flag and (self._adopts(standing) or self._flagged(standing)):
            # Whoever parks something meanwhile writes no flag on an item that is not ours, and a flag that says less
            # than it should may go only while nothing is parked.
            free = [check_absent(standing.lot)]
        if standing.leaving is None and standing.draining is None and self._adopts(standing):
            # Nor does whoever holds something write a mark on it.
            free.append(check_absent(standing.line))
        flag = {**flag, **self._mark(standing, change)}
        if items is None or business is None:
            return [self._keep_aside(aside, change, now_ms, flag), *free] if aside is not None else []
        self._refuse_foreign(business, Kind.STATE)
        expression = Expression()
        condition = as_seen(expression, business, self._same(items, business, shown=shown))
        if change.verb is not Verb.DELETE:
            upsert = self._upsert(business, items, change, {**values, **flag}, (expression, condition))
            return [upsert, *self._leave_aside(standing), *free]
        if aside is None:
            tombstone = self._tombstone(business.key, change, now_ms, flag)
            return [put(items.table, tombstone, expression, condition), *free]
        gone = [] if business.item is None else [delete(business, expression, condition)]
        return [*gone, self._keep_aside(aside, change, now_ms, flag), *free]

    def of_event(
        self,
        items: EntityItems | None,
        standing: Standing,
        change: Change,
        values: "Item",
        now_ms: int,
        *,
        shown: bool = False,
    ) -> list[Action]:
        """Give the actions of a change of kind `event`. Raises and takes `shown` as `of_state` does."""
        ledger = ledger_item(change, now_ms, self._settings.memory_ms)
        # What is parked must not be overtaken, so this is asked in the very transaction.
        actions = [put_new(self._settings.table, ledger, PARTITION_KEY)]
        if standing.leaving is None:
            # Else it is the first of its lot, of which the head is written in the same transaction.
            actions.append(check_absent(standing.lot))
        if standing.leaving is None and standing.draining is None:
            # What is parked came before what is held of its key; and who drains writes the line.
            actions.append(check_absent(standing.line))
        if items is not None and standing.business is not None:
            self._refuse_foreign(standing.business, Kind.EVENT)
            expression = Expression()
            condition = as_seen(expression, standing.business, self._same(items, standing.business, shown=shown))
            sets = {**values, self._marks.last: text(change.id)}
            removes = self._gone(items, values)
            actions.append(update(standing.business, sets, removes, expression, condition))
        return actions

    def _upsert(
        self,
        place: Place,
        items: EntityItems,
        change: Change,
        values: "Item",
        only_if: tuple[Expression, str],
    ) -> Action:
        marks = self._marks
        guard = marks.guard(change)
        # An entity that lives again must not expire.
        removes = [marks.deleted, marks.decided, marks.expires, *self._gone(items, values)]
        if marks.rowhash not in guard:
            removes.append(marks.rowhash)
        removes += [name for name in (marks.parked, marks.held) if name not in values]
        return update(place, {**values, **guard}, removes, *only_if)

    def _gone(self, items: EntityItems, values: "Item") -> list[str]:
        return [name for name in (*items.columns, self._marks.dataref) if name not in values]

    def _tombstone(
        self, key: "Item", change: Change, now_ms: int, flag: "Mapping[str, Attribute]"
    ) -> "dict[str, Attribute]":
        # A whole item in the place of the old one: nothing of the user's stays, whatever the front office put there.
        return {**key, **self._deleted(change, now_ms, flag)}

    def _keep_aside(self, aside: Place, change: Change, now_ms: int, flag: "Mapping[str, Attribute]") -> Action:
        expression = Expression()
        condition = as_seen(expression, aside, self._marks.deciding)
        held = (
            self._deleted(change, now_ms, flag) if change.verb is Verb.DELETE else {**self._marks.guard(change), **flag}
        )
        return put(aside.table, {**aside.key, **held}, expression, condition)

    def _leave_aside(self, standing: Standing) -> list[Action]:
        aside = standing.aside
        if aside is None or standing.home is not aside:
            return []
        if aside.item is None:
            return [check_absent(aside)]
        expression = Expression()
        return [delete(aside, expression, as_seen(expression, aside, self._marks.deciding))]

    def _deleted(self, change: Change, now_ms: int, flag: "Mapping[str, Attribute]") -> "dict[str, Attribute]":
        marks = self._marks
        # While something is parked or held, nothing of it may expire.
        life = None if flag else self._settings.memory_ms
        return {
            **marks.guard(change),
            marks.deleted: {"BOOL": True},
            marks.decided: number(now_ms),
            **expiring(now_ms, life, marks.expires),
            **flag,
        }

    def _flag(self, standing: Standing, change: Change) -> "dict[str, Attribute]":
        """Give the flag as it is to be after the change has taken effect."""
        newest, held = standing.newest_parked, self._flagged(standing)
        if standing.leaving is not None and standing.leaving.last:
            newest, held = None, standing.leaving.settled
        if held:
            # Where nothing is parked any more, something was discarded. A batch that does not know of that yet looks
            # because of the flag, until what was discarded is older than what stands there.
            over = newest is None and held <= change.version
            return {} if over else {self._marks.parked: version_number(held)}
        if newest is not None and self._adopts(standing):
            # What was parked while the item was not ours is found by the next change, if this one does not free it.
            return {self._marks.parked: version_number(newest)}
        return {}

    def _mark(self, standing: Standing, change: Change) -> "dict[str, Attribute]":
        """Give the mark that says that something of the entity is held, as it is to be after the change took effect."""
        line = standing.line_after
        if line is None or not line.marks(change.entity):
            # Also where one stands that nothing stands behind: whoever holds writes another one, which is a condition.
            return {}
        there = standing.home.item if standing.home is not None else None
        return {self._marks.held: (there or {}).get(self._marks.held, number(line.turn))}

    def _flagged(self, standing: Standing) -> str | None:
        """Give the version of the flag that is there."""
        return self._marks.flag_of(standing.home.item) if standing.home is not None else None

    def _adopts(self, standing: Standing) -> bool:
        item = standing.business.item if standing.business is not None else None
        return item is not None and not self._marks.is_ours(item, Kind.STATE)

    def _same(self, items: EntityItems, business: Place, *, shown: bool) -> Sequence[str]:
        """Name what must be as it was read: what decides, and what handlers were shown, mapped attributes first.

        Of an item of very many attributes the last ones by name are left out: no condition has room for them.
        """
        marks = self._marks
        if not shown or business.item is None:
            return marks.deciding
        others = sorted(marks.stripped(business.item).keys() - {*items.columns, *items.key_names})
        return [*marks.deciding, marks.dataref, *[*items.columns, *others][:_MOST_SHOWN]]

    def _refuse_foreign(self, business: Place, kind: Kind) -> None:
        if business.item is not None and not self._marks.is_ours(business.item, kind) and not self._settings.adopt:
            raise Poison(NOT_OURS, "an item is there that Isthmus did not write; the setting `adopt` takes it over")
