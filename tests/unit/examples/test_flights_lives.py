"""What happens to flights, when, and in which order."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.clocks import utc_text
from examples.flights.data import Flight, read_airports, read_flights
from examples.flights.lives import Step, happenings, life, sizes

ARRIVED = Flight(20130101, "UA", 1545, "N14228", "EWR", "IAH", 515, 517, 2, 819, 830, 11)
CHICAGO = "America/Chicago"


def told(flight: Flight, zone: str = CHICAGO) -> list[tuple[str, Step]]:
    return [(utc_text(moment), step) for moment, step in life(flight, zone)]


def test_a_flight_departs_and_arrives_at_its_actual_times() -> None:
    assert told(ARRIVED) == [("2013-01-01T10:17:00Z", Step.DEPARTURE), ("2013-01-01T14:30:00Z", Step.ARRIVAL)]


def test_a_flight_is_cancelled_at_its_scheduled_departure() -> None:
    cancelled = ARRIVED._replace(departure=None, departure_delay=None, arrival=None, arrival_delay=None)
    assert told(cancelled) == [("2013-01-01T10:15:00Z", Step.CANCELLATION)]


def test_a_flight_is_diverted_at_its_scheduled_arrival_plus_the_delay_of_its_departure() -> None:
    diverted = ARRIVED._replace(arrival=None, arrival_delay=None)
    assert told(diverted)[1] == ("2013-01-01T14:21:00Z", Step.DIVERSION)


def test_an_end_that_the_data_puts_before_the_departure_comes_with_it() -> None:
    odd = ARRIVED._replace(departure_delay=600)
    assert told(odd) == [("2013-01-01T20:15:00Z", Step.DEPARTURE), ("2013-01-01T20:15:00Z", Step.ARRIVAL)]
    assert [each.step for each in happenings([odd], {"IAH": CHICAGO})] == [Step.DEPARTURE, Step.ARRIVAL]


def test_a_destination_without_a_known_zone_has_the_clock_of_puerto_rico() -> None:
    lost = ARRIVED._replace(destination="SJU")
    assert utc_text(happenings([lost], {})[1].moment) == "2013-01-01T12:30:00Z"


@pytest.fixture(scope="module")
def week() -> list[Flight]:
    return list(read_flights(7))


def test_over_all_flights_moments_never_go_back_and_a_departure_comes_before_its_end(week: list[Flight]) -> None:
    zones = {airport.code: airport.zone for airport in read_airports() if airport.zone is not None}
    plan = happenings(week, zones)
    assert all(one.moment <= other.moment for one, other in pairwise(plan))
    steps: dict[int, list[Step]] = {}
    for each in plan:
        steps.setdefault(each.flight, []).append(each.step)
    assert len(steps) == len(week)
    for place, flight in enumerate(week):
        end = Step.DIVERSION if flight.arrival_delay is None else Step.ARRIVAL
        cancelled = flight.departure_delay is None
        assert steps[place] == ([Step.CANCELLATION] if cancelled else [Step.DEPARTURE, end])


@given(st.integers(min_value=0, max_value=3000))
def test_transactions_have_one_to_twenty_rows_and_hold_everything(total: int) -> None:
    cut = list(sizes(total))
    assert sum(cut) == total
    assert all(1 <= size <= 20 for size in cut)
    assert cut == list(sizes(total))


def test_every_size_of_transaction_comes_as_often_as_the_others() -> None:
    assert Counter(sizes(2100)) == dict.fromkeys(range(1, 21), 10)
