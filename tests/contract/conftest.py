"""Fixtures of the contract suites."""

from collections.abc import Iterator

import pytest

from isthmus.chance import unique_name
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.table import create_table
from isthmus.clock import SystemClock
from isthmus.lifecycle import ThreadStop
from tests.fakes.emulator import Emulator


@pytest.fixture
def checkpoints(emulator: Emulator) -> Iterator[DynamoCheckpoints]:
    """Give the application's table on the emulator, empty, and remove it."""
    client, name = emulator.client("dynamodb"), f"isthmus-{unique_name()}"
    create_table(client, name, stop=ThreadStop())
    yield DynamoCheckpoints(client, name, SystemClock())
    client.delete_table(TableName=name)
