"""The back office as a process: `python -m isthmus_examples.flights.simulate --database PATH --days N --rate N|max`.

It writes the schedule of the first N days of 2013, waits for the line `live` on stdin, then lives through them at so
many modifications a second; a line `rate N|max` changes that at any time. On stdout, one JSON object a line:
`{"event": "schedule", "modifications": n}` when the schedule is there, `{"event": "live", "planned": m}` when it begins
to live, `{"event": "progress", "modifications": k}` at most every half second, `{"event": "done", "modifications":
n + m}`; k and n + m count from the database's beginning.
It ends with code 0 when done, 143 or 130 after a signal, 1 when the end of stdin says that its parent is gone, or when
the database exists already or the data is not installed, 2 for wrong arguments.
"""

import argparse
import gc
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from math import inf, nan
from pathlib import Path
from typing import Final

from isthmus.clock import Clock, SystemClock
from isthmus.errors import Missing
from isthmus.lifecycle import Stop, ThreadStop

from .backoffice import BackOffice
from .data import DAYS, Flight, read_airports, read_carriers, read_flights
from .lives import happenings, sizes
from .parent import Listener, Pace, Rate, Reporter

_SCHEDULE_ROWS: Final = 2000
"""Rows of one transaction of the first load. Keys come in no order, so that many rows share one write of a page."""


class Simulation:
    """One life of the back office. Both phases end early when a stop is requested, between two transactions."""

    def __init__(self, office: BackOffice, reporter: Reporter, clock: Clock, stop: Stop) -> None:
        self._office = office
        self._reporter = reporter
        self._clock = clock
        self._stop = stop
        self.modifications = 0
        """Committed so far."""

    def load(self, flights: Iterable[Flight]) -> list[Flight]:
        """Write the schedule. Give the flights that are in it."""
        loaded: list[Flight] = []
        for some in _pieces(flights, _SCHEDULE_ROWS):
            if self._stop.requested():
                return loaded
            self._office.schedule(some)
            loaded += some
            self._committed(len(some))
        self._reporter.tell("schedule", modifications=self.modifications)
        return loaded

    def live(self, flights: list[Flight], zones: dict[str, str], rate: Rate) -> None:
        """Live through the flights, at that rate."""
        plan = happenings(flights, zones)
        self._reporter.tell("live", planned=len(plan))
        pace = Pace(rate, self._clock, self._stop)
        done = 0
        for whole in sizes(len(plan)):
            end = done + whole
            while done < end:
                if pace.wait(done):
                    return
                size = pace.portion(end - done)
                self._office.happen([(each.step, flights[each.flight]) for each in plan[done : done + size]])
                done += size
                self._committed(size)

    def _committed(self, count: int) -> None:
        self.modifications += count
        self._reporter.progress(self.modifications)


def run(database: Path, days: int, rate: Rate, *, listener: Listener, stop: Stop) -> int:
    """Play the whole life. Give the exit code."""
    clock = SystemClock()
    reporter = Reporter(sys.stdout, clock)
    airports = read_airports()
    office = BackOffice(database, read_carriers(), airports, clock)
    try:
        simulation = Simulation(office, reporter, clock, stop)
        flights = simulation.load(read_flights(days))
        listener.wait_for_live()
        if not stop.requested():
            zones = {airport.code: airport.zone for airport in airports if airport.zone is not None}
            simulation.live(flights, zones, rate)
    finally:
        office.close()
    if listener.received is not None:
        return 128 + listener.received
    listener.finish()
    reporter.tell("done", modifications=simulation.modifications)
    return 0


def main() -> int:
    """Read the arguments, and play."""
    parser = argparse.ArgumentParser(
        prog="python -m isthmus_examples.flights.simulate", description="The flights' back office."
    )
    parser.add_argument("--database", type=Path, required=True, help="the SQLite file to make")
    parser.add_argument("--days", type=_days, default=31, help="how many days of 2013, 1 to 365 (31)")
    parser.add_argument("--rate", type=_rate, default=2000.0, help="modifications a second when live, or max (2000)")
    arguments = parser.parse_args()
    stop = ThreadStop()
    rate = Rate(arguments.rate)
    listener = Listener(stop, rate)
    listener.start()
    # Over a year a million tuples live to the end, and none of them is in a cycle: looking for some takes seconds.
    gc.disable()
    try:
        return run(arguments.database, arguments.days, rate, listener=listener, stop=stop)
    except FileExistsError:
        sys.stderr.write(f"{arguments.database} exists already: the back office begins with a new file.\n")
    except Missing as missing:
        sys.stderr.write(f"{missing}\n")
    return 1


def _pieces(flights: Iterable[Flight], size: int) -> Iterator[list[Flight]]:
    rest = iter(flights)
    while piece := list(islice(rest, size)):
        yield piece


def _days(text: str) -> int:
    days = int(text) if text.isdecimal() else 0
    if not 1 <= days <= DAYS:
        raise argparse.ArgumentTypeError(f"{text}: a whole number from 1 to {DAYS} is allowed")
    return days


def _rate(text: str) -> float | None:
    if text == "max":
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = nan
    if not 0 < rate < inf:
        raise argparse.ArgumentTypeError(f"{text}: a number above 0 is allowed, or max")
    return rate


if __name__ == "__main__":
    sys.exit(main())
