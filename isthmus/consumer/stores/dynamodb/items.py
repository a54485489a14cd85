"""How what is remembered lies in our own table: values to items and back. Pure.

One table holds everything. What belongs to an entity key is one item collection, so that one Query explains a key:

| `pk` | `sk` | what |
|---|---|---|
| `k#<key>` | `lot` | the head of the key's parking lot: while it is there, the key is parked |
| `k#<key>` | `p#<version>#<txn>` | one parked change |
| `k#<key>` | `h#<version>#<txn>#<slot>` | one row of the history |
| `k#<key>` | `a#<moment>#<turn>#<txn>` | what an operator did with a parked change, and why; it never expires |
| `k#<key>` | `guard#<entity>` | the guard of an entity that has no item of its own: deleted, or without a table |
| `t#<txn>` | `ledger`, `settled` | what is remembered of a transaction ID |
| `shared` | `fence#<lane>#<source>` | the highest epoch whose marker passed |
| `shared` | `settled` | the number of the newest item in the list of what is settled |
| `settled` | `<number>` | fingerprints of what was settled together |
| `outbox` | `<moment>#<txn>#<key>` | a copy for the dead-letter queue |
| `parked` | `<key>` | a copy of the head of a key's lot: whoever lists or counts reads nothing else |
| `body#<hash>` | `<number>` | a part of a parked or held event that is too large for an item |

What is held lies as `heldlines` has it, and gates that are mirrored as `mirrored`.
"""

import hashlib
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from isthmus.change import VERSION_DIGITS, Change, Outcome
from isthmus.consumer.deciding import Guard
from isthmus.consumer.stores.dynamodb.values import number, size_of, text
from isthmus.consumer.stores.port import Delivered, Parking
from isthmus.consumer.stores.reading import HistoryRow, ParkedRow

if TYPE_CHECKING:
    from isthmus.consumer.stores.dynamodb.values import Attribute, Item

PARTITION_KEY, SORT_KEY = "pk", "sk"
EXPIRES = "expires"
"""Seconds since 1970: what TTL looks at. Whoever reads looks at what is there: TTL deletes late."""
SHARED, OUTBOX, LISTED, LOT, SETTLED, LEDGER = "shared", "outbox", "parked", "lot", "settled", "ledger"
"""`LISTED` is a partition of which the sort keys are entity keys, which may look like any other: ask for it first."""
FENCE, PARKED, HISTORY, GUARD, BODY, AUDIT = "fence#", "p#", "h#", "guard#", "body#", "a#"
TURN = "turn"
"""Of a lot's head: raised with every change of the lot. Of a parked change: the head's when it was written last."""
BYTES = "bytes"
"""How large a parked change's item is, for who deletes many in one transaction."""
FENCED_SLOT, DECIDED_SLOT = "0", "1"
"""What was fenced comes again from the new owner, and what becomes of it then is told beside it."""

_LONGEST = 900
"""Bytes of a name inside a sort key, which has 1,024: version, moment and slot stand beside it."""
_SECOND = 1000


def item_key(pk: str, sk: str) -> "dict[str, Attribute]":
    """Give the primary key of an item."""
    return {PARTITION_KEY: text(pk), SORT_KEY: text(sk)}


def of_key(key: str) -> str:
    """Give the partition of an entity key."""
    return f"k#{key}"


def of_txn(txn: str) -> str:
    """Give the partition of a transaction ID."""
    return f"t#{txn}"


def ledger_key(txn: str) -> "dict[str, Attribute]":
    """Give the place of a transaction ID in the ledger."""
    return item_key(of_txn(txn), LEDGER)


def settled_key(txn: str) -> "dict[str, Attribute]":
    """Give the place of a transaction ID among the settled ones."""
    return item_key(of_txn(txn), SETTLED)


def lot_key(key: str) -> "dict[str, Attribute]":
    """Give the place of the head of a key's parking lot."""
    return item_key(of_key(key), LOT)


def parked_key(key: str, version: str, txn: str) -> "dict[str, Attribute]":
    """Give the place of a parked change."""
    return item_key(of_key(key), f"{PARKED}{version}#{short(txn)}")


def guard_key(key: str, entity: str) -> "dict[str, Attribute]":
    """Give the place of a guard that lies in our own table."""
    return item_key(of_key(key), f"{GUARD}{short(entity)}")


