"""Rows about the copies of poison changes: the real decider, store, outbox and sender, on virtual time.

The queue is in memory, and misbehaves by a seeded plan.
"""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Final

from isthmus.attempts import Attempts
from isthmus.change import Change, Outcome
from isthmus.codec import decode
from isthmus.consumer.deadletters.letters import event_of
from isthmus.consumer.deadletters.port import Letter
from isthmus.consumer.deadletters.sender import Sender
from isthmus.consumer.feed import Record
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.errors import Fatal, TargetDown, Transient
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.greenlets import Killed
from tests.fakes.payloads import MemoryPayloads
from tests.fakes.store_model import ByModel
from tests.faults.cases import random_changes, random_cut
from tests.faults.front import METRICS, Front, front, model_of, records_of, rest_after
from tests.faults.row import Context, Result

AWAY, THROTTLED, DENIED, DEFECT = "the queue away", "throttled", "denied", "an error that nobody knows"
PARTLY, ANSWER_LOST = "some letters refused", "taken, and the answer lost"
SENDER_KILLED = "the sender killed after the queue took letters"
TROUBLES: Final = (AWAY, THROTTLED, DENIED, DEFECT, PARTLY, ANSWER_LOST, SENDER_KILLED)
_CONSUMER_KILLED: Final = "the consumer killed while it decides"
_MOST_TROUBLES: Final = 8
_CHANGES: Final = 12
_BUSY_SECONDS: Final = 60.0
_OVER_SECONDS: Final = 1_200.0
"""The sender waits for a minute at most between two attempts; the troubles are over long before."""
_SMALL: Final = 900
"""Bytes of a message in some histories: what is larger goes to the bucket."""


class Bad:
    """A queue that meets its troubles, one for each request, and then none."""

    def __init__(self, chance: random.Random, troubles: Sequence[str], result: Result) -> None:
        self.taken: list[Letter] = []
        self.again = 0
        """So many letters may have come once more: they were taken, and nobody was told."""
        self._chance = chance
        self._left = list(troubles)
        self._result = result

    def send(self, letters: Sequence[Letter]) -> list[bool]:
        trouble = self._left.pop(0) if self._left else ""
        if trouble:
            self._result.struck(trouble)
        match trouble:
            case "":
                refused = 0
            case _ if trouble == AWAY:
                raise TargetDown("away")
            case _ if trouble == THROTTLED:
                raise Transient("throttled")
            case _ if trouble == DENIED:
                raise Fatal("not allowed")
            case _ if trouble == DEFECT:
                raise ValueError("a defect")
            case _:
                refused = self._chance.randint(1, len(letters)) if trouble == PARTLY else 0
        answers = [place >= refused for place in range(len(letters))]
        self._chance.shuffle(answers)
        self.taken += [letter for letter, is_taken in zip(letters, answers, strict=True) if is_taken]
        if trouble in {ANSWER_LOST, SENDER_KILLED}:
            self.again += len(letters)
            raise Transient("no answer") if trouble == ANSWER_LOST else Killed
        return answers

    @property
    def ids(self) -> list[str]:
        return [letter.attributes["id"] for letter in self.taken]


