"""How what is remembered lies in DynamoDB: values to items and back. Pure.

One table holds everything of one application. An item is named by what it is (`kind`, the partition key) and its
name (`id`, the sort key), so that one Query reads all leases, or all checkpoints, and nothing else. Every item carries
the ARN and the creation time of the stream it belongs to, but for gates and their verdicts, the park brake and tries:
they belong to the application.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, TypeAlias

from isthmus.checkpoint.places import place_of
from isthmus.checkpoint.ports import HandOver, Holder, Lease, ShardCheckpoint, StreamRecord
from isthmus.stream import StreamIdentity

if TYPE_CHECKING:
    from types_boto3_dynamodb.type_defs import AttributeValueTypeDef

    Attribute: TypeAlias = AttributeValueTypeDef
    Item: TypeAlias = Mapping[str, Attribute]

PARTITION_KEY = "kind"
SORT_KEY = "id"


class ItemKind(StrEnum):
    """The partitions of the table."""

    LEASE = "lease"
    SHARD = "shard"
    STREAM = "stream"
    HAND_OVER = "hand-over"
    NOTE = "note"
    GATE = "gate"
    GATE_HISTORY = "gate-history"
    VERDICT = "verdict"
    TRY = "try"
    BRAKE = "brake"
    BRAKE_COUNT = "brake-count"


HAND_OVER_ID = "kcl"
"""The name of the one item of the kind `hand-over`."""
STREAM_ID = "stream"
"""The name of the one item of the kind `stream`."""


def key(kind: ItemKind, name: str) -> "dict[str, Attribute]":
    """Give the primary key of an item."""
    return {PARTITION_KEY: text(kind), SORT_KEY: text(name)}


def text(value: str) -> "Attribute":
    """Give a string attribute."""
    return {"S": value}


def number(value: int) -> "Attribute":
    """Give a number attribute. DynamoDB holds 38 digits exactly; epochs and counts have far fewer."""
    return {"N": str(value)}


def stream_attributes(identity: StreamIdentity) -> "dict[str, Attribute]":
    """Give what ties an item to its stream."""
    return {"stream_arn": text(identity.arn), "stream_created": text(identity.created)}


def lease_attributes(lease: Lease) -> "dict[str, Attribute]":
    """Give what every take-over of a lease writes, without the holder where it has none."""
    attributes: dict[str, Attribute] = {
        "epoch": number(lease.epoch),
        "beat": number(lease.beat),
        "step": number(0),
        **stream_attributes(lease.stream),
    }
    if lease.holder is not None:
        attributes["holder"] = {
            "M": {
                "name": text(lease.holder.name),
                "host": text(lease.holder.host),
                "boot_id": text(lease.holder.boot_id),
                "pid": number(lease.holder.pid),
                "started": text(lease.holder.started),
                "since": text(lease.holder.since),
            }
        }
    return attributes


def lease_of(item: "Item") -> Lease:
    """Give the lease that an item holds."""
    return Lease(
        name=item[SORT_KEY]["S"],
        epoch=int(item["epoch"]["N"]),
        holder=_holder_of(item["holder"]["M"]) if "holder" in item else None,
        beat=int(item["beat"]["N"]),
        step=int(item["step"]["N"]) if "step" in item else 0,
        stream=_identity_of(item),
        generation=int(item["generation"]["N"]),
        watermark=item["watermark"]["S"] if "watermark" in item else None,
        updated=item["updated"]["S"],
    )


def _holder_of(fields: "Item") -> Holder:
    return Holder(
        name=fields["name"]["S"],
        host=fields["host"]["S"],
        boot_id=fields["boot_id"]["S"],
        pid=int(fields["pid"]["N"]),
        started=fields["started"]["S"],
        since=fields["since"]["S"],
    )


def checkpoint_attributes(checkpoint: ShardCheckpoint) -> "dict[str, Attribute]":
    """Give what a saved checkpoint holds; `place` is what later ones are compared with.

    A sequence number is longer than a number may be in DynamoDB, so its place is text. Raises ValueError for a
    sequence number that is none.
    """
    attributes: dict[str, Attribute] = {
        "place": text(place_of(checkpoint)),
        "ended": {"BOOL": checkpoint.ended},
        "counts": {"M": {name: number(count) for name, count in checkpoint.counts.items()}},
        **stream_attributes(checkpoint.stream),
    }
    if checkpoint.sequence is not None:
        attributes["sequence"] = text(checkpoint.sequence)
    return attributes


def checkpoint_of(item: "Item") -> ShardCheckpoint:
    """Give the checkpoint that an item holds."""
    return ShardCheckpoint(
        shard=item[SORT_KEY]["S"],
        stream=_identity_of(item),
        sequence=item["sequence"]["S"] if "sequence" in item else None,
        ended=item["ended"]["BOOL"],
        counts={name: int(count["N"]) for name, count in item["counts"]["M"].items()},
        updated=item["updated"]["S"],
    )


def record_attributes(record: StreamRecord) -> "dict[str, Attribute]":
    """Give what is recorded about the stream."""
    return {"lanes": number(record.lanes), **stream_attributes(record.identity)}


def record_of(item: "Item") -> StreamRecord:
    """Give the record of the stream that an item holds."""
    return StreamRecord(identity=_identity_of(item), lanes=int(item["lanes"]["N"]))


def hand_over_attributes(made: HandOver) -> "dict[str, Attribute]":
    """Give what is recorded about a hand-over."""
    return {"leases": text(made.leases), "complete": {"BOOL": made.complete}, **stream_attributes(made.stream)}


def hand_over_of(item: "Item") -> HandOver:
    """Give the hand-over that an item holds."""
    return HandOver(leases=item["leases"]["S"], stream=_identity_of(item), complete=item["complete"]["BOOL"])


def _identity_of(item: "Item") -> StreamIdentity:
    return StreamIdentity(arn=item["stream_arn"]["S"], created=item["stream_created"]["S"])
