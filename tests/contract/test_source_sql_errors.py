"""What the errors of a back office's database mean for its source."""

import sqlite3
from typing import Any

import pytest
from sqlalchemy.exc import InterfaceError, OperationalError, ProgrammingError

from isthmus.errors import UNKNOWN, Fatal, Refused, TargetDown, Transient
from isthmus.producer.sources import sql_engine
from isthmus.producer.sources.sql_engine import meaning, read_only_engine


def test_an_error_of_sqlite_without_a_result_code_is_of_unknown_cause() -> None:
    meant = meaning(OperationalError("s", {}, sqlite3.OperationalError("a secret value")), "stock")
    assert isinstance(meant, Transient)
    assert meant.cause == UNKNOWN
    assert "secret" not in str(meant)


@pytest.mark.parametrize(
    "code,kind",
    [
        (sqlite3.SQLITE_ERROR, Refused),
        (sqlite3.SQLITE_AUTH, Refused),
        (sqlite3.SQLITE_RANGE, Refused),
        (sqlite3.SQLITE_CORRUPT, Refused),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Transient),
        (sqlite3.SQLITE_IOERR_READ, TargetDown),
        (sqlite3.SQLITE_CANTOPEN, TargetDown),
    ],
)
def test_a_result_code_of_sqlite_says_what_happens_next(code: int, kind: type[Exception]) -> None:
    error = sqlite3.OperationalError("a secret value")
    error.sqlite_errorcode = code
    assert type(meaning(OperationalError("s", {}, error), "stock")) is kind


@pytest.mark.parametrize("module,way", [("psycopg", "isthmus\\[postgres\\]"), ("pymssql", "Install pymssql")])
def test_a_driver_that_is_not_installed_is_named_with_the_way_to_get_it(
    monkeypatch: pytest.MonkeyPatch, module: str, way: str
) -> None:
    def absent(*_: Any, **__: Any) -> None:
        raise ModuleNotFoundError(name=module)

    monkeypatch.setattr(sql_engine, "create_engine", absent)
    with pytest.raises(Fatal, match=way):
        read_only_engine("postgresql+psycopg://x", 1.0)


class DriverError(Exception):
    """What PostgreSQL's drivers raise."""

    def __init__(self, sqlstate: str = "") -> None:
        super().__init__("a secret value")
        self.sqlstate = sqlstate


@pytest.mark.parametrize(
    "error,kind,cause",
    [
        (OperationalError("s", {}, DriverError()), TargetDown, "down"),
        (InterfaceError("s", {}, DriverError()), TargetDown, "down"),
        (ProgrammingError("s", {}, DriverError(), connection_invalidated=True), TargetDown, "down"),
        (OperationalError("s", {}, DriverError("57014")), Transient, "timeout"),
        (ProgrammingError("s", {}, DriverError()), Refused, ""),
    ],
)
def test_an_error_of_the_driver_says_what_happens_next_without_its_words(
    error: OperationalError, kind: type[Exception], cause: str
) -> None:
    meant = meaning(error, "stock")
    assert type(meant) is kind
    assert getattr(meant, "cause", "") == cause
    assert "secret" not in str(meant)
