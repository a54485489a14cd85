"""How far the pipeline is, read from what it wrote: the watermark, and the checkpoints or leases of the shards."""

from collections.abc import Mapping, Sequence

import orjson

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.ownership import source_lease
from isthmus.checkpoint.ports import ShardCheckpoint
from isthmus.console.progress import progress_of
from isthmus.console.wiring import Wiring
from isthmus.consumer.feed import Shard

Saved = Mapping[str, ShardCheckpoint]
"""How far each shard is, by shard."""


class Standing:
    """Asks AWS for it, past the proxy."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring
        self._checkpoints: DynamoCheckpoints = wiring.checkpoints()

    def watermark(self, source: str) -> int:
        """Give the position up to which Kinesis has acknowledged the source; 0 before the first."""
        lease = self._checkpoints.leases.read(source_lease(source))
        return int(orjson.loads(lease.watermark)[0]) if lease is not None and lease.watermark else 0

    def handed_over(self) -> bool:
        """Say whether the KCL has a lease for every shard."""
        made = self._checkpoints.hand_overs.read()
        return made is not None and made.complete

    def saved(self) -> Saved:
        """Give how far each shard is: by our own checkpoints, or by the leases of the KCL."""
        made = self._checkpoints.hand_overs.read()
        return progress_of(self._wiring, self._checkpoints, made).read_all()


def decided_up_to(saved: Saved, last: Mapping[str, str]) -> bool:
    """Say whether every shard's checkpoint has reached its last record."""
    return all(_reaches(saved.get(shard), sequence) for shard, sequence in last.items())


def not_done(shards: Sequence[Shard], saved: Saved, last: Mapping[str, str]) -> list[str]:
    """Give the shards that are not at their end, of a stream that is resharded and read by the KCL.

    A closed shard is at its end when its lease says so, and only then: that its last record is decided does not free
    its children. An open one, when its lease is there and has reached its last record.
    """
    drained = set(drained_of(shards, saved))
    return [
        shard.id
        for shard in shards
        if (
            shard.id not in drained
            if shard.closed
            else shard.id not in saved or (shard.id in last and not _reaches(saved[shard.id], last[shard.id]))
        )
    ]


def drained_of(shards: Sequence[Shard], saved: Saved) -> list[str]:
    """Give the closed shards that were read to their end: what their leases say.

    The library removes the lease of a shard that is at its end once all its children have leases, and no other one.
    """
    children: dict[str, list[str]] = {}
    for shard in shards:
        for parent in shard.parents:
            children.setdefault(parent, []).append(shard.id)
    drained: set[str] = set()
    # Children first: of one whose lease is gone too, its own children speak.
    for shard in reversed(shards):
        own = saved.get(shard.id)
        below = children.get(shard.id, [])
        removed = own is None and bool(below) and all(child in saved or child in drained for child in below)
        if shard.closed and (removed or (own is not None and own.ended)):
            drained.add(shard.id)
    return [shard.id for shard in shards if shard.id in drained]


def outcome_counts(saved: Saved) -> dict[str, int]:
    """Give the outcomes over all shards, as they are kept with the checkpoints: at least that many."""
    totals: dict[str, int] = {}
    for checkpoint in saved.values():
        for name, number in checkpoint.counts.items():
            totals[name] = totals.get(name, 0) + number
    return totals


def _reaches(checkpoint: ShardCheckpoint | None, sequence: str) -> bool:
    if checkpoint is None:
        return False
    return checkpoint.ended or (checkpoint.sequence is not None and int(checkpoint.sequence) >= int(sequence))
