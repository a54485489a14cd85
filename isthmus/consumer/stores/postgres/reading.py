"""Reads a PostgreSQL front office beside whoever decides in it."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from isthmus.clock import SystemClock
from isthmus.consumer.deciding import Guard
from isthmus.consumer.stores.held import Held, HeldGate
from isthmus.consumer.stores.lot import ParkedKey, Selection, Waiting
from isthmus.consumer.stores.postgres import looking
from isthmus.consumer.stores.postgres.connection import PostgresAddress, connected
from isthmus.consumer.stores.postgres.errors import WrongStatement, translated
from isthmus.consumer.stores.postgres.looking import Ask
from isthmus.consumer.stores.postgres.names import placed
from isthmus.consumer.stores.postgres.statements import HELD
from isthmus.consumer.stores.postgres.watchdog import Watchdog
from isthmus.consumer.stores.reading import MOST_HELD, HistoryRow, ParkedReason, ParkedRow, Trace
from isthmus.errors import Missing

_COUNTS = """SELECT 'guards', count(*) FROM {s}.guard
    UNION ALL SELECT 'deleted', count(*) FROM {s}.guard WHERE deleted
    UNION ALL SELECT 'ledger', count(*) FROM {s}.ledger
    UNION ALL SELECT 'settled', count(*) FROM {s}.settled
    UNION ALL SELECT 'outbox', count(*) FROM {s}.outbox
    UNION ALL SELECT 'parked_keys', count(*) FROM (SELECT DISTINCT key FROM {s}.parked) AS parked_keys
    UNION ALL SELECT 'parked_changes', count(*) FROM {s}.parked
    UNION ALL SELECT 'history_' || outcome, count(*) FROM {s}.history GROUP BY outcome"""
# In two steps: what is counted as distinct in one is sorted, a million keys for seconds.
_BY_REASON = """SELECT reason, count(*), sum(changes)::bigint, min(since)
    FROM (SELECT reason, key, count(*) AS changes, min(first_at) AS since FROM {s}.parked GROUP BY reason, key)
        AS parked_keys
    GROUP BY reason ORDER BY 3 DESC, reason"""
_HELD_BY_GATE = """SELECT gate, count(*), sum(changes)::bigint, min(since)
    FROM (SELECT gate, key, count(*) AS changes, min(held) AS since FROM {s}.held GROUP BY gate, key) AS held_keys
    GROUP BY gate ORDER BY 3 DESC, gate"""
_HELD_OF = f"SELECT {HELD} FROM {{s}}.held WHERE key = %(key)s ORDER BY place LIMIT %(most)s"  # noqa: S608 - constants only
_KNOWN = """SELECT %(name)s::text WHERE EXISTS (SELECT 1 FROM {s}.guard WHERE key = %(name)s)
    OR EXISTS (SELECT 1 FROM {s}.parked WHERE key = %(name)s)
    OR EXISTS (SELECT 1 FROM {s}.held WHERE key = %(name)s)
    OR EXISTS (SELECT 1 FROM {s}.history WHERE key = %(name)s)"""
# Some of these have no index on the ID; a person asks rarely.
_KEY_OF_TXN = tuple(
    f"SELECT key FROM {{s}}.{table} WHERE txn = %(name)s LIMIT 1"  # noqa: S608 - constants only
    for table in ("ledger", "history", "parked", "held", "guard")
)
_GUARD = "SELECT version, txn, rowhash, deleted, entity FROM {s}.guard WHERE key = %(key)s"
_LEDGER = "SELECT decided FROM {s}.ledger WHERE txn = %(name)s"
_HISTORY = """SELECT key, version, txn, outcome, source, epoch, detected, arrived, decided, shard, sequence
    FROM {s}.history WHERE key = %(key)s ORDER BY version, txn, place"""
_PARKED = """SELECT key, version, txn, source, epoch, detected, arrived, reason, message, stage, shard, sequence,
    attempts, first_at, last_at FROM {s}.parked WHERE key = %(key)s ORDER BY version, place"""


class PostgresReader:
    """The reading side of a front office in a PostgreSQL database."""

    def __init__(self, address: PostgresAddress) -> None:
        self._address = address
        self._watchdog = Watchdog(SystemClock(), address.statement_timeout)

    def counts(self) -> Mapping[str, int]:
        """Give numbers of rows by name."""
        with self._moment() as ask:
            return dict(ask(_COUNTS))

    def parked_by_reason(self) -> list[ParkedReason]:
        """Give what is parked, the most changes first."""
        with self._moment() as ask:
            return [ParkedReason(*row) for row in ask(_BY_REASON)]

    def trace(self, key_or_txn: str) -> Trace | None:
        """Explain the entity of a key, or of a transaction ID."""
        with self._moment() as ask:
            for statement in (_KNOWN, *_KEY_OF_TXN):
                found = ask(statement, name=key_or_txn)
                if found:
                    return _trace(ask, found[0][0], key_or_txn)
        return None

    def parked_keys(self, selection: Selection, *, after: str = "", most: int = 100) -> list[ParkedKey]:
        """Give the first keys behind `after`."""
        with self._moment() as ask:
            return looking.parked_keys(ask, selection, after, most)

    def parked_of(self, key: str, *, skip: int = 0, most: int = 100) -> list[Waiting]:
        """Give changes of a key, but for the first `skip`."""
        with self._moment() as ask:
            return looking.parked_of(ask, key, skip, most)

    def held_by_gate(self) -> list[HeldGate]:
        """Give how much is held for which gate, the most changes first."""
        with self._moment() as ask:
            return [HeldGate(*row) for row in ask(_HELD_BY_GATE)]

    def held_of(self, key: str, *, most: int = 100) -> list[Held]:
        """Give the first that are held of a key."""
        with self._moment() as ask:
            return [Held(*row) for row in ask(_HELD_OF, key=key, most=most)]

    @contextmanager
    def _moment(self) -> Iterator[Ask]:
        """Read in one transaction: what is decided meanwhile is not seen by half."""
        schema = placed(self._address.schema)
        with connected(self._address, self._watchdog) as connection:

            def ask(statement: str, **names: Any) -> list[Any]:
                with translated():
                    return connection.execute(statement.format(s=schema), names).fetchall()

            try:
                with translated():
                    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                yield ask
            except WrongStatement as error:
                raise Missing(
                    "The front office has not all of our own tables.", hint="Run `isthmus store init`."
                ) from error


def _trace(ask: Ask, key: str, txn: str) -> Trace:
    guard, ledger = ask(_GUARD, key=key), ask(_LEDGER, name=txn)
    history: Sequence[Any] = ask(_HISTORY, key=key)
    return Trace(
        key=key,
        guard=Guard(*guard[0]) if guard else None,
        history=[HistoryRow(*row) for row in history],
        parked=[ParkedRow(*row) for row in ask(_PARKED, key=key)],
        held=[Held(*row) for row in ask(_HELD_OF, key=key, most=MOST_HELD)],
        took_effect_ms=ledger[0][0] if ledger else None,
    )
