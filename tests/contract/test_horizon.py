"""The oldest records, as two emulators play Kinesis, by the API's answers, and of the stream in memory."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from isthmus.chance import unique_name
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.consumer.runtimes.horizon import KinesisHorizon
from isthmus.errors import Transient
from isthmus.producer.kinesis import KinesisSink
from tests.contract.horizon_contract import HorizonContract, Seen
from tests.fakes import kinesis_mock
from tests.fakes.clock import FakeClock
from tests.fakes.emulator import Emulator
from tests.fakes.kinesis_mock import KinesisMock
from tests.fakes.notes import MemoryHorizon
from tests.fakes.stream import MemoryStream

STREAM, SHARD = "flights", "shardId-000000000000"


def stream_of(kinesis: Any) -> Iterator[Seen]:
    name = f"horizon-{unique_name()}"
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
    feed = KinesisFeed(kinesis, name)
    yield Seen(KinesisSink(kinesis, name, 1), feed, KinesisHorizon(kinesis, name, feed))
    kinesis.delete_stream(StreamName=name)


class TestMinistack(HorizonContract):
    @pytest.fixture
    def seen(self, emulator: Emulator) -> Iterator[Seen]:
        yield from stream_of(emulator.client("kinesis"))


@pytest.fixture(scope="module")
def mock(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    if why := kinesis_mock.unavailable():
        pytest.skip(why)
    with KinesisMock(tmp_path_factory.mktemp("kinesis-mock")) as running:
        client = boto3.client(
            "kinesis",
            endpoint_url=running.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",  # noqa: S106 - it takes any
            config=Config(retries={"total_max_attempts": 1}, proxies={}),
        )
        yield client
        client.close()


class TestKinesisMock(HorizonContract):
    @pytest.fixture
    def seen(self, mock: Any) -> Iterator[Seen]:
        yield from stream_of(mock)


class TestInMemory(HorizonContract):
    @pytest.fixture
    def seen(self) -> Seen:
        stream = MemoryStream(FakeClock(), lanes=1)
        return Seen(stream, stream, MemoryHorizon(stream))


def test_in_memory_the_next_one_is_given_where_retention_took_the_record() -> None:
    clock = FakeClock()
    stream = MemoryStream(clock, lanes=1, retention_seconds=100)
    seen = Seen(stream, stream, MemoryHorizon(stream))
    seen.put("a")
    (first,) = seen.sequences()
    clock.move(60)
    seen.put("b")
    clock.move(60)
    found = seen.horizon.oldest(seen.shard, first)
    assert found is not None
    assert found.data == b"b"
    clock.move(60)
    assert seen.horizon.oldest(seen.shard, first) is None


# what only Kinesis itself says: no emulator takes records away


@pytest.fixture
def stub() -> Iterator[Stubber]:
    client = boto3.client(
        "kinesis",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - never sent anywhere
        config=Config(retries={"total_max_attempts": 1}),
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()
    client.close()


def horizon(stub: Stubber) -> KinesisHorizon:
    client: Any = stub.client
    return KinesisHorizon(client, STREAM, KinesisFeed(client, STREAM))


def at(stub: Stubber, sequence: str, *, error: str = "", message: str = "") -> None:
    asked = {
        "StreamName": STREAM,
        "ShardId": SHARD,
        "ShardIteratorType": "AT_SEQUENCE_NUMBER",
        "StartingSequenceNumber": sequence,
    }
    if error:
        stub.add_client_error("get_shard_iterator", error, message, expected_params=asked)
    else:
        stub.add_response("get_shard_iterator", {"ShardIterator": "first"}, asked)


def oldest(stub: Stubber) -> None:
    asked = {"StreamName": STREAM, "ShardId": SHARD, "ShardIteratorType": "TRIM_HORIZON"}
    stub.add_response("get_shard_iterator", {"ShardIterator": "first"}, asked)


def page(stub: Stubber, *sequences: str, asked: str = "first", then: str | None = None, behind: int = 0) -> None:
    arrival = datetime(2013, 1, 1, tzinfo=UTC)
    records = [
        {"SequenceNumber": each, "Data": b"", "PartitionKey": "lane-0", "ApproximateArrivalTimestamp": arrival}
        for each in sequences
    ]
    answer: dict[str, Any] = {"Records": records, "MillisBehindLatest": behind}
    if then is not None:
        answer["NextShardIterator"] = then
    stub.add_response("get_records", answer, {"ShardIterator": asked, "Limit": 1})


def test_a_number_beyond_retention_gives_the_oldest_record(stub: Stubber) -> None:
    at(stub, "7")
    page(stub, "12", then="second")
    found = horizon(stub).oldest(SHARD, "7")
    assert found is not None
    assert (found.sequence, found.arrival_ms) == ("12", 1_356_998_400_000)


def test_a_number_that_kinesis_refuses_gives_the_oldest_record_too(stub: Stubber) -> None:
    at(stub, "7", error="InvalidArgumentException", message="StartingSequenceNumber 7 is invalid.")
    oldest(stub)
    page(stub, "12")
    found = horizon(stub).oldest(SHARD, "7")
    assert found is not None
    assert found.sequence == "12"


def test_an_empty_answer_on_the_way_is_passed_over(stub: Stubber) -> None:
    at(stub, "7")
    page(stub, then="second", behind=86_400_000)
    page(stub, "12", asked="second", then="third", behind=86_000_000)
    found = horizon(stub).oldest(SHARD, "7")
    assert found is not None
    assert found.sequence == "12"


def test_empty_answers_without_end_are_no_record(stub: Stubber) -> None:
    at(stub, "7")
    for asked, then in (("first", "a"), ("a", "b"), ("b", "c"), ("c", "d"), ("d", "e")):
        page(stub, asked=asked, then=then, behind=86_400_000)
    assert horizon(stub).oldest(SHARD, "7") is None


@pytest.mark.parametrize("then", ["second", None])
def test_at_the_shards_end_there_is_no_record(stub: Stubber, then: str | None) -> None:
    at(stub, "7")
    page(stub, then=then)
    assert horizon(stub).oldest(SHARD, "7") is None


def test_of_a_stream_that_is_gone_there_is_no_record(stub: Stubber) -> None:
    at(stub, "7", error="ResourceNotFoundException", message="Stream flights under account 1 not found.")
    assert horizon(stub).oldest(SHARD, "7") is None


def test_throttling_passes(stub: Stubber) -> None:
    at(stub, "7", error="ProvisionedThroughputExceededException", message="Rate exceeded.")
    with pytest.raises(Transient) as caught:
        horizon(stub).oldest(SHARD, "7")
    assert caught.value.cause == "throttled"
