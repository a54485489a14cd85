"""The Kinesis adapters pass the stream contract on the emulator, and read the API's answers and errors right."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.stub import Stubber

from isthmus.chance import unique_name
from isthmus.consumer.feed import IteratorExpired, Record, Trimmed
from isthmus.consumer.kinesis import KinesisFeed
from isthmus.errors import Missing, TargetDown, Transient
from isthmus.producer.kinesis import KinesisSink
from isthmus.producer.sink import Entry, Put
from tests.contract.stream_contract import LANES, SHARDS, Stream, StreamContract
from tests.fakes.emulator import Emulator


class TestKinesis(StreamContract):
    @pytest.fixture
    def stream(self, emulator: Emulator) -> Iterator[Stream]:
        kinesis, name = emulator.client("kinesis"), f"contract-{unique_name()}"
        kinesis.create_stream(StreamName=name, ShardCount=SHARDS)
        kinesis.get_waiter("stream_exists").wait(StreamName=name, WaiterConfig={"Delay": 1})
        yield Stream(KinesisSink(kinesis, name, LANES), KinesisFeed(kinesis, name))
        kinesis.delete_stream(StreamName=name)


def test_a_stream_that_is_not_there_is_missing(emulator: Emulator) -> None:
    kinesis = emulator.client("kinesis")

    with pytest.raises(Missing):
        KinesisFeed(kinesis, "no-such-stream").shards()
    with pytest.raises(Missing):
        KinesisFeed(kinesis, "no-such-stream").iterator("shardId-000000000000", None)
    with pytest.raises(Missing):
        KinesisSink(kinesis, "no-such-stream", LANES).put([Entry(0, b"")])


@pytest.fixture
def client() -> Iterator[Any]:
    made = boto3.client(
        "kinesis",
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",  # noqa: S106 - never sent anywhere
        config=Config(retries={"total_max_attempts": 1}),
    )
    yield made
    made.close()


@pytest.fixture
def stub(client: Any) -> Iterator[Stubber]:
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


def listed(name: str, *parents: str, closed: bool = False) -> dict[str, Any]:
    ending = {"EndingSequenceNumber": "9"} if closed else {}
    shard: dict[str, Any] = {
        "ShardId": name,
        "HashKeyRange": {"StartingHashKey": "0", "EndingHashKey": "1"},
        "SequenceNumberRange": {"StartingSequenceNumber": "1", **ending},
    }
    names = ("ParentShardId", "AdjacentParentShardId")
    return shard | dict(zip(names, parents, strict=False))


def test_the_shard_list_is_paged_through_and_parents_come_before_children(client: Any, stub: Stubber) -> None:
    stub.add_response("list_shards", {"Shards": [listed("c", "a", "b")], "NextToken": "t"}, {"StreamName": "s"})
    pages = [listed("b", "gone", closed=True), listed("a", closed=True)]
    stub.add_response("list_shards", {"Shards": pages}, {"NextToken": "t"})

    shards = KinesisFeed(client, "s").shards()

    assert [shard.id for shard in shards][-1] == "c"
    assert {shard.id: (shard.parents, shard.closed) for shard in shards} == {
        "a": ((), True),
        "b": (("gone",), True),
        "c": (("a", "b"), False),
    }


def test_an_iterator_goes_on_after_a_number_as_it_came_or_begins_at_the_oldest_record(
    client: Any, stub: Stubber
) -> None:
    place = {"StreamName": "s", "ShardId": "a"}
    stub.add_response(
        "get_shard_iterator",
        {"ShardIterator": "i1"},
        place | {"ShardIteratorType": "AFTER_SEQUENCE_NUMBER", "StartingSequenceNumber": "007"},
    )
    stub.add_response("get_shard_iterator", {"ShardIterator": "i2"}, place | {"ShardIteratorType": "TRIM_HORIZON"})
    feed = KinesisFeed(client, "s")

    assert [feed.iterator("a", "007"), feed.iterator("a", None)] == ["i1", "i2"]


def test_a_fetch_without_a_next_iterator_is_the_shards_end(client: Any, stub: Stubber) -> None:
    moment = datetime(2013, 1, 1, 10, 15, 0, 250_000, tzinfo=UTC)
    record = {"SequenceNumber": "1", "Data": b"x", "PartitionKey": "k", "ApproximateArrivalTimestamp": moment}
    stub.add_response(
        "get_records", {"Records": [record], "MillisBehindLatest": 40}, {"ShardIterator": "i", "Limit": 7}
    )

    fetched = KinesisFeed(client, "s").fetch("i", 7)

    assert fetched.records == [Record("1", b"x", "k", 1_357_035_300_250)]
    assert (fetched.iterator, fetched.behind_ms) == (None, 40)


def test_an_expired_iterator_is_an_error_of_its_own(client: Any, stub: Stubber) -> None:
    stub.add_client_error("get_records", "ExpiredIteratorException", "Iterator expired.", 400)
    with pytest.raises(IteratorExpired):
        KinesisFeed(client, "s").fetch("i", 7)


@pytest.mark.parametrize("code", ["ProvisionedThroughputExceededException", "LimitExceededException"])
def test_throttled_reads_are_tried_again(client: Any, stub: Stubber, code: str) -> None:
    stub.add_client_error("get_records", code, "Slow down.", 400)
    with pytest.raises(Transient) as caught:
        KinesisFeed(client, "s").fetch("i", 7)

    assert caught.value.cause == "throttled"


def test_an_expired_page_of_the_shard_list_is_tried_again(client: Any, stub: Stubber) -> None:
    stub.add_client_error("list_shards", "ExpiredNextTokenException", "Expired.", 400)
    with pytest.raises(Transient) as caught:
        KinesisFeed(client, "s").shards()

    assert caught.value.cause == "list-expired"


def test_a_server_error_means_that_the_stream_is_away(client: Any, stub: Stubber) -> None:
    for operation in ("list_shards", "get_shard_iterator", "get_records", "put_records"):
        stub.add_client_error(operation, "InternalFailure", "Oops.", 500)
    feed = KinesisFeed(client, "s")

    with pytest.raises(TargetDown):
        feed.shards()
    with pytest.raises(TargetDown):
        feed.iterator("a", None)
    with pytest.raises(TargetDown):
        feed.fetch("i", 7)
    with pytest.raises(TargetDown):
        KinesisSink(client, "s", LANES).put([Entry(0, b"")])


def test_a_missing_shard_of_a_stream_that_is_there_was_trimmed(client: Any, stub: Stubber) -> None:
    sentence = "Shard shardId-000000000001 in stream s under account 123456789012 does not exist"
    stub.add_client_error("get_shard_iterator", "ResourceNotFoundException", sentence, 400)
    stub.add_client_error("get_records", "ResourceNotFoundException", "Stream s not found", 400)
    feed = KinesisFeed(client, "s")

    with pytest.raises(Trimmed):
        feed.iterator("shardId-000000000001", None)
    with pytest.raises(Missing):
        feed.fetch("i", 7)


def test_lanes_travel_with_their_partition_key_and_their_place_in_the_hash_space(client: Any, stub: Stubber) -> None:
    answer = {
        "FailedRecordCount": 1,
        "Records": [
            {"SequenceNumber": "1", "ShardId": "a"},
            {"ErrorCode": "InternalFailure", "ErrorMessage": "Oops."},
        ],
    }
    expected = {
        "StreamName": "s",
        "Records": [
            {"Data": b"x", "PartitionKey": "lane-000", "ExplicitHashKey": "0"},
            {"Data": b"y", "PartitionKey": "lane-004", "ExplicitHashKey": str(2**127)},
        ],
    }
    stub.add_response("put_records", answer, expected)

    answers = KinesisSink(client, "s", LANES).put([Entry(0, b"x"), Entry(4, b"y")])

    assert answers == [Put("a", "1"), Put(error="InternalFailure")]


def test_an_answer_with_too_few_entries_credits_nobody(client: Any, stub: Stubber) -> None:
    stub.add_response("put_records", {"Records": [{"SequenceNumber": "1", "ShardId": "a"}]})
    with pytest.raises(Transient):
        KinesisSink(client, "s", LANES).put([Entry(0, b"x"), Entry(1, b"y")])
