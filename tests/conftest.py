"""Fixtures of every kind of test."""

from collections.abc import Iterator

import pytest

from tests.fakes.emulator import Emulator


@pytest.fixture(scope="session")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    """Give one AWS emulator for the whole session: `.url`, `.region`, `.client("dynamodb")`."""
    running = Emulator(tmp_path_factory.mktemp("ministack"))
    try:
        yield running
    finally:
        running.close()
