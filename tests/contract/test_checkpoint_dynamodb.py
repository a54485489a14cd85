"""The checkpoint ports on DynamoDB, as the embedded emulator plays it."""

import socket
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from isthmus.chance import unique_name
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.items import PARTITION_KEY, SORT_KEY
from isthmus.checkpoint.table import create_table, describe_table
from isthmus.clock import SystemClock
from isthmus.errors import Missing, Refused, TargetDown, Transient
from isthmus.lifecycle import Stopped, ThreadStop
from tests.contract.checkpoint_contract import (
    NAME,
    LeasesContract,
    ShardCheckpointsContract,
    StreamRegistryContract,
    checkpoint,
    lease,
)
from tests.contract.hand_over_contract import HandOversContract
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.emulator import Emulator

if TYPE_CHECKING:
    from types_boto3_dynamodb import DynamoDBClient


@pytest.fixture(scope="module")
def table(emulator: Emulator) -> Iterator[str]:
    name = f"isthmus-{unique_name()}"
    client = emulator.client("dynamodb")
    create_table(client, name, stop=ThreadStop())
    yield name
    client.delete_table(TableName=name)


@pytest.fixture
def checkpoints(emulator: Emulator, table: str) -> Iterator[DynamoCheckpoints]:
    opened = DynamoCheckpoints(emulator.client("dynamodb"), table, SystemClock())
    yield opened
    client = emulator.client("dynamodb")
    # To forget would keep generations.
    for item in client.scan(TableName=table, ConsistentRead=True)["Items"]:
        client.delete_item(TableName=table, Key={name: item[name] for name in (PARTITION_KEY, SORT_KEY)})


@pytest.fixture
def one_item_a_page(emulator: Emulator) -> Iterator[None]:
    """Make every Query end after one item, as a page of 1 MB ends it."""

    def limit(params: dict[str, Any], **_: object) -> dict[str, Any]:
        return {**params, "Limit": 1}

    events = emulator.client("dynamodb").meta.events
    events.register("provide-client-params.dynamodb.Query", limit)
    yield
    events.unregister("provide-client-params.dynamodb.Query", limit)


class TestLeases(LeasesContract):
    pass


class TestShardCheckpoints(ShardCheckpointsContract):
    pass


class TestStreamRegistry(StreamRegistryContract):
    pass


class TestHandOvers(HandOversContract):
    pass


@pytest.mark.usefixtures("one_item_a_page")
class TestPages:
    def test_all_pages_are_read(self, checkpoints: DynamoCheckpoints) -> None:
        for number in range(4):
            checkpoints.leases.take(lease(name=f"source/{number}"), None)
        assert [found.name for found in checkpoints.leases.all()] == [f"source/{number}" for number in range(4)]

    def test_all_pages_are_forgotten(self, checkpoints: DynamoCheckpoints) -> None:
        for number in range(4):
            checkpoints.leases.take(lease(name=f"source/{number}"), None)
        checkpoints.stream.forget()
        assert checkpoints.leases.all() == []


def test_every_read_is_consistent(checkpoints: DynamoCheckpoints, emulator: Emulator) -> None:
    asked: list[dict[str, Any]] = []

    def note(params: dict[str, Any], **_: object) -> None:
        asked.append(params)

    events = emulator.client("dynamodb").meta.events
    events.register("provide-client-params.dynamodb", note)
    checkpoints.leases.read(NAME)
    checkpoints.leases.all()
    checkpoints.shards.read_all()
    checkpoints.stream.read()
    events.unregister("provide-client-params.dynamodb", note)
    assert [params["ConsistentRead"] for params in asked] == [True] * 4


def test_the_table_is_made_once(emulator: Emulator, table: str) -> None:
    client = emulator.client("dynamodb")
    assert describe_table(client, table) == "ACTIVE"
    assert create_table(client, table, stop=ThreadStop()) is False


def test_making_the_table_waits_until_it_is_active() -> None:
    stop = FakeStop(FakeClock())
    assert create_table(_slow_to_make(3), "isthmus", stop=stop) is True
    assert stop.waits == [0.5] * 3


def test_waiting_for_the_table_ends_with_a_stop() -> None:
    stop = FakeStop(FakeClock())
    stop.request()
    with pytest.raises(Stopped):
        create_table(_slow_to_make(3), "isthmus", stop=stop)


def _slow_to_make(looks: int) -> Any:
    """Give a client whose new table is not found at first, then being made, then active."""

    class Client:
        def __init__(self) -> None:
            keys = [{"AttributeName": "kind", "KeyType": "HASH"}, {"AttributeName": "id", "KeyType": "RANGE"}]
            self.answers = [{"Table": {"TableStatus": "CREATING", "KeySchema": keys}}] * (looks - 1)
            self.answers.append({"Table": {"TableStatus": "ACTIVE", "KeySchema": keys}})
            self.looked = False

        def create_table(self, **_: object) -> None: ...

        def describe_table(self, **_: object) -> object:
            if not self.looked:
                self.looked = True
                raise ClientError({"Error": {"Code": "ResourceNotFoundException"}}, "DescribeTable")
            return self.answers.pop(0)

    return Client()


def test_somebody_elses_table_is_refused(emulator: Emulator) -> None:
    client: DynamoDBClient = emulator.client("dynamodb")
    name = f"foreign-{unique_name()}"
    client.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    with pytest.raises(Refused, match="is another one: its keys are"):
        create_table(client, name, stop=ThreadStop())
    client.delete_table(TableName=name)


def test_a_table_that_is_not_there_is_missing_and_the_command_is_named(emulator: Emulator) -> None:
    client = emulator.client("dynamodb")
    checkpoints = DynamoCheckpoints(client, "isthmus-nowhere", SystemClock())
    calls: tuple[Callable[[], object], ...] = (
        lambda: checkpoints.leases.read(NAME),
        lambda: checkpoints.leases.beat(NAME, 1),
        checkpoints.shards.read_all,
        lambda: checkpoints.shards.save(checkpoint("1")),
        lambda: describe_table(client, "isthmus-nowhere"),
    )
    for call in calls:
        with pytest.raises(Missing, match=r"isthmus setup"):
            call()


def test_a_dynamodb_that_is_away_is_a_target_that_is_down() -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        client = boto3.client(
            "dynamodb",
            endpoint_url=f"http://127.0.0.1:{nobody_listens.getsockname()[1]}",
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - nobody asks for it
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=1, proxies={}),
        )
        with pytest.raises(TargetDown):
            DynamoCheckpoints(client, "isthmus", SystemClock()).leases.advance(NAME, 1, "5")
        client.close()


def test_throttling_is_transient(checkpoints: DynamoCheckpoints, emulator: Emulator) -> None:
    def throttle(**_: object) -> None:
        raise ClientError({"Error": {"Code": "ProvisionedThroughputExceededException"}}, "UpdateItem")

    events = emulator.client("dynamodb").meta.events
    events.register("before-call.dynamodb.UpdateItem", throttle)
    with pytest.raises(Transient) as caught:
        checkpoints.shards.save(checkpoint("1"))
    events.unregister("before-call.dynamodb.UpdateItem", throttle)
    assert caught.value.cause == "throttled"
