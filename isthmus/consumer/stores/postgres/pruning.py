"""Forgetting what is old: whole months by dropping them, the rest a portion at a time."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any

from isthmus.consumer.stores.port import Pruned
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.errors import translated
from isthmus.consumer.stores.postgres.names import quoted
from isthmus.consumer.stores.postgres.schema import PARTITIONED, make_partition, months, partition
from isthmus.lifecycle import Stop

Turn = Callable[[], AbstractContextManager[None]]
"""One transaction."""

_PAGES = 2_000
"""Pages, of 8 KiB, that are looked through in one transaction: some ten milliseconds."""


def make_months(connection: Connection, schema: str, today: date) -> None:
    """Make the partitions of this month and some ahead, inside a transaction. Safe to repeat."""
    found: Any = connection.execute(f"SELECT value FROM {quoted(schema)}.meta WHERE name = 'first_month'").fetchone()  # noqa: S608 - quoted
    for table in PARTITIONED:
        for month in months(date.fromisoformat(found[0]), today):
            name = f"{quoted(schema)}.{partition(table, month)}"
            there: Any = connection.execute("SELECT to_regclass(%s)", (name,)).fetchone()
            # A month that is over, all of it forgotten, is not made again: what still comes of it lies with the later.
            if there[0] is None and month >= today.replace(day=1):
                for statement in make_partition(schema, table, month):
                    connection.execute(statement)


class Pruning:
    """Forgets on one connection, at most `portion` rows in a transaction. Its methods raise as a unit does."""

    def __init__(self, connection: Connection, schema: str, turn: Turn, stop: Stop, portion: int) -> None:
        self._connection = connection
        self._schema = quoted(schema)
        self._turn = turn
        self._stop = stop
        self._portion = portion

    def run(self, *, memory_before_ms: int, history_before_ms: int) -> Pruned:
        """Delete what was decided before these moments."""
        return Pruned(
            # Only guards of deleted entities: without a living one's, a replay of its old changes would overwrite it.
            guards=self._page_by_page("guard", "deleted AND decided < %s", memory_before_ms),
            ledger=self._months("ledger", memory_before_ms),
            settled=self._page_by_page("settled", "decided < %s", memory_before_ms),
            history=self._months("history", history_before_ms),
        )

    def _months(self, table: str, before_ms: int) -> int:
        """Drop each month of which all was decided before; delete from those that have no end."""
        parts: Any = self._ask(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
            (f"{self._schema}.{table}",),
        )
        gone = 0
        for (name,) in parts:
            if self._stop.requested():
                break
            if name in {f"{table}_older", f"{table}_later"}:
                gone += self._page_by_page(name, "decided < %s", before_ms)
            else:
                gone += self._drop(table, name, before_ms)
        return gone

    def _drop(self, table: str, name: str, before_ms: int) -> int:
        part = f"{self._schema}.{quoted(name)}"
        with self._turn():
            ((rows, young),) = self._ask(
                f"SELECT EXISTS (SELECT 1 FROM {part}), EXISTS (SELECT 1 FROM {part} WHERE decided >= %s)",  # noqa: S608 - quoted
                (before_ms,),
            )
            if not rows or young:
                return 0
            # Asked again with nobody writing: a change of that month may have been decided just now.
            self._connection.execute(f"LOCK TABLE {self._schema}.{table} IN ACCESS EXCLUSIVE MODE")
            ((number, young),) = self._ask(
                f"SELECT count(*), count(*) FILTER (WHERE decided >= %s) FROM {part}",  # noqa: S608 - quoted
                (before_ms,),
            )
            if young:
                return 0
            self._connection.execute(f"DROP TABLE {part}")
            return int(number)

    def _page_by_page(self, table: str, condition: str, before_ms: int) -> int:
        """Go through a table once, in the order of its pages.

        There is no index on the moment: it would cost each write, and this reads rarely.
        """
        name = f"{self._schema}.{quoted(table)}"
        ((pages,),) = self._ask("SELECT pg_relation_size(%s::regclass) / 8192 + 1", (name,))
        deleted, begin = 0, 0
        while begin <= pages and not self._stop.requested():
            with self._turn():
                rows = self._connection.execute(
                    f"DELETE FROM {name} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {name} "  # noqa: S608 - quoted, and constants
                    f"WHERE ctid >= %s::tid AND ctid < %s::tid AND {condition} LIMIT %s FOR UPDATE))",
                    (f"({begin},0)", f"({begin + _PAGES},0)", before_ms, self._portion),
                ).rowcount
            deleted += rows
            if rows < self._portion:
                begin += _PAGES
        return deleted

    def _ask(self, statement: str, parameters: Sequence[Any]) -> Any:
        with translated():
            return self._connection.execute(statement, parameters).fetchall()
