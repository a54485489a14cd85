"""Rows of the matrix about reading a back office's table: the real SQL source on a real file."""

import itertools
import random
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

from isthmus.producer.sources.sql import SqlSource, SqlTable
from tests.faults.row import Context, Result
from tests.simulation.ground import folder

_ROWS: Final = 1_200
_TIMES: Final = 3
"""So many different cursor values there are among all rows: each page but a few ends between equal ones."""


def many_rows_of_one_moment(context: Context) -> Result:
    """F02: rows that share one cursor value lie on both sides of the edges of pages of every size, and of restarts."""
    result = Result.expecting(["a page that ends between equal cursors", "a restart between equal cursors"])
    rows = _ROWS if context.full else 120
    with folder() as place:
        path = place / "back-office.db"
        wanted = _fill(path, rows)
        for size in range(1, context.goal + 1):
            found = _read_all(path, size, result)
            if found != wanted:
                lost, twice = len(set(wanted) - set(found)), len(found) - len(set(found))
                result.violated(f"I1: pages of {size}: {lost} rows lost, {twice} rows twice, or out of order")
            result.counts["page sizes"] += 1
            context.tell(size, context.goal)
    return result


def _fill(path: Path, rows: int) -> list[tuple[int, str]]:
    chance = random.Random(rows)
    made = [(number * _TIMES // rows, f"item {chance.randrange(10**6):06d}/{number}") for number in range(rows)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE stock (item TEXT PRIMARY KEY, seq INTEGER)")
        connection.execute("CREATE INDEX stock_seq ON stock (seq)")
        connection.executemany("INSERT INTO stock (seq, item) VALUES (?, ?)", chance.sample(made, len(made)))
    return sorted(made)


def _read_all(path: Path, size: int, result: Result) -> list[tuple[int, str]]:
    chance = random.Random(size)
    found: list[tuple[int, str]] = []
    after: str | None = None
    source = _open(path)
    try:
        for _ in itertools.count():
            page = source.read(after, size)
            found += [(row.position, row.values["item"]) for row in page.rows]
            after = page.rows[-1].watermark if page.rows else after
            if not page.more:
                return found
            between = int(page.bound is not None and page.rows[-1].position == _next_position(source, after))
            result.struck("a page that ends between equal cursors", between)
            if chance.random() < 0.1 or size > _ROWS // 4:
                source.close()
                source = _open(path)
                result.struck("a restart between equal cursors", between)
    finally:
        source.close()
    raise AssertionError("the loop has no other end")


def _next_position(source: SqlSource, after: str | None) -> int | None:
    rows = source.read(after, 1).rows
    return rows[0].position if rows else None


def _open(path: Path) -> SqlSource:
    table = SqlTable("stock", cursor="seq", keys=("item",))
    return SqlSource(f"sqlite:///{path}", table)
