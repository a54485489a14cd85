"""The PostgreSQL store: our own tables in a schema of theirs, the user's where they are."""

import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, date, datetime
from typing import Any

import psycopg

from isthmus.checkpoint.gates import Gate
from isthmus.clock import Clock, SystemClock
from isthmus.consumer.stores.held import HeldHead
from isthmus.consumer.stores.port import Delivered, Entity, Pruned, TableMapping, Taken
from isthmus.consumer.stores.postgres import schema
from isthmus.consumer.stores.postgres.checks import check_mapping
from isthmus.consumer.stores.postgres.columns import Shape, columns_of
from isthmus.consumer.stores.postgres.connection import Connection, PostgresAddress, connect, connected, durably
from isthmus.consumer.stores.postgres.errors import LOST, translate, translated
from isthmus.consumer.stores.postgres.lanes import BEGIN, Locks
from isthmus.consumer.stores.postgres.outbox import PostgresOutbox
from isthmus.consumer.stores.postgres.own import (
    check_own,
    refuse_another,
    refuse_nameless,
    refuse_newer,
    refuse_unmakeable_schema,
    version_of,
)
from isthmus.consumer.stores.postgres.pruning import Pruning, Turns, make_months
from isthmus.consumer.stores.postgres.quick import Quick
from isthmus.consumer.stores.postgres.rows import EntityStatements, Found, written_columns
from isthmus.consumer.stores.postgres.screening import screen_of
from isthmus.consumer.stores.postgres.statements import Statements, gate_values
from isthmus.consumer.stores.postgres.unit import PostgresUnit
from isthmus.consumer.stores.postgres.watchdog import Watchdog
from isthmus.errors import Poison, Transient
from isthmus.lifecycle import Stop
from isthmus.payloads import Payloads

_ALONE = 500
"""Transactions after a deadlock whose effects run alone: PostgreSQL waits a second before it looks for the next one."""
_WARY = 8
"""Batches that are screened before they are written, once a table has refused something: poison seldom comes alone."""

Opening = Callable[[], tuple[Connection, Found]]
"""Opens a connection and reads what the user's tables are like."""


