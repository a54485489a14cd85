"""One attempt at one batch, inside a transaction of the front-office store.

Changes of different keys have no order among each other, so those of a batch are tried in *waves* of distinct keys: one
statement for many rows. A wave in which something is poison is undone as a whole and cut around the bad change until
that change stands alone.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from isthmus.change import Change, Kind, Outcome, Verb
from isthmus.checkpoint.gates import View
from isthmus.consumer.deciding import (
    BEHIND,
    TRY,
    Decision,
    Memory,
    applied,
    decide,
    fenced,
    held,
    parked,
    raise_fence,
    read_again,
)
from isthmus.consumer.gates import NO_GATES, keeps_back
from isthmus.consumer.lending import Lending, Lent, LetGo, Patient
from isthmus.consumer.parking import event_bytes, parking_of
from isthmus.consumer.pieces import Pieces
from isthmus.consumer.refusals import HANDLER_ERROR, refusal_by, refusal_of, refuse_returned
from isthmus.consumer.stores.poisoned import PoisonIn, is_doubtful
from isthmus.consumer.stores.port import Delivered, Entity, Keeping, Log, Parking, Refusal, Told, Unit
from isthmus.detached import detached, detached_change
from isthmus.errors import IsthmusError, Poison

# Looked up for every change: a member by its class's name costs as much as a question.
_STATE, _MARKER, _DELETE = Kind.STATE, Verb.MARKER, Verb.DELETE
_APPLIED, _UNCHANGED = Outcome.APPLIED, Outcome.UNCHANGED


class _Tried(NamedTuple):
    """A change that passed every question, to be written with the others of its wave."""

    at: int
    delivered: Delivered
    entity: Entity


class _PoisonAt(Exception):  # noqa: N818 - the design's word
    """Carries which change of a part was poison, where that is known."""

    def __init__(self, poison: Poison, stage: str, place: int | None, *, certain: bool = True) -> None:
        super().__init__(str(poison))
        self.refusal = Refusal(poison, stage)
        self.place = place
        self.certain = certain and not is_doubtful(poison)
        """False for an error that says nothing of itself: it must come again when the change is tried alone."""


class Batch:
    """One attempt at one batch."""

    def __init__(
        self,
        unit: Unit,
        memory: Memory,
        entities: Mapping[str, Entity],
        log: Log,
        *,
        suspects: Collection[int] = (),
        gates: View = NO_GATES,
        lending: Lending | None = None,
        pieces: Pieces | None = None,
    ) -> None:
        self.alarms = 0
        self._pieces = pieces or Pieces()
        self._lending = lending or Patient()
        self._gates = gates
        self.redriven: Collection[tuple[str, str]] = ()
        """Key and ID of what comes out of the lot: as poison again it stays there as it is, with one attempt more."""
        self._suspects = frozenset(suspects)
        self._unit = unit
        self._memory = memory
        self._entities = entities
        self._log = log
        self._outcomes: list[Outcome | None] = []
        self._wave: list[_Tried] = []
        self._wave_names: set[str] = set()
        self._parked_here: dict[str, list[Parking]] = {}

    def run(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        """Decide every change, in order; give one outcome each, None for an epoch marker. Raises as the unit does."""
        self._outcomes = [None] * len(batch)
        memory, fences, entities = self._memory, self._memory.fences, self._entities
        gated = bool(self._gates.holds)
        for index, delivered in enumerate(batch):
            change = delivered.change
            if change.verb is _MARKER:
                if raise_fence(change, fences):
                    self._log.fences[change.source, change.lane] = change.epoch
                continue
            # The ID too: a foreign producer may give one to two events, and the ledger learns of it when it was tried.
            if change.key in self._wave_names or change.id in self._wave_names:
                self._try_wave()
            entity = entities.get(change.entity)
            kind, gate = (entity.kind if entity is not None else None), self._gate(change, entity) if gated else ""
            if fenced(change, fences):
                self._done(index, delivered, Outcome.FENCED)
            elif (decision := decide(change, kind, memory, gate)) is TRY:
                self._try(index, delivered, entity)
            else:
                self._decided(index, delivered, decision)
        self._try_wave()
        return self._outcomes

    def _gate(self, change: Change, entity: Entity | None) -> str:
        """Give the name of the closed gate that covers a change, or an empty text."""
        closing = keeps_back(self._gates, change, entity)
        return "" if closing is None else closing.name

    def _decided(self, index: int, delivered: Delivered, decision: Decision) -> None:
        if decision.alarm:
            self.alarms += 1
        if decision.outcome is Outcome.HELD:
            self._outcomes[index] = Outcome.HELD
            if decision.fresh:
                self._hold(delivered, decision.reason)
            return
        if decision.outcome is Outcome.PARKED:
            self._outcomes[index] = Outcome.PARKED
            if decision.fresh:
                self._park(index, delivered, refusal_by(decision, delivered))
        elif decision.outcome is not None:
            self._done(index, delivered, decision.outcome)

    def _try(self, index: int, delivered: Delivered, entity: Entity | None) -> None:
        change = delivered.change
        refusal = refusal_of(entity, delivered)
        if refusal is not None:
            self._park(index, delivered, refusal)
        elif entity is not None:
            self._wave.append(_Tried(index, delivered, entity))
            self._wave_names.add(change.key)
            self._wave_names.add(change.id)

    def _try_wave(self) -> None:
        # Keys of a wave are distinct, so its parts may be tried in any grouping without turning any entity's order.
        rest = [tried for tried in self._wave if tried.at not in self._suspects] if self._suspects else self._wave
        parts = [([tried], False) for tried in self._wave if tried.at in self._suspects]
        if rest:
            parts.append((rest, False))
        pieces = self._pieces
        self._wave, self._wave_names = [], set()
        while parts:
            part, again = parts.pop()
            # What is left of a wave full of poison would be written and undone once for each of them.
            if len(part) > pieces.most:
                parts.append((part[pieces.most :], again))
                part = part[: pieces.most]
            try:
                with self._unit.savepoint():
                    unchanged = self._write(part)
            except (_PoisonAt, Poison) as error:
                # A handler that swallowed the store's refusal cannot make the store go on: its part is poison.
                found = error if isinstance(error, _PoisonAt) else _PoisonAt(error, "handler", None)
                pieces.failed(len(part))
                if len(part) > 1:
                    parts.extend((piece, True) for piece in reversed(_cut(part, found.place)))
                elif found.certain or again:
                    self._park(part[0].at, part[0].delivered, found.refusal)
                else:
                    parts.append((part, True))
            else:
                pieces.passed(len(part))
                self._applied(part, unchanged)

    def _write(self, part: list[_Tried]) -> set[str]:
        """Write a part and run its handlers; give the keys of which the rows were so already."""
        unchanged: set[str] = set()
        # In the order in which the types come, so that the same batch is the same statements every time.
        by_name: dict[str, list[int]] = {}
        for place, (_, delivered, _) in enumerate(part):
            by_name.setdefault(delivered.change.entity, []).append(place)
        for places in by_name.values():
            entity = part[places[0]].entity
            same = self._same(entity, part, places)
            unchanged |= same
            self._write_changed(entity, part, places, same)
        return unchanged

    def _same(self, entity: Entity, part: Sequence[_Tried], places: Sequence[int]) -> set[str]:
        """Give the keys of which nothing differs but the generation: read again, and found as it was."""
        if entity.mapping is None or entity.kind is not _STATE:
            return set()
        guards, again = self._memory.guards, []
        for place in places:
            change = part[place].delivered.change
            if read_again(change, guards.get(change.key)):
                again.append(place)
        if not again:
            return set()
        with _whose(again):
            return self._unit.same(entity, [part[place].delivered.change for place in again])

    def _write_changed(
        self, entity: Entity, part: Sequence[_Tried], places: Sequence[int], same: Collection[str]
    ) -> None:
        changed = [place for place in places if part[place].delivered.change.key not in same] if same else places
        changes = [part[place].delivered.change for place in changed]
        previous: Mapping[str, Mapping[str, Any]] = {}
        if entity.mapping is not None:
            if entity.handlers:
                previous = self._unit.previous(entity, [change.key for change in changes])
            # A version column keeps pace with the guard, also where nothing else differs.
            written = places if entity.mapping.version_column is not None else changed
            with _whose(written):
                self._unit.write(entity, [part[place].delivered.change for place in written])
        if entity.handlers:
            self._handle(entity, changed, changes, previous)

    def _handle(
        self,
        entity: Entity,
        places: Sequence[int],
        changes: Sequence[Change],
        previous: Mapping[str, Mapping[str, Any]],
    ) -> None:
        try:
            with self._unit.effects() as effects:

                def each() -> None:
                    for number, change in enumerate(changes):
                        effects.of(number)
                        self._run_handlers(entity, change, places[number], previous.get(change.key))

                self._lending.run(each)
        except PoisonIn as poison:
            raise _PoisonAt(poison, "handler", places[poison.place]) from poison

    def _run_handlers(self, entity: Entity, change: Change, place: int, previous: Mapping[str, Any] | None) -> None:
        for handler in entity.handlers:
            lent = self._lending.lend(Lent(self._unit.transaction), change)
            try:
                # Copies, for each handler its own: the change may be tried again, or parked, as it came.
                refuse_returned(handler(lent, detached_change(change), detached(previous)))
            except PoisonIn:
                raise
            except Poison as poison:
                raise _PoisonAt(poison, "handler", place) from poison
            except IsthmusError:
                raise
            except (KeyboardInterrupt, LetGo):
                raise
            except BaseException as error:
                # Whatever it is: a user's code ends no process. But what ends one in the middle of a statement does.
                if error is lent.raised and not isinstance(error, Exception):
                    raise
                unknown = Poison(HANDLER_ERROR, type(error).__name__)
                raise _PoisonAt(unknown, "handler", place, certain=False) from error
            finally:
                lent.end()

    def _applied(self, part: list[_Tried], unchanged: Collection[str]) -> None:
        memory, log, outcomes = self._memory, self._log, self._outcomes
        for index, delivered, entity in part:
            change = delivered.change
            if applied(change, entity.kind, memory):
                self._free(change)
            if entity.kind is _STATE:
                log.guards[change.key] = memory.guards[change.key]
            else:
                log.ledger.append(delivered)
            outcome = _UNCHANGED if change.key in unchanged else _APPLIED
            outcomes[index] = outcome
            if log.keeps_history:
                log.history.append(Told(delivered, outcome))

    def _free(self, newer: Change) -> None:
        self._log.freed[newer.key, newer.entity] = newer.version
        for parking in self._parked_here.get(newer.key, ()):
            old = parking.delivered
            if (
                old.change.entity == newer.entity
                and old.change.version < newer.version
                and self._log.parked.pop((newer.key, old.change.id), None) is not None
            ):
                self._tell(old, Outcome.SUPERSEDED)

    def _park(self, index: int, delivered: Delivered, refusal: Refusal) -> None:
        change = delivered.change
        parking = parking_of(delivered, refusal)
        if (change.key, change.id) in self.redriven:
            self._log.again[change.key, change.id] = parking
            self._outcomes[index] = Outcome.PARKED
            return
        self._log.parked[change.key, change.id] = parking
        self._parked_here.setdefault(change.key, []).append(parking)
        if parking.reason != BEHIND:
            self._log.outbox.append(parking)
        parked(change, self._memory)
        self._outcomes[index] = Outcome.PARKED

    def _hold(self, delivered: Delivered, gate: str) -> None:
        change = delivered.change
        event = delivered.raw if delivered.raw is not None else event_bytes(change)
        self._log.held[change.key, change.id] = Keeping(delivered, gate, event)
        held(change, self._memory)

    def _done(self, index: int, delivered: Delivered, outcome: Outcome) -> None:
        self._outcomes[index] = outcome
        if outcome is not Outcome.DUPLICATE:
            self._tell(delivered, outcome)

    def _tell(self, delivered: Delivered, outcome: Outcome) -> None:
        if self._log.keeps_history:
            self._log.history.append(Told(delivered, outcome))


@contextmanager
def _whose(places: Sequence[int]) -> Iterator[None]:
    """Say of a row that is refused whose it was: the only one there is, or the one that the store names."""
    try:
        yield
    except Poison as poison:
        place = places[poison.place] if isinstance(poison, PoisonIn) else None
        raise _PoisonAt(poison, "store", place) from poison


def _cut(part: list[_Tried], place: int | None) -> list[list[_Tried]]:
    """Cut around the bad one where it is known, else in halves."""
    if place is None:
        middle = len(part) // 2
        return [part[:middle], part[middle:]]
    return [piece for piece in (part[:place], part[place : place + 1], part[place + 1 :]) if piece]
