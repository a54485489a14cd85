"""Reference tables of a SQL back office."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from isthmus.errors import Fatal, Missing, Refused, TargetDown
from isthmus.producer.sources import references
from isthmus.producer.sources.budget import QueryBudget
from isthmus.producer.sources.references import NoReferences, ReferenceTable, SqlReferences
from tests.fakes.clock import FakeClock

TABLES = {"carriers": ReferenceTable("CARRIER", ("CODE",)), "rates": ReferenceTable("RATE", ("FROM", "TO"))}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    file = tmp_path / "back-office.db"
    connection = sqlite3.connect(file)
    connection.execute("CREATE TABLE CARRIER (CODE TEXT, NAME TEXT)")
    connection.execute('CREATE TABLE RATE ("FROM" TEXT, "TO" TEXT, RATE REAL)')
    connection.execute("INSERT INTO CARRIER VALUES ('UA', 'United'), ('AA', 'American')")
    connection.execute("INSERT INTO RATE VALUES ('EUR', 'USD', 1.25), ('USD', 'EUR', 0.8)")
    connection.commit()
    connection.close()
    return file


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def tables(file: Path, clock: FakeClock) -> Iterator[SqlReferences]:
    tables = SqlReferences(f"sqlite:///{file}", TABLES, clock=clock, reload_interval=60)
    yield tables
    tables.close()


def change(file: Path, statement: str) -> None:
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute(statement)
    connection.close()


def test_rows_are_found_by_their_key_and_by_a_tuple_where_it_has_several_columns(tables: SqlReferences) -> None:
    tables.refresh_if_due()
    assert tables.table("carriers")["UA"] == {"CODE": "UA", "NAME": "United"}
    assert tables.table("rates")["EUR", "USD"]["RATE"] == 1.25
    assert "XX" not in tables.table("carriers")


def test_tables_cannot_be_changed_by_who_looks_things_up(tables: SqlReferences) -> None:
    tables.refresh_if_due()
    with pytest.raises(TypeError):
        tables.table("carriers")["UA"]["NAME"] = "x"  # type: ignore[index]
    with pytest.raises(TypeError):
        tables.table("carriers")["XX"] = {}  # type: ignore[index]


def test_tables_are_loaded_again_once_the_interval_has_passed(
    tables: SqlReferences, file: Path, clock: FakeClock
) -> None:
    tables.refresh_if_due()
    change(file, "UPDATE CARRIER SET NAME = 'Newer' WHERE CODE = 'UA'")
    clock.move(59)
    tables.refresh_if_due()
    assert tables.table("carriers")["UA"]["NAME"] == "United"
    clock.move(1)
    tables.refresh_if_due()
    assert tables.table("carriers")["UA"]["NAME"] == "Newer"


def test_a_lookup_never_waits_for_the_back_office(tables: SqlReferences, file: Path, clock: FakeClock) -> None:
    tables.refresh_if_due()
    file.unlink()
    clock.move(1000)
    assert tables.table("carriers")["UA"]["NAME"] == "United"


def test_tables_that_cannot_be_loaded_again_stay_all_of_them_and_it_is_said_once(
    tables: SqlReferences, file: Path, clock: FakeClock
) -> None:
    tables.refresh_if_due()
    change(file, "UPDATE CARRIER SET NAME = 'Newer' WHERE CODE = 'UA'")
    change(file, "ALTER TABLE RATE RENAME TO GONE")
    with structlog.testing.capture_logs() as said:
        for _ in range(3):
            clock.move(60)
            tables.refresh_if_due()
        assert tables.table("carriers")["UA"]["NAME"] == "United", "all or none"
        assert tables.table("rates")["EUR", "USD"]["RATE"] == 1.25
        change(file, "ALTER TABLE GONE RENAME TO RATE")
        clock.move(59)
        tables.refresh_if_due()
        assert tables.table("carriers")["UA"]["NAME"] == "United", (
            "an attempt that failed is an interval away from the next"
        )
        clock.move(1)
        tables.refresh_if_due()
        assert tables.table("carriers")["UA"]["NAME"] == "Newer"
    assert [line["event"] for line in said] == ["references_away", "references_back"]


def test_the_first_load_says_what_is_wrong(file: Path, clock: FakeClock) -> None:
    wrong = {
        "nowhere": ReferenceTable("NOWHERE", ("X",)),
        "no column": ReferenceTable("CARRIER", ("SHELF",)),
    }
    for where in wrong.values():
        tables = SqlReferences(f"sqlite:///{file}", {"x": where}, clock=clock)
        with pytest.raises(Missing, match=r"NOWHERE|SHELF"):
            tables.refresh_if_due()
        tables.close()
    tables = SqlReferences(f"sqlite:///{file}.not", TABLES, clock=clock)
    with pytest.raises(TargetDown):
        tables.refresh_if_due()
    tables.close()


def test_rows_that_share_a_key_are_refused(tables: SqlReferences, file: Path) -> None:
    change(file, "INSERT INTO CARRIER VALUES ('UA', 'Another')")
    with pytest.raises(Refused, match="CARRIER"):
        tables.refresh_if_due()


def test_a_table_that_is_too_large_is_refused(tables: SqlReferences, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "MOST_ROWS", 1)
    with pytest.raises(Refused, match="more than 1 rows"):
        tables.refresh_if_due()
    monkeypatch.setattr(references, "MOST_ROWS", 2)
    tables.refresh_if_due()


def test_an_unknown_table_and_one_used_before_it_was_loaded_are_fatal(tables: SqlReferences) -> None:
    with pytest.raises(Fatal, match="before it was loaded"):
        tables.table("carriers")
    with pytest.raises(Fatal, match="airports"):
        tables.table("airports")
    nothing = NoReferences()
    nothing.refresh_if_due()
    with pytest.raises(Fatal, match="airports"):
        nothing.table("airports")


def test_a_table_without_key_columns_is_refused(clock: FakeClock) -> None:
    with pytest.raises(ValueError, match="carriers"):
        SqlReferences("sqlite:////x", {"carriers": ReferenceTable("CARRIER", ())}, clock=clock)


def test_text_that_is_not_utf_8_spoils_no_reference_table(tables: SqlReferences, file: Path) -> None:
    change(file, "UPDATE CARRIER SET NAME = CAST(x'ff' AS TEXT) WHERE CODE = 'UA'")
    tables.refresh_if_due()
    assert tables.table("carriers")["UA"]["NAME"] == "\udcff"


def test_every_statement_of_a_load_is_paid_for(file: Path, clock: FakeClock) -> None:
    budget = QueryBudget(6, clock)
    tables = SqlReferences(f"sqlite:///{file}", TABLES, clock=clock, budget=budget, reload_interval=60)
    tables.refresh_if_due()
    assert budget.ready_in() == 0.0, "four of the five that may be used at once"
    clock.move(60.0)
    tables.refresh_if_due()
    tables.refresh_if_due()
    tables.close()
    budget.spend()
    assert budget.ready_in() == pytest.approx(10.0)
