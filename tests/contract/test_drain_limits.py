"""Errors that may come only so often at a change, met while what was held is drained."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.drain_limits_contract import DrainLimitsContract
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.sqlite_office import SqliteOffice


class TestInSqlite(DrainLimitsContract):
    @pytest.fixture
    def office(self, tmp_path: Path) -> SqliteOffice:
        return SqliteOffice(tmp_path)


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


class TestInPostgres(DrainLimitsContract):
    @pytest.fixture
    def office(self, database: PostgresOffice) -> PostgresOffice:
        return database.fresh()


class TestInDynamoDb(DrainLimitsContract):
    @pytest.fixture
    def office(self, emulator: Emulator) -> DynamoOffice:
        return DynamoOffice(emulator.client("dynamodb"))
