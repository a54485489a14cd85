"""Decides a batch of changes in one transaction of the front-office store.

Changes of different keys have no order among each other, so those of a batch are tried in *waves* of distinct keys: one
statement for many rows. A wave in which something is poison is undone as a whole and cut around the bad change until
that change stands alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from isthmus.change import Change, Kind, Outcome, Verb
from isthmus.clock import Clock
from isthmus.consumer.deciding import BEHIND, TRY, Decision, Memory, applied, decide, fenced, parked, raise_fence
from isthmus.consumer.parking import parking_of
from isthmus.consumer.stores.port import (
    Delivered,
    Entity,
    Log,
    Parking,
    PoisonIn,
    QuickSession,
    Refusal,
    Session,
    Taken,
    Told,
    Undone,
    Unit,
)
from isthmus.errors import IsthmusError, Poison
from isthmus.metrics import Metrics

T = TypeVar("T")
UNKNOWN_ENTITY = "unknown-entity"
WRONG_VERB = "wrong-verb"
CONTRACT_ERROR = "contract-error"
HANDLER_ERROR = "handler-error"
_VERBS = {Kind.STATE: (Verb.UPSERT, Verb.DELETE), Kind.EVENT: (Verb.EVENT,)}
# Looked up for every change: a member by its class's name costs as much as a question.
_NOT_TAKEN = Taken(done=False)
_LONGEST_PAUSE = 15
"""Batches: then the quick way costs at most a sixteenth where it never leads anywhere."""
_STATE, _MARKER, _DELETE, _APPLIED = Kind.STATE, Verb.MARKER, Verb.DELETE, Outcome.APPLIED


class Applier:
    """Decides batches for one shard, through one session of the store."""

    def __init__(
        self,
        session: Session,
        entities: Mapping[str, Entity],
        clock: Clock,
        metrics: Metrics,
        *,
        history: bool,
        quick: QuickSession | None = None,
    ) -> None:
        self._session = session
        self._quick = quick
        self._eagerness = _Eagerness()
        self._entities = entities
        self._clock = clock
        self._metrics = metrics
        self._history = history

    def close(self) -> None:
        """Give the connection back. Safe to repeat."""
        self._session.close()

    def apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        """Decide every change of the batch, in order; give one outcome each, None for an epoch marker.

        When it returns, all of it is durable. When it raises (`Transient`, `TargetDown`, `Fatal`), none of it is, or a
        commit's answer was lost: what is durable then is found as `duplicate` by the next attempt.
        """
        try:
            return self._apply(batch)
        except Undone as undone:
            if len(batch) > 1:
                middle = len(batch) // 2
                return self.apply(batch[:middle]) + self.apply(batch[middle:])
            return self._apply([batch[0]._replace(refused=Refusal(undone.poison, "store"))])

    def _apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        taken = self._taken_at_once(batch)
        if taken.done:
            return self._with_the_suspect(batch, taken.suspect)
        return self._decided(batch, taken.suspect)

    def _decided(self, batch: Sequence[Delivered], suspect: int | None) -> list[Outcome | None]:
        with self._session.unit() as unit:
            memory = unit.load([delivered.change for delivered in batch])
            log = Log(self._clock.now_ms(), keeps_history=self._history)
            decided = _Batch(unit, memory, self._entities, log, suspect=suspect)
            outcomes = decided.run(batch)
            log.decided_ms = self._clock.now_ms()
            unit.save(log)
        # Counted only now: a batch that is rolled back and tried again must not count twice.
        for parking in log.parked.values():
            self._metrics.parked.labels(parking.reason).inc()
        if decided.alarms:
            self._metrics.hash_alarms.inc(decided.alarms)
        return outcomes

    def _taken_at_once(self, batch: Sequence[Delivered]) -> Taken:
        """Try the store's quick way, where it has one and the batch is one for it."""
        if self._quick is None or not batch or not self._eagerness.worth_trying():
            return _NOT_TAKEN
        entities = self._plain_entities(batch)
        if entities is None:
            return _NOT_TAKEN
        now, suspect = self._clock.now_ms(), None
        taken = self._quick.take(batch, entities, now, history=self._history)
        if not taken.done and taken.suspect is not None and len(batch) > 1:
            # Keys are distinct, so one of them may come after all others.
            suspect = taken.suspect
            rest, types = _without(suspect, batch), _without(suspect, entities)
            taken = self._quick.take(rest, types, now, history=self._history)
        self._eagerness.learn(taken.done)
        return taken._replace(suspect=suspect if taken.done or suspect is not None else taken.suspect)

    def _with_the_suspect(self, batch: Sequence[Delivered], suspect: int | None) -> list[Outcome | None]:
        """Give the outcomes of a batch that took effect at once but for the suspect, which is decided now."""
        outcomes: list[Outcome | None] = [_APPLIED] * len(batch)
        if suspect is not None:
            (outcomes[suspect],) = self.apply(batch[suspect : suspect + 1])
        return outcomes

    def _plain_entities(self, batch: Sequence[Delivered]) -> list[Entity] | None:
        """Give each change's entity type; None for a batch that the quick way does not take."""
        found, names = [], set()
        for delivered in batch:
            change = delivered.change
            entity = self._entities.get(change.entity)
            if entity is None or entity.kind is not _STATE or entity.mapping is None or entity.handlers:
                return None
            if delivered.refused is not None or _refusal(entity, change) is not None:
                return None
            found.append(entity)
            names.add(change.key)
            names.add(change.id)
        return found if len(names) == 2 * len(found) else None


