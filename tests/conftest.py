"""Fixtures of every kind of test."""

import logging
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from tests.fakes.emulator import Emulator
from tests.fakes.postgres_server import PostgresServer

WAITING_FIRST = (
    "faults/test_kcl.py",
    "integration/test_kcl.py",
    "integration/test_demo_kcl.py",
    "integration/test_shards.py",
    "integration/test_demo_chaos.py",
    "integration/test_demo_episodes.py",
    "integration/test_infra_run.py",
    "integration/test_records_lost.py",
)
"""Files whose tests wait for processes, minutes long. Begun first, they leave the machine to others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the tests that wait before those that compute, everything else in its order."""
    here = Path(__file__).parent
    places = {here / name: place for place, name in enumerate(WAITING_FIRST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


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


@pytest.fixture(autouse=True)
def _users_modules_are_forgotten() -> Iterator[None]:
    """Undo that settings put their folder on the path: the next test's `pipeline.py` is another one."""
    before = list(sys.path)
    yield
    added = tuple(f"{place}/" for place in sys.path if place not in before)
    sys.path[:] = before
    if added:
        files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
        for name in [name for name, file in files.items() if file.startswith(added)]:
            del sys.modules[name]


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
