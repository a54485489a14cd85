"""What stands in DynamoDB of one change's key and transaction ID, as it was together at one moment."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from isthmus.change import Change, Kind, settled_row
from isthmus.consumer.deciding import Guard, Memory
from isthmus.consumer.stores.dynamodb.heldlines import HeldLine, line_key, line_of, name_key
from isthmus.consumer.stores.dynamodb.items import (
    GUARD,
    SORT_KEY,
    guard_key,
    guard_of,
    ledger_key,
    lot_key,
    of_key,
    parked_key,
    settled_key,
)
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import EntityItems, Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.writes import Place
from isthmus.consumer.stores.port import Entity
from isthmus.errors import Poison


class Leaving(NamedTuple):
    """What a redrive does to the lot of the very key of which a change takes effect. It writes the head itself."""

    last: bool
    """Nothing of the key is parked after it."""
    settled: str = ""
    """The newest version of the key that an operator settled meanwhile: the flag says so, if no newer one decides."""


class Draining(NamedTuple):
    """That the change comes out of what is held of its key, as its first. Who drains writes the line itself."""

    entity: str
    """Its entity type."""
    after: HeldLine | None
    """The line without it; None where nothing is held of the key after it."""


@dataclass(slots=True)
class Standing:
    """What was read for one change."""

    ledger: Place
    settled: Place
    lot: Place
    row: Place
    """Where the change itself would be parked."""
    line: Place
    """What is held of the key."""
    held: Place | None = None
    """What says that the change itself is held. None where nothing of its key is."""
    business: Place | None = None
    """The entity's item in the user's table; None where it has no table, or a key that no item can have."""
    aside: Place | None = None
    """The guard in our own table, where one may be."""
    unaddressed: Poison | None = None
    """Why the entity has no item."""
    guard: Guard | None = None
    home: Place | None = field(default=None)
    """Which of the two carries guard and parked flag, or would. None for an item of somebody else's."""
    settled_row: Place | None = None
    """Where the change's row would be settled; None where nobody asked, or the wire does not name the row."""
    leaving: Leaving | None = None
    """Where the change comes out of this lot, as its first: then nothing parked is before it."""
    draining: Draining | None = None

    @property
    def newest_parked(self) -> str | None:
        """The newest parked version of the key, None where nothing is parked."""
        return None if self.lot.item is None else self.lot.item["newest"]["S"]

    @property
    def is_settled(self) -> bool:
        """Say whether an operator settled the change's ID, or its row."""
        return self.settled.item is not None or (self.settled_row is not None and self.settled_row.item is not None)

    @property
    def line_after(self) -> HeldLine | None:
        """Give what is held of the key once the change is decided."""
        return line_of(self.line.item) if self.draining is None else self.draining.after

    def memory(self, change: Change) -> Memory:
        """Give what the pure rules ask for."""
        memory = Memory()
        if self.line.item is not None and self.draining is None:
            memory.held_keys.add(change.key)
            if self.held is not None and self.held.item is not None:
                memory.held[change.key, change.id] = self.held.item["rowhash"]["S"]
        if self.guard is not None:
            memory.guards[change.key] = self.guard
        if self.ledger.item is not None:
            memory.ledger[change.id] = self.ledger.item["rowhash"]["S"]
        if self.is_settled:
            memory.settled.add(change.id)
        if self.row.item is not None:
            memory.parked[change.key, change.id] = self.row.item["rowhash"]["S"]
        if self.newest_parked is not None:
            memory.newest_parked[change.key] = {change.entity: self.newest_parked}
        return memory


class Looking:
    """Reads what stands of a change."""

    def __init__(
        self, requests: Requests, settings: DynamoSettings, entities: Mapping[str, EntityItems], marks: Marks
    ) -> None:
        self._requests = requests
        self._settings = settings
        self._entities = entities
        self._marks = marks

    def standing(self, change: Change, entity: Entity | None, *, row: bool = False) -> Standing:
        """Give what stands there now. `entity` is None for a type that nobody knows: its guard may be anywhere.

        With `row` it is asked too whether the change's row is settled.
        """
        table = self._settings.table
        named_row = settled_row(change) if row else ""
        business, aside, unaddressed = self._own(change, entity)
        own = [
            Place(table, ledger_key(change.id)),
            Place(table, settled_key(change.id)),
            Place(table, lot_key(change.key)),
            Place(table, parked_key(change.key, change.version, change.id)),
            Place(table, line_key(change.key)),
        ]
        if named_row:
            own.append(Place(table, settled_key(named_row)))
        rest = [place for place in (business, aside) if place is not None]
        if entity is None:
            rest = self._anywhere(change.key)
        # At one moment: an ID that is settled while its parked change goes must not be found in neither place.
        ledger, settled, lot, parked, line, *found = self._requests.read([*own, *rest])
        standing = Standing(ledger, settled, lot, parked, line, unaddressed=unaddressed)
        if line.item is not None:
            # Asked later than the others: whatever is held then has the condition that the line is as it was read.
            name = Place(table, name_key(change.key, change.id))
            standing.held = name._replace(item=self._requests.get(name))
        if named_row:
            standing.settled_row = found.pop(0)
        if entity is None:
            standing.guard = self._known(found, change)
            return standing
        if business is not None:
            standing.business = found.pop(0)
        if aside is not None:
            standing.aside = found.pop(0)
        if entity.kind is Kind.STATE:
            standing.home = self._home(standing)
            if standing.home is not None and standing.home.item is not None:
                standing.guard = guard_of(standing.home.item, self._marks.prefix)
        return standing

    def _own(self, change: Change, entity: Entity | None) -> tuple[Place | None, Place | None, Poison | None]:
        if entity is None:
            return None, None, None
        items, business, aside, unaddressed = self._entities.get(entity.name), None, None, None
        if items is not None:
            try:
                business = Place(items.table, items.key(change.key))
            except Poison as poison:
                unaddressed = poison
        if entity.kind is Kind.STATE and (items is None or self._settings.tombstones == "table"):
            aside = Place(self._settings.table, guard_key(change.key, entity.name))
        return business, aside, unaddressed

    def _home(self, standing: Standing) -> Place | None:
        business, aside = standing.business, standing.aside
        if business is not None and business.item is not None and self._marks.is_ours(business.item, Kind.STATE):
            return business
        if aside is not None:
            return aside
        return business if business is not None and business.item is None else None

    def _anywhere(self, key: str) -> list[Place]:
        places = []
        for items in self._entities.values():
            try:
                places.append(Place(items.table, items.key(key)))
            except Poison:
                continue
        # Types may share a table, and then one item is theirs together.
        return list({repr((place.table, place.key)): place for place in places}.values())

    def _known(self, found: Sequence[Place], change: Change) -> Guard | None:
        """Give the guard of the change's own type, or else one that names this very transaction."""
        begins = {":guard": {"S": GUARD}}
        asides = self._requests.query(self._settings.table, of_key(change.key), " AND begins_with(sk, :guard)", begins)
        of_types = {item[SORT_KEY]["S"]: guard_of(item, self._marks.prefix) for item in asides}
        own = of_types.get(guard_key(change.key, change.entity)[SORT_KEY]["S"])
        items = [guard_of(place.item, self._marks.prefix) for place in found if place.item is not None]
        named = [each for each in (*items, *of_types.values()) if each is not None and each.txn == change.id]
        return own or next(iter(named), None)
