"""The statements on our own tables, and how their rows are made."""

from typing import Any

from isthmus.change import GENERATION_DIGITS
from isthmus.checkpoint.gates import Covers, Gate, Mode
from isthmus.consumer.stores.held import Held
from isthmus.consumer.stores.lot import Audited, Waiting
from isthmus.consumer.stores.port import Delivered, Keeping, Parking

ANYTHING = """SELECT EXISTS (SELECT 1 FROM isthmus_ledger), EXISTS (SELECT 1 FROM isthmus_parked),
    EXISTS (SELECT 1 FROM isthmus_settled), EXISTS (SELECT 1 FROM isthmus_trail), EXISTS (SELECT 1 FROM isthmus_held),
    EXISTS (SELECT 1 FROM isthmus_gate WHERE closed)"""
GUARDS = """SELECT g.key, g.told, g.version, g.txn, g.rowhash, g.deleted, g.entity
    FROM json_each(?) j CROSS JOIN isthmus_guard g ON g.key = j.value"""
LEDGER = "SELECT l.txn, l.rowhash FROM json_each(?) j CROSS JOIN isthmus_ledger l ON l.txn = j.value"
SETTLED = "SELECT s.txn FROM json_each(?) j CROSS JOIN isthmus_settled s ON s.txn = j.value"
NEWEST_PARKED = """SELECT p.key, p.entity, max(p.version) FROM json_each(?) j
    CROSS JOIN isthmus_parked p ON p.key = j.value GROUP BY p.key, p.entity"""
PARKED = """SELECT p.key, p.txn, p.rowhash FROM json_each(?) j
    CROSS JOIN isthmus_parked p ON p.key = j.value ->> 0 AND p.txn = j.value ->> 1"""
HELD_KEYS = "SELECT DISTINCT h.key FROM json_each(?) j CROSS JOIN isthmus_held h ON h.key = j.value"
HELD_HERE = """SELECT h.key, h.txn, h.rowhash FROM json_each(?) j
    CROSS JOIN isthmus_held h ON h.key = j.value ->> 0 AND h.txn = j.value ->> 1"""
GATES = """SELECT process, source, entity, prefix, closed, mode, who, reason, since, until, revision FROM isthmus_gate
    WHERE closed"""
FENCES = "SELECT source, lane, epoch FROM isthmus_fence"

SAVE_GUARD = """INSERT INTO isthmus_guard (key, version, txn, rowhash, deleted, entity, decided, told)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET version = excluded.version, txn = excluded.txn,
    rowhash = excluded.rowhash, deleted = excluded.deleted, entity = excluded.entity, decided = excluded.decided,
    told = excluded.told"""
CLAIM_GUARD = f"""{SAVE_GUARD.replace("told = excluded.told", "told = coalesce(excluded.told, isthmus_guard.told)")}
    WHERE isthmus_guard.version < excluded.version AND isthmus_guard.txn <> excluded.txn
    AND isthmus_guard.entity = excluded.entity
    AND substr(isthmus_guard.version, 1, {GENERATION_DIGITS}) = substr(excluded.version, 1, {GENERATION_DIGITS})"""
"""Writes a guard only where nothing newer, not the same ID, no other type's key, and nothing that may be the same row
stands there."""
SAVE_LEDGER = "INSERT INTO isthmus_ledger (txn, key, version, rowhash, decided) VALUES (?, ?, ?, ?, ?)"
SAVE_PARKED = """INSERT INTO isthmus_parked (key, txn, version, rowhash, source, entity, epoch, detected, arrived,
    reason, message, stage, event, decodable, shard, sequence, first_at, last_at)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
SAVE_OUTBOX = """INSERT INTO isthmus_outbox (key, txn, source, reason, shard, sequence, event, written)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
SAVE_FENCE = """INSERT INTO isthmus_fence (source, lane, epoch) VALUES (?, ?, ?)
    ON CONFLICT (source, lane) DO UPDATE SET epoch = max(epoch, excluded.epoch)"""

_HELD = """key, txn, version, rowhash, source, entity, epoch, detected, arrived, gate, event, decodable, shard,
    sequence, held"""
