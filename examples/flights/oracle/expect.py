"""What the front office must hold after a completed run, straight from the flight data."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import NamedTuple
from zoneinfo import ZoneInfo

from .clocks import first_moment_after, moment_of, utc_text
from .words import flight_key

_NEW_YORK = ZoneInfo("America/New_York")


class FlownFlight(NamedTuple):
    """One line of the flight data. Clock times are HHMM, delays are minutes; None is what the data does not know."""

    day: date
    carrier: str
    number: int
    tail: str | None
    origin: str
    destination: str
    scheduled_departure: int
    departure_delay: int | None
    scheduled_arrival: int
    arrival_delay: int | None


class FlightRow(NamedTuple):
    """A row of the front office's `flight`, all but its version."""

    key: str
    carrier_code: str
    carrier_name: str
    flight_number: int
    tail_number: str | None
    origin: str
    destination: str
    status: str
    scheduled_departure: str
    actual_departure: str | None
    scheduled_arrival: str
    actual_arrival: str | None


class BoardRow(NamedTuple):
    """The counts of one airport."""

    departures: int = 0
    arrivals: int = 0
    cancellations: int = 0
    diversions: int = 0


@dataclass(frozen=True, slots=True)
class Expectation:
    """What must be there in the end: rows by key, counts by airport, and the keys that cannot be translated."""

    flights: Mapping[str, FlightRow]
    board: Mapping[str, BoardRow]
    parked_keys: frozenset[str]


def expect(
    flights: Iterable[FlownFlight], carrier_names: Mapping[str, str], airport_zones: Mapping[str, str]
) -> Expectation:
    """Compute the end of a run in which every flight lived to its end.

    `airport_zones` gives the IANA time zone of each airport of the reference table; a flight to any other airport is
    parked. Raises ValueError when two flights have one key, and KeyError for a carrier without a name.
    """
    zones = {name: ZoneInfo(name) for name in set(airport_zones.values()) if name != "NA"}
    rows: dict[str, FlightRow] = {}
    parked: set[str] = set()
    for flight in flights:
        key = flight_key(flight.carrier, flight.number, flight.day, flight.origin)
        if key in rows or key in parked:
            raise ValueError(f"two flights in the data have the key {key}")
        if flight.destination not in airport_zones:
            parked.add(key)
        else:
            zone = zones[airport_zones[flight.destination]]
            rows[key] = _row(key, flight, carrier_names[flight.carrier], zone)
    return Expectation(rows, _board(rows.values()), frozenset(parked))


def _row(key: str, flight: FlownFlight, carrier_name: str, zone: ZoneInfo) -> FlightRow:
    departure = moment_of(flight.day, flight.scheduled_departure, _NEW_YORK)
    arrival = first_moment_after(departure, flight.scheduled_arrival, zone)
    actual_departure = actual_arrival = None
    if flight.departure_delay is None:
        status = "cancelled"
    else:
        actual_departure = utc_text(departure + timedelta(minutes=flight.departure_delay))
        if flight.arrival_delay is None:
            status = "diverted"
        else:
            status = "arrived"
            actual_arrival = utc_text(arrival + timedelta(minutes=flight.arrival_delay))
    return FlightRow(
        key=key,
        carrier_code=flight.carrier,
        carrier_name=carrier_name,
        flight_number=flight.number,
        tail_number=flight.tail,
        origin=flight.origin,
        destination=flight.destination,
        status=status,
        scheduled_departure=utc_text(departure),
        actual_departure=actual_departure,
        scheduled_arrival=utc_text(arrival),
        actual_arrival=actual_arrival,
    )


def _board(rows: Iterable[FlightRow]) -> dict[str, BoardRow]:
    departures: defaultdict[str, int] = defaultdict(int)
    arrivals: defaultdict[str, int] = defaultdict(int)
    cancellations: defaultdict[str, int] = defaultdict(int)
    diversions: defaultdict[str, int] = defaultdict(int)
    for row in rows:
        if row.status == "cancelled":
            cancellations[row.origin] += 1
            continue
        departures[row.origin] += 1
        if row.status == "arrived":
            arrivals[row.destination] += 1
        else:
            diversions[row.destination] += 1
    airports = {*departures, *arrivals, *cancellations, *diversions}
    return {
        name: BoardRow(departures[name], arrivals[name], cancellations[name], diversions[name]) for name in airports
    }
