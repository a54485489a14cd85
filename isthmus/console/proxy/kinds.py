"""What a plan may ask for: the services, the kinds of faults, and which of them fit together. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Service(StrEnum):
    """What stands behind the proxy."""

    KINESIS = "kinesis"
    DYNAMODB = "dynamodb"
    SQS = "sqs"
    S3 = "s3"
    POSTGRES = "postgres"


class Kind(StrEnum):
    """What can happen to a request. It counts once its effect has happened."""

    LATENCY = "latency"
    """It is kept back for a while, then it goes its way. Comes on top of another fault."""
    RESET = "reset"
    """The connection breaks before the service is reached."""
    ANSWER_LOST = "answer-lost"
    """The request takes effect, and its answer is lost with the connection."""
    LATE = "late"
    """The connection breaks first; the request reaches the service seconds later, behind its own repetition."""
    HALF_OPEN = "half-open"
    """Nobody is reached and nobody answers; the connection stays open until the client gives up."""
    CUT = "cut"
    """The connection breaks after so many bytes of the answer."""
    THROTTLE = "throttle"
    """The service's own words for "too much"; it is not reached."""
    ERROR = "error"
    """The service's own words for a defect of its own (500); it is not reached."""
    UNAVAILABLE = "unavailable"
    """The service's own words for "not now" (503); it is not reached."""
    PARTIAL = "partial"
    """Some entries of a batch are refused; the others reach the service."""
    REPEAT = "repeat"
    """The iterator for the next page of a shard is that of this page: its records come again."""
    EXPIRED = "expired"
    """The iterator of a shard has expired."""


class Breaks(StrEnum):
    """What breaks on HTTP/2, where a connection carries many requests. HTTP/1.1 always loses the connection."""

    STREAM = "stream"
    """RST_STREAM: this request alone."""
    GOAWAY = "goaway"
    """GOAWAY, then the end of the connection."""
    CONNECTION = "connection"
    """A reset of the connection, without a word."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How a fault happens, where there is a choice."""

    seconds: float = 0.0
    """Of latency; until a late request arrives; at most half open (0: until the client gives up)."""
    jitter: float = 0.0
    """Up to so many seconds more, by the seed."""
    least: float = 0.0
    """Seconds half open from which on it counts."""
    bytes: int = 0
    """Of the answer that pass before the cut."""
    code: str = ""
    """Of a throttle, where a service has several."""
    breaks: Breaks = Breaks.STREAM


CONNECT: Final = "connect"
QUERY: Final = "query"
COMMIT: Final = "commit"

OPERATIONS: Final[Mapping[Service, tuple[str, ...]]] = {
    Service.KINESIS: (
        *("PutRecords", "PutRecord", "GetRecords", "GetShardIterator", "SubscribeToShard", "ListShards"),
        *("DescribeStream", "DescribeStreamSummary", "DescribeStreamConsumer", "RegisterStreamConsumer"),
        *("DeregisterStreamConsumer", "ListStreamConsumers", "ListStreams", "CreateStream", "DeleteStream"),
        *("SplitShard", "MergeShards", "UpdateShardCount", "DescribeLimits", "IncreaseStreamRetentionPeriod"),
        *("DecreaseStreamRetentionPeriod", "UpdateStreamMode"),
    ),
    Service.DYNAMODB: (
        *("GetItem", "PutItem", "UpdateItem", "DeleteItem", "Query", "Scan", "BatchGetItem", "BatchWriteItem"),
        *("TransactWriteItems", "TransactGetItems", "DescribeTable", "CreateTable", "UpdateTable", "DeleteTable"),
        *("ListTables", "DescribeTimeToLive", "UpdateTimeToLive", "DescribeContinuousBackups", "ExecuteStatement"),
        *("BatchExecuteStatement", "ExecuteTransaction", "DescribeLimits"),
    ),
    Service.SQS: (
        *("SendMessage", "SendMessageBatch", "ReceiveMessage", "DeleteMessage", "DeleteMessageBatch"),
        *("ChangeMessageVisibility", "ChangeMessageVisibilityBatch", "GetQueueUrl", "GetQueueAttributes"),
        *("SetQueueAttributes", "CreateQueue", "DeleteQueue", "ListQueues", "PurgeQueue", "ListDeadLetterSourceQueues"),
        *("StartMessageMoveTask", "ListMessageMoveTasks", "CancelMessageMoveTask"),
    ),
    Service.S3: (
        *("PutObject", "GetObject", "HeadObject", "CopyObject", "DeleteObject", "DeleteObjects", "ListObjects"),
        *("ListObjectsV2", "ListBuckets", "CreateBucket", "HeadBucket", "DeleteBucket", "CreateMultipartUpload"),
        *("UploadPart", "CompleteMultipartUpload", "AbortMultipartUpload"),
    ),
    Service.POSTGRES: (CONNECT, QUERY, COMMIT),
}
"""The names of the API references; of PostgreSQL: a session begins, a statement is run, a transaction is committed.

What is not named here passes, and is met by a fault without an operation alone.
"""

PARTIAL: Final[Mapping[Service, tuple[str, ...]]] = {
    Service.KINESIS: ("PutRecords",),
    Service.DYNAMODB: ("BatchWriteItem",),
    Service.SQS: ("SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"),
}
"""The batches that can fail in part, and of which the proxy knows how."""

READS: Final = ("GetRecords",)
"""What repeat and expired happen to."""

STREAMED: Final = ("SubscribeToShard",)
"""Answers that have no end for minutes: they are passed on as they come."""

_HTTP: Final = frozenset(Kind) - {Kind.PARTIAL, Kind.REPEAT, Kind.EXPIRED}
FITS: Final[Mapping[Service, frozenset[Kind]]] = {
    Service.KINESIS: frozenset(Kind),
    Service.DYNAMODB: _HTTP | {Kind.PARTIAL},
    Service.SQS: _HTTP | {Kind.PARTIAL},
    Service.S3: _HTTP,
    Service.POSTGRES: _HTTP - {Kind.ERROR, Kind.LATE},
}
"""Which kinds of faults a service can have."""

POSTGRES_FITS: Final[Mapping[str, frozenset[Kind]]] = {
    CONNECT: FITS[Service.POSTGRES] - {Kind.ANSWER_LOST},
    QUERY: frozenset({Kind.LATENCY, Kind.RESET, Kind.ANSWER_LOST, Kind.HALF_OPEN, Kind.CUT}),
    COMMIT: frozenset({Kind.LATENCY, Kind.RESET, Kind.ANSWER_LOST, Kind.HALF_OPEN, Kind.CUT}),
}
"""A server that is full or starting says so to who connects, and to nobody else."""

THROTTLES: Final[Mapping[Service, tuple[str, ...]]] = {
    Service.KINESIS: ("ProvisionedThroughputExceededException", "LimitExceededException"),
    Service.DYNAMODB: ("ProvisionedThroughputExceededException", "ThrottlingException", "RequestLimitExceeded"),
    Service.SQS: ("RequestThrottled",),
    Service.S3: ("SlowDown",),
    Service.POSTGRES: ("53300",),
}
"""The codes by which a service says "too much", its usual one first (API references; PostgreSQL, appendix A)."""


def meets(service: Service, kind: Kind) -> tuple[str, ...]:
    """Give the operations that this kind of fault can happen to; empty: to all of them."""
    if kind is Kind.PARTIAL:
        return PARTIAL.get(service, ())
    if kind in {Kind.REPEAT, Kind.EXPIRED}:
        return READS
    if service is Service.POSTGRES:
        return tuple(operation for operation, kinds in POSTGRES_FITS.items() if kind in kinds)
    return ()
