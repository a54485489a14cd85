"""Every port of the house as one process sees it: the real thing, or the model, with the adversary in between."""

import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from isthmus.change import Change, Verb
from isthmus.checkpoint.ports import Lease, ShardCheckpoint
from isthmus.consumer.deciding import Memory
from isthmus.consumer.feed import Fetched, Shard
from isthmus.consumer.stores.port import Delivered, Effects, Entity, Log, Taken, Unit
from isthmus.consumer.stores.sqlite.store import SqliteSession, SqliteStore
from isthmus.producer.sink import Entry, Put
from isthmus.producer.sources.port import Page
from tests.simulation.processes import GreenLock, Process

if TYPE_CHECKING:
    from tests.simulation.world import World


class Ports:
    """What the ports of one process share."""

    def __init__(self, world: "World", process: Process) -> None:
        self._world = world
        self._process = process
        self._call = partial(world.adversary.call, process)


class SimLeases(Ports):
    """`Leases`."""

    def read(self, name: str) -> Lease | None:
        return self._call("leases.read", lambda: self._world.checkpoints.leases.read(name))

    def take(self, lease: Lease, seen: Lease | None, *, replace: bool = False) -> None:
        def take() -> None:
            before = self._world.checkpoints.leases.read(lease.name)
            self._world.checkpoints.leases.take(lease, seen, replace=replace)
            self._world.oracle.taken(before, self._world.checkpoints.leases.read(lease.name))

        self._call("leases.take", take, f"{lease.name} epoch {lease.epoch}")

    def beat(self, name: str, epoch: int) -> None:
        self._call("leases.beat", lambda: self._world.checkpoints.leases.beat(name, epoch), name)

    def advance(self, name: str, epoch: int, watermark: str, *, step: int = 0) -> None:
        def advance() -> None:
            before = self._world.checkpoints.leases.read(name)
            self._world.checkpoints.leases.advance(name, epoch, watermark, step=step)
            self._world.oracle.watermark_saved(name, before, epoch, self._world.checkpoints.leases.read(name))

        self._call("leases.advance", advance, f"{name} epoch {epoch} to {watermark}")

    def give_back(self, name: str, epoch: int) -> None:
        self._call("leases.give_back", lambda: self._world.checkpoints.leases.give_back(name, epoch), name)

    def all(self) -> list[Lease]:
        return self._world.checkpoints.leases.all()


class SimShardCheckpoints(Ports):
    """`ShardCheckpoints`."""

    def read_all(self) -> dict[str, ShardCheckpoint]:
        return self._call("shards.read_all", self._world.checkpoints.shards.read_all)

    def save(self, checkpoint: ShardCheckpoint) -> None:
        def save() -> None:
            self._world.oracle.checkpoint_saved(checkpoint)
            self._world.checkpoints.shards.save(checkpoint)

        place = "ended" if checkpoint.ended else f"to {self._world.short(checkpoint.sequence)}"
        self._call("shards.save", save, f"{checkpoint.shard[-2:]} {place}")


class SimSource(Ports):
    """`Source`: a table of the model office, for the owner of one epoch."""

    def __init__(self, world: "World", process: Process, table: str, epoch: int) -> None:
        super().__init__(world, process)
        self._table = table
        self._epoch = epoch

    def ready_in(self) -> float:
        return 0.0

    def start(self) -> str | None:
        self._call("source.start", lambda: None)
        return None

    def read(self, after: str | None, limit: int) -> Page:
        def read() -> Page:
            page = self._world.office.read(self._table, after, limit)
            self._world.oracle.source_read(self._table, self._epoch, after, page)
            return page

        return self._call("source.read", read, f"{self._table} after {after}")

    def count(self, after: str | None, bound: int) -> int:
        return len([row for row in self._world.office.read(self._table, after, bound).rows if row.position <= bound])

    def position(self, watermark: str) -> int:
        return int(watermark)

    def close(self) -> None:
        """Nothing to close."""


class SimSink(Ports):
    """`Sink`. What is acknowledged is told to the oracle when the answer has arrived, not before."""

    def put(self, entries: Sequence[Entry]) -> list[Put]:
        lanes = "+".join(str(entry.lane) for entry in entries)
        puts = self._call("sink.put", lambda: self._world.stream.put(entries), f"lanes {lanes}")
        self._world.oracle.acknowledged(entries, puts)
        return puts


class SimFeed(Ports):
    """`Feed`."""

    def shards(self) -> list[Shard]:
        return self._call("feed.shards", self._world.stream.shards)

    def iterator(self, shard: str, after: str | None) -> str:
        note = f"{shard[-2:]} after {self._world.short(after)}"
        return self._call("feed.iterator", lambda: self._world.stream.iterator(shard, after), note)

    def fetch(self, iterator: str, limit: int) -> Fetched:
        return self._call("feed.fetch", lambda: self._world.stream.fetch(iterator, limit), iterator[10:14])