class Copies:
    """A front office, the queue, and the task that brings copies from the one to the other."""

    def __init__(self, office: Front, queue: Bad, *, limit: int) -> None:
        self.office, self.queue = office, queue
        self.clock, self.payloads = FakeClock(), MemoryPayloads()
        self.stop = FakeStop(self.clock)
        self._limit = limit
        self.sender = self._made()

    def run(self) -> None:
        """Send until a stop is requested; whoever is killed is started anew."""
        while True:
            try:
                self.sender.run()
            except Killed:
                self.sender = self._made()
            else:
                return

    def turn(self) -> int:
        """Send what waits now; one that is killed is started anew."""
        try:
            return self.sender.turn()
        except Killed:
            self.sender = self._made()
            return 0

    def _made(self) -> Sender:
        return Sender(
            SqliteStore(self.office.office.path, []).outbox(),
            self.queue,
            self.payloads,
            stop=self.stop,
            chance=random.Random(1),
            metrics=METRICS,
            attempts=Attempts("dead_letters", METRICS, self.clock),
            limit=self._limit,
        )

    def outbox(self) -> list[str]:
        """Give the IDs of what waits, as anybody but the decider sees it: what is not committed is not there."""
        with closing(sqlite3.connect(self.office.office.path)) as connection:
            return [txn for (txn,) in connection.execute("SELECT txn FROM isthmus_outbox")]

    def wrong(self, changes: Sequence[Change]) -> list[str]:
        """Compare what the queue has with what it must have."""
        must = owed(changes)
        found = [f"I9: a letter for {txn}, which is no poison" for txn in {*self.queue.ids} - must.keys()]
        found += [f"I1: no letter for {txn}" for txn in must.keys() - {*self.queue.ids}]
        found += [f"I8: the outbox holds {txn} still" for txn in self.outbox()]
        for letter in self.queue.taken:
            change = must.get(letter.attributes["id"])
            event = event_of(letter.body, letter.attributes, self.payloads.get)
            if change is not None and list(decode(event)) != [change]:
                found.append(f"I1: the letter of {change.id} holds something else")
        return found


def owed(changes: Sequence[Change]) -> dict[str, Change]:
    """Give the changes of which there must be a copy, by ID: poison by itself, and not only behind another one."""
    model, found = ByModel(), dict[str, Change]()
    for change in changes:
        is_behind = change.entity == "posting" and bool(model.lots.get(change.key))
        was_there = (change.key, change.id) in model.lot
        if model.take(change) is Outcome.PARKED and not is_behind and not was_there:
            found[change.id] = change
    return found


def queue_in_trouble(context: Context) -> Result:
    """F48: consumption goes on beside a queue that is away, denied, or takes a part; both are killed now and then."""
    result = Result.expecting([*TROUBLES, _CONSUMER_KILLED])
    with front() as office:
        for seed in range(context.first, context.first + context.goal):
            _history(office, seed, result)
            result.counts["histories"] += 1
            context.tell(seed - context.first + 1, context.goal)
    return result


def _history(office: Front, seed: int, result: Result) -> None:
    chance = random.Random(seed)
    changes = random_changes(chance, _CHANGES)
    office.batch_changes = chance.randint(1, 6)
    office.handled = chance.random() < 0.5
    office.reset()
    troubles = chance.choices(TROUBLES, k=chance.randint(1, _MOST_TROUBLES))
    limit = _SMALL if chance.random() < 0.2 else 1_000_000
    copies = Copies(office, Bad(chance, troubles, result), limit=limit)
    consumer = _Consumer(copies, records_of(random_cut(chance, changes)), changes, chance, result)
    moments = sorted(chance.uniform(0, _BUSY_SECONDS) for _ in consumer.records)
    for moment, record in zip(moments, consumer.records, strict=True):
        copies.clock.at(moment, partial(consumer.take, record))
    copies.clock.every(1.0, consumer.end_when_done, until=_OVER_SECONDS)
    copies.clock.at(_OVER_SECONDS, copies.stop.request)
    copies.run()
    for sentence in (*office.wrong(model_of(changes)), *copies.wrong(changes)):
        result.violated(f"seed {seed}: {sentence}")


