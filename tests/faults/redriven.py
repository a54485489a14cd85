"""The row about redrives: the real redriver and letter decider on the real store, between live traffic and kills."""

import copy
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

from isthmus.change import Change, Outcome, Verb
from isthmus.codec import decode
from isthmus.consumer.deadletters.redriving import TransactionalLetters
from isthmus.consumer.redrive import Redriven, TransactionalRedriver
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.sqlite.store import SqliteSession, SqliteStore
from isthmus.errors import Poison
from tests.fakes.clock import FakeClock
from tests.fakes.greenlets import Killed
from tests.fakes.processor_desk import record
from tests.fakes.store_model import ByModel
from tests.fakes.store_world import delete, event, untranslated, upsert
from tests.faults.front import Front, front
from tests.faults.row import Context, Result

LIVE_MEANWHILE: Final = "a live change of the key comes while it is remade"
TWO_AT_ONCE: Final = "two redrives of one key at once"
KILLED: Final = "a redrive killed at one of its statements"
STALE: Final = "a letter of what is decided, or waits"
AGAIN: Final = "a redrive of what is poison still"
REPLAYED: Final = "a record that comes again"
TOGETHER: Final = "several keys in one transaction"
FAULTS: Final = (LIVE_MEANWHILE, TWO_AT_ONCE, KILLED, STALE, AGAIN, REPLAYED, TOGETHER)
_STEPS: Final = 14
_MOST_STATEMENTS: Final = 12
_STATES, _EVENTS = ("a", "b"), ("ea", "eb")


class Books(ByModel):
    """The plainest rules, and what a redrive does by them. Poison that is `mended` is good from then on."""

    def __init__(self) -> None:
        super().__init__()
        self.changes: dict[str, Change] = {}
        self.mended: set[str] = set()
        self.owed: set[str] = set()
        """IDs of which the queue must get a copy: what was tried, and is poison by itself."""

    def take(self, change: Change, at_ms: int = 0) -> Outcome | None:
        # What was not translated is poison whatever it waits behind.
        is_behind = change.verb is Verb.EVENT and bool(self.lots.get(change.key))
        is_known = (change.key, change.id) in self.lot
        self.changes.setdefault(change.id, change)
        outcome = super().take(change, at_ms)
        if outcome is Outcome.PARKED and not is_behind and not is_known:
            self.owed.add(change.id)
        return outcome

    def waiting(self, key: str, most: int = 1_000) -> list[str]:
        """Give the first IDs that wait of a key, in order."""
        lot = self.lots.get(key, {})
        return sorted(lot, key=lambda txn: lot[txn])[:most]

    def redrive(self, key: str, found: Sequence[str]) -> str:
        """Try these, as far as they still wait in the same places; give where it stops, if it does."""
        there = self.waiting(key, len(found))
        for txn in [one for one, now in zip(found, there, strict=False) if one == now]:
            change = self.remade(self.changes[txn])
            if is_bad(change):
                self.owed.add(txn)
                return txn
            rest = self.lots[key]
            rest.pop(txn)
            self.lots[key] = {}
            if self._known(change) is None:
                self._tried(change, 0)
            is_event = change.entity == "posting"
            self.lots[key] = {other: old for other, old in rest.items() if is_event or old[0] >= change.version}
        return ""

    def remade(self, change: Change) -> Change:
        """Give a change as the code of now makes it."""
        if change.id not in self.mended:
            return change
        verb = Verb.EVENT if change.entity == "posting" else Verb.UPSERT
        return change._replace(verb=verb, data={"size": 1, "note": "mended"})


def is_bad(change: Change) -> bool:
    data = change.data
    return change.verb is Verb.UNTRANSLATED or (data is not None and (data["size"] < 0 or data["note"] == "wrong"))


def redrives(context: Context) -> Result:
    """F52: stale, twice, with live traffic, killed half-way: the books balance after every single step."""
    result = Result.expecting(FAULTS)
    with front() as office:
        for seed in range(context.first, context.first + context.goal):
            office.handled = seed % 2 == 0
            office.batch_changes = 1 + seed % 5
            office.reset()
            history = _History(office, random.Random(seed), result)
            try:
                for sentence in history.run():
                    result.violated(f"seed {seed}: {sentence}")
            finally:
                history.end()
            result.counts["histories"] += 1
            context.tell(seed - context.first + 1, context.goal)
            if len(result.violations) > 3:
                break
    return result


