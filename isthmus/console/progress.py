"""How far each shard is, whichever runtime reads: by our own checkpoints, or by the leases of the KCL."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from isthmus import aws
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.kcl import KclLease, KclLeases
from isthmus.checkpoint.notes import Note
from isthmus.checkpoint.ports import HandOver, ShardCheckpoint
from isthmus.console.wiring import Wiring


class HowFar(Protocol):
    """Says how far each shard is."""

    def read_all(self) -> dict[str, ShardCheckpoint]:
        """Give every shard's checkpoint, by shard ID."""
        ...


class ByLeases:
    """Shards' checkpoints out of a lease table, with what was counted of them."""

    def __init__(self, leases: KclLeases, made: HandOver, checkpoints: DynamoCheckpoints) -> None:
        self._leases = leases
        self._made = made
        self._checkpoints = checkpoints

    def read_all(self) -> dict[str, ShardCheckpoint]:
        """Give every shard's checkpoint, by shard ID. Raises as `KclLeases.read` and `Notes.read_all` do."""
        found = checkpoints_of(self._leases.read(), self._made)
        return counted(found, self._made, self._checkpoints.shards.read_all(), self._checkpoints.notes.read_all())


def checkpoints_of(leases: Mapping[str, KclLease], made: HandOver) -> dict[str, ShardCheckpoint]:
    """Give what leases say of their shards, by shard ID. What was counted they do not say."""
    return {
        lease.shard: ShardCheckpoint(lease.shard, made.stream, lease.sequence, ended=lease.ended)
        for lease in leases.values()
    }


def counted(
    found: Mapping[str, ShardCheckpoint],
    made: HandOver,
    before: Mapping[str, ShardCheckpoint],
    notes: Mapping[str, Note],
) -> dict[str, ShardCheckpoint]:
    """Add what was counted of each shard: in the local runtime's checkpoints, which stand still, and in notes. Pure.

    The library removes the lease of a shard that is at its end: such a one is told by its note. A shard without a lease
    of which neither says that it ended is left out: somebody deleted its lease.
    """
    told: dict[str, ShardCheckpoint] = dict(found)
    for shard, stream, ended, counts in (
        *((each.shard, each.stream, each.ended, each.counts) for each in before.values()),
        *((each.shard, each.stream, each.ended, each.counts) for each in notes.values()),
    ):
        known = told.get(shard) or (ShardCheckpoint(shard, made.stream, ended=True) if ended else None)
        if known is not None and stream == made.stream:
            told[shard] = replace(known, counts=dict(Counter(known.counts) + Counter(counts)))
    return told


def leases_of(wiring: Wiring, made: HandOver) -> KclLeases:
    """Open the lease table that was recorded."""
    return KclLeases(aws.client(wiring.access, "dynamodb"), made.leases)


def progress_of(wiring: Wiring, checkpoints: DynamoCheckpoints, made: HandOver | None) -> HowFar:
    """Give what says how far the shards are; `made` is the recorded hand-over, if there was one."""
    return checkpoints.shards if made is None else ByLeases(leases_of(wiring, made), made, checkpoints)