HELD_OF = f"""SELECT {_HELD} FROM isthmus_held WHERE key = ? ORDER BY place LIMIT ?"""  # noqa: S608 - constants only
"""Gives rows of `isthmus.consumer.stores.held.Held`."""
SAVE_HELD = f"""INSERT INTO isthmus_held ({_HELD}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""  # noqa: S608 - same
DRAINED = "DELETE FROM isthmus_held WHERE key = ? AND txn = ?"
HELD_HEADS = """SELECT h.key, h.source, h.entity FROM
    (SELECT key, min(place) AS place FROM isthmus_held WHERE key > ? GROUP BY key ORDER BY key LIMIT ?) f
    JOIN isthmus_held h ON h.place = f.place ORDER BY h.key"""
MIRROR = """INSERT INTO isthmus_gate (name, process, source, entity, prefix, closed, mode, who, reason, since, until,
    revision) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET closed = excluded.closed,
    mode = excluded.mode, who = excluded.who, reason = excluded.reason, since = excluded.since, until = excluded.until,
    revision = excluded.revision
    WHERE (isthmus_gate.since, isthmus_gate.revision) < (excluded.since, excluded.revision)"""

WAITING = """SELECT key, txn, version, rowhash, source, entity, epoch, detected, arrived, reason, message, stage, event,
    decodable, shard, sequence, attempts, first_at, last_at,
    EXISTS (SELECT 1 FROM isthmus_audit a WHERE a.key = p.key AND a.txn = p.txn AND a.deed = 'edit')
    FROM isthmus_parked p WHERE key = :key AND (:only IS NULL OR txn IN (SELECT value FROM json_each(:only)))
    ORDER BY version, place LIMIT :most OFFSET :skip"""
TAKE_OUT = "DELETE FROM isthmus_parked WHERE key = ? AND txn = ?"
TRIED_AGAIN = """UPDATE isthmus_parked SET reason = ?, message = ?, stage = ?, attempts = attempts + 1, last_at = ?
    WHERE key = ? AND txn = ?"""
EDIT = "UPDATE isthmus_parked SET event = ? WHERE key = ? AND txn = ?"
SETTLE = "INSERT INTO isthmus_settled (txn, decided) VALUES (?, ?) ON CONFLICT (txn) DO NOTHING"
AUDIT = """INSERT INTO isthmus_audit (at, who, why, deed, key, txn, version, source, entity, reason, message, event,
    made) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""

FREE = "DELETE FROM isthmus_parked WHERE key = ? AND entity = ? AND version < ?"


def ledger_row(delivered: Delivered, now_ms: int) -> tuple[Any, ...]:
    """Give the values of SAVE_LEDGER."""
    change = delivered.change
    return (change.id, change.key, change.version, change.rowhash, now_ms)


def waiting_of(row: tuple[Any, ...]) -> Waiting:
    """Give what a row of WAITING says."""
    waiting = Waiting(*row)
    return waiting._replace(decodable=bool(waiting.decodable), edited=bool(waiting.edited))


def audit_row(audited: Audited, now_ms: int) -> tuple[Any, ...]:
    """Give the values of AUDIT."""
    deed, waiting, who, why, event = audited
    names = (waiting.key, waiting.txn, waiting.version, waiting.source, waiting.entity)
    return (now_ms, who, why, str(deed), *names, waiting.reason, waiting.message, waiting.event, event)


def parked_row(parking: Parking, now_ms: int) -> tuple[Any, ...]:
    """Give the values of SAVE_PARKED."""
    delivered, reason, message, stage, event = parking
    change = delivered.change
    return (
        change.key,
        change.id,
        change.version,
        change.rowhash,
        change.source,
        change.entity,
        change.epoch,
        change.time,
        delivered.arrived_ms,
        reason,
        message,
        stage,
        event,
        delivered.decoded,
        delivered.shard,
        delivered.sequence,
        now_ms,
        now_ms,
    )


def held_row(keeping: Keeping, now_ms: int) -> tuple[Any, ...]:
    """Give the values of SAVE_HELD."""
    delivered, gate, event = keeping
    change = delivered.change
    return (
        change.key,
        change.id,
        change.version,
        change.rowhash,
        change.source,
        change.entity,
        change.epoch,
        change.time,
        delivered.arrived_ms,
        gate,
        event,
        delivered.decoded,
        delivered.shard,
        delivered.sequence,
        now_ms,
    )


def held_of(row: tuple[Any, ...]) -> Held:
    """Give what a row of HELD_OF says."""
    held = Held(*row)
    return held._replace(decodable=bool(held.decodable))


def gate_row(gate: Gate) -> tuple[Any, ...]:
    """Give the values of MIRROR."""
    told = (gate.closed, str(gate.mode), gate.who, gate.reason, gate.since_ms, gate.until_ms, gate.revision)
    return (gate.name, *gate.covers, *told)


def gate_of(row: tuple[Any, ...]) -> Gate:
    """Give what a row of GATES says."""
    return Gate(Covers(*row[:4]), bool(row[4]), Mode(row[5]), *row[6:])


def outbox_row(parking: Parking, now_ms: int) -> tuple[Any, ...]:
    """Give the values of SAVE_OUTBOX."""
    change, shard, sequence, _, _, _ = parking.delivered
    return (change.key, change.id, change.source, parking.reason, shard, sequence, parking.event, now_ms)