class _History:
    def __init__(self, office: Front, chance: random.Random, result: Result) -> None:
        self._office, self._chance, self._result = office, chance, result
        self._books = Books()
        self._versions: Counter[str] = Counter()
        self._records: list[list[Change]] = []
        self._letters: list[Waiting] = []
        self._sessions: list[SqliteSession] = []
        self._meanwhile: list[Callable[[], object]] = []
        self._redriver = self._opened()

    def end(self) -> None:
        for session in self._sessions:
            session.close()

    def run(self) -> Iterator[str]:
        steps = {
            self._live: 5,
            self._replay: 1,
            self._mend: 3,
            self._redrive: 2,
            self._redrive_with_live_traffic: 3,
            self._many: 3,
            self._two_at_once: 2,
            self._killed: 3,
            self._stale: 2,
        }
        self._live()
        for _ in range(_STEPS):
            (step,) = self._chance.choices(list(steps), weights=list(steps.values()))
            wrong = step()
            found = [wrong] if wrong else self._office.wrong(self._books)
            if found:
                yield from (f"after {step.__name__.strip('_')}: {sentence}" for sentence in found)
                return
        yield from self._to_the_end()

    # steps

    def _live(self) -> str:
        keys = self._chance.choices((*_STATES, *_EVENTS), k=self._chance.randint(1, 4))
        self._arrive([self._change(key) for key in keys])
        return ""

    def _replay(self) -> str:
        self._arrive(self._chance.choice(self._records), again=True)
        self._result.struck(REPLAYED)
        return ""

    def _mend(self) -> str:
        parked = sorted({txn for _, txn in self._books.lot})
        self._books.mended.update(self._chance.sample(parked, (len(parked) + 1) // 2))
        return ""

    def _redrive(self) -> str:
        return self._once(self._chance.choice([*self._parked(), *_STATES]))

    def _redrive_with_live_traffic(self) -> str:
        if not (keys := self._parked()):
            return ""
        key = self._chance.choice(keys)
        # Behind poison, beside it, or the very record again.
        self._meanwhile = [lambda: self._arrive([self._change(key), self._change(self._chance.choice(_STATES))])]
        if self._chance.random() < 0.2:
            self._meanwhile = [lambda: self._arrive(self._chance.choice(self._records), again=True)]
        self._result.struck(LIVE_MEANWHILE)
        return self._once(key)

    def _many(self) -> str:
        """Several keys in one transaction, most times with live traffic of one of them meanwhile."""
        keys = self._chance.sample([*_STATES, *_EVENTS], self._chance.randint(1, 4))
        each = self._chance.randint(1, 4)
        before = {key: self._books.waiting(key, each) for key in keys}
        if any(before.values()) and self._chance.random() < 0.6:
            live = self._chance.choice(keys)
            self._meanwhile = [lambda: self._arrive([self._change(live)])]
            self._result.struck(LIVE_MEANWHILE)
        found = self._redriver.redrive_all(keys, each=each)
        self._result.struck(TOGETHER, int(len(found) > 1))
        return "".join(self._judged(told, key, before[key]) for key, told in found.items())

    def _two_at_once(self) -> str:
        if not (keys := self._parked()):
            return ""
        key, other = self._chance.choice(keys), self._opened()
        found = self._books.waiting(key, most := self._chance.randint(1, 4))
        wrongs: list[str] = []
        self._meanwhile = [lambda: wrongs.append(self._judged(other.redrive(key, most=most), key, found))]
        self._result.struck(TWO_AT_ONCE)
        wrongs.append(self._once(key))
        return "".join(wrongs)

    def _killed(self) -> str:
        if not (keys := self._parked()):
            return ""
        key, most = self._chance.choice(keys), self._chance.randint(1, 4)
        found = self._books.waiting(key, most)
        if self._chance.random() < 0.3:
            self._meanwhile = [lambda: self._arrive([self._change(key)])]
        at, after = self._chance.randint(0, _MOST_STATEMENTS), self._chance.random() < 0.5
        happened = self._office.office.break_at(self._redriver, at, Killed(), after=after)
        with suppress(Killed):
            self._redriver.redrive(key, most=most)
        self._meanwhile = []
        struck = happened()
        self._sessions.pop().close()
        self._redriver = self._opened()
        self._result.struck(KILLED, int(struck))
        # All of it, or nothing of it.
        done = copy.deepcopy(self._books)
        done.redrive(key, found)
        if not self._office.wrong(done) and (not struck or self._outboxed().keys() == done.owed):
            self._books = done
            return ""
        return "" if struck else f"a redrive of {key} to its end has not done what it must"

    def _stale(self) -> str:
        if not self._letters:
            return ""
        letter = self._chance.choice(self._letters)
        session = self._session()
        decider = TransactionalLetters(session, self._office._entities(), self._remake, FakeClock(), history=False)
        found = decider.decide(letter)
        decider.close()
        waits = (letter.key, letter.txn) in self._books.lot
        self._result.struck(STALE)
        if found.waits != waits or found.outcomes.get("applied") or found.stopped:
            return f"a letter of {letter.txn}, which {'waits' if waits else 'is decided'}, gave {found}"
        return ""

    def _to_the_end(self) -> Iterator[str]:
        """Mend everything, and redrive it: nothing is left, everything took effect in order."""
        self._books.mended.update(txn for _, txn in self._books.lot)
        for key in self._parked():
            found = self._redriver.redrive(key)
            if found.stopped or found.left:
                yield f"{key} is not free although all is mended: {found}"
            self._books.redrive(key, self._books.waiting(key))
        yield from self._office.wrong(self._books)
        if lot := self._office.office.own("parked"):
            yield f"I1: the lot is not empty: {[row['txn'] for row in lot]}"
        order = [txn for (txn,) in self._office.office.run("SELECT txn FROM effect ORDER BY rowid")]
        for key in _EVENTS:
            versions = [self._books.changes[txn].version for txn in order if self._books.changes[txn].key == key]
            if versions != sorted(versions):
                yield f"I4: the effects of {key} came as {versions}"
        copies = self._outboxed()
        if copies.keys() != self._books.owed:
            yield f"I1, I9: there are copies of {sorted(copies)}, and must be of {sorted(self._books.owed)}"
        if twice := [txn for txn, times in copies.items() if times > 1]:
            yield f"there are several copies of {twice}, which were tried again and again"

    # parts

    def _once(self, key: str) -> str:
        most = self._chance.randint(1, 4)
        found = self._books.waiting(key, most)
        return self._judged(self._redriver.redrive(key, most=most), key, found)

    def _judged(self, told: Redriven, key: str, found: Sequence[str]) -> str:
        self._meanwhile = []
        stopped = self._books.redrive(key, found)
        self._result.struck(AGAIN, int(bool(stopped)))
        said = told.stopped.txn if told.stopped else ""
        return (
            "" if said == stopped else f"the redrive of {key} says that it stops at {said!r}, and must at {stopped!r}"
        )

    def _arrive(self, changes: Sequence[Change], *, again: bool = False) -> None:
        for change in changes:
            self._books.take(change)
        if not again:
            self._records.append(list(changes))
        self._office.processor.process([record(len(self._records), *changes)])
        for row in self._office.office.own("parked"):
            self._note(row["txn"], row["event"])

    def _note(self, txn: str, event_bytes: bytes) -> None:
        """Keep a letter of it: the queue may give it at any time."""
        if any(letter.txn == txn for letter in self._letters):
            return
        change = self._books.changes[txn]
        place = (change.key, txn, change.version, change.rowhash, change.source, change.entity, change.epoch)
        told = ("", 1, "contract", "", "contract", event_bytes)
        self._letters.append(Waiting(*place, *told, True, "shard-0", "1", 1, 1, 1, False))

    def _change(self, key: str) -> Change:
        self._versions[key] += 1
        number, roll = self._versions[key], self._chance.random()
        make = event if key in _EVENTS else upsert
        if roll < 0.35:
            return make(number, key, note="wrong")
        if roll < 0.5:
            return untranslated(number, key, "posting" if make is event else "thing")
        if roll < 0.6 and make is upsert:
            return delete(number, key)
        return make(number, key)

    def _parked(self) -> list[str]:
        return sorted({key for key, _ in self._books.lot})

    def _outboxed(self) -> dict[str, int]:
        return dict(Counter(row["txn"] for row in self._office.office.own("outbox")))

    def _remake(self, waiting: Waiting) -> Sequence[Change]:
        if self._meanwhile:
            self._meanwhile.pop()()
        (change,) = [self._books.remade(each) for each in decode(waiting.event) if isinstance(each, Change)]
        if change.verb is Verb.UNTRANSLATED:
            raise Poison("no-airport", "BQN is unknown still")
        return [change]

    def _opened(self) -> TransactionalRedriver:
        return TransactionalRedriver(
            self._session(), self._office._entities(), self._remake, FakeClock(), history=False
        )

    def _session(self) -> SqliteSession:
        session = SqliteStore(self._office.office.path, list(self._office._entities().values())).session()
        session._shared.connection.execute("PRAGMA synchronous = OFF")
        self._sessions.append(session)
        return session
