"""What a redrive would do, found out without a write: nothing can be undone here.

It reads what stands there, asks the rules, the contract and the mapping, and runs the handlers on copies; the actions
that they return are looked at and not sent. What it did so far it keeps in mind, and so the next change of the key
meets it. What it cannot see: a condition of a handler's action that does not hold; what DynamoDB itself refuses, such
as a value for an index, or an item that the front office made large; what a handler would read by `tx.get` of that
which was only rehearsed; and that a state which is claimed, for its size, is the same as the one that is there.
Whatever a handler does besides returning actions, it does.
"""

from typing import TYPE_CHECKING, NamedTuple

from isthmus.change import Change, Kind, Outcome, Verb
from isthmus.consumer.deciding import TRY, Guard, Memory, applied, decide, drained
from isthmus.consumer.parking import parking_of
from isthmus.consumer.redrive import StillPoison
from isthmus.consumer.refusals import UNKNOWN_ENTITY, refusal_by, refusal_of
from isthmus.consumer.stores.dynamodb.decided import Refused, Rehearsed
from isthmus.consumer.stores.dynamodb.handling import Again, Handling
from isthmus.consumer.stores.dynamodb.leaving import Candidate, Tried
from isthmus.consumer.stores.dynamodb.parts import Parts
from isthmus.consumer.stores.dynamodb.standing import Standing
from isthmus.consumer.stores.port import Delivered, Entity, Refusal
from isthmus.errors import Poison

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item


class _After(NamedTuple):
    """What would stand there of an entity."""

    guard: Guard | None
    item: "Item | None"


class Rehearsal:
    """One rehearsal of one key."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._entities: dict[tuple[str, str], _After] = {}
        self._ledger: dict[str, str] = {}
        self._parked: dict[tuple[str, str], str] = {}

    def take(self, candidate: Candidate) -> Tried:
        """Say what would become of a candidate. Raises as the store does."""
        outcomes, stopped = list[Outcome](), None
        for delivered in candidate.made:
            found = self._would_be(candidate, delivered)
            if isinstance(found, Outcome):
                outcomes.append(found)
                continue
            outcomes.append(Outcome.PARKED)
            change, waiting = delivered.change, candidate.waiting
            if (change.key, change.id) == (waiting.key, waiting.txn):
                stopped = stopped or StillPoison(waiting.txn, *parking_of(delivered, found)[1:4])
            else:
                self._parked[change.key, change.id] = change.rowhash
        if stopped is None:
            candidate.line.waiting -= 1
        return Tried(outcomes or [Outcome.FILTERED], stopped)

    def _would_be(self, candidate: Candidate, delivered: Delivered) -> Outcome | Refusal:
        change, waiting = delivered.change, candidate.waiting
        entity = self._parts.entities.get(change.entity)
        standing = self._standing(change, entity)
        memory = self._memory(standing, change)
        memory.parked.pop((waiting.key, waiting.txn), None)
        memory.newest_parked.pop(waiting.key, None)
        drained(waiting.key, memory)
        decision = decide(change, entity.kind if entity is not None else None, memory)
        if decision is not TRY:
            fresh = decision.outcome is Outcome.PARKED and decision.fresh
            return refusal_by(decision, delivered) if fresh else decision.outcome or Outcome.PARKED
        refusal = refusal_of(entity, delivered)
        if refusal is not None or entity is None:
            return refusal or Refusal(Poison(UNKNOWN_ENTITY), "decode")
        try:
            would = self._rehearsed(standing, entity, change, self._parts.one.handling(entity, change))
        except Refused as refused:
            return refused.refusal
        applied(change, entity.kind, memory)
        if entity.kind is Kind.EVENT:
            self._ledger[change.id] = change.rowhash
        self._entities[change.key, change.entity] = self._after(standing, change, memory, would)
        return Outcome.UNCHANGED if would.same else Outcome.APPLIED

    def _rehearsed(self, standing: Standing, entity: Entity, change: Change, handling: Handling | None) -> Rehearsed:
        while True:
            try:
                return self._parts.one.rehearse(standing, entity, change, handling)
            except Again:
                # An unknown error says something of the change only when it comes twice, and does so the next time.
                continue

    def _standing(self, change: Change, entity: Entity | None) -> Standing:
        standing = self._parts.looking.standing(change, entity, row=True)
        after = self._entities.get((change.key, change.entity))
        if after is not None:
            standing.guard = after.guard
            if standing.business is not None:
                standing.business = standing.business._replace(item=after.item)
        return standing

    def _memory(self, standing: Standing, change: Change) -> Memory:
        memory = standing.memory(change)
        if change.id in self._ledger:
            memory.ledger[change.id] = self._ledger[change.id]
        for (key, txn), rowhash in self._parked.items():
            if key == change.key:
                memory.parked[key, txn] = rowhash
                memory.newest_parked.setdefault(key, {change.entity: change.version})
        return memory

    def _after(self, standing: Standing, change: Change, memory: Memory, would: Rehearsed) -> _After:
        guard = memory.guards.get(change.key)
        if change.verb is Verb.DELETE or standing.business is None:
            return _After(guard, None)
        marks = self._parts.marks
        stays = marks.stripped(standing.business.item or standing.business.key)
        kept = {name: value for name, value in stays.items() if name not in would.columns}
        return _After(guard, {**kept, **would.values, **marks.guard(change)})