class SimStore(SqliteStore):
    """The real store, in a process of virtual time."""

    def __init__(self, world: "World", process: Process, entities: Sequence[Entity]) -> None:
        super().__init__(world.front_office, entities)
        self._writer = GreenLock(process)  # type: ignore[assignment]  # as a lock does, in virtual time
        self._world = world
        self._process = process

    def session(self) -> "SimSession":  # type: ignore[override]  # what stands between is no SQLite session
        return self._world.adversary.call(self._process, "store.open", self._open_session)

    def _open_session(self) -> "SimSession":
        session = super().session()
        self._process.belongings.append(session.close)
        # To wait for the file's lock would stop everybody who could release it: it is tried again with back-off.
        session._shared.connection.execute("PRAGMA busy_timeout = 0")
        # Processes are killed here, machines are not.
        session._shared.connection.execute("PRAGMA synchronous = OFF")
        return SimSession(self._world, self._process, session)


class Witness:
    """Counts, in the transaction of a session, the effects of an entity type that has no handler to count them.

    A state counts itself when it is written (see `ground`): what is missing there is its epoch. A delete counts when
    its row is gone.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def see(self, changes: Sequence[Change]) -> None:
        for key, number, epoch, verb in ((each.key, each.version, each.epoch, each.verb) for each in changes):
            txn = f"{key}@{number}"
            self._connection.execute("UPDATE effect SET epoch = ? WHERE txn = ? AND epoch IS NULL", (epoch, txn))
            if verb is Verb.DELETE:
                self._connection.execute(
                    "INSERT INTO effect (txn, key, version, epoch, times) "
                    "SELECT ?, ?, ?, ?, 1 WHERE NOT EXISTS (SELECT 1 FROM thing WHERE key = ?) "
                    "ON CONFLICT (txn) DO UPDATE SET times = times + 1",
                    (txn, key, number, epoch, key),
                )


class SimSession(Ports):
    """`QuickSession`: the real one."""

    def __init__(self, world: "World", process: Process, session: SqliteSession) -> None:
        super().__init__(world, process)
        self._session = session
        self._witness = Witness(session._shared.connection)

    @contextmanager
    def unit(self) -> Iterator["SimUnit"]:
        transaction = self._session.unit()
        begun = ended = False

        def begin() -> Unit:
            nonlocal begun
            unit = transaction.__enter__()
            begun = True
            return unit

        def commit() -> None:
            nonlocal ended
            ended = True
            transaction.__exit__(None, None, None)

        try:
            yield SimUnit(self._world, self._process, self._call("store.begin", begin), self._witness)
            self._call("store.commit", commit)
        except BaseException as error:
            # Also where the process is killed: what is left of its transaction is undone.
            if begun and not ended:
                transaction.__exit__(type(error), error, error.__traceback__)
            raise

    def take(
        self,
        batch: Sequence[Delivered],
        entities: Sequence[Entity],
        now_ms: int,
        *,
        history: bool,
        confirm: Callable[[], None] = lambda: None,
    ) -> Taken:
        changes = [delivered.change for delivered in batch]

        def confirmed() -> None:
            self._witness.see(changes)
            self._call("store.confirm", confirm)

        def take() -> Taken:
            return self._session.take(batch, entities, now_ms, history=history, confirm=confirmed)

        return self._call("store.take", take, " ".join(change.key for change in changes))

    def close(self) -> None:
        self._session.close()


class SimUnit(Ports):
    """`Unit`: the real one."""

    def __init__(self, world: "World", process: Process, unit: Unit, witness: Witness) -> None:
        super().__init__(world, process)
        self._unit = unit
        self._witness = witness
        self.transaction = unit.transaction

    def load(self, changes: Sequence[Change]) -> Memory:
        return self._call("store.load", partial(self._unit.load, changes))

    def previous(self, entity: Entity, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        return self._call("store.previous", partial(self._unit.previous, entity, keys))

    def same(self, entity: Entity, changes: Sequence[Change]) -> set[str]:
        return self._call("store.same", partial(self._unit.same, entity, changes))

    def write(self, entity: Entity, changes: Sequence[Change]) -> None:
        def write() -> None:
            self._unit.write(entity, changes)
            if not entity.handlers:
                self._witness.see(changes)

        self._call("store.write", write, " ".join(change.key for change in changes))

    def savepoint(self) -> AbstractContextManager[None]:
        return self._unit.savepoint()

    def effects(self) -> AbstractContextManager[Effects]:
        return self._unit.effects()

    def save(self, log: Log) -> None:
        self._call("store.save", partial(self._unit.save, log))
