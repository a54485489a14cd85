"""How a SQLite front office takes a mapping of the user's: several key columns, rows by a function, types that fit."""

import sqlite3
from pathlib import Path

import pytest

from isthmus.change import Kind, Outcome
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.errors import IsthmusError, Missing, Refused
from isthmus.pipeline import RowFunction
from tests.contract.store_mapping_contract import StoreMappingContract, desk
from tests.fakes.sqlite_office import SqliteOffice
from tests.fakes.store_world import delete, upsert

APPLIED, PARKED = Outcome.APPLIED, Outcome.PARKED
KEYS = {"no": "{2}", "day": "{3}"}
TWO = "CREATE TABLE leg (day TEXT, no TEXT, size INTEGER, version TEXT, PRIMARY KEY (day, no));"
LEG = TableMapping("leg", version_column="version", columns={"size": "size"}, key_columns=KEYS)


@pytest.fixture
def office(tmp_path: Path) -> SqliteOffice:
    return SqliteOffice(tmp_path)


class TestMapping(StoreMappingContract):
    pass


@pytest.mark.parametrize(
    "table", [TWO, "CREATE TABLE leg (day, no, size, version); CREATE UNIQUE INDEX u ON leg (no, day);"]
)
def test_a_key_lies_in_several_columns(tmp_path: Path, table: str) -> None:
    office = SqliteOffice(tmp_path, table)
    with desk(office, LEG) as made:
        assert (
            made.apply(upsert(1, "thing/7/mon"), upsert(1, "thing/7/tue"), upsert(2, "thing/007/mon")) == [APPLIED] * 3
        )
        assert made.apply(upsert(2, "thing/7/mon"), delete(2, "thing/7/tue"), upsert(1, "thing/7")) == [
            APPLIED,
            APPLIED,
            PARKED,
        ]
        assert office.run("SELECT no, day, size FROM leg ORDER BY no") == [("007", "mon", 2), ("7", "mon", 2)]
        told = [row and (row["no"], row["day"], row["size"]) for row in made.previous]
        assert told == [None, None, None, ("7", "mon", 1), ("7", "tue", 1)]


def test_a_key_and_nothing_else_is_a_row_too(tmp_path: Path) -> None:
    office = SqliteOffice(tmp_path, TWO)
    with desk(office, TableMapping("leg", key_columns=KEYS)) as made:
        assert made.apply(upsert(1, "thing/7/mon"), upsert(2, "thing/7/mon")) == [APPLIED, APPLIED]
        assert office.run("SELECT no, day FROM leg") == [("7", "mon")]


def test_a_value_of_a_row_function_that_its_column_would_change_is_parked(office: SqliteOffice) -> None:
    row = RowFunction(("size",), lambda state: {"size": "007" if state["size"] == 7 else 1})
    with desk(office, TableMapping("thing", columns={"size": "size"}, values=row.row)) as made:
        assert made.apply(upsert(7), upsert(8, "b")) == [PARKED, APPLIED]


def test_a_strict_table_is_known_under_whatever_case_its_name_is_written_in(tmp_path: Path) -> None:
    office = SqliteOffice(tmp_path, "CREATE TABLE Leg (key TEXT PRIMARY KEY, size ANY) STRICT;")
    with desk(office, TableMapping("leg", columns={"size": "size"})) as made:
        assert made.apply(upsert(1)._replace(data={"size": "007"})) == [APPLIED]
        assert office.run("SELECT size FROM leg") == [("007",)]


def refusal(folder: Path, table: str, mapping: TableMapping, **types: set[str]) -> IsthmusError:
    office = SqliteOffice(folder, table)
    entity = Entity("leg", Kind.STATE, mapping, None, types={name: frozenset(words) for name, words in types.items()})
    with pytest.raises((Missing, Refused)) as caught:
        SqliteStore(office.path, [entity]).check([entity])
    assert "leg" in caught.value.message
    return caught.value


