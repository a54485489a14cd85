"""Making and checking the tables of a SQLite front office."""

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from isthmus.change import Kind
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.errors import IsthmusError, Missing, Refused
from isthmus.metrics import Metrics
from tests.contract.store_types_contract import GuardTableContract
from tests.fakes.clock import FakeClock
from tests.fakes.sqlite_office import TABLES, SqliteOffice
from tests.fakes.store_world import APPLIED, World, delete, delivered, upsert


@pytest.fixture
def office(tmp_path: Path) -> SqliteOffice:
    return SqliteOffice(tmp_path)


def refusal(tmp_path: Path, table: str, **mapping: Any) -> IsthmusError:
    office = SqliteOffice(tmp_path, table)
    wanted = TableMapping("thing", "key", "version", {"size": "size"})
    entity = Entity("thing", Kind.STATE, TableMapping(**{**wanted_of(wanted), **mapping}), None)
    before = office.path.read_bytes()
    with pytest.raises((Missing, Refused)) as caught:
        SqliteStore(office.path, [entity]).check([entity])
    assert office.path.read_bytes() == before
    assert "thing" in caught.value.message
    return caught.value


def wanted_of(mapping: TableMapping) -> dict[str, Any]:
    return {name: getattr(mapping, name) for name in ("table", "key_column", "version_column", "columns")}


@pytest.mark.parametrize(
    "table, named, hint",
    [
        ("", "no table 'thing'", 'CREATE TABLE "thing" ("key" TEXT PRIMARY KEY, "size", "version");'),
        (
            "CREATE TABLE thing (key TEXT PRIMARY KEY, size)",
            "no column 'version'",
            'ALTER TABLE "thing" ADD COLUMN "version";',
        ),
        (
            "CREATE TABLE thing (key TEXT PRIMARY KEY, version)",
            "no column 'size'",
            'ALTER TABLE "thing" ADD COLUMN "size";',
        ),
        (
            "CREATE TABLE thing (key TEXT PRIMARY KEY, size, version, must INT NOT NULL)",
            "'must'",
            '"must" INT NOT NULL DEFAULT',
        ),
        (
            "CREATE TABLE thing (key TEXT, size, version)",
            "no unique index on 'key'",
            'CREATE UNIQUE INDEX "thing_key" ON "thing"',
        ),
        (
            "CREATE TABLE thing (key TEXT, size, version, PRIMARY KEY (key, size))",
            "no unique index",
            "CREATE UNIQUE INDEX",
        ),
        (
            "CREATE TABLE thing (key TEXT, size, version); CREATE INDEX i ON thing (key)",
            "no unique index",
            "UNIQUE INDEX",
        ),
        ("CREATE TABLE thing (key TEXT COLLATE NOCASE PRIMARY KEY, size, version)", "byte by byte", "COLLATE BINARY"),
        (
            "CREATE TABLE thing (key TEXT, size, version); CREATE UNIQUE INDEX i ON thing (key) WHERE size > 0",
            "no unique index",
            "CREATE UNIQUE INDEX",
        ),
        (
            "CREATE TABLE thing (key INTEGER PRIMARY KEY, size, version)",
            "'key' of table 'thing' must hold text",
            '"key" TEXT',
        ),
        ("CREATE TABLE thing (key TEXT PRIMARY KEY, size, version NUMERIC)", "'version'", '"version" TEXT'),
    ],
)
def test_check_names_what_does_not_fit_and_the_statement_that_mends_it(
    tmp_path: Path, table: str, named: str, hint: str
) -> None:
    error = refusal(tmp_path, table + ";")
    assert named in error.message
    assert hint in error.hint


def test_a_column_mapped_twice_is_refused(tmp_path: Path) -> None:
    table = "CREATE TABLE thing (key TEXT PRIMARY KEY, size, version);"
    assert "two values" in refusal(tmp_path, table, columns={"a": "size", "b": "SIZE"}).message


def test_hints_of_check_mend_what_they_name(tmp_path: Path) -> None:
    office = SqliteOffice(tmp_path, "CREATE TABLE other (a);")
    entity = Entity("thing", Kind.STATE, TableMapping('th"ing', "ke y", "version", {"size": "si;ze"}), None)
    store = SqliteStore(office.path, [entity])
    for step in ("", 'ALTER TABLE "th""ing" DROP COLUMN "si;ze"', 'DROP TABLE "th""ing"'):
        if step:
            office.run(step)
        with pytest.raises(Missing) as caught:
            store.check([entity])
        office.run(caught.value.hint.removeprefix("Run: "))
        store.check([entity])
    with closing(store.session()) as session:
        applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=True)
        assert applier.apply([delivered(upsert(1)), delivered(upsert(2)), delivered(delete(3))]) == [APPLIED] * 3


def test_names_of_columns_are_compared_as_sqlite_does(tmp_path: Path) -> None:
    office = SqliteOffice(
        tmp_path,
        "CREATE TABLE Thing (KEY TEXT PRIMARY KEY, Size INTEGER, VERSION TEXT, NOTE TEXT); " + TABLES.split("\n")[2],
    )
    world = World(office)
    with closing(world):
        world.store.check(world.entities)
        assert world.apply(upsert(1), upsert(2)) == [APPLIED, APPLIED]
        assert world.told.previous[1][1] == {"KEY": "k", "Size": 1, "VERSION": upsert(1).version, "NOTE": "fine"}


def test_check_without_our_own_tables_names_the_command(tmp_path: Path) -> None:
    path = tmp_path / "office.db"
    store = SqliteStore(path, [])
    with pytest.raises(Missing, match="isthmus setup"):
        store.check([])
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE isthmus_guard (key)")
    with pytest.raises(Missing, match="isthmus setup"):
        store.check([])


@pytest.mark.parametrize("version", ["2", "1.5", "new"])
def test_tables_of_a_newer_release_are_refused(office: SqliteOffice, version: str) -> None:
    office.run("UPDATE isthmus_meta SET value = ? WHERE name = 'schema_version'", (version,))
    for act in (SqliteStore(office.path, []).prepare, lambda: SqliteStore(office.path, []).check([])):
        with pytest.raises(Refused, match="newer release"):
            act()


def test_another_application_finds_the_file_taken(office: SqliteOffice) -> None:
    other = SqliteStore(office.path, [], application="billing")
    for act in (other.prepare, lambda: other.check([])):
        with pytest.raises(Refused, match=r"'isthmus'.*'billing'"):
            act()
    office.run("DELETE FROM isthmus_meta WHERE name = 'application'")
    with pytest.raises(Missing, match="does not say whose"):
        other.check([])
    other.prepare()
    other.check([])


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    assert SqliteStore(tmp_path / "office.db", []).prepare(dry_run=True)
    assert list(tmp_path.iterdir()) == []


def test_preparing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "office.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIEW isthmus_parked AS SELECT 1")
    with suppress(IsthmusError):
        SqliteStore(path, []).prepare()
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    assert names == ["isthmus_parked"]


def test_the_reader_of_a_file_without_our_tables_names_the_command(tmp_path: Path) -> None:
    office = SqliteOffice(tmp_path)
    office.run("DROP TABLE isthmus_parked")
    with pytest.raises(Missing, match="isthmus setup"):
        office.reader().counts()
    office.path.unlink()
    with pytest.raises(Missing, match="isthmus setup"):
        office.reader().trace("k")


class TestGuards(GuardTableContract):
    guard = "isthmus_guard"