def fence_key(source: str, lane: int) -> "dict[str, Attribute]":
    """Give the place of a fence."""
    return item_key(SHARED, f"{FENCE}{lane}#{short(source)}")


def listed_key(key: str) -> "dict[str, Attribute]":
    """Give the place of a key in the list of those that are parked."""
    # As it is: an entity key has no more bytes than a sort key may have.
    return item_key(LISTED, key)


def audit_key(key: str, now_ms: int, turn: int, txn: str) -> "dict[str, Attribute]":
    """Give the place of what was done with a parked change; `turn` is the lot's."""
    return item_key(of_key(key), f"{AUDIT}{now_ms:015d}#{turn}#{short(txn)}")


def settled_marker_key() -> "dict[str, Attribute]":
    """Give the place of the number of the newest item in the list of what is settled."""
    return item_key(SHARED, SETTLED)


def settled_list_key(number_in_list: int) -> "dict[str, Attribute]":
    """Give the place of an item in the list of what is settled."""
    return item_key(SETTLED, f"{number_in_list:015d}")


def history_key(key: str, version: str, txn: str, slot: str) -> "dict[str, Attribute]":
    """Give the place of what is told of a change: the same one each time, so that nothing is told twice."""
    return item_key(of_key(key), f"{HISTORY}{version}#{short(txn)}#{slot}")


def fence_item(source: str, lane: int, epoch: int) -> "dict[str, Attribute]":
    """Give the item of a fence."""
    return {**fence_key(source, lane), "source": text(source), "lane": number(lane), "epoch": number(epoch)}


def fence_of(item: "Item") -> tuple[tuple[str, int], int]:
    """Give a fence: source and lane, and epoch."""
    return (item["source"]["S"], int(item["lane"]["N"])), int(item["epoch"]["N"])


def ledger_item(change: Change, now_ms: int, life_ms: int | None) -> "dict[str, Attribute]":
    """Give the item that says that a transaction ID took effect."""
    return {
        **ledger_key(change.id),
        "txn": text(change.id),
        "key": text(change.key),
        "version": text(change.version),
        "rowhash": text(change.rowhash),
        "decided": number(now_ms),
        **expiring(now_ms, life_ms),
    }


def settled_item(txn: str, now_ms: int) -> "dict[str, Attribute]":
    """Give the item of an ID, or a row, that an operator settled."""
    return {**settled_key(txn), "txn": text(txn), "decided": number(now_ms)}


def parked_item(parking: Parking, event: "Item", now_ms: int, turn: int) -> "dict[str, Attribute]":
    """Give the item of a parked change; `event` holds the event's bytes, or says where they are."""
    change = parking.delivered.change
    item: dict[str, Attribute] = {
        **parked_key(change.key, change.version, change.id),
        **told_of(parking.delivered),
        "rowhash": text(change.rowhash),
        "entity": text(change.entity),
        "reason": text(parking.reason),
        "message": text(parking.message),
        "stage": text(parking.stage),
        "decodable": {"BOOL": parking.delivered.decoded},
        "attempts": number(1),
        "first_at": number(now_ms),
        "last_at": number(now_ms),
        TURN: number(turn),
        **event,
    }
    return {**item, BYTES: number(size_of(item))}


def outbox_item(parking: Parking, event: "Item", now_ms: int) -> "dict[str, Attribute]":
    """Give the copy for the dead-letter queue. Its place begins with the moment, so that the oldest are read first."""
    change, shard, sequence, _, _, _ = parking.delivered
    return {
        **item_key(OUTBOX, f"{now_ms:015d}#{_identity(change.key, change.id)}"),
        "key": text(change.key),
        "txn": text(change.id),
        "source": text(change.source),
        "reason": text(parking.reason),
        "shard": text(shard),
        "sequence": text(sequence),
        "written": number(now_ms),
        **event,
    }


def history_item(delivered: Delivered, outcome: Outcome, now_ms: int, life_ms: int | None) -> "dict[str, Attribute]":
    """Give what is told of a change."""
    change = delivered.change
    slot = FENCED_SLOT if outcome is Outcome.FENCED else DECIDED_SLOT
    return {
        **history_key(change.key, change.version, change.id, slot),
        **told_of(delivered),
        "outcome": text(outcome),
        "decided": number(now_ms),
        **expiring(now_ms, life_ms),
    }


