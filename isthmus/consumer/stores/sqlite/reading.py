"""Reads a SQLite front office beside whoever decides in it."""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from isthmus.consumer.deciding import Guard
from isthmus.consumer.stores.held import Held, HeldGate
from isthmus.consumer.stores.lot import ParkedKey, Selection, Waiting
from isthmus.consumer.stores.reading import MOST_HELD, HistoryRow, ParkedReason, ParkedRow, Trace
from isthmus.consumer.stores.sqlite.connection import reading
from isthmus.consumer.stores.sqlite.errors import WrongStatement
from isthmus.consumer.stores.sqlite.statements import HELD_OF, WAITING, held_of, waiting_of
from isthmus.consumer.stores.sqlite.trail import WALK
from isthmus.errors import Missing

_COUNTS = """SELECT 'guards', count(*) FROM isthmus_guard
    UNION ALL SELECT 'deleted', count(*) FROM isthmus_guard WHERE deleted = 1
    UNION ALL SELECT 'ledger', count(*) FROM isthmus_ledger
    UNION ALL SELECT 'settled', count(*) FROM isthmus_settled
    UNION ALL SELECT 'outbox', count(*) FROM isthmus_outbox
    UNION ALL SELECT 'parked_keys', count(DISTINCT key) FROM isthmus_parked
    UNION ALL SELECT 'parked_changes', count(*) FROM isthmus_parked
    UNION ALL SELECT 'history_' || outcome, count(*) FROM isthmus_history GROUP BY outcome"""
# By the index on (reason, key) alone, in which each entry ends with its place: asked for their moments, a million rows
# are read whole, for seconds. Places grow in the order of parking, so the first one has the moment that is looked for.
_BY_REASON = """SELECT r.reason, r.keys, r.changes, p.first_at
    FROM (SELECT reason, count(*) AS keys, sum(changes) AS changes, min(first) AS first
        FROM (SELECT reason, count(*) AS changes, min(place) AS first FROM isthmus_parked GROUP BY reason, key)
        GROUP BY reason) r JOIN isthmus_parked p ON p.place = r.first
    ORDER BY r.changes DESC, r.reason"""
_KNOWN = """SELECT :name WHERE EXISTS (SELECT 1 FROM isthmus_guard WHERE key = :name)
    OR EXISTS (SELECT 1 FROM isthmus_parked WHERE key = :name)
    OR EXISTS (SELECT 1 FROM isthmus_held WHERE key = :name)
    OR EXISTS (SELECT 1 FROM isthmus_trail WHERE key = :name)"""
# The last two have no index on the ID; a person asks rarely.
_KEY_OF_TXN = tuple(
    f"SELECT key FROM isthmus_{table} WHERE txn = :name LIMIT 1"  # noqa: S608 - constants only
    for table in ("history", "ledger", "parked", "held", "guard")
)
_GUARD = "SELECT version, txn, rowhash, deleted, entity FROM isthmus_guard WHERE key = ?"
_LEDGER = "SELECT decided FROM isthmus_ledger WHERE txn = ?"
_HISTORY = f"""SELECT key, version, txn, outcome, source, epoch, detected, arrived, decided, shard, sequence
    FROM ({WALK}) ORDER BY version, txn, place"""  # noqa: S608 - constants only
_HELD_BY_GATE = """SELECT gate, count(DISTINCT key), count(*), min(held) FROM isthmus_held
    GROUP BY gate ORDER BY count(*) DESC, gate"""
_PARKED_KEYS = """SELECT p.key, count(*), coalesce(min(CASE WHEN p.reason <> 'behind' THEN p.reason END), 'behind'),
    min(p.source), min(p.entity), min(p.first_at) FROM isthmus_parked p WHERE p.key > :after
    AND (:key IS NULL OR p.key = :key)
    AND (:prefix IS NULL OR substr(p.key, 1, length(:prefix)) = :prefix)
    AND p.key IN (SELECT f.key FROM isthmus_parked f WHERE f.key = p.key
        AND (:reason IS NULL OR f.reason = :reason) AND (:source IS NULL OR f.source = :source)
        AND (:since IS NULL OR f.first_at >= :since) AND (:until IS NULL OR f.first_at < :until))
    GROUP BY p.key ORDER BY p.key LIMIT :most"""
