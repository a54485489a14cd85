"""What each error of a real PostgreSQL does to the change, the batch or the process, and what is said of it."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg
import pytest

from isthmus.change import Change, Kind, Outcome, Verb
from isthmus.consumer.applier import Applier
from isthmus.consumer.stores.port import Entity, TableMapping
from isthmus.consumer.stores.postgres.errors import translate
from isthmus.errors import UNKNOWN, Fatal, IsthmusError, Poison, TargetDown, Transient
from isthmus.metrics import Metrics
from tests.fakes.clock import FakeClock
from tests.fakes.postgres_office import PostgresOffice
from tests.fakes.postgres_server import PostgresServer
from tests.fakes.store_world import APPLIED, PARKED, delivered, upsert

SECRET = "Jane-Roe-4711"  # noqa: S105 - a row's value that nobody may repeat
TABLES = """
DROP TABLE IF EXISTS guest CASCADE;
DROP DOMAIN IF EXISTS whole CASCADE;
CREATE DOMAIN whole AS text CONSTRAINT is_whole CHECK (value <> 'half');
CREATE TABLE IF NOT EXISTS room (number text PRIMARY KEY);
CREATE TABLE guest (
    key text PRIMARY KEY, note text CONSTRAINT not_bad CHECK (note <> 'bad'), name text UNIQUE, part whole,
    room text CONSTRAINT in_a_room REFERENCES room,
    sure text NOT NULL DEFAULT '', at int4range, CONSTRAINT one_at_a_time EXCLUDE USING gist (at WITH &&));
