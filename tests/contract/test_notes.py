"""Notes on DynamoDB, as the embedded emulator plays it, and those of tests."""

from typing import Any

import pytest

from isthmus.checkpoint.dynamodb import DynamoCheckpoints
from isthmus.checkpoint.notes import Notes
from isthmus.clock import SystemClock
from isthmus.errors import Missing, Transient
from tests.contract.notes_contract import NotesContract, telling
from tests.fakes.clock import FakeClock
from tests.fakes.emulator import Emulator
from tests.fakes.notes import FakeNotes


class TestDynamoDb(NotesContract):
    @pytest.fixture
    def notes(self, checkpoints: DynamoCheckpoints) -> Notes:
        return checkpoints.notes


class TestInMemory(NotesContract):
    @pytest.fixture
    def notes(self) -> Notes:
        return FakeNotes(FakeClock())


def test_notes_are_forgotten_with_the_stream(checkpoints: DynamoCheckpoints) -> None:
    checkpoints.notes.tell(telling(1, 50))
    checkpoints.stream.forget()
    assert checkpoints.notes.read_all() == {}


def test_notes_are_no_checkpoints(checkpoints: DynamoCheckpoints) -> None:
    checkpoints.notes.tell(telling(1, 50, sequence="7"))
    assert checkpoints.shards.read_all() == {}
    assert checkpoints.leases.all() == []


def test_a_table_that_is_not_there_is_missing(emulator: Emulator) -> None:
    nowhere = DynamoCheckpoints(emulator.client("dynamodb"), "isthmus-nowhere", SystemClock())
    for call in (nowhere.notes.read_all, lambda: nowhere.notes.tell(telling(1))):
        with pytest.raises(Missing, match="isthmus setup"):
            call()


def test_who_is_always_slower_than_others_is_to_try_again_and_writes_over_nobody(
    checkpoints: DynamoCheckpoints, emulator: Emulator
) -> None:
    client, quicker = emulator.client("dynamodb"), iter(range(1, 100))
    inside: list[object] = []

    def be_quicker(**_: Any) -> None:
        if not inside:
            inside.append(None)
            checkpoints.notes.tell(telling(next(quicker), teller="quicker", counts={"applied": 1}))
            inside.pop()

    client.meta.events.register("before-call.dynamodb.UpdateItem", be_quicker)
    try:
        with pytest.raises(Transient) as caught:
            checkpoints.notes.tell(telling(1, counts={"applied": 100}))
    finally:
        client.meta.events.unregister("before-call.dynamodb.UpdateItem", be_quicker)
    assert caught.value.cause == "conflict"
    (found,) = checkpoints.notes.read_all().values()
    assert found.counts == {"applied": next(quicker) - 1}
