"""The numbers of the local runtime, with where each comes from."""

from dataclasses import dataclass, field

from isthmus.retry import Backoff


@dataclass(frozen=True, slots=True)
class LocalSettings:
    """Seconds, unless said otherwise."""

    poll_interval: float = 0.2
    """From one read to the next while a shard has nothing new: five reads a second, what Kinesis allows."""
    reads_per_second: float = 5.0
    """Per shard (Kinesis, "Quotas and limits", GetRecords). An emulator allows more."""
    max_records: int = 1000
    """Records of one read. One page of each shard is the most that is in memory."""
    page_bytes: int = 1_000_000
    """What a page should weigh: fewer records are asked for when they are large. Five such pages a second are twice
    what a shard gives (2 MiB/s: Kinesis, "Quotas and limits"), and with decoding a page costs several times its
    weight."""
    checkpoint_interval: float = 1.0
    """At most one checkpoint of a shard in this time. What a crash repeats is what lies after the last one."""
    shard_sync_interval: float = 10.0
    """How long a reshard may stay unseen while no shard ends."""
    tick: float = 0.1
    """How often the runtime looks after its readers: an ended shard's children start within this time."""
    stop_attempts: int = 3
    """Attempts at the last checkpoint once a stop was requested: a store that is away must not hold up the stop,
    and what is not saved is only decided again."""
    backoff: Backoff = field(default_factory=Backoff)
