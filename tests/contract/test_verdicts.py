"""Verdicts on DynamoDB, as the embedded emulator plays it, and in memory."""

import pytest

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.verdicts import MemoryVerdicts, Verdicts
from tests.contract.verdicts_contract import VerdictsContract
from tests.fakes.emulator import Emulator


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