class PostgresStore:
    """A front office in a PostgreSQL database. `lanes` is the stream's number of them.

    `application` is whose memory it is: another one of another name finds the schema taken.
    """

    def __init__(
        self,
        address: PostgresAddress,
        entities: Sequence[Entity],
        *,
        lanes: int,
        application: str = "isthmus",
        clock: Clock | None = None,
    ) -> None:
        self._address = address
        self._application = application
        self._lanes = lanes
        self._entities = {entity.name: entity for entity in entities if entity.mapping is not None}
        self._clock = clock or SystemClock()
        self._texts = Statements(address.schema)
        # Advisory locks are numbers of the whole database: another schema shall have others.
        space = int.from_bytes(zlib.crc32(f"isthmus/{address.schema}".encode()).to_bytes(4, "big"), "big", signed=True)
        self._locks = Locks(space, lanes)
        self._watchdog = Watchdog(self._clock, address.statement_timeout)

    def prepare(self, *, dry_run: bool = False) -> list[str]:
        """Make our own tables; give the statements. A dry run asks nobody, and gives those for a database without any.

        Raises `Refused` too for the tables of another application, or of another number of lanes.
        """
        name, today = self._address.schema, self._today()
        statements = [*schema.statements(name, today), schema.owned_by(name, self._application, self._lanes)]
        months = list(schema.first_months(name, today))
        if dry_run:
            return statements + months
        with connected(self._address, self._watchdog) as connection, self._making(connection):
            refuse_newer(connection, name)
            refuse_nameless(connection, name)
            refuse_unmakeable_schema(connection, name)
            is_new = version_of(connection, name) is None
            # Who may make tables in a schema that is there may perhaps make no schema, not even the same one.
            there = connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (name,))
            for statement in statements[there.rowcount :] + (months if is_new else []):
                self._watchdog.arm(connection)
                connection.execute(statement)
            refuse_another(connection, name, self._application, self._lanes)
            # Where rows may lie in the partition of all later months, they are moved into a month that is made.
            return statements + make_months(connection, name, today) + months

    def check(self, entities: Sequence[Entity]) -> None:
        """Compare with what is really in the database."""
        with connected(self._address, self._watchdog) as connection, translated():
            refuse_newer(connection, self._address.schema)
            check_own(connection, self._address.schema)
            refuse_another(connection, self._address.schema, self._application, self._lanes)
            for entity in entities:
                if entity.mapping is not None:
                    check_mapping(connection, entity)

    def session(self) -> "PostgresSession":
        """Open a connection."""
        session = PostgresSession(self._open, self._texts, self._locks, self._watchdog)
        session.connected()
        return session

    def prune(self, *, memory_before_ms: int, history_before_ms: int, stop: Stop, portion: int = 1000) -> Pruned:
        """Forget what is old: whole months by dropping them, the rest a portion in a transaction."""
        with connected(self._address, self._watchdog) as connection:
            with self._making(connection):
                make_months(connection, self._address.schema, self._today())
            turns = Turns(lambda: self._transaction(connection), lambda: self._making(connection))
            pruning = Pruning(connection, self._address.schema, turns, stop, portion)
            return pruning.run(
                memory_before_ms=memory_before_ms, history_before_ms=history_before_ms, today=self._today()
            )

    def held_heads(self, *, after: str = "", most: int = 100) -> list[HeldHead]:
        """Give the first held change of each key behind `after`."""
        with connected(self._address, self._watchdog) as connection, translated():
            found: Any = connection.execute(self._texts.held_heads, (after, most))
            return [HeldHead(*row) for row in found]

    def mirror(self, gates: Sequence[Gate]) -> None:
        """Write gates beside what they guard, when whoever decides now has ended."""
        with connected(self._address, self._watchdog) as connection, self._transaction(connection):
            connection.execute(self._texts.mirror_alone, (self._locks.space,))
            for gate in gates:
                connection.execute(self._texts.mirror, gate_values(gate))

    def versions(self) -> tuple[int | None, int]:
        """Give the version of our own tables, None where there are none, and the one that `prepare` makes."""
        with connected(self._address, self._watchdog) as connection, translated():
            return version_of(connection, self._address.schema), schema.SCHEMA_VERSION

    def outbox(self, _payloads: Payloads | None = None, *, stop: Stop | None = None) -> PostgresOutbox:  # noqa: ARG002 - the port's
        """Give what waits for the dead-letter queue: all of it lies here, and one attempt is enough."""
        return PostgresOutbox(self._address, self._watchdog)

    def _open(self) -> tuple[Connection, Found]:
        connection = connect(self._address, self._watchdog)
        try:
            with self._watchdog.watching(connection), translated():
                statements = {
                    name: _statements(connection, entity, entity.mapping)
                    for name, entity in self._entities.items()
                    if entity.mapping is not None
                }
                return connection, Found(statements, durably(connection))
        except BaseException:
            connection.close()
            raise

    @contextmanager
    def _transaction(self, connection: Connection) -> Iterator[None]:
        """Commit at the end; undo everything when an exception passes."""
        self._watchdog.arm(connection)
        with translated(), connection.transaction():
            yield

    @contextmanager
    def _making(self, connection: Connection) -> Iterator[None]:
        """Make or drop tables. Two that do it at once would stand in each other's way."""
        with self._transaction(connection):
            connection.execute("SELECT pg_advisory_xact_lock(%s, -1)", (self._locks.space,))
            yield

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock.now_ms() / 1000, UTC).date()


