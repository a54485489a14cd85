"""The moments of a flight's life: what happens to it, and in which order over all flights. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

from .clocks import first_after, moment_of
from .data import Flight

_NEW_YORK: Final = "America/New_York"
_CARIBBEAN: Final = "America/Puerto_Rico"
"""The clock at the destinations that the reference table lacks: three lie on Puerto Rico, one on the Virgin Islands,
and all keep UTC-4 the whole year."""


class Step(IntEnum):
    """What happens to a flight. Of two that fall into one minute the lower number comes first."""

    DEPARTURE = 0
    CANCELLATION = 1
    ARRIVAL = 2
    DIVERSION = 3


class Happening(NamedTuple):
    """One step of one flight. They sort in the order in which they happen."""

    moment: int
    """Minutes since 1970, UTC."""
    step: Step
    flight: int
    """Its place in the list of flights."""


def happenings(flights: Sequence[Flight], zones: Mapping[str, str]) -> list[Happening]:
    """Give everything that happens to the flights, in order. `zones` are the time zones of the known airports."""
    found = [
        Happening(moment, step, place)
        for place, flight in enumerate(flights)
        for moment, step in life(flight, zones.get(flight.destination, _CARIBBEAN))
    ]
    found.sort()
    return found


def life(flight: Flight, zone: str) -> Iterable[tuple[int, Step]]:
    """Give the steps of one flight, in order, each with its moment. `zone` is that of its destination.

    It departs at the actual departure and arrives at the actual arrival; it is cancelled at the scheduled departure;
    it is known to be diverted at the scheduled arrival, later by the delay of its departure.
    """
    scheduled = moment_of(flight.day, flight.scheduled_departure, _NEW_YORK)
    if flight.departure_delay is None:
        return ((scheduled, Step.CANCELLATION),)
    departure = scheduled + flight.departure_delay
    arrival = first_after(scheduled, flight.scheduled_arrival, zone)
    if flight.arrival_delay is None:
        end, step = arrival + flight.departure_delay, Step.DIVERSION
    else:
        end, step = arrival + flight.arrival_delay, Step.ARRIVAL
    # Some clock times of the data contradict their delays: an end must not come before its departure all the same.
    return ((departure, Step.DEPARTURE), (max(departure, end), step))


def sizes(total: int) -> Iterator[int]:
    """Cut so many modifications into transactions: 1 to 20 each, every size as often as the others, always the same."""
    number = 0
    while total > 0:
        # 7 and 20 have no common divisor, so 20 transactions have 20 sizes, small and large ones mixed.
        size = min(1 + number * 7 % 20, total)
        yield size
        total -= size
        number += 1
