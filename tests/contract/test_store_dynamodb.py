"""The DynamoDB store, as every store: on the embedded emulator, with tombstones in either place."""

import pytest

from tests.contract.store_contract import StoreContract, world
from tests.contract.store_life_contract import StoreLifeContract
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator

__all__ = ["world"]


@pytest.fixture
def office(emulator: Emulator) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"))


class TestStore(StoreContract, StoreLifeContract):
    pass
