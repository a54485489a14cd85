"""How far each shard is, whichever runtime reads: by our own checkpoints, or by the leases of the KCL."""

from collections.abc import Mapping
from typing import Protocol

from isthmus import aws
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.kcl import SHARD_END, KclLease, KclLeases
from isthmus.checkpoint.ports import HandOver, ShardCheckpoint
from isthmus.console.wiring import Wiring


class HowFar(Protocol):
    """Says how far each shard is."""

    def read_all(self) -> dict[str, ShardCheckpoint]:
        """Give every shard's checkpoint, by shard ID."""
        ...


class ByLeases:
    """Shards' checkpoints out of a lease table. What was counted is with the workers' metrics, and not told here."""

    def __init__(self, leases: KclLeases, made: HandOver) -> None:
        self._leases = leases
        self._made = made

    def read_all(self) -> dict[str, ShardCheckpoint]:
        """Give every shard's checkpoint, by shard ID. Raises as `KclLeases.read` does."""
        return checkpoints_of(self._leases.read(), self._made)


def checkpoints_of(leases: Mapping[str, KclLease], made: HandOver) -> dict[str, ShardCheckpoint]:
    """Give what leases say of their shards, by shard ID."""
    return {
        lease.shard: ShardCheckpoint(
            lease.shard,
            made.stream,
            lease.checkpoint if lease.checkpoint.isdecimal() else None,
            ended=lease.checkpoint == SHARD_END,
        )
        for lease in leases.values()
    }


def leases_of(wiring: Wiring, made: HandOver) -> KclLeases:
    """Open the lease table that was recorded."""
    return KclLeases(aws.client(wiring.access, "dynamodb"), made.leases)


def progress_of(wiring: Wiring, checkpoints: DynamoCheckpoints, made: HandOver | None) -> HowFar:
    """Give what says how far the shards are; `made` is the recorded hand-over, if there was one."""
    return checkpoints.shards if made is None else ByLeases(leases_of(wiring, made), made)
