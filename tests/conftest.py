"""Fixtures of every kind of test."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.fakes.emulator import Emulator
from tests.fakes.postgres_server import PostgresServer


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    """Undo what a test, or a command that it ran in this process, set up for the log."""
    before = structlog.get_config()
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.configure(**before)
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Give one AWS emulator for the whole session: `.url`, `.region`, `.client("dynamodb")`."""
    running = Emulator(tmp_path_factory.mktemp("ministack"))
    try:
        yield running
    finally:
        running.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """Give one PostgreSQL server for the whole session."""
    running = PostgresServer()
    try:
        yield running
    finally:
        running.end()
