"""Tells what a request to Kinesis or DynamoDB is, from its target header and, for DynamoDB, from its item. Pure."""

from typing import Any, Final

import orjson

from isthmus.checkpoint.items import PARTITION_KEY, ItemKind
from isthmus.console.proxy.faults import Traffic

_PUT: Final = "Kinesis_20131202.PutRecords"
_READ: Final = "Kinesis_20131202.GetRecords"
_WRITE: Final = "DynamoDB_20120810.UpdateItem"
_KINESIS: Final = {_PUT: Traffic.PUT, _READ: Traffic.READ}


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
    kind = request.get("Key", {}).get(PARTITION_KEY, {}).get("S")
    if kind == ItemKind.SHARD:
        return Traffic.CHECKPOINT
    if kind != ItemKind.LEASE:
        return None
    values = request.get("ExpressionAttributeValues", {})
    # A take-over may write a watermark too; only it writes the epoch.
    return Traffic.WATERMARK if ":watermark" in values and ":epoch" not in values else Traffic.OWNERSHIP