class _Eagerness:
    """How soon the quick way is tried again after it led nowhere: what has failed for one batch fails for the next."""

    def __init__(self) -> None:
        self._pause = 0
        self._left = 0

    def worth_trying(self) -> bool:
        if self._left:
            self._left -= 1
            return False
        return True

    def learn(self, done: bool) -> None:  # noqa: FBT001 - it is all that there is to learn
        self._pause = 0 if done else min(_LONGEST_PAUSE, 2 * self._pause + 1)
        self._left = self._pause


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
        self.certain = certain
        """False for an error that says nothing of itself: it must come again when the change is tried alone."""


class _Batch:
    """One attempt at one batch."""

    def __init__(
        self, unit: Unit, memory: Memory, entities: Mapping[str, Entity], log: Log, *, suspect: int | None = None
    ) -> None:
        self.alarms = 0
        self._suspect = suspect
        self._unit = unit
        self._memory = memory
        self._entities = entities
        self._log = log
        self._outcomes: list[Outcome | None] = []
        self._wave: list[_Tried] = []
        self._wave_names: set[str] = set()
        self._parked_here: dict[str, list[Parking]] = {}

    def run(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        self._outcomes = [None] * len(batch)
        memory, fences, entities = self._memory, self._memory.fences, self._entities
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
            if fenced(change, fences):
                self._done(index, delivered, Outcome.FENCED)
            elif (decision := decide(change, entity.kind if entity is not None else None, memory)) is TRY:
                self._try(index, delivered, entity)
            else:
                self._decided(index, delivered, decision)
        self._try_wave()
        return self._outcomes

    def _decided(self, index: int, delivered: Delivered, decision: Decision) -> None:
        if decision.alarm:
            self.alarms += 1
        if decision.outcome is Outcome.PARKED:
            self._outcomes[index] = Outcome.PARKED
            if decision.fresh:
                self._park(index, delivered, _why(delivered, decision))
        elif decision.outcome is not None:
            self._done(index, delivered, decision.outcome)

    def _try(self, index: int, delivered: Delivered, entity: Entity | None) -> None:
        change = delivered.change
        if delivered.refused is not None:
            self._park(index, delivered, delivered.refused)
        elif entity is None:
            poison = Poison(UNKNOWN_ENTITY, f"The settings know no entity type {change.entity!r}.")
            self._park(index, delivered, Refusal(poison, "decode"))
        elif (refusal := _refusal(entity, change)) is not None:
            self._park(index, delivered, Refusal(refusal, "contract"))
        else:
            self._wave.append(_Tried(index, delivered, entity))
            self._wave_names.add(change.key)
            self._wave_names.add(change.id)

    def _try_wave(self) -> None:
        # Keys of a wave are distinct, so its parts may be tried in any grouping without turning any entity's order.
        suspected = next((place for place, tried in enumerate(self._wave) if tried.at == self._suspect), None)
        parts = [(self._wave, False)] if self._wave else []
        if suspected is not None:
            parts = [(piece, False) for piece in reversed(_cut(self._wave, suspected))]
        self._wave, self._wave_names = [], set()
        while parts:
            part, again = parts.pop()
            try:
                with self._unit.savepoint():
                    self._write(part)
            except (_PoisonAt, Poison) as error:
                # A handler that swallowed the store's refusal cannot make the store go on: its part is poison.
                found = error if isinstance(error, _PoisonAt) else _PoisonAt(error, "handler", None)
                if len(part) > 1:
                    parts.extend((piece, True) for piece in reversed(_cut(part, found.place)))
                elif found.certain or again:
                    self._park(part[0].at, part[0].delivered, found.refusal)
                else:
                    parts.append((part, True))
            else:
                self._applied(part)

    def _write(self, part: list[_Tried]) -> None:
        # In the order in which the types come, so that the same batch is the same statements every time.
        by_name: dict[str, list[int]] = {}
        for place, (_, delivered, _) in enumerate(part):
            by_name.setdefault(delivered.change.entity, []).append(place)
        for places in by_name.values():
            changes = [part[place].delivered.change for place in places]
            entity = part[places[0]].entity
            previous: Mapping[str, Mapping[str, Any]] = {}
            if entity.mapping is not None:
                if entity.handlers:
                    previous = self._unit.previous(entity, [change.key for change in changes])
                try:
                    self._unit.write(entity, changes)
                except Poison as poison:
                    # Which row it was: the only one there is, or the one that the store names.
                    whose = places[poison.place] if isinstance(poison, PoisonIn) else None
                    raise _PoisonAt(poison, "store", whose) from poison
            if entity.handlers:
                self._handle(entity, places, changes, previous)

    def _handle(
        self,
        entity: Entity,
        places: Sequence[int],
        changes: Sequence[Change],
        previous: Mapping[str, Mapping[str, Any]],
    ) -> None:
        for place, change in zip(places, changes, strict=True):
            for handler in entity.handlers:
                try:
                    handler(self._unit.transaction, change, previous.get(change.key))
                except Poison as poison:
                    raise _PoisonAt(poison, "handler", place) from poison
                except IsthmusError:
                    raise
                except (Exception, SystemExit, GeneratorExit) as error:
                    unknown = Poison(HANDLER_ERROR, type(error).__name__)
                    raise _PoisonAt(unknown, "handler", place, certain=False) from error

    def _applied(self, part: list[_Tried]) -> None:
        memory, log, outcomes = self._memory, self._log, self._outcomes
        for index, delivered, entity in part:
            change = delivered.change
            if applied(change, entity.kind, memory):
                self._free(change)
            if entity.kind is _STATE:
                log.guards[change.key] = memory.guards[change.key]
            else:
                log.ledger.append(delivered)
            outcomes[index] = _APPLIED
            if log.keeps_history:
                log.history.append(Told(delivered, _APPLIED))

    def _free(self, newer: Change) -> None:
        self._log.freed[newer.key] = newer.version
        for parking in self._parked_here.get(newer.key, ()):
            old = parking.delivered
            if (
                old.change.version < newer.version
                and self._log.parked.pop((newer.key, old.change.id), None) is not None
            ):
                self._tell(old, Outcome.SUPERSEDED)

    def _park(self, index: int, delivered: Delivered, refusal: Refusal) -> None:
        change = delivered.change
        parking = parking_of(delivered, refusal)
        self._log.parked[change.key, change.id] = parking
        self._parked_here.setdefault(change.key, []).append(parking)
        if parking.reason != BEHIND:
            self._log.outbox.append(parking)
        parked(change, self._memory)
        self._outcomes[index] = Outcome.PARKED

    def _done(self, index: int, delivered: Delivered, outcome: Outcome) -> None:
        self._outcomes[index] = outcome
        if outcome is not Outcome.DUPLICATE:
            self._tell(delivered, outcome)

    def _tell(self, delivered: Delivered, outcome: Outcome) -> None:
        if self._log.keeps_history:
            self._log.history.append(Told(delivered, outcome))


def _refusal(entity: Entity, change: Change) -> Poison | None:
    """Say why a change does not keep its entity's contract, or None."""
    if change.verb not in _VERBS[entity.kind]:
        return Poison(WRONG_VERB, f"{change.verb} is nothing for an entity of kind {entity.kind}")
    if entity.validate is None or change.verb is _DELETE:
        return None
    try:
        entity.validate(change.data)
    except Poison as poison:
        return poison
    except IsthmusError:
        raise
    except Exception as error:  # noqa: BLE001 - a contract is the user's code and may raise anything
        return Poison(CONTRACT_ERROR, type(error).__name__)
    return None


def _why(delivered: Delivered, decision: Decision) -> Refusal:
    if decision.reason == BEHIND:
        return Refusal(Poison(BEHIND), "order")
    data = delivered.change.data
    message = data.get("message") if isinstance(data, dict) else None
    poison = Poison(decision.reason, message if isinstance(message, str) else "")
    return Refusal(poison, "translate" if delivered.decoded else "decode")


def _without(place: int, items: Sequence[T]) -> list[T]:
    return [*items[:place], *items[place + 1 :]]


def _cut(part: list[_Tried], place: int | None) -> list[list[_Tried]]:
    """Cut around the bad one where it is known, else in halves."""
    if place is None:
        middle = len(part) // 2
        return [part[:middle], part[middle:]]
    return [piece for piece in (part[:place], part[place : place + 1], part[place + 1 :]) if piece]
