"""The SQLite store: one file, write-ahead log, every commit on disk before it returns."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from isthmus.checkpoint.gates import Gate
from isthmus.consumer.stores.held import HeldHead
from isthmus.consumer.stores.poisoned import PoisonIn, Undone
from isthmus.consumer.stores.port import Delivered, Entity, Pruned, Taken
from isthmus.consumer.stores.sqlite import quick, schema
from isthmus.consumer.stores.sqlite import statements as sql
from isthmus.consumer.stores.sqlite.checks import (
    check_mapping,
    refuse_another,
    refuse_nameless,
    refuse_newer,
    version_of,
)
from isthmus.consumer.stores.sqlite.connection import reading, writing
from isthmus.consumer.stores.sqlite.errors import translated
from isthmus.consumer.stores.sqlite.outbox import SqliteOutbox
from isthmus.consumer.stores.sqlite.pruning import Pruning
from isthmus.consumer.stores.sqlite.rows import EntityStatements, affinities
from isthmus.consumer.stores.sqlite.unit import SqliteUnit
from isthmus.errors import Missing, Poison, Refused, TargetDown
from isthmus.lifecycle import Stop
from isthmus.payloads import Payloads


class SqliteStore:
    """A front office in one SQLite file. `application` is whose memory it is."""

    def __init__(self, path: Path, entities: Sequence[Entity], *, application: str = "isthmus") -> None:
        self._path = path
        self._application = application
        self._mappings = {entity.name: entity.mapping for entity in entities if entity.mapping is not None}
        # SQLite has one writer. Shards of this process queue here instead of polling for the file's lock.
        self._writer = threading.Lock()
        self._shared: _Shared | None = None

    def prepare(self, *, dry_run: bool = False) -> list[str]:
        """Make our own tables; give the statements. Raises `Refused` too for the tables of another application."""
        statements = [*schema.STATEMENTS, schema.OWNED_BY.format(application=self._application.replace("'", "''"))]
        if not dry_run:
            with closing(writing(self._path, create=True)) as connection, transaction(connection):
                refuse_newer(connection, self._path)
                refuse_nameless(connection, self._path)
                with translated():
                    for statement in statements:
                        connection.execute(statement)
                refuse_another(connection, self._path, self._application)
        return statements

    def check(self, entities: Sequence[Entity]) -> None:
        """Compare with what is really in the file."""
        if not self._path.exists():
            hint = "Run `isthmus setup`, and make your own tables."
            raise Missing(f"There is no front office at {self._path}.", hint=hint)
        with reading(self._path) as connection:
            refuse_newer(connection, self._path)
            for table in schema.TABLES:
                if not affinities(connection, table):
                    raise Missing(f"{self._path} has no table {table!r} of ours.", hint="Run `isthmus setup`.")
            refuse_nameless(connection, self._path)
            refuse_another(connection, self._path, self._application)
            for entity in entities:
                if entity.mapping is not None:
                    check_mapping(connection, entity, entity.mapping)

    def held_heads(self, *, after: str = "", most: int = 100) -> list[HeldHead]:
        """Give the first held change of each key behind `after`."""
        with reading(self._path) as connection:
            return [HeldHead(*row) for row in connection.execute(sql.HELD_HEADS, (after, most))]

    def mirror(self, gates: Sequence[Gate]) -> None:
        """Write gates beside what they guard. There is one writer: whoever decided before this has ended."""
        with self._writer, closing(writing(self._path)) as connection, transaction(connection), translated():
            connection.executemany(sql.MIRROR, [sql.gate_row(gate) for gate in gates])

    def versions(self) -> tuple[int | None, int]:
        """Give the schema version of the tables in the file, None where there are none, and this release's."""
        if not self._path.exists():
            return None, schema.SCHEMA_VERSION
        with reading(self._path) as connection:
            return version_of(connection, self._path), schema.SCHEMA_VERSION

    def session(self) -> "SqliteSession":
        """Give a session.

        All of a store share one connection: there is one writer at a time anyway, and every commit of another
        connection would empty this one's page cache.
        """
        with self._writer:
            if self._shared is None or not self._shared.users:
                self._shared = self._open()
            self._shared.users += 1
            return SqliteSession(self._shared, self._writer)

    def _open(self) -> "_Shared":
        file = _file_at(self._path)
        connection = writing(self._path)
        try:
            with translated():
                statements = {
                    name: EntityStatements(name, mapping, affinities(connection, mapping.table))
                    for name, mapping in self._mappings.items()
                }
        except BaseException:
            connection.close()
            raise
        return _Shared(connection, statements, self._path, file)

    def prune(self, *, memory_before_ms: int, history_before_ms: int, stop: Stop, portion: int = 1000) -> Pruned:
        """Forget what is old, a portion in a transaction."""
        with closing(writing(self._path)) as connection:

            @contextmanager
            def turn() -> Iterator[None]:
                with self._writer, transaction(connection):
                    yield

            pruning = Pruning(connection, turn, stop, portion)
            return pruning.run(memory_before_ms=memory_before_ms, history_before_ms=history_before_ms)

    def outbox(self, _payloads: Payloads | None = None, *, stop: Stop | None = None) -> SqliteOutbox:  # noqa: ARG002 - the port's
        """Give what waits for the dead-letter queue: all of it lies here, and one attempt is enough."""
        return SqliteOutbox(self._path, self._writer)


