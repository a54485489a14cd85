"""Who is let into a PostgreSQL front office, with which rights, and to which servers and databases."""

import os
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg import conninfo

from isthmus.change import Kind
from isthmus.clock import SystemClock
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres import connection as connecting
from isthmus.consumer.stores.postgres.connection import PostgresAddress, connect
from isthmus.consumer.stores.postgres.store import PostgresStore
from isthmus.consumer.stores.postgres.watchdog import Watchdog
from isthmus.errors import IsthmusError, Missing, Refused, TargetDown
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock, FakeStop
from tests.fakes.postgres_office import LANES, PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, World, delivered, untranslated, upsert

ROLE = f"isthmus_clerk_{os.getpid()}"
THING = Entity("thing", Kind.STATE, TableMapping("thing", "key", "version", {"size": "size"}), None)
RIGHTS = f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA isthmus, public TO {ROLE}"
LONGEST_RELOAD = 10_000
"""Attempts to connect: a server reads its list of who may come in some milliseconds."""


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> Iterator[PostgresOffice]:
    """Give a front office with a role that may use both schemas, write all tables, and make and drop months."""
    database.run(f"CREATE ROLE {ROLE} LOGIN; GRANT USAGE, CREATE ON SCHEMA isthmus TO {ROLE}; {RIGHTS}")
    database.run("; ".join(f"ALTER TABLE {name} OWNER TO {ROLE}" for name in by_months(database)))
    yield database.fresh()
    database.run(f"REASSIGN OWNED BY {ROLE} TO CURRENT_USER; DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
    database.run("GRANT USAGE ON SCHEMA public TO PUBLIC")


def by_months(office: PostgresOffice) -> list[str]:
    """Give the tables that lie in months, and their parts."""
    tables = "unnest(ARRAY['isthmus.ledger', 'isthmus.history']::regclass[]) AS t, pg_partition_tree(t) AS p"
    return [name for (name,) in office.run(f"SELECT p.relid::regclass::text FROM {tables}")]  # noqa: S608 - a constant


def clerk(office: PostgresOffice, **other: str) -> PostgresAddress:
    return replace(office.address, url=conninfo.make_conninfo(office.url, **{"user": ROLE, **other}))


def store(address: PostgresAddress, *entities: Entity) -> PostgresStore:
    return PostgresStore(address, entities, lanes=LANES)


def refusal(act: Callable[[], object], kind: type[IsthmusError] = Refused) -> IsthmusError:
    with pytest.raises(kind) as found:
        act()
    return found.value


def opened(address: PostgresAddress) -> None:
    connect(address, Watchdog(SystemClock(), 60.0)).close()


# rights


@pytest.mark.parametrize(
    "taken, words",
    [
        ("INSERT, DELETE ON thing", "has not the right to INSERT, DELETE in"),
        ("SELECT ON thing", "has not the right to SELECT in"),
        ("UPDATE ON isthmus.guard", "has not the right to UPDATE in"),
        ("INSERT ON isthmus.audit", "has not the right to INSERT in"),
        ("SELECT ON isthmus.meta", "has not the right to SELECT in"),
        ("USAGE ON SCHEMA isthmus", "may not use the schema 'isthmus'"),
        ("CREATE ON SCHEMA isthmus", "may not make tables in the schema 'isthmus'"),
    ],
)
def test_a_right_that_is_missing_is_named_with_the_statement_that_gives_it(
    office: PostgresOffice, taken: str, words: str
) -> None:
    mine = store(clerk(office), THING)
    mine.check([THING])
    office.run(f"REVOKE {taken} FROM {ROLE}")
    error = refusal(lambda: mine.check([THING]))
    assert words in error.message
    office.run(error.hint.partition("un: ")[2])
    mine.check([THING])


def test_who_could_not_make_or_drop_a_month_later_is_refused_at_the_start(office: PostgresOffice) -> None:
    mine = store(clerk(office))
    for name in ("isthmus.ledger", "isthmus.history_later"):
        office.run(f"ALTER TABLE {name} OWNER TO CURRENT_USER; {RIGHTS}")
    error = refusal(lambda: mine.check([]))
    assert "does not own isthmus.history_later, isthmus.ledger," in error.message
    office.run(error.hint.partition("un: ")[2])
    mine.check([])
    stop = FakeStop(FakeClock())
    mine.prune(memory_before_ms=2**50, history_before_ms=2**50, stop=stop)
    mine.prune(memory_before_ms=2**50, history_before_ms=2**50, stop=stop)


@pytest.mark.parametrize("more", ["number serial", "number integer DEFAULT nextval('counted')"])
def test_a_sequence_that_numbers_a_column_and_that_the_user_may_not_ask_is_named(
    office: PostgresOffice, more: str
) -> None:
    office.run(f"CREATE SEQUENCE IF NOT EXISTS counted; CREATE TABLE counting (key text PRIMARY KEY, {more}); {RIGHTS}")
    entity = replace(THING, mapping=TableMapping("counting"))
    mine = store(clerk(office), entity)
    error = refusal(lambda: mine.check([entity]))
    assert "has not the right to use the sequence count" in error.message
    # A column that a field is mapped to asks no sequence.
    mapped = replace(THING, mapping=TableMapping("counting", columns={"size": "number"}))
    store(clerk(office), mapped).check([mapped])
    office.run(error.hint.partition("un: ")[2])
    mine.check([entity])
    with closing(mine.session()) as session:
        applier = Applier(session, {"thing": entity}, FakeClock(), Metrics(), history=True, quick=session)
        assert applier.apply([delivered(upsert(1))]) == [APPLIED]
    office.run("DROP TABLE counting")


def test_a_table_in_a_schema_that_the_user_may_not_use_is_not_said_to_be_missing(office: PostgresOffice) -> None:
    office.run("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    explicit = replace(THING, mapping=TableMapping("thing", "key", "version", {"size": "size"}, schema="public"))
    for entity in (THING, explicit):
        error = refusal(lambda entity=entity: store(clerk(office), entity).check([entity]))  # type: ignore[misc]
        assert error.hint == f'Run: GRANT USAGE ON SCHEMA "public" TO "{ROLE}";'
    office.run(error.hint.partition("un: ")[2])
    store(clerk(office), THING).check([THING])


def test_a_table_whose_rows_a_policy_hides_is_refused(office: PostgresOffice) -> None:
    office.run("ALTER TABLE thing ENABLE ROW LEVEL SECURITY")
    try:
        error = refusal(lambda: store(clerk(office), THING).check([THING]))
        assert "row security" in error.message
        office.run(error.hint.partition("un: ")[2])
        store(clerk(office), THING).check([THING])
    finally:
        office.run("ALTER TABLE thing DISABLE ROW LEVEL SECURITY")


def test_a_right_that_is_taken_away_later_stops_the_process_and_parks_nothing(office: PostgresOffice) -> None:
    world = World(office)
    world.store = store(clerk(office), *world.entities)
    world.decider.close()
    world.decider = world.another()
    with closing(world):
        office.run(f"REVOKE INSERT ON thing FROM {ROLE}")
        error = refusal(lambda: world.apply(upsert(1)))
        assert "permission denied for table thing" in error.message
        assert not any(world.state().values())


def test_who_redrives_needs_no_right_to_change_what_the_audit_says(office: PostgresOffice) -> None:
    office.run(f"REVOKE UPDATE, DELETE ON isthmus.audit FROM {ROLE}")
    mine = store(clerk(office))
    mine.check([])
    with closing(World(office)) as world:
        world.apply(untranslated(1), untranslated(2))
        with closing(office.redriver(mine, {}, lambda _: (), world.clock, history=True)) as redriver:
            first, second = office.lot().parked_of("k")
            assert redriver.edit("k", first, b"another", who="ada", why="a test")
            assert redriver.discard("k", [second.txn], who="ada", why="a test") == 1
            assert redriver.redrive("k").outcomes == {"filtered": 1}
    assert [row["deed"] for row in office.own("audit")] == ["edit", "discard"]


def test_who_may_make_no_schema_is_told_what_to_have_run_and_needs_no_more_once_it_is_there(
    office: PostgresOffice,
) -> None:
    mine = store(replace(clerk(office), schema="other"))
    error = refusal(mine.prepare)
    office.run(error.hint.partition("un: ")[2])
    mine.prepare()
    mine.prepare()
    mine.check([])
    mine.prune(memory_before_ms=0, history_before_ms=0, stop=FakeStop(FakeClock()))

    office.run("CREATE SCHEMA third")
    third = store(replace(clerk(office), schema="third"))
    office.run(f"GRANT USAGE ON SCHEMA third TO {ROLE}")
    error = refusal(third.prepare)
    assert "may not make tables in the schema 'third'" in error.message
    office.run(error.hint.partition("un: ")[2])
    third.prepare()
    office.run("DROP SCHEMA third CASCADE")


# who is let in


def test_a_user_or_a_database_that_is_not_there_is_refused_with_what_to_mend(office: PostgresOffice) -> None:
    error = refusal(lambda: opened(clerk(office, user="nobody of that name")))
    assert 'role "nobody of that name" does not exist' in error.message
    assert "[store] url" in error.hint
    error = refusal(lambda: opened(clerk(office, user='database "x"')))
    assert "does not let us in" in error.message
    error = refusal(lambda: opened(clerk(office, dbname="nothing of that name")), Missing)
    assert 'database "nothing of that name" does not exist' in error.message


def test_who_may_not_log_in_or_not_into_this_database_is_refused(office: PostgresOffice) -> None:
    name = conninfo.conninfo_to_dict(office.url)["dbname"]
    office.run(f"REVOKE CONNECT ON DATABASE {name} FROM PUBLIC")
    assert "permission denied for database" in refusal(lambda: opened(clerk(office))).message
    office.run(f"GRANT CONNECT ON DATABASE {name} TO PUBLIC; ALTER ROLE {ROLE} NOLOGIN")
    assert "not permitted to log in" in refusal(lambda: opened(clerk(office))).message


@pytest.mark.parametrize("method, password", [("reject", ""), ("scram-sha-256", "wrong"), ("scram-sha-256", "")])
def test_who_the_server_does_not_know_is_refused_and_the_password_is_told_to_nobody(
    office: PostgresOffice, postgres: PostgresServer, method: str, password: str
) -> None:
    if postgres.server is None:
        pytest.skip("a given server keeps its own list of who may come")
    office.run(f"ALTER ROLE {ROLE} PASSWORD 'right'")
    rules = Path(postgres.server.data) / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"local all {ROLE} {method}\n{before}")
    try:
        _reloaded(office, lambda: psycopg.connect(clerk(office, password="").url).close(), until=psycopg.Error)
        error = refusal(lambda: opened(clerk(office, password=password)))
        assert "does not let us in" in error.message
        assert "wrong" not in str(error)
        if method != "reject":
            opened(clerk(office, password="right"))  # noqa: S106 - a test's own
    finally:
        rules.write_text(before)
        _reloaded(office, lambda: psycopg.connect(clerk(office, password="").url).close(), until=None)


def _reloaded(office: PostgresOffice, ask: Callable[[], None], *, until: type[Exception] | None) -> None:
    """Let the server read its list again; it says nothing when it has."""
    office.run("SELECT pg_reload_conf()")
    for _ in range(LONGEST_RELOAD):
        with suppress(psycopg.Error):
            ask()
            if until is None:
                return
            continue
        if until is not None:
            return
    raise AssertionError


# servers and databases


@pytest.mark.parametrize(
    "url",
    ["postgresql://127.0.0.1:1/x", "host=/nowhere/at-all dbname=x", "postgresql://nowhere.invalid/x?sslmode=disable"],
)
def test_no_server_at_all_is_an_outage(url: str) -> None:
    assert refusal(lambda: opened(PostgresAddress(url, connect_timeout=2.0, verify_tls=False)), TargetDown)


def test_an_address_that_cannot_be_read_is_refused_without_showing_it() -> None:
    error = refusal(lambda: opened(PostgresAddress("postgresql://me:secret@[::1/x")))
    assert "secret" not in str(error)
    assert "secret" not in repr(error.__cause__)


def test_a_database_of_another_encoding_is_refused(office: PostgresOffice) -> None:
    name = f"ascii_{os.getpid()}"
    office.run(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' LOCALE 'C' TEMPLATE template0")
    try:
        error = refusal(lambda: opened(clerk(office, dbname=name)))
        assert "keeps SQL_ASCII, and not UTF8" in error.message
    finally:
        office.run(f"DROP DATABASE {name}")


def test_what_a_role_or_a_database_was_given_neither_loses_a_commit_nor_changes_a_value(office: PostgresOffice) -> None:
    name = conninfo.conninfo_to_dict(office.url)["dbname"]
    for to in (f"ROLE {ROLE}", f"DATABASE {name}"):
        office.run(f"ALTER ROLE {ROLE} RESET ALL; ALTER {to} SET synchronous_commit = off")
        error = refusal(lambda: opened(clerk(office)))
        assert "synchronous_commit = off" in error.message
        with psycopg.connect(clerk(office).url, autocommit=True) as connection:
            connection.execute(error.hint.partition("un: ")[2].encode())
        opened(clerk(office))
    for setting in ("array_nulls = off", "standard_conforming_strings = off", "DateStyle = 'SQL, DMY'",
                    "default_transaction_isolation = 'serializable'", "client_encoding = 'LATIN1'",
                    "idle_session_timeout = 1000", "lock_timeout = 1"):  # fmt: skip
        office.run(f"ALTER ROLE {ROLE} SET {setting}")
    with closing(connect(clerk(office), Watchdog(SystemClock(), 60.0))) as found:
        names = (
            "array_nulls",
            "standard_conforming_strings",
            "transaction_isolation",
            "client_encoding",
            "lock_timeout",
        )
        values = [found.execute("SELECT current_setting(%s)", (each,)).fetchone() for each in names]
        assert values == [("on",), ("on",), ("read committed",), ("UTF8",), ("5s",)]
    office.run(f"ALTER DATABASE {name} RESET ALL")


def test_a_server_that_is_too_old_is_refused(office: PostgresOffice, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "LEAST_SERVER", 990_000)
    assert refusal(lambda: opened(office.address)).hint == "Isthmus needs 99 or newer."


@pytest.mark.parametrize(
    "url, verified",
    [
        ("postgresql://db.example.com/x", True),
        ("postgresql://db.example.com/x?sslmode=disable", True),
        ("host=localhost hostaddr=10.0.0.5 dbname=x", True),
        ("host=127.0.0.1,db.example.com dbname=x", True),
        ("service=front", True),
        ("postgresql://127.0.0.1/x", False),
        ("host=/tmp dbname=x", False),
        ("postgresql://localhost/x", False),
        ("dbname=x", False),
    ],
)
def test_the_server_must_prove_who_it_is_unless_it_can_only_be_this_machine(url: str, verified: bool) -> None:  # noqa: FBT001 - a parameter of the test
    found = conninfo.conninfo_to_dict(connecting._parameters(PostgresAddress(url)))
    assert (found.get("sslmode") == "verify-full") is verified
    assert (found.get("sslrootcert") == "system") is verified


@pytest.mark.parametrize("url", ["host=localhost dbname=x", "host=/tmp dbname=x", "host=localhost service=away"])
def test_nothing_around_the_address_makes_another_host_of_the_one_that_it_names(
    url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services = tmp_path / "services"
    services.write_text("[away]\nhost=db.example.com\nhostaddr=192.0.2.1\n")
    for name, value in (("HOSTADDR", "192.0.2.1"), ("SERVICE", "away"), ("SERVICEFILE", str(services))):
        monkeypatch.setenv(f"PG{name}", value)
    found = conninfo.conninfo_to_dict(connecting._parameters(PostgresAddress(url)))
    # What is named, be it as nothing, no environment and no service's file makes another.
    assert (found["host"], found["hostaddr"]) == (conninfo.conninfo_to_dict(url)["host"], "")


def test_it_connects_to_the_host_that_is_named_whatever_the_environment_says(
    office: PostgresOffice, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    services = tmp_path / "services"
    services.write_text("[away]\nhostaddr=127.0.0.2\n")
    for name, value in (("HOSTADDR", "127.0.0.2"), ("SERVICE", "away"), ("SERVICEFILE", str(services))):
        monkeypatch.setenv(f"PG{name}", value)
    opened(office.address)


@pytest.mark.parametrize("name, verified", [("192.0.2.1", True), ("127.0.0.1", False)])
def test_an_address_without_a_host_goes_where_the_environment_says_and_is_verified_by_that(
    name: str,
    verified: bool,  # noqa: FBT001 - a parameter of the test
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PGHOSTADDR", name)
    found = conninfo.conninfo_to_dict(connecting._parameters(PostgresAddress("dbname=x")))
    assert (found["hostaddr"], found.get("sslmode") == "verify-full") == (name, verified)


def test_a_service_of_the_environment_must_prove_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSERVICE", "away")
    assert "verify-full" in connecting._parameters(PostgresAddress("dbname=x"))


def test_a_host_that_the_environment_gives_must_prove_itself_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    assert "verify-full" in connecting._parameters(PostgresAddress("dbname=x"))
    assert "verify-full" not in connecting._parameters(PostgresAddress("host=/tmp dbname=x"))
