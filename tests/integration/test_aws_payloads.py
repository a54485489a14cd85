"""Payloads in a real S3 interface."""

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest

from isthmus.aws import AwsAccess, client, ensure_bucket
from isthmus.aws_payloads import S3Payloads
from isthmus.chance import unique_name
from isthmus.errors import Missing, Poison
from tests.contract.payloads_contract import PayloadsContract, Subject
from tests.fakes.emulator import Emulator

NOBODY = "http://127.0.0.1:9"
"""The discard port: nobody listens there."""


class S3Saboteur:
    def __init__(self, s3: Any) -> None:
        self._s3 = s3

    def remove(self, reference: str) -> None:
        bucket, _, name = reference.removeprefix("s3://").partition("/")
        self._s3.delete_object(Bucket=bucket, Key=name)

    def replace(self, reference: str, content: bytes) -> None:
        bucket, _, name = reference.removeprefix("s3://").partition("/")
        self._s3.put_object(Bucket=bucket, Key=name, Body=content)


@pytest.fixture
def bucket(emulator: Emulator) -> str:
    name = f"payloads-{unique_name()}"
    assert ensure_bucket(emulator.client("s3"), name)
    return name


class TestS3Payloads(PayloadsContract):
    @pytest.fixture
    def subject(self, emulator: Emulator, bucket: str) -> Iterator[Subject]:
        nobody = AwsAccess(NOBODY, emulator.region, "test", "test")
        with contextlib.closing(client(nobody, "s3")) as away:
            s3 = emulator.client("s3")
            yield Subject(S3Payloads(s3, bucket), S3Payloads(away, bucket), S3Saboteur(s3))


def test_a_record_cannot_make_us_read_from_another_bucket(emulator: Emulator, bucket: str) -> None:
    other = f"other-{unique_name()}"
    assert ensure_bucket(emulator.client("s3"), other)
    reference = S3Payloads(emulator.client("s3"), other).put(b"somebody else's")
    with pytest.raises(Poison):
        S3Payloads(emulator.client("s3"), bucket).get(reference)


def test_a_missing_bucket_names_the_command_that_makes_it(emulator: Emulator) -> None:
    with pytest.raises(Missing, match="isthmus setup"):
        S3Payloads(emulator.client("s3"), f"nowhere-{unique_name()}").put(b"x")
