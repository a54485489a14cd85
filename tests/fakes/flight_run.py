"""A tiny run of the flights demo, made by hand and right in everything, for tests to spoil.

Four flights of one day: one arrives (its departure was never seen by the poll), one is diverted (its departure was
sent and came too late to count), one is cancelled, and one goes to an airport that nobody knows (its departure was
never seen either).
"""

import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

from examples.flights.oracle.expect import Expectation, FlownFlight, expect
from examples.flights.oracle.fronts import sqlite_front
from examples.flights.oracle.judge import Verdict, judge

DAY = date(2013, 1, 1)
ARRIVED = "flight/UA1/2013-01-01/EWR"
DIVERTED = "flight/UA2/2013-01-01/JFK"
CANCELLED = "flight/AA3/2013-01-01/LGA"
POISON = "flight/B64/2013-01-01/JFK"

FIRST_LOAD = 4
"""The schedule of the four flights."""

_TABLES = {
    "flight": "key, carrier_code, carrier_name, flight_number, tail_number, origin, destination, status,"
    " scheduled_departure, actual_departure, scheduled_arrival, actual_arrival, version",
    "airport_board": "airport, departures, arrivals, cancellations, diversions",
    "isthmus_guard": "key, version, txn, rowhash, deleted",
    "isthmus_history": "txn, key, version, outcome, source, detected, arrived, decided, shard, sequence",
    "isthmus_parked": "key, txn, version, reason",
}


def version(position: int, generation: int = 0) -> str:
    """Give a version's text."""
    return f"{generation:08d}{position:030d}"


def flown() -> list[FlownFlight]:
    """Give the four flights as the data would."""
    return [
        FlownFlight(DAY, "UA", 1, "N1", "EWR", "ORD", 600, -5, 730, 10),
        FlownFlight(DAY, "UA", 2, "N2", "JFK", "LAX", 800, 30, 1130, None),
        FlownFlight(DAY, "AA", 3, None, "LGA", "ORD", 900, None, 1030, None),
        FlownFlight(DAY, "B6", 4, "N4", "JFK", "SJU", 700, 0, 1100, 0),
    ]


def expected() -> Expectation:
    """Give what the four flights lead to."""
    return expect(
        flown(),
        {"UA": "United", "AA": "American", "B6": "JetBlue"},
        {"EWR": "America/New_York", "ORD": "America/Chicago", "LAX": "America/Los_Angeles"},
    )


@dataclass
class Run:
    """Everything that a run leaves behind; each list is a table."""

    journal: list[tuple[Any, ...]]
    flights: list[list[Any]]
    board: dict[str, list[int]]
    guards: dict[str, str]
    history: dict[str, list[Any]]
    parked: list[tuple[str, str, str]]
    batches: list[list[dict[str, Any]]]
    more_records: list[bytes] = field(default_factory=list)
    front_sql: list[str] = field(default_factory=list)
    """What else happens to the front office once all is written."""

    def records(self) -> list[bytes]:
        """Give the stream's records."""
        return [json.dumps(batch).encode() for batch in self.batches] + self.more_records

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Write the two databases into a folder."""
        back, front = folder / "back-office.db", folder / "front-office.db"
        with closing(sqlite3.connect(back)) as db, db:
            db.execute("CREATE TABLE FLTJRN (UPDSEQ INTEGER, CARR, FLTNO INTEGER, DEPDT INTEGER, ORIG, COMMITTED)")
            db.executemany("INSERT INTO FLTJRN VALUES (?, ?, ?, ?, ?, ?)", self.journal)
        with closing(sqlite3.connect(front)) as db, db:
            for table, columns in _TABLES.items():
                db.execute(f"CREATE TABLE {table} ({columns})")
            db.executemany("INSERT INTO flight VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", self.flights)
            board = [(airport, *counts) for airport, counts in self.board.items()]
            db.executemany("INSERT INTO airport_board VALUES (?, ?, ?, ?, ?)", board)
            guards = [(key, text) for key, text in self.guards.items()]
            db.executemany("INSERT INTO isthmus_guard (key, version, deleted) VALUES (?, ?, 0)", guards)
            history = [(txn, *columns) for txn, columns in self.history.items()]
            db.executemany(
                "INSERT INTO isthmus_history (txn, key, version, outcome, decided) VALUES (?, ?, ?, ?, ?)", history
            )
            db.executemany("INSERT INTO isthmus_parked (key, version, txn, reason) VALUES (?, ?, ?, 'x')", self.parked)
            for statement in self.front_sql:
                db.execute(statement)
        return back, front

    def judged(self, folder: Path) -> Verdict:
        """Write the databases and give the oracle's verdict."""
        back, front = self.write(folder)
        return judge(
            back_office=back,
            front_office=partial(sqlite_front, front),
            records=self.records(),
            expected=expected(),
            first_load=FIRST_LOAD,
        )


