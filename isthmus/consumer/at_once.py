"""Batches of plainly new changes: let them take effect at once, where the store has a quick way for it.

What is none of them, or is refused, is set aside: keys are distinct, so it may come after all others.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final, NamedTuple

from isthmus.change import Kind, Verb
from isthmus.checkpoint.gates import View
from isthmus.clock import Clock
from isthmus.consumer.gates import NO_GATES, keeps_back
from isthmus.consumer.refusals import refusal_of
from isthmus.consumer.stores.port import Delivered, Entity, QuickSession


class Sorted(NamedTuple):
    """What became of an attempt at a batch."""

    done: bool
    """All of it took effect, durably, but for what was set aside; or else nothing was changed."""
    aside: Sequence[int] = ()
    """The places that are left to decide, in order; where nothing was done, those that were probably refused."""


NOT_TAKEN: Final = Sorted(done=False)
_MOST_REFUSALS: Final = 3
"""Attempts that may be in vain for a batch. After each the store guesses what stood in the way: one change or all."""
_FEW: Final = 8
"""One in so many may be set aside, and one at least: for more of them the other way is as quick."""
_LONGEST_PAUSE = 15
"""Batches: then the quick way costs at most a sixteenth where it never leads anywhere."""
_STATE = Kind.STATE
_MARKER = Verb.MARKER


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
    ) -> Sorted:
        """Try it.

        What a closed gate covers is not taken. `confirm` is called before the commit; what it raises undoes all of it.
        """
        if self._left:
            self._left -= 1
            return NOT_TAKEN
        entities = self._plain_entities(batch)
        places = list(entities)
        few = max(1, len(batch) // _FEW)
        if not places or len(batch) - len(places) > few:
            return NOT_TAKEN
        if gates.holds and any(keeps_back(gates, batch[place].change, entities[place]) for place in places):
            return NOT_TAKEN
        now, suspects, done = self._clock.now_ms(), set[int](), False
        for _ in range(1 + _MOST_REFUSALS):
            part, types = [batch[place] for place in places], [entities[place] for place in places]
            done, found = self._session.take(part, types, now, history=self._history, confirm=confirm)
            suspects.update(places[number] for number in found)
            places = [place for place in places if place not in suspects]
            if done or not found or not places or len(batch) - len(places) > few:
                break
        # What has failed for one batch fails for the next.
        self._pause = 0 if done else min(_LONGEST_PAUSE, 2 * self._pause + 1)
        self._left = self._pause
        taken = set(places)
        return Sorted(done, [place for place in range(len(batch)) if place not in taken] if done else sorted(suspects))

    def _plain_entities(self, batch: Sequence[Delivered]) -> dict[int, Entity]:
        """Give the entity type of each plain change, by its place; none for a batch that the quick way does not take.

        Names must be distinct in all of it: what is set aside is decided after what comes behind it.
        """
        found: dict[int, Entity] = {}
        names: set[str] = set()
        for place, delivered in enumerate(batch):
            change = delivered.change
            if change.verb is _MARKER:
                return {}
            names.add(change.key)
            names.add(change.id)
            entity = self._entities.get(change.entity)
            if entity is None or entity.kind is not _STATE or entity.mapping is None or entity.handlers:
                continue
            if refusal_of(entity, delivered) is None:
                found[place] = entity
        return found if len(names) == 2 * len(batch) else {}
