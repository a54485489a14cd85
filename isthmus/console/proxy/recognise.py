"""Tells what a request to Kinesis or DynamoDB is, from its target header and, for DynamoDB, from its item. Pure."""

from typing import Any, Final

import orjson

from isthmus.checkpoint.items import PARTITION_KEY, ItemKind
from isthmus.checkpoint.kcl import KEY as LEASE_KEY
from isthmus.console.proxy.faults import Traffic

_PUT: Final = "Kinesis_20131202.PutRecords"
_READ: Final = "Kinesis_20131202.GetRecords"
_WRITE: Final = "DynamoDB_20120810.UpdateItem"
_KINESIS: Final = {_PUT: Traffic.PUT, _READ: Traffic.READ}
_TO_KINESIS: Final = "Kinesis_"


def is_kinesis(target: str) -> bool:
    """Say whether a request is for Kinesis, by its `X-Amz-Target`."""
    return target.startswith(_TO_KINESIS)


def traffic_of(target: str, body: bytes) -> Traffic | None:
    """Give what a request is, by its `X-Amz-Target` and its body; None for what no fault strikes."""
    if target != _WRITE:
        return _KINESIS.get(target)
    try:
        return _write(orjson.loads(body))
    except (orjson.JSONDecodeError, AttributeError):
        # Not what UpdateItem takes: the real service shall say so.
        return None


def _write(request: dict[str, Any]) -> Traffic | None:
    key = request.get("Key", {})
    if key.get(LEASE_KEY):
        # The Kinesis Client Library's: a checkpoint is a write of the lease, as every beat is.
        return Traffic.CHECKPOINT if request.get("AttributeUpdates", {}).get("checkpoint") else Traffic.OWNERSHIP
    kind = key.get(PARTITION_KEY, {}).get("S")
    if kind == ItemKind.SHARD:
        return Traffic.CHECKPOINT
    if kind != ItemKind.LEASE:
        return None
    values = request.get("ExpressionAttributeValues", {})
    # A take-over may write a watermark too; only it writes the epoch.
    return Traffic.WATERMARK if ":watermark" in values and ":epoch" not in values else Traffic.OWNERSHIP
