"""How far each shard is, whichever runtime reads: by our own checkpoints, or by the leases of the KCL."""

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
        return {lease.shard: self._checkpoint(lease) for lease in self._leases.read().values()}

    def _checkpoint(self, lease: KclLease) -> ShardCheckpoint:
        read = lease.checkpoint.isdecimal()
        return ShardCheckpoint(
            lease.shard,
            self._made.stream,
            lease.checkpoint if read else None,
            ended=lease.checkpoint == SHARD_END,
        )


def leases_of(wiring: Wiring, made: HandOver) -> KclLeases:
    """Open the lease table that was recorded."""
    return KclLeases(aws.client(wiring.access, "dynamodb"), made.leases)


def progress_of(wiring: Wiring, checkpoints: DynamoCheckpoints, made: HandOver | None) -> HowFar:
    """Give what says how far the shards are; `made` is the recorded hand-over, if there was one."""
    return checkpoints.shards if made is None else ByLeases(leases_of(wiring, made), made)
