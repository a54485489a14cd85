"""Making and describing resources on a real AWS interface."""

from datetime import datetime

import pytest

from isthmus.aws import describe_stream, ensure_bucket, ensure_queue, ensure_retention, ensure_stream
from isthmus.chance import unique_name
from isthmus.errors import Missing
from isthmus.lifecycle import ThreadStop
from tests.fakes.emulator import Emulator


def test_a_stream_is_made_once_and_keeps_its_shards(emulator: Emulator) -> None:
    kinesis, name = emulator.client("kinesis"), f"stream-{unique_name()}"
    assert ensure_stream(kinesis, name, 3, stop=ThreadStop())
    assert not ensure_stream(kinesis, name, 5, stop=ThreadStop())
    facts = describe_stream(kinesis, name)
    assert (facts.name, facts.status, facts.open_shards) == (name, "ACTIVE", 3)
    assert (facts.retention_hours, facts.max_record_bytes, facts.keeps_partition_keys) == (24, 1_048_576, True)
    assert facts.identity.arn.endswith(name)
    assert datetime.strptime(facts.identity.created, "%Y-%m-%dT%H:%M:%S%z").utcoffset() is not None


def test_retention_is_raised_and_never_lowered(emulator: Emulator) -> None:
    kinesis, name = emulator.client("kinesis"), f"stream-{unique_name()}"
    ensure_stream(kinesis, name, 1, stop=ThreadStop())
    assert ensure_retention(kinesis, name, 48, stop=ThreadStop())
    assert not ensure_retention(kinesis, name, 24, stop=ThreadStop())
    assert describe_stream(kinesis, name).retention_hours == 48


def test_a_stream_that_is_not_there_names_the_command_that_makes_it(emulator: Emulator) -> None:
    with pytest.raises(Missing, match="isthmus setup"):
        describe_stream(emulator.client("kinesis"), f"nowhere-{unique_name()}")


def test_a_queue_is_made_once_and_keeps_messages_for_14_days(emulator: Emulator) -> None:
    sqs, name = emulator.client("sqs"), f"queue-{unique_name()}"
    assert ensure_queue(sqs, name)
    assert not ensure_queue(sqs, name)
    url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["MessageRetentionPeriod"])["Attributes"]
    assert attributes == {"MessageRetentionPeriod": "1209600"}


def test_a_bucket_is_made_once(emulator: Emulator) -> None:
    s3, name = emulator.client("s3"), f"bucket-{unique_name()}"
    assert ensure_bucket(s3, name)
    assert not ensure_bucket(s3, name)
