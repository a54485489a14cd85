"""The SQLite store, as every store, and where it is special."""

import shutil
import sqlite3

from contextlib import closing, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from isthmus.change import Kind, Outcome
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.sqlite.errors import WrongStatement, translate
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.errors import Fatal, IsthmusError, Missing, Poison, Refused, TargetDown, Transient
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.contract.store_contract import BATCH, StoreContract, World, delete, delivered, event, upsert, world
from tests.fakes.clock import FakeClock
from tests.fakes.sqlite_office import TABLES, SqliteOffice

__all__ = ["world"]

APPLIED, PARKED = Outcome.APPLIED, Outcome.PARKED


@pytest.fixture
def office(tmp_path: Path) -> SqliteOffice:
    return SqliteOffice(tmp_path)


class TestStore(StoreContract):
    pass


# Durability


def test_every_commit_is_on_disk(office: SqliteOffice) -> None:
    with closing(SqliteStore(office.path, []).session()) as session:
        assert session._connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert session._connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_that_cannot_have_a_write_ahead_log_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **others: connect(":memory:", isolation_level=None))
    with pytest.raises(Refused, match="local disk"):
        SqliteStore(tmp_path / "any", []).prepare()


def test_a_process_killed_before_any_statement_leaves_nothing_behind(office: SqliteOffice) -> None:
    # The files as they are at that moment are what the next process finds.
    world = World(office)
    with closing(world):
        world.apply(upsert(1, "c"))
        before = world.state()
        copies: list[SqliteOffice] = []
        real = world.session._connection  # type: ignore[attr-defined]

        class Copying:
            in_transaction = property(lambda _: real.in_transaction)

            def execute(self, statement: str, *rest: Any) -> Any:
                self.copy()
                return real.execute(statement, *rest)

            def executemany(self, statement: str, *rest: Any) -> Any:
                self.copy()
                return real.executemany(statement, *rest)

            def copy(self) -> None:
                copy = office.fresh()
                for end in ("", "-wal"):
                    shutil.copyfile(f"{office.path}{end}", f"{copy.path}{end}")
                copies.append(copy)

        world.session._connection = Copying()  # type: ignore[attr-defined]
        world.apply(*BATCH)
        world.session._connection = real  # type: ignore[attr-defined]
        after = world.state()
        ends = []
        for copy in copies:
            world.office = copy
            ends.append(world.state())
        assert len(ends) > len(BATCH)
        assert ends == [before] * len(ends)
        assert after != before


# Values


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
        ("NUMERIC", Decimal("1E126") + 1),
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


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    declared=st.sampled_from(["TEXT", "", "INTEGER", "REAL", "NUMERIC"]),
    value=st.one_of(
        st.integers(), st.integers(-(2**65), 2**65), st.floats(), st.decimals(allow_nan=False, allow_infinity=False, places=3),
        st.from_regex(r"\A[ +-]?[0-9]{0,20}\.?[0-9]{0,20}(e[0-9]{1,3})?\Z"), st.text(), st.booleans(),
    ),
)  # fmt: skip
def test_no_value_is_changed_in_silence(values_office: SqliteOffice, declared: str, value: Any) -> None:
    outcome, found, _ = held_again(values_office, declared, value)
    if outcome is PARKED:
        return
    if isinstance(found, str) or isinstance(value, str):
        same = str(value) == str(found) if isinstance(found, str) else Decimal(value) == Decimal(repr(found))
        assert same or (isinstance(value, bool) and found == str(int(value)))
    else:
        exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        assert exact == (Decimal(repr(found)) if isinstance(found, float) else found)


@pytest.fixture
def values_office(tmp_path: Path) -> SqliteOffice:
    columns = ", ".join(f'"{name}" {name}' for name in ("TEXT", "INTEGER", "REAL", "NUMERIC"))
    return SqliteOffice(tmp_path, f'CREATE TABLE thing (key TEXT PRIMARY KEY, {columns}, "");')


def held_again(office: SqliteOffice, declared: str, value: object) -> tuple[Outcome | None, Any, str]:
    """Do as `held` on a table that has a column for each type."""
    office.run("DELETE FROM isthmus_guard")
    office.run("DELETE FROM isthmus_parked")
    office.run("DELETE FROM thing")
    entity = Entity("thing", Kind.STATE, TableMapping("thing", columns={"v": declared}), None)
    with closing(office.store([entity]).session()) as session:
        applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=False)
        (outcome,) = applier.apply([delivered(upsert(1)._replace(data={"v": value}))])
    rows = office.run(f'SELECT "{declared}", 1 FROM thing')
    return (outcome, *(rows[0] if rows else (None, "")))


def test_data_that_is_no_object_or_lacks_a_field_is_parked(world: World) -> None:
    bad = [upsert(n)._replace(data=data) for n, data in enumerate((None, [1], "x", {"size": 1}), start=1)]
    assert world.apply(*bad) == [PARKED] * 4
    assert {row["reason"] for row in world.office.own("parked")} == {"contract"}


