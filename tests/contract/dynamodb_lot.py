"""For tests of the DynamoDB store's parking lot: what operators do there, and where its flags stand."""

from contextlib import closing
from typing import Any

import pytest

from isthmus.change import RAW_KEY_PREFIX
from isthmus.consumer.redrive import Redriven
from isthmus.consumer.stores.dynamodb.decider import DynamoDecider
from tests.contract.store_redrive_contract import Mended
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.dynamodb_desk import PlainOffice
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.store_world import World

WHO, WHY = "ada", "agreed with the registry"
RAW = f"{RAW_KEY_PREFIX}raw/flights/1"


@pytest.fixture(params=["item", "table"])
def office(emulator: Emulator, request: pytest.FixtureRequest) -> PlainOffice:
    return PlainOffice(emulator.client("dynamodb"), tombstones=request.param)


def discard(world: World, key: str, *txns: str) -> int:
    with closing(world.redriver(Mended())) as redriver:
        return redriver.discard(key, list(txns), who=WHO, why=WHY)


def redrive(world: World, key: str, *good: str) -> Redriven:
    with closing(world.redriver(Mended(good))) as redriver:
        return redriver.redrive(key)


def prune(world: World, before_ms: int) -> None:
    world.store.prune(memory_before_ms=before_ms, history_before_ms=0, stop=FakeStop(FakeClock()))


def decider_of(world: World) -> DynamoDecider:
    assert isinstance(world.decider, DynamoDecider)
    return world.decider


def flagged(office: DynamoOffice) -> list[Any]:
    tables = (office.table("thing"), office.settings.table)
    return [item for table in tables for item in office.items(table) if "isthmus_parked" in item]
