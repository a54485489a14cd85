"""The effect handler that keeps the airport board, on the front office's own tables."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.front_office import make_tables
from examples.flights.pipeline import Flight, counts, on_change
from isthmus.change import Change, Verb

KEY = "flight/UA1545/2013-01-01/EWR"
Board = dict[str, tuple[int, ...]]


class Tx:
    """A transaction on a real database, which counts what it is asked to do."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.statements = 0

    def execute(self, statement: str, parameters: Sequence[Any] = ()) -> Sequence[Sequence[Any]]:
        self.statements += 1
        return self.connection.execute(statement, parameters).fetchall()

    def board(self) -> Board:
        """Give departures, arrivals, cancellations and diversions by airport, without rows that count nothing."""
        rows = self.connection.execute(
            "SELECT airport, departures, arrivals, cancellations, diversions FROM airport_board"
        )
        return {airport: tuple(numbers) for airport, *numbers in rows if any(numbers)}


@pytest.fixture
def tx(tmp_path: Path) -> Iterator[Tx]:
    make_tables(tmp_path / "front-office.db")
    with closing(sqlite3.connect(tmp_path / "front-office.db")) as connection:
        yield Tx(connection)


def state(status: str | None, destination: str = "IAH") -> dict[str, Any] | None:
    return None if status is None else {"status": status, "origin": "EWR", "destination": destination}


def change(data: Any) -> Change:
    verb = Verb.DELETE if data is None else Verb.UPSERT
    return Change("id", "source", "flight", verb, KEY, "0" * 38, 0, 1, "2013-01-01T10:15:00Z", data)


def live(tx: Tx, *statuses: str | None) -> None:
    for before, after in zip((None, *statuses), statuses, strict=False):
        on_change(tx, change(state(after)), state(before))


@pytest.mark.parametrize(
    "statuses, expected",
    [
        (["scheduled"], {}),
        (["scheduled", "departed"], {"EWR": (1, 0, 0, 0)}),
        (["scheduled", "departed", "arrived"], {"EWR": (1, 0, 0, 0), "IAH": (0, 1, 0, 0)}),
        (["scheduled", "arrived"], {"EWR": (1, 0, 0, 0), "IAH": (0, 1, 0, 0)}),
        (["arrived"], {"EWR": (1, 0, 0, 0), "IAH": (0, 1, 0, 0)}),
        (["scheduled", "departed", "diverted"], {"EWR": (1, 0, 0, 0), "IAH": (0, 0, 0, 1)}),
        (["scheduled", "cancelled"], {"EWR": (0, 0, 1, 0)}),
        (["scheduled", "cancelled", "scheduled"], {}),
        (["arrived", "diverted"], {"EWR": (1, 0, 0, 0), "IAH": (0, 0, 0, 1)}),
        (["arrived", "cancelled"], {"EWR": (0, 0, 1, 0)}),
        (["arrived", None], {}),
        (["arrived", None, "departed"], {"EWR": (1, 0, 0, 0)}),
    ],
)
def test_the_board_shows_what_the_last_state_counts(tx: Tx, statuses: list[str | None], expected: Board) -> None:
    live(tx, *statuses)
    assert tx.board() == expected


def test_a_state_that_counts_the_same_changes_nothing(tx: Tx) -> None:
    live(tx, "scheduled", "scheduled")
    assert tx.statements == 0
    live(tx, "departed", "departed")
    assert tx.statements == 1


def test_another_destination_moves_the_arrival(tx: Tx) -> None:
    live(tx, "arrived")
    on_change(tx, change(state("arrived", "DFW")), state("arrived", "IAH"))
    assert tx.board() == {"EWR": (1, 0, 0, 0), "DFW": (0, 1, 0, 0)}


def test_a_row_of_the_table_serves_as_the_previous_state(tx: Tx) -> None:
    tx.connection.row_factory = sqlite3.Row
    columns = ("key", *Flight.model_fields, "version")
    times = ("2013-01-01T10:15:00Z", "2013-01-01T10:17:00Z", "2013-01-01T14:19:00Z", None)
    row = (KEY, "UA", "United", 1545, None, "EWR", "IAH", "departed", *times, "0" * 38)
    tx.connection.execute(f"INSERT INTO flight VALUES ({', '.join('?' * len(columns))})", row)  # noqa: S608 - only marks
    previous = tx.connection.execute("SELECT * FROM flight").fetchone()
    assert tuple(previous.keys()) == columns
    tx.connection.row_factory = None
    on_change(tx, change(state("arrived")), previous)
    assert tx.board() == {"IAH": (0, 1, 0, 0)}


def test_the_tables_may_be_made_twice(tmp_path: Path, tx: Tx) -> None:
    live(tx, "departed")
    tx.connection.commit()
    make_tables(tmp_path / "front-office.db")
    assert tx.board() == {"EWR": (1, 0, 0, 0)}


statuses = st.sampled_from([None, "scheduled", "departed", "arrived", "diverted", "cancelled"])


@given(st.lists(st.tuples(statuses, st.sampled_from(["IAH", "DFW", "EWR"])), max_size=8))
def test_whatever_the_way_only_the_last_state_counts(way: list[tuple[str | None, str]]) -> None:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(
            "CREATE TABLE airport_board (airport PRIMARY KEY, departures, arrivals, cancellations, diversions)"
        )
        tx, previous = Tx(connection), None
        for status, destination in way:
            new = state(status, destination)
            on_change(tx, change(new), previous)
            previous = new
        expected: dict[str, list[int]] = {}
        if previous is not None:
            for airport, column in counts(previous["status"], "EWR", previous["destination"]):
                place = ("departures", "arrivals", "cancellations", "diversions").index(column)
                expected.setdefault(airport, [0, 0, 0, 0])[place] = 1
        assert tx.board() == {airport: tuple(numbers) for airport, numbers in expected.items()}
