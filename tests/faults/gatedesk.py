"""A front office behind gates: the real reader of gates, decider, store and drainer, on virtual time."""

import random
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from isthmus.attempts import Attempts, AttemptsByPart
from isthmus.change import Change
from isthmus.checkpoint.gatehouse import MemoryGates
from isthmus.checkpoint.gates import Covers, Gate, Mode, Readings
from isthmus.consumer.applier import Applier
from isthmus.consumer.draining import Drainer
from isthmus.consumer.gates import READ_EVERY, GateReader, Outdated
from isthmus.consumer.portions import UnitPortions
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.stores.port import Entity
from isthmus.consumer.stores.sqlite.store import SqliteSession, SqliteStore
from isthmus.consumer.unheld import Unheld
from tests.fakes.clock import FakeClock, FakeStop
from tests.faults.front import METRICS, Front

MOST_SECONDS: Final = 2.0
"""After a gate closes, no effect later than this (the matrix); with `gate.strict` none at all."""
BOARDS, BILLING = Covers(process="boards"), Covers(process="billing")
EVERYTHING: Final = Covers()
_PROCESSES: Final = {"thing": "boards", "posting": "billing"}
COMMIT_SECONDS: Final = 0.4
"""How long a commit may take: half a second is left for it."""


class Closed(NamedTuple):
    """A time for which a gate was closed; moments of the monotonic clock."""

    covers: Covers
    since: float
    until: float


