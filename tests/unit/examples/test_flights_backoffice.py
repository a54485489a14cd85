"""The legacy database: what one transaction writes."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from examples.flights.backoffice import BackOffice
from examples.flights.data import Airport, Carrier, Flight
from examples.flights.lives import Step
from tests.fakes.clock import FakeClock

FLIGHT = Flight(20130101, "UA", 1545, "N14228", "EWR", "IAH", 515, 517, 2, 819, 830, 11)
OTHER = Flight(20130101, "AA", 1, None, "JFK", "SJU", 900, None, None, 1230, None, None)
COLUMNS = "CARR FLTNO DEPDT ORIG DEST TAIL SDEP ADEP SARR AARR DDLY ADLY STAT UPDSEQ"

Query = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "back-office.db"


@pytest.fixture
def office(path: Path, clock: FakeClock) -> Iterator[BackOffice]:
    office = BackOffice(path, [Carrier("UA", "United")], [Airport("IAH", "Houston", None)], clock)
    yield office
    office.close()


@pytest.fixture
def query(path: Path) -> Iterator[Query]:
    with closing(sqlite3.connect(path)) as connection:
        yield lambda statement: connection.execute(statement).fetchall()


@pytest.mark.usefixtures("office")
def test_the_table_has_the_legacy_columns_and_its_key_and_cursor_cannot_be_null(query: Query) -> None:
    columns = query("PRAGMA table_info(FLTMST)")
    assert " ".join(column[1] for column in columns) == COLUMNS
    assert [column[1] for column in sorted(columns, key=lambda column: column[5]) if column[5]] == [
        *("CARR", "FLTNO", "DEPDT", "ORIG")
    ]
    assert {column[1] for column in columns if column[3]} >= {"CARR", "FLTNO", "DEPDT", "ORIG", "UPDSEQ"}


@pytest.mark.usefixtures("office")
def test_the_references_are_there_and_the_database_can_be_read_while_it_is_written(query: Query) -> None:
    assert query("SELECT * FROM CARREF") == [("UA", "United")]
    assert query("SELECT * FROM APTREF") == [("IAH", "Houston", None)]
    assert query("PRAGMA journal_mode") == [("wal",)]


@pytest.mark.usefixtures("office")
def test_paging_by_number_and_key_needs_no_sorting(query: Query) -> None:
    plan = query(
        "EXPLAIN QUERY PLAN SELECT * FROM FLTMST WHERE UPDSEQ >= 5 ORDER BY UPDSEQ, CARR, FLTNO, DEPDT, ORIG LIMIT 9"
    )
    assert [step[3] for step in plan] == ["SEARCH FLTMST USING INDEX FLTMST_UPDSEQ (UPDSEQ>?)"]


def test_a_scheduled_flight_knows_nothing_of_what_will_happen(office: BackOffice, query: Query) -> None:
    office.schedule([FLIGHT, OTHER])
    assert query("SELECT * FROM FLTMST ORDER BY UPDSEQ") == [
        ("UA", 1545, 20130101, "EWR", "IAH", "N14228", 515, None, 819, None, None, None, "S", 1),
        ("AA", 1, 20130101, "JFK", "SJU", None, 900, None, 1230, None, None, None, "S", 2),
    ]


@pytest.mark.parametrize(
    "steps, expected",
    [
        ([Step.DEPARTURE], (517, None, 2, None, "D", 2)),
        ([Step.DEPARTURE, Step.ARRIVAL], (517, 830, 2, 11, "A", 3)),
        ([Step.DEPARTURE, Step.DIVERSION], (517, 830, 2, None, "V", 3)),
    ],
)
def test_a_flight_knows_what_has_happened_so_far(
    office: BackOffice, query: Query, steps: list[Step], expected: tuple[Any, ...]
) -> None:
    diverted = FLIGHT._replace(arrival_delay=None)
    flight = diverted if Step.DIVERSION in steps else FLIGHT
    office.schedule([flight])
    for step in steps:
        office.happen([(step, flight)])
    assert query("SELECT ADEP, AARR, DDLY, ADLY, STAT, UPDSEQ FROM FLTMST") == [expected]


def test_a_cancelled_flight_has_no_times(office: BackOffice, query: Query) -> None:
    office.schedule([OTHER])
    office.happen([(Step.CANCELLATION, OTHER)])
    assert query("SELECT ADEP, AARR, DDLY, ADLY, STAT FROM FLTMST") == [(None, None, None, None, "X")]


def test_every_row_change_has_a_number_of_its_own_in_the_journal_with_the_time_of_its_commit(
    office: BackOffice, query: Query, clock: FakeClock
) -> None:
    office.schedule([FLIGHT, OTHER])
    clock.move(1.5)
    office.happen([(Step.DEPARTURE, FLIGHT), (Step.CANCELLATION, OTHER)])
    office.happen([(Step.ARRIVAL, FLIGHT)])
    start = FakeClock().now_ms()
    assert query("SELECT * FROM FLTJRN ORDER BY UPDSEQ") == [
        (1, "UA", 1545, 20130101, "EWR", start),
        (2, "AA", 1, 20130101, "JFK", start),
        (3, "UA", 1545, 20130101, "EWR", start + 1500),
        (4, "AA", 1, 20130101, "JFK", start + 1500),
        (5, "UA", 1545, 20130101, "EWR", start + 1500),
    ]


def test_the_number_is_taken_under_the_write_lock(office: BackOffice, path: Path) -> None:
    seen: list[str] = []
    office._connection.set_trace_callback(lambda statement: seen.append(statement.split()[0]))
    office.schedule([FLIGHT])
    assert seen == ["BEGIN", "SELECT", "INSERT", "INSERT", "COMMIT"]
    office._connection.set_trace_callback(None)
    with closing(sqlite3.connect(path, isolation_level=None, timeout=0)) as other, office._transaction():
        office._last_number()
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            other.execute("BEGIN IMMEDIATE")


def test_a_transaction_that_fails_leaves_nothing_behind(office: BackOffice, query: Query) -> None:
    office.schedule([FLIGHT])
    with pytest.raises(LookupError, match="not scheduled"):
        office.happen([(Step.DEPARTURE, FLIGHT), (Step.CANCELLATION, OTHER)])
    assert query("SELECT STAT, UPDSEQ FROM FLTMST") == [("S", 1)]
    assert query("SELECT COUNT(*) FROM FLTJRN") == [(1,)]
    office.happen([(Step.DEPARTURE, FLIGHT)])
    assert query("SELECT STAT, UPDSEQ FROM FLTMST") == [("D", 2)]


def test_a_database_that_exists_is_left_alone(path: Path, clock: FakeClock) -> None:
    path.write_bytes(b"precious")
    with pytest.raises(FileExistsError):
        BackOffice(path, [], [], clock)
    assert path.read_bytes() == b"precious"


def test_tables_and_references_appear_together_or_not_at_all(path: Path, clock: FakeClock) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        BackOffice(path, [Carrier("UA", "United"), Carrier("UA", "Untied")], [], clock)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == []
