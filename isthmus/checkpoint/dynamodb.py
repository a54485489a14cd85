"""The checkpoint ports on one DynamoDB table. Every write is one conditional write; every read is consistent.

How values lie in items is told in `items.py`; `table.py` speaks to DynamoDB.
"""

from typing import TYPE_CHECKING, Final

from isthmus.checkpoint import answers, items
from isthmus.checkpoint.brakecounts import DynamoBrakeCounts
from isthmus.checkpoint.brakes import DynamoBrakes
from isthmus.checkpoint.gatehouse import DynamoGates
from isthmus.checkpoint.items import ItemKind
from isthmus.checkpoint.notebook import DynamoNotes
from isthmus.checkpoint.ports import NO_STREAM, HandOver, Lease, ShardCheckpoint, StreamRecord
from isthmus.checkpoint.table import Table, Unmet
from isthmus.checkpoint.tries import DynamoTries
from isthmus.checkpoint.verdicts import DynamoVerdicts
from isthmus.clock import Clock, rfc3339

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.checkpoint.items import Attribute


_FORGOTTEN: Final = (
    ItemKind.LEASE,
    ItemKind.SHARD,
    ItemKind.NOTE,
    ItemKind.BRAKE,
    ItemKind.BRAKE_COUNT,
    ItemKind.HAND_OVER,
    # It goes last: while anything is left, the record still says whose it is.
    ItemKind.STREAM,
)


class DynamoCheckpoints:
    """All ports of one application, on one table that `create_table` made.

    All methods raise `Missing` where there is no such table, and `Fatal` where AWS does not let us in.
    """

    def __init__(self, client: "DynamoDBClient", table: str, clock: Clock) -> None:
        opened = Table(client, table)
        self.leases = DynamoLeases(opened, clock)
        self.shards = DynamoShardCheckpoints(opened, clock)
        self.stream = DynamoStreamRegistry(opened)
        self.hand_overs = DynamoHandOvers(opened)
        self.notes = DynamoNotes(opened, clock)
        self.gates = DynamoGates(opened)
        self.verdicts = DynamoVerdicts(opened)
        self.brakes = DynamoBrakes(opened)
        self.brake_counts = DynamoBrakeCounts(opened, clock)
        self.tries = DynamoTries(opened, clock)


