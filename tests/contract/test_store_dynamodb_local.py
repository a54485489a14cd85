"""The DynamoDB store on AWS's own DynamoDB Local, where Java and Maven are."""

from collections.abc import Iterator

import pytest

from tests.contract.store_contract import StoreContract, world
from tests.contract.store_life_contract import StoreLifeContract
from tests.fakes.dynamodb_local import DynamoLocal, unavailable
from tests.fakes.dynamodb_office import DynamoOffice

__all__ = ["world"]


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DynamoLocal]:
    if reason := unavailable():
        pytest.skip(reason)
    running = DynamoLocal(tmp_path_factory.mktemp("dynamodb-local"))
    yield running
    running.close()


@pytest.fixture
def office(local: DynamoLocal) -> DynamoOffice:
    return DynamoOffice(local.client)


class TestStore(StoreContract, StoreLifeContract):
    pass