class GatedFront(Front):
    """A front office behind real gates. `at` is called before each statement: whatever may happen, happens there."""

    def __init__(self, place: Path, *, strict: bool = False, declared: Sequence[Covers] = ()) -> None:
        self.strict, self.declared = strict, declared
        self.clock = FakeClock()
        self.stop = FakeStop(self.clock)
        self.gates = MemoryGates()
        self.closed: list[Closed] = []
        self.at: Callable[[str], object] = lambda _statement: None
        self.late: list[str] = []
        """What took effect although a gate was closed."""
        self.effects_at: dict[str, float] = {}
        self._changes: dict[str, Change] = {}
        self._sessions: list[SqliteSession] = []
        super().__init__(place)

    def life(self) -> ShardProcessor:
        self.end()
        store = self._store()
        # Of a store of its own: all of this runs in one thread, and a writer keeps its store's others waiting.
        self.reader = self._read_by(self._store())
        self.session = self._watched(store)
        self.processor = ShardProcessor(
            "shard-0",
            Applier(
                self.session,
                self._entities(),
                self.clock,
                METRICS,
                history=False,
                quick=self.session,
                gates=self.reader,
            ),
            payloads=None,
            stop=self.stop,
            clock=self.clock,
            chance=random.Random(1),
            metrics=METRICS,
            attempts=AttemptsByPart(METRICS, self.clock),
            settings=ProcessorSettings(batch_changes=self.batch_changes),
            gates=self.reader,
        )
        drained = self._store()
        self.drainer = Drainer(
            drained,
            UnitPortions(
                lambda: self._watched(drained),
                self._entities(),
                self.reader,
                Unheld(None, Attempts("held", METRICS, self.clock)),
                clock=self.clock,
                metrics=METRICS,
                history=False,
            ),
            self._entities(),
            self.reader,
            reader=None,
            clock=self.clock,
            stop=self.stop,
            metrics=METRICS,
            rest=lambda _changes, _begun: None,
            portion=3,
        )
        return self.processor

    def end(self) -> None:
        while self._sessions:
            self._sessions.pop().close()
        self.session = None

    def anew(self, chance: random.Random, changes: Sequence[Change], *, strict: bool) -> None:
        """Forget everything, and let the task begin that reads the gates; now and then a reading fails."""
        self.strict, self.clock, self.gates = strict, FakeClock(), MemoryGates()
        self.stop = FakeStop(self.clock)
        self.closed, self.late, self.effects_at, self.at = [], [], {}, lambda _statement: None
        self._changes = {change.id: change for change in changes}
        self.reset()
        self.clock.every(READ_EVERY, lambda: self.reader.turn() if chance.random() > 0.1 else None)
        self.reader.turn()

    def shut(self, covers: Covers, *, seconds: float, mode: Mode = Mode.HOLD) -> None:
        """Close a gate, as `isthmus gate close` does; it is opened again after so long."""
        if any(each.covers == covers and each.until > self.clock.monotonic() for each in self.closed):
            return
        self._change(covers, closed=True, mode=mode)
        now = self.clock.monotonic()
        self.closed.append(Closed(covers, now, now + seconds))
        self.clock.at(now + seconds, lambda: self._change(covers, closed=False, mode=mode))

    def open_declared(self) -> None:
        """Write the items of the declared gates, open, and read them."""
        for covers in self.declared:
            self._change(covers, closed=False, mode=Mode.HOLD)
        self.reader.turn()

    def drain(self) -> int:
        """Drain what no gate keeps back, as far as that goes."""
        with suppress(Outdated):
            return self.drainer.sweep()
        return 0

    def held(self) -> int:
        return len(self.office.run("SELECT 1 FROM isthmus_held"))

    def took_effect(self) -> None:
        """Note what is durable by now, and since when; a closed gate that covers it makes it late."""
        with closing(sqlite3.connect(self.office.path)) as connection:
            found = {
                txn
                for (txn,) in connection.execute("SELECT txn FROM isthmus_guard UNION SELECT txn FROM isthmus_ledger")
            }
        now, limit = self.clock.monotonic(), 0.0 if self.strict else MOST_SECONDS
        for txn in found - self.effects_at.keys():
            self.effects_at[txn] = now
            for covers, since, until in self.closed:
                if since + limit <= now < until and covered(self._changes[txn], covers):
                    self.late.append(f"I7: {txn} took effect {now - since:.2f} s after {covers.name} was closed")

    def _change(self, covers: Covers, *, closed: bool, mode: Mode) -> None:
        standing = {gate.covers: gate for gate in self.gates.read_all()}.get(covers, Gate(covers, closed=False))
        gate = standing.changed(closed=closed, mode=mode, who="ada", reason="books", now_ms=self.clock.now_ms())
        self.gates.change(gate)
        if self.strict:
            self._store().mirror([gate])

    def _entities(self) -> dict[str, Entity]:
        return {name: replace(entity, process=_PROCESSES[name]) for name, entity in super()._entities().items()}

    def _store(self) -> SqliteStore:
        return SqliteStore(self.office.path, list(self._entities().values()))

    def _read_by(self, store: SqliteStore) -> GateReader:
        return GateReader(
            self.gates,
            Readings(self.declared),
            clock=self.clock,
            watch=Attempts("gates", METRICS, self.clock),
            metrics=METRICS,
            mirror=store.mirror if self.strict else None,
        )

    def _watched(self, store: SqliteStore) -> SqliteSession:
        session = store.session()
        shared: Any = session._shared
        shared.connection.execute("PRAGMA synchronous = OFF")
        shared.connection = _Watched(shared.connection, self)
        self._sessions.append(session)
        return session


class _Watched:
    """A connection before whose statements anything may happen, and of which every commit is looked at."""

    def __init__(self, connection: sqlite3.Connection, office: GatedFront) -> None:
        self._connection = connection
        self._office = office

    def execute(self, statement: str, *rest: Any) -> Any:
        self._office.at(statement)
        found = self._connection.execute(statement, *rest)
        if statement == "COMMIT":
            self._office.took_effect()
        return found

    def executemany(self, statement: str, *rest: Any) -> Any:
        self._office.at(statement)
        return self._connection.executemany(statement, *rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


def covered(change: Change, covers: Covers) -> bool:
    return covers.fits(process=_PROCESSES[change.entity], source=change.source, entity=change.entity, key=change.key)
