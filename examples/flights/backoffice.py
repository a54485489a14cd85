"""The legacy database of the flights' back office, and the transactions that write it."""

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from isthmus.clock import Clock

from .data import Airport, Carrier, Flight
from .lives import Step

_BUSY_SECONDS: Final = 30.0

# DEPDT is YYYYMMDD; SDEP ADEP SARR AARR are local clock times, HHMM, 2400 allowed; DDLY ADLY are minutes. STAT is S
# scheduled, D departed, A arrived, V diverted, X cancelled. UPDSEQ is one number per row change, in commit order.
# COMMITTED is milliseconds since 1970, UTC. The index serves who pages through the changes by UPDSEQ and key.
_SCHEMA: Final = (
    """
    CREATE TABLE CARREF (
        CARR  CHAR(2)     NOT NULL PRIMARY KEY,
        NAME  VARCHAR(60) NOT NULL
    )
    """,
    """
    CREATE TABLE APTREF (
        FAA   CHAR(3)     NOT NULL PRIMARY KEY,
        NAME  VARCHAR(60) NOT NULL,
        TZONE VARCHAR(40)
    )
    """,
    """
    CREATE TABLE FLTMST (
        CARR   CHAR(2) NOT NULL,
        FLTNO  INTEGER NOT NULL,
        DEPDT  INTEGER NOT NULL,
        ORIG   CHAR(3) NOT NULL,
        DEST   CHAR(3) NOT NULL,
        TAIL   CHAR(6),
        SDEP   INTEGER NOT NULL,
        ADEP   INTEGER,
        SARR   INTEGER NOT NULL,
        AARR   INTEGER,
        DDLY   INTEGER,
        ADLY   INTEGER,
        STAT   CHAR(1) NOT NULL,
        UPDSEQ INTEGER NOT NULL,
        PRIMARY KEY (CARR, FLTNO, DEPDT, ORIG)
    )
    """,
    "CREATE INDEX FLTMST_UPDSEQ ON FLTMST (UPDSEQ, CARR, FLTNO, DEPDT, ORIG)",
    """
    CREATE TABLE FLTJRN (
        UPDSEQ    INTEGER NOT NULL PRIMARY KEY,
        CARR      CHAR(2) NOT NULL,
        FLTNO     INTEGER NOT NULL,
        DEPDT     INTEGER NOT NULL,
        ORIG      CHAR(3) NOT NULL,
        COMMITTED INTEGER NOT NULL
    )
    """,
)
_INSERT: Final = "INSERT INTO FLTMST VALUES (?, ?, ?, ?, ?, ?, ?, NULL, ?, NULL, NULL, NULL, 'S', ?)"
_UPDATE: Final = """
    UPDATE FLTMST SET ADEP = ?, DDLY = ?, AARR = ?, ADLY = ?, STAT = ?, UPDSEQ = ?
    WHERE CARR = ? AND FLTNO = ? AND DEPDT = ? AND ORIG = ?
"""
_JOURNAL: Final = "INSERT INTO FLTJRN VALUES (?, ?, ?, ?, ?, ?)"

_STATUS: Final = {Step.DEPARTURE: "D", Step.CANCELLATION: "X", Step.ARRIVAL: "A", Step.DIVERSION: "V"}


class BackOffice:
    """The one writer of the database. Every method is one transaction, or none when it raises."""

    def __init__(self, path: Path, carriers: Iterable[Carrier], airports: Iterable[Airport], clock: Clock) -> None:
        """Make the database with its reference tables. Raises FileExistsError where there is a file already."""
        path.touch(exist_ok=False)
        self._clock = clock
        self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
        try:
            self._connection.execute("PRAGMA journal_mode = WAL")
            # A killed process loses nothing so; only a machine that loses its power might, and then the demo is over.
            self._connection.execute("PRAGMA synchronous = NORMAL")
            # In one transaction, so that a reader finds all tables or none.
            with self._transaction():
                for statement in _SCHEMA:
                    self._connection.execute(statement)
                self._connection.executemany("INSERT INTO CARREF VALUES (?, ?)", carriers)
                self._connection.executemany("INSERT INTO APTREF VALUES (?, ?, ?)", airports)
        except BaseException:
            self._connection.close()
            raise

    def schedule(self, flights: Sequence[Flight]) -> None:
        """Write flights as they are scheduled: without anything that has happened to them."""
        with self._transaction():
            number = self._last_number() + 1
            self._connection.executemany(
                _INSERT,
                [
                    (*_key(flight), flight.destination, flight.tail, *_schedule(flight), number + place)
                    for place, flight in enumerate(flights)
                ],
            )
            self._note(number, flights)

    def happen(self, steps: Sequence[tuple[Step, Flight]]) -> None:
        """Write what happens to flights that are scheduled. Raises LookupError for one that is not."""
        with self._transaction():
            number = self._last_number() + 1
            cursor = self._connection.executemany(
                _UPDATE,
                [
                    (*_known_after(step, flight), _STATUS[step], number + place, *_key(flight))
                    for place, (step, flight) in enumerate(steps)
                ],
            )
            if cursor.rowcount != len(steps):
                raise LookupError("something happens to a flight that is not scheduled")
            self._note(number, [flight for _, flight in steps])

    def close(self) -> None:
        """Give the database back. Safe to repeat."""
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        # The write lock is taken at once. Numbers are read and given out under it, so their order is that of commits.
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._connection.execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def _last_number(self) -> int:
        with closing(self._connection.execute("SELECT COALESCE(MAX(UPDSEQ), 0) FROM FLTMST")) as cursor:
            number: int = cursor.fetchone()[0]
        return number

    def _note(self, first: int, flights: Iterable[Flight]) -> None:
        """Write the journal, the last thing before the commit, for it holds the commit's time."""
        now = self._clock.now_ms()
        self._connection.executemany(
            _JOURNAL, [(number, *_key(flight), now) for number, flight in enumerate(flights, start=first)]
        )


def _key(flight: Flight) -> tuple[str, int, int, str]:
    return flight.carrier, flight.number, flight.day, flight.origin


def _known_after(step: Step, flight: Flight) -> tuple[int | None, int | None, int | None, int | None]:
    """Give ADEP, DDLY, AARR and ADLY. The data has no departure for a cancelled flight, no delay for a diverted one."""
    if step in (Step.ARRIVAL, Step.DIVERSION):
        return flight.departure, flight.departure_delay, flight.arrival, flight.arrival_delay
    return flight.departure, flight.departure_delay, None, None


def _schedule(flight: Flight) -> tuple[int, int]:
    return flight.scheduled_departure, flight.scheduled_arrival
