"""Decides one change: each is atomic by itself.

A change of kind `state` without handlers is one conditional write that decides by itself; its refusal brings back what
stands there. Everything else, and everything that this cannot answer, is read, decided by the pure rules, and written
in one transaction whose conditions say that what was read is still so. Where it is not, all of it begins again.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from isthmus.change import Change, Kind, Outcome, Verb, settled_row
from isthmus.clock import Clock
from isthmus.consumer.deciding import TRY, Memory, decide, read_again
from isthmus.consumer.lending import Lending, Patient
from isthmus.consumer.parking import event_bytes, parking_of
from isthmus.consumer.refusals import refusal_by, refusal_of
from isthmus.consumer.stores.dynamodb.actions import refuse_collisions
from isthmus.consumer.stores.dynamodb.cancelled import HANDLER_CONDITION, TOO_LARGE, Refusing, Unmet
from isthmus.consumer.stores.dynamodb.decided import Decided, Refused, Rehearsed, answered, effective, is_same
from isthmus.consumer.stores.dynamodb.effects import Effects
from isthmus.consumer.stores.dynamodb.gating import Gating
from isthmus.consumer.stores.dynamodb.handling import Again, Handling
from isthmus.consumer.stores.dynamodb.holds import Holds
from isthmus.consumer.stores.dynamodb.items import guard_of
from isthmus.consumer.stores.dynamodb.lot import Lot
from isthmus.consumer.stores.dynamodb.requests import Requests
from isthmus.consumer.stores.dynamodb.rows import EntityItems, Marks
from isthmus.consumer.stores.dynamodb.settings import DynamoSettings
from isthmus.consumer.stores.dynamodb.standing import Looking, Standing
from isthmus.consumer.stores.dynamodb.values import text
from isthmus.consumer.stores.dynamodb.writes import Action
from isthmus.consumer.stores.port import Delivered, Entity, Keeping, Parking, Refusal
from isthmus.errors import Fatal, Poison
from isthmus.payloads import Folder, Payloads
from isthmus.pipeline import Row

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item

_AT_ONCE = (Verb.UPSERT, Verb.DELETE)


class OneByOne:
    """Decides single changes, in many threads at once."""

    def __init__(
        self,
        requests: Requests,
        settings: DynamoSettings,
        entities: Mapping[str, Entity],
        *,
        looking: Looking,
        lot: Lot,
        holds: Holds,
        gating: Gating,
        items: Mapping[str, EntityItems],
        marks: Marks,
        payloads: Payloads | None,
        clock: Clock,
    ) -> None:
        self._requests = requests
        self._settings = settings
        self._entities = entities
        self._looking = looking
        self._lot = lot
        self._holds = holds
        self._gating = gating
        self._items = items
        self._marks = marks
        self._effects = Effects(settings, marks)
        self._payloads = payloads
        self._clock = clock
        self.lending: Callable[[], Lending] = Patient
        """Gives what lends transactions to the handlers that run in the thread that asks."""
        self.before_parking: Callable[[Parking], object] = lambda _: None
        """Told of each change before it is parked. What it raises leaves everything as it was."""

    def decide(self, delivered: Delivered, settled: set[str]) -> Decided:
        """Decide one change that passed the fence. What it returns is durable, but for its tells.

        `settled` are those IDs and rows of the batch that an operator settled. Raises `Transient`, `Outdated` among
        them, `TargetDown` and `Fatal`; then the change may be decided again.
        """
        change = delivered.change
        entity = self._entities.get(change.entity)
        # No change is asked for its row that was not found settled: that would be a read more for each.
        row_settled = bool(settled) and settled_row(change) in settled
        gate = self._gating.gate(change)
        if change.id not in settled and not row_settled and not gate and not self._gating.strict:
            decided = self._at_once(delivered, entity)
            if decided is not None:
                return decided
        handling = self.handling(entity, change)
        attempt = 0
        while True:
            try:
                return self._by_transaction(delivered, entity, handling, gate, row=row_settled)
            except (Unmet, Again):
                attempt += 1
                self._gating.unmet(change)
                gate = self._gating.gate(change)
                # The first time it was perhaps no other one, but what was freed here.
                if attempt > 1:
                    self._requests.step_aside(attempt)

    def handling(self, entity: Entity | None, change: Change) -> Handling | None:
        """Give what runs the handlers of a change, where its entity type has some."""
        if entity is None or not entity.handlers:
            return None
        return Handling(self._requests, self._settings.table, entity, change, self.lending())

    # one request

    def _at_once(self, delivered: Delivered, entity: Entity | None) -> Decided | None:
        """Try the one write that decides by itself; None where it does not answer."""
        change = delivered.change
        items = self._items.get(change.entity)
        if entity is None or items is None or entity.kind is not Kind.STATE or entity.handlers:
            return None
        if change.verb not in _AT_ONCE or (change.verb is Verb.DELETE and self._settings.tombstones == "table"):
            return None
        if refusal_of(entity, delivered) is not None:
            return None
        values: Item = {}
        try:
            key = items.key(change.key)
            values = self._values(items, key, change)
            self._requests.write(self._effects.at_once(items, key, change, values, self._clock.now_ms()))
        except Poison:
            # A newer state may be there, or what is parked already: that is asked first.
            return None
        except Unmet as unmet:
            return self._by_item(delivered, items, values, unmet.item)
        return effective(delivered)

    def _by_item(self, delivered: Delivered, items: EntityItems, values: "Item", item: "Item") -> Decided | None:
        """Decide by the item that stood in the way."""
        guard = guard_of(item, self._marks.prefix)
        if guard is None or self._marks.parked in item or self._marks.held in item:
            return None
        change = delivered.change
        decision = decide(change, Kind.STATE, Memory(guards={change.key: guard}))
        if decision is not TRY:
            return answered(delivered, decision)
        # Of an earlier generation. Who counts it as the same writes it all the same: it costs no more than its guard.
        try:
            key, now = items.key(change.key), self._clock.now_ms()
            self._requests.write(self._effects.at_once(items, key, change, values, now, compared=True))
        except (Poison, Unmet):
            return None
        return effective(delivered, same=read_again(change, guard) and items.are_held(item, values))

    # a transaction

    def _by_transaction(
        self, delivered: Delivered, entity: Entity | None, handling: Handling | None, gate: str, *, row: bool
    ) -> Decided:
        change = delivered.change
        standing = self._looking.standing(change, entity, row=row)
        if self.free(standing, entity, change):
            raise Unmet({})
        decision = decide(change, entity.kind if entity is not None else None, standing.memory(change), gate)
        if decision is not TRY:
            if decision.outcome is Outcome.HELD and decision.fresh:
                self.hold(standing, delivered, decision.reason)
            if decision.outcome is Outcome.PARKED and decision.fresh:
                return self.park(standing, delivered, refusal_by(decision, delivered), alarm=decision.alarm)
            return answered(delivered, decision, settled=standing.is_settled)
        refusal = refusal_of(entity, delivered)
        if refusal is not None or entity is None:
            return self.park(standing, delivered, refusal or Refusal(Poison("unknown-entity"), "decode"))
        try:
            same = self.take_effect(standing, entity, change, handling)
        except Refused as refused:
            return self.park(standing, delivered, refused.refusal)
        self.free_after(standing, entity, change)
        return effective(delivered, same=same)

    def free(self, standing: Standing, entity: Entity | None, change: Change) -> bool:
        """Free what is older than what stands there. Say whether anything was freed, and is to be read anew."""
        if entity is None or entity.kind is not Kind.STATE:
            return False
        return self._lot.free(standing, change, self._clock.now_ms())

    def free_after(self, standing: Standing, entity: Entity, change: Change) -> None:
        """Free what is older than a change that took effect."""
        if entity.kind is not Kind.STATE or standing.lot.item is None:
            return
        for _ in range(self._settings.attempts):
            # Until nothing is found: somebody else may have changed the lot. What is left in the end, the next one
            # frees.
            if not self.free(self._looking.standing(change, entity), entity, change):
                return

    def take_effect(
        self,
        standing: Standing,
        entity: Entity,
        change: Change,
        handling: Handling | None,
        besides: Callable[[bool], Sequence[Action]] = lambda _: (),
    ) -> bool:
        """Write a change and its effects, all or nothing. Raises `Refused`, `Again` and `Unmet`.

        Say whether it was read again and found as it was: then no handler ran. `besides` is told so, and gives what
        else of ours happens with it.
        """
        items = self._items.get(entity.name)
        values = self._wanted(standing, items, change, claim=False)
        same = is_same(standing, entity, items, change, values)
        # Nothing runs for what is read again and is the same.
        handling = handling if not same else None
        shown = handling is not None
        more = [*besides(same), *self._gating.conditions()]
        ours = [*self._ours(standing, entity, items, change, values, shown=shown), *more]
        theirs = self._handled(standing, items, handling) if handling is not None else []
        try:
            self._transact(ours, theirs)
        except Refused as refused:
            reason, stage = refused.refusal.poison.reason, refused.refusal.stage
            if reason == HANDLER_CONDITION and stage == "handler" and handling is not None:
                handling.unmet(standing)
            if reason != TOO_LARGE or stage != "store" or not self._may_claim:
                raise
            # It is larger than its values alone: the front office keeps something on it too.
            values = self._wanted(standing, items, change, claim=True)
            self._transact([*self._ours(standing, entity, items, change, values, shown=shown), *more], theirs)
        return same

    def rehearse(self, standing: Standing, entity: Entity, change: Change, handling: Handling | None) -> "Rehearsed":
        """Say what `take_effect` would write, and write nothing; handlers run all the same. Raises as it does."""
        items = self._items.get(entity.name)
        values = self._wanted(standing, items, change, claim=False, dry=True)
        same = is_same(standing, entity, items, change, values)
        handling = None if same else handling
        ours = self._ours(standing, entity, items, change, values, shown=handling is not None)
        theirs = self._handled(standing, items, handling) if handling is not None else []
        try:
            refuse_collisions(ours, theirs)
        except Poison as poison:
            raise Refused(poison, "handler") from poison
        return Rehearsed(same, values, [] if items is None else items.columns)

    def _wanted(
        self, standing: Standing, items: EntityItems | None, change: Change, *, claim: bool, dry: bool = False
    ) -> "Item":
        if standing.unaddressed is not None:
            raise Refused(standing.unaddressed, "store")
        if items is None or standing.business is None:
            return {}
        try:
            return self._values(items, standing.business.key, change, claim=claim, dry=dry)
        except Poison as poison:
            raise Refused(poison, "store") from poison

    def _ours(
        self,
        standing: Standing,
        entity: Entity,
        items: EntityItems | None,
        change: Change,
        values: "Item",
        *,
        shown: bool,
    ) -> list[Action]:
        make = self._effects.of_event if entity.kind is Kind.EVENT else self._effects.of_state
        try:
            return make(items, standing, change, values, self._clock.now_ms(), shown=shown)
        except Poison as poison:
            raise Refused(poison, "store") from poison

    def _handled(self, standing: Standing, items: EntityItems | None, handling: Handling) -> list[Action]:
        try:
            return handling.actions(self._previous(standing, items))
        except Poison as poison:
            raise Refused(poison, "handler") from poison

    def _transact(self, ours: Sequence[Action], theirs: Sequence[Action]) -> None:
        try:
            refuse_collisions(ours, theirs)
        except Poison as poison:
            raise Refused(poison, "handler") from poison
        try:
            self._requests.transact([*ours, *theirs], len(ours))
        except Refusing as refusing:
            stage = "store" if refusing.place < len(ours) else "handler"
            raise Refused(refusing.poison, stage) from refusing

    def _values(
        self, items: EntityItems, key: "Item", change: Change, *, claim: bool = False, dry: bool = False
    ) -> "Item":
        """Give the values of a state, or where they are: put there, but for a `dry` run. Raises `Poison`."""
        if change.verb is Verb.DELETE:
            return {}
        values = items.attributes(change)
        if not claim and items.fits(key, values, change):
            return values
        if not self._may_claim or self._payloads is None:
            raise Poison(TOO_LARGE, "the item would be larger than 400 KB")
        content = items.claimed(values)
        reference = "" if dry else self._payloads.put(content, Folder.ENTITIES)
        kept = {name: value for name, value in values.items() if name not in items.columns}
        return {**kept, self._marks.dataref: text(reference)}

    @property
    def _may_claim(self) -> bool:
        return self._settings.oversize == "claim" and self._payloads is not None

    def _previous(self, standing: Standing, items: EntityItems | None) -> Row | None:
        item = standing.business.item if standing.business is not None else None
        if item is None or items is None or self._marks.deleted in item:
            return None
        claimed: Any = item.get(self._marks.dataref)
        if claimed is None or self._payloads is None:
            return items.row(item)
        return items.row(item, self._payloads.get(claimed["S"]))

    def hold(self, standing: Standing, delivered: Delivered, gate: str, besides: Sequence[Action] = ()) -> None:
        """Hold a change, and write what happens with it. Raises `Unmet`."""
        change, entity = delivered.change, self._entities.get(delivered.change.entity)
        event = delivered.raw if delivered.raw is not None else event_bytes(change)
        is_state = entity is not None and entity.kind is Kind.STATE
        try:
            self._holds.hold(
                standing, Keeping(delivered, gate, event), self._clock.now_ms(), is_state=is_state, besides=besides
            )
        except Refusing as refusing:
            raise _refused(refusing) from refusing

    def park(
        self,
        standing: Standing,
        delivered: Delivered,
        refusal: Refusal,
        *,
        alarm: bool = False,
        besides: Sequence[Action] = (),
    ) -> Decided:
        """Park a change, and write what happens with it. Raises `Unmet`."""
        parking = parking_of(delivered, refusal)
        self.before_parking(parking)
        try:
            self._lot.park(standing, parking, self._clock.now_ms(), besides)
        except Refusing as refusing:
            raise _refused(refusing) from refusing
        return Decided(Outcome.PARKED, parked=parking.reason, alarm=alarm)


def _refused(refusing: Refusing) -> Fatal:
    return Fatal(f"The front office's own table refuses a row: {refusing.poison.message}.")
