"""What an effect handler can do to a transaction of PostgreSQL's, and what it cannot."""

from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from isthmus.change import Change, Kind, Outcome
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres.store import PostgresSession
from isthmus.errors import Poison, Refused, TargetDown
from isthmus.metrics import Metrics
from isthmus.pipeline import Row, Transaction
from tests.contract.store_contract import world
from tests.fakes.clock import FakeClock
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, PARKED, World, delivered, event, upsert

__all__ = ["world"]

Handle = Callable[[Transaction], object]


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    made.run(
        "CREATE FUNCTION ends() RETURNS integer LANGUAGE plpgsql AS $$ BEGIN COMMIT; RETURN 1; END $$; "
        "CREATE PROCEDURE ending() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$"
    )
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    return database.fresh()


@pytest.fixture
def deciding(office: PostgresOffice) -> Iterator[Callable[..., list[Outcome | None]]]:
    """Give a function that decides a batch with a handler."""
    sessions = []

    def decide(handle: Handle, *changes: Change) -> list[Outcome | None]:
        def handler(tx: Transaction, _: Change, __: Row | None) -> None:
            tx.execute("INSERT INTO effect (txn, times) VALUES ('before', 1) ON CONFLICT DO NOTHING")
            handle(tx)

        mapping = TableMapping("thing", "key", "version", {"size": "size", "note": "note"})
        entity = Entity("thing", Kind.STATE, mapping, None, (handler,))
        session = office.store([entity]).session()
        sessions.append(session)
        applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=True)
        return applier.apply([delivered(change) for change in changes])

    yield decide
    for session in sessions:
        session.close()


LEAVING = [
    "COMMIT",
    "ROLLBACK",
    "ABORT",
    "END",
    "BEGIN",
    "SAVEPOINT a",
    "RELEASE part",
    "ROLLBACK TO part",
    "SET LOCAL synchronous_commit = off",
    "SET TRANSACTION READ ONLY",
    "RESET ALL",
    "DISCARD ALL",
    "PREPARE TRANSACTION 'x'",
    "LOCK TABLE thing",
    "CALL ending()",
    "DO $$ BEGIN COMMIT; END $$",
    "CREATE TABLE other ()",
    "TRUNCATE thing",
    "EXPLAIN ANALYZE SELECT 1",
    "COPY thing TO STDOUT",
    "SELECT 1; COMMIT",
    "INSERT INTO effect (txn, times) VALUES ('x', 1); COMMIT",
    "DELETE FROM effect; ROLLBACK; BEGIN",
    "SELECT 1; SELECT 2",
    "SELECT ends()",
    "; COMMIT",
    "/* SELECT */ COMMIT",
    "-- SELECT\nCOMMIT",
    "-- x\rCOMMIT /*\nSELECT 1 */",
    "/* /* */ SELECT 1 */ COMMIT",
    "/*/* */SELECT 1*/COMMIT",
    "/**//*/* */SELECT*/COMMIT",
    "\u00a0COMMIT",
    "",
    "(COMMIT)",
]


@pytest.mark.parametrize("parameters", [(), ("x",)], ids=["bare", "with a parameter"])
@pytest.mark.parametrize("statement", LEAVING)
def test_nothing_that_a_handler_runs_leaves_the_transaction(
    office: PostgresOffice, deciding: Callable[..., list[Outcome | None]], statement: str, parameters: tuple[str, ...]
) -> None:
    batch = (upsert(1, "a"), upsert(1, "b"))
    given = f"{statement} -- %s" if parameters else statement
    assert deciding(lambda tx: tx.execute(given, parameters), *batch) == [PARKED, PARKED]
    assert {row["reason"] for row in office.own("parked")} <= {"handler-statement", "trigger"}
    # Neither the row nor what the handler wrote before it.
    assert office.rows("thing") == office.rows("effect") == []
    assert office.own("guard") == []


@pytest.mark.parametrize(
    "statement, parameters, expected",
    [
        ("SELECT '100%'", (), "100%"),
        ("SELECT '100%%' || %s", ("!",), "100%!"),
        ("SELECT %s::text", ("100% %s ? $1 'a' \\",), "100% %s ? $1 'a' \\"),
        ("-- why\nSELECT 1", (), 1),
        ("/* why */ WITH a AS (SELECT 2 AS b) SELECT b FROM a", (), 2),
        ("values (3)", (), 3),
        ("SELECT 5 % 3", (), 2),
    ],
)
def test_a_handler_may_read_and_write_rows_with_whatever_signs(
    deciding: Callable[..., list[Outcome | None]], statement: str, parameters: tuple[Any, ...], expected: object
) -> None:
    found: list[object] = []
    assert deciding(lambda tx: found.extend(tx.execute(statement, parameters)[0]), upsert(1)) == [APPLIED]
    assert found == [expected]