def superseded_item(parked: "Item", now_ms: int, life_ms: int | None) -> "dict[str, Attribute]":
    """Give what is told of a parked change that a newer state frees."""
    key, version, txn = parked["key"]["S"], parked["version"]["S"], parked["txn"]["S"]
    return {
        **history_key(key, version, txn, DECIDED_SLOT),
        **{name: parked[name] for name in TOLD},
        "outcome": text(Outcome.SUPERSEDED),
        "decided": number(now_ms),
        **expiring(now_ms, life_ms),
    }


def history_row(item: "Item") -> HistoryRow:
    """Give what an item tells."""
    return HistoryRow(
        key=item["key"]["S"],
        version=item["version"]["S"],
        txn=item["txn"]["S"],
        outcome=item["outcome"]["S"],
        source=item["source"]["S"],
        epoch=int(item["epoch"]["N"]),
        detected=item["detected"]["S"],
        arrived_ms=int(item["arrived"]["N"]),
        decided_ms=int(item["decided"]["N"]),
        shard=item["shard"]["S"],
        sequence=item["sequence"]["S"],
    )


def parked_row(item: "Item") -> ParkedRow:
    """Give the parked change of an item."""
    return ParkedRow(
        key=item["key"]["S"],
        version=item["version"]["S"],
        txn=item["txn"]["S"],
        source=item["source"]["S"],
        epoch=int(item["epoch"]["N"]),
        detected=item["detected"]["S"],
        arrived_ms=int(item["arrived"]["N"]),
        reason=item["reason"]["S"],
        message=item["message"]["S"],
        stage=item["stage"]["S"],
        shard=item["shard"]["S"],
        sequence=item["sequence"]["S"],
        attempts=int(item["attempts"]["N"]),
        first_at_ms=int(item["first_at"]["N"]),
        last_at_ms=int(item["last_at"]["N"]),
    )


def guard_of(item: "Item", prefix: str) -> Guard | None:
    """Give the guard that an item carries, or None."""
    version = item.get(f"{prefix}version")
    if version is None:
        return None
    rowhash: Mapping[str, Any] = item.get(f"{prefix}rowhash", {})
    return Guard(
        version=version_text(version["N"]),
        txn=item[f"{prefix}txn"]["S"],
        rowhash=rowhash.get("S", ""),
        deleted=f"{prefix}deleted" in item,
    )


def version_number(version: str) -> "Attribute":
    """Give a version as the number that it is: DynamoDB holds its 38 digits exactly, and compares them as a number."""
    return {"N": str(int(version))}


def version_text(held: str) -> str:
    """Give the version of a number attribute."""
    return str(int(Decimal(held))).zfill(VERSION_DIGITS)


def expiring(now_ms: int, life_ms: int | None, name: str = EXPIRES) -> "dict[str, Attribute]":
    """Give the attribute that TTL looks at, in whole seconds and never too early; nothing where there is no end."""
    return {} if life_ms is None else {name: number(-(-(now_ms + life_ms) // _SECOND))}


TOLD = ("key", "version", "txn", "source", "epoch", "detected", "arrived", "shard", "sequence")
"""The attributes that a row of the history and a parked change have in common."""


def told_of(delivered: Delivered) -> "dict[str, Attribute]":
    """Give the attributes that say which change it is, and where it came from."""
    change, shard, sequence, arrived_ms, _, _ = delivered
    return {
        "key": text(change.key),
        "version": text(change.version),
        "txn": text(change.id),
        "source": text(change.source),
        "epoch": number(change.epoch),
        "detected": text(change.time),
        "arrived": number(arrived_ms),
        "shard": text(shard),
        "sequence": text(sequence),
    }


def _identity(key: str, txn: str) -> str:
    return hashlib.sha256(f"{len(txn)}:{txn}{key}".encode()).hexdigest()


def short(name: str) -> str:
    """Give a name for a sort key: as it is, or its hash where it is too long; never the same for two names."""
    raw = name.encode()
    if len(raw) <= _LONGEST and not name.startswith("~"):
        return name
    return f"~{hashlib.sha256(raw).hexdigest()}"
