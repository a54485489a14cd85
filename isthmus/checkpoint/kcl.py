"""The lease table of the Kinesis Client Library: how its items look, and the little that we do to it.

The table is the library's own. Leases are written here only where none stands: before a daemon of a new application
starts, so that it need not find out by itself which shards there are. Items of other kinds, which newer versions keep
in the same table, are left alone.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from isthmus.aws import TableIndex, classify, ensure_table, error_code
from isthmus.lifecycle import Stop

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

    from isthmus.checkpoint.items import Attribute, Item

KEY = "leaseKey"
TRIM_HORIZON, LATEST, SHARD_END = "TRIM_HORIZON", "LATEST", "SHARD_END"
"""What stands in the place of a sequence number (amazon-kinesis-client, SentinelCheckpoint)."""


class KclLease(NamedTuple):
    """One shard's lease."""

    shard: str
    checkpoint: str
    """A sequence number as it came, or one of the words above."""
    sub_sequence: int = 0
    """Which record of an aggregated one; 0 where there is only one."""
    owner: str = ""
    """The worker that holds it, empty where nobody does."""
    counter: int = 0
    """Raised by the owner: who sees it unchanged for the failover time takes the lease."""
    parents: tuple[str, ...] = ()
    first_hash: str = ""
    last_hash: str = ""
    """The range of hash keys, as decimal numbers."""

    @property
    def ended(self) -> bool:
        """Say whether everything of the shard is done with."""
        return self.checkpoint == SHARD_END

    @property
    def sequence(self) -> str | None:
        """The record up to which it is done with; None where nothing of it is, or all."""
        return self.checkpoint if self.checkpoint.isdecimal() else None


class LeaderLock(NamedTuple):
    """The lock of the worker that leads, and where it lies: which tables there are depends on the library's version."""

    table: str
    key: str
    """The name of the table's key."""
    owner: str
    version: str
    """Another one with every heartbeat."""


def lease_item(lease: KclLease) -> "dict[str, Attribute]":
    """Give the item of a lease that nobody has held yet (amazon-kinesis-client, DynamoDBLeaseSerializer)."""
    item: dict[str, Attribute] = {
        KEY: {"S": lease.shard},
        "checkpoint": {"S": lease.checkpoint},
        "checkpointSubSequenceNumber": {"N": str(lease.sub_sequence)},
        "leaseCounter": {"N": str(lease.counter)},
        "ownerSwitchesSinceCheckpoint": {"N": "0"},
    }
    if lease.parents:
        item["parentShardId"] = {"SS": list(lease.parents)}
    if lease.first_hash:
        item |= {"startingHashKey": {"S": lease.first_hash}, "endingHashKey": {"S": lease.last_hash}}
    return item


def lease_of(item: "Item") -> KclLease | None:
    """Give the lease that an item holds, None for an item of another kind."""
    held: Any = item
    if "checkpoint" not in held or "S" not in held["checkpoint"]:
        return None
    return KclLease(
        shard=held[KEY]["S"],
        checkpoint=held["checkpoint"]["S"],
        sub_sequence=int(held.get("checkpointSubSequenceNumber", {}).get("N", "0")),
        owner=held.get("leaseOwner", {}).get("S", ""),
        counter=int(held.get("leaseCounter", {}).get("N", "0")),
        parents=tuple(sorted(held.get("parentShardId", {}).get("SS", ()))),
        first_hash=held.get("startingHashKey", {}).get("S", ""),
        last_hash=held.get("endingHashKey", {}).get("S", ""),
    )


BY_OWNER = TableIndex("LeaseOwnerToLeaseKeyIndex", ("leaseOwner", KEY))
"""By what a worker finds its leases (amazon-kinesis-client, DynamoDBLeaseRefresher). Where the library has to make it
itself, it looks after 10 s at the earliest whether it can be used: most of a start."""
LEADER = "Leader"
COORDINATION = "-CoordinatorState"
"""How the name of the table with the lock ends, up to version 3.1 of amazon-kclpy; later it lies among the leases."""


