"""How clients are made, and what resources are made of, without any server."""

import contextlib
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any, Literal, Self

import pytest
from botocore.exceptions import EndpointConnectionError, ParamValidationError
from botocore.stub import Stubber

from isthmus.aws import (
    AwsAccess,
    client,
    describe_stream,
    ensure_bucket,
    ensure_queue,
    ensure_retention,
    ensure_stream,
)
from isthmus.errors import Fatal, Missing, Refused, TargetDown
from isthmus.lifecycle import Stopped
from tests.fakes.clock import FakeClock, FakeStop

ACCESS = AwsAccess("http://127.0.0.1:9", "eu-central-1", "test", "test")
Service = Literal["kinesis", "dynamodb", "sqs", "s3"]
SERVICES: tuple[Service, ...] = ("kinesis", "dynamodb", "sqs", "s3")

SUMMARY = {
    "StreamName": "flights",
    "StreamARN": "arn:aws:kinesis:eu-central-1:000000000000:stream/flights",
    "StreamStatus": "ACTIVE",
    "RetentionPeriodHours": 24,
    "StreamCreationTimestamp": datetime(2013, 1, 1, 5, 15, 0, 999_000, tzinfo=timezone(timedelta(hours=-5))),
    "EnhancedMonitoring": [],
    "OpenShardCount": 4,
}


def stop() -> FakeStop:
    return FakeStop(FakeClock())


class Stubbed:
    """A client whose answers are planned; every one must be asked for, in order."""

    def __init__(self, service: Service, access: AwsAccess = ACCESS) -> None:
        self.client: Any = client(access, service)
        self.plan = Stubber(self.client)

    def __enter__(self) -> Self:
        self.plan.activate()
        return self

    def __exit__(self, *_: object) -> None:
        self.plan.deactivate()
        self.client.close()

    def is_summary(self, **members: object) -> None:
        self.plan.add_response("describe_stream_summary", {"StreamDescriptionSummary": SUMMARY | members})


@pytest.mark.parametrize("service", SERVICES)
def test_a_client_tries_once_and_within_time_limits(service: Service) -> None:
    with contextlib.closing(client(ACCESS, service)) as made:
        config: Any = made.meta.config
        assert config.retries["total_max_attempts"] == 1
        assert config.connect_timeout == 5
        assert config.read_timeout in {10, 30}
        assert config.tcp_keepalive
        assert config.max_pool_connections == 32
        assert (made.meta.endpoint_url, made.meta.region_name) == ("http://127.0.0.1:9", "eu-central-1")


def test_only_what_the_publisher_checked_itself_is_not_checked_again() -> None:
    with contextlib.closing(client(ACCESS, "kinesis")) as made, pytest.raises(EndpointConnectionError):
        made.list_streams(Limit=0)
    with contextlib.closing(client(ACCESS, "dynamodb")) as made, pytest.raises(ParamValidationError):
        made.list_tables(Limit=0)


def test_a_proxy_of_the_environment_does_not_stand_before_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with contextlib.closing(client(ACCESS, "kinesis")) as made, pytest.raises(EndpointConnectionError):
        made.list_streams()


@pytest.mark.parametrize("url", ["http://10.0.0.1:4566", "http://kinesis.example", "ftp://127.0.0.1", "127.0.0.1:80"])
def test_plain_http_elsewhere_and_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(Refused, match="endpoint_url"):
        client(AwsAccess(url, "eu-central-1", "test", "test"), "kinesis")


@pytest.mark.parametrize("url", ["http://localhost:1", "http://127.0.0.2:1", "http://[::1]:1", "https://aws.example"])
def test_loopback_and_https_are_allowed(url: str) -> None:
    with contextlib.closing(client(AwsAccess(url, "eu-central-1", "test", "test"), "kinesis")) as made:
        assert made.meta.endpoint_url == url


def test_a_missing_region_is_fatal_and_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    with pytest.raises(Fatal, match=r"Set region in \[aws\]"):
        client(AwsAccess("http://127.0.0.1:9", None, "test", "test"), "kinesis")


def test_the_secret_is_not_shown() -> None:
    assert "hush" not in repr(AwsAccess(secret="hush"))  # noqa: S106 - a made-up one


def test_importing_the_module_does_not_import_boto3() -> None:
    program = "import sys, isthmus.aws; sys.exit('boto3' in sys.modules or 'botocore' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_creation_time_is_utc_to_the_second() -> None:
    with Stubbed("kinesis") as stubbed:
        stubbed.is_summary()
        assert describe_stream(stubbed.client, "flights").identity.created == "2013-01-01T10:15:00Z"


@pytest.mark.parametrize(
    "members, keeps, record_bytes",
    [
        ({}, True, 1_048_576),
        ({"RecordDistributionStrategy": "USER_PARTITION_KEY", "MaxRecordSizeInKiB": 2048}, True, 2_097_152),
        ({"RecordDistributionStrategy": "AUTO", "MaxRecordSizeInKiB": 10240}, False, 10_485_760),
    ],
)
def test_newer_members_of_the_description_are_read_where_they_are_there(
    members: dict[str, object], *, keeps: bool, record_bytes: int
) -> None:
    class Old:
        def describe_stream_summary(self, **_: object) -> dict[str, object]:
            return {"StreamDescriptionSummary": SUMMARY | members}

    facts = describe_stream(Old(), "flights")  # type: ignore[arg-type] # all that is asked of a client here
    assert (facts.keeps_partition_keys, facts.max_record_bytes) == (keeps, record_bytes)


