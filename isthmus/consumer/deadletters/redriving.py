"""One dead letter is decided: whatever became of its change meanwhile, it takes effect at most once.

A change that waits in the parking lot is left to the lot's own redrive, which keeps its order. Any other one runs
through the whole decision again, but for the fence: it took effect, or was settled, and is a duplicate; or a newer one
did; or it is tried, and parked again where it is poison still. The queue keeps no order, so what a lost lot knew of the
order among the events of a key is lost.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from isthmus.change import Change, Outcome, Verb
from isthmus.checkpoint.gates import View
from isthmus.clock import Clock
from isthmus.consumer.batch import Batch
from isthmus.consumer.deciding import count
from isthmus.consumer.gates import Gatekeeper, OpenGates, keeps_back, with_mirrored
from isthmus.consumer.lending import Lending, Patient
from isthmus.consumer.redrive import Remake, StillPoison
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.poisoned import Undone
from isthmus.consumer.stores.port import Delivered, Entity, Log, Parking, Refusal, Session
from isthmus.errors import HandlerHangs, Poison


@dataclass(frozen=True, slots=True)
class Decided:
    """What became of a letter's change. Of one letter may have become several, or none (`filtered`)."""

    outcomes: Mapping[str, int] = field(default_factory=dict)
    waits: bool = False
    """It waits in the parking lot as it is, and nothing was done."""
    stopped: StillPoison | None = None
    """Why it was parked anew, where it was: it is poison still, and the outbox has a new copy."""
    closed: str = ""
    """The gate that keeps it back, and why it is closed: nothing was done."""
    hangs: str = ""
    """That a handler took too long: nothing was done, but where each change is a transaction of its own, those of the
    letter's changes before that one are decided."""


class LetterDecider(Protocol):
    """Decides letters in one front office.

    Both methods raise `TargetDown` or `Transient` when the store is away, and what the remaking raises but `Poison`;
    then nothing has changed, a commit's answer was lost, or, where each change is a transaction of its own, a part of
    a letter's changes is decided. Both are safe to repeat.
    """

    def decide(self, letter: Waiting, *, rehearse: bool = False) -> Decided:
        """Decide a letter. What it returns is durable, or, with `rehearse`, would be: then nothing is left behind."""
        ...

    def waits(self, letter: Waiting) -> bool:
        """Say whether the letter's change waits in the parking lot."""
        ...

    def close(self) -> None:
        """Give connections back. Safe to repeat."""
        ...


class _Rehearsed(Exception):  # noqa: N818 - no error: it undoes what was tried
    """Ends a transaction that shall leave nothing behind."""


class TransactionalLetters:
    """The `LetterDecider` of a store where a batch is one transaction."""

    def __init__(
        self,
        session: Session,
        entities: Mapping[str, Entity],
        remake: Remake,
        clock: Clock,
        *,
        history: bool,
        gates: Gatekeeper | None = None,
        lending: Lending | None = None,
    ) -> None:
        """Decide what no gate keeps back; `gates` None: all are open.

        `lending` is this one's alone, and is closed with it; None: a handler may take as long as it likes.
        """
        self._lending = lending or Patient()
        self._gates = gates or OpenGates()
        self._session = session
        self._entities = entities
        self._remake = remake
        self._clock = clock
        self._history = history

    def decide(self, letter: Waiting, *, rehearse: bool = False) -> Decided:
        """Decide a letter."""
        if self.waits(letter):
            return Decided(waits=True)
        # Outside of the transaction: a translator may take its time, and a payload has to be fetched.
        made = deliveries(letter, remade(self._remake, letter))
        try:
            return self._decided(letter, made, rehearse=rehearse)
        except Undone as undone:
            # Refused at the commit, nobody knows for which of them: the letter is parked as it is.
            refused = deliveries(letter, Refusal(undone.poison, "store"))
            return self._decided(letter, refused, rehearse=rehearse)
        except HandlerHangs as hangs:
            return Decided(hangs=hangs.message)

    def waits(self, letter: Waiting) -> bool:
        """Say whether the letter's change waits in the parking lot."""
        with self._session.unit() as unit:
            return bool(unit.waiting([letter.key], 1, only=[letter.txn]))

    def close(self) -> None:
        """Give the connection back."""
        self._lending.close()
        self._session.close()

    def _decided(self, letter: Waiting, made: Sequence[Delivered], *, rehearse: bool) -> Decided:
        log, found, view = Log(self._clock.now_ms(), keeps_history=self._history), Decided(), self._gates.view()
        with suppress(_Rehearsed), self._session.unit() as unit:
            # Asked again under the lock: it may have come over the stream meanwhile.
            if unit.waiting([letter.key], 1, only=[letter.txn]):
                return Decided(waits=True)
            # Its own name too: what could not be read has another one now, and was settled under this one.
            memory = unit.load([*(each.change for each in made), as_it_waits(letter)])
            if letter.txn in memory.settled:
                return Decided({str(Outcome.DUPLICATE): 1})
            if self._gates.strict:
                view = with_mirrored(view, memory.gates, log.decided_ms)
            closed = kept_back(view, made, self._entities)
            if closed:
                return Decided(closed=closed)
            # Fences are for what arrives from the stream: what was parked had passed them.
            memory.fences = {}
            outcomes = Batch(unit, memory, self._entities, log, lending=self._lending).run(made)
            found = told([each for each in outcomes if each is not None], next(iter(log.parked.values()), None))
            log.decided_ms = self._clock.now_ms()
            unit.save(log)
            if rehearse:
                raise _Rehearsed
            self._gates.confirm(view)
        return found


def kept_back(view: View, made: Sequence[Delivered], entities: Mapping[str, Entity]) -> str:
    """Say what gate keeps back any of the changes, and why it is closed; an empty text where none does."""
    closings = (keeps_back(view, each.change, entities.get(each.change.entity)) for each in made)
    closing = view.waits or next(filter(None, closings), None)
    return "" if closing is None else f"{closing.name}: {closing.reason}"


def remade(remake: Remake, letter: Waiting) -> Sequence[Change] | Refusal:
    """Give the changes of a letter with the code of now, or why there are none."""
    try:
        return remake(letter)
    except Poison as poison:
        return Refusal(poison, "translate" if letter.decodable else "decode")


def deliveries(letter: Waiting, made: Sequence[Change] | Refusal) -> list[Delivered]:
    """Give what is tried: the changes that were made anew, or the letter's own, refused."""
    place = (letter.shard, letter.sequence, letter.arrived_ms)
    if isinstance(made, Refusal):
        return [Delivered(as_it_waits(letter), *place, letter.event, made)]
    return [Delivered(change, *place) for change in made]


def as_it_waits(letter: Waiting) -> Change:
    """Give a change with the names of what is in a letter, and nothing of its content."""
    return Change(
        id=letter.txn,
        source=letter.source,
        entity=letter.entity,
        verb=Verb.UPSERT,
        key=letter.key,
        version=letter.version,
        lane=-1,
        epoch=letter.epoch,
        time=letter.detected,
        rowhash=letter.rowhash,
    )


def told(outcomes: Sequence[Outcome], parking: Parking | None) -> Decided:
    """Put together what became of the changes of a letter; `parking` is the first that was parked now."""
    stopped = None
    if parking is not None:
        txn = parking.delivered.change.id
        stopped = StillPoison(txn, parking.reason, parking.message, parking.stage)
    return Decided(count(outcomes) or {str(Outcome.FILTERED): 1}, stopped=stopped)
