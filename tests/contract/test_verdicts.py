"""Verdicts on DynamoDB, as the embedded emulator plays it, and in memory."""

from collections.abc import Iterator

import pytest

from isthmus.chance import unique_name
from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.table import create_table
from isthmus.checkpoint.verdicts import MemoryVerdicts, Verdicts
from isthmus.clock import SystemClock
from isthmus.lifecycle import ThreadStop
from tests.contract.verdicts_contract import VerdictsContract
from tests.fakes.emulator import Emulator


@pytest.fixture
def checkpoints(emulator: Emulator) -> Iterator[DynamoCheckpoints]:
    client, name = emulator.client("dynamodb"), f"isthmus-{unique_name()}"
    create_table(client, name, stop=ThreadStop())
    yield DynamoCheckpoints(client, name, SystemClock())
    client.delete_table(TableName=name)


class TestDynamoDb(VerdictsContract):
    @pytest.fixture
    def verdicts(self, checkpoints: DynamoCheckpoints) -> Verdicts:
        return checkpoints.verdicts


class TestInMemory(VerdictsContract):
    @pytest.fixture
    def verdicts(self) -> Verdicts:
        return MemoryVerdicts()


def test_an_item_that_nobody_can_read_is_no_answer(checkpoints: DynamoCheckpoints, emulator: Emulator) -> None:
    table = checkpoints.verdicts._table._name
    item = {"kind": {"S": "verdict"}, "id": {"S": "audit#1"}, "closed": {"BOOL": False}, "revision": {"N": "4"}}
    emulator.client("dynamodb").put_item(TableName=table, Item=item)  # type: ignore[arg-type] # as it lies there
    found = checkpoints.verdicts.read_all()["audit#1"]
    assert (found.closed, found.why) == (None, "its item cannot be read: delete it")
    made = found.answered(closed=True, said="x", asked_ms=99_000, who="here", interval_ms=1)
    assert made is not None
    assert checkpoints.verdicts.write(made)
