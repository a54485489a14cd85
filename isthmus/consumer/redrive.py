"""Out of the parking lot: apply what waits, a key at a time, or let an operator edit or discard it.

A redrive runs each change through the whole decision again, but for the fence, in one transaction that holds the key's
lock: a live change of that key comes before it or after it, and never between. It stops at the first change that is
poison again, since nothing of a key overtakes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from isthmus.change import RAW_KEY_PREFIX, VERSION_DIGITS, Change, Outcome, Verb, settled_row
from isthmus.checkpoint.gates import Closing, View
from isthmus.clock import Clock
from isthmus.codec import decode
from isthmus.consumer.batch import Batch
from isthmus.consumer.deciding import BEHIND, Memory, drained
from isthmus.consumer.gates import Gatekeeper, OpenGates, keeps_back, with_mirrored
from isthmus.consumer.lending import Lending, Patient
from isthmus.consumer.stores.lot import Audited, Deed, Waiting
from isthmus.consumer.stores.poisoned import Undone
from isthmus.consumer.stores.port import Delivered, Entity, Log, Refusal, Session, Unit
from isthmus.errors import HandlerHangs, Poison

GATE_CLOSED: Final = "gate-closed"
"""Why a key stops that is not poison at all: a gate keeps its first change back."""


class Remake(Protocol):
    """Makes changes anew of what waits, with the code of now: decoded, translated, its payload fetched."""

    def __call__(self, waiting: Waiting) -> Sequence[Change]:
        """Give the changes, none where a row is filtered now.

        The change's own key and ID stay, unless they could not be known before. Raises `Poison` where it is poison
        before it is even tried, and `Transient` when something that it needs is away.
        """
        ...


class StillPoison(NamedTuple):
    """The change at which a key stopped, and why."""

    txn: str
    reason: str
    message: str
    stage: str


@dataclass(frozen=True, slots=True)
class Redriven:
    """What became of the first changes of a key."""

    outcomes: Mapping[str, int] = field(default_factory=dict)
    """How many, by outcome. One waiting change may have become several, or none (`filtered`)."""
    stopped: StillPoison | None = None
    """The change that is first now, where it is poison again."""
    left: bool = False
    """Whether more may wait behind those that were tried; call again. Never beside `stopped`."""


def hanging(waiting: Waiting, hangs: HandlerHangs) -> StillPoison:
    """Give the answer to a handler that does not come back: the change waits as it is, not even counted as tried."""
    return StillPoison(waiting.txn, hangs.cause, hangs.message, "handler")


class Redriver(Protocol):
    """The parking lot of one front office, for changing it.

    Every method is atomic for its key, and raises `TargetDown` or `Transient` when the store is away: then nothing has
    changed, or a commit's answer was lost; all are safe to repeat.
    """

    def redrive(self, key: str, *, most: int = 500, rehearse: bool = False) -> Redriven:
        """Try the first changes of a key, at most so many in one transaction.

        With `rehearse` everything is done and undone: it says what would happen, and leaves nothing behind.
        """
        ...

    def discard(self, key: str, txns: Sequence[str], *, who: str, why: str) -> int:
        """Take changes out for good; give how many. Their IDs stay settled, they themselves are kept in the audit."""
        ...

    def edit(self, key: str, old: Waiting, event: bytes, *, who: str, why: str) -> bool:
        """Put another event in a change's place, and keep the old one in the audit.

        Gives False, and changes nothing, where it is not any more what `old` says.
        """
        ...

    def close(self) -> None:
        """Give connections back. Safe to repeat."""
        ...


class _Rehearsed(Exception):  # noqa: N818 - no error: it undoes what was tried
    """Ends a transaction that shall leave nothing behind."""


class TransactionalRedriver:
    """The `Redriver` of a store where a batch is one transaction."""

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
        """Redrive what no gate keeps back; `gates` None: all are open.

        `lending` is this redriver's alone, and is closed with it; None: a handler may take as long as it likes.
        """
        self._lending = lending or Patient()
        self._gates = gates or OpenGates()
        self._session = session
        self._entities = entities
        self._remake = remake
        self._clock = clock
        self._history = history

    def redrive(self, key: str, *, most: int = 500, rehearse: bool = False) -> Redriven:
        """Try the first changes of a key."""
        # Remade outside of the transaction: a translator may take its time, and a payload has to be fetched.
        with self._session.unit() as unit:
            found = unit.waiting(key, most)
        remade = [(waiting, self._remade(waiting)) for waiting in found]
        try:
            return self._tried(key, remade, full=len(found) == most, rehearse=rehearse)
        except HandlerHangs as hangs:
            if len(remade) > 1:
                # What comes before it is not to wait for it.
                return self.redrive(key, most=len(remade) // 2, rehearse=rehearse)
            return Redriven({str(Outcome.PARKED): 1}, hanging(remade[0][0], hangs))
        except Undone as undone:
            if len(remade) > 1:
                return self.redrive(key, most=1, rehearse=rehearse)
            refused = [(waiting, Refusal(undone.poison, "store")) for waiting, _ in remade]
            return self._tried(key, refused, full=True, rehearse=rehearse)

    def discard(self, key: str, txns: Sequence[str], *, who: str, why: str) -> int:
        """Take changes out for good."""
        log = self._log()
        with self._session.unit() as unit:
            for waiting in unit.waiting(key, len(txns), only=txns) if txns else ():
                log.redriven.append((key, waiting.txn))
                log.settled.extend(settled_by(waiting))
                log.audit.append(Audited(Deed.DISCARD, waiting, who, why))
            unit.save(log)
        return len(log.redriven)

    def edit(self, key: str, old: Waiting, event: bytes, *, who: str, why: str) -> bool:
        """Put another event in a change's place."""
        log = self._log()
        with self._session.unit() as unit:
            for waiting in unit.waiting(key, 1, only=[old.txn]):
                if waiting.event == old.event:
                    log.edited[key, waiting.txn] = event
                    log.audit.append(Audited(Deed.EDIT, waiting, who, why, event))
            unit.save(log)
        return bool(log.edited)

    def close(self) -> None:
        """Give the connection back."""
        self._lending.close()
        self._session.close()

    def _log(self) -> Log:
        return Log(self._clock.now_ms(), keeps_history=self._history)

    def _remade(self, waiting: Waiting) -> "Sequence[Change] | Refusal":
        try:
            return self._remake(waiting)
        except Poison as poison:
            return Refusal(poison, "decode" if not waiting.decodable else "translate")

    def _tried(
        self, key: str, remade: "Sequence[tuple[Waiting, Sequence[Change] | Refusal]]", *, full: bool, rehearse: bool
    ) -> Redriven:
        view = self._gates.view()
        attempt = _Attempt(self._entities, self._log(), view, strict=self._gates.strict, lending=self._lending)
        with suppress(_Rehearsed), self._session.unit() as unit:
            # What was edited, discarded or freed meanwhile was remade for nothing.
            there = unit.waiting(key, len(remade))
            # As it waits now: another redrive may have found meanwhile that it is poison of its own.
            same = [(now, made) for (before, made), now in zip(remade, there, strict=False) if _is_same(before, now)]
            full = full or len(same) < len(remade)
            attempt.run(unit, same)
            attempt.log.decided_ms = self._clock.now_ms()
            unit.save(attempt.log)
            if rehearse:
                raise _Rehearsed
            self._gates.confirm(view)
        return Redriven(dict(attempt.outcomes), attempt.stopped, left=full and attempt.stopped is None)


