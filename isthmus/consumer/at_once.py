"""Batches of nothing but plainly new changes: let them take effect at once, where the store has a quick way for it."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from isthmus.change import Kind
from isthmus.checkpoint.gates import View
from isthmus.clock import Clock
from isthmus.consumer.gates import NO_GATES, keeps_back
from isthmus.consumer.refusals import refusal_of
from isthmus.consumer.stores.port import Delivered, Entity, QuickSession, Taken

T = TypeVar("T")

NOT_TAKEN = Taken(done=False)
_LONGEST_PAUSE = 15
"""Batches: then the quick way costs at most a sixteenth where it never leads anywhere."""
_STATE = Kind.STATE


class AtOnce:
    """The quick way, tried where a batch looks like one for it, and not again at once where it led nowhere."""

    def __init__(self, session: QuickSession, entities: Mapping[str, Entity], clock: Clock, *, history: bool) -> None:
        self._session = session
        self._entities = entities
        self._clock = clock
        self._history = history
        self._pause = 0
        self._left = 0

    def take(
        self, batch: Sequence[Delivered], gates: View = NO_GATES, confirm: Callable[[], None] = lambda: None
    ) -> Taken:
        """Try it: `done` without a suspect means that all took effect, with one, that all others did.

        What a closed gate covers is not taken. `confirm` is called before the commit; what it raises undoes all of it.
        """
        if self._left:
            self._left -= 1
            return NOT_TAKEN
        entities = self._plain_entities(batch)
        if not entities or (gates.holds and _any_kept_back(gates, batch, entities)):
            return NOT_TAKEN
        now, suspect = self._clock.now_ms(), None
        taken = self._session.take(batch, entities, now, history=self._history, confirm=confirm)
        if not taken.done and taken.suspect is not None and len(batch) > 1:
            # Keys are distinct, so one of them may come after all others.
            suspect = taken.suspect
            rest, types = _without(suspect, batch), _without(suspect, entities)
            taken = self._session.take(rest, types, now, history=self._history, confirm=confirm)
        # What has failed for one batch fails for the next.
        self._pause = 0 if taken.done else min(_LONGEST_PAUSE, 2 * self._pause + 1)
        self._left = self._pause
        return taken if suspect is None else taken._replace(suspect=suspect)

    def _plain_entities(self, batch: Sequence[Delivered]) -> list[Entity]:
        """Give each change's entity type; none for a batch that the quick way does not take."""
        found: list[Entity] = []
        names: set[str] = set()
        for delivered in batch:
            change = delivered.change
            entity = self._entities.get(change.entity)
            if entity is None or entity.kind is not _STATE or entity.mapping is None or entity.handlers:
                return []
            if refusal_of(entity, delivered) is not None:
                return []
            found.append(entity)
            names.add(change.key)
            names.add(change.id)
        return found if len(names) == 2 * len(found) else []


def _any_kept_back(gates: View, batch: Sequence[Delivered], entities: Sequence[Entity]) -> bool:
    return any(keeps_back(gates, each.change, entity) for each, entity in zip(batch, entities, strict=True))


def _without(place: int, items: Sequence[T]) -> list[T]:
    return [*items[:place], *items[place + 1 :]]