def test_a_new_stream_is_waited_for_until_it_is_active() -> None:
    pause = stop()
    with Stubbed("kinesis") as stubbed:
        stubbed.plan.add_response("create_stream", {})
        stubbed.plan.add_client_error("describe_stream_summary", "ResourceNotFoundException")
        stubbed.is_summary(StreamStatus="CREATING")
        stubbed.plan.add_client_error("describe_stream_summary", "LimitExceededException")
        stubbed.is_summary()
        assert ensure_stream(stubbed.client, "flights", 4, stop=pause)
        stubbed.plan.assert_no_pending_responses()
    assert len(pause.waits) == 3


def test_waiting_for_a_stream_ends_with_a_stop() -> None:
    pause = stop()
    pause.request()
    with Stubbed("kinesis") as stubbed:
        stubbed.plan.add_client_error("create_stream", "ResourceInUseException")
        stubbed.is_summary(StreamStatus="UPDATING")
        with pytest.raises(Stopped):
            ensure_stream(stubbed.client, "flights", 4, stop=pause)


def test_waiting_for_a_stream_ends_after_five_minutes() -> None:
    class Never:
        def create_stream(self, **_: object) -> None:
            pass

        def describe_stream_summary(self, **_: object) -> dict[str, object]:
            return {"StreamDescriptionSummary": SUMMARY | {"StreamStatus": "CREATING"}}

    clock = FakeClock()
    with pytest.raises(Fatal, match="did not become active"):
        ensure_stream(Never(), "flights", 4, stop=FakeStop(clock))  # type: ignore[arg-type] # all that is asked here
    assert clock.monotonic() == 300


def test_an_account_without_room_for_shards_is_fatal() -> None:
    with Stubbed("kinesis") as stubbed:
        stubbed.plan.add_client_error("create_stream", "LimitExceededException")
        with pytest.raises(Fatal, match="quota"):
            ensure_stream(stubbed.client, "flights", 400, stop=stop())


def test_retention_is_not_touched_where_it_is_long_enough() -> None:
    with Stubbed("kinesis") as stubbed:
        stubbed.is_summary(RetentionPeriodHours=168)
        assert not ensure_retention(stubbed.client, "flights", 24, stop=stop())


def test_a_queue_that_another_made_meanwhile_was_not_made_by_us() -> None:
    with Stubbed("sqs") as stubbed:
        stubbed.plan.add_client_error("get_queue_url", "AWS.SimpleQueueService.NonExistentQueue")
        stubbed.plan.add_client_error("create_queue", "QueueAlreadyExists")
        assert not ensure_queue(stubbed.client, "dead")


def test_a_queue_that_may_not_be_seen_is_not_made() -> None:
    with Stubbed("sqs") as stubbed:
        stubbed.plan.add_client_error("get_queue_url", "AccessDenied", http_status_code=403)
        with pytest.raises(Fatal):
            ensure_queue(stubbed.client, "dead")


@pytest.mark.parametrize(
    "region, named",
    [("us-east-1", {}), ("eu-central-1", {"CreateBucketConfiguration": {"LocationConstraint": "eu-central-1"}})],
)
def test_a_bucket_is_made_in_the_clients_own_region(region: str, named: dict[str, object]) -> None:
    with Stubbed("s3", AwsAccess("http://127.0.0.1:9", region, "test", "test")) as stubbed:
        stubbed.plan.add_client_error("head_bucket", "404", http_status_code=404)
        stubbed.plan.add_response("create_bucket", {}, {"Bucket": "payloads"} | named)
        assert ensure_bucket(stubbed.client, "payloads")


def test_a_bucket_of_somebody_else_is_not_made() -> None:
    with Stubbed("s3") as stubbed:
        stubbed.plan.add_client_error("head_bucket", "403", http_status_code=403)
        with pytest.raises(Fatal):
            ensure_bucket(stubbed.client, "payloads")


def test_nobody_listening_is_an_outage_and_not_a_missing_stream() -> None:
    with contextlib.closing(client(ACCESS, "kinesis")) as kinesis, pytest.raises(TargetDown) as caught:
        describe_stream(kinesis, "flights")
    assert caught.value.cause == "unreachable"
    assert not isinstance(caught.value, Missing)


@pytest.mark.parametrize("service, seconds", [("kinesis", 2.0), ("dynamodb", 2.0), ("sqs", 6.0), ("s3", 6.0)])
def test_how_long_an_answer_may_take_is_a_setting(service: Service, seconds: float) -> None:
    made: Any = client(replace(ACCESS, answer=2.0), service)
    assert made.meta.config.read_timeout == seconds
    made.close()


@pytest.mark.parametrize("service", SERVICES)
def test_who_only_looks_waits_a_few_seconds_at_most(service: Service) -> None:
    made: Any = client(replace(ACCESS, patience=3.0), service)
    assert (made.meta.config.connect_timeout, made.meta.config.read_timeout) == (2.0, 3.0)
    assert made.meta.config.retries["total_max_attempts"] == 1
    made.close()