# Refusals that take the whole transaction with them

ROLLING_BACK = {
    "conflict clause": "CREATE TABLE thing (key TEXT PRIMARY KEY, size INTEGER UNIQUE ON CONFLICT ROLLBACK, note, version TEXT);",
    "trigger": """CREATE TABLE thing (key TEXT PRIMARY KEY, size INTEGER, note, version TEXT);
        CREATE TRIGGER t BEFORE INSERT ON thing WHEN EXISTS (SELECT 1 FROM thing WHERE size = NEW.size)
        BEGIN SELECT RAISE(ROLLBACK, 'no'); END;""",
    "deferred key": """CREATE TABLE size (size INTEGER PRIMARY KEY); INSERT INTO size VALUES (1), (2), (3);
        CREATE TABLE thing (key TEXT PRIMARY KEY, note, version TEXT,
        size INTEGER REFERENCES size (size) DEFERRABLE INITIALLY DEFERRED);""",
}


@pytest.mark.parametrize("how", ROLLING_BACK)
def test_a_refusal_that_undoes_the_transaction_parks_its_change_alone(tmp_path: Path, how: str) -> None:
    office = SqliteOffice(tmp_path, ROLLING_BACK[how] + "CREATE TABLE effect (txn TEXT PRIMARY KEY, times INTEGER);")
    world = World(office)
    bad = 9 if how == "deferred key" else 1
    batch = [upsert(1, "a"), event(1, "e"), upsert(1, "b", size=2), upsert(1, "bad", size=bad), upsert(1, "c", size=3)]
    with closing(world):
        assert world.apply(*batch) == [APPLIED, APPLIED, APPLIED, PARKED, APPLIED]
        assert world.parked() == [("bad-1", "constraint")]
        assert world.effects() == {"a-1": 1, "e-1": 1, "b-1": 1, "c-1": 1}
        assert [row["key"] for row in office.rows("thing")] == ["a", "b", "c"]


def test_nothing_that_a_handler_runs_can_leave_the_transaction(office: SqliteOffice) -> None:
    statements = ["COMMIT", "/* x */ -- y\n commit", "\ufeffEND", "ROLLBACK", "SAVEPOINT s", "RELEASE part", "BEGIN"]
    statements += [
        "ATTACH ':memory:' AS other",
        "PRAGMA synchronous = 0",
        "VACUUM",
        "selec",
        "SELECT 1; COMMIT",
        "",
        "EXPLAIN SELECT 1",
    ]
    statements += ["SELECT * FROM nowhere", "SELECT ?"]
    tried: list[str] = []

    def handler(tx: Transaction, _change: Any, _previous: Row | None) -> None:
        for statement in statements:
            with pytest.raises(Poison):
                tx.execute(statement)
            tried.append(statement)
        with pytest.raises(Poison):
            tx.execute("SELECT ?", (object(),))
        assert tx.execute(" -- fine\n with t as (select 1) SELECT * FROM t") == [(1,)]
        tx.execute("INSERT INTO effect VALUES ('x', 1)")
        raise ValueError

    entity = Entity("thing", Kind.STATE, None, None, (handler,))
    with closing(SqliteStore(office.path, [entity]).session()) as session:
        applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=True)
        assert applier.apply([delivered(upsert(1))]) == [PARKED]
    assert tried[: len(statements)] == statements
    assert office.rows("effect") == []


def test_a_handler_that_rolls_back_on_conflict_is_parked_and_the_rest_stays(office: SqliteOffice) -> None:
    def handler(tx: Transaction, change: Any, _previous: Row | None) -> None:
        with suppress(IsthmusError):
            tx.execute("INSERT OR ROLLBACK INTO effect VALUES ('same', 1)")
        with suppress(IsthmusError):
            tx.execute("INSERT INTO effect VALUES (?, 1)", (change.id,))

    entity = Entity("thing", Kind.STATE, None, None, (handler,))
    with closing(SqliteStore(office.path, [entity]).session()) as session:
        applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=True)
        batch = [delivered(upsert(1, "a")), delivered(upsert(1, "b"))]
        assert applier.apply(batch) == [APPLIED, PARKED]
    assert [row["txn"] for row in office.rows("effect")] == ["a-1", "same"]


def test_a_delete_makes_room_for_what_comes_after_it(tmp_path: Path) -> None:
    tables = TABLES.replace("note TEXT", "note TEXT UNIQUE")
    world = World(SqliteOffice(tmp_path, tables))
    with closing(world):
        world.apply(upsert(1, "a", note="only"))
        assert world.apply(delete(2, "a"), upsert(1, "b", note="only")) == [APPLIED, APPLIED]
        assert world.apply(upsert(1, "c", note="only"), delete(2, "b")) == [PARKED, APPLIED]


