"""How a PostgreSQL front office takes a mapping of the user's."""

from collections.abc import Iterator

import pytest

from tests.contract.store_mapping_contract import StoreMappingContract
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    return database.fresh()


class TestMapping(StoreMappingContract):
    pass
