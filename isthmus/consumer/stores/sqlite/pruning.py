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


# No index on the moment: it would cost every write, and this reads rarely. A table is gone through once, in the order
# of its key. What is found is asked again when it is deleted: it may have been decided anew.
_HISTORY = _Old("isthmus_history", "place", 0, "decided < ?")
_LEDGER = _Old("isthmus_ledger", "txn", "", "decided < ?")
_SETTLED = _Old("isthmus_settled", "txn", "", "decided < ?")
_TOMBSTONES = _Old("isthmus_guard", "key", "", "deleted = 1 AND decided < ?")
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
            history=self._forget(_HISTORY, history_before_ms),
        )

    def _forget(self, old: _Old, before_ms: int) -> int:
        table, name, after, condition = old
        find = f"SELECT {name} FROM {table} WHERE {name} > ? AND {condition} ORDER BY {name} LIMIT ?"  # noqa: S608 - constants only
        delete = f"DELETE FROM {table} WHERE {name} = ? AND {condition}"  # noqa: S608 - same
        deleted = 0
        while not self._stop.requested():
            with translated():
                found = self._connection.execute(find, (after, before_ms, self._portion)).fetchall()
            if found:
                with self._turn(), translated():
                    deleted += self._connection.executemany(delete, [(*row, before_ms) for row in found]).rowcount
                (after,) = found[-1]
            if len(found) < self._portion:
                break
        return deleted
