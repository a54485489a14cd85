"""Tells what a request is: from its target header, for DynamoDB from its item, for S3 from method and address. Pure."""

from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import orjson

from isthmus.checkpoint.items import PARTITION_KEY, ItemKind
from isthmus.checkpoint.kcl import KEY as LEASE_KEY
from isthmus.console.proxy.faults import Traffic
from isthmus.console.proxy.kinds import Service
from isthmus.console.proxy.messages import Request

_PUT: Final = "Kinesis_20131202.PutRecords"
_READ: Final = "Kinesis_20131202.GetRecords"
_WRITE: Final = "DynamoDB_20120810.UpdateItem"
_KINESIS: Final = {_PUT: Traffic.PUT, _READ: Traffic.READ}
_TO_KINESIS: Final = "Kinesis_"


def is_kinesis(target: str) -> bool:
    """Say whether a request is for Kinesis, by its `X-Amz-Target`."""
    return target.startswith(_TO_KINESIS)


def operation_of(service: Service, request: Request) -> str:
    """Give a request's name in the API reference of its service; empty where it is not known.

    Bucket names stand in the path, as they do wherever an endpoint is given by its address.
    """
    if service is not Service.S3:
        return request.field("x-amz-target").rpartition(".")[2]
    parts = urlsplit(request.target)
    bucket, _, key = parts.path.lstrip("/").partition("/")
    asked = set(parse_qs(parts.query, keep_blank_values=True))
    if not bucket:
        return "ListBuckets" if request.method == "GET" else ""
    if key:
        return _of_an_object(request, asked)
    return "" if asked & _OF_A_BUCKET else _of_a_bucket(request.method, asked)


_OF_A_BUCKET: Final = {
    *("acl", "cors", "encryption", "lifecycle", "location", "logging", "notification", "object-lock"),
    *("ownershipControls", "policy", "publicAccessBlock", "replication", "tagging", "uploads", "versioning"),
    *("versions", "website"),
}
"""Queries that ask for something else than the bucket or its objects."""
_OF_AN_OBJECT: Final = {"acl", "attributes", "legal-hold", "retention", "tagging", "torrent", "restore", "select"}


def _of_a_bucket(method: str, asked: set[str]) -> str:
    if method == "GET":
        return "ListObjectsV2" if "list-type" in asked else "ListObjects"
    if method == "POST":
        return "DeleteObjects" if "delete" in asked else ""
    return {"PUT": "CreateBucket", "HEAD": "HeadBucket", "DELETE": "DeleteBucket"}.get(method, "")


def _of_an_object(request: Request, asked: set[str]) -> str:
    if asked & _OF_AN_OBJECT:
        return ""
    if "uploadId" in asked or "uploads" in asked:
        return {
            "POST": "CreateMultipartUpload" if "uploads" in asked else "CompleteMultipartUpload",
            "PUT": "UploadPart",
            "DELETE": "AbortMultipartUpload",
        }.get(request.method, "")
    if request.method == "PUT":
        return "CopyObject" if request.field("x-amz-copy-source") else "PutObject"
    return {"GET": "GetObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}.get(request.method, "")


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