class DynamoLeases:
    """`Leases` on DynamoDB."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def read(self, name: str) -> Lease | None:
        """Give the lease. See the port."""
        item = self._table.get(items.key(ItemKind.LEASE, name))
        return None if item is None else items.lease_of(item)

    def take(self, lease: Lease, seen: Lease | None, *, replace: bool = False) -> None:
        """Take the lease. See the port."""
        if lease.holder is None and not replace:
            raise ValueError("a lease is taken by somebody")
        attributes = {**items.lease_attributes(lease), **_stamp(self._clock)}
        gone = ("holder",) if lease.holder is None else ()
        if seen is None or replace:
            attributes["generation"] = items.number(lease.generation)
            if lease.watermark is None:
                gone = (*gone, "watermark")
            else:
                attributes["watermark"] = items.text(lease.watermark)
        condition, compared = "attribute_not_exists(#kind)", {}
        if seen is not None:
            condition = "#epoch = :seen_epoch AND #beat = :seen_beat"
            compared = {"seen_epoch": items.number(seen.epoch), "seen_beat": items.number(seen.beat)}
        try:
            self._table.write(items.key(ItemKind.LEASE, lease.name), attributes, condition, compared, remove=gone)
        except Unmet as unmet:
            raise answers.lost_race(lease) from unmet

    def beat(self, name: str, epoch: int) -> None:
        """Raise the counter. See the port."""
        self._own(name, epoch, {}, add="beat")

    def advance(self, name: str, epoch: int, watermark: str, *, step: int = 0) -> None:
        """Save the watermark. See the port."""
        attributes = {"watermark": items.text(watermark), "step": items.number(step), **_stamp(self._clock)}
        try:
            self._own(name, epoch, attributes, further="(attribute_not_exists(#step) OR #step <= :step)")
        except Unmet:
            return

    def give_back(self, name: str, epoch: int) -> None:
        """Give the lease back. See the port."""
        owned = {"own_epoch": items.number(epoch)}
        try:
            self._table.write(items.key(ItemKind.LEASE, name), {}, "#epoch = :own_epoch", owned, remove=("holder",))
        except Unmet:
            return

    def all(self) -> list[Lease]:
        """Give all leases. See the port."""
        return [items.lease_of(item) for item in self._table.all_of(ItemKind.LEASE)]

    def _own(
        self, name: str, epoch: int, attributes: "dict[str, Attribute]", *, add: str = "", further: str = ""
    ) -> None:
        """Write as the owner. Raises `Unmet` when only the further condition does not hold."""
        condition = "#epoch = :own_epoch AND attribute_exists(#holder)" + (f" AND {further}" if further else "")
        owned = {"own_epoch": items.number(epoch)}
        try:
            self._table.write(items.key(ItemKind.LEASE, name), attributes, condition, owned, add=add)
        except Unmet as unmet:
            standing = items.lease_of(unmet.standing) if unmet.standing else None
            if further and standing is not None and standing.epoch == epoch and standing.holder is not None:
                raise
            raise answers.lost(name, epoch, standing) from unmet


class DynamoShardCheckpoints:
    """`ShardCheckpoints` on DynamoDB."""

    def __init__(self, table: Table, clock: Clock) -> None:
        self._table = table
        self._clock = clock

    def read_all(self) -> dict[str, ShardCheckpoint]:
        """Give all checkpoints. See the port."""
        found = map(items.checkpoint_of, self._table.all_of(ItemKind.SHARD))
        return {checkpoint.shard: checkpoint for checkpoint in found}

    def save(self, checkpoint: ShardCheckpoint) -> None:
        """Save a checkpoint. See the port."""
        attributes = {**items.checkpoint_attributes(checkpoint), **_stamp(self._clock)}
        gone = ("sequence",) if checkpoint.sequence is None else ()
        same_stream = "#stream_arn = :stream_arn AND #stream_created = :stream_created"
        # In the same request as the write: between a read and a write another worker could go further.
        condition = f"attribute_not_exists(#kind) OR ({same_stream} AND #place < :place)"
        try:
            self._table.write(items.key(ItemKind.SHARD, checkpoint.shard), attributes, condition, {}, remove=gone)
        except Unmet as unmet:
            standing = items.checkpoint_of(unmet.standing)  # where nothing stands the condition holds
            if standing.stream != checkpoint.stream:
                raise answers.other_stream_of(standing, checkpoint.stream) from unmet


class DynamoStreamRegistry:
    """`StreamRegistry` on DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> StreamRecord | None:
        """Give the record. See the port."""
        item = self._table.get(items.key(ItemKind.STREAM, items.STREAM_ID))
        return None if item is None else items.record_of(item)

    def record(self, record: StreamRecord) -> StreamRecord:
        """Record it once. See the port."""
        place = items.key(ItemKind.STREAM, items.STREAM_ID)
        try:
            self._table.write(place, items.record_attributes(record), "attribute_not_exists(#kind)", {})
        except Unmet as unmet:
            return items.record_of(unmet.standing)
        return record

    def forget(self) -> None:
        """Forget everything. See the port."""
        for kind in _FORGOTTEN:
            for item in self._table.all_of(kind):
                place = items.key(kind, item[items.SORT_KEY]["S"])
                if kind is ItemKind.LEASE and items.lease_of(item).generation:
                    stream, gone = items.stream_attributes(NO_STREAM), ("holder", "watermark")
                    self._table.write(place, stream, "attribute_exists(#kind)", {}, remove=gone)
                else:
                    self._table.delete(place)


class DynamoHandOvers:
    """`HandOvers` on DynamoDB."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def read(self) -> HandOver | None:
        """Give the record. See the port."""
        item = self._table.get(items.key(ItemKind.HAND_OVER, items.HAND_OVER_ID))
        return None if item is None else items.hand_over_of(item)

    def record(self, made: HandOver) -> HandOver:
        """Record it once. See the port."""
        place = items.key(ItemKind.HAND_OVER, items.HAND_OVER_ID)
        try:
            self._table.write(place, items.hand_over_attributes(made), "attribute_not_exists(#kind)", {})
        except Unmet as unmet:
            return items.hand_over_of(unmet.standing)
        return made

    def complete(self) -> None:
        """Record that it is complete. See the port."""
        place = items.key(ItemKind.HAND_OVER, items.HAND_OVER_ID)
        try:
            self._table.write(place, {"complete": {"BOOL": True}}, "attribute_exists(#kind)", {})
        except Unmet as unmet:
            raise answers.no_hand_over() from unmet


def _stamp(clock: Clock) -> "dict[str, Attribute]":
    return {"updated": items.text(rfc3339(clock.now_ms()))}
