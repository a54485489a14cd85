"""kinesis-mock for tests: installed into build/, where nothing but a new version fetches it again."""

from functools import cache
from pathlib import Path
from typing import Final

from isthmus.console.dev import kinesis_mock

HOME: Final = Path(__file__).parents[2] / "build" / "dev"
"""The install folder of tests."""


@cache
def unavailable() -> str:
    """Say why kinesis-mock cannot run here, or nothing. Fetches it the first time."""
    return kinesis_mock.unavailable(HOME)


class KinesisMock(kinesis_mock.KinesisMock):
    """One running kinesis-mock, in memory. Tests share it: name what you make with `isthmus.chance.unique_name`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, home=HOME)