class KclLeases:
    """The lease table of one application. Every method raises what `isthmus.aws.classify` makes of a failure."""

    def __init__(self, client: "DynamoDBClient", table: str) -> None:
        self._client = client
        self._table = table

    def ensure(self, *, stop: Stop) -> bool:
        """Make the table where it is not there. True: it was made now. Raises as `isthmus.aws.ensure_table`."""
        another = "Give another name to kcl.table."
        return ensure_table(self._client, self._table, (KEY,), another, stop=stop, index=BY_OWNER)

    def read(self) -> dict[str, KclLease]:
        """Give every shard's lease, by shard, as it stands now; none where there is no table."""
        found = (lease_of(item) for item in self._items())
        return {lease.shard: lease for lease in found if lease is not None}

    def seed(self, leases: Sequence[KclLease]) -> list[str]:
        """Write those leases of which the shard has none. Give the shards of which one was written now."""
        return [lease.shard for lease in leases if self._write_new(lease)]

    def leader(self) -> LeaderLock | None:
        """Give the leader's lock as it stands now, in whichever table it lies; None where nobody leads."""
        for table, key in ((f"{self._table}{COORDINATION}", "key"), (self._table, KEY)):
            try:
                answer = self._client.get_item(TableName=table, Key={key: {"S": LEADER}}, ConsistentRead=True)
            except Exception as error:
                if error_code(error) == "ResourceNotFoundException":
                    continue
                raise classify(error) from error
            held: Any = answer.get("Item")
            if held is not None and "ownerName" in held and "recordVersionNumber" in held:
                return LeaderLock(table, key, held["ownerName"]["S"], held["recordVersionNumber"]["S"])
        return None

    def remove(self, lock: LeaderLock) -> bool:
        """Remove the leader's lock if it is still this very one. False: it has moved, or is another's."""
        return _met(
            lambda: self._client.delete_item(
                TableName=lock.table,
                Key={lock.key: {"S": LEADER}},
                ConditionExpression="recordVersionNumber = :version AND ownerName = :owner",
                ExpressionAttributeValues={":version": {"S": lock.version}, ":owner": {"S": lock.owner}},
            )
        )

    def assign(self, lease: KclLease, owner: str) -> bool:
        """Give a lease to a worker, if it is still as it was seen. False: it has moved, or is being handed over.

        The same write as the library's leader does (amazon-kinesis-client, DynamoDBLeaseSerializer), on a narrower
        condition: on the counter too. Who held it finds out at its next renewal.
        """
        return _met(
            lambda: self._client.update_item(
                TableName=self._table,
                Key={KEY: {"S": lease.shard}},
                UpdateExpression="SET leaseOwner = :heir ADD leaseCounter :one, ownerSwitchesSinceCheckpoint :one",
                ConditionExpression="leaseOwner = :owner AND leaseCounter = :counter"
                " AND attribute_not_exists(checkpointOwner)",
                ExpressionAttributeValues={
                    ":heir": {"S": owner},
                    ":owner": {"S": lease.owner},
                    ":counter": {"N": str(lease.counter)},
                    ":one": {"N": "1"},
                },
            )
        )

    def _write_new(self, lease: KclLease) -> bool:
        return _met(
            lambda: self._client.put_item(
                TableName=self._table, Item=lease_item(lease), ConditionExpression=f"attribute_not_exists({KEY})"
            )
        )

    def _items(self) -> "Iterator[Item]":
        following: dict[str, Any] = {}
        while True:
            try:
                page = self._client.scan(TableName=self._table, ConsistentRead=True, **following)
            except Exception as error:
                if error_code(error) == "ResourceNotFoundException":
                    return
                raise classify(error) from error
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            following = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def _met(write: Callable[[], object]) -> bool:
    """Say whether the condition of a write was met, and it was done."""
    try:
        write()
    except Exception as error:
        if error_code(error) == "ConditionalCheckFailedException":
            return False
        raise classify(error) from error
    return True
