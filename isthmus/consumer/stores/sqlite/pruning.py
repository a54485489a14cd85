"""Forgetting what is old: found by reading beside everybody, deleted a portion at a time."""

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from isthmus.consumer.stores.port import Pruned
from isthmus.consumer.stores.sqlite.errors import translated
from isthmus.lifecycle import Stop


class _Old(NamedTuple):
    """Which rows of a table may be forgotten."""

    table: str
    identity: str
    lowest: str | int
    """Comes before every identity."""
    condition: str
    first: str = ""
    """What to do with a row, and the moment, before it is deleted."""


# No index on the moment: it would cost every write, and this reads rarely. A table is gone through once, in the order
# of its key. What is found is asked again when it is deleted: it may have been decided anew.
_HISTORY = _Old(
    "isthmus_history",
    "place",
    0,
    "decided < ?",
    """INSERT INTO isthmus_meta (name, value) SELECT 'last_place', CAST(? AS TEXT) WHERE ? IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET value = excluded.value
    WHERE CAST(excluded.value AS INTEGER) > CAST(value AS INTEGER)""",
)
_LEDGER = _Old("isthmus_ledger", "txn", "", "decided < ?")
_SETTLED = _Old("isthmus_settled", "txn", "", "decided < ?")
_TRAILS = _Old(
    "isthmus_trail",
    "key",
    "",
    "? AND NOT EXISTS (SELECT 1 FROM isthmus_history h WHERE h.place = isthmus_trail.place)",
)
_TOMBSTONES = _Old(
    "isthmus_guard",
    "key",
    "",
    "deleted = 1 AND decided < ?",
    """INSERT INTO isthmus_trail (key, place) SELECT key, told FROM isthmus_guard
    WHERE key = ? AND deleted = 1 AND decided < ? AND told IS NOT NULL
    ON CONFLICT (key) DO UPDATE SET place = excluded.place""",
)
"""Only guards of deleted entities: without a living one's, a replay of its old changes would overwrite it."""

Turn = Callable[[], AbstractContextManager[None]]
"""Takes the writer's place for one transaction."""


class Pruning:
    """Forgets on one connection, at most `portion` rows in a transaction. Its methods raise as a unit does."""

    def __init__(self, connection: sqlite3.Connection, turn: Turn, stop: Stop, portion: int) -> None:
        self._connection = connection
        self._turn = turn
        self._stop = stop
        self._portion = portion

    def run(self, *, memory_before_ms: int, history_before_ms: int) -> Pruned:
        """Delete what was decided before these moments."""
        return Pruned(
            guards=self._forget(_TOMBSTONES, memory_before_ms),
            ledger=self._forget(_LEDGER, memory_before_ms),
            settled=self._forget(_SETTLED, memory_before_ms),
            history=self._forget_history(history_before_ms),
        )

    def _forget_history(self, before_ms: int) -> int:
        deleted = self._forget(_HISTORY, before_ms)
        self._forget(_TRAILS, 1)
        return deleted

    def _forget(self, old: _Old, before_ms: int) -> int:
        table, name, after, condition, first = old
        find = f"SELECT {name} FROM {table} WHERE {name} > ? AND {condition} ORDER BY {name} LIMIT ?"  # noqa: S608 - constants only
        delete = f"DELETE FROM {table} WHERE {name} = ? AND {condition}"  # noqa: S608 - same
        deleted = 0
        while not self._stop.requested():
            with translated():
                found = self._connection.execute(find, (after, before_ms, self._portion)).fetchall()
            if found:
                rows = [(*row, before_ms) for row in found]
                with self._turn(), translated():
                    if first:
                        self._connection.executemany(first, rows)
                    deleted += self._connection.executemany(delete, rows).rowcount
                (after,) = found[-1]
            if len(found) < self._portion:
                break
        return deleted
