"""The fault proxy in front of the four services of an AWS emulator, boto3 before it."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionClosedError,
    ReadTimeoutError,
    ResponseStreamingError,
)

from isthmus.aws import AwsAccess, client
from isthmus.aws_errors import classify
from isthmus.chance import unique_name
from isthmus.console.proxy.kinds import Service
from isthmus.console.proxy.recognise import operation_of
from isthmus.errors import TargetDown, Transient
from tests.fakes.emulator import Emulator
from tests.fakes.http2_client import Http2Service
from tests.fakes.proxy_stand import ProxyStand

BROKEN = (ConnectionClosedError, ResponseStreamingError)


class Between:
    """One service behind the proxy, and our own client of it."""

    def __init__(self, stand: ProxyStand, service: Any, patience: float | None) -> None:
        self.stand = stand
        access = AwsAccess(stand.url, "us-east-1", "test", "test", patience=patience)
        self.client: Any = client(access, service)


@pytest.fixture
def between(emulator: Emulator) -> Iterator[Callable[..., Between]]:
    begun: list[Between] = []

    def make(service: Service, *specs: str, patience: float | None = None, seed: int = 0) -> Between:
        stand = ProxyStand(service, emulator.url, *specs, seed=seed)
        stand.__enter__()
        begun.append(Between(stand, service.value, patience))
        return begun[-1]

    yield make
    for each in begun:
        each.client.close()
        each.stand.end()


@pytest.fixture
def queue(emulator: Emulator) -> str:
    return str(emulator.client("sqs").create_queue(QueueName=unique_name())["QueueUrl"])


@pytest.fixture
def bucket(emulator: Emulator) -> str:
    name = unique_name()
    emulator.client("s3").create_bucket(Bucket=name)
    return name


@pytest.fixture
def table(emulator: Emulator) -> str:
    name = unique_name()
    emulator.client("dynamodb").create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    return name


@pytest.fixture
def stream(emulator: Emulator) -> str:
    name = unique_name()
    kinesis = emulator.client("kinesis")
    kinesis.create_stream(StreamName=name, ShardCount=1)
    kinesis.get_waiter("stream_exists").wait(StreamName=name)
    return name


def messages(emulator: Emulator, queue: str) -> list[str]:
    """Give what is in a queue, asked past the proxy."""
    found = emulator.client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0)
    return sorted(message["Body"] for message in found.get("Messages", []))


REFUSALS = [
    (Service.KINESIS, "throttle", 400, "ProvisionedThroughputExceededException", Transient),
    (Service.KINESIS, "throttle code=LimitExceededException", 400, "LimitExceededException", Transient),
    (Service.KINESIS, "error", 500, "InternalFailure", TargetDown),
    (Service.KINESIS, "unavailable", 503, "ServiceUnavailable", TargetDown),
    (Service.DYNAMODB, "throttle", 400, "ProvisionedThroughputExceededException", Transient),
    (Service.DYNAMODB, "throttle code=ThrottlingException", 400, "ThrottlingException", Transient),
    (Service.DYNAMODB, "error", 500, "InternalServerError", TargetDown),
    (Service.DYNAMODB, "unavailable", 503, "ServiceUnavailableException", TargetDown),
    (Service.SQS, "throttle", 400, "RequestThrottled", Transient),
    (Service.SQS, "error", 500, "InternalError", TargetDown),
    (Service.SQS, "unavailable", 503, "ServiceUnavailable", TargetDown),
    (Service.S3, "throttle", 503, "SlowDown", Transient),
    (Service.S3, "error", 500, "InternalError", TargetDown),
    (Service.S3, "unavailable", 503, "ServiceUnavailable", TargetDown),
]
ASK: dict[Service, Callable[[Any], Any]] = {
    Service.KINESIS: lambda kinesis: kinesis.list_streams(),
    Service.DYNAMODB: lambda dynamodb: dynamodb.list_tables(),
    Service.SQS: lambda sqs: sqs.list_queues(),
    Service.S3: lambda s3: s3.list_buckets(),
}


@pytest.mark.parametrize("service, spec, status, code, means", REFUSALS)
def test_a_service_refuses_in_its_own_words_and_our_table_knows_them(  # noqa: PLR0917 - a row of a table
    between: Callable[..., Between], service: Service, spec: str, status: int, code: str, means: type[Exception]
) -> None:
    it = between(service, f"{service} {spec} times=1")
    with pytest.raises(ClientError) as refused:
        ASK[service](it.client)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    assert refused.value.response["Error"]["Code"] == code
    assert type(classify(refused.value)) is means
    ASK[service](it.client)
    it.stand.wait_fired(1)
    assert len(it.stand.kinds) == 1


def test_what_head_asks_is_refused_without_a_body(between: Callable[..., Between], bucket: str) -> None:
    it = between(Service.S3, "s3 HeadBucket throttle times=1")
    with pytest.raises(ClientError) as refused:
        it.client.head_bucket(Bucket=bucket)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    it.client.head_bucket(Bucket=bucket)


@pytest.mark.parametrize("kind, arrives", [("reset", False), ("answer-lost", True)])
def test_a_message_is_lost_or_only_its_answer(
    between: Callable[..., Between], emulator: Emulator, queue: str, kind: str, *, arrives: bool
) -> None:
    it = between(Service.SQS, f"sqs SendMessage {kind} times=1")
    with pytest.raises(ConnectionClosedError):
        it.client.send_message(QueueUrl=queue, MessageBody="once")
    it.stand.wait_fired(1)
    assert messages(emulator, queue) == (["once"] if arrives else [])


def test_an_object_is_written_and_the_answer_lost(
    between: Callable[..., Between], emulator: Emulator, bucket: str
) -> None:
    it = between(Service.S3, "s3 PutObject answer-lost times=1")
    with pytest.raises(ConnectionClosedError):
        it.client.put_object(Bucket=bucket, Key="k", Body=b'{"Failed": "not JSON that means anything"}')
    assert emulator.client("s3").get_object(Bucket=bucket, Key="k")["Body"].read().startswith(b'{"Failed"')


def test_the_answer_to_what_was_refused_is_not_lost(
    between: Callable[..., Between], emulator: Emulator, table: str
) -> None:
    it = between(Service.DYNAMODB, "dynamodb PutItem answer-lost times=1")
    item: dict[str, Any] = {"TableName": table, "Item": {"id": {"S": "a"}}}
    with pytest.raises(ClientError):
        it.client.put_item(**item, ConditionExpression="attribute_exists(id)")
    assert it.stand.kinds == []
    with pytest.raises(ConnectionClosedError):
        it.client.put_item(**item)
    it.stand.wait_fired(1)
    assert emulator.client("dynamodb").scan(TableName=table)["Count"] == 1


def test_an_object_is_cut_off_in_the_middle(between: Callable[..., Between], bucket: str) -> None:
    it = between(Service.S3, "s3 GetObject cut bytes=1000 times=1")
    it.client.put_object(Bucket=bucket, Key="k", Body=b"x" * 1000)
    assert len(it.client.get_object(Bucket=bucket, Key="k")["Body"].read()) == 1000
    it.client.put_object(Bucket=bucket, Key="k", Body=b"x" * 1001)
    with pytest.raises(BROKEN):
        it.client.get_object(Bucket=bucket, Key="k")["Body"].read()
    it.stand.wait_fired(1)
    assert it.stand.end().counts[0].fired == 1


def test_some_messages_of_a_batch_are_refused_and_the_others_sent(
    between: Callable[..., Between], emulator: Emulator, queue: str
) -> None:
    it = between(Service.SQS, "sqs partial times=1", seed=3)
    entries = [{"Id": f"id{number}", "MessageBody": str(number)} for number in range(9)]
    assert not it.client.send_message_batch(QueueUrl=queue, Entries=entries[:1]).get("Failed")
    answer = it.client.send_message_batch(QueueUrl=queue, Entries=entries[1:])
    failed = {each["Id"] for each in answer["Failed"]}
    sent = {each["Id"] for each in answer["Successful"]}
    assert failed
    assert sent
    assert failed | sent == {each["Id"] for each in entries[1:]}
    assert not failed & sent
    assert {each["Code"] for each in answer["Failed"]} <= {"RequestThrottled", "InternalError"}
    seen: set[str] = set()
    for _ in range(20):
        seen |= set(messages(emulator, queue))
    assert seen == {"0"} | {each.removeprefix("id") for each in sent}


def test_some_writes_of_a_batch_come_back_unprocessed_and_the_others_are_done(
    between: Callable[..., Between], emulator: Emulator, table: str
) -> None:
    it = between(Service.DYNAMODB, "dynamodb BatchWriteItem partial times=1", seed=2)
    writes = [{"PutRequest": {"Item": {"id": {"S": str(number)}}}} for number in range(9)]
    answer = it.client.batch_write_item(RequestItems={table: writes})
    unprocessed = answer["UnprocessedItems"][table]
    done = {item["id"]["S"] for item in emulator.client("dynamodb").scan(TableName=table)["Items"]}
    assert 0 < len(unprocessed) < 9
    assert [write for write in writes if write not in unprocessed] == [
        write for write in writes if write["PutRequest"]["Item"]["id"]["S"] in done
    ]
    again = it.client.batch_write_item(RequestItems={table: unprocessed})
    assert not again["UnprocessedItems"]
    assert emulator.client("dynamodb").scan(TableName=table)["Count"] == 9


def test_some_records_of_a_put_are_refused_and_the_others_put(between: Callable[..., Between], stream: str) -> None:
    it = between(Service.KINESIS, "kinesis partial every=2", "kinesis GetRecords repeat times=1")
    records = [{"Data": str(number).encode(), "PartitionKey": "k"} for number in range(5)]
    assert it.client.put_records(StreamName=stream, Records=records)["FailedRecordCount"] == 0
    assert 0 < it.client.put_records(StreamName=stream, Records=records)["FailedRecordCount"] < 5
    begin = it.client.get_shard_iterator(
        StreamName=stream, ShardId="shardId-000000000000", ShardIteratorType="TRIM_HORIZON"
    )["ShardIterator"]
    first = it.client.get_records(ShardIterator=begin)
    again = it.client.get_records(ShardIterator=first["NextShardIterator"])
    assert [each["Data"] for each in again["Records"]] == [each["Data"] for each in first["Records"]]
    assert it.stand.kinds == ["partial", "repeat"]


def test_a_late_request_arrives_after_its_connection_broke(
    between: Callable[..., Between], emulator: Emulator, queue: str
) -> None:
    it = between(Service.SQS, "sqs SendMessage late seconds=0.2 times=1")
    with pytest.raises(ConnectionClosedError):
        it.client.send_message(QueueUrl=queue, MessageBody="late")
    assert it.stand.kinds == []
    it.stand.wait_fired(1)
    assert messages(emulator, queue) == ["late"]


def test_a_half_open_connection_is_given_up_by_the_client_and_counts_then(
    between: Callable[..., Between], emulator: Emulator, queue: str
) -> None:
    it = between(Service.SQS, "sqs SendMessage half-open times=1", patience=0.5)
    with pytest.raises(ReadTimeoutError):
        it.client.send_message(QueueUrl=queue, MessageBody="never")
    it.stand.wait_fired(1)
    assert messages(emulator, queue) == []
    it.client.send_message(QueueUrl=queue, MessageBody="next")


def test_who_waits_at_a_half_open_connection_when_the_proxy_ends_was_not_struck(
    between: Callable[..., Between],
) -> None:
    it = between(Service.SQS, "sqs half-open")
    with socket.create_connection(("127.0.0.1", it.stand.port), timeout=20) as waits:
        waits.sendall(b"POST / HTTP/1.1\r\nX-Amz-Target: AmazonSQS.ListQueues\r\nContent-Length: 2\r\n\r\n{}")
        # The answer to this one says that the other one was read before: both come to one thread.
        with socket.create_connection(("127.0.0.1", it.stand.port), timeout=20) as other:
            other.sendall(b"nonsense\r\n\r\n")
            assert other.recv(100).startswith(b"HTTP/1.1 400")
        count = it.stand.end().counts[0]
        assert (count.open, count.fired) == (0, 0)


def test_latency_is_counted_and_the_request_goes_its_way(between: Callable[..., Between], queue: str) -> None:
    it = between(Service.SQS, "sqs SendMessage latency seconds=0.05 jitter=0.05", "sqs SendMessage throttle first=2")
    it.client.send_message(QueueUrl=queue, MessageBody="slow")
    with pytest.raises(ClientError):
        it.client.send_message(QueueUrl=queue, MessageBody="slow and refused")
    it.stand.wait_fired(3)
    assert it.stand.kinds == ["latency", "latency", "throttle"]


def test_the_same_seed_and_the_same_requests_give_the_same_faults_and_another_seed_others(
    between: Callable[..., Between],
) -> None:
    def run(seed: int) -> list[int]:
        it = between(Service.SQS, "sqs throttle probability=0.3", seed=seed)
        for _ in range(40):
            with suppress(ClientError):
                it.client.list_queues()
        it.stand.end()
        return [firing.request for firing in it.stand.fired]

    first, again, other = run(1), run(1), run(2)
    assert first == again
    assert first != other


def test_without_a_plan_the_four_services_are_as_they_are(
    between: Callable[..., Between], bucket: str, queue: str, table: str, stream: str
) -> None:
    s3, sqs = between(Service.S3).client, between(Service.SQS).client
    dynamodb, kinesis = between(Service.DYNAMODB).client, between(Service.KINESIS).client
    s3.put_object(Bucket=bucket, Key="a/b c", Body=b"x" * 3_000_000)
    assert len(s3.get_object(Bucket=bucket, Key="a/b c")["Body"].read()) == 3_000_000
    sqs.send_message(QueueUrl=queue, MessageBody="x")
    assert sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"] == "x"
    dynamodb.put_item(TableName=table, Item={"id": {"S": "1"}})
    assert dynamodb.get_item(TableName=table, Key={"id": {"S": "1"}})["Item"] == {"id": {"S": "1"}}
    assert kinesis.put_record(StreamName=stream, Data=b"x", PartitionKey="k")["ShardId"]


def test_a_stream_of_events_over_http1_passes_as_it_comes_and_ends_when_the_client_leaves() -> None:
    target = b"X-Amz-Target: Kinesis_20131202.SubscribeToShard\r\n"
    asked = b"POST / HTTP/1.1\r\nHost: it\r\n" + target + b"Content-Length: 2\r\n\r\n{}"
    with Http2Service() as service, ProxyStand(Service.KINESIS, service.url) as stand:
        with socket.create_connection(("127.0.0.1", stand.port), timeout=20) as listener:
            listener.sendall(asked)
            heard = until_heard(listener, b"", 1)
            assert heard.startswith(b"HTTP/1.1 200")
            service.say()
            until_heard(listener, heard, 2)
        assert service.left.wait(20)


@pytest.mark.parametrize("spec", ["answer-lost", "cut bytes=0"])
def test_a_stream_of_events_over_http1_breaks_off(spec: str) -> None:
    target = b"X-Amz-Target: Kinesis_20131202.SubscribeToShard\r\n"
    asked = b"POST / HTTP/1.1\r\nHost: it\r\n" + target + b"Content-Length: 2\r\n\r\n{}"
    with Http2Service() as service, ProxyStand(Service.KINESIS, service.url, f"kinesis {spec}") as stand:
        with socket.create_connection(("127.0.0.1", stand.port), timeout=20) as listener:
            listener.sendall(asked)
            with pytest.raises(ConnectionResetError):
                read_on(listener)
        stand.wait_fired(1)
        assert service.left.wait(20)


def read_on(listener: socket.socket) -> None:
    while listener.recv(65536):
        pass


def until_heard(listener: socket.socket, heard: bytes, events: int) -> bytes:
    while heard.count(b"event;") < events:
        more = listener.recv(65536)
        assert more, heard
        heard += more
    return heard


@pytest.mark.parametrize(
    "ask, operation",
    [
        (lambda s3: s3.list_buckets(), "ListBuckets"),
        (lambda s3: s3.create_bucket(Bucket="b-1"), "CreateBucket"),
        (lambda s3: s3.head_bucket(Bucket="b-1"), "HeadBucket"),
        (lambda s3: s3.delete_bucket(Bucket="b-1"), "DeleteBucket"),
        (lambda s3: s3.list_objects(Bucket="b-1"), "ListObjects"),
        (lambda s3: s3.list_objects_v2(Bucket="b-1"), "ListObjectsV2"),
        (lambda s3: s3.put_object(Bucket="b-1", Key="a/b", Body=b""), "PutObject"),
        (lambda s3: s3.get_object(Bucket="b-1", Key="a/b"), "GetObject"),
        (lambda s3: s3.head_object(Bucket="b-1", Key="a/b"), "HeadObject"),
        (lambda s3: s3.delete_object(Bucket="b-1", Key="a/b"), "DeleteObject"),
        (lambda s3: s3.delete_objects(Bucket="b-1", Delete={"Objects": [{"Key": "a"}]}), "DeleteObjects"),
        (lambda s3: s3.copy_object(Bucket="b-1", Key="a", CopySource="b-1/c"), "CopyObject"),
        (lambda s3: s3.create_multipart_upload(Bucket="b-1", Key="a"), "CreateMultipartUpload"),
        (lambda s3: s3.upload_part(Bucket="b-1", Key="a", PartNumber=1, UploadId="u", Body=b""), "UploadPart"),
        (lambda s3: s3.complete_multipart_upload(Bucket="b-1", Key="a", UploadId="u"), "CompleteMultipartUpload"),
        (lambda s3: s3.abort_multipart_upload(Bucket="b-1", Key="a", UploadId="u"), "AbortMultipartUpload"),
        (lambda s3: s3.get_bucket_location(Bucket="b-1"), ""),
        (lambda s3: s3.get_object_tagging(Bucket="b-1", Key="a"), ""),
    ],
)
def test_what_boto3_asks_of_s3_is_known_by_its_name(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[Any], Any], operation: str
) -> None:
    seen: list[str] = []
    done = threading.Event()

    def see(service: Service, request: Any) -> str:
        seen.append(operation_of(service, request))
        done.set()
        return seen[-1]

    monkeypatch.setattr("isthmus.console.proxy.planned.operation_of", see)
    with ProxyStand(Service.S3, "http://127.0.0.1:9", "s3 reset") as stand:
        s3 = client(AwsAccess(stand.url, "us-east-1", "test", "test"), "s3")
        with pytest.raises((BotoCoreError, ClientError)):
            ask(s3)
        s3.close()
        assert done.wait(20)
    assert seen == [operation]
