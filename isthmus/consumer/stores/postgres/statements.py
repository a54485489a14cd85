"""The statements on our own tables, in one schema, and how rows become their arrays."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from isthmus.change import GENERATION_DIGITS, SETTLED_ROW_PREFIX
from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.consumer.stores.lot import Audited
from isthmus.consumer.stores.port import Delivered, Keeping, Parking, Told
from isthmus.consumer.stores.postgres.names import beyond, bytes_array, number_array, placed, text_array

_MONTH = re.compile(r"(?!0000)[0-9]{4}-(0[1-9]|1[0-2])", re.ASCII)
_NO_MONTH = "0001-01-01"
"""For a change that says no time: it lies with what is older than this installation."""

_PARKED = (
    "key, txn, version, rowhash, source, entity, epoch, detected, arrived, reason, message, stage, event, decodable, "
    "shard, sequence, first_at, last_at"
)
HELD = (
    "key, txn, version, rowhash, source, entity, epoch, detected, arrived, gate, event, decodable, shard, "
    "sequence, held"
)
_WAITING = _PARKED.replace("first_at", "attempts, first_at")
_AUDIT = "at, deed, who, why, key, txn, version, source, entity, reason, message, event, made"
_HISTORY = "month, key, version, txn, outcome, source, epoch, detected, arrived, decided, shard, sequence"


@dataclass(frozen=True, slots=True, init=False)
class Statements:
    """The statements of one schema."""

    lock: str
    fences: str
    guards: str
    ledger: str
    settled: str
    newest_parked: str
    parked: str
    told: str
    waiting: str
    waiting_keys: str
    plain: str
    plain_by_rows: str
    claim: str
    save_guard: str
    save_ledger: str
    take_out: str
    tried_again: str
    edit: str
    settle: str
    save_audit: str
    tell_freed: str
    free: str
    save_parked: str
    save_outbox: str
    held_keys: str
    held_here: str
    gates: str
    held_of: str
    held_heads: str
    save_held: str
    drained: str
    mirror_alone: str
    mirror: str
    save_fence: str
    save_history: str

    def __init__(self, schema: str) -> None:
        for name, text in _TEXTS.items():
            object.__setattr__(self, name, text.format(s=placed(schema)))


_SET_GUARD = (
    "version = EXCLUDED.version, txn = EXCLUDED.txn, rowhash = EXCLUDED.rowhash, deleted = EXCLUDED.deleted, "
    "entity = EXCLUDED.entity, decided = EXCLUDED.decided"
)
_GUARD_ROWS = (
    """INSERT INTO {s}.guard AS g (decided, key, version, txn, rowhash, entity, deleted)
    SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::boolean[])
    ON CONFLICT (key) DO UPDATE SET """
    + _SET_GUARD
)

WAITING = f"""SELECT {_WAITING},
        EXISTS (SELECT 1 FROM {{s}}.audit a WHERE a.key = p.key AND a.txn = p.txn AND a.deed = 'edit')
    FROM {{s}}.parked p WHERE p.key = %(key)s AND (%(only)s::text[] IS NULL OR p.txn = ANY (%(only)s::text[]))
    ORDER BY p.version, p.place LIMIT %(most)s OFFSET %(skip)s"""
"""Gives rows of `isthmus.consumer.stores.lot.Waiting`."""
_WAITING_OF_KEYS = f"""SELECT waiting.* FROM unnest(%(keys)s::text[]) AS k (key) CROSS JOIN LATERAL (SELECT {_WAITING},
        EXISTS (SELECT 1 FROM {{s}}.audit a WHERE a.key = p.key AND a.txn = p.txn AND a.deed = 'edit')
    FROM {{s}}.parked p WHERE p.key = k.key AND (%(only)s::text[] IS NULL OR p.txn = ANY (%(only)s::text[]))
    ORDER BY p.version, p.place LIMIT %(each)s) AS waiting"""
_ROW_SETTLED = f"""SELECT txn FROM {{s}}.settled
    WHERE txn >= '{SETTLED_ROW_PREFIX}' AND txn < '{beyond(SETTLED_ROW_PREFIX)}' LIMIT 1"""
_PLAIN = """SELECT NOT (EXISTS (SELECT 1 FROM {s}.fence WHERE source = ANY (%s::text[]) AND epoch > %s)
        OR EXISTS (SELECT 1 FROM (SELECT key FROM {s}.parked UNION ALL SELECT key FROM {s}.held) AS waiting
            WHERE key = ANY (%s::text[]))
        OR EXISTS (SELECT 1 FROM {s}.gate WHERE closed)
        OR EXISTS (SELECT 1 FROM {s}.settled WHERE txn = ANY (%s::text[]))
        OR EXISTS (SELECT 1 FROM {s}.ledger WHERE txn = ANY (%s::text[]))"""

_TEXTS = {
    # A statement of its own, before any that reads: each sees what was committed when it began, and who waited here
    # must see what the one before it wrote. In one order, so that nobody waits in a ring.
    # And beside whoever else decides: a gate is mirrored alone, when everybody who found it open has ended. That first:
    # who waits for it holds no lane that those who go on may want.
    "lock": """WITH p (space, lanes) AS (SELECT %s::integer, %s::integer[])
        SELECT pg_advisory_xact_lock_shared(p.space, -3) FROM p
        UNION ALL SELECT pg_advisory_xact_lock(p.space, lane) FROM p, unnest(p.lanes) AS lane""",
    "fences": "SELECT source, lane, epoch FROM {s}.fence WHERE source = ANY (%s::text[])",
    "guards": "SELECT key, version, txn, rowhash, deleted, entity FROM {s}.guard WHERE key = ANY (%s::text[])",
    "ledger": "SELECT txn, rowhash FROM {s}.ledger WHERE txn = ANY (%s::text[])",
    # One row that was discarded before its key was known comes with them, if there is any: then rows are to be asked
    # for too.
    "settled": "SELECT txn FROM {s}.settled WHERE txn = ANY (%s::text[]) UNION ALL (" + _ROW_SETTLED + ")",
    "newest_parked": """SELECT key, entity, max(version) FROM {s}.parked WHERE key = ANY (%s::text[])
        GROUP BY key, entity""",
    "parked": """SELECT p.key, p.txn, p.rowhash FROM {s}.parked p
        JOIN unnest(%s::text[], %s::text[]) AS j (key, txn) ON p.key = j.key AND p.txn = j.txn""",
    "told": "SELECT key, txn, outcome FROM {s}.history WHERE key = ANY (%s::text[]) AND txn = ANY (%s::text[])",
    "waiting": _WAITING_OF_KEYS,
    "waiting_keys": """SELECT key FROM {s}.parked WHERE key = ANY (%s::text[])
        UNION SELECT key FROM {s}.held WHERE key = ANY (%s::text[])""",
    "plain": _PLAIN + " OR EXISTS (" + _ROW_SETTLED + "))",
    # Where the IDs to be asked for as settled have the changes' rows among them.
    "plain_by_rows": _PLAIN + ")",
    # Of another generation: it may be the very same row, and is compared.
    "claim": _GUARD_ROWS
    + " WHERE g.version < EXCLUDED.version AND g.txn <> EXCLUDED.txn AND g.entity = EXCLUDED.entity "
    + f"AND left(g.version, {GENERATION_DIGITS}) = left(EXCLUDED.version, {GENERATION_DIGITS})",
    "save_guard": _GUARD_ROWS,
    "save_ledger": """INSERT INTO {s}.ledger (decided, txn, month, key, version, rowhash)
        SELECT %s, * FROM unnest(%s::text[], %s::date[], %s::text[], %s::text[], %s::text[])""",
    "take_out": """DELETE FROM {s}.parked p USING unnest(%s::text[], %s::text[]) AS r (key, txn)
        WHERE p.key = r.key AND p.txn = r.txn""",
    "tried_again": """UPDATE {s}.parked p SET attempts = p.attempts + 1, last_at = %s, reason = r.reason,
            message = r.message, stage = r.stage
        FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[]) AS r (key, txn, reason, message, stage)
        WHERE p.key = r.key AND p.txn = r.txn""",
    "edit": """UPDATE {s}.parked p SET event = r.event
        FROM unnest(%s::text[], %s::text[], %s::bytea[]) AS r (key, txn, event)
        WHERE p.key = r.key AND p.txn = r.txn""",
    "settle": """INSERT INTO {s}.settled (decided, txn) SELECT %s, txn FROM unnest(%s::text[]) AS txn ORDER BY 2
        ON CONFLICT (txn) DO NOTHING""",
    "save_audit": """INSERT INTO {s}.audit (""" + _AUDIT + """)
        SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::text[], %s::text[], %s::text[], %s::bytea[], %s::bytea[])""",
    "tell_freed": """INSERT INTO {s}.history (""" + _HISTORY + """)
        SELECT CASE WHEN p.detected ~ '^[0-9]{{4}}-(0[1-9]|1[0-2])' AND left(p.detected, 4) <> '0000'
                THEN (left(p.detected, 7) || '-01')::date ELSE '""" + _NO_MONTH + """' END,
            p.key, p.version, p.txn, 'superseded', p.source, p.epoch, p.detected, p.arrived, %s, p.shard, p.sequence
        FROM {s}.parked p JOIN unnest(%s::text[], %s::text[], %s::text[]) AS f (key, entity, version)
            ON p.key = f.key AND p.entity = f.entity AND p.version < f.version
        ORDER BY p.key, p.version, p.place RETURNING key, txn""",
    "free": """DELETE FROM {s}.parked p USING unnest(%s::text[], %s::text[], %s::text[]) AS f (key, entity, version)
        WHERE p.key = f.key AND p.entity = f.entity AND p.version < f.version""",
    "save_parked": """INSERT INTO {s}.parked (""" + _PARKED + """)
        SELECT *, %s, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[], %s::text[], %s::bytea[], %s::boolean[],
            %s::text[], %s::text[])""",
    "save_outbox": """INSERT INTO {s}.outbox (key, txn, source, reason, shard, sequence, event, written)
        SELECT *, %s FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::bytea[])""",
    "held_keys": "SELECT DISTINCT key FROM {s}.held WHERE key = ANY (%s::text[])",
    "held_here": """SELECT h.key, h.txn, h.rowhash FROM {s}.held h
        JOIN unnest(%s::text[], %s::text[]) AS j (key, txn) ON h.key = j.key AND h.txn = j.txn""",
    "gates": "SELECT process, source, entity, prefix, closed, mode, who, reason, since, until, revision "
    # With a parameter: else a percent sign in the schema's name would stay doubled.
    "FROM {s}.gate WHERE closed = %s",
    "held_of": "SELECT h.* FROM unnest(%s::text[]) WITH ORDINALITY AS k (key, number) CROSS JOIN LATERAL (SELECT "
    + HELD
    + ", place FROM {s}.held WHERE key = k.key ORDER BY place LIMIT %s) h ORDER BY k.number, h.place",
    "held_heads": """SELECT f.key, h.source, h.entity
        FROM (SELECT DISTINCT ON (key) key, place FROM {s}.held WHERE key > %s ORDER BY key, place LIMIT %s) f
        JOIN {s}.held h ON h.place = f.place ORDER BY f.key""",
    "save_held": "INSERT INTO {s}.held (held, " + HELD.replace(", held", "") + """)
        SELECT %s, * FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::bigint[],
            %s::text[], %s::bigint[], %s::text[], %s::bytea[], %s::boolean[], %s::text[], %s::text[])""",
    "drained": """DELETE FROM {s}.held h USING unnest(%s::text[], %s::text[]) AS r (key, txn)
        WHERE h.key = r.key AND h.txn = r.txn""",
    "mirror_alone": "SELECT pg_advisory_xact_lock(%s, -3)",
    "mirror": """INSERT INTO {s}.gate AS g (name, process, source, entity, prefix, closed, mode, who, reason, since,
            until, revision) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
        ON CONFLICT (name) DO UPDATE SET closed = EXCLUDED.closed, mode = EXCLUDED.mode, who = EXCLUDED.who,
            reason = EXCLUDED.reason, since = EXCLUDED.since, until = EXCLUDED.until, revision = EXCLUDED.revision
        WHERE (g.since, g.revision) < (EXCLUDED.since, EXCLUDED.revision)""",
    "save_fence": """INSERT INTO {s}.fence AS f (source, lane, epoch)
        SELECT * FROM unnest(%s::text[], %s::integer[], %s::bigint[]) ORDER BY 1, 2
        ON CONFLICT (source, lane) DO UPDATE SET epoch = greatest(f.epoch, EXCLUDED.epoch)""",
    "save_history": """INSERT INTO {s}.history (decided, """ + _HISTORY.replace("decided, ", "") + """)
        SELECT %s, * FROM unnest(%s::date[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[],
            %s::bigint[], %s::text[], %s::bigint[], %s::text[], %s::text[])""",
}  # fmt: skip


def month_of(time: str) -> str:
    """Give the first day of the month that a change's own time names: the same each time the change comes."""
    month = time[:7]
    return f"{month}-01" if _MONTH.fullmatch(month) else _NO_MONTH


def ledger_arrays(ledger: Sequence[Delivered]) -> list[str]:
    """Give the arrays of `save_ledger`."""
    changes = [delivered.change for delivered in ledger]
    return _texts([(each.id, month_of(each.time), each.key, each.version, each.rowhash) for each in changes])


def history_arrays(told: Sequence[Told]) -> list[str]:
    """Give the arrays of `save_history`."""
    rows = [
        (
            month_of(change.time),
            change.key,
            change.version,
            change.id,
            str(outcome),
            change.source,
            str(change.epoch),
            change.time,
            str(arrived),
            shard,
            sequence,
        )
        for (change, shard, sequence, arrived, _, _), outcome in told
    ]
    return _texts(rows)


def parked_arrays(parked: Sequence[Parking]) -> list[str]:
    """Give the arrays of `save_parked`."""
    rows = []
    for (change, shard, sequence, arrived, _, _), reason, message, stage, _ in parked:
        head = (change.key, change.id, change.version, change.rowhash, change.source, change.entity)
        rows.append((*head, str(change.epoch), change.time, str(arrived), reason, message, stage, shard, sequence))
    arrays = _texts(rows)
    events = bytes_array([parking.event for parking in parked])
    decodable = text_array([str(parking.delivered.decoded) for parking in parked])
    return [*arrays[:-2], events, decodable, *arrays[-2:]]


def held_arrays(held: Sequence[Keeping]) -> list[str]:
    """Give the arrays of `save_held`."""
    rows = []
    for (change, shard, sequence, arrived, _, _), gate, _ in held:
        head = (change.key, change.id, change.version, change.rowhash, change.source, change.entity)
        rows.append((*head, str(change.epoch), change.time, str(arrived), gate, shard, sequence))
    arrays = _texts(rows)
    events = bytes_array([keeping.event for keeping in held])
    return [*arrays[:-2], events, text_array([str(keeping.delivered.decoded) for keeping in held]), *arrays[-2:]]


def gate_values(gate: Gate) -> list[Any]:
    """Give the values of `mirror`."""
    told = (gate.closed, str(gate.mode), gate.who, gate.reason, gate.since_ms, gate.until_ms, gate.revision)
    return [gate.name, *gate.covers, *told]


def gate_of(row: Sequence[Any]) -> Gate:
    """Give what a row of `gates` says."""
    return Gate(Covers(*row[:4]), row[4], Mode(row[5]), *row[6:])


def outbox_arrays(outbox: Sequence[Parking]) -> list[str]:
    """Give the arrays of `save_outbox`."""
    rows = [
        (change.key, change.id, change.source, parking.reason, shard, sequence)
        for parking in outbox
        for change, shard, sequence, _, _, _ in [parking.delivered]
    ]
    return [*_texts(rows), bytes_array([parking.event for parking in outbox])]


def audit_arrays(audit: Sequence[Audited]) -> list[str]:
    """Give the arrays of `save_audit`."""
    rows = []
    for deed, waiting, who, why, _ in audit:
        names = (waiting.key, waiting.txn, waiting.version, waiting.source, waiting.entity)
        rows.append((str(deed), who, why, *names, waiting.reason, waiting.message))
    events = bytes_array([each.waiting.event for each in audit])
    return [*_texts(rows), events, bytes_array([each.event for each in audit])]


def again_arrays(again: Mapping[tuple[str, str], Parking]) -> list[str]:
    """Give the arrays of `tried_again`."""
    return _texts([(*place, parking.reason, parking.message, parking.stage) for place, parking in again.items()])


def edited_arrays(edited: Mapping[tuple[str, str], bytes]) -> list[str]:
    """Give the arrays of `edit`."""
    return [*place_arrays(list(edited)), bytes_array(edited.values())]


def place_arrays(places: Sequence[tuple[str, str]]) -> list[str]:
    """Give the arrays of `take_out`."""
    return _texts(places)


def fence_arrays(fences: dict[tuple[str, int], int]) -> list[str]:
    """Give the arrays of `save_fence`."""
    sources = text_array([source for source, _ in fences])
    return [sources, number_array([lane for _, lane in fences]), number_array(fences.values())]


def _texts(rows: Sequence[tuple[Any, ...]]) -> list[str]:
    return [text_array(column) for column in zip(*rows, strict=True)]


def applied_arrays(batch: Sequence[Delivered], keys: str, txns: str) -> list[str]:
    """Give the arrays of `save_history` for changes that all took effect; keys and IDs as arrays already."""
    changes = [delivered.change for delivered in batch]
    return [
        text_array([month_of(change.time) for change in changes]),
        keys,
        text_array([change.version for change in changes]),
        txns,
        text_array(["applied"] * len(batch)),
        text_array([change.source for change in changes]),
        number_array([change.epoch for change in changes]),
        text_array([change.time for change in changes]),
        number_array([delivered.arrived_ms for delivered in batch]),
        text_array([delivered.shard for delivered in batch]),
        text_array([delivered.sequence for delivered in batch]),
    ]