@pytest.mark.parametrize(
    "statement, parameters, reason",
    [
        ("SELECT %s", ("a\0b",), "value"),
        ("SELECT %s", ("\ud800",), "value"),
        ("SELECT %s, %s", ("a",), "handler-statement"),
        ("SELECT %s", (object(),), "handler-statement"),
        ("SELECT 'a%z' || %s", ("a",), "handler-statement"),
        ("SELECT nothing FROM thing", (), "handler-statement"),
        ("INSERT INTO thing (key, size) VALUES ('x', -1)", (), "constraint"),
        ("SELECT 1 / 0", (), "value"),
    ],
)
def test_what_a_handler_gets_wrong_parks_its_change_alone(
    office: PostgresOffice,
    deciding: Callable[..., list[Outcome | None]],
    statement: str,
    parameters: tuple[Any, ...],
    reason: str,
) -> None:
    calls: list[int] = []

    def handle(tx: Transaction) -> None:
        calls.append(1)
        if tx.execute("SELECT count(*) FROM thing WHERE key = 'b'")[0][0]:
            tx.execute(statement, parameters)

    assert deciding(handle, upsert(1, "a")) == [APPLIED]
    assert deciding(handle, upsert(1, "b")) == [PARKED]
    assert [row["reason"] for row in office.own("parked")] == [reason]


@pytest.mark.parametrize("goes_on", [False, True])
def test_a_handler_that_swallows_a_refusal_parks_its_change_and_stops_nothing(
    office: PostgresOffice, world: World, *, goes_on: bool
) -> None:
    def swallow(tx: Transaction, change: Change, _: Row | None) -> None:
        if change.key == "bad":
            with suppress(Poison):
                tx.execute("INSERT INTO thing (key, size) VALUES ('x', -1)")
            if goes_on:
                with suppress(Poison):
                    tx.execute("INSERT INTO effect (txn, times) VALUES ('behind', 1)")

    entities = {each.name: Entity(each.name, each.kind, each.mapping, None, (swallow,)) for each in world.entities}
    applier = Applier(world.session, entities, FakeClock(), Metrics(), history=True)
    batch = [upsert(1, "a"), upsert(1, "bad"), upsert(1, "c"), event(1, "bad"), event(1, "e")]
    expected = [APPLIED, PARKED, APPLIED, PARKED, APPLIED]
    assert applier.apply([delivered(change) for change in batch]) == expected
    assert {row["reason"] for row in office.own("parked")} == {"constraint"}
    assert office.rows("effect") == []


@pytest.mark.parametrize("bad", [0, 7, 299])
@pytest.mark.parametrize("looks", [False, True])
def test_of_many_effects_the_one_that_is_refused_parks_its_change_alone(
    office: PostgresOffice, world: World, bad: int, *, looks: bool
) -> None:
    def handle(tx: Transaction, change: Change, _: Row | None) -> None:
        size = -1 if change.key == f"k{bad}" else 1
        found = tx.execute("INSERT INTO thing (key, size) VALUES (%s, %s) RETURNING key", (f"by {change.key}", size))
        if looks:
            assert [tuple(row) for row in found] == [(f"by {change.key}",)]
        tx.execute("INSERT INTO effect (txn, times) VALUES (%s, 1)", (change.id,))

    entities = {"posting": replace(world.entities[1], handlers=(handle,))}
    applier = Applier(world.session, entities, FakeClock(), Metrics(), history=True)
    batch = [event(1, f"k{n}") for n in range(300)]
    expected = [PARKED if n == bad else APPLIED for n in range(300)]
    assert applier.apply([delivered(change) for change in batch]) == expected
    assert {row["txn"]: row["reason"] for row in office.own("parked")} == {f"k{bad}-1": "constraint"}
    assert len(office.rows("effect")) == len(office.rows("thing")) == 299


def test_a_handler_that_swallows_an_outage_of_its_own_commits_nothing(
    office: PostgresOffice, deciding: Callable[..., list[Outcome | None]]
) -> None:
    def handle(tx: Transaction) -> None:
        with suppress(TargetDown):
            tx.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        with suppress(TargetDown):
            tx.execute("SELECT 1")

    with pytest.raises(TargetDown):
        deciding(handle, upsert(1, "a"))
    assert office.rows("thing") == office.own("parked") == []


def test_a_row_that_python_has_no_dates_for_comes_to_a_handler_as_it_is_written(office: PostgresOffice) -> None:
    office.run(
        "CREATE TABLE IF NOT EXISTS era (key text PRIMARY KEY, note text, day date, at timestamptz, "
        "local timestamp, clock time, zoned timetz, span interval)"
    )
    office.run(
        "INSERT INTO era VALUES ('k', 'old', '0044-03-15 BC', 'infinity', '12013-06-01', '24:00', '24:00+00', "
        "'2000000000 days'), "
        "('l', 'old', '2013-01-01', '2013-01-01T00:00Z', '2013-01-01', '10:00', '10:00+00', '1 day')"
    )
    seen: list[Row | None] = []
    entity = Entity(
        "era", Kind.STATE, TableMapping("era", columns={"note": "note"}), None, (lambda _, __, row: seen.append(row),)
    )
    with closing(office.store([entity]).session()) as session:
        applier = Applier(session, {"era": entity}, FakeClock(), Metrics(), history=False)
        batch = [upsert(1, key)._replace(entity="era") for key in "kl"]
        assert applier.apply([delivered(change) for change in batch]) == [APPLIED, APPLIED]
    first, second = seen
    assert first is not None
    assert second is not None
    assert [first[name] for name in ("day", "at", "clock")] == ["0044-03-15 BC", "infinity", "24:00:00"]
    assert second["day"].isoformat() == "2013-01-01"


