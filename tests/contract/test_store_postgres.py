"""The PostgreSQL store, as every store, and where it is special."""

from collections.abc import Iterator

import pytest

from tests.contract.store_contract import StoreContract, world
from tests.contract.store_life_contract import StoreLifeContract
from tests.contract.store_transaction_contract import StoreTransactionContract
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer

__all__ = ["world"]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    return database.fresh()


class TestStore(StoreContract, StoreLifeContract, StoreTransactionContract):
    pass
