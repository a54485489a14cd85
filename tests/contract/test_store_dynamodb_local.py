"""The DynamoDB store on AWS's own DynamoDB Local, where Java and Maven are."""

from collections.abc import Iterator

import pytest

from tests.contract import store_machine
from tests.contract.store_contract import StoreContract, world
from tests.contract.store_life_contract import StoreLifeContract
from tests.contract.store_redrive_contract import StoreRedriveContract
from tests.contract.store_redrive_many_contract import StoreRedriveManyContract
from tests.contract.store_types_contract import StoreTypesContract
from tests.contract.store_values_contract import StoreValuesContract, desk
from tests.fakes.dynamodb_local import DynamoLocal, unavailable
from tests.fakes.dynamodb_office import DynamoOffice

__all__ = ["desk", "world"]


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


class TestTypes(StoreTypesContract):
    pass


class TestValues(StoreValuesContract):
    pass


class TestRedrive(StoreRedriveContract):
    pass


class TestRedriveOfMany(StoreRedriveManyContract):
    pass


def test_any_life_of_the_store_is_as_the_model_says(office: DynamoOffice) -> None:
    store_machine.run(office.fresh, few=office.few)
