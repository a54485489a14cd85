"""A redrive of dead letters: to be ended, killed and begun again at any point.

A message is deleted when what became of its change is durable, and not before. A crash in between lets it come again,
and then its change is a duplicate, or waits in the lot.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Final, NamedTuple

from isthmus.change import Outcome
from isthmus.clock import Clock
from isthmus.console.dlq.braking import PARK_BRAKE, LetterBrake
from isthmus.console.dlq.looking import IDLE, foreign_as_json
from isthmus.console.dlq.told import Told
from isthmus.console.lot.pacing import Pace
from isthmus.console.lot.walking import Ask
from isthmus.consumer.deadletters.letters import NOT_OURS
from isthmus.consumer.deadletters.port import MOST_LETTERS, Mailbox, Message
from isthmus.consumer.deadletters.reading import Addressed, addressed
from isthmus.consumer.deadletters.redriving import LetterDecider
from isthmus.consumer.redrive import GATE_CLOSED, Redriver, StillPoison
from isthmus.consumer.stores.lot import Waiting
from isthmus.errors import HANDLER_HANGS, IsthmusError, Poison
from isthmus.lifecycle import Stop, Stopped

HOLD: Final = 300
"""Seconds for which nobody else gets a message, and for which it stays hidden where this is killed."""
_NEEDED: Final = 60
"""Seconds of it that a letter shall have left when it is begun."""
_PORTION: Final = 50
_PORTION_BYTES: Final = 8 * 1024 * 1024
"""Letters in hand at once, which are brought into the order of the stream."""
_AT_ONCE: Final = 100
"""Changes of one key of the lot in one transaction, as in `isthmus parked retry`."""


class Wanted(NamedTuple):
    """Which letters: those to which everything applies that is said. Nothing said means all."""

    txns: frozenset[str] = frozenset()
    key: str | None = None
    reason: str | None = None

    def fits(self, letter: Addressed) -> bool:
        """Say whether a letter is meant."""
        return (
            (not self.txns or letter.txn in self.txns)
            and self.key in {None, letter.key}
            and self.reason in {None, letter.reason}
        )


class Tools(NamedTuple):
    """What a redrive works with."""

    mailbox: Mailbox
    letters: LetterDecider
    redriver: Redriver
    read: Callable[[Message], Waiting]
    """Reads a letter. Raises `Poison` for one without its event, or that is not ours."""
    in_lot: Callable[[str, str], Waiting | None]
    """Finds a change of a key, by its ID, in the parking lot."""
    is_done: Callable[[str, str], bool]
    """Says of a change of a key, by its ID, whether it is known to have been decided for good."""
    brake: LetterBrake | None = None
    """Says whether anything may be parked; None: as much as there is."""


class _InHand(NamedTuple):
    message: Message
    letter: Addressed
    until: float
    """The moment, of the monotonic clock, from which on it is not begun any more."""


class RedrivingLetters:
    """One run. `told` says at every moment how it stands."""

    def __init__(
        self,
        tools: Tools,
        wanted: Wanted,
        *,
        most: int,
        not_before_ms: int,
        ask: Ask,
        pace: Pace,
        clock: Clock,
        stop: Stop,
        rehearse: bool = False,
    ) -> None:
        """Look at `most` messages at most. What was parked before `not_before_ms` is not tried."""
        self.told = Told()
        self._tools = tools
        self._wanted = wanted
        self._most = most
        self._not_before_ms = not_before_ms
        self._ask = ask
        self._pace = pace
        self._clock = clock
        self._stop = stop
        self._rehearse = rehearse
        self._kept: dict[str, Message] = {}
        """By identity: those that stay in the queue, without what they hold."""
        self._gone: set[str] = set()

    def run(self, tell: Callable[[Told], object]) -> None:
        """Try every letter that is wanted.

        Raises `Stopped` between two letters when a stop is requested, and what `ask` and the remaking raise. What was
        done until then is done, and everything else is given back to the queue.
        """
        portion = list[_InHand]()
        try:
            while portion := self._portion():
                while portion:
                    if self._stop.requested():
                        raise Stopped
                    self._take(portion[0])
                    del portion[0]
                    tell(self.told)
        finally:
            # Whatever ended it is what there is to tell; they come back by themselves.
            with suppress(IsthmusError):
                self._tools.mailbox.release([*self._kept.values(), *(each.message for each in portion)])

    def _portion(self) -> list[_InHand]:
        """Give the next letters that are wanted, in the order of the stream; none where nothing new lies there."""
        found, size, idle = list[_InHand](), 0, 0
        while len(found) < _PORTION and size < _PORTION_BYTES and idle < IDLE:
            if self._stop.requested():
                raise Stopped
            if self.told.looked >= self._most:
                self.told.more = True
                break
            begun = self._clock.monotonic()
            most = min(MOST_LETTERS, self._most - self.told.looked)
            new = [each for each in self._ask(partial(self._tools.mailbox.receive, most, HOLD)) if self._is_new(each)]
            idle = 0 if new else idle + 1
            for message in new:
                self.told.looked += 1
                size += len(message.body)
                letter = self._wanted_letter(message)
                if letter is not None:
                    found.append(_InHand(message, letter, begun + HOLD - _NEEDED))
        return sorted(found, key=lambda each: (each.letter.key, len(each.letter.sequence), each.letter.sequence))

    def _is_new(self, message: Message) -> bool:
        if message.identity in self._gone:
            # It was deleted by an old receipt, which SQS may have ignored.
            self._ask(partial(self._tools.mailbox.delete, message))
            return False
        if message.identity in self._kept:
            self._keep(message)
            return False
        return True

    def _wanted_letter(self, message: Message) -> Addressed | None:
        try:
            letter = addressed(message)
        except Poison as poison:
            self._foreign(message, poison)
            return None
        if not self._wanted.fits(letter):
            self._keep(message)
            return None
        return letter

    def _take(self, in_hand: _InHand) -> None:
        message, letter = in_hand.message, in_hand.letter
        if self._clock.monotonic() >= in_hand.until:
            # Others may have it soon. It comes again, to us or to them.
            self.told.looked -= 1
            self._tools.mailbox.release([message])
            return
        self.told.chosen += 1
        if letter.parked_ms < self._not_before_ms:
            self.told.old += 1
            self._keep(message)
            return
        try:
            waiting = self._ask(partial(self._tools.read, message))
        except Poison as poison:
            self._without_event(message, letter, poison)
            return
        self._try(message, waiting)

    def _try(self, message: Message, waiting: Waiting) -> None:
        begun = self._clock.monotonic()
        braked = self._braked(waiting)
        if braked:
            self.told.stop(waiting.key, StillPoison(waiting.txn, PARK_BRAKE, braked, "brake"))
            self._keep(message)
            return
        found = self._ask(partial(self._tools.letters.decide, waiting, rehearse=self._rehearse))
        if found.waits:
            self._through_the_lot(message, waiting)
            return
        self.told.outcomes.update(found.outcomes)
        self._pace.rest(max(1, sum(found.outcomes.values())), begun)
        if found.closed:
            self.told.stop(waiting.key, StillPoison(waiting.txn, GATE_CLOSED, found.closed, "gate"))
            self._keep(message)
        elif found.hangs:
            self.told.stop(waiting.key, StillPoison(waiting.txn, HANDLER_HANGS, found.hangs, "handler"))
            self._keep(message)
        elif found.stopped is not None:
            # Durable in the lot, with a copy in the outbox that will be a letter of its own.
            self.told.stop(waiting.key, found.stopped)
            if self._tools.brake is not None and not self._rehearse:
                self._tools.brake.parked(found.stopped.reason, waiting.key)
            self._forget(message)
        elif Outcome.PARKED in found.outcomes:
            # What became of it waits under another key.
            self.told.stop(waiting.key, StillPoison(waiting.txn, waiting.reason, "", ""))
            self._keep(message)
        else:
            self.told.done += 1
            self._forget(message)

    def _braked(self, waiting: Waiting) -> str:
        """Say why a letter may not be tried, of which nobody knows whether it is poison still."""
        if self._tools.brake is None or self._rehearse:
            return ""
        why = self._ask(self._tools.brake.why)
        # What waits in the lot is parked already, and no more than it was where it stays.
        return "" if why and self._ask(partial(self._tools.letters.waits, waiting)) else why

    def _through_the_lot(self, message: Message, waiting: Waiting) -> None:
        """Redrive the key as far as its letter's change: nothing of a key overtakes."""
        while True:
            begun = self._clock.monotonic()
            again = partial(self._tools.redriver.redrive, waiting.key, most=_AT_ONCE, rehearse=self._rehearse)
            found = self._ask(again)
            self.told.outcomes.update(found.outcomes)
            self._pace.rest(max(1, sum(found.outcomes.values())), begun)
            if self._rehearse or not self._ask(partial(self._tools.letters.waits, waiting)):
                break
            if found.stopped is not None:
                self.told.stop(waiting.key, found.stopped)
                self._keep(message)
                return
            if self._stop.requested():
                raise Stopped
        if self._rehearse and found.stopped is not None:
            self.told.stop(waiting.key, found.stopped)
        else:
            self.told.done += 1
        self._forget(message)

    def _without_event(self, message: Message, letter: Addressed, poison: Poison) -> None:
        if poison.reason == NOT_OURS:
            self.told.chosen -= 1
            self._foreign(message, poison)
            return
        waiting = self._ask(partial(self._tools.in_lot, letter.key, letter.txn))
        if waiting is not None:
            self._through_the_lot(message, waiting)
        elif self._ask(partial(self._tools.is_done, letter.key, letter.txn)):
            self.told.outcomes[Outcome.DUPLICATE] += 1
            self.told.done += 1
            self._forget(message)
        else:
            self.told.lost += 1
            self._keep(message)

    def _foreign(self, message: Message, poison: Poison) -> None:
        self.told.name(foreign_as_json(message, poison.message))
        self._keep(message)

    def _keep(self, message: Message) -> None:
        self._kept[message.identity] = message._replace(body="", attributes={})

    def _forget(self, message: Message) -> None:
        if self._rehearse:
            self._keep(message)
            return
        self._ask(partial(self._tools.mailbox.delete, message))
        self._gone.add(message.identity)