def test_our_own_tables_refusing_a_row_stops_the_process_and_parks_nothing(world: World) -> None:
    office = world.office
    assert isinstance(office, SqliteOffice)
    office.run("CREATE TRIGGER t BEFORE INSERT ON isthmus_guard BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(Fatal):
        world.apply(upsert(1))
    assert not any(world.state().values())


def test_a_table_that_is_gone_stops_the_process_and_parks_nothing(world: World) -> None:
    office = world.office
    assert isinstance(office, SqliteOffice)
    office.run("ALTER TABLE thing RENAME TO gone")
    with pytest.raises(Fatal, match="no such table"):
        world.apply(upsert(1))
    assert office.own("parked") == []


# Errors


def error_of(code: int) -> sqlite3.Error:
    error = sqlite3.OperationalError("text")
    error.sqlite_errorcode = code
    return error


@pytest.mark.parametrize(
    "code, expected",
    [
        (sqlite3.SQLITE_BUSY, Transient),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Transient),
        (sqlite3.SQLITE_LOCKED, Transient),
        (sqlite3.SQLITE_INTERRUPT, Transient),
        (sqlite3.SQLITE_FULL, TargetDown),
        (sqlite3.SQLITE_IOERR_FSYNC, TargetDown),
        (sqlite3.SQLITE_CANTOPEN, TargetDown),
        (sqlite3.SQLITE_READONLY, TargetDown),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, Poison),
        (sqlite3.SQLITE_TOOBIG, Poison),
        (sqlite3.SQLITE_MISMATCH, Poison),
        (sqlite3.SQLITE_ERROR, WrongStatement),
        (sqlite3.SQLITE_CORRUPT, Fatal),
        (sqlite3.SQLITE_NOTADB, Fatal),
    ],
)
def test_an_error_says_what_happens_next(code: int, expected: type[IsthmusError]) -> None:
    assert type(translate(error_of(code))) is expected


def test_running_out_of_memory_is_an_outage() -> None:
    assert isinstance(translate(MemoryError()), TargetDown)


def test_a_damaged_file_met_by_a_handler_parks_nothing(world: World) -> None:
    world.office.break_at(world.session, 0, error_of(sqlite3.SQLITE_CORRUPT), only="INTO effect")
    with pytest.raises(Fatal):
        world.apply(upsert(1))
    assert not any(world.state().values())


def test_a_full_disk_that_undid_everything_lets_nothing_be_committed_behind_the_unit(world: World) -> None:
    office = world.office
    assert isinstance(office, SqliteOffice)
    real = world.session._connection  # type: ignore[attr-defined]

    class Full:
        in_transaction = property(lambda _: real.in_transaction)
        executemany = real.executemany

        def execute(self, statement: str, *rest: Any) -> Any:
            if "INTO effect" in statement and real.in_transaction:
                # What SQLite does by itself on such an error (sqlite.org, "BEGIN TRANSACTION").
                real.execute("ROLLBACK")
                raise error_of(sqlite3.SQLITE_FULL)
            return real.execute(statement, *rest)

    world.told.swallows = True
    world.session._connection = Full()  # type: ignore[attr-defined]
    with pytest.raises(TargetDown):
        world.apply(upsert(1))
    assert not any(world.state().values())


def test_a_missing_file_is_an_outage_and_makes_no_new_one(tmp_path: Path) -> None:
    with pytest.raises(TargetDown):
        SqliteStore(tmp_path / "nowhere.db", []).session()
    assert list(tmp_path.iterdir()) == []


# Setting up


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


def test_a_dry_run_makes_nothing(tmp_path: Path) -> None:
    assert SqliteStore(tmp_path / "office.db", []).prepare(dry_run=True)
    assert list(tmp_path.iterdir()) == []


def test_preparing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "office.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE VIEW isthmus_history AS SELECT 1")
    with suppress(IsthmusError):
        SqliteStore(path, []).prepare()
    with closing(sqlite3.connect(path)) as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sqlite_schema")]
    assert names == ["isthmus_history"]


def test_the_reader_of_a_file_without_our_tables_names_the_command(tmp_path: Path) -> None:
    office = SqliteOffice(tmp_path)
    office.run("DROP TABLE isthmus_parked")
    with pytest.raises(Missing, match="isthmus setup"):
        office.reader().counts()
    office.path.unlink()
    with pytest.raises(Missing, match="isthmus setup"):
        office.reader().trace("k")


def test_pruning_leaves_the_writers_place_between_portions(world: World) -> None:
    world.apply(*[delete(1, f"k{number}") for number in range(4)])
    begun = world.clock.now_ms() + 1
    outcomes: list[Any] = []

    class Between:
        def requested(self) -> bool:
            # Asked before each portion: somebody else decides meanwhile, and one of what was found comes alive.
            if len(outcomes) < 2:
                outcomes.extend(world.apply(upsert(2 + len(outcomes), "k3")))
            return False

        def wait(self, _seconds: float) -> bool:
            raise AssertionError

    pruned = world.store.prune(memory_before_ms=begun, history_before_ms=0, stop=Between(), portion=1)
    assert outcomes == [APPLIED, APPLIED]
    assert pruned.guards == 3
    assert [row["key"] for row in world.office.own("guard")] == ["k3"]
