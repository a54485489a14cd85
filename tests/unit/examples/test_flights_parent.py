"""The pace of the back office and what it tells its parent, on virtual time."""

import io
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples.flights.backoffice import BackOffice
from examples.flights.data import Flight
from examples.flights.parent import Pace, Reporter
from examples.flights.simulate import Simulation
from tests.fakes.clock import FakeClock, FakeStop

FLIGHTS = [Flight(20130101, "UA", number, None, "EWR", "IAH", 515, 517, 2, 819, 830, 11) for number in range(1, 101)]


def test_modifications_are_due_at_their_rate() -> None:
    clock = FakeClock()
    pace = Pace(100, clock, FakeStop(clock))
    for done, due in ((0, 0.0), (50, 0.5), (51, 0.51), (300, 3.0)):
        assert not pace.wait(done)
        assert clock.monotonic() == pytest.approx(due)


@given(st.lists(st.floats(min_value=0, max_value=0.2), min_size=1, max_size=50))
def test_work_that_takes_time_does_not_move_what_is_due_later(work: list[float]) -> None:
    clock = FakeClock()
    pace = Pace(10, clock, FakeStop(clock))
    free = 0.0
    for done, seconds in enumerate(work):
        pace.wait(done)
        assert clock.monotonic() == pytest.approx(max(free, done / 10))
        clock.move(seconds)
        free = clock.monotonic()


def test_without_a_rate_nothing_waits() -> None:
    clock = FakeClock()
    stop = FakeStop(clock)
    pace = Pace(None, clock, stop)
    assert not pace.wait(1_000_000)
    assert stop.waits == []


@pytest.mark.parametrize("rate", [None, 10.0])
def test_a_stop_ends_the_wait(rate: float | None) -> None:
    clock = FakeClock()
    stop = FakeStop(clock)
    pace = Pace(rate, clock, stop)
    stop.request()
    assert pace.wait(0)
    assert pace.wait(1000)
    assert clock.monotonic() == 0


def test_progress_is_told_at_most_every_half_second() -> None:
    clock = FakeClock()
    out = io.StringIO()
    reporter = Reporter(out, clock)
    for number in range(100):
        reporter.progress(number)
        clock.move(0.25)
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert told == [{"event": "progress", "modifications": number} for number in range(2, 100, 2)]


def live(tmp_path: Path, clock: FakeClock, stop: FakeStop, rate: float | None) -> list[dict[str, object]]:
    out = io.StringIO()
    office = BackOffice(tmp_path / "back-office.db", [], [], clock)
    try:
        simulation = Simulation(office, Reporter(out, clock), clock, stop)
        simulation.live(simulation.load(FLIGHTS), {"IAH": "America/Chicago"}, rate)
    finally:
        office.close()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_life_takes_as_long_as_its_rate_says(tmp_path: Path) -> None:
    clock = FakeClock()
    told = live(tmp_path, clock, FakeStop(clock), 100)
    assert told[0] == {"event": "schedule", "modifications": 100}
    assert told[1] == {"event": "live", "planned": 200}
    # The last transaction of the 200 begins when those before it are done, so no more than 20 are still to come.
    assert 1.8 <= clock.monotonic() < 2.0
    assert [event["event"] for event in told[2:]] == ["progress"] * 3


def test_a_stop_midway_ends_a_life_between_two_transactions(tmp_path: Path) -> None:
    clock = FakeClock()
    stop = FakeStop(clock)
    clock.at(0.9, stop.request)
    told = live(tmp_path, clock, stop, 100)
    assert told[-1]["event"] == "progress"
    assert clock.monotonic() < 1.0
