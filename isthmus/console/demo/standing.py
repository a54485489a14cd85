"""How far the pipeline is, read from what it wrote: the watermark and the checkpoints."""

import orjson

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.ownership import source_lease


def watermark_position(checkpoints: DynamoCheckpoints, source: str) -> int:
    """Give the position up to which Kinesis has acknowledged the source; 0 before the first."""
    lease = checkpoints.leases.read(source_lease(source))
    return int(orjson.loads(lease.watermark)[0]) if lease is not None and lease.watermark else 0


def decided_up_to(checkpoints: DynamoCheckpoints, last: dict[str, str]) -> bool:
    """Say whether every shard's checkpoint has reached its last record."""
    saved = checkpoints.shards.read_all()
    return all(
        shard in saved and saved[shard].sequence is not None and int(saved[shard].sequence or 0) >= int(sequence)
        for shard, sequence in last.items()
    )


def outcome_counts(checkpoints: DynamoCheckpoints) -> dict[str, int]:
    """Give the outcomes over all shards, as they are kept with the checkpoints: at least that many."""
    totals: dict[str, int] = {}
    for checkpoint in checkpoints.shards.read_all().values():
        for name, number in checkpoint.counts.items():
            totals[name] = totals.get(name, 0) + number
    return totals