def event(txn: str, key: str, position: int, verb: str = "upsert") -> dict[str, Any]:
    """Give a published change as its CloudEvent, with what the oracle reads of it."""
    return {
        "specversion": "1.0",
        "id": txn,
        "type": f"isthmus.flight.{verb}",
        "subject": key,
        "sequence": version(position),
    }


def right_run() -> Run:
    """Give a run in which nothing is wrong: 11 modifications, 9 of them published, 6 applied, 2 parked."""
    marker = {"specversion": "1.0", "id": "m1", "type": "isthmus.flight.marker", "subject": "lane-000"}
    schedule = [
        event("t1", ARRIVED, 1),
        event("t2", DIVERTED, 2),
        event("t3", CANCELLED, 3),
        event("t4", POISON, 4, "untranslated"),
    ]
    return Run(
        journal=[
            (1, "UA", 1, 20130101, "EWR", 1000),
            (2, "UA", 2, 20130101, "JFK", 1000),
            (3, "AA", 3, 20130101, "LGA", 1000),
            (4, "B6", 4, 20130101, "JFK", 1000),
            (5, "UA", 1, 20130101, "EWR", 5000),
            (6, "UA", 1, 20130101, "EWR", 5100),
            (7, "UA", 2, 20130101, "JFK", 5200),
            (8, "UA", 2, 20130101, "JFK", 5300),
            (9, "AA", 3, 20130101, "LGA", 5400),
            (10, "B6", 4, 20130101, "JFK", 5500),
            (11, "B6", 4, 20130101, "JFK", 5600),
        ],
        flights=[
            [
                *(ARRIVED, "UA", "United", 1, "N1", "EWR", "ORD", "arrived"),
                *("2013-01-01T11:00:00Z", "2013-01-01T10:55:00Z", "2013-01-01T13:30:00Z", "2013-01-01T13:40:00Z"),
                version(6),
            ],
            [
                *(DIVERTED, "UA", "United", 2, "N2", "JFK", "LAX", "diverted"),
                *("2013-01-01T13:00:00Z", "2013-01-01T13:30:00Z", "2013-01-01T19:30:00Z", None),
                version(8),
            ],
            [
                *(CANCELLED, "AA", "American", 3, None, "LGA", "ORD", "cancelled"),
                *("2013-01-01T14:00:00Z", None, "2013-01-01T16:30:00Z", None),
                version(9),
            ],
        ],
        board={"EWR": [1, 0, 0, 0], "JFK": [1, 0, 0, 0], "LGA": [0, 0, 1, 0], "ORD": [0, 1, 0, 0], "LAX": [0, 0, 0, 1]},
        guards={ARRIVED: version(6), DIVERTED: version(8), CANCELLED: version(9)},
        history={
            "t1": [ARRIVED, version(1), "applied", 2000],
            "t2": [DIVERTED, version(2), "applied", 2000],
            "t3": [CANCELLED, version(3), "applied", 2500],
            "t4": [POISON, version(4), "parked", 2500],
            "t6": [ARRIVED, version(6), "applied", 5400],
            "t7": [DIVERTED, version(7), "stale", 6000],
            "t8": [DIVERTED, version(8), "applied", 5500],
            "t9": [CANCELLED, version(9), "applied", 5500],
            "t11": [POISON, version(11), "parked", 6000],
        },
        parked=[(POISON, version(4), "t4"), (POISON, version(11), "t11")],
        batches=[
            [marker],
            schedule,
            schedule[2:],
            [event("t6", ARRIVED, 6), event("t8", DIVERTED, 8), event("t7", DIVERTED, 7)],
            [event("t9", CANCELLED, 9), event("t11", POISON, 11, "untranslated")],
        ],
    )
