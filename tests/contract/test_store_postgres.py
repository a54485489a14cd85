"""The PostgreSQL store, as every store, and where it is special."""

from collections.abc import Iterator

import pytest

from tests.contract import store_machine
from tests.contract.store_contract import StoreContract, world
from tests.contract.store_effects_contract import StoreEffectsContract, bank
from tests.contract.store_gates_contract import StoreGatesContract
from tests.contract.store_gates_machine import run_machine
from tests.contract.store_letters_contract import StoreLettersContract
from tests.contract.store_life_contract import StoreLifeContract
from tests.contract.store_outbox_contract import StoreOutboxContract
from tests.contract.store_redrive_contract import StoreRedriveContract
from tests.contract.store_redrive_many_contract import StoreRedriveManyContract
from tests.contract.store_transaction_contract import StoreTransactionContract
from tests.contract.store_types_contract import StoreTypesContract
from tests.contract.store_values_contract import StoreValuesContract, desk
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer

__all__ = ["bank", "desk", "world"]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    return database.fresh()


class TestStore(StoreContract, StoreLifeContract, StoreTransactionContract, StoreEffectsContract, StoreValuesContract):
    pass


class TestOutbox(StoreOutboxContract):
    pass


class TestLetters(StoreLettersContract):
    pass


class TestRedrive(StoreRedriveContract):
    pass


class TestRedriveOfMany(StoreRedriveManyContract):
    pass


class TestGates(StoreGatesContract):
    pass


def test_any_life_behind_gates_is_as_the_model_says(database: PostgresOffice) -> None:
    run_machine(database.fresh, few=True)


class TestTypes(StoreTypesContract):
    pass


def test_a_whole_life_of_the_store_is_as_the_model_says_after_each_step(database: PostgresOffice) -> None:
    store_machine.run(database.fresh, few=database.few)
