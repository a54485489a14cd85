"""The DynamoDB store, as every store, on the embedded emulator."""

import pytest

from tests.contract import store_machine
from tests.contract.store_contract import StoreContract, world
from tests.contract.store_effects_contract import StoreEffectsContract, bank
from tests.contract.store_letters_contract import StoreLettersContract
from tests.contract.store_life_contract import StoreLifeContract
from tests.contract.store_outbox_contract import StoreOutboxContract
from tests.contract.store_redrive_contract import StoreRedriveContract
from tests.contract.store_redrive_many_contract import StoreRedriveManyContract
from tests.contract.store_types_contract import StoreTypesContract
from tests.contract.store_values_contract import StoreValuesContract, desk
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator

__all__ = ["bank", "desk", "world"]


@pytest.fixture
def office(emulator: Emulator) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"))


class TestStore(StoreContract, StoreLifeContract):
    pass


class TestEffects(StoreEffectsContract):
    pass


class TestTypes(StoreTypesContract):
    pass


class TestValues(StoreValuesContract):
    pass


class TestOutbox(StoreOutboxContract):
    pass


class TestLetters(StoreLettersContract):
    pass


class TestRedrive(StoreRedriveContract):
    pass


class TestRedriveOfMany(StoreRedriveManyContract):
    pass


@pytest.mark.parametrize("tombstones", ["item", "table"])
def test_any_life_of_the_store_is_as_the_model_says(emulator: Emulator, tombstones: str) -> None:
    client = emulator.client("dynamodb")
    store_machine.run(lambda: DynamoOffice(client, tombstones=tombstones), few=DynamoOffice.few)
