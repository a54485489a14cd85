"""Handlers that misbehave, in PostgreSQL."""

from collections.abc import Iterator

import pytest

from tests.contract.handlers_contract import StatementsContract, desk, hurried
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer

__all__ = ["desk", "hurried"]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


class TestHandlers(StatementsContract):
    @pytest.fixture
    def office(self, database: PostgresOffice) -> PostgresOffice:
        return database.fresh()

    @pytest.fixture
    def endless(self) -> str:
        return "SELECT pg_sleep(3600)"
