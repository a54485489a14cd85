"""For tests of redrives in DynamoDB: a front office with handlers, and its redriver."""

from typing import Any

import pytest

from isthmus.consumer.stores.dynamodb.redriving import DynamoRedriver
from tests.contract.store_redrive_contract import Mended
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import World


@pytest.fixture(params=["item", "table"])
def office(emulator: Emulator, request: pytest.FixtureRequest) -> DynamoOffice:
    return DynamoOffice(emulator.client("dynamodb"), tombstones=request.param)


def redriver_of(world: World, remake: Mended) -> DynamoRedriver:
    redriver = world.redriver(remake)
    assert isinstance(redriver, DynamoRedriver)
    return redriver


def first_of(world: World, key: str = "k") -> Any:
    return world.office.lot().parked_of(key)[0]
