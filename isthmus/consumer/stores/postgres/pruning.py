"""Forgetting what is old: whole months by dropping them, the rest a portion at a time."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import date
from typing import Any, NamedTuple

import psycopg

from isthmus.consumer.stores.port import Pruned
from isthmus.consumer.stores.postgres.connection import Connection
from isthmus.consumer.stores.postgres.errors import translated
from isthmus.consumer.stores.postgres.names import quoted
from isthmus.consumer.stores.postgres.schema import PARTITIONED, make_partition, months, partition
from isthmus.lifecycle import Stop

Turn = Callable[[], AbstractContextManager[None]]
"""One transaction."""


class Turns(NamedTuple):
    """What a pruning may begin."""

    on_rows: Turn
    on_tables: Turn
    """Nobody else makes or drops our tables meanwhile."""


_SHORT_WAIT = 1_000
"""Milliseconds."""
_SUMMARIZE = """
    SELECT brin_summarize_new_values(i.indexrelid) FROM pg_index i
    JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am a ON a.oid = c.relam
    WHERE i.indrelid = to_regclass(%s) AND a.amname = 'brin'"""
_COUNTED = 100_000
"""Rows of a month that are counted; of more it is told about how many there were."""
_PAGES = 2_000
"""Pages, of 8 KiB, that are looked through in one transaction: some ten milliseconds."""


def make_months(connection: Connection, schema: str, today: date) -> list[str]:
    """Make the partitions of this month and some ahead, inside a transaction; give what was run. Safe to repeat."""
    run: list[str] = []
    found: Any = connection.execute(f"SELECT value FROM {quoted(schema)}.meta WHERE name = 'first_month'").fetchone()  # noqa: S608 - quoted
    for table in PARTITIONED:
        for month in months(date.fromisoformat(found[0]), today):
            there = _is_there(connection, schema, partition(table, month))
            # A month that is over, all of it forgotten, is not made again: what still comes of it lies with the later.
            if not there and month >= today.replace(day=1):
                for statement in make_partition(schema, table, month):
                    connection.execute(statement)
                    run.append(statement)
    return run


class Pruning:
    """Forgets on one connection, at most `portion` rows in a transaction. Its methods raise as a unit does."""

    def __init__(self, connection: Connection, schema: str, turns: Turns, stop: Stop, portion: int) -> None:
        self._connection = connection
        self._schema = schema
        self._turns = turns
        self._stop = stop
        self._portion = portion

    def run(self, *, memory_before_ms: int, history_before_ms: int, today: date) -> Pruned:
        """Delete what was decided before these moments."""
        return Pruned(
            # Only guards of deleted entities: without a living one's, a replay of its old changes would overwrite it.
            guards=self._page_by_page("guard", "deleted AND decided < %s", memory_before_ms),
            ledger=self._months("ledger", memory_before_ms, today),
            settled=self._page_by_page("settled", "decided < %s", memory_before_ms),
            history=self._months("history", history_before_ms, today),
        )

    def _months(self, table: str, before_ms: int, today: date) -> int:
        """Drop each month of which all was decided before; delete from those that have no end."""
        parts: Any = self._ask(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid "
            "WHERE i.inhparent = to_regclass(%s) ORDER BY 1",
            (f"{quoted(self._schema)}.{table}",),
        )
        gone = 0
        for (name,) in parts:
            if self._stop.requested():
                break
            if name in {f"{table}_older", f"{table}_later"}:
                gone += self._page_by_page(name, "decided < %s", before_ms)
            else:
                gone += self._drop(table, name, before_ms, is_over=name < partition(table, today))
        return gone

    def _drop(self, table: str, name: str, before_ms: int, *, is_over: bool) -> int:
        """Drop a month; give the number of its rows. Nothing happens where any was decided since."""
        part, dropped = f"{quoted(self._schema)}.{quoted(name)}", 0
        with self._turns.on_tables():
            # Another one may have dropped it meanwhile.
            there = _is_there(self._connection, self._schema, name)
            number = self._old_rows(part, before_ms) if there else None
            # This month and those to come may be empty only yet.
            if number is None or (number == 0 and not is_over):
                return dropped
            # All others wait behind whoever waits for this lock: rather another time.
            self._connection.execute(f"SET LOCAL lock_timeout = {_SHORT_WAIT}")
            try:
                self._connection.execute(f"LOCK TABLE {quoted(self._schema)}.{table} IN ACCESS EXCLUSIVE MODE")
            except psycopg.errors.LockNotAvailable:
                raise psycopg.Rollback from None
            # Asked again with nobody writing: a change of that month may have been decided just now.
            if not self._has_young(part, before_ms):
                self._connection.execute(f"DROP TABLE {part}")
                dropped = number
        return dropped

    def _old_rows(self, part: str, before_ms: int) -> int | None:
        """Give the number of rows, of very many about how many; None where any was decided since.

        Counting a large month would take longer than a statement may.
        """
        self._ask(_SUMMARIZE, (part,))
        if self._has_young(part, before_ms):
            return None
        found = self._ask(
            f"SELECT (SELECT count(*) FROM (SELECT FROM {_placed(part)} LIMIT %s) AS counted), "  # noqa: S608 - quoted
            "(SELECT reltuples::bigint FROM pg_class WHERE oid = to_regclass(%s))",
            (_COUNTED, part),
        )
        number, about = map(int, found[0])
        return max(number, about) if number == _COUNTED else number

    def _has_young(self, part: str, before_ms: int) -> bool:
        """Say whether anything of it was decided since. By the index: this answers without reading what is old."""
        self._connection.execute("SET LOCAL enable_seqscan = off")
        ((young,),) = self._ask(f"SELECT EXISTS (SELECT 1 FROM {_placed(part)} WHERE decided >= %s)", (before_ms,))  # noqa: S608 - quoted
        self._connection.execute("SET LOCAL enable_seqscan = on")
        return bool(young)

    def _page_by_page(self, table: str, condition: str, before_ms: int) -> int:
        """Go through a table once, in the order of its pages.

        There is no index on the moment: it would cost each write, and this reads rarely.
        """
        name = f"{quoted(self._schema)}.{quoted(table)}"
        ((pages,),) = self._ask("SELECT pg_relation_size(%s::regclass) / 8192 + 1", (name,))
        deleted, begin = 0, 0
        while begin <= pages and not self._stop.requested():
            with self._turns.on_rows():
                rows = self._connection.execute(
                    f"DELETE FROM {_placed(name)} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {_placed(name)} "  # noqa: S608 - quoted, and constants
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


def _is_there(connection: Connection, schema: str, name: str) -> bool:
    # Not by `to_regclass`: who only waited for an advisory lock may still have in mind what was there before.
    statement = (
        "SELECT 1 FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE nspname = %s AND relname = %s"
    )
    return connection.execute(statement, (schema, name)).fetchone() is not None


def _placed(name: str) -> str:
    """Give a quoted name for a statement that is run with parameters."""
    return name.replace("%", "%%")
