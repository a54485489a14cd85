"""The history of a key as a trail: each row names the row before it, so that no index has to be kept for `trace`.

An index by key would put each new row on a page of its own, and those pages would go through the log with every batch:
measured, that cost more than everything else that history costs. So rows are appended and chained. Where a key's newest
row is stands in its guard, which is written anyway, or else (kind `event`, fenced before anything took effect) in
`isthmus_trail`. A trail ends at a row that was pruned; no place is given twice, even when all rows are.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from typing import Any

from isthmus.change import Outcome
from isthmus.consumer.stores.port import Told

LAST_PLACE = """SELECT max(coalesce((SELECT max(place) FROM isthmus_history), 0),
    coalesce((SELECT CAST(value AS INTEGER) FROM isthmus_meta WHERE name = 'last_place'), 0))"""
_HEADS = "SELECT t.key, t.place FROM json_each(?) j CROSS JOIN isthmus_trail t ON t.key = j.value"
_APPEND = """INSERT INTO isthmus_history (place, before, key, version, txn, outcome, source, epoch, detected, arrived,
    decided, shard, sequence) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
TELL_APPLIED = """INSERT INTO isthmus_history (place, before, key, version, txn, outcome, source, epoch, detected,
    arrived, decided, shard, sequence)
    VALUES (?, (SELECT told FROM isthmus_guard WHERE key = ?), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
"""For what takes effect while its guard is not loaded: the guard, written after this, says where the trail ended."""
_POINT_GUARD = "UPDATE isthmus_guard SET told = ? WHERE key = ?"
_POINT = "INSERT INTO isthmus_trail (key, place) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET place = excluded.place"
_FREED = """SELECT key, version, txn, ?, source, epoch, detected, arrived, ?, shard, sequence FROM isthmus_parked
    WHERE key = ? AND entity = ? AND version < ? ORDER BY version, place"""

WALK = """WITH RECURSIVE
    trail (place) AS (
        SELECT max(coalesce((SELECT told FROM isthmus_guard WHERE key = :key), 0),
                   coalesce((SELECT place FROM isthmus_trail WHERE key = :key), 0))
        UNION ALL
        SELECT h.before FROM trail JOIN isthmus_history h ON h.place = trail.place)
    SELECT h.key, h.version, h.txn, h.outcome, h.source, h.epoch, h.detected, h.arrived, h.decided, h.shard, h.sequence,
        h.place
    FROM trail JOIN isthmus_history h ON h.place = trail.place"""
"""The history of one key, the newest row first."""
_TOLD = f"SELECT outcome FROM ({WALK}) WHERE txn = :txn"  # noqa: S608 - constants only

_APPLIED, _FENCED = Outcome.APPLIED, str(Outcome.FENCED)
_Row = tuple[Any, ...]
_KEY, _TXN, _OUTCOME = 0, 2, 3
_BEFORE_ROW = 2
"""Place and predecessor, which come before a row."""


class Trails:
    """The trails of one batch's keys, from where they were found."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._heads: dict[str, int] = {}
        self._guarded: set[str] = set()

    def found(self, key: str, told: int | None) -> None:
        """Take in where a guard says that its key's newest row is."""
        self._guarded.add(key)
        if told is not None:
            self._heads[key] = told

    def load(self, keys: str) -> None:
        """Look for the keys (a JSON array) that may have a trail without a guard."""
        for key, place in self._connection.execute(_HEADS, (keys,)):
            # Both, where the guard came later: the trail went on there.
            self._heads[key] = max(place, self._heads.get(key, 0))

    def head(self, key: str) -> int | None:
        """Give the place of the key's newest row."""
        return self._heads.get(key)

    def freed(self, freed: Iterable[tuple[str, str, str]], now_ms: int) -> list[_Row]:
        """Give the rows that tell of what is parked of a key and a type below a version, and is superseded now."""
        return [
            row for each in freed for row in self._connection.execute(_FREED, (str(Outcome.SUPERSEDED), now_ms, *each))
        ]

    def append(self, rows: Sequence[_Row], told: Sequence[Told], now_ms: int, guarded: Iterable[str]) -> None:
        """Append rows of history, and what was told of this batch; `guarded` has its guard written after this."""
        heads = self._heads
        ((place,),) = self._connection.execute(LAST_PLACE)
        chained = []
        for row in (*rows, *self._new(rows, told, now_ms)):
            place += 1
            key = row[_KEY]
            chained.append((place, heads.get(key), *row))
            heads[key] = place
        self._connection.executemany(_APPEND, chained)
        loose = {row[_BEFORE_ROW + _KEY] for row in chained}.difference(guarded)
        if loose:
            self._connection.executemany(_POINT_GUARD, [(heads[key], key) for key in loose & self._guarded])
            self._connection.executemany(_POINT, [(key, heads[key]) for key in loose - self._guarded])

    def _new(self, rows: Sequence[_Row], told: Sequence[Told], now_ms: int) -> list[_Row]:
        """Leave out what was told before: a replay shall add nothing.

        What took effect did so once, and needs no question.
        """
        made = [_row(each, now_ms) for each in told]
        if all(each.outcome is _APPLIED for each in told):
            return made
        here: dict[tuple[str, str], set[str]] = {}
        for row in rows:
            here.setdefault((row[_KEY], row[_TXN]), set()).add(row[_OUTCOME])
        new = []
        for row in made:
            key, txn, outcome = row[_KEY], row[_TXN], row[_OUTCOME]
            before = here.setdefault((key, txn), set())
            if outcome != _APPLIED:
                before.update(word for (word,) in self._connection.execute(_TOLD, {"key": key, "txn": txn}))
                # What was fenced comes again from the new owner, and what becomes of it then is news.
                if before and (before != {_FENCED} or outcome == _FENCED):
                    continue
            before.add(outcome)
            new.append(row)
        return new


def _row(told: Told, now_ms: int) -> _Row:
    (change, shard, sequence, arrived, _, _), outcome = told
    return (
        change.key,
        change.version,
        change.id,
        str(outcome),
        change.source,
        change.epoch,
        change.time,
        arrived,
        now_ms,
        shard,
        sequence,
    )