_PARKED = """SELECT key, version, txn, source, epoch, detected, arrived, reason, message, stage, shard, sequence,
    attempts, first_at, last_at FROM isthmus_parked WHERE key = ? ORDER BY version, place"""


class SqliteReader:
    """The reading side of a front office in one SQLite file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def counts(self) -> Mapping[str, int]:
        """Give numbers of rows by name."""
        with self._moment() as connection:
            return dict(connection.execute(_COUNTS))

    def parked_by_reason(self) -> list[ParkedReason]:
        """Give what is parked, the most changes first."""
        with self._moment() as connection:
            return [ParkedReason(*row) for row in connection.execute(_BY_REASON)]

    def trace(self, key_or_txn: str) -> Trace | None:
        """Explain the entity of a key, or of a transaction ID."""
        with self._moment() as connection:
            for statement in (_KNOWN, *_KEY_OF_TXN):
                found = connection.execute(statement, {"name": key_or_txn}).fetchone()
                if found is not None:
                    return _trace(connection, found[0], key_or_txn)
        return None

    def parked_keys(self, selection: Selection, *, after: str = "", most: int = 100) -> list[ParkedKey]:
        """Give the first keys behind `after`."""
        names = dict(zip(("key", "prefix", "reason", "source", "since", "until"), selection, strict=True))
        with self._moment() as connection:
            found = connection.execute(_PARKED_KEYS, {**names, "after": after, "most": most})
            return [ParkedKey(*row) for row in found]

    def parked_of(self, key: str, *, skip: int = 0, most: int = 100) -> list[Waiting]:
        """Give changes of a key, but for the first `skip`."""
        with self._moment() as connection:
            names = {"key": key, "most": most, "skip": skip, "only": None}
            return [waiting_of(row) for row in connection.execute(WAITING, names)]

    def held_by_gate(self) -> list[HeldGate]:
        """Give how much is held for which gate, the most changes first."""
        with self._moment() as connection:
            return [HeldGate(*row) for row in connection.execute(_HELD_BY_GATE)]

    def held_of(self, key: str, *, most: int = 100) -> list[Held]:
        """Give the first that are held of a key."""
        with self._moment() as connection:
            return [held_of(row) for row in connection.execute(HELD_OF, (key, most))]

    @contextmanager
    def _moment(self) -> Iterator[sqlite3.Connection]:
        """Read in one transaction: what is decided meanwhile is not seen by half."""
        if not self._path.exists():
            raise Missing(f"There is no front office at {self._path}.", hint="Run `isthmus setup`.")
        try:
            with reading(self._path) as connection:
                connection.execute("BEGIN")
                yield connection
        except WrongStatement as error:
            raise Missing(f"{self._path} has not all of our own tables.", hint="Run `isthmus setup`.") from error


def _trace(connection: sqlite3.Connection, key: str, txn: str) -> Trace:
    guard = connection.execute(_GUARD, (key,)).fetchone()
    ledger = connection.execute(_LEDGER, (txn,)).fetchone()
    return Trace(
        key=key,
        guard=Guard(guard[0], guard[1], guard[2], bool(guard[3]), guard[4]) if guard is not None else None,
        history=[HistoryRow(*row) for row in connection.execute(_HISTORY, {"key": key})],
        parked=[ParkedRow(*row) for row in connection.execute(_PARKED, (key,))],
        held=[held_of(row) for row in connection.execute(HELD_OF, (key, MOST_HELD))],
        took_effect_ms=ledger[0] if ledger is not None else None,
    )
