"""Gates on DynamoDB, as the embedded emulator plays it, and in memory."""

import pytest

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.gatehouse import MemoryGates
from isthmus.checkpoint.gates import Gates
from isthmus.clock import SystemClock
from isthmus.errors import Missing, Refused
from tests.contract.gates_contract import GatesContract, closed
from tests.fakes.emulator import Emulator


class TestDynamoDb(GatesContract):
    @pytest.fixture
    def gates(self, checkpoints: DynamoCheckpoints) -> Gates:
        return checkpoints.gates


class TestInMemory(GatesContract):
    @pytest.fixture
    def gates(self) -> Gates:
        return MemoryGates()


def test_gates_outlive_a_stream_that_is_made_anew(checkpoints: DynamoCheckpoints) -> None:
    checkpoints.gates.change(closed())
    checkpoints.stream.forget()
    assert checkpoints.gates.read_all() == [closed()]
    assert checkpoints.gates.history() == [closed()]


def test_a_table_that_is_not_there_is_missing(emulator: Emulator) -> None:
    nowhere = DynamoCheckpoints(emulator.client("dynamodb"), "isthmus-nowhere", SystemClock())
    for call in (nowhere.gates.read_all, lambda: nowhere.gates.change(closed())):
        with pytest.raises(Missing, match="isthmus setup"):
            call()


def test_an_item_that_nobody_can_read_is_refused_and_not_taken_for_open(
    checkpoints: DynamoCheckpoints, emulator: Emulator
) -> None:
    client = emulator.client("dynamodb")
    table = checkpoints.gates._table._name
    client.put_item(TableName=table, Item={"kind": {"S": "gate"}, "id": {"S": "process=billing"}})
    with pytest.raises(Refused, match="process=billing"):
        checkpoints.gates.read_all()
