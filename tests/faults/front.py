"""A front office that outlives the processors that write to it, and what must stand in it, by the plainest rules."""

import random
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from typing import Any

from isthmus.attempts import AttemptsByPart
from isthmus.change import Change, Kind
from isthmus.consumer.applier import Applier
from isthmus.consumer.feed import Record
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.sqlite.store import SqliteSession, SqliteStore
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.greenlets import Killed
from tests.fakes.processor_desk import record
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_model import ByModel
from tests.fakes.store_world import Told, contract
from tests.simulation.ground import folder

METRICS = Metrics()
"""Nothing here reads them, and making them takes longer than a life."""


class Front:
    """A front office in a file. Each `life` is a process: a store, a session and a processor of their own."""

    def __init__(self, place: Path, *, batch_changes: int = 3) -> None:
        self.office = SqliteOffice(place, pristine=_pristine())
        self.told = Told(self.office)
        self.batch_changes = batch_changes
        self.handled = True
        """From the next life on: whether the entities of kind `state` have a handler. Without one they may go the
        quick way."""
        self.history = False
        """From the next life on."""
        self.metrics = METRICS
        self.session: SqliteSession | None = None
        self.processor = self.life()

    def life(self) -> ShardProcessor:
        """End what runs, as SIGKILL does, and begin anew."""
        self.end()
        clock = FakeClock()
        entities = self._entities()
        store = SqliteStore(self.office.path, list(entities.values()))
        self.session = store.session()
        # Processes are killed here, machines are not.
        self.session._shared.connection.execute("PRAGMA synchronous = OFF")
        self.processor = ShardProcessor(
            "shard-0",
            Applier(self.session, entities, clock, self.metrics, history=self.history, quick=self.session),
            payloads=None,
            stop=FakeStop(clock),
            clock=clock,
            chance=random.Random(1),
            metrics=self.metrics,
            attempts=AttemptsByPart(self.metrics, clock),
            settings=ProcessorSettings(batch_changes=self.batch_changes),
        )
        return self.processor

    def _entities(self) -> dict[str, Entity]:
        mapping = TableMapping("thing", "key", "version", {"size": "size", "note": "note"})
        return {
            "thing": Entity("thing", Kind.STATE, mapping, contract, (self.told,) if self.handled else ()),
            "posting": Entity("posting", Kind.EVENT, None, contract, (self.told,)),
        }

    def end(self) -> None:
        """Close the connection: what was not committed is undone."""
        if self.session is not None:
            self.session.close()
            self.session = None

    def reset(self) -> None:
        """Forget everything, and begin a new life."""
        self.end()
        for path in self.office.path.parent.glob(f"{self.office.path.name}*"):
            path.unlink()
        self.office = SqliteOffice(self.office.path.parent, pristine=_pristine())
        self.life()

    def killed_at(self, statement: int, records: Sequence[Record], *, after: bool, only: str = "") -> bool:
        """Process until the kill at this statement, then live again. Give whether it came to that statement."""
        assert self.session is not None
        happened = self.office.break_at(self.session, statement, Killed(), after=after, only=only)
        with suppress(Killed):
            self.processor.process(records)
        struck = happened()
        self.life()
        return struck

    def wrong(self, model: ByModel) -> list[str]:
        """Compare with what must stand there; each sentence begins with the invariant."""
        with self._reading() as read:
            guards = {key: (version, txn) for key, version, txn in read("SELECT key, version, txn FROM isthmus_guard")}
            ledger = {txn for (txn,) in read("SELECT txn FROM isthmus_ledger")}
            lot = {(key, txn): version for key, txn, version in read("SELECT key, txn, version FROM isthmus_parked")}
            told = read("SELECT txn FROM isthmus_history WHERE outcome = 'applied' GROUP BY txn HAVING count(*) > 1")
        pairs: tuple[tuple[str, str, Any, Any], ...] = (
            ("I3", "guards", guards, model.guards),
            ("I4", "ledger", ledger, model.ledger),
            ("I1", "parking lot", lot, model.lot),
        )
        found = [
            f"{name}: the {what} is {there}, and must be {must}" for name, what, there, must in pairs if there != must
        ]
        found += [f"I2: the history tells more than once that {txn} took effect" for (txn,) in told]
        return found + self.wrong_for_the_user(model)

    def wrong_for_the_user(self, model: ByModel) -> list[str]:
        """Compare only what the user's own tables hold: rows, and effects of kind `event`."""
        with self._reading() as read:
            rows = {key: (size, note) for key, size, note in read("SELECT key, size, note FROM thing")}
            effects = dict(read("SELECT txn, times FROM effect"))
        found = [f"I2: {txn} took effect {times} times" for txn, times in effects.items() if times != 1]
        found += [f"I1: {txn} is lost: it had no effect" for txn in sorted(model.ledger - effects.keys())]
        found += [f"I1: {txn} is parked, and took effect" for _, txn in model.lot if txn in effects]
        for key in sorted(rows.keys() | model.rows.keys()):
            if rows.get(key) != model.rows.get(key):
                found.append(f"I3: {key} stands at {rows.get(key)}, and must stand at {model.rows.get(key)}")
        return found

    @contextmanager
    def _reading(self) -> Iterator[Any]:
        connection = sqlite3.connect(self.office.path)
        try:
            yield lambda statement: connection.execute(statement).fetchall()
        finally:
            connection.close()


@contextmanager
def front(*, batch_changes: int = 3) -> Iterator[Front]:
    """Give a front office in a folder of its own."""
    with folder() as place:
        made = Front(place, batch_changes=batch_changes)
        try:
            yield made
        finally:
            made.end()


@lru_cache(maxsize=1)
def _pristine() -> bytes:
    with folder() as place:
        return SqliteOffice(place)._pristine


def records_of(bundles: Sequence[Sequence[Change]]) -> list[Record]:
    """Give one record for each bundle, numbered from 1."""
    return [record(number, *changes) for number, changes in enumerate(bundles, start=1)]


def model_of(changes: Sequence[Change]) -> ByModel:
    """Give what must become of these changes, in this order."""
    model = ByModel()
    for change in changes:
        model.take(change)
    return model


def cuts(changes: Sequence[Change]) -> Iterator[list[list[Change]]]:
    """Give every way to cut the changes into bundles."""
    for bits in range(1 << (len(changes) - 1)):
        bundles: list[list[Change]] = [[]]
        for number, change in enumerate(changes):
            bundles[-1].append(change)
            if bits >> number & 1 and number < len(changes) - 1:
                bundles.append([])
        yield bundles


def rest_after(records: Sequence[Record], position: str | None) -> list[Record]:
    """Give what a reader gets that begins at a checkpoint."""
    return [one for one in records if position is None or int(one.sequence) > int(position)]
