"""One parked change is tried again, and leaves its lot in the transaction in which it takes effect."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from isthmus.change import Kind, Outcome
from isthmus.consumer.deciding import TRY, decide, drained
from isthmus.consumer.parking import parking_of
from isthmus.consumer.redrive import StillPoison
from isthmus.consumer.refusals import UNKNOWN_ENTITY, refusal_by, refusal_of
from isthmus.consumer.stores.dynamodb.cancelled import Unmet
from isthmus.consumer.stores.dynamodb.decided import Refused, answered
from isthmus.consumer.stores.dynamodb.handling import Again, Handling
from isthmus.consumer.stores.dynamodb.heads import Head, head_of
from isthmus.consumer.stores.dynamodb.items import TURN
from isthmus.consumer.stores.dynamodb.line import Line, Lines
from isthmus.consumer.stores.dynamodb.parts import Parts
from isthmus.consumer.stores.dynamodb.settled import Settling
from isthmus.consumer.stores.dynamodb.standing import Leaving, Standing
from isthmus.consumer.stores.dynamodb.values import number
from isthmus.consumer.stores.dynamodb.waiting import as_it_waits, names_same
from isthmus.consumer.stores.dynamodb.writes import Action
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.port import Delivered, Entity, Refusal
from isthmus.errors import Poison

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Item

T = TypeVar("T")


@dataclass(slots=True)
class Candidate:
    """A parked change that is the first of its key, and what the code of now makes of it."""

    line: Line
    row: "Item"
    """As it is known to stand there."""
    waiting: Waiting
    made: Sequence[Delivered]


class Tried(NamedTuple):
    """What became of a candidate: an outcome for each change that was made of it."""

    outcomes: Sequence[Outcome]
    stopped: StillPoison | None = None


class _Seen(NamedTuple):
    """What stands there of the candidate, and of a change that was made of it: most often they are the same."""

    at: Standing
    change: Standing


class _Done(NamedTuple):
    """What became of one change."""

    outcome: Outcome
    stopped: StillPoison | None = None
    has_left: bool = False
    """The candidate left the lot with it."""


class Leaver:
    """Tries candidates.

    One that became a single change leaves with it, in one transaction. One that became several is as many
    transactions, each of them with the condition that it still waits; it leaves after the last. A crash in between
    lets it be tried again: what took effect is a duplicate then.
    """

    def __init__(self, parts: Parts, lines: Lines, settling: Settling) -> None:
        self._parts = parts
        self._lines = lines
        self._settling = settling
        self._one = parts.one

    def take(self, candidate: Candidate) -> Tried:
        """Try a candidate. Raises `Moved` where it is none any more, and else as the store does."""
        outcomes, stopped, has_left = list[Outcome](), None, False
        for number_of_it, delivered in enumerate(candidate.made):
            if number_of_it:
                # Who began asked for all of them. A gate that has closed since leaves the rest for another time.
                self._parts.gating.gate(delivered.change)
            entity = self._parts.entities.get(delivered.change.entity)
            handling = self._one.handling(entity, delivered.change)
            done = self._patiently(
                partial(self._try, candidate, delivered, entity, handling), partial(self._unmet, delivered)
            )
            outcomes.append(done.outcome)
            stopped, has_left = stopped or done.stopped, has_left or done.has_left
        if stopped is None and not has_left:
            self._patiently(partial(self._leave, candidate))
        return Tried(outcomes or [Outcome.FILTERED], stopped)

    def _try(
        self, candidate: Candidate, delivered: Delivered, entity: Entity | None, handling: Handling | None
    ) -> _Done:
        change, waiting = delivered.change, candidate.waiting
        its_own = names_same(change, waiting)
        at = self._lines.look(candidate.line, candidate.row, change if its_own else as_it_waits(waiting))
        standing = at if its_own else self._parts.looking.standing(change, entity, row=True)
        if change.key == waiting.key:
            # One lot, read once: everything that is written has the condition that the candidate waits in it.
            standing.lot = at.lot
        seen = _Seen(at, standing)
        if self._one.free(standing, entity, change):
            raise Unmet({})
        memory = standing.memory(change)
        # What was before it has left the lot, and it is about to.
        memory.parked.pop((waiting.key, waiting.txn), None)
        memory.newest_parked.pop(waiting.key, None)
        # What is held of its key came later than it, and is decided after it. Of another key nothing is known.
        drained(waiting.key, memory)
        decision = decide(change, entity.kind if entity is not None else None, memory)
        if decision is not TRY:
            if decision.outcome is Outcome.HELD and decision.fresh:
                leaves, head = self._besides(candidate, at, flag=True)
                self._one.hold(standing, delivered, decision.reason, leaves)
                return _Done(Outcome.HELD, has_left=self._has_left(candidate, head))
            if decision.outcome is Outcome.PARKED and decision.fresh:
                return self._refused(candidate, seen, delivered, refusal_by(decision, delivered))
            found = answered(delivered, decision, settled=standing.is_settled)
            self._parts.history.tell(found.tells)
            return _Done(found.outcome)
        refusal = refusal_of(entity, delivered)
        if refusal is not None or entity is None:
            refusal = refusal or Refusal(Poison(UNKNOWN_ENTITY), "decode")
            return self._refused(candidate, seen, delivered, refusal)
        try:
            return self._take_effect(candidate, seen, delivered, entity, handling)
        except Refused as refused:
            return self._refused(candidate, seen, delivered, refused.refusal)

    def _take_effect(
        self,
        candidate: Candidate,
        seen: _Seen,
        delivered: Delivered,
        entity: Entity,
        handling: Handling | None,
    ) -> _Done:
        (at, standing), change, waiting = seen, delivered.change, candidate.waiting
        same_key = change.key == waiting.key
        # The entity's own item carries the flag, and is written once.
        flag = not (same_key and entity.kind is Kind.STATE and change.entity == waiting.entity)
        leaves, head = self._besides(candidate, at, flag=flag)
        if same_key:
            last = len(candidate.made) == 1 and head is None
            standing.leaving = Leaving(last, _settled_until(at, waiting))

        def besides(same: bool) -> list[Action]:  # noqa: FBT001 - the one thing that it is told
            return [*leaves, *self._parts.history.actions(delivered, _outcome(same=same))]

        same = self._one.take_effect(standing, entity, change, handling, besides)
        if not same_key:
            self._one.free_after(standing, entity, change)
        has_left = self._has_left(candidate, head)
        return _Done(_outcome(same=same), has_left=has_left)

    def _refused(self, candidate: Candidate, seen: _Seen, delivered: Delivered, refusal: Refusal) -> _Done:
        (at, standing), change, waiting = seen, delivered.change, candidate.waiting
        if (change.key, change.id) == (waiting.key, waiting.txn):
            parking = parking_of(delivered, refusal)
            now = self._parts.clock.now_ms()
            after = self._parts.lot.tried_again(at, candidate.row, parking, now)
            candidate.row = {**candidate.row, TURN: number(after.turn)}
            candidate.line.took(after)
            stopped = StillPoison(waiting.txn, parking.reason, parking.message, parking.stage)
            return _Done(Outcome.PARKED, stopped)
        if change.key == waiting.key:
            # Into the lot that the candidate leaves after it.
            self._one.park(standing, delivered, refusal)
            return _Done(Outcome.PARKED)
        leaves, head = self._besides(candidate, at, flag=True)
        self._one.park(standing, delivered, refusal, besides=leaves)
        return _Done(Outcome.PARKED, has_left=self._has_left(candidate, head))

    def _besides(self, candidate: Candidate, at: Standing, *, flag: bool) -> tuple[list[Action], Head | None]:
        """Give what is written with a change: that the candidate leaves, or still waits where others come of it."""
        if len(candidate.made) == 1:
            return self._out(candidate, at, flag=flag)
        return [self._parts.lot.unchanged(at.lot)], head_of(at.lot.item)

    def _has_left(self, candidate: Candidate, head: Head | None) -> bool:
        if len(candidate.made) != 1:
            return False
        candidate.line.took(head)
        return True

    def _leave(self, candidate: Candidate) -> None:
        at = self._lines.look(candidate.line, candidate.row, as_it_waits(candidate.waiting))
        actions, head = self._out(candidate, at, flag=True)
        self._parts.requests.transact(actions)
        candidate.line.took(head)

    def _out(self, candidate: Candidate, at: Standing, *, flag: bool) -> tuple[list[Action], Head | None]:
        waiting, now = candidate.waiting, self._parts.clock.now_ms()
        names = [waiting.txn] if waiting.edited else []
        version = waiting.version if waiting.edited else ""
        actions, head = self._parts.lot.leaving(at, [candidate.row], now, settled=version, flag=flag)
        return [*actions, *self._settling.actions(names, now)], head

    def _unmet(self, delivered: Delivered) -> None:
        self._parts.gating.unmet(delivered.change)
        if self._parts.gating.strict:
            self._parts.gating.gate(delivered.change)

    def _patiently(self, action: Callable[[], T], unmet: Callable[[], object] = lambda: None) -> T:
        attempt = 0
        while True:
            try:
                return action()
            except (Unmet, Again):
                unmet()
                attempt += 1
                if attempt > 1:
                    self._parts.requests.step_aside(attempt)


def _settled_until(at: Standing, waiting: Waiting) -> str:
    head = head_of(at.lot.item)
    return max(head.settled if head is not None else "", waiting.version if waiting.edited else "")


def _outcome(*, same: bool) -> Outcome:
    return Outcome.UNCHANGED if same else Outcome.APPLIED
