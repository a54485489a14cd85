"""A child of the library's daemon on every front office."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.kcl_fences_contract import KclFencesContract
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.sqlite_office import SqliteOffice


class TestSqlite(KclFencesContract):
    @pytest.fixture
    def office(self, tmp_path: Path) -> SqliteOffice:
        return SqliteOffice(tmp_path)


class TestPostgres(KclFencesContract):
    @pytest.fixture
    def office(self, postgres: PostgresServer) -> Iterator[PostgresOffice]:
        made = PostgresOffice(postgres)
        yield made.fresh()
        made.close()


class TestDynamoDb(KclFencesContract):
    @pytest.fixture
    def office(self, emulator: Emulator) -> DynamoOffice:
        return DynamoOffice(emulator.client("dynamodb"))