class PostgresSession:
    """One shard processor's connection. One that is lost is made anew with the next unit."""

    def __init__(self, opening: Opening, texts: Statements, locks: Locks, watchdog: Watchdog) -> None:
        self._opening = opening
        self._texts = texts
        self._locks = locks
        self._watchdog = watchdog
        self._connection: Connection | None = None
        self._found = Found({}, "")
        self._alone = 0
        # Rows that were discarded before their keys were known are so rare that the quick way asks for them only once
        # it is known that there are some.
        self._asks_rows = False
        self._wary = 0
        self._is_screened = False

    def connected(self) -> Connection:
        """Give the connection, made anew where it was lost."""
        if self._connection is None or self._connection.closed:
            self._connection, self._found = self._opening()
        return self._connection

    @contextmanager
    def unit(self) -> Iterator[PostgresUnit]:
        """One transaction, durable when it returns."""
        connection = self.connected()
        unit = PostgresUnit(
            connection,
            self._texts,
            self._found,
            self._locks,
            lambda: self._watchdog.arm(connection),
            alone=self._alone > 0,
        )
        self._alone = max(0, self._alone - 1)
        with self._undoing(connection):
            with translated():
                self._watchdog.arm(connection)
                connection.execute(BEGIN)
            yield unit
            unit.commit()
        if unit.rows_settled is not None:
            self._asks_rows = unit.rows_settled

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
        connection = self.connected()
        with self._undoing(connection), translated():
            self._watchdog.arm(connection)
            quick = Quick(connection, self._texts, self._found, self._locks, asks_rows=self._asks_rows)
            # Whoever was told of suspects comes again without them.
            is_screened, self._is_screened = self._is_screened, False
            if self._wary and not is_screened:
                if found := quick.in_the_way(batch, entities):
                    return self._suspected(found)
                is_screened, self._wary = True, self._wary - 1
            connection.execute(BEGIN)
            taken = quick.take(batch, entities, now_ms, history=history)
            if taken.done:
                confirm()
            # A constraint that is asked only at the commit refuses here; the other way finds whose it is.
            if taken.done and _committed(connection):
                return taken
            self._not_taken(connection)
            others = [] if is_screened else quick.in_the_way(batch, entities)
            found = sorted({*taken.suspects, *others})
            return self._suspected(found) if found else Taken(done=False)

    def close(self) -> None:
        """Give the connection back."""
        if self._connection is not None:
            self._watchdog.disarm(self._connection)
            self._connection.close()
            self._connection = None

    def _suspected(self, places: Sequence[int]) -> Taken:
        self._is_screened, self._wary = True, _WARY
        return Taken(done=False, suspects=places)

    @staticmethod
    def _not_taken(connection: Connection) -> None:
        if connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            connection.execute("ROLLBACK")

    @contextmanager
    def _undoing(self, connection: Connection) -> Iterator[None]:
        try:
            yield
        except BaseException as error:
            self._undo(connection, error)
            raise
        finally:
            self._watchdog.disarm(connection)

    def _undo(self, connection: Connection, error: BaseException) -> None:
        status = connection.info.transaction_status
        if isinstance(error, Transient) and error.cause == "deadlock":
            self._alone = _ALONE
        # What is no error at all broke off anywhere, in the middle of an answer too.
        lost = not isinstance(error, Exception) or (isinstance(error, Transient) and error.cause in LOST)
        if not lost and status in {psycopg.pq.TransactionStatus.INTRANS, psycopg.pq.TransactionStatus.INERROR}:
            with suppress(psycopg.Error):
                connection.execute("ROLLBACK")
        # Whatever else it is in the middle of: the server undoes what was not committed.
        if lost or connection.info.transaction_status is not psycopg.pq.TransactionStatus.IDLE:
            self.close()


def _committed(connection: Connection) -> bool:
    try:
        connection.execute("COMMIT")
    except psycopg.Error as error:
        if isinstance(translate(error), Poison):
            return False
        raise
    return True


def _statements(connection: Connection, entity: Entity, mapping: TableMapping) -> EntityStatements:
    try:
        # Before the columns: what is altered between the two shows then.
        written = written_columns(mapping)
        shape = Shape(connection, mapping, written)
        columns = columns_of(connection, mapping)
        screen = screen_of(connection, mapping, written, columns)
        return EntityStatements(entity.name, mapping, columns, shape, screen=screen)
    except KeyError:
        # Dropped since the start: the check says which one, and what mends it.
        check_mapping(connection, entity)
        raise
