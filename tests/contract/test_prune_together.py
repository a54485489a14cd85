"""Several workers that prune one front office at once, in every store."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.contract.prune_together_contract import PruneTogetherContract
from tests.contract.store_contract import world
from tests.fakes.dynamodb_office import DynamoOffice
from tests.fakes.emulator import Emulator
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.sqlite_office import SqliteOffice

__all__ = ["world"]


class TestSqlite(PruneTogetherContract):
    @pytest.fixture
    def office(self, tmp_path: Path) -> SqliteOffice:
        return SqliteOffice(tmp_path)


class TestPostgres(PruneTogetherContract):
    @pytest.fixture
    def office(self, postgres: PostgresServer) -> Iterator[PostgresOffice]:
        made = PostgresOffice(postgres)
        yield made.fresh()
        made.close()


class TestDynamoDb(PruneTogetherContract):
    @pytest.fixture
    def office(self, emulator: Emulator) -> DynamoOffice:
        return DynamoOffice(emulator.client("dynamodb"))
