"""Rows about gates: flips at any statement, gates that nobody can read, and pauses, on virtual time."""

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final
from unittest.mock import patch

from isthmus.change import Change
from isthmus.checkpoint.gates import LAST_KNOWN_SECONDS, Closing, Covers, Mode, State, View
from isthmus.consumer.feed import Record
from isthmus.consumer.gates import READ_EVERY, Outdated
from isthmus.consumer.processor import ShardProcessor
from isthmus.errors import Refused, TargetDown
from tests.fakes.store_world import event, upsert
from tests.faults.cases import random_changes, random_cut
from tests.faults.front import model_of, records_of
from tests.faults.gatedesk import BILLING, BOARDS, COMMIT_SECONDS, EVERYTHING, MOST_SECONDS, GatedFront
from tests.faults.row import Context, Result
from tests.simulation import actors
from tests.simulation.ground import folder
from tests.simulation.plan import make_plan
from tests.simulation.world import run

_COVERS: Final = (BOARDS, BILLING, Covers(entity="thing"), Covers(prefix="a"), Covers(prefix="e"), EVERYTHING)
_CHANGES: Final = 14
_DRAIN_SECONDS: Final = 40.0

INSIDE: Final = "a gate closes inside of a transaction"
BETWEEN: Final = "a gate closes between the look at it and the transaction"
WAITING: Final = "a gate closes that makes the shard wait"
KEPT_BACK: Final = "changes that a closed gate kept back"
FLIPS: Final = (INSIDE, BETWEEN, WAITING, KEPT_BACK)


def flips(context: Context) -> Result:
    """F55: gates close and open at any statement of a batch, or of a drain: nothing takes effect behind a closed one.

    A third of all histories has `gate.strict`: there not even within the two seconds.
    """
    result = Result.expecting(FLIPS)
    with folder() as place:
        office = GatedFront(place)
        for seed in range(context.first, context.first + context.goal):
            chance = random.Random(seed)
            changes = random_changes(chance, _CHANGES)
            office.batch_changes = chance.randint(1, 8)
            office.handled = chance.random() < 0.5
            office.anew(chance, changes, strict=seed % 3 == 0)
            office.at = _flipping(office, chance, result)
            _decided(office, records_of(random_cut(chance, changes)), chance, result)
            for sentence in _judged(office, changes):
                result.violated(f"seed {seed}: {sentence}")
            result.counts["histories"] += 1
            context.tell(seed - context.first + 1, context.goal)
        office.end()
    return result


def _flipping(office: GatedFront, chance: random.Random, result: Result) -> Callable[[str], None]:
    inside = False

    def at(statement: str) -> None:
        nonlocal inside
        begins = statement.startswith("BEGIN")
        inside = (inside or begins) and statement not in {"COMMIT", "ROLLBACK"}
        # A mirror is written in the store, which the transaction has for itself: that gate closes before it, or after.
        may = begins or not office.strict
        if may and chance.random() < (0.3 if begins else 0.04):
            covers = chance.choice(_COVERS)
            mode = Mode.WAIT if covers.everything and chance.random() < 0.5 else Mode.HOLD
            office.shut(covers, seconds=chance.uniform(0.2, 12.0), mode=mode)
            result.struck(BETWEEN if begins else INSIDE)
            result.struck(WAITING, int(mode is Mode.WAIT))
        if statement == "COMMIT":
            if not office.strict:
                office.clock.move(chance.uniform(0.0, COMMIT_SECONDS))
        elif may and chance.random() < 0.1:
            office.clock.move(chance.uniform(0.0, 2.5))

    return at


def _decided(office: GatedFront, records: Sequence[Record], chance: random.Random, result: Result) -> None:
    for record in records:
        office.processor.process([record])
        result.struck(KEPT_BACK, office.held())
        office.clock.move(chance.choice([0.0, 0.3, 3.0]))
        if chance.random() < 0.4:
            office.drain()


