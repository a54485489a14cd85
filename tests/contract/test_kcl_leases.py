"""The KCL's lease table, as the embedded emulator keeps it."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from isthmus.chance import unique_name
from isthmus.checkpoint.kcl import BY_OWNER, COORDINATION, KEY, KclLease, KclLeases, LeaderLock
from isthmus.errors import Refused
from isthmus.lifecycle import ThreadStop
from tests.fakes.emulator import Emulator

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient

FIRST = KclLease("shard-0", "TRIM_HORIZON", first_hash="0", last_hash="99")
SECOND = KclLease("shard-1", "0042", 3, parents=("shard-0", "shard-9"), first_hash="0", last_hash="49")


@pytest.fixture
def client(emulator: Emulator) -> "DynamoDBClient":
    made: DynamoDBClient = emulator.client("dynamodb")
    return made


@pytest.fixture
def table(client: "DynamoDBClient") -> Iterator[str]:
    name = f"kcl-{unique_name()}"
    yield name
    for made in client.list_tables()["TableNames"]:
        if made.startswith(name):
            client.delete_table(TableName=made)


@pytest.fixture
def leases(client: "DynamoDBClient", table: str) -> KclLeases:
    made = KclLeases(client, table)
    made.ensure(stop=ThreadStop())
    return made


def lock_item(owner: str = "me", version: str = "v1", **more: str) -> dict[str, dict[str, str]]:
    values = {"ownerName": owner, "recordVersionNumber": version, "leaseDuration": "120000", **more}
    return {name: {"S": value} for name, value in values.items()}


def test_there_is_no_lease_where_there_is_no_table(client: "DynamoDBClient", table: str) -> None:
    assert KclLeases(client, table).read() == {}
    assert KclLeases(client, table).leader() is None


def test_leases_are_written_once_and_read_as_they_were_written(leases: KclLeases) -> None:
    assert leases.seed([FIRST]) == ["shard-0"]
    assert leases.seed([FIRST._replace(checkpoint="LATEST"), SECOND]) == ["shard-1"]
    assert leases.read() == {"shard-0": FIRST, "shard-1": SECOND}
    assert leases.ensure(stop=ThreadStop()) is False


def test_a_table_of_somebody_else_is_refused(client: "DynamoDBClient", table: str) -> None:
    client.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(Refused, match="its keys are id"):
        KclLeases(client, table).ensure(stop=ThreadStop())


def test_the_leaders_lock_is_found_in_the_older_layout(client: "DynamoDBClient", leases: KclLeases, table: str) -> None:
    older = KclLeases(client, f"{table}-2")
    client.create_table(
        TableName=f"{table}-2{COORDINATION}",
        KeySchema=[{"AttributeName": "key", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "key", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert older.leader() is None
    client.put_item(TableName=f"{table}-2{COORDINATION}", Item={**lock_item(key="Leader")})
    assert older.leader() == LeaderLock(f"{table}-2{COORDINATION}", "key", "me", "v1")
    assert leases.leader() is None


def test_the_leaders_lock_is_found_among_the_leases_and_is_none_of_them(
    client: "DynamoDBClient", leases: KclLeases, table: str
) -> None:
    leases.seed([FIRST])
    client.put_item(TableName=table, Item={**lock_item(entityType="LEADER", **{KEY: "Leader"})})
    assert leases.leader() == LeaderLock(table, KEY, "me", "v1")
    assert leases.read() == {"shard-0": FIRST}


@pytest.mark.parametrize("owner, version", [("me", "v2"), ("you", "v1")])
def test_a_lock_that_has_moved_is_not_removed(
    client: "DynamoDBClient", leases: KclLeases, table: str, owner: str, version: str
) -> None:
    client.put_item(TableName=table, Item={**lock_item(**{KEY: "Leader"})})
    seen = leases.leader()
    assert seen is not None
    client.put_item(TableName=table, Item={**lock_item(owner, version, **{KEY: "Leader"})})
    assert not leases.remove(seen)
    assert leases.leader() is not None


def test_the_very_lock_that_was_seen_is_removed_once(client: "DynamoDBClient", leases: KclLeases, table: str) -> None:
    client.put_item(TableName=table, Item={**lock_item(**{KEY: "Leader"})})
    seen = leases.leader()
    assert seen is not None
    assert leases.remove(seen)
    assert leases.leader() is None
    assert not leases.remove(seen)


HELD = {"leaseOwner": {"S": "you"}, "leaseCounter": {"N": "7"}}


def hold(client: "DynamoDBClient", table: str, **more: dict[str, str]) -> None:
    """Write a lease as an owner would that reads the shard."""
    item = {KEY: {"S": "shard-1"}, "checkpoint": {"S": "0042"}, "ownerSwitchesSinceCheckpoint": {"N": "0"}}
    client.put_item(TableName=table, Item={**item, **HELD, **more})


def test_a_lease_is_given_to_another_and_found_by_its_owner(
    client: "DynamoDBClient", leases: KclLeases, table: str
) -> None:
    hold(client, table)
    seen = leases.read()["shard-1"]
    assert leases.assign(seen, "me")
    assert leases.read()["shard-1"] == seen._replace(owner="me", counter=8)
    found = client.query(
        TableName=table,
        IndexName=BY_OWNER.name,
        KeyConditionExpression="leaseOwner = :me",
        ExpressionAttributeValues={":me": {"S": "me"}},
    )
    assert [item[KEY]["S"] for item in found["Items"]] == ["shard-1"]
    item = client.get_item(TableName=table, Key={KEY: {"S": "shard-1"}})["Item"]
    assert item["ownerSwitchesSinceCheckpoint"] == {"N": "1"}


@pytest.mark.parametrize(
    "more",
    [
        {"leaseOwner": {"S": "they"}},
        {"leaseCounter": {"N": "8"}},
        {"checkpointOwner": {"S": "you"}},
    ],
)
def test_a_lease_that_has_moved_or_is_being_handed_over_is_given_to_nobody(
    client: "DynamoDBClient", leases: KclLeases, table: str, more: dict[str, dict[str, str]]
) -> None:
    hold(client, table)
    seen = leases.read()["shard-1"]
    hold(client, table, **more)
    before = leases.read()["shard-1"]
    assert not leases.assign(seen, "me")
    assert leases.read()["shard-1"] == before
