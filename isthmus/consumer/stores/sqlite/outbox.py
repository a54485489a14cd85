"""The outbox in a SQLite front office: read beside everybody, emptied by the writer of the moment."""

import threading
from collections.abc import Sequence
from contextlib import closing
from itertools import accumulate
from pathlib import Path

from isthmus.consumer.deadletters.port import Copy
from isthmus.consumer.stores.sqlite.connection import reading, writing
from isthmus.consumer.stores.sqlite.errors import translated

_SIZES = "SELECT place, length(event) FROM isthmus_outbox ORDER BY place LIMIT ?"
_PENDING = """SELECT place, key, txn, source, reason, shard, sequence, event, written FROM isthmus_outbox
    WHERE place <= ? ORDER BY place LIMIT ?"""
_SENT = "DELETE FROM isthmus_outbox WHERE place = ?"


class SqliteOutbox:
    """`isthmus.consumer.deadletters.port.Outbox`. `writer` is the turn of this process's writers."""

    def __init__(self, path: Path, writer: threading.Lock) -> None:
        self._path = path
        self._writer = writer

    def pending(self, most: int, most_bytes: int) -> list[Copy]:
        """Give the oldest that wait."""
        with reading(self._path) as connection:
            found = connection.execute(_SIZES, (most,)).fetchall()
            sums = list(accumulate(size for _, size in found))
            fitting = max(1, sum(total <= most_bytes for total in sums))
            last = found[:fitting][-1][0] if found else 0
            return [Copy(str(place), *row) for place, *row in connection.execute(_PENDING, (last, most))]

    def sent(self, copies: Sequence[Copy]) -> None:
        """Forget these."""
        with self._writer, closing(writing(self._path)) as connection, translated():
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(_SENT, [(int(copy.place),) for copy in copies])
            connection.execute("COMMIT")

    def close(self) -> None:
        """Nothing is open between two looks."""
