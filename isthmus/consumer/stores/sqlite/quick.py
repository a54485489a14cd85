"""The quick way for what is plainly new: the guards of a batch are written on a condition, or none of it happens.

What the condition says of a change is what `isthmus.consumer.deciding.decide` says of it; whatever else a batch may
meet (a fence, the parking lot, a ledger, a settled ID) makes it go the other way.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from itertools import groupby

import orjson

from isthmus.change import Outcome, Verb
from isthmus.consumer.deciding import fenced
from isthmus.consumer.stores.port import Delivered, Entity
from isthmus.consumer.stores.sqlite import statements as sql
from isthmus.consumer.stores.sqlite.rows import EntityStatements
from isthmus.consumer.stores.sqlite.trail import LAST_PLACE, TELL_APPLIED

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

    Raises `Poison` for what a table refuses, and sqlite3's errors.
    """
    if not _plain(connection, batch):
        return False
    many = connection.executemany
    which = [(entity.name, delivered.change.verb is _DELETE) for entity, delivered in zip(entities, batch, strict=True)]
    for (name, deletes), run in groupby(zip(which, batch, strict=True), lambda pair: pair[0]):
        changes = [delivered.change for _, delivered in run]
        if deletes:
            many(statements[name].delete, [statements[name].key(change.key) for change in changes])
        else:
            many(statements[name].upsert, [statements[name].values(change) for change in changes])
    place = _tell(connection, batch, now_ms) if history else None
    rows = [
        (
            change.key,
            change.version,
            change.id,
            change.rowhash,
            change.verb is _DELETE,
            now_ms,
            None if place is None else place + number,
        )
        for number, (change, *_) in enumerate(batch, start=1)
    ]
    return many(sql.CLAIM_GUARD, rows).rowcount == len(batch)


def _plain(connection: sqlite3.Connection, batch: Sequence[Delivered]) -> bool:
    run = connection.execute
    fences = {(source, lane): epoch for source, lane, epoch in run(sql.FENCES)}
    if fences and any(fenced(delivered.change, fences) for delivered in batch):
        return False
    any_event, any_parked, any_settled, any_trail = run(sql.ANYTHING).fetchone()
    if any_trail:
        return False
    if any_parked:
        keys = orjson.dumps([delivered.change.key for delivered in batch]).decode()
        if run(sql.NEWEST_PARKED, (keys,)).fetchone() is not None:
            return False
    if any_event or any_settled:
        txns = orjson.dumps([delivered.change.id for delivered in batch]).decode()
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
