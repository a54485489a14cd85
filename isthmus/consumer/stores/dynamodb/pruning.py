"""Forgetting what is old, by a scan of our own in portions. TTL may have been there before, or be late.

TTL goes by what was written with an item. So whatever decides is given its longer life here, when the settings let it
live longer than they did then.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from isthmus.consumer.stores.dynamodb.auditing import MADE
from isthmus.consumer.stores.dynamodb.bodies import HASH
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.heldlines import LINES
from isthmus.consumer.stores.dynamodb.items import (
    BODY,
    EXPIRES,
    GUARD,
    HISTORY,
    LEDGER,
    LISTED,
    PARTITION_KEY,
    SETTLED,
    SHARED,
    SORT_KEY,
    expiring,
    lot_key,
    of_key,
)
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import EntityItems, Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.values import number
from isthmus.consumer.stores.dynamodb.writes import PRESENT, Expression, Place, as_seen, check_absent, delete, update
from isthmus.consumer.stores.port import Pruned
from isthmus.lifecycle import Stop

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item

_PRINTS = "prints"
"""The list of what is settled, among the kinds of items: `SETTLED` are the settled IDs themselves."""
_NAMES_OF_BODIES = (HASH, f"{MADE}{HASH}")


class Pruning:
    """Forgets, at most `portion` items between two looks at the stop. Its methods raise as the store does."""

    def __init__(self, requests: Requests, settings: DynamoSettings, marks: Marks, stop: Stop, portion: int) -> None:
        self._requests = requests
        self._table = settings.table
        self._memory_ms = settings.memory_ms
        self._marks = marks
        self._stop = stop
        self._portion = portion
        self._counts = {GUARD: 0, LEDGER: 0, SETTLED: 0, HISTORY: 0}

    def run(self, tables: "Sequence[EntityItems]", *, memory_before_ms: int, history_before_ms: int) -> Pruned:
        """Delete what was decided before these moments; `tables` are those of the types whose items carry guards."""
        for name in dict.fromkeys(items.table for items in tables):
            sharing = [items for items in tables if items.table == name]
            for found in self._portions(name, self._tombstones()):
                for item in found:
                    key = {attribute: item[attribute] for attribute in sharing[0].key_names}
                    names = (items.entity_key(item) for items in sharing)
                    entity_key = next((each for each in names if each is not None), None)
                    self._tombstone(Place(name, key, item), entity_key, memory_before_ms)
        self._own(memory_before_ms, history_before_ms)
        return Pruned(*(self._counts[kind] for kind in (GUARD, LEDGER, SETTLED, HISTORY)))

    def _own(self, memory_before_ms: int, history_before_ms: int) -> None:
        moments = {HISTORY: ("decided", history_before_ms), LEDGER: ("decided", memory_before_ms)}
        moments |= {BODY: ("written", memory_before_ms), _PRINTS: ("decided", memory_before_ms)}
        bodies, named = list[Place](), set[str]()
        for portion in self._portions(self._table, {}):
            named.update(item[name]["S"] for item in portion for name in _NAMES_OF_BODIES if name in item)
            old: dict[str, list[Place]] = {kind: [] for kind in moments}
            for item in portion:
                place, kind = Place(self._table, _key(item), item), _kind(item)
                if kind == SETTLED:
                    self._forget_settled(place, memory_before_ms)
                elif kind == GUARD:
                    self._tombstone(place, item[PARTITION_KEY]["S"].removeprefix(of_key("")), memory_before_ms)
                elif kind in moments and _before(item, *moments[kind]):
                    old[kind].append(place)
                elif kind == LEDGER:
                    self._keep(place, "decided", EXPIRES)
            gone = (*old[HISTORY], *old[LEDGER], *old[_PRINTS])
            self._requests.write_many(self._table, delete=[place.key for place in gone])
            self._counts[HISTORY] += len(old[HISTORY])
            self._counts[LEDGER] += len(old[LEDGER])
            bodies += old[BODY]
        if not self._stop.requested():
            self._forget_bodies(bodies, named)

    def _forget_settled(self, place: Place, before_ms: int) -> None:
        if _before(place.item or {}, "decided", before_ms):
            self._forget(place, SETTLED, "decided")

    def _forget_bodies(self, bodies: "list[Place]", named: set[str]) -> None:
        for place in bodies:
            # Written before the item that names it: what is that old and has no name was left by a crash, or is done.
            if place.key[PARTITION_KEY]["S"].removeprefix(BODY) not in named:
                self._forget(place, None, "written")

    def _tombstones(self) -> dict[str, Any]:
        marks, expression = self._marks, Expression()
        version, decided, parked, deleted = (
            PRESENT.format(expression.name(name))
            for name in (marks.version, marks.decided, marks.parked, marks.deleted)
        )
        condition = f"({version} AND {expression.absent(marks.parked)} AND {decided}) OR ({parked} AND {deleted})"
        return {"FilterExpression": condition, **expression.members()}

    def _tombstone(self, place: Place, key: str | None, before_ms: int) -> None:
        marks, item = self._marks, place.item or {}
        if marks.held in item:
            # While something of it is held, it stays as it is.
            return
        if marks.parked in item:
            # What stands there is no entity, or not any more.
            if key is not None and (marks.deleted in item or marks.version not in item):
                self._flagged(place, Place(self._table, lot_key(key)), before_ms)
            return
        if marks.version not in item:
            return
        if _before(item, marks.decided, before_ms):
            # It may have come alive meanwhile, or something of it was parked.
            self._forget(place, GUARD, marks.decided, *marks.deciding)
        else:
            self._keep(place, marks.decided, marks.expires, *marks.deciding)

    def _flagged(self, place: Place, lot: Place, before_ms: int) -> None:
        """Forget a tombstone, or what never was an entity, with a flag that nothing stands behind any more.

        It says that something was discarded, or that the lot ended with a change of another type.
        """
        marks, item, expression = self._marks, place.item or {}, Expression()
        decided = marks.decided in item
        if decided and not _before(item, marks.decided, before_ms):
            self._keep(place, marks.decided, marks.expires, *marks.deciding)
            return
        if self._requests.get(lot) is not None:
            return
        condition = as_seen(expression, place, (marks.decided, *marks.deciding))
        if not decided:
            # Nobody said since when. The next pass forgets it: no batch is under way for so long.
            sets = {marks.decided: number(before_ms - 1)}
            actions = [update(place, sets, [], expression, condition), check_absent(lot)]
        else:
            actions = [delete(place, expression, condition), check_absent(lot)]
        with suppress(Unmet):
            self._requests.transact(actions)
            self._counts[GUARD] += decided and marks.version in item

    def _keep(self, place: Place, decided: str, expires: str, *same: str) -> None:
        """Let an item live as long as the settings say now, where TTL would end it before."""
        item = place.item or {}
        if expires not in item or decided not in item:
            return
        wanted = expiring(int(item[decided]["N"]), self._memory_ms, expires)
        if wanted and int(item[expires]["N"]) >= int(wanted[expires]["N"]):
            return
        expression = Expression()
        condition = as_seen(expression, place, (decided, expires, *same))
        with suppress(Unmet):
            self._requests.write(update(place, wanted, [] if wanted else [expires], expression, condition))

    def _forget(self, place: Place, counted: str | None, *same: str) -> bool:
        """Delete an item that is still as it was read. Say whether it was."""
        expression = Expression()
        if not self._try(place, expression, as_seen(expression, place, same)):
            return False
        if counted is not None:
            self._counts[counted] += 1
        return True

    def _try(self, place: Place, expression: Expression, condition: str) -> bool:
        try:
            self._requests.write(delete(place, expression, condition))
        except Unmet:
            return False
        return True

    def _portions(self, table: str, wanted: dict[str, Any]) -> "Iterator[list[Item]]":
        if self._stop.requested():
            return
        portion: list[Item] = []
        for item in self._requests.scan(table, Limit=self._portion, **wanted):
            portion.append(item)
            if len(portion) >= self._portion:
                yield portion
                portion = []
                if self._stop.requested():
                    return
        yield portion


def _kind(item: "Item") -> str:
    pk, sk = item[PARTITION_KEY]["S"], item[SORT_KEY]["S"]
    if pk in {LISTED, SETTLED} or pk.startswith(LINES):
        # Their sort keys may look like any other.
        return _PRINTS if pk == SETTLED else ""
    if pk.startswith(BODY):
        return BODY
    if sk in {LEDGER, SETTLED}:
        return sk if pk != SHARED else ""
    return next((kind for kind in (HISTORY, GUARD) if sk.startswith(kind)), "")


def _key(item: "Item") -> "Item":
    return {name: item[name] for name in (PARTITION_KEY, SORT_KEY)}


def _before(item: "Item", name: str, moment_ms: int) -> bool:
    return name in item and int(item[name]["N"]) < moment_ms
