"""The quick way for what is plainly new: the guards of a batch are written on a condition, or none of it happens.

What the condition says of a change is what `isthmus.consumer.deciding.decide` says of it; whatever else a batch may
meet (a fence, the parking lot, a ledger, a settled ID) makes it go the other way.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby

import orjson

from isthmus.change import Change, Outcome, Verb, settled_row
from isthmus.consumer.deciding import fenced
from isthmus.consumer.stores.poisoned import PoisonIn
from isthmus.consumer.stores.port import Delivered, Entity
from isthmus.consumer.stores.sqlite import statements as sql
from isthmus.consumer.stores.sqlite.errors import translated
from isthmus.consumer.stores.sqlite.rows import EntityStatements, one_by_one
from isthmus.consumer.stores.sqlite.trail import LAST_PLACE, TELL_APPLIED
from isthmus.errors import Poison

_APPLIED, _DELETE = str(Outcome.APPLIED), Verb.DELETE


def take(
    connection: sqlite3.Connection,
    statements: Mapping[str, EntityStatements],
    batch: Sequence[Delivered],
    entities: Sequence[Entity],
    now_ms: int,
    *,
    history: bool,
) -> bool:
    """Write everything of the batch, inside a transaction; say whether all of it may be committed.

    Raises `PoisonIn` for what a table refuses, and sqlite3's errors.
    """
    if not _plain(connection, batch):
        return False
    _write(connection, statements, [delivered.change for delivered in batch], entities)
    place = _tell(connection, batch, now_ms) if history else None
    rows = [
        (
            change.key,
            change.version,
            change.id,
            change.rowhash,
            change.verb is _DELETE,
            change.entity,
            now_ms,
            None if place is None else place + number,
        )
        for number, (change, *_) in enumerate(batch, start=1)
    ]
    return connection.executemany(sql.CLAIM_GUARD, rows).rowcount == len(batch)


def _write(
    connection: sqlite3.Connection,
    statements: Mapping[str, EntityStatements],
    changes: Sequence[Change],
    entities: Sequence[Entity],
) -> None:
    begun = [0]
    which = [(entity.name, change.verb is _DELETE) for entity, change in zip(entities, changes, strict=True)]
    for (name, deletes), run in groupby(range(len(changes)), which.__getitem__):
        rows = statements[name]
        values = (lambda change, key=rows.key: key(change.key)) if deletes else rows.values
        try:
            with translated():
                connection.executemany(rows.delete if deletes else rows.upsert, one_by_one(changes, run, values, begun))
        except Poison as poison:
            raise PoisonIn(poison, begun[0]) from poison


def waiting(connection: sqlite3.Connection, batch: Sequence[Delivered]) -> list[int]:
    """Give the places of changes whose keys are parked or held: the others may be plain without them."""
    keys = orjson.dumps([delivered.change.key for delivered in batch]).decode()
    with translated():
        found = {row[0] for asked in (sql.NEWEST_PARKED, sql.HELD_KEYS) for row in connection.execute(asked, (keys,))}
    return [place for place, delivered in enumerate(batch) if delivered.change.key in found]


def _plain(connection: sqlite3.Connection, batch: Sequence[Delivered]) -> bool:
    run = connection.execute
    fences = {(source, lane): epoch for source, lane, epoch in run(sql.FENCES)}
    if fences and any(fenced(delivered.change, fences) for delivered in batch):
        return False
    any_event, any_parked, any_settled, any_trail, any_held, any_gate = run(sql.ANYTHING).fetchone()
    if any_trail or any_gate:
        return False
    if any_parked or any_held:
        keys = orjson.dumps([delivered.change.key for delivered in batch]).decode()
        if any_parked and run(sql.NEWEST_PARKED, (keys,)).fetchone() is not None:
            return False
        if any_held and run(sql.HELD_KEYS, (keys,)).fetchone() is not None:
            return False
    if any_event or any_settled:
        rows = filter(None, (settled_row(delivered.change) for delivered in batch)) if any_settled else ()
        txns = orjson.dumps([*(delivered.change.id for delivered in batch), *rows]).decode()
        if run(sql.LEDGER, (txns,)).fetchone() is not None or run(sql.SETTLED, (txns,)).fetchone() is not None:
            return False
    return True


def _tell(connection: sqlite3.Connection, batch: Sequence[Delivered], now_ms: int) -> int:
    """Append the history before the guards, which still say where each trail ended; give the last place before it."""
    ((last,),) = connection.execute(LAST_PLACE)
    rows = [
        (
            last + number,
            change.key,
            change.key,
            change.version,
            change.id,
            _APPLIED,
            change.source,
            change.epoch,
            change.time,
            arrived,
            now_ms,
            shard,
            sequence,
        )
        for number, (change, shard, sequence, arrived, _, _) in enumerate(batch, start=1)
    ]
    connection.executemany(TELL_APPLIED, rows)
    return int(last)