@dataclass(slots=True)
class _Shared:
    """The connection of all sessions; the last one that is closed closes it."""

    connection: sqlite3.Connection
    statements: Mapping[str, EntityStatements]
    path: Path
    file: "_File | None"
    users: int = 0

    def in_place(self) -> None:
        """See that what was opened still stands at its path: an open file can be written after it was moved or removed.

        Raises `TargetDown` where nothing is, `Refused` where another file is.
        """
        found = _file_at(self.path)
        if found is None:
            raise TargetDown(f"The front office {self.path} is not there any more.", cause="moved")
        if found != self.file:
            raise Refused(
                f"Another file stands at {self.path} than the one that was opened.",
                hint="If it holds an older state, see `Backup and restore` in docs/runbook.md; then start again.",
            )


class SqliteSession:
    """One shard processor's way to the store."""

    def __init__(self, shared: _Shared, writer: threading.Lock) -> None:
        self._shared = shared
        self._writer = writer
        self._open = True

    @contextmanager
    def unit(self) -> Iterator[SqliteUnit]:
        """One transaction, durable when it returns."""
        connection = self._shared.connection
        unit = SqliteUnit(connection, self._shared.statements)
        with self._writer:
            self._shared.in_place()
            with transaction(connection, unit):
                yield unit
            # After the commit: whoever calls this saves a checkpoint next, and what went into a file that nobody will
            # read must come again.
            self._shared.in_place()

    def take(
        self,
        batch: Sequence[Delivered],
        entities: Sequence[Entity],
        now_ms: int,
        *,
        history: bool,
        confirm: Callable[[], None] = lambda: None,
    ) -> Taken:
        """Try the quick way: all of the batch takes effect, durably, or nothing is changed."""
        connection = self._shared.connection
        with self._writer:
            self._shared.in_place()
            try:
                with transaction(connection), translated():
                    if not quick.take(connection, self._shared.statements, batch, entities, now_ms, history=history):
                        raise _NotPlain  # noqa: TRY301 - it undoes what was written
                    confirm()
            except PoisonIn as poison:
                return Taken(done=False, suspects=[poison.place])
            except _NotPlain:
                return Taken(done=False, suspects=quick.waiting(connection, batch))
            except (Poison, Undone):
                # Whose fault it was is not known. The other way finds it.
                return Taken(done=False)
            self._shared.in_place()
        return Taken(done=True)

    def close(self) -> None:
        """Give the connection back."""
        with self._writer:
            if self._open:
                self._open = False
                self._shared.users -= 1
                if not self._shared.users:
                    self._shared.connection.close()


class _NotPlain(Exception):  # noqa: N818 - a fact about a batch
    """It does not take effect as a whole."""


_File = tuple[int, int]
"""Device and number: what stays the same when a file is moved, and differs for every other."""


def _file_at(path: Path) -> _File | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


@contextmanager
def transaction(connection: sqlite3.Connection, unit: SqliteUnit | None = None) -> Iterator[None]:
    """Take the writer's place; commit at the end, or undo everything when an exception passes."""
    try:
        with translated():
            connection.execute("BEGIN IMMEDIATE")
        yield
        (unit or SqliteUnit(connection, {})).commit()
    except BaseException:
        # The error that led here is the one to tell; a rollback that fails too adds nothing.
        with suppress(sqlite3.Error):
            if connection.in_transaction:
                connection.execute("ROLLBACK")
        raise
