"""The SQLite store, as every store, and where it is special."""

import shutil
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from isthmus.change import Kind, Outcome
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity
from isthmus.consumer.stores.sqlite.errors import WrongStatement, translate
from isthmus.consumer.stores.sqlite.reading import SqliteReader
from isthmus.consumer.stores.sqlite.store import SqliteStore
from isthmus.errors import Fatal, IsthmusError, Poison, Refused, TargetDown, Transient
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.contract import store_machine
from tests.contract.store_contract import StoreContract, world
from tests.contract.store_effects_contract import StoreEffectsContract, bank
from tests.contract.store_letters_contract import StoreLettersContract
from tests.contract.store_life_contract import StoreLifeContract
from tests.contract.store_outbox_contract import StoreOutboxContract
from tests.contract.store_redrive_contract import StoreRedriveContract
from tests.contract.store_redrive_many_contract import StoreRedriveManyContract
from tests.contract.store_transaction_contract import StoreTransactionContract
from tests.contract.store_types_contract import StoreTypesContract
from tests.contract.store_values_contract import StoreValuesContract, desk
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.sqlite_office import TABLES, SqliteOffice
from tests.fakes.store_world import BATCH, World, delete, delivered, event, upsert

__all__ = ["bank", "desk", "world"]

APPLIED, PARKED = Outcome.APPLIED, Outcome.PARKED


@pytest.fixture
def office(tmp_path: Path) -> SqliteOffice:
    return SqliteOffice(tmp_path)


class TestStore(StoreContract, StoreLifeContract, StoreTransactionContract):
    pass


class TestOutbox(StoreOutboxContract):
    pass


class TestLetters(StoreLettersContract):
    pass


class TestRedrive(StoreRedriveContract):
    pass


class TestRedriveOfMany(StoreRedriveManyContract):
    pass


class TestEffects(StoreEffectsContract):
    pass


class TestTypes(StoreTypesContract):
    pass


class TestValues(StoreValuesContract):
    pass


def test_any_life_of_the_store_is_as_the_model_says(office: SqliteOffice) -> None:
    store_machine.run(office.fresh, few=office.few)


# Durability


def test_every_commit_is_on_disk(office: SqliteOffice) -> None:
    with closing(SqliteStore(office.path, []).session()) as session:
        assert session._shared.connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert session._shared.connection.execute("PRAGMA synchronous").fetchone() == (2,)


def test_a_file_that_cannot_have_a_write_ahead_log_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *_, **__: connect(":memory:", isolation_level=None))
    with pytest.raises(Refused, match="local disk"):
        SqliteStore(tmp_path / "any", []).prepare()


def test_a_process_killed_before_any_statement_leaves_nothing_behind(office: SqliteOffice) -> None:
    # The files as they are at that moment are what the next process finds.
    world = World(office)
    with closing(world):
        world.apply(upsert(1, "c"))
        before = world.state()
        copies: list[SqliteOffice] = []
        real = world.session._shared.connection  # type: ignore[attr-defined]

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

        world.session._shared.connection = Copying()  # type: ignore[attr-defined]
        world.apply(*BATCH)
        world.session._shared.connection = real  # type: ignore[attr-defined]
        after = world.state()
        ends = []
        for copy in copies:
            world.office = copy
            ends.append(world.state())
        assert len(ends) > len(BATCH)
        assert ends == [before] * len(ends)
        assert after != before


# Refusals that take the whole transaction with them

ROLLING_BACK = {
    "conflict clause": """CREATE TABLE thing (
        key TEXT PRIMARY KEY, size INTEGER UNIQUE ON CONFLICT ROLLBACK, note, version TEXT);""",
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


def test_a_delete_does_not_take_along_what_comes_after_it(tmp_path: Path) -> None:
    tables = TABLES.replace("note TEXT", "note TEXT REFERENCES thing (key) ON DELETE CASCADE")
    world = World(SqliteOffice(tmp_path, tables))
    with closing(world):
        world.apply(upsert(1, "parent", note=None))
        assert world.apply(delete(2, "parent"), upsert(1, "child", note="parent")) == [APPLIED, PARKED]
        assert world.office.rows("thing") == []


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
    world.office.break_at(world.decider, 0, error_of(sqlite3.SQLITE_CORRUPT), only="INTO effect")
    with pytest.raises(Fatal):
        world.apply(upsert(1))
    assert not any(world.state().values())


def test_a_full_disk_that_undid_everything_lets_nothing_be_committed_behind_the_unit(world: World) -> None:
    office = world.office
    assert isinstance(office, SqliteOffice)
    real = world.session._shared.connection  # type: ignore[attr-defined]

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
    world.session._shared.connection = Full()  # type: ignore[attr-defined]
    with pytest.raises(TargetDown):
        world.apply(upsert(1))
    world.session._shared.connection = real  # type: ignore[attr-defined]
    assert not any(world.state().values())


def test_a_missing_file_is_an_outage_and_makes_no_new_one(tmp_path: Path) -> None:
    with pytest.raises(TargetDown):
        SqliteStore(tmp_path / "nowhere.db", []).session()
    assert list(tmp_path.iterdir()) == []


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


def test_what_comes_alive_while_it_is_pruned_keeps_its_guard(world: World) -> None:
    world.apply(delete(1))
    store = world.store
    assert isinstance(store, SqliteStore)

    class Behind:
        """The queue for the writer's place, with somebody else in front."""

        def __enter__(self) -> None:
            assert world.apply(upsert(2)) == [APPLIED]

        def __exit__(self, *_: object) -> None:
            pass

    store._writer = Behind()  # type: ignore[assignment]
    now = world.clock.now_ms() + 1
    assert store.prune(memory_before_ms=now, history_before_ms=0, stop=FakeStop(world.clock)).guards == 0
    assert [row["key"] for row in world.office.own("guard")] == ["k"]


def test_the_reader_sees_one_moment(world: World) -> None:
    reader = world.office.reader()
    assert isinstance(reader, SqliteReader)
    with reader._moment() as connection:
        before = connection.execute("SELECT count(*) FROM isthmus_guard").fetchone()
        world.apply(upsert(1))
        assert connection.execute("SELECT count(*) FROM isthmus_guard").fetchone() == before


def test_a_file_that_is_moved_away_is_waited_for_and_nothing_is_decided_in_it(world: World) -> None:
    path, moved = world.office.path, world.office.path.with_suffix(".moved")  # type: ignore[attr-defined]
    world.apply(upsert(1))
    path.rename(moved)
    for _ in range(2):
        with pytest.raises(TargetDown, match="not there any more"):
            world.apply(upsert(2))
    moved.rename(path)
    assert world.apply(upsert(2)) == [APPLIED]


def test_a_commit_into_a_file_that_was_moved_meanwhile_does_not_count(world: World) -> None:
    path, moved = world.office.path, world.office.path.with_suffix(".moved")  # type: ignore[attr-defined]
    with pytest.raises(TargetDown, match="not there any more"), world.session.unit():
        path.rename(moved)
    moved.rename(path)
    assert world.apply(upsert(1)) == [APPLIED]


def test_another_file_in_the_same_place_is_refused_with_the_way_out(world: World) -> None:
    path = world.office.path  # type: ignore[attr-defined]
    world.apply(upsert(1))
    other = path.with_suffix(".other")
    with closing(sqlite3.connect(path)) as one, closing(sqlite3.connect(other)) as two:
        one.backup(two)
    other.replace(path)
    with pytest.raises(Refused, match="Backup and restore"):
        world.apply(upsert(2))