"""
FIELDS = ("note", "name", "part", "room", "sure")
GOOD = {"note": "fine", "name": None, "part": None, "room": None, "sure": "yes"}


@pytest.fixture(scope="module")
def database(postgres: PostgresServer) -> Iterator[PostgresOffice]:
    made = PostgresOffice(postgres)
    yield made
    made.close()


@pytest.fixture
def office(database: PostgresOffice) -> PostgresOffice:
    database.run(TABLES)
    return database.fresh()


@pytest.fixture
def desk(office: PostgresOffice) -> Iterator["Desk"]:
    with closing(Desk(office)) as made:
        yield made


class Desk:
    """An applier of guests."""

    def __init__(self, office: PostgresOffice) -> None:
        self.office = office
        mapping = TableMapping("guest", columns={field: field for field in FIELDS})
        entity = Entity("guest", Kind.STATE, mapping, None)
        self.session = office.store([entity]).session()
        self.quick = Applier(self.session, {"guest": entity}, FakeClock(), Metrics(), history=False, quick=self.session)
        self.other_way = Applier(self.session, {"guest": entity}, FakeClock(), Metrics(), history=False)

    def close(self) -> None:
        self.session.close()

    def parked(self) -> list[tuple[str, str, str]]:
        return [(row["txn"], row["reason"], row["message"]) for row in self.office.own("parked")]

    def trigger(self, body: str, when: str = "BEFORE INSERT OR UPDATE ON guest FOR EACH ROW") -> None:
        self.office.run(
            f"CREATE OR REPLACE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NEW; END $$"
        )
        kind = "CONSTRAINT TRIGGER" if "DEFERRABLE" in when else "TRIGGER"
        self.office.run(f"CREATE {kind} looks {when} EXECUTE FUNCTION look()")


def guest(n: int, key: str = "k", **fields: Any) -> Change:
    return upsert(n, key)._replace(entity="guest", data={**GOOD, **fields})


def outcomes(applier: Applier, *changes: Change) -> list[Outcome | None]:
    return applier.apply([delivered(change) for change in changes])


# constraints: which one, and nothing of the row

CONSTRAINTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "check": ({"note": "bad", "name": SECRET}, ("CheckViolation", "constraint not_bad", "table guest")),
    "foreign key": ({"room": SECRET}, ("ForeignKeyViolation", "constraint in_a_room", "table guest")),
    "not null": ({"sure": None, "name": SECRET}, ("NotNullViolation", "table guest", "column sure")),
    "unique": ({"name": SECRET}, ("UniqueViolation", "constraint guest_name_key")),
    "domain": ({"part": "half", "name": SECRET}, ("CheckViolation", "constraint is_whole", "datatype whole")),
}


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("kind", CONSTRAINTS)
def test_a_constraint_parks_its_change_alone_with_its_name_and_no_value_of_the_row(
    desk: Desk, kind: str, *, quick: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    data, names = CONSTRAINTS[kind]
    applier = desk.quick if quick else desk.other_way
    assert outcomes(applier, guest(1, "first", name=SECRET if kind == "unique" else "first")) == [APPLIED]
    assert outcomes(applier, guest(1, "a"), guest(1, "b", **data), guest(1, "c")) == [APPLIED, PARKED, APPLIED]
    ((txn, reason, message),) = desk.parked()
    assert (txn, reason) == ("b-1", "constraint")
    for name in names:
        assert name in message
    assert SECRET not in message
    assert SECRET not in caplog.text


def test_what_is_refused_here_and_what_the_server_refused_before_it_leave_no_value_in_the_log(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert outcomes(desk.quick, guest(1, "first", name=SECRET)) == [APPLIED]
    # Three statements: the server has refused the first one when the third one is put together.
    batch = (guest(1, "a", name=SECRET), upsert(1, "b")._replace(entity="guest", verb=Verb.DELETE), guest(1, note="\0"))
    assert outcomes(desk.quick, *batch) == [PARKED, APPLIED, PARKED]
    assert SECRET not in caplog.text


def test_a_refusal_that_is_answered_while_the_rest_is_still_sent_is_no_outage(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    # Hundreds of statements, upserts and deletes in turn.
    for round_ in range(1, 4):
        batch = [
            guest(round_, f"k{n}") if n % 2 else upsert(round_, f"k{n}")._replace(entity="guest", verb=Verb.DELETE)
            for n in range(400)
        ]
        batch[1] = guest(round_, "k1", note="bad")
        assert outcomes(desk.quick, *batch) == [PARKED if n == 1 else APPLIED for n in range(400)]
        assert [txn for txn, _, _ in desk.parked()] == [f"k1-{each}" for each in range(1, round_ + 1)]
    assert caplog.text == ""


def test_an_exclusion_constraint_is_a_constraint(desk: Desk) -> None:
    desk.trigger("NEW.at := int4range(1, 2)")
    assert outcomes(desk.quick, guest(1, "a"), guest(1, "b")) == [APPLIED, PARKED]
    ((_, reason, message),) = desk.parked()
    assert (reason, "constraint one_at_a_time" in message) == ("constraint", True)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("code", ["P0001", "XY123", "45000", "42P01", "23514", "22023", "38001", "2F003"])
def test_what_a_trigger_raises_parks_the_change_alone_and_its_words_are_not_repeated(
    desk: Desk, code: str, *, quick: bool, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    raising = f"RAISE EXCEPTION 'No % here', NEW.name USING ERRCODE = '{code}', DETAIL = NEW.name"
    desk.trigger(f"IF NEW.note = 'odd' THEN {raising}; END IF")
    batch = (guest(1, "a"), guest(1, "b", note="odd", name=SECRET), guest(1, "c"))
    assert outcomes(desk.quick if quick else desk.other_way, *batch) == [APPLIED, PARKED, APPLIED]
    ((txn, reason, message),) = desk.parked()
    assert txn == "b-1"
    assert reason in {"trigger", "constraint", "value"}
    assert code in message
    assert SECRET not in message
    assert SECRET not in caplog.text


@pytest.mark.parametrize("body", ["PERFORM 1 FROM nowhere", "PERFORM nothing(NEW.name)", "NEW.nothing := 1", "COMMIT"])
def test_a_trigger_that_is_wrong_itself_parks_what_it_stands_in_the_way_of(desk: Desk, body: str) -> None:
    desk.trigger(f"IF NEW.note = 'odd' THEN {body}; END IF")
    assert outcomes(desk.quick, guest(1, "a"), guest(1, "b", note="odd")) == [APPLIED, PARKED]
    assert [reason for _, reason, _ in desk.parked()] == ["trigger"]


def test_a_trigger_that_makes_one_key_of_two_parks_neither(desk: Desk) -> None:
    desk.trigger("NEW.key := lower(NEW.key)")
    assert outcomes(desk.quick, guest(1, "A"), guest(1, "a")) == [APPLIED, APPLIED]
    assert [row["key"] for row in desk.office.rows("guest")] == ["a"]


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("way", ["constraint", "trigger"])
def test_what_is_asked_only_at_the_commit_parks_its_change_alone(desk: Desk, way: str, *, quick: bool) -> None:
    if way == "constraint":
        desk.office.run("ALTER TABLE guest ALTER CONSTRAINT in_a_room DEFERRABLE INITIALLY DEFERRED")
    else:
        when = "AFTER INSERT OR UPDATE ON guest DEFERRABLE INITIALLY DEFERRED FOR EACH ROW"
        desk.trigger("IF NEW.room IS NOT NULL THEN RAISE EXCEPTION 'No %', NEW.room; END IF", when)
        desk.office.run("INSERT INTO room VALUES (%s)", (SECRET,))
    batch = [guest(1, f"k{n}", **({"room": SECRET} if n == 5 else {})) for n in range(9)]
    expected = [PARKED if n == 5 else APPLIED for n in range(9)]
    assert outcomes(desk.quick if quick else desk.other_way, *batch) == expected
    ((txn, reason, message),) = desk.parked()
    assert (txn, reason, SECRET in message) == ("k5-1", way, False)
    assert len(desk.office.rows("guest")) == 8


# outages: nothing is parked, and the next attempt goes through


OF_THE_MOMENT: list[tuple[str, type[Transient], str]] = [
    ("53100", TargetDown, "disk-full"),
    ("53200", TargetDown, "no-memory"),
    ("53000", TargetDown, "no-resources"),
    ("58030", TargetDown, "io-error"),
    ("25006", TargetDown, "read-only"),
    ("08006", TargetDown, "connection"),
    ("57P01", TargetDown, "shut-down"),
    ("40001", Transient, "serialization"),
    ("40P01", Transient, "deadlock"),
    ("55P03", Transient, "locked"),
    ("57014", Transient, "cancelled"),
    ("25P04", Transient, "transaction-too-long"),
    ("26000", Transient, "plan-changed"),
]


@pytest.mark.parametrize("code, kind, cause", OF_THE_MOMENT)
def test_what_is_nobodys_fault_is_tried_again(code: str, kind: type[Transient], cause: str) -> None:
    error = translate(psycopg.errors.lookup(code)(f"No {SECRET}"))
    assert type(error) is kind
    assert error.cause == cause
    assert SECRET not in str(error)


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("code", [code for code, _, _ in OF_THE_MOMENT])
def test_what_only_a_trigger_calls_an_outage_and_does_so_again_parks_the_change_alone(
    desk: Desk, code: str, *, quick: bool
) -> None:
    desk.trigger(f"IF NEW.note = 'odd' THEN RAISE EXCEPTION 'No %', NEW.name USING ERRCODE = '{code}'; END IF")
    batch = (guest(1, "a"), guest(1, "b", note="odd", name=SECRET), guest(1, "c"))
    assert outcomes(desk.quick if quick else desk.other_way, *batch) == [APPLIED, PARKED, APPLIED]
    ((txn, reason, message),) = desk.parked()
    assert (txn, reason) == ("b-1", "trigger")
    assert code in message
    assert SECRET not in message


def test_what_a_trigger_calls_an_outage_and_does_not_say_again_parks_nothing(desk: Desk) -> None:
    # A sequence counts on, whatever is undone.
    desk.office.run("CREATE SEQUENCE IF NOT EXISTS calls; ALTER SEQUENCE calls RESTART")
    desk.trigger("IF nextval('calls') = 1 THEN RAISE EXCEPTION 'No' USING ERRCODE = '40001'; END IF")
    assert outcomes(desk.other_way, guest(1)) == [APPLIED]
    assert desk.parked() == []


@pytest.mark.parametrize("quick", [True, False])
def test_a_right_that_only_a_trigger_lacks_parks_what_it_stands_in_the_way_of(desk: Desk, *, quick: bool) -> None:
    role = f"isthmus_porter_{os.getpid()}"
    desk.office.run(f"CREATE TABLE IF NOT EXISTS audit (key text); CREATE ROLE {role}")
    desk.trigger("IF NEW.note = 'odd' THEN INSERT INTO audit VALUES (NEW.key); END IF")
    desk.office.run(f"ALTER FUNCTION look SECURITY DEFINER; ALTER FUNCTION look OWNER TO {role}")
    try:
        batch = (guest(1, "a"), guest(1, "b", note="odd"), guest(1, "c"))
        assert outcomes(desk.quick if quick else desk.other_way, *batch) == [APPLIED, PARKED, APPLIED]
        assert [reason for _, reason, _ in desk.parked()] == ["trigger"]
    finally:
        desk.office.run(f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


@pytest.mark.parametrize("quick", [True, False])
@pytest.mark.parametrize("there", [True, False])
def test_a_row_that_a_trigger_lets_fall_is_parked_and_never_counted_as_written(
    desk: Desk, *, quick: bool, there: bool
) -> None:
    applier = desk.quick if quick else desk.other_way
    if there:
        assert outcomes(applier, guest(1, "b")) == [APPLIED]
    desk.trigger("IF NEW.note = 'odd' THEN RETURN NULL; END IF; NEW.sure := upper(NEW.sure)")
    batch = [guest(2, key, note="odd" if key == "b" else "fine") for key in "abcde"]
    assert outcomes(applier, *batch) == [PARKED if change.key == "b" else APPLIED for change in batch]
    assert [(txn, reason) for txn, reason, _ in desk.parked()] == [("b-2", "not-written")]


@pytest.mark.parametrize("quick", [True, False])
def test_a_row_that_a_trigger_leaves_as_it_is_because_nothing_changes_is_written(desk: Desk, *, quick: bool) -> None:
    applier = desk.quick if quick else desk.other_way
    assert outcomes(applier, guest(1, "a"), guest(1, "b")) == [APPLIED, APPLIED]
    desk.office.run(
        "CREATE TRIGGER looks BEFORE UPDATE ON guest FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()"
    )
    assert outcomes(applier, guest(2, "a"), guest(2, "b", note="new"), guest(2, "c")) == [APPLIED, APPLIED, APPLIED]
    assert desk.parked() == []


def raised(office: PostgresOffice, *statements: str) -> IsthmusError:
    with psycopg.connect(office.url, autocommit=True) as connection:
        for statement in statements[:-1]:
            connection.execute(statement.encode())
        with pytest.raises(psycopg.Error) as found:
            connection.execute(statements[-1].encode())
        return translate(found.value)


def locked(office: PostgresOffice) -> IsthmusError:
    with psycopg.connect(office.url) as holder:
        holder.execute("SELECT * FROM room FOR UPDATE")
        return raised(office, "SET lock_timeout = 1", "UPDATE room SET number = number")


def serialization(office: PostgresOffice) -> IsthmusError:
    with psycopg.connect(office.url, autocommit=True) as other:
        other.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        other.execute("SELECT * FROM room")
        office.run("UPDATE room SET number = number")
        with pytest.raises(psycopg.Error) as found:
            other.execute("UPDATE room SET number = number")
    return translate(found.value)


REAL: dict[str, Callable[[PostgresOffice], IsthmusError]] = {
    "cancelled": lambda office: raised(office, "SET statement_timeout = 1", "SELECT pg_sleep(9)"),
    "read-only": lambda office: raised(office, "BEGIN READ ONLY", "INSERT INTO room VALUES ('x')"),
    "plan-changed": lambda office: raised(office, "EXECUTE gone"),
    "shut-down": lambda office: raised(office, "SELECT pg_terminate_backend(pg_backend_pid())"),
    "locked": locked,
    "serialization": serialization,
}


@pytest.mark.parametrize("cause", REAL)
def test_a_real_error_of_the_moment_is_one_to_try_again_after(office: PostgresOffice, cause: str) -> None:
    office.run("INSERT INTO room VALUES ('1')")
    error = REAL[cause](office)
    assert isinstance(error, Transient)
    assert error.cause == cause


def test_an_error_that_no_table_knows_is_tried_again_for_a_while_and_then_a_defect() -> None:
    error = translate(psycopg.errors.InternalError_(f"something about {SECRET}"))
    assert isinstance(error, Transient)
    assert error.cause == UNKNOWN
    assert SECRET not in str(error)


def test_a_statement_that_names_what_is_not_there_stops_the_process(office: PostgresOffice) -> None:
    error = raised(office, "SELECT * FROM nowhere")
    assert isinstance(error, Fatal)
    assert 'relation "nowhere" does not exist' in error.message
    mistaken = raised(office, f"SELECT 'a' '{SECRET}")
    assert isinstance(mistaken, Fatal)
    assert SECRET not in str(mistaken)


def test_half_of_a_surrogate_pair_is_the_values_fault() -> None:
    with pytest.raises(UnicodeEncodeError) as found:
        "\ud800".encode()
    error = translate(found.value)
    assert isinstance(error, Poison)
    assert error.reason == "value"


def altered(desk: Desk, actions: str) -> None:
    desk.office.run(f"ALTER TABLE guest {actions}")


@pytest.mark.parametrize("quick", [True, False])
def test_a_table_that_is_altered_under_a_session_is_read_anew_and_rounds_nothing(desk: Desk, *, quick: bool) -> None:
    applier = desk.quick if quick else desk.other_way
    altered(desk, "DROP CONSTRAINT not_bad, ALTER note TYPE numeric(9, 2) USING 0")
    desk.session.close()
    # What the columns hold is read at the start of a session.
    assert outcomes(applier, guest(1, note="1.55")) == [APPLIED]
    for n, kind in enumerate(("numeric(9, 1)", "integer"), start=2):
        altered(desk, f"ALTER note TYPE {kind}")
        with pytest.raises(Transient) as found:
            outcomes(applier, guest(n, note="7.77"))
        assert found.value.cause == "plan-changed"
        assert outcomes(applier, guest(n, note="7.77"), guest(n, "whole", note="7")) == [PARKED, APPLIED]
    assert {reason for _, reason, _ in desk.parked()} == {"value"}
    altered(desk, "ALTER note TYPE numeric")
    with pytest.raises(Transient):
        outcomes(applier, guest(4, note="7.77"))
    assert outcomes(applier, guest(4, note="7.77")) == [APPLIED]


@pytest.mark.parametrize("quick", [True, False])
def test_a_column_that_nothing_is_written_to_may_come_and_go_under_a_session(desk: Desk, *, quick: bool) -> None:
    applier = desk.quick if quick else desk.other_way
    for n, action in enumerate(
        ("ADD COLUMN more text", "ALTER more TYPE integer USING 1", "DROP COLUMN more"), start=1
    ):
        assert outcomes(applier, guest(n)) == [APPLIED]
        altered(desk, action)
    assert outcomes(applier, guest(4)) == [APPLIED]


def test_a_table_that_is_dropped_stops_the_process_with_the_statement_that_makes_it(desk: Desk) -> None:
    desk.office.run("DROP TABLE guest")
    with pytest.raises(Fatal, match=r"guest"):
        outcomes(desk.quick, guest(1))
    desk.session.close()
    with pytest.raises(Fatal, match=r"has no table 'guest'") as found:
        outcomes(desk.quick, guest(1))
    assert "CREATE TABLE" in found.value.hint
