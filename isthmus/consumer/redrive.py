"""Out of the parking lot: apply what waits, a key at a time, or let an operator edit or discard it.

A redrive runs each change through the whole decision again, but for the fence, in one transaction that holds the key's
lock: a live change of that key comes before it or after it, and never between. It stops at the first change that is
poison again, since nothing of a key overtakes.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final, NamedTuple, Protocol

from isthmus.change import RAW_KEY_PREFIX, VERSION_DIGITS, Change, Outcome, Verb, settled_row
from isthmus.checkpoint.gates import View
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
    size: int = field(default=0, compare=False)
    """Bytes of the events that were looked at."""


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

    def redrive_all(self, keys: Sequence[str], *, each: int, rehearse: bool = False) -> dict[str, Redriven]:
        """Try the first changes of several keys, of each at most so many: each key as `redrive` does.

        One transaction may do for many keys. The keys are distinct. Not every key need be in the answer: those that
        are not were not tried, and the first always is. No keys, no answers.
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
        return self.redrive_all([key], each=most, rehearse=rehearse)[key]

    def redrive_all(self, keys: Sequence[str], *, each: int, rehearse: bool = False) -> dict[str, Redriven]:
        """Try the first changes of several keys."""
        if not keys:
            return {}
        # Remade outside of the transaction: a translator may take its time, and a payload has to be fetched.
        with self._session.unit() as unit:
            # One more than is tried: whoever asks need not come again for nothing.
            found = _by_key(keys, unit.waiting(keys, each + 1))
        lines = _together({key: [(row, self._remade(row)) for row in rows[:each]] for key, rows in found.items()})
        more = {key for key in lines if len(found[key]) > each}
        try:
            return self._tried(lines, more, rehearse=rehearse)
        except (HandlerHangs, Undone) as error:
            return self._fewer(lines, more, each, error, rehearse=rehearse)

    def _fewer(
        self, lines: "_Lines", more: Collection[str], each: int, error: HandlerHangs | Undone, *, rehearse: bool
    ) -> dict[str, Redriven]:
        """Try half of it: what comes before the one at fault is not to wait for it, and it shows when it is alone."""
        if len(lines) > 1:
            return self.redrive_all(list(lines)[: len(lines) // 2], each=each, rehearse=rehearse)
        ((key, line),) = lines.items()
        if len(line) > 1:
            return self.redrive_all([key], each=len(line) // 2, rehearse=rehearse)
        if isinstance(error, HandlerHangs):
            return {key: Redriven({str(Outcome.PARKED): 1}, hanging(line[0][0], error))}
        refused = [(waiting, Refusal(error.poison, "store")) for waiting, _ in line]
        return self._tried({key: refused}, more, rehearse=rehearse)

    def discard(self, key: str, txns: Sequence[str], *, who: str, why: str) -> int:
        """Take changes out for good."""
        log = self._log()
        with self._session.unit() as unit:
            for waiting in unit.waiting([key], len(txns), only=txns) if txns else ():
                log.redriven.append((key, waiting.txn))
                log.settled.extend(settled_by(waiting))
                log.audit.append(Audited(Deed.DISCARD, waiting, who, why))
            unit.save(log)
        return len(log.redriven)

    def edit(self, key: str, old: Waiting, event: bytes, *, who: str, why: str) -> bool:
        """Put another event in a change's place."""
        log = self._log()
        with self._session.unit() as unit:
            for waiting in unit.waiting([key], 1, only=[old.txn]):
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

    def _tried(self, lines: "_Lines", more: Collection[str], *, rehearse: bool) -> dict[str, Redriven]:
        view = self._gates.view()
        attempt = _Attempt(self._entities, self._log(), view, strict=self._gates.strict, lending=self._lending)
        with suppress(_Rehearsed), self._session.unit() as unit:
            # What was edited, discarded or freed meanwhile was remade for nothing.
            there = _by_key(list(lines), unit.waiting(list(lines), max(map(len, lines.values()))))
            # As it waits now: another redrive may have found meanwhile that it is poison of its own.
            same = {
                key: [
                    (now, made) for (before, made), now in zip(line, there[key], strict=False) if _is_same(before, now)
                ]
                for key, line in lines.items()
            }
            attempt.run(unit, same)
            attempt.log.decided_ms = self._clock.now_ms()
            unit.save(attempt.log)
            if rehearse:
                raise _Rehearsed
            self._gates.confirm(view)
        return {
            key: Redriven(
                dict(attempt.outcomes[key]),
                stopped := attempt.stopped.get(key),
                left=stopped is None and (key in more or len(same[key]) < len(line)),
                size=sum(len(waiting.event) for waiting, _ in line),
            )
            for key, line in lines.items()
        }


class _Try(NamedTuple):
    """What is tried of one waiting change."""

    waiting: Waiting
    part: Sequence[Delivered]


class _Attempt:
    """One transaction's worth of some keys."""

    def __init__(self, entities: Mapping[str, Entity], log: Log, view: View, *, strict: bool, lending: Lending) -> None:
        self._lending = lending
        self._entities = entities
        self._view = view
        self._strict = strict
        self.log = log
        self.outcomes: dict[str, Counter[str]] = {}
        self.stopped: dict[str, StillPoison] = {}

    def run(self, unit: Unit, lines: "_Lines") -> None:
        log = self.log
        tries = [[_Try(waiting, _delivered(waiting, made)) for waiting, made in line] for line in lines.values()]
        memory = unit.load([each.change for line in tries for one in line for each in one.part])
        # Fences are for what arrives from the stream: what waits here passed them.
        memory.fences = {}
        if self._strict:
            self._view = with_mirrored(self._view, memory.gates, log.decided_ms)
        self.outcomes = {key: Counter() for key in lines}
        batch = Batch(unit, memory, self._entities, log, lending=self._lending)
        # The first of each key together, then the second of each: keys have no order among each other.
        for turn in zip_longest(*tries):
            self._turn([one for one in turn if one is not None and one.waiting.key not in self.stopped], batch, memory)

    def _turn(self, turn: Sequence[_Try], batch: Batch, memory: Memory) -> None:
        tried = [one for one in turn if not self._is_kept_back(one)]
        for one in tried:
            _take_out(one.waiting, memory)
        batch.redriven = {_place(one) for one in tried}
        outcomes = iter(batch.run([each for one in tried for each in one.part]))
        for one in tried:
            self._tell(one, [next(outcomes) for _ in one.part])

    def _is_kept_back(self, one: _Try) -> bool:
        """Stop a key where a gate is closed, and say so."""
        closings = (keeps_back(self._view, each.change, self._entities.get(each.change.entity)) for each in one.part)
        closing = self._view.waits or next(filter(None, closings), None)
        if closing is None:
            return False
        why = f"{closing.name}: {closing.reason}"
        self._stop(one, StillPoison(one.waiting.txn, GATE_CLOSED, why, "gate"))
        return True

    def _tell(self, one: _Try, outcomes: Sequence[Outcome | None]) -> None:
        waiting, log, place = one.waiting, self.log, _place(one)
        if place in log.again:
            self._stop(one, StillPoison(waiting.txn, *log.again[place][1:4]))
            if waiting.reason == BEHIND:
                # It only waited behind another one until now, and has no copy for the dead-letter queue yet.
                log.outbox.append(log.again[place]._replace(event=waiting.event))
            return
        log.redriven.append(place)
        if waiting.edited:
            log.settled.append(waiting.txn)
        here = self.outcomes[waiting.key]
        here.update(str(outcome) for outcome in outcomes if outcome is not None)
        if not one.part:
            here[Outcome.FILTERED] += 1

    def _stop(self, one: _Try, poison: StillPoison) -> None:
        self.stopped[one.waiting.key] = poison
        self.outcomes[one.waiting.key][Outcome.PARKED] += 1


_Lines = Mapping[str, "Sequence[tuple[Waiting, Sequence[Change] | Refusal]]"]
"""By key: what waits of it, in its order, and what was made of it."""


def _by_key(keys: Sequence[str], found: Sequence[Waiting]) -> dict[str, list[Waiting]]:
    lines: dict[str, list[Waiting]] = {key: [] for key in keys}
    for waiting in found:
        lines[waiting.key].append(waiting)
    return lines


def _together(lines: _Lines) -> _Lines:
    """Give the keys that may share a transaction with the first one.

    A turn takes the first of each key out of the lot, and what waits behind it is in nobody's way then. So where a
    change becomes one of another key, which may wait there too, it comes alone.
    """
    shared: dict[str, Sequence[tuple[Waiting, Sequence[Change] | Refusal]]] = {}
    for key, line in lines.items():
        if any(not isinstance(made, Refusal) and any(each.key != key for each in made) for _, made in line):
            return shared or {key: line}
        shared[key] = line
    return shared


def _place(one: _Try) -> tuple[str, str]:
    return one.waiting.key, one.waiting.txn


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
