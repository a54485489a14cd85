"""What the library's daemon takes for AWS: kinesis-mock, DynamoDB Local, and ministack for queue and bucket."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from isthmus.console.dev import kcl as library
from tests.fakes import dynamodb_local, kinesis_mock
from tests.fakes.dynamodb_local import DynamoLocal
from tests.fakes.emulator import Emulator
from tests.fakes.kinesis_mock import HOME, KinesisMock
from tests.fakes.postgres_server import PostgresServer
from tests.simulation.ground import folder


def unavailable() -> str:
    """Say in one sentence why the real daemon cannot run here, or nothing."""
    return library.unavailable(HOME) or kinesis_mock.unavailable() or dynamodb_local.unavailable()


class Aws:
    """What the daemon takes for AWS: one of each for a whole run."""

    def __init__(self, place: Path) -> None:
        self.jars = library.jars(HOME)[0].parent
        with ExitStack() as stack:
            self.rest = Emulator(place)
            stack.callback(self.rest.close)
            self.mock = stack.enter_context(KinesisMock(place / "kinesis"))
            self.dynamo = DynamoLocal(place / "dynamodb")
            stack.callback(self.dynamo.close)
            self.kinesis: Any = boto3.client(
                "kinesis",
                endpoint_url=self.mock.url,
                region_name=self.mock.region,
                aws_access_key_id="test",
                aws_secret_access_key="test",  # noqa: S106 - it takes any
                config=Config(retries={"total_max_attempts": 3}, connect_timeout=2, read_timeout=20, proxies={}),
            )
            stack.callback(self.kinesis.close)
            self._ending = stack.pop_all()

    @cached_property
    def postgres(self) -> PostgresServer:
        """Give a server, which is started when it is first asked for."""
        started = PostgresServer()
        self._ending.callback(started.end)
        return started

    def close(self) -> None:
        """End all of it."""
        self._ending.close()


@contextmanager
def aws() -> Iterator[Aws]:
    """Give what the daemon takes for AWS. Raises AssertionError where the real daemon cannot run."""
    assert not unavailable(), unavailable()
    with folder() as place:
        made = Aws(place)
        try:
            yield made
        finally:
            made.close()


def port_of(url: str) -> int:
    """Give the port of an address of this machine."""
    return int(url.rpartition(":")[2].strip("/"))