def _judged(office: GatedFront, changes: Sequence[Change]) -> Iterator[str]:
    """Let every gate be open, drain, and compare with what would be there had none ever closed."""
    office.at = lambda _statement: None
    begun = office.clock.monotonic()
    while office.held() or (office.closed and office.clock.monotonic() < max(each.until for each in office.closed)):
        office.clock.move(1.0)
        office.drain()
        if office.clock.monotonic() > begun + _DRAIN_SECONDS:
            yield f"I8: {office.held()} are held {_DRAIN_SECONDS:g} s later"
            break
    yield from office.late
    yield from office.wrong(model_of(changes))


MISSING, UNREADABLE, UNREACHABLE = "missing", "not readable", "not reachable"
_TROUBLES: Final = (MISSING, UNREADABLE, UNREACHABLE)
AT_START, BETWEEN_BATCHES, IN_A_TRANSACTION, DRAINED = (
    "at the start",
    "between two batches",
    "inside of a transaction",
    "while it is drained",
)
_MOMENTS: Final = (AT_START, BETWEEN_BATCHES, IN_A_TRANSACTION, DRAINED)
CASES: Final = tuple((trouble, moment) for trouble in _TROUBLES for moment in _MOMENTS)
_TROUBLE_SECONDS: Final = 30.0
_ERRORS: Final[dict[str, Callable[[], Exception]]] = {
    UNREADABLE: lambda: Refused("The item of the gate cannot be read."),
    UNREACHABLE: lambda: TargetDown("away"),
}


def unknown(context: Context) -> Result:
    """F56: each trouble at each moment: closed as soon as the last reading is too old, and open again afterwards."""
    result = Result.expecting(f"{trouble} {moment}" for trouble, moment in CASES)
    with folder() as place:
        office = GatedFront(place, declared=[BOARDS])
        for seed in range(3 if context.full else 1):
            for trouble, moment in CASES:
                chance = random.Random(f"{seed}/{trouble}/{moment}")
                for sentence in _Unknown(office, chance, trouble, moment).run(result):
                    result.violated(f"seed {seed}, {trouble} {moment}: {sentence}")
                result.counts["cases"] = len(CASES)
                context.tell(result.counts["cases"], len(CASES))
        office.end()
    return result


