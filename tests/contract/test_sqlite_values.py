"""What becomes of a value in a column of a SQLite front office: held exactly, or parked with a reason."""

import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.change import Kind, Outcome
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.sqlite.rows import EntityStatements, affinities
from isthmus.errors import Poison
from isthmus.metrics import Metrics
from tests.contract.store_contract import world
from tests.fakes.clock import FakeClock
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import World, delivered, upsert

__all__ = ["world"]

APPLIED, PARKED = Outcome.APPLIED, Outcome.PARKED


@pytest.fixture
def office(tmp_path: Path) -> SqliteOffice:
    return SqliteOffice(tmp_path)


def held(
    office: SqliteOffice, declared: str, value: object, *, strict: bool = False
) -> tuple[Outcome | None, Any, str]:
    """Give outcome, what the column holds and its storage class, after this value came for a column of this type."""
    office.run("DROP TABLE thing")
    office.run(f"CREATE TABLE thing (key TEXT PRIMARY KEY, v {declared}){' STRICT' if strict else ''}")
    mapping = TableMapping("thing", columns={"v": "v"})
    entity = Entity("thing", Kind.STATE, mapping, None)
    with closing(office.store([entity]).session()) as session:
        applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=False)
        (outcome,) = applier.apply([delivered(upsert(1)._replace(data={"v": value}))])
    rows = office.run("SELECT v, typeof(v) FROM thing")
    return (outcome, *(rows[0] if rows else (None, "")))


@pytest.mark.parametrize(
    "declared, value, expected",
    [
        ("TEXT", "", ""),
        ("TEXT", None, None),
        ("TEXT", "007", "007"),
        ("TEXT", "a\0b", "a\0b"),
        ("TEXT", "x" * 400_000, "x" * 400_000),
        ("TEXT", 0.30000000000000004, "0.30000000000000004"),
        ("TEXT", 1e300, "1e+300"),
        ("TEXT", -0.0, "-0.0"),
        ("TEXT", 2**64, "18446744073709551616"),
        ("TEXT", Decimal("1E126"), "1E+126"),
        ("TEXT", Decimal("-0"), "-0"),
        ("TEXT", Decimal("9" * 39), "9" * 39),
        ("TEXT", "1969-12-31T23:59:59Z", "1969-12-31T23:59:59Z"),
        ("TEXT", "+12013-01-01T00:00:00Z", "+12013-01-01T00:00:00Z"),
        ("TEXT", True, "1"),
        ("TEXT", {"a": [1, None, Decimal("1.10")]}, '{"a":[1,null,1.10]}'),
        ("", 2**63 - 1, 2**63 - 1),
        ("", -(2**63), -(2**63)),
        ("", "007", "007"),
        ("", -0.0, -0.0),
        ("", b"\0\xff", b"\0\xff"),
        ("", Decimal("1.10"), "1.10"),
        ("INTEGER", 2**63 - 1, 2**63 - 1),
        ("INTEGER", True, 1),
        ("INTEGER", Decimal(5), 5),
        ("INTEGER", "9007199254740993", 9007199254740993),
        ("INTEGER", "abc", "abc"),
        ("INTEGER", 1.5, 1.5),
        ("INTEGER", 5.01110603644449e16, 50111060364444900),
        ("REAL", 0.1, 0.1),
        ("REAL", 2**53, float(2**53)),
        ("NUMERIC", Decimal("12.10"), 12.1),
        ("DECIMAL(10,2)", "12.10", 12.1),
        ("NUMERIC", Decimal("-0"), 0),
    ],
)
def test_a_value_that_fits_is_held_exactly(
    office: SqliteOffice, declared: str, value: object, expected: object
) -> None:
    outcome, found, _ = held(office, declared, value)
    assert outcome is APPLIED
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    "declared, value",
    [
        ("", 2**63),
        ("", -(2**63) - 1),
        ("", float("nan")),
        ("TEXT", float("inf")),
        ("TEXT", "half \ud800"),
        ("TEXT", {"half": "\udc00"}),
        ("TEXT", {1, 2}),
        ("INTEGER", 2**63),
        ("INTEGER", "007"),
        ("INTEGER", " 12 "),
        ("INTEGER", ".5"),
        ("REAL", 2**53 + 1),
        ("REAL", float("nan")),
        ("REAL", "1e400"),
        ("NUMERIC", Decimal("9" * 39)),
        ("NUMERIC", Decimal("1000000000000000000000000000000000000001E90")),
        ("NUMERIC", "0.12345678901234567890"),
        ("DECIMAL(10,2)", Decimal("9007199254740993.5")),
    ],
)
def test_a_value_that_does_not_fit_is_parked_with_a_reason(office: SqliteOffice, declared: str, value: object) -> None:
    outcome, found, storage = held(office, declared, value)
    assert (outcome, found, storage) == (PARKED, None, "")
    ((reason, message, event),) = office.run("SELECT reason, message, event FROM isthmus_parked")
    assert reason == "value"
    assert message
    assert b"k-1" in event


def test_a_strict_table_refuses_what_it_does_not_hold(office: SqliteOffice) -> None:
    assert held(office, "INTEGER", "abc", strict=True)[0] is PARKED
    assert held(office.fresh(), "ANY", "007", strict=True) == (APPLIED, "007", "text")


@settings(deadline=None)
@given(
    declared=st.sampled_from(["TEXT", "", "INTEGER", "REAL", "NUMERIC"]),
    value=st.one_of(
        st.integers(),
        st.integers(-(2**65), 2**65),
        st.floats(),
        st.decimals(allow_nan=False, allow_infinity=False, places=3),
        st.from_regex(r"\A[ +-]?[0-9]{0,20}\.?[0-9]{0,20}(e[0-9]{1,3})?\Z"),
        st.text(),
    ),
)
def test_no_value_is_changed_in_silence(declared: str, value: Any) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"CREATE TABLE thing (key TEXT PRIMARY KEY, v {declared})")
        mapping = TableMapping("thing", columns={"v": "v"})
        statements = EntityStatements("thing", mapping, affinities(connection, "thing"))
        try:
            row = statements.values(upsert(1)._replace(data={"v": value}))
        except Poison:
            return
        connection.execute(statements.upsert, row)
        ((found,),) = connection.execute("SELECT v FROM thing").fetchall()
    if declared in {"TEXT", ""} and not isinstance(value, float):
        assert str(found) == str(value)
    elif isinstance(found, str):
        assert found == (value if isinstance(value, str) else repr(value))
    else:
        assert Decimal(repr(found)) == Decimal(repr(value) if isinstance(value, float) else value)


def test_data_that_is_no_object_or_lacks_a_field_is_parked(world: World) -> None:
    bad = [upsert(n)._replace(data=data) for n, data in enumerate((None, [1], "x", {"size": 1}), start=1)]
    assert world.apply(*bad) == [PARKED] * 4
    assert {row["reason"] for row in world.office.own("parked")} == {"contract"}
