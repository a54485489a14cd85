"""Handlers that misbehave, in SQLite."""

from pathlib import Path

import pytest

from tests.contract.handlers_contract import StatementsContract, desk, hurried
from tests.fakes.sqlite_office import SqliteOffice

__all__ = ["desk", "hurried"]


class TestHandlers(StatementsContract):
    @pytest.fixture
    def office(self, tmp_path: Path) -> SqliteOffice:
        return SqliteOffice(tmp_path)

    @pytest.fixture
    def endless(self) -> str:
        return "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