class _Unknown:
    """One case: a front office that works, the trouble for half a minute, and what came meanwhile."""

    def __init__(self, office: GatedFront, chance: random.Random, trouble: str, moment: str) -> None:
        self._office, self._chance = office, chance
        self._trouble, self._moment = trouble, moment
        self._since: float | None = None
        keys = [f"k{number}" for number in range(6)]
        self._changes = [upsert(number, key) for number, key in enumerate(keys, 1)]
        self._changes += [event(number, f"e{key}") for number, key in enumerate(keys, 1)]
        self._changes += [upsert(10 + number, key) for number, key in enumerate(keys, 1)]

    def run(self, result: Result) -> Iterator[str]:
        office = self._office
        office.batch_changes, office.handled = 2, self._chance.random() < 0.5
        office.anew(random.Random(1), self._changes, strict=self._chance.random() < 0.3)
        office.open_declared()
        records = records_of([self._changes[at : at + 3] for at in range(0, len(self._changes), 3)])
        match self._moment:
            case _ if self._moment == AT_START:
                self._begin(read_before=False)
            case _ if self._moment == IN_A_TRANSACTION:
                office.at = self._in_the_transaction
            case _ if self._moment == DRAINED:
                office.shut(BOARDS, seconds=3.0)
                office.reader.turn()
        office.processor.process(records[:2])
        if self._moment == DRAINED:
            office.clock.move(3.0)
        if self._moment in {DRAINED, BETWEEN_BATCHES}:
            self._begin()
        if self._since is None:
            yield "the trouble never came"
            return
        # As old as a reading may be, and as late as the next one can be.
        office.clock.move(max(0.0, self._since + MOST_SECONDS - office.clock.monotonic()))
        office.drain()
        office.processor.process(records[2:])
        if self._trouble == MISSING and not office.held():
            yield "nothing was kept back, so nothing was shown"
        result.struck(f"{self._trouble} {self._moment}")
        yield from self._late()
        office.clock.move(_TROUBLE_SECONDS)
        yield from _judged(office, self._changes)

    def _begin(self, *, read_before: bool = True) -> None:
        office = self._office
        self._since = since = office.clock.monotonic()
        if self._trouble == MISSING:
            (gate,) = [gate for gate in office.gates.read_all() if gate.covers == BOARDS]
            office.gates.lose(gate)
            office.clock.at(since + _TROUBLE_SECONDS, office.open_declared)
        else:
            office.gates.error = _ERRORS[self._trouble]()
            office.clock.at(since + _TROUBLE_SECONDS, self._over)
        if not read_before:
            # Another process: it has never read anything.
            office.life()
            office.reader.turn()

    def _over(self) -> None:
        self._office.gates.error = None

    def _in_the_transaction(self, statement: str) -> None:
        # Before the gates are asked for the last time: only the commit itself comes after that.
        if not statement.startswith(("BEGIN", "COMMIT")) and self._since is None:
            self._begin()
            self._office.clock.move(LAST_KNOWN_SECONDS + READ_EVERY + 0.1)

    def _late(self) -> Iterator[str]:
        assert self._since is not None
        begun = self._since + (0.0 if self._moment == AT_START else MOST_SECONDS)
        for txn, at in self._office.effects_at.items():
            is_covered = self._trouble != MISSING or txn.startswith("k")
            if is_covered and begun <= at < self._since + _TROUBLE_SECONDS:
                yield f"I7: {txn} took effect {at - self._since:.2f} s after the gates could not be read"


PAUSED: Final = "a gate kept shards standing for longer than a lease lasts"
_LEASE_SECONDS: Final = 5.0


class _Pause:
    """A `Gatekeeper` that is closed for some time, by the clock of its process."""

    strict = False

    def __init__(self, clock: Any, begin: float, end: float, stood: list[float]) -> None:
        self._clock, self._begin, self._end, self._stood = clock, begin, end, stood

    def view(self) -> View:
        closed = self._begin <= self._clock.monotonic() < self._end
        if closed:
            self._stood.append(self._clock.monotonic())
        why = Closing(EVERYTHING, State.CLOSED, Mode.WAIT, "moving", "ada", 0)
        return View((), why if closed else None, 0.0, int(closed))

    def confirm(self, view: View) -> None:
        if self.view().revision != view.revision:
            raise Outdated


def paused(context: Context) -> Result:
    """F57: in the whole simulated pipeline a gate stops all shards for longer than a lease lasts."""
    result = Result.expecting([PAUSED])
    for seed in range(context.first, context.first + 3 * context.goal):
        if result.counts["histories"] >= context.goal:
            break
        chance = random.Random(seed)
        plan = replace(make_plan(seed), faults=())
        begin = chance.uniform(0.2, 5.0)
        end, stood = begin + chance.uniform(7.0, 14.0), list[float]()

        def standing(*arguments: Any, **named: Any) -> ShardProcessor:
            return ShardProcessor(*arguments, **named, gates=_Pause(named["clock"], begin, end, stood))  # noqa: B023 - used at once

        with patch.object(actors, "ShardProcessor", standing):
            verdict = run(plan)
        if stood and max(stood) - min(stood) > _LEASE_SECONDS:
            result.struck(PAUSED)
            result.counts["histories"] += 1
        for sentence in verdict.violations:
            result.violated(f"seed {seed}: {sentence}")
        for line in verdict.trace:
            if "consumer" in line and ("has ended" in line or "ends:" in line):
                result.violated(f"seed {seed}: the consumer did not live through the pause: {line}")
        context.tell(seed - context.first + 1, context.goal)
    return result