@pytest.mark.parametrize(
    "table, named",
    [
        ("", "no table 'leg'"),
        ("CREATE TABLE leg (no TEXT, size, version);", "no column 'day'"),
        ("CREATE TABLE leg (no TEXT, day TEXT, size, version);", "no unique index on 'no' and 'day' alone"),
        ("CREATE TABLE leg (no TEXT PRIMARY KEY, day TEXT, size, version);", "no unique index on"),
        ("CREATE TABLE leg (no TEXT, day TEXT, size, version, UNIQUE (no, day, size));", "no unique index on"),
        ("CREATE TABLE leg (no TEXT COLLATE NOCASE, day TEXT, size, version, UNIQUE (no, day));", "byte by byte"),
    ],
)
def test_hints_for_several_key_columns_mend_what_they_name(tmp_path: Path, table: str, named: str) -> None:
    error = refusal(tmp_path, table, LEG)
    assert named in error.message
    office = SqliteOffice(tmp_path, table)
    entity = Entity("leg", Kind.STATE, LEG, None)
    store = SqliteStore(office.path, [entity])
    office.run(error.hint.removeprefix("Run: "))
    if "no column" in named:
        office.run("CREATE UNIQUE INDEX mended ON leg (day, no)")
    store.check([entity])


def test_a_key_column_of_numbers_is_refused(tmp_path: Path) -> None:
    table = TWO.replace("no TEXT", "no INTEGER")
    assert "column 'no' of table 'leg' must hold text as it is" in refusal(tmp_path, table, LEG).message


def test_a_key_column_that_a_field_goes_to_is_refused(tmp_path: Path) -> None:
    mapping = TableMapping("leg", columns={"number": "NO"}, key_columns=KEYS)
    assert "would get two values" in refusal(tmp_path, TWO, mapping).message


def test_a_view_is_refused_by_name(tmp_path: Path) -> None:
    error = refusal(tmp_path, TWO.replace("leg", "real") + " CREATE VIEW Leg AS SELECT 1", LEG)
    assert (error.message, error.hint) == (
        "Entity leg: 'leg' is a view.",
        "Name the table behind it as table under [entities.leg].",
    )


@pytest.mark.parametrize(
    "column, strict, types, named, hint",
    [
        ("size INT NOT NULL", "", {"integer", "null"}, "refuses NULL, which the contract allows", '"size" INT'),
        ("size TEXT NOT NULL DEFAULT ''", "", {"null"}, "refuses NULL, which the contract allows", '"size" TEXT'),
        (
            "size INTEGER",
            "STRICT",
            {"integer", "string"},
            "is INTEGER in a STRICT table, and the contract has string",
            "ANY",
        ),
        ("size INT", "STRICT", {"object", "null"}, "is INT in a STRICT table, and the contract has object", "ANY"),
        ("size REAL", "STRICT", {"date", "uuid"}, "is REAL in a STRICT table, and the contract has date, uuid", "ANY"),
        ("size BLOB", "STRICT", {"number"}, "is BLOB in a STRICT table, and the contract has number", "ANY"),
    ],
)
def test_a_column_that_cannot_hold_the_contract_is_refused(  # noqa: PLR0917 - a row of a table
    tmp_path: Path,
    column: str,
    strict: str,
    types: set[str],
    named: str,
    hint: str,
) -> None:
    table = f"CREATE TABLE leg (key TEXT PRIMARY KEY, {column}) {strict};"
    error = refusal(tmp_path, table, TableMapping("leg", columns={"size": "size"}), size=types)
    assert named in error.message
    assert error.hint == f"Make the table anew with: {hint}" if hint != "ANY" else error.hint.endswith('"size" ANY')


@pytest.mark.parametrize(
    "column, strict, types",
    [
        ("size INTEGER", "", {"string", "object"}),
        ("size TEXT", "", {"integer", "null"}),
        ("size TEXT", "STRICT", {"integer", "decimal", "object", "boolean"}),
        ("size ANY", "STRICT", {"string", "null"}),
        ("size INTEGER", "STRICT", {"integer", "number", "decimal", "boolean", "null"}),
        ("size REAL NOT NULL", "STRICT", {"number"}),
        ("size INTEGER NOT NULL", "STRICT", set[str]()),
        ("size BLOB", "STRICT", {"null"}),
    ],
)
def test_a_column_that_may_hold_the_contract_is_taken(
    tmp_path: Path,
    column: str,
    strict: str,
    types: set[str],
) -> None:
    office = SqliteOffice(tmp_path, f"CREATE TABLE Leg (key TEXT PRIMARY KEY, {column}) {strict};")
    mapping = TableMapping("leg", columns={"size": "size"})
    entity = Entity("leg", Kind.STATE, mapping, None, types={"size": frozenset(types)})
    SqliteStore(office.path, [entity]).check([entity])


def test_a_store_says_which_schema_version_is_there_and_which_it_makes(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "office.db", [])
    assert store.versions() == (None, 1)
    assert list(tmp_path.iterdir()) == []
    sqlite3.connect(tmp_path / "office.db").close()
    assert store.versions() == (None, 1)
    store.prepare()
    assert store.versions() == (1, 1)