class _Attempt:
    """One transaction's worth of one key."""

    def __init__(self, entities: Mapping[str, Entity], log: Log, view: View, *, strict: bool, lending: Lending) -> None:
        self._lending = lending
        self._entities = entities
        self._view = view
        self._strict = strict
        self.log = log
        self.outcomes: Counter[str] = Counter()
        self.stopped: StillPoison | None = None

    def run(self, unit: Unit, remade: "Sequence[tuple[Waiting, Sequence[Change] | Refusal]]") -> None:
        log = self.log
        parts = [(waiting, _delivered(waiting, made)) for waiting, made in remade]
        memory = unit.load([each.change for _, part in parts for each in part])
        # Fences are for what arrives from the stream: what waits here passed them.
        memory.fences = {}
        view = with_mirrored(self._view, memory.gates, log.decided_ms) if self._strict else self._view
        batch = Batch(unit, memory, self._entities, log, lending=self._lending)
        for waiting, part in parts:
            closing = view.waits or next(filter(None, (self._closing(view, each) for each in part)), None)
            if closing is not None:
                why = f"{closing.name}: {closing.reason}"
                self.stopped = StillPoison(waiting.txn, GATE_CLOSED, why, "gate")
                self.outcomes[Outcome.PARKED] += 1
                return
            _take_out(waiting, memory)
            batch.redriven = place = (waiting.key, waiting.txn)
            outcomes = batch.run(part)
            if place in log.again:
                self.stopped = StillPoison(waiting.txn, *log.again[place][1:4])
                self.outcomes[Outcome.PARKED] += 1
                if waiting.reason == BEHIND:
                    # It only waited behind another one until now, and has no copy for the dead-letter queue yet.
                    log.outbox.append(log.again[place]._replace(event=waiting.event))
                return
            log.redriven.append(place)
            if waiting.edited:
                log.settled.append(waiting.txn)
            self.outcomes.update(str(outcome) for outcome in outcomes if outcome is not None)
            if not part:
                self.outcomes[Outcome.FILTERED] += 1

    def _closing(self, view: View, delivered: Delivered) -> Closing | None:
        return keeps_back(view, delivered.change, self._entities.get(delivered.change.entity))


def settled_by(waiting: Waiting) -> list[str]:
    """Give what is settled when a change is discarded: its ID, and its row, where its key was not known."""
    if not waiting.key.startswith(RAW_KEY_PREFIX):
        return [waiting.txn]
    rows = [settled_row(each) for each in decode(waiting.event) if isinstance(each, Change)]
    return [waiting.txn, *filter(None, rows)]


def _delivered(waiting: Waiting, made: "Sequence[Change] | Refusal") -> list[Delivered]:
    place = (waiting.shard, waiting.sequence, waiting.arrived_ms)
    if isinstance(made, Refusal):
        return [Delivered(_as_it_waits(waiting), *place, waiting.event, made)]
    return [Delivered(change, *place) for change in made]


def _as_it_waits(waiting: Waiting) -> Change:
    return Change(
        id=waiting.txn,
        source=waiting.source,
        entity=waiting.entity,
        verb=Verb.UPSERT,
        key=waiting.key,
        version=waiting.version or "0" * VERSION_DIGITS,
        lane=-1,
        epoch=waiting.epoch,
        time=waiting.detected,
        rowhash=waiting.rowhash,
    )


def _take_out(waiting: Waiting, memory: Memory) -> None:
    """Forget that a change waits, and that its key is parked: what was before it has left the lot."""
    memory.parked.pop((waiting.key, waiting.txn), None)
    memory.newest_parked.pop(waiting.key, None)
    # What is held of its key came later than it, and is decided after it. Of another key nothing is known.
    drained(waiting.key, memory)


def _is_same(waiting: Waiting, now: Waiting) -> bool:
    return (waiting.txn, waiting.event) == (now.txn, now.event)
