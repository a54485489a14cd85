"""The quick way for what is plainly new: one statement takes all guards of a batch, or none of it happens.

Most batches hold nothing but newer states of distinct keys. For them it is not asked first what is remembered, and
decided after: the guards are written on the condition that each one is older, and all of it is undone unless every one
was. What the condition says of a change is what `isthmus.consumer.deciding.decide` says of it; whatever else a batch
may meet (a fence, the parking lot, a ledger, a settled ID) makes it go the other way.
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Any

import psycopg

from isthmus.change import Change, Verb, settled_row
from isthmus.consumer.stores.poisoned import PoisonIn
from isthmus.consumer.stores.port import Delivered, Entity, Taken
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.lanes import Locks
from isthmus.consumer.stores.postgres.names import text_array
from isthmus.consumer.stores.postgres.pipelines import answered, drain, pipelined
from isthmus.consumer.stores.postgres.refused import poison_in
from isthmus.consumer.stores.postgres.rows import Found
from isthmus.consumer.stores.postgres.statements import Statements, applied_arrays
from isthmus.errors import Poison

_DELETE = Verb.DELETE


class Quick:
    """One attempt at one batch, in a transaction that is open when it is made."""

    def __init__(
        self, connection: Connection, texts: Statements, found: Found, locks: Locks, *, asks_rows: bool
    ) -> None:
        self._connection = connection
        self._texts = texts
        self._entities = found.entities
        self._durably = found.durably
        self._upserts: list[tuple[Any, int]] = []
        self._locks = locks
        self._asks_rows = asks_rows

    def take(self, batch: Sequence[Delivered], entities: Sequence[Entity], now_ms: int, *, history: bool) -> Taken:
        """Write everything of the batch; say whether all of it may be committed."""
        changes = [delivered.change for delivered in batch]
        keys = text_array([change.key for change in changes])
        txns = text_array([change.id for change in changes])
        run, texts = self._run, self._texts
        with pipelined(self._connection) as pipeline:
            refused: Poison | None = None
            all_new = False
            try:
                run(texts.lock, (self._locks.space, self._locks.of(change.key for change in changes)))
                sources = text_array(list({change.source for change in changes}))
                epoch = min(change.epoch for change in changes)
                settled = txns
                if self._asks_rows:
                    rows = filter(None, map(settled_row, changes))
                    settled = text_array([*(change.id for change in changes), *rows])
                text = texts.plain_by_rows if self._asks_rows else texts.plain
                plain = run(text, (sources, epoch, keys, settled, txns))
                # The rows first: what is poison shows before the guards are written for nothing, and the server is busy
                # with them while everything else is put together here.
                refused = self._written(changes, entities)
                if refused is None:
                    claimed = run(texts.claim, (now_ms, *_guards(changes, keys, txns)))
                    if history:
                        run(texts.save_history, (now_ms, *applied_arrays(batch, keys, txns)))
                    shapes = [self._entities[name].shape for name in {entity.name for entity in entities}]
                    asked = [(shape, run(shape.statement)) for shape in shapes]
                    run(self._durably)
                    answered(self._connection, pipeline)
                    for shape, answer in asked:
                        shape.refuse_another(answer.fetchone())
                    all_new = plain.fetchone() == (True,) and claimed.rowcount == len(changes) and self._all_written()
                else:
                    # What the server refused meanwhile would else be raised when the pipeline ends.
                    drain(self._connection, pipeline)
            except psycopg.Error as error:
                drain(self._connection, pipeline)
                # Answers are read on the way too: where one was a refusal, all that comes after it is aborted.
                refused = refused or _refusal(error, changes)
            if refused is None:
                return Taken(done=all_new)
            return Taken(done=False, suspects=[refused.place] if isinstance(refused, PoisonIn) else [])

    def in_the_way(self, batch: Sequence[Delivered], entities: Sequence[Entity]) -> list[int]:
        """Give the places of what the tables would probably refuse, and of what waits: the others may be plain.

        Runs outside of a transaction, and writes nothing.
        """
        return sorted({*self._screened(batch, entities), *self._waiting(batch)})

    def _screened(self, batch: Sequence[Delivered], entities: Sequence[Entity]) -> list[int]:
        found: list[int] = []
        for begun, part, entity in _parts([delivered.change for delivered in batch], entities):
            statements = self._entities[entity.name]
            if part[0].verb is _DELETE or statements.screen is None:
                continue
            try:
                with poison_in(begun, part):
                    rows = self._run(statements.screen, statements.rows(part))
                    found.extend(begun + place - 1 for (place,) in rows)
            except PoisonIn as poison:
                found.append(poison.place)
            except Poison:
                # A condition that fails for some row itself: it says nothing of the others.
                continue
        return found

    def _waiting(self, batch: Sequence[Delivered]) -> list[int]:
        # Parked or held: of such a key nothing is plain.
        keys = text_array([delivered.change.key for delivered in batch])
        found = {key for (key,) in self._run(self._texts.waiting_keys, (keys, keys))}
        return [place for place, delivered in enumerate(batch) if delivered.change.key in found]

    def _written(self, changes: Sequence[Change], entities: Sequence[Entity]) -> Poison | None:
        """Write the rows; give what is refused here, or by an answer that is read meanwhile."""
        try:
            for begun, part, entity in _parts(changes, entities):
                with poison_in(begun, part):
                    self._write(entity, part)
        except Poison as poison:
            return poison
        return None

    def _write(self, entity: Entity, part: Sequence[Change]) -> None:
        statements = self._entities[entity.name]
        if part[0].verb is _DELETE:
            self._run(statements.delete, statements.keys([change.key for change in part]))
        else:
            self._upserts.append((self._run(statements.upsert, statements.rows(part)), len(part)))

    def _all_written(self) -> bool:
        """Say whether no row fell through: a trigger may let one fall, and the other way asks why."""
        return all(answer.rowcount == number for answer, number in self._upserts)

    def _run(self, statement: str, parameters: Sequence[Any] = ()) -> Any:
        return self._connection.execute(statement, parameters or None, prepare=True)


def _refusal(error: psycopg.Error, changes: Sequence[Change]) -> Poison:
    """Give a refusal, and whose fault it was, if that is known; raise what is none."""
    try:
        with poison_in(0, changes):
            raise error
    except Poison as poison:
        return poison
    raise error


def _guards(changes: Sequence[Change], keys: str, txns: str) -> list[str]:
    deleted = "{" + ",".join(["t" if change.verb is _DELETE else "f" for change in changes]) + "}"
    versions = text_array([change.version for change in changes])
    types = text_array([change.entity for change in changes])
    return [keys, versions, txns, text_array([change.rowhash for change in changes]), types, deleted]


def _parts(changes: Sequence[Change], entities: Sequence[Entity]) -> "list[tuple[int, list[Change], Entity]]":
    """Cut into runs of one entity type and one verb, each with the place of its first change."""
    which: Callable[[int], tuple[str, bool]] = lambda place: (entities[place].name, changes[place].verb is _DELETE)  # noqa: E731
    found = []
    for _, run in groupby(range(len(changes)), which):
        places = list(run)
        found.append((places[0], [changes[place] for place in places], entities[places[0]]))
    return found
