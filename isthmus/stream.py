"""What producer and consumer both know of the stream: its identity and its facts. No client, no I/O."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StreamIdentity:
    """Which stream this is.

    A stream deleted and made anew under its old name has another creation time, hence another identity.
    """

    arn: str
    created: str
    """RFC 3339, UTC, to the second."""


@dataclass(frozen=True, slots=True)
class StreamFacts:
    """What DescribeStreamSummary and ListShards say (Kinesis API reference)."""

    name: str
    identity: StreamIdentity
    status: str
    open_shards: int
    retention_hours: int
    max_record_bytes: int
    keeps_partition_keys: bool
    """False where `RecordDistributionStrategy` is AUTO: partition keys may be ignored, and order with them."""
