"""The outbox in a PostgreSQL front office: read and emptied on a connection of its own, beside whoever decides."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from isthmus.consumer.deadletters.port import Copy
from isthmus.consumer.stores.postgres.connection import Connection, PostgresAddress, connect
from isthmus.consumer.stores.postgres.errors import translated
from isthmus.consumer.stores.postgres.names import number_array, placed
from isthmus.consumer.stores.postgres.watchdog import Watchdog

# Places are given before the commit, so a lower one may be seen after a higher one. Nothing rests on their order: what
# was sent is forgotten by its own place, and never "all up to this one". The size is told without reading the event.
_PENDING = """SELECT place, key, txn, source, reason, shard, sequence, event, written
    FROM (SELECT *, sum(octet_length(event)) OVER (ORDER BY place) AS total,
            row_number() OVER (ORDER BY place) AS number
        FROM (SELECT * FROM {s}.outbox ORDER BY place LIMIT %s) AS oldest) AS summed
    WHERE number = 1 OR total <= %s ORDER BY place"""
_SENT = "DELETE FROM {s}.outbox WHERE place = ANY (%s::bigint[])"


class PostgresOutbox:
    """`isthmus.consumer.deadletters.port.Outbox`. Connects when it is first asked, and anew after any failure."""

    def __init__(self, address: PostgresAddress, watchdog: Watchdog) -> None:
        self._address = address
        self._watchdog = watchdog
        self._connection: Connection | None = None
        schema = placed(address.schema)
        self._pending, self._sent = _PENDING.format(s=schema), _SENT.format(s=schema)

    def pending(self, most: int, most_bytes: int) -> list[Copy]:
        """Give the oldest that wait."""
        with self._asking() as connection:
            rows: Any = connection.execute(self._pending, (most, most_bytes)).fetchall()
        return [Copy(str(place), *row) for place, *row in rows]

    def sent(self, copies: Sequence[Copy]) -> None:
        """Forget these."""
        with self._asking() as connection:
            connection.execute(self._sent, (number_array(int(copy.place) for copy in copies),))

    def close(self) -> None:
        """Give the connection back. Safe to repeat."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @contextmanager
    def _asking(self) -> Iterator[Connection]:
        """Each statement is a transaction of its own: nothing is held while the queue is waited for."""
        if self._connection is None or self._connection.closed:
            self._connection = connect(self._address, self._watchdog)
        try:
            with self._watchdog.watching(self._connection), translated():
                yield self._connection
        except BaseException:
            # It may be in the middle of an answer.
            self.close()
            raise
