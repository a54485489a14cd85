"""One transaction on PostgreSQL: what the pure rules decided becomes a handful of statements for many rows."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import groupby
from typing import Any

from isthmus.change import SETTLED_ROW_PREFIX, Change, Outcome, Verb, settled_row
from isthmus.consumer.deciding import Guard, Memory
from isthmus.consumer.stores.held import Held
from isthmus.consumer.stores.lot import Waiting
from isthmus.consumer.stores.poisoned import PoisonIn, Undone
from isthmus.consumer.stores.port import Effects, Entity, Log, Told
from isthmus.consumer.stores.postgres import statements as sql
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.errors import translated
from isthmus.consumer.stores.postgres.lanes import Locks, Looks
from isthmus.consumer.stores.postgres.names import text_array
from isthmus.consumer.stores.postgres.pipelines import pipelined
from isthmus.consumer.stores.postgres.refused import poison_in
from isthmus.consumer.stores.postgres.rows import EntityStatements, Found
from isthmus.consumer.stores.postgres.transaction import PostgresTransaction
from isthmus.errors import Fatal, Poison, Transient

_DELETE = Verb.DELETE


class PostgresUnit:
    """One transaction. The lanes of what it loaded are locked until it ends."""

    def __init__(
        self,
        connection: Connection,
        texts: sql.Statements,
        found: Found,
        locks: Locks,
        patience: Callable[[], None],
        *,
        alone: bool = False,
    ) -> None:
        self._connection = connection
        self._texts = texts
        self._entities = found.entities
        self._durably = found.durably
        self._touched: set[str] = set()
        self._locks = locks
        self._patience = patience
        self._looks = Looks(connection, texts, locks)
        self.rows_settled: bool | None = None
        """Whether any row is settled whose key was not known. None: it was not asked."""
        self.transaction = PostgresTransaction(connection, patience, locks.turn(alone=alone))

    def load(self, changes: Sequence[Change]) -> Memory:
        """Give what is remembered of these changes."""
        self._patience()
        self._looks.begin_in_order(change.key for change in changes)
        texts, run, memory = self._texts, self._run, Memory()
        keys = text_array(list({change.key for change in changes}))
        txns = text_array(list({change.id for change in changes}))
        sources = text_array(list({change.source for change in changes}))
        with translated():
            with pipelined(self._connection):
                run(texts.lock, (self._locks.space, self._locks.of({change.key for change in changes})))
                fences, guards = run(texts.fences, (sources,)), run(texts.guards, (keys,))
                ledger, settled = run(texts.ledger, (txns,)), run(texts.settled, (txns,))
                newest = run(texts.newest_parked, (keys,))
                held_keys, gates = run(texts.held_keys, (keys,)), run(texts.gates, (True,))
            memory.fences = {(source, lane): epoch for source, lane, epoch in fences}
            memory.guards = {key: Guard(*guard) for key, *guard in guards}
            memory.ledger = dict(ledger)
            memory.settled = {txn for (txn,) in settled}
            self.rows_settled = any(txn.startswith(SETTLED_ROW_PREFIX) for txn in memory.settled)
            if self.rows_settled:
                rows = text_array(list(set(filter(None, map(settled_row, changes)))))
                memory.settled.update(txn for (txn,) in run(texts.settled, (rows,)))
            for key, entity, version in newest:
                memory.newest_parked.setdefault(key, {})[entity] = version
            if memory.newest_parked:
                places = [change for change in changes if change.key in memory.newest_parked]
                arrays = text_array([each.key for each in places]), text_array([each.id for each in places])
                memory.parked = {(key, txn): rowhash for key, txn, rowhash in run(texts.parked, arrays)}
            memory.gates = [sql.gate_of(row) for row in gates]
            memory.held_keys = {key for (key,) in held_keys}
            if memory.held_keys:
                places = [change for change in changes if change.key in memory.held_keys]
                arrays = text_array([each.key for each in places]), text_array([each.id for each in places])
                memory.held = {(key, txn): rowhash for key, txn, rowhash in run(texts.held_here, arrays)}
        return memory

    def held(self, keys: Sequence[str], each: int) -> list[Held]:
        """Give the first that are held of these keys, locked."""
        self._patience()
        with translated():
            # Not in one with what reads: that must see what was committed while it waited for the lock.
            with pipelined(self._connection):
                self._run(self._texts.lock, (self._locks.space, self._locks.of(keys)))
                found = self._run(self._texts.held_of, (text_array(list(keys)), each))
            return [Held(*row[:-1]) for row in found]

    def waiting(self, keys: Sequence[str], each: int, *, only: Collection[str] = ()) -> list[Waiting]:
        """Give the first of what is parked of these keys."""
        self._patience()
        return self._looks.waiting(keys, each, only)

    def previous(self, entity: Entity, keys: Sequence[str]) -> dict[str, Mapping[str, Any]]:
        """Give the entities' rows by key, locked."""
        self._patience()
        statements = self._entities[entity.name]
        with translated():
            cursor = self._run(statements.select, statements.wanted(keys))
            names = [column.name for column in (cursor.description or ())][1:]
            return {row[0]: dict(zip(names, row[1:], strict=True)) for row in cursor}

    def same(self, entity: Entity, changes: Sequence[Change]) -> set[str]:
        """Give the keys whose rows are as these changes would make them."""
        self._patience()
        statements = self._touch(entity)
        # No row is locked: what the front office itself writes from here on comes after it.
        with poison_in(0, changes):
            found = self._run(statements.same, statements.rows(changes)).fetchall()
        return {changes[place - 1].key for (place,) in found}

    def write(self, entity: Entity, changes: Sequence[Change]) -> None:
        """Upsert or delete the entities' rows."""
        self._patience()
        statements, begun = self._touch(entity), 0
        # In their order: a delete may make room for what a constraint would refuse, or take along what comes after it.
        for deletes, run in groupby(changes, _deletes):
            part = list(run)
            with poison_in(begun, part):
                if deletes:
                    self._run(statements.delete, statements.keys([change.key for change in part]))
                else:
                    self._upsert(statements, part)
            begun += len(part)

    def _touch(self, entity: Entity) -> EntityStatements:
        self._touched.add(entity.name)
        return self._entities[entity.name]

    def _upsert(self, statements: EntityStatements, changes: Sequence[Change]) -> None:
        rows = statements.rows(changes)
        if self._run(statements.upsert, rows).rowcount == len(changes):
            return
        # A trigger let some of them fall. That is as good as written where the row is so already.
        found = {place for (place,) in self._run(statements.same, rows)}
        fallen = [place for place in range(len(changes)) if place + 1 not in found]
        if fallen:
            poison = Poison("not-written", "the table did not take the row: a trigger gave NULL for it")
            raise PoisonIn(poison, fallen[0]) if len(fallen) == 1 else poison

    @contextmanager
    def savepoint(self) -> Iterator[None]:
        """Run a part so that an exception undoes the part alone."""
        self._patience()
        with translated():
            self._run("SAVEPOINT part")
        try:
            yield
            self.transaction.raise_refusal()
        except BaseException as error:
            self.transaction.raise_failure()
            # What ends the whole unit needs no more of it, and often there is no connection left.
            if not isinstance(error, Transient):
                with translated():
                    self._run("ROLLBACK TO part")
                    self.transaction.lose_turn()
                    self._run("RELEASE part")
            raise
        self.transaction.raise_failure()
        with translated():
            self._run("RELEASE part")

    def effects(self) -> AbstractContextManager[Effects]:
        """Run the handlers of a part inside: what they run is sent, and answered at the end."""
        return self.transaction.collecting()

    def save(self, log: Log) -> None:
        """Write guards, ledger, parking lot, outbox, history and fences."""
        self._patience()
        try:
            with translated():
                if log.redriven:
                    # First of all: what is freed is told of as superseded.
                    self._run(self._texts.take_out, sql.place_arrays(log.redriven))
                told = self._news(log) if log.keeps_history else []
                with pipelined(self._connection):
                    self._save(log, told)
                    shapes = [self._entities[name].shape for name in self._touched]
                    asked = [(shape, self._connection.execute(shape.statement, prepare=True)) for shape in shapes]
                    self._connection.execute(self._durably, prepare=True)
                for shape, answer in asked:
                    shape.refuse_another(answer.fetchone())
        except Poison as poison:
            if poison.reason == "constraint":
                # One ID on two keys, in two lanes at once: the next attempt finds what the other one wrote.
                raise Transient(f"Another one was faster: {poison.message}.", cause="overtaken") from poison
            raise Fatal(f"The front office's own tables refuse a row: {poison.message}.") from poison
        if log.redriven:
            # Asked now what else is asked at the commit: a rehearsal has none.
            self._end("SET CONSTRAINTS ALL IMMEDIATE")

    def commit(self) -> None:
        """End the transaction, durably."""
        self.transaction.raise_failure()
        self._patience()
        self._end("COMMIT")

    def _end(self, statement: str) -> None:
        try:
            with translated():
                self._run(statement)
        except Poison as poison:
            raise Undone(poison) from poison

    def _save(self, log: Log, told: Sequence[Told]) -> None:
        run, texts, now = self._run, self._texts, log.decided_ms
        if log.guards:
            run(texts.save_guard, (now, *guard_arrays(log.guards)))
        if log.ledger:
            run(texts.save_ledger, (now, *sql.ledger_arrays(log.ledger)))
        if log.again or log.edited or log.settled or log.audit:
            self._save_redriven(log)
        if log.freed:
            run(texts.free, _freed(log))
        if log.parked:
            run(texts.save_parked, (now, now, *sql.parked_arrays(list(log.parked.values()))))
        if log.outbox:
            run(texts.save_outbox, (now, *sql.outbox_arrays(log.outbox)))
        self._save_held(log)
        if log.fences:
            run(texts.save_fence, sql.fence_arrays(log.fences))
        if told:
            run(texts.save_history, (now, *sql.history_arrays(told)))

    def _save_held(self, log: Log) -> None:
        if log.drained:
            self._run(self._texts.drained, sql.place_arrays(log.drained))
        if log.held:
            self._run(self._texts.save_held, (log.decided_ms, *sql.held_arrays(list(log.held.values()))))

    def _save_redriven(self, log: Log) -> None:
        run, texts, now = self._run, self._texts, log.decided_ms
        if log.again:
            run(texts.tried_again, (now, *sql.again_arrays(log.again)))
        if log.edited:
            run(texts.edit, sql.edited_arrays(log.edited))
        if log.settled:
            run(texts.settle, (now, text_array(log.settled)))
        if log.audit:
            run(texts.save_audit, (now, *sql.audit_arrays(log.audit)))

    def _news(self, log: Log) -> list[Told]:
        """Tell of what is freed, before it is gone; give what else is to be told.

        What was told before is left out, for a replay shall add nothing. What took effect did so once, and needs no
        question.
        """
        before: dict[tuple[str, str], set[str]] = {}
        if log.freed:
            for key, txn in self._run(self._texts.tell_freed, (log.decided_ms, *_freed(log))):
                before.setdefault((key, txn), set()).add(str(Outcome.SUPERSEDED))
        asked = [told.delivered.change for told in log.history if told.outcome is not Outcome.APPLIED]
        if asked:
            arrays = text_array([each.key for each in asked]), text_array([each.id for each in asked])
            for key, txn, outcome in self._run(self._texts.told, arrays):
                before.setdefault((key, txn), set()).add(outcome)
        fenced, new = str(Outcome.FENCED), []
        for told in log.history:
            here = before.setdefault((told.delivered.change.key, told.delivered.change.id), set())
            # What was fenced comes again from the new owner, and what becomes of it then is news.
            known = here and (here != {fenced} or told.outcome is Outcome.FENCED)
            if told.outcome is Outcome.APPLIED or not known:
                new.append(told)
                here.add(str(told.outcome))
        return new

    def _run(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        return self._connection.execute(statement, parameters or None, prepare=bool(parameters))


def guard_arrays(guards: Mapping[str, Guard]) -> list[str]:
    """Give the arrays of `save_guard`, in the order of the keys: whoever writes many writes them in one order."""
    rows = sorted(guards.items())
    columns = [[key for key, _ in rows], *zip(*((*guard[:3], guard.entity) for _, guard in rows), strict=True)]
    return [*map(text_array, columns), text_array(["true" if guard.deleted else "false" for _, guard in rows])]


def _freed(log: Log) -> list[str]:
    rows = [(key, entity, version) for (key, entity), version in log.freed.items()]
    return [text_array(column) for column in zip(*rows, strict=True)]


def _deletes(change: Change) -> bool:
    return change.verb is _DELETE
