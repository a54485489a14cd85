"""A front office in any of the three stores, that outlives whoever decides in it, and what must stand in it."""

import itertools
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from isthmus.attempts import AttemptsByPart
from isthmus.change import Change, Outcome
from isthmus.clock import Clock
from isthmus.consumer.feed import Record
from isthmus.consumer.processor import ProcessorSettings, ShardProcessor
from isthmus.consumer.stores.port import Decider, Delivered
from isthmus.errors import Transient
from isthmus.lifecycle import Stop
from isthmus.retry import Backoff
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_model import ByModel
from tests.fakes.store_world import FrontOffice, World
from tests.faults.front import METRICS
from tests.simulation.ground import folder

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

PATIENCE: Final = Backoff(first=0.01, most=0.2)
"""Seconds between attempts in real time: a server that comes back is found soon."""
MOST_ATTEMPTS: Final = 200
"""Failures of one life, after which it is said to be stuck."""


class Noting:
    """A decider that says how each batch ends: None, or the error that asks to try again."""

    def __init__(
        self,
        decider: Decider,
        *,
        begins: Callable[[Sequence[Delivered]], object],
        ends: Callable[[Sequence[Delivered], Transient | None], object],
    ) -> None:
        self.decider = decider
        self._begins = begins
        self._ends = ends

    def apply(self, batch: Sequence[Delivered]) -> list[Outcome | None]:
        self._begins(batch)
        try:
            outcomes = self.decider.apply(batch)
        except Transient as error:
            self._ends(batch, error)
            raise
        except BaseException:
            self._ends(batch, None)
            raise
        self._ends(batch, None)
        return outcomes

    def close(self) -> None:
        self.decider.close()


class AnyFront:
    """A front office behind the contract's port. Each `life` is a process: a store, a decider and a processor."""

    def __init__(
        self, office: FrontOffice, *, clock: Clock | None = None, stop: Stop | None = None, batch_changes: int = 3
    ) -> None:
        virtual = FakeClock()
        self.clock: Clock = clock or virtual
        self._stop: Stop = stop or FakeStop(virtual)
        self.batch_changes = batch_changes
        self.causes: list[str] = []
        """Why batches were tried again since the last reset."""
        self.on_failure: Callable[[Transient], object] = lambda _error: None
        self._lives: list[Decider] = []
        self._begin(office)

    def life(self) -> ShardProcessor:
        """End what runs, as SIGKILL does, and begin anew."""
        self.end()
        self.decider = self.world.elsewhere()
        self._lives.append(self.decider)
        self.processor = self.processor_on(self.decider)
        return self.processor

    def processor_on(
        self, decider: Decider, begins: Callable[[Sequence[Delivered]], object] = lambda _batch: None
    ) -> ShardProcessor:
        """Give the real processor of a shard on a decider."""
        return ShardProcessor(
            "shard-0",
            Noting(decider, begins=begins, ends=self._ended),
            payloads=None,
            stop=self._stop,
            clock=self.clock,
            chance=random.Random(1),
            metrics=METRICS,
            attempts=AttemptsByPart(METRICS, self.clock),
            settings=ProcessorSettings(batch_changes=self.batch_changes, backoff=PATIENCE),
        )

    def process(self, records: Sequence[Record]) -> None:
        """Decide all of it in the life that runs."""
        self.processor.process(records)

    def end(self) -> None:
        """Close what runs: what was not committed is undone."""
        while self._lives:
            self._lives.pop().close()

    def reset(self) -> None:
        """Forget everything, and begin a new life."""
        self.end()
        self._begin(self.office.fresh())

    def wrong(self, model: ByModel) -> list[str]:
        """Compare all that decides, and all that took effect, with what the model says."""
        own = self.office.own
        pairs: tuple[tuple[str, str, Mapping[Any, Any], Mapping[Any, Any]], ...] = (
            ("I3", "rows", {row["key"]: (row["size"], row["note"]) for row in self.office.rows("thing")}, model.rows),
            ("I3", "guards", {row["key"]: (row["version"], row["txn"]) for row in own("guard")}, model.guards),
            ("I4", "ledger", {row["txn"]: 1 for row in own("ledger")}, dict.fromkeys(model.ledger, 1)),
            ("I1", "parking lot", {(row["key"], row["txn"]): row["version"] for row in own("parked")}, model.lot),
            ("I2", "effects", {row["txn"]: row["times"] for row in self.office.rows("effect")}, model.effects),
            ("G3", "fences", {(row["source"], row["lane"]): row["epoch"] for row in own("fence")}, model.fences),
        )
        found = []
        for name, what, there, must in pairs:
            differing = [key for key in there.keys() | must.keys() if there.get(key) != must.get(key)]
            if differing:
                shown = {key: (there.get(key), must.get(key)) for key in differing[:3]}
                found.append(f"{name}: {what} as they are, and as they must be: {shown}")
        return found

    def _begin(self, office: FrontOffice) -> None:
        self.office = office
        self.world = World(office, history=False)
        self.world.close()
        self.told = self.world.told
        self.causes.clear()
        self.life()

    def _ended(self, _batch: Sequence[Delivered], error: Transient | None) -> None:
        if error is None:
            return
        self.causes.append(error.cause)
        assert len(self.causes) < MOST_ATTEMPTS, f"it is stuck: {error}"
        self.on_failure(error)


def judged(front: AnyFront, changes: Sequence[Change]) -> list[str]:
    """Give what is wrong in a front office to which these changes came, in this order."""
    model = ByModel()
    for change in changes:
        model.take(change)
    return front.wrong(model)


@contextmanager
def sqlite_office() -> Iterator[SqliteOffice]:
    """Give a front office in a file."""
    with folder() as place:
        yield SqliteOffice(place)


@contextmanager
def postgres_server() -> Iterator[PostgresServer]:
    """Give a server of its own, or the one that the environment names."""
    server = PostgresServer()
    try:
        yield server
    finally:
        server.end()


@contextmanager
def postgres_office() -> Iterator[PostgresOffice]:
    """Give a front office in a database of a real server."""
    with postgres_server() as server:
        office = PostgresOffice(server)
        try:
            yield office
        finally:
            office.close()


@contextmanager
def dynamodb() -> Iterator["DynamoDBClient"]:
    """Give a client of an emulator of its own."""
    with folder() as place:
        emulator = Emulator(place)
        try:
            yield emulator.client("dynamodb")
        finally:
            emulator.close()


@contextmanager
def dynamodb_office() -> Iterator[DynamoOffice]:
    """Give a front office in an emulator."""
    with dynamodb() as client:
        yield DynamoOffice(client)


OFFICES: Final[Mapping[str, Callable[[], Any]]] = {
    "SQLite": sqlite_office,
    "PostgreSQL": postgres_office,
    "DynamoDB": dynamodb_office,
}


@contextmanager
def front_in(store: str) -> Iterator[AnyFront]:
    """Give a front office in one of the stores, on virtual time."""
    with OFFICES[store]() as office:
        front = AnyFront(office)
        try:
            yield front
        finally:
            front.end()


def seeds_from(first: int) -> Iterator[tuple[int, random.Random]]:
    """Give seeds, each with its chance."""
    for seed in itertools.count(first):
        yield seed, random.Random(seed)