class _Consumer:
    """Decides records as they come, whatever the sender does; a killed one begins at its checkpoint."""

    def __init__(
        self,
        copies: Copies,
        records: Sequence[Record],
        changes: Sequence[Change],
        chance: random.Random,
        result: Result,
    ) -> None:
        self.records = records
        self._copies, self._chance, self._result = copies, chance, result
        self._changes = changes
        self._checkpoint: str | None = None
        self._left = len(records)

    def end_when_done(self) -> None:
        """End the sender once there is nothing left for it."""
        if not self._left and not self._copies.outbox():
            self._copies.stop.request()

    def take(self, record: Record) -> None:
        office, chance = self._copies.office, self._chance
        self._left -= 1
        upto = [one for one in self.records if int(one.sequence) <= int(record.sequence)]
        if chance.random() < 0.3:
            at, after = chance.randint(0, 25), chance.random() < 0.5
            struck = office.killed_at(at, rest_after(upto, self._checkpoint), after=after)
            self._result.struck(_CONSUMER_KILLED, int(struck))
        office.processor.process(
            rest_after(upto, self._checkpoint) if office.processor.position() is None else [record]
        )
        if office.processor.position() != record.sequence:
            self._result.violated(f"G4: consumption stands at {office.processor.position()} for the queue's sake")
        if waits := getattr(office.processor._stop, "waits", []):
            self._result.violated(f"G4: consumption waited {sum(waits):g} s for the queue's sake")
        self._save()

    def _save(self) -> None:
        """Write the checkpoint, now and then: everything at or before it has its copy, committed."""
        position = self._copies.office.processor.position()
        decided = _decided(self._changes, self.records, position)
        there = {*self._copies.outbox(), *self._copies.queue.ids}
        for txn in owed(decided).keys() - there:
            self._result.violated(f"I5: a checkpoint at {position} passes {txn}, of which no copy is committed")
        if self._chance.random() < 0.5:
            self._checkpoint = position


def _decided(changes: Sequence[Change], records: Sequence[Record], position: str | None) -> list[Change]:
    number = sum(len(list(decode(one.data))) for one in records if int(one.sequence) <= int(position or 0))
    return list(changes[:number])


_PLACES: Final = (
    "before the copy is sent",
    "after the copy, before it is forgotten",
    "after the copy, before the checkpoint",
)


def between_copy_and_checkpoint(context: Context) -> Result:
    """F49: everything is gone before, between and after the steps that lead from a parking to its checkpoint."""
    result = Result.expecting([*_PLACES, "a copy that came a second time"])
    with front() as office:
        for seed in range(context.first, context.first + context.goal):
            chance = random.Random(seed)
            changes = _with_poison(chance)
            office.batch_changes = chance.randint(1, 6)
            office.handled = chance.random() < 0.5
            office.reset()
            place = _PLACES[seed % len(_PLACES)]
            for sentence in _crashed(office, changes, place, chance, result):
                result.violated(f"seed {seed}, {place}: {sentence}")
            result.counts["crashes"] += 1
            context.tell(seed - context.first + 1, context.goal)
    return result


def _with_poison(chance: random.Random) -> list[Change]:
    while True:
        changes = random_changes(chance, _CHANGES)
        if owed(changes):
            return changes


def _crashed(
    office: Front, changes: Sequence[Change], place: str, chance: random.Random, result: Result
) -> Iterator[str]:
    records = records_of(random_cut(chance, changes))
    copies = Copies(office, Bad(chance, [SENDER_KILLED] if place == _PLACES[1] else [], Result()), limit=1_000_000)
    cut = chance.randint(0, len(records) - 1)
    office.processor.process(records[:cut] or records[:1])
    checkpoint = office.processor.position() if chance.random() < 0.5 and cut else None
    office.processor.process(records)
    parked = _lot(office)
    if place != _PLACES[0]:
        copies.turn()
    # The machine is gone; the checkpoint was not written.
    office.life().process(rest_after(records, checkpoint))
    result.struck(place)
    while copies.turn():
        pass
    if _lot(office) != parked:
        yield f"I2: what was parked changed: {_lot(office)}, and was {parked}"
    twice = len(copies.queue.ids) - len({*copies.queue.ids})
    result.struck("a copy that came a second time", twice)
    if twice > copies.queue.again:
        yield f"I2: {twice} copies were sent twice, and {copies.queue.again} may have been"
    yield from office.wrong(model_of(changes))
    yield from copies.wrong(changes)


def _lot(office: Front) -> list[tuple[object, ...]]:
    rows = office.office.own("parked")
    return sorted((row["key"], row["txn"], row["reason"], row["event"]) for row in rows)
