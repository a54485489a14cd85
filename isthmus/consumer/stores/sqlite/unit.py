"""One transaction on SQLite: what the pure rules decided becomes a handful of statements for many rows."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from typing import Any

import orjson

from isthmus.change import Change, Verb, settled_row
from isthmus.consumer.deciding import Guard, Memory
from isthmus.consumer.stores.held import Held
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.poisoned import PoisonIn, Undone
from isthmus.consumer.stores.port import Entity, Log, NoPlaces
from isthmus.consumer.stores.sqlite import statements as sql
from isthmus.consumer.stores.sqlite.errors import translated
from isthmus.consumer.stores.sqlite.rows import EntityStatements, one_by_one
from isthmus.consumer.stores.sqlite.trail import Trails
from isthmus.consumer.stores.sqlite.transaction import SqliteTransaction, refusing
from isthmus.errors import Fatal, Poison

_DELETE = Verb.DELETE


class SqliteUnit:
    """One transaction.

    `BEGIN IMMEDIATE` took the writer's place, so nothing that it loads can change before it commits.
    """

    def __init__(self, connection: sqlite3.Connection, entities: Mapping[str, EntityStatements]) -> None:
        self._connection = connection
        self._entities = entities
        self._trails = Trails(connection)
        self.transaction = SqliteTransaction(connection)

    def load(self, changes: Sequence[Change]) -> Memory:
        """Give what is remembered of these changes."""
        keys = _json(list({change.key for change in changes}))
        run = self._connection.execute
        memory = Memory()
        with translated():
            memory.fences = {(source, lane): epoch for source, lane, epoch in run(sql.FENCES)}
            for key, told, version, txn, rowhash, deleted, entity in run(sql.GUARDS, (keys,)):
                memory.guards[key] = Guard(version, txn, rowhash, deleted == 1, entity)
                self._trails.found(key, told)
            # What is parked or settled is rare, and many stores have no events: so what is empty is not searched.
            any_event, any_parked, any_settled, any_trail, any_held, any_gate = run(sql.ANYTHING).fetchone()
            if any_trail:
                self._trails.load(keys)
            if any_event or any_settled:
                rows = filter(None, map(settled_row, changes)) if any_settled else ()
                txns = _json(list({*(change.id for change in changes), *rows}))
                memory.ledger = dict(run(sql.LEDGER, (txns,)))
                memory.settled = {txn for (txn,) in run(sql.SETTLED, (txns,))}
            if any_parked:
                for key, entity, version in run(sql.NEWEST_PARKED, (keys,)):
                    memory.newest_parked.setdefault(key, {})[entity] = version
            if memory.newest_parked:
                places = [(change.key, change.id) for change in changes if change.key in memory.newest_parked]
                for key, txn, rowhash in run(sql.PARKED, (_json(places),)):
                    memory.parked[key, txn] = rowhash
            if any_held:
                memory.held_keys = {key for (key,) in run(sql.HELD_KEYS, (keys,))}
                places = [(change.key, change.id) for change in changes if change.key in memory.held_keys]
                memory.held = {(key, txn): rowhash for key, txn, rowhash in run(sql.HELD_HERE, (_json(places),))}
            if any_gate:
                memory.gates = [sql.gate_of(row) for row in run(sql.GATES)]
        return memory

    def held(self, keys: Sequence[str], each: int) -> list[Held]:
        """Give the first that are held of these keys."""
        with translated():
            return [sql.held_of(row) for key in keys for row in self._connection.execute(sql.HELD_OF, (key, each))]

    def waiting(self, keys: Sequence[str], each: int, *, only: Collection[str] = ()) -> list[Waiting]:
        """Give the first of what is parked of these keys."""
        names = {"most": each, "skip": 0, "only": _json(list(only)) if only else None}
        run = self._connection.execute
        with translated():
            return [sql.waiting_of(row) for key in keys for row in run(sql.WAITING, {"key": key, **names})]

    def previous(self, entity: Entity, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Give the entities' rows by key."""
        statements = self._entities[entity.name]
        with translated():
            cursor = self._connection.execute(statements.select, (_json(statements.wanted(keys)),))
            names = [column[0] for column in cursor.description[1:]]
            return {row[0]: dict(zip(names, row[1:], strict=True)) for row in cursor}

    def same(self, entity: Entity, changes: Sequence[Change]) -> set[str]:
        """Give the keys whose rows are as these changes would make them."""
        statements = self._entities[entity.name]
        keys = _json(statements.wanted([change.key for change in changes]))
        with translated():
            held = {key: row for key, *row in self._connection.execute(statements.held, (keys,))}
        return {change.key for change in changes if change.key in held and statements.is_held(change, held[change.key])}

    def write(self, entity: Entity, changes: Sequence[Change]) -> None:
        """Upsert or delete the entities' rows."""
        statements = self._entities[entity.name]
        begun = [0]
        # In their order: a delete may make room for what a constraint would refuse, or take along what comes after it.
        for deletes, run in groupby(range(len(changes)), lambda place: changes[place].verb is _DELETE):
            values = (lambda change: statements.key(change.key)) if deletes else statements.values
            try:
                with refusing(self._connection):
                    self._connection.executemany(
                        statements.delete if deletes else statements.upsert, one_by_one(changes, run, values, begun)
                    )
            except Poison as poison:
                raise PoisonIn(poison, begun[0]) from poison

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Run a part so that an exception undoes the part alone."""
        run = self._connection.execute
        with translated():
            run("SAVEPOINT part")
        try:
            yield
        except BaseException:
            # An error such as a full disk has undone everything already; then there is no savepoint to return to.
            if self._connection.in_transaction:
                with translated():
                    run("ROLLBACK TO part")
                    run("RELEASE part")
            self.transaction.raise_failure()
            raise
        self.transaction.raise_failure()
        with translated():
            run("RELEASE part")

    @contextmanager
    def effects(self) -> Iterator[NoPlaces]:
        """Run the handlers of a part inside."""
        yield NoPlaces()

    def save(self, log: Log) -> None:
        """Write guards, ledger, parking lot, outbox, history and fences."""
        try:
            with translated():
                self._save(log)
        except Poison as poison:
            raise Fatal(f"The front office's own tables refuse a row: {poison.message}.") from poison

    def commit(self) -> None:
        """End the transaction, durably."""
        self.transaction.raise_failure()
        try:
            with translated():
                self._connection.execute("COMMIT")
        except Poison as poison:
            raise Undone(poison) from poison

    def _save(self, log: Log) -> None:
        many, now, head = self._connection.executemany, log.decided_ms, self._trails.head
        if log.redriven or log.again or log.edited:
            self._save_redriven(log)
        freed = [(key, entity, version) for (key, entity), version in log.freed.items()]
        if log.keeps_history and (log.history or freed):
            # Before the guards, which hold where a trail begins, and before what is freed is gone.
            self._trails.append(self._trails.freed(freed, now), log.history, now, log.guards)
        if log.guards:
            many(sql.SAVE_GUARD, [(key, *guard, now, head(key)) for key, guard in log.guards.items()])
        if log.ledger:
            many(sql.SAVE_LEDGER, [sql.ledger_row(delivered, now) for delivered in log.ledger])
        if freed:
            many(sql.FREE, freed)
        if log.parked:
            many(sql.SAVE_PARKED, [sql.parked_row(parking, now) for parking in log.parked.values()])
        if log.outbox:
            many(sql.SAVE_OUTBOX, [sql.outbox_row(parking, now) for parking in log.outbox])
        many(sql.DRAINED, log.drained)
        many(sql.SAVE_HELD, [sql.held_row(keeping, now) for keeping in log.held.values()])
        if log.fences:
            many(sql.SAVE_FENCE, [(source, lane, epoch) for (source, lane), epoch in log.fences.items()])

    def _save_redriven(self, log: Log) -> None:
        many, now = self._connection.executemany, log.decided_ms
        # First of all: what is freed after this is told of as superseded.
        many(sql.TAKE_OUT, log.redriven)
        many(sql.TRIED_AGAIN, [(*parking[1:4], now, *place) for place, parking in log.again.items()])
        many(sql.EDIT, [(event, *place) for place, event in log.edited.items()])
        many(sql.SETTLE, [(txn, now) for txn in log.settled])
        many(sql.AUDIT, [sql.audit_row(audited, now) for audited in log.audit])


def _json(value: Any) -> str:
    return orjson.dumps(value).decode()