# durable


@pytest.fixture
def at_commit(office: PostgresOffice) -> Iterator[Callable[[], set[str]]]:
    """Give a function that says how durable the commits were in which a `thing` was written."""
    office.run(
        "CREATE TABLE told (how text); CREATE FUNCTION tells() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "INSERT INTO told VALUES (current_setting('synchronous_commit')); RETURN NULL; END $$; "
        "CREATE CONSTRAINT TRIGGER tells AFTER INSERT OR UPDATE ON thing DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
        "EXECUTE FUNCTION tells()"
    )
    yield lambda: {how for (how,) in office.run("SELECT how FROM told")}
    office.run("DROP TABLE told; DROP FUNCTION tells CASCADE")


@pytest.mark.parametrize("local", ["true", "false"])
def test_no_handler_makes_a_commit_less_durable(
    deciding: Callable[..., list[Outcome | None]], at_commit: Callable[[], set[str]], local: str
) -> None:
    def handle(tx: Transaction) -> None:
        tx.execute(f"SELECT set_config('synchronous_commit', 'off', {local})")

    for n in (1, 2):
        assert deciding(handle, upsert(n, "a"), upsert(n, "b")) == [APPLIED, APPLIED]
    assert at_commit() == {"on"}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("local", ["true", "false"])
def test_no_trigger_makes_a_commit_less_durable(
    office: PostgresOffice, at_commit: Callable[[], set[str]], local: str, *, quick: bool
) -> None:
    office.run(
        "CREATE FUNCTION hurries() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"PERFORM set_config('synchronous_commit', 'off', {local}); RETURN NEW; END $$; "
        "CREATE TRIGGER hurries BEFORE INSERT OR UPDATE ON thing FOR EACH ROW EXECUTE FUNCTION hurries()"
    )
    entity = Entity("thing", Kind.STATE, TableMapping("thing", "key", "version", {"size": "size"}), None)
    try:
        with closing(office.store([entity]).session()) as session:
            given = session if quick else None
            applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=True, quick=given)
            for n in (1, 2):
                assert applier.apply([delivered(upsert(n))]) == [APPLIED]
    finally:
        office.run("DROP FUNCTION hurries CASCADE")
    assert at_commit() == {"on"}


def test_what_a_session_found_at_its_start_stays_when_the_server_is_told_otherwise(
    office: PostgresOffice, at_commit: Callable[[], set[str]], world: World, postgres: PostgresServer
) -> None:
    if postgres.server is None:
        pytest.skip("a given server keeps its own settings")
    # One that has decided, and one that has not yet.
    assert world.apply(upsert(1)) == [APPLIED]
    with closing(world.another()) as fresh:
        assert isinstance(fresh, Applier)
        session = fresh._session
        assert isinstance(session, PostgresSession)
        try:
            _told(office, "ALTER SYSTEM SET synchronous_commit = off", "off")
            assert world.apply(upsert(2)) == [APPLIED]
            assert session.connected().execute("SHOW synchronous_commit").fetchone() == ("on",)
            assert fresh.apply([delivered(upsert(3))]) == [APPLIED]
            with pytest.raises(Refused, match="synchronous_commit = off"):
                world.elsewhere()
        finally:
            _told(office, "ALTER SYSTEM RESET synchronous_commit", "on")
    assert at_commit() == {"on"}


def _told(office: PostgresOffice, statement: str, value: str) -> None:
    """Tell the server, and see that new sessions hear of it: it says nothing when it has read its files."""
    office.run(statement)
    office.run("SELECT pg_reload_conf()")
    for _ in range(10_000):
        with psycopg.connect(office.url) as connection:
            if connection.execute("SHOW synchronous_commit").fetchone() == (value,):
                return
    raise AssertionError


# parameters


def test_what_a_parameter_holds_is_taken_as_it_is_when_it_is_given(
    office: PostgresOffice, deciding: Callable[..., list[Outcome | None]]
) -> None:
    office.run("CREATE TABLE IF NOT EXISTS kept (words text[], data jsonb, raw bytea, number integer)")
    words, data, raw, row = ["as"], {"it": ["is"]}, bytearray(b"was"), list[Any]()

    def handle(tx: Transaction) -> None:
        words[:], data["it"][:], raw[:] = ["as"], ["is"], b"was"
        row[:] = [words, Jsonb(data), raw, memoryview(b"there"), 1]
        tx.execute("INSERT INTO kept VALUES (%s, %s, %s || %s, %s)", row)
        for each in (words, data["it"], row):
            each.append("later")
        raw.extend(b"later")

    assert deciding(handle, upsert(1, "a"), upsert(1, "b")) == [APPLIED, APPLIED]
    assert office.run("SELECT DISTINCT * FROM kept") == [(["as"], {"it": ["is"]}, b"wasthere", 1)]
    office.run("DROP TABLE kept")
